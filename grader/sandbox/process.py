"""A started box as the host sees it: send to its standard input, take frames, watch its limits, and end it with everything it started.

Theory of operation. Three descriptors: the box's standard input (requests), its standard output and error (one pipe, kept only up to a cap:
C libraries write there), and the frame pipe. `read` is the only place that waits. Limits that the kernel does not hold are watched here
every 0.2 s: resident memory, threads, disk and inodes of the whole process tree; where control groups can be made the kernel holds memory and threads,
too. Ending is by SIGKILL to the process group and every
descendant; bubblewrap's own PID namespace dies with its first process.
"""

import contextlib
import errno
import json
import os
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.closing import Closing
from grader.decode import VALUES_A_MIB, FrameReader, TooManyValues, without_places
from grader.errors import FrameError
from grader.sandbox.cgroups import Group
from grader.sandbox.folders import remove_folder
from grader.sandbox.limits import Limits

if TYPE_CHECKING:
    from grader.sandbox.warm import Forked

_WATCH_EVERY_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_SLACK_S = 2.0
"""Processor time of all threads that may have gone by since the watch last looked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a box ended. `name` is one of RunRecord.ending's words; `detail` a sentence for the student; `signal` what killed it, if one did.

    `lost`: the process that the box was forked from is gone, and took it along; nobody in the box did that.
    """

    name: str = "ok"
    detail: str = ""
    signal: int = 0
    lost: bool = False


