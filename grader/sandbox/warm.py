"""Warm boxes: forked, one after another, from a process that has the libraries imported, instead of started cold (4 s of imports each).

What a warm box may do is what a cold one may: the fork leaves for namespaces of its own and confines itself like every box (`inside/zygote.py`).
It is the tier bubblewrap only; where user namespaces do not nest, `start` falls back to cold boxes and `lack` says why.
"""

import contextlib
import json
import os
import queue
import select
import signal
import socket
import subprocess
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from grader.closing import Closing
from grader.errors import InfrastructureError
from grader.sandbox import bubblewrap
from grader.sandbox.base import Job, Sandbox, TierState, command, places, threads_environment
from grader.sandbox.cgroups import Group
from grader.sandbox.folders import make_folder
from grader.sandbox.launch import first_line, started
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running, descendants

PREPARE_S = 120.0
"""Patience with the zygote's imports; 5 s on an idle machine, 20 s among six other jobs (measured)."""

ANSWER_S = 20.0
"""Patience with a fork, and with the end of a killed box; milliseconds on an idle machine."""

_LAST_WORDS = 2000
_DISK_MIB = 64
"""For what the libraries write while they are imported (a table of fonts: 0.1 MiB). Boxes have file systems of their own."""


_kind = attrgetter("program", "module", "backend", "device")
"""What jobs that are forked from one zygote have in common."""


class _ZygoteError(Exception):
    """The zygote ended, or does not answer."""


class Forked:
    """A box's process as `Running` needs it: the part of `subprocess.Popen` that it uses. The zygote tells how it ended."""

    def __init__(self, zygote: "_Zygote", pid: int, given: tuple[int, int]) -> None:
        self._zygote, self.pid = zygote, pid
        self.stdin: IO[bytes] | None = os.fdopen(given[0], "wb", buffering=0)
        self.stdout: IO[bytes] | None = os.fdopen(given[1], "rb", buffering=0)
        self.returncode: int | None = None
        self.lost = False

    def poll(self) -> int | None:
        """The exit code (negative: the signal), None while it lives."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout=0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. Raises subprocess.TimeoutExpired. A zygote that is gone has taken its box with it."""
        if self.returncode is None:
            try:
                said = self._zygote.hear(ANSWER_S if timeout is None else timeout)
                self.returncode = int(said["ended"])
            except TimeoutError:
                raise subprocess.TimeoutExpired("box", timeout or 0.0) from None
            except (_ZygoteError, KeyError, ValueError):
                self._zygote.close()
                self.returncode, self.lost = -signal.SIGKILL, True
        return self.returncode