class Running(Closing):
    """One box. Use as a context manager: leaving it kills whatever is left and removes its folder."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes] | Forked",
        frames: int,
        limits: Limits,
        folder: Path,
        *,
        in_box: tuple[str, ...] = (),
        group: Group | None = None,
    ) -> None:
        """Take over a started process. `folder` is its host-side work folder, gone once the box is closed; `in_box` are tmpfs mounts seen through /proc; `group` its control group."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._frames = frames
        self._input, self._output = process.stdin, process.stdout
        self._limits = limits
        self.folder = folder
        self._in_box = in_box
        self._group = group
        self.when_closed: Callable[[], None] = lambda: None
        self._to_send = bytearray()
        self._close_when_sent = False
        self._open = {frames, self._output.fileno()}
        self._first = secrets.randbelow(1 << 50)  # of the frames' numbers: a notebook that writes frames of its own does not know it
        self._reader = FrameReader(values=limits.frames_mib * VALUES_A_MIB, first=self._first)
        self._started = time.monotonic()
        self._next_watch = 0.0
        self._written = 0
        self._received = 0
        self.output = bytearray()
        self.ending: Ending | None = None
        self.peak_mib = 0.0
        self.cpu_s = 0.0
        for descriptor in (frames, self._input.fileno(), self._output.fileno()):
            os.set_blocking(descriptor, False)

    @property
    def seconds(self) -> float:
        """Seconds since the box was started."""
        return time.monotonic() - self._started

    def begin(self, confinement: Mapping[str, Any], spec: Mapping[str, Any], places: Iterable[Path] = ()) -> None:
        """Tell the box, on its first line of input, its confinement, its limits and its job's `spec`. `places`: this machine's, which no report names."""
        self._reader.places = without_places(str(path) for path in (*places, self.folder))
        told = {"confinement": dict(confinement), "limits": asdict(self._limits), "first": self._first, **spec}
        self.send(json.dumps(told).encode() + b"\n")

    def send(self, data: bytes, *, last: bool = False) -> None:
        """Queue bytes for the box's standard input; `last` closes it once they are through. Sent while `read` waits."""
        self._to_send += data
        self._close_when_sent |= last
        self._push()

    def read(self, wait_s: float = 0.1) -> list[tuple[str, Any]] | None:
        """Frames that arrived within `wait_s`, in order; None once the box has ended (see `ending`)."""
        if self.ending is not None and self._frames not in self._open:
            return None
        frames: list[tuple[str, Any]] = []
        self._push()
        writers = [self._input] if self._to_send else []
        ready, _, _ = select.select(list(self._open), writers, [], wait_s)
        for descriptor in ready:
            data = self._take(descriptor)
            if data is None:
                continue
            if not data:
                self._open.discard(descriptor)
            elif descriptor == self._frames:
                self._received += len(data)
                try:
                    frames.extend(self._reader.feed(data))
                except TooManyValues as error:
                    self.stop("output", f"The notebook sent records of {error}.")
                    return frames or None
                except FrameError as error:
                    self.stop("garbled", f"The notebook's process sent something unreadable ({error}).")
                    return frames or None
            else:
                self._written += len(data)
                self.output += data[: max(0, (1 << 20) - len(self.output))]
        self._watch()
        if self.ending is None and self._frames not in self._open:
            self._finish()
        return None if self.ending is not None and not frames else frames

    def stop(self, name: str, detail: str) -> None:
        """End the box now and say why. The first reason given stays."""
        if self.ending is None:
            self.ending = Ending(name=name, detail=detail)
        self._kill()
        self._open.discard(self._frames)

    def close(self) -> None:
        """Kill what is left of the box, close every descriptor, remove its folder. Safe to call twice."""
        if self._frames < 0:
            return
        self._kill()
        for stream in (self._input, self._output):
            with contextlib.suppress(OSError):
                stream.close()
        os.close(self._frames)
        self._frames = -1
        remove_folder(self.folder)
        if self._group is not None:
            self._group.remove()
        self.when_closed()

    # ------------------------------------------------------------------ the mechanics

    def _push(self) -> None:
        try:
            while self._to_send:
                sent = os.write(self._input.fileno(), self._to_send[:65536])
                del self._to_send[:sent]
            if self._close_when_sent and not self._input.closed:
                self._input.close()
        except BlockingIOError:
            return
        except (BrokenPipeError, ValueError):
            self._to_send.clear()

    def _take(self, descriptor: int) -> bytes | None:
        try:
            return os.read(descriptor, 1 << 18)
        except BlockingIOError:  # a spurious wake-up
            return None
        except OSError:
            return b""

    def _finish(self) -> None:
        """The frame pipe is closed: wait briefly for the process, then judge how it went."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)
        code = self._process.poll()
        if getattr(self._process, "lost", False):  # a forked box (`warm.py`)
            self.ending = Ending(name="killed", detail="The process that boxes are forked from is gone.", lost=True)
        elif self._group is not None and self._group.out_of_memory():
            self.ending = Ending(name="memory", detail=self._memory_detail())
        elif self._reader.pending:
            self.ending = Ending(name="garbled", detail="The notebook's process was cut off in the middle of a message.")
        elif code == 0 or code is None:
            self.ending = Ending()
        else:
            killed = by_signal = -code if code < 0 else code - 128
            if killed in (signal.SIGXCPU, signal.SIGKILL) and self.cpu_s >= self._limits.cpu_s - _CPU_SLACK_S:
                detail = f"The notebook used more than {self._limits.cpu_s} s of processor time (twice --timeout)."
            elif 0 < killed < 65:
                with contextlib.suppress(ValueError):
                    killed = signal.Signals(killed)
                detail = f"The notebook's process was ended by {getattr(killed, 'name', killed)} (out of memory, a crash in a library, or its own code)."
            else:
                detail = f"The notebook ended its own process (exit code {code})."
            self.ending = Ending(name="killed", detail=detail, signal=int(by_signal) if 0 < by_signal < 65 else 0)
        self._kill()

    def _memory_detail(self) -> str:
        return f"The notebook used more than {self._limits.memory} of memory (--memory)."

    def _kill(self) -> None:
        family = [*descendants(self._process.pid), self._process.pid]
        for pid in reversed(family):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if self._group is not None:
            self._group.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10.0)

    def _watch(self) -> None:
        now = time.monotonic()
        limits = self._limits
        if self.ending is not None or now < self._next_watch:
            return
        self._next_watch = now + _WATCH_EVERY_S
        if now - self._started > limits.wall_s:
            self.stop("timeout", f"The notebook ran longer than {limits.wall_s:g} s in total (--timeout).")
            return
        if self._written > limits.output_mib << 20:
            self.stop("output", f"The notebook wrote more than {limits.output_mib} MiB of output.")
            return
        if self._received > limits.frames_mib << 20:
            self.stop("output", f"The notebook sent more than {limits.frames_mib} MiB of records.")
            return
        family = [self._process.pid, *descendants(self._process.pid)]
        resident, threads = usage(family)
        self.peak_mib = max(self.peak_mib, resident)
        self.cpu_s = max(self.cpu_s, processor_seconds(family))
        if resident > limits.memory_mib:
            self.stop("memory", self._memory_detail())
        elif threads > limits.threads:
            self.stop("processes", f"The notebook started more than {limits.threads} threads.")
        else:
            size, files = self._disk(family)
            if size > limits.disk_mib or files > limits.files:
                self.stop("disk", f"The notebook wrote more than {limits.disk_mib} MiB or {limits.files} files.")

    def _disk(self, family: list[int]) -> tuple[float, int]:
        if self._in_box:  # size-limited tmpfs mounts: their sizes are bounded, inodes are counted here
            return 0.0, sum(private_inodes(family[-1], mount) for mount in self._in_box)
        size, files = folder_size(self.folder, self._limits.files)
        return size + unlinked_size(family, self.folder, self._limits.file_mib), files


def descendants(pid: int) -> list[int]:
    """Every living descendant of process `pid`, parents before children."""
    found: list[int] = []
    todo = [pid]
    while todo:
        current = todo.pop()
        try:
            tasks = os.listdir(f"/proc/{current}/task")  # noqa: PTH208 (names only, many times a second)
        except OSError:
            continue
        for task in tasks:
            with contextlib.suppress(OSError):
                children = [int(child) for child in Path(f"/proc/{current}/task/{task}/children").read_text(encoding="ascii").split()]
                found += children
                todo += children
    return found


def usage(family: list[int]) -> tuple[float, int]:
    """Resident memory (MiB, shared pages counted once per process) and threads of the processes `family`."""
    resident = threads = 0
    for pid in family:
        with contextlib.suppress(OSError, ValueError, IndexError):
            resident += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
            threads += len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
    return resident / (1 << 20), threads


def processor_seconds(family: list[int]) -> float:
    """Processor time that the processes `family` have used, seconds."""
    ticks = 0
    for pid in family:
        with contextlib.suppress(OSError, ValueError, IndexError):
            # after the name, which may hold anything: state is field 3, user and system time are 14 and 15
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        try:
            found = os.scandir(folder)
        except PermissionError:  # made without the right to list it: the box still writes there
            _open_up(folder)
            found = os.scandir(folder)
        with found as entries:
            yield from entries
    except OSError:
        return


def _open_up(folder: Path) -> None:
    """Let this user list a folder of his, and nothing else that the box may have put in its place since."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        Path(f"/proc/self/fd/{descriptor}").chmod(0o700)
    finally:
        os.close(descriptor)


def folder_size(folder: Path, most: int) -> tuple[float, int]:
    """Blocks (MiB) and entries below `folder`; counting ends at `most` entries. What lies deeper than a path is long counts as too many."""
    blocks = files = 0
    todo = [folder]
    while todo and files <= most:
        for entry in _entries(todo.pop()):
            files += 1
            try:
                blocks += entry.stat(follow_symlinks=False).st_blocks
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))
            except OSError as error:
                files += most if error.errno == errno.ENAMETOOLONG else 0
    return blocks * 512 / (1 << 20), files


def private_inodes(pid: int, mount: str) -> int:
    """Inodes used on process `pid`'s own file system at `mount`; 0 while it still sees the host's (bubblewrap not yet through its set-up)."""
    try:
        inside = f"/proc/{pid}/root{mount}"
        device = Path(inside).stat().st_dev
        with contextlib.suppress(FileNotFoundError):
            if device == Path(mount).stat().st_dev:
                return 0
        found = os.statvfs(inside)
    except OSError:
        return 0
    return found.f_files - found.f_ffree


def unlinked_size(family: list[int], folder: Path, most_mib: int) -> float:
    """MiB held by files that are deleted but still open, or mapped, in the processes `family`.

    What is mapped and not open can be measured by root only; else each such file that lay below `folder` counts as `most_mib`.
    """
    found: dict[tuple[int, int], float] = {}
    for pid in family:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
                with contextlib.suppress(OSError):
                    status = Path(f"/proc/{pid}/fd/{descriptor}").stat()
                    if status.st_nlink == 0:
                        found[status.st_dev, status.st_ino] = status.st_blocks * 512 / (1 << 20)
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{pid}/maps").read_text("utf-8", "replace").splitlines():
                if line.endswith("(deleted)") and str(folder) in line:
                    addresses, _, _, device, inode, *_ = line.split(maxsplit=5)
                    major, _, minor = device.partition(":")
                    key = (os.makedev(int(major, 16), int(minor, 16)), int(inode))
                    if key not in found:
                        found[key] = _mapped_mib(pid, addresses, most_mib)
    return sum(found.values())


def _mapped_mib(pid: int, addresses: str, most_mib: int) -> float:
    try:
        return Path(f"/proc/{pid}/map_files/{addresses}").stat().st_blocks * 512 / (1 << 20)
    except PermissionError:
        return most_mib
    except OSError:
        return 0.0