class _Zygote:
    """The process that forks boxes, itself in a bubblewrap of its own."""

    def __init__(self, job: Job) -> None:
        """Start it; its imports go on in the background until `ready` is asked."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        line = [
            *bubblewrap.arguments(job, _DISK_MIB, {"OPENBLAS_NUM_THREADS": "1"}),  # its threads would be there at the fork
            *command(job, theirs.fileno(), warm=True),
        ]
        try:
            self._process = started(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise _ZygoteError(f"it could not be started: {error}") from None
        finally:
            theirs.close()
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._pid = 0
        self._said = bytearray()
        self.last: Forked | None = None

    def ready(self) -> None:
        """Wait until it may be forked. Raises _ZygoteError."""
        if self._pid:
            return
        try:
            unfit = self.hear(PREPARE_S)["ready"]
        except (TimeoutError, KeyError):
            raise _ZygoteError(f"its imports took longer than {PREPARE_S:g} s") from None
        if unfit:
            raise _ZygoteError(str(unfit))
        family = descendants(self._process.pid)
        if not family:
            raise _ZygoteError("it ended as soon as it was ready")
        self._pid = family[-1]

    def fork(self, request: dict[str, Any]) -> tuple[Forked, int]:
        """A new box and its frame pipe. Raises _ZygoteError; then no descriptor stays open."""
        self.ready()
        pairs = [os.pipe() for _ in range(3)]
        (box_in, to_box), (from_box, box_out), (frames, box_frames) = pairs
        kept = (to_box, from_box, frames)
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [box_in, box_out, box_frames])
            failed = str(self.hear(ANSWER_S)["failed"])
            if failed:
                raise _ZygoteError(f"a box could not leave for namespaces of its own: {failed}")  # noqa: TRY301 (the descriptors are closed below)
            pid = self._child()
        except (OSError, TimeoutError, KeyError, _ZygoteError) as error:
            for descriptor in kept:
                os.close(descriptor)
            raise _ZygoteError(f"no box came of it ({error})") from None
        finally:
            for descriptor in (box_in, box_out, box_frames):
                os.close(descriptor)
        self.last = Forked(self, pid, (to_box, from_box))
        return self.last, frames

    def _child(self) -> int:
        """The forked process as this side numbers it: the zygote's only child, which waits for its spec (or is a zombie that it has not reaped)."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text(encoding="ascii").split()
        if len(children) != 1:
            raise _ZygoteError(f"{len(children)} children where one was expected")
        return int(children[0])

    def hear(self, timeout: float) -> dict[str, Any]:
        """Its next message. Raises TimeoutError, _ZygoteError where it is gone or says something else."""
        self._drain()
        try:
            ready, _, _ = select.select([self._socket], [], [], max(timeout, 0.0))
            data = self._socket.recv(1 << 16) if ready else None
        except (OSError, ValueError) as error:
            raise _ZygoteError(f"it is gone ({error})") from None
        if data is None:
            raise TimeoutError
        if not data:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2.0)
            self._drain()
            raise _ZygoteError(f"it ended; its last output: {first_line(bytes(self._said))}")
        found = json.loads(data)
        assert isinstance(found, dict)
        return found

    def _drain(self) -> None:
        """Take what it printed since the last time; nobody else reads it, and a full pipe would stop it."""
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            self._said += self._process.stdout.read() or b""
            del self._said[:-_LAST_WORDS]

    @property
    def processes(self) -> tuple[int, ...]:
        """It, and the bubblewrap around it; without what it forked."""
        return (self._process.pid, *(pid for pid in descendants(self._process.pid) if self.last is None or pid != self.last.pid))

    def idle(self) -> bool:
        """Whether it lives and its last box is over."""
        return self._process.poll() is None and (self.last is None or self.last.poll() is not None)

    def close(self) -> None:
        """End it, and with it whatever it forked. Safe to call twice."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10.0)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Warm(Closing):
    """A sandbox (see `base.Sandbox`) whose boxes are forked; one at a time, for one thread at a time. Use as a context manager."""

    def __init__(self, cold: bubblewrap.Bubblewrap, job: Job, *, most_boxes: int = 500) -> None:
        """`job` says what to prepare, all that its boxes may ever read, and their `threads`. After `most_boxes` boxes the zygote is replaced."""
        self.name = cold.name
        self._cold, self._job, self._most = cold, replace(job, spec={}), most_boxes
        self._zygote: _Zygote | None = None
        self._forked = self.replaced = 0
        self.lack = ""

    def probe(self) -> TierState:
        """As the tier below."""
        return self._cold.probe()

    @property
    def residents(self) -> tuple[int, ...]:
        """The processes that stay between boxes: bubblewrap's and the zygote."""
        return () if self._zygote is None else self._zygote.processes

    def prepare(self) -> None:
        """Start the zygote where there is none; its imports go on in the background."""
        if self._zygote is None and not self.lack:
            with contextlib.suppress(_ZygoteError):
                self._zygote, self._forked = _Zygote(self._job), 0

    def close(self) -> None:
        """End the zygote."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a box, forked where that is possible, else cold. Raises InfrastructureError."""
        if _kind(job) != _kind(self._job) or not set(job.readable) <= set(self._job.readable) or self.lack:
            return self._cold.start(job, limits)
        if self._zygote is not None and (self._forked >= self._most or not self._zygote.idle()):
            self.close()
            self.replaced += 1
        for _ in range(2):
            self.prepare()
            try:
                return self._fork(job, limits)
            except _ZygoteError as error:
                self.close()
                self.replaced += 1
                said = str(error)
        self.lack = f"Boxes are started cold: the warm process failed twice ({said})."
        return self._cold.start(job, limits)

    def _fork(self, job: Job, limits: Limits) -> Running:
        if self._zygote is None:
            raise _ZygoteError("it could not be started")
        mounts = {
            bubblewrap.WORK: limits.disk_mib,
            bubblewrap.TEMPORARY: limits.disk_mib,
            "/dev/shm": bubblewrap.SHARED_MIB,  # noqa: S108 (in the box)
        }
        request = {
            "mounts": mounts,
            "keep": bubblewrap.folders_below(job, tuple(mounts)),
            "files": 20 * limits.files,  # the watch outside, which has the words for it, speaks first
            "work": bubblewrap.WORK,
            "environment": threads_environment(None if "train" in job.spec else self._job.threads),  # a training in earnest gets them all
        }
        box, frames = self._zygote.fork(request)
        self._forked += 1
        group = Group.make(limits)
        if group is not None:
            group.admit(lambda: [box.pid] if box.returncode is None else [])
        running = Running(box, frames, limits, make_folder(), in_box=(bubblewrap.WORK, bubblewrap.TEMPORARY), group=group)
        running.begin(bubblewrap.confinement(job), job.spec, places(job))
        return running


class WarmPool(Closing):
    """A sandbox for several threads: at most `size` boxes at a time, each from the next free `Warm`. Use as a context manager."""

    def __init__(self, cold: Sandbox, job: Job, size: int) -> None:
        """`cold` is any tier; boxes are forked where it is bubblewrap."""
        self.name = cold.name
        self._cold = cold
        self._all: list[Sandbox] = [Warm(cold, job) if isinstance(cold, bubblewrap.Bubblewrap) else cold for _ in range(size)]
        self._free: queue.LifoQueue[Sandbox] = queue.LifoQueue()
        for sandbox in reversed(self._all):
            self._free.put(sandbox)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why boxes are started cold, where they are."""
        if not isinstance(self._cold, bubblewrap.Bubblewrap):
            return (f"Boxes are started cold: the sandbox {self.name} forks none.",)
        return tuple(dict.fromkeys(warm.lack for warm in self._all if isinstance(warm, Warm) and warm.lack))

    @property
    def taken(self) -> int:
        """How many boxes are in use."""
        return len(self._all) - self._free.qsize()

    def probe(self) -> TierState:
        """As the tier below."""
        return self._cold.probe()

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a box; waits while all are taken. Raises InfrastructureError."""
        chosen = self._free.get()
        try:
            running = chosen.start(job, limits)
        except BaseException:
            self._free.put(chosen)
            raise
        running.when_closed = lambda: self._free.put(chosen)
        return running

    def close(self) -> None:
        """End every zygote, and with it its box."""
        for sandbox in self._all:
            if isinstance(sandbox, Warm):
                sandbox.close()


class AllWarm(Closing):
    """A sandbox that keeps one `Warm` for every kind of job: for trying what warm boxes hold, job by job. Use as a context manager."""

    def __init__(self, cold: bubblewrap.Bubblewrap) -> None:
        self.name = cold.name
        self._cold = cold
        self._kinds: dict[tuple[object, ...], Warm] = {}

    def close(self) -> None:
        """End every zygote."""
        for warm in self._kinds.values():
            warm.close()
        self._kinds.clear()

    @property
    def residents(self) -> tuple[int, ...]:
        """The processes that stay between boxes."""
        return tuple(pid for warm in self._kinds.values() for pid in warm.residents)

    def probe(self) -> TierState:
        """As the tier below."""
        return self._cold.probe()

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a forked box. Raises InfrastructureError where only a cold one can be had."""
        warm = self._kinds.setdefault((_kind(job), job.readable), Warm(self._cold, job))
        running = warm.start(job, limits)
        if warm.lack:
            running.close()
            raise InfrastructureError(warm.lack)
        return running
