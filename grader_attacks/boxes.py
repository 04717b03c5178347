"""Attacks on a box: bait is laid outside, the attempts of `inside/` are made in a real box of a tier, and the bait is looked at afterwards.

Theory of operation. Everything that an attempt could read, change, reach or end is there and open to everybody, so that nothing but the box
holds it: a file with a secret, a folder for each attempt that writes, listeners that wait for an attempt's token, processes that it may kill.
Quick attempts share a box; one that ends its box is taken as held (nothing came of it) and the others go on in a new one. The program's
folder is a copy under a random name: a process that still names it after its box is closed is a survivor.
"""

import contextlib
import fcntl
import os
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from grader import rubric
from grader.decode import RunCollector
from grader.errors import FrameError
from grader.sandbox import Job, Limits, Running, Sandbox
from grader.sandbox.base import PACKAGE, interpreter_folders
from grader_attacks.records import Attack, Outcome, State

INSIDE = Path(__file__).resolve().parent / "inside"
SHARED = Limits(wall_s=90, cpu_s=60, memory_mib=1024, files=2000, disk_mib=64, output_mib=2)
ALONE = Limits(
    wall_s=15, cpu_s=3, memory_mib=512, data_mib=2048, address_mib=8192, file_mib=64, disk_mib=96, files=2000, open_files=256, threads=64,
    output_mib=2, frames_mib=16,
)  # fmt: skip
HANGING = replace(ALONE, wall_s=1.5)
GOALS = {"goal_mib": 768, "goal_count": 5000, "goal_threads": 200, "goal_cpu_s": 12}
"""What an attempt to exhaust tries to reach: over ALONE's limits, and little enough for a machine that does not hold it."""

_OVERTIME_S = 4.0
"""A box that is to end after `wall_s` must have ended this many seconds later (the limits are watched every 0.2 s)."""


class Bait:
    """What the attempts aim at. A context manager: leaving it ends the processes, closes the listeners and removes the folders."""

    def __init__(self) -> None:
        """Lay everything out; takes about 50 ms."""
        self.token = f"grade{secrets.token_hex(8)}"
        self.outside = Path(tempfile.mkdtemp(prefix="grade-outside-"))
        self.given = Path(tempfile.mkdtemp(prefix="grade-given-"))
        self.program = self.given / f"attempts-{secrets.token_hex(8)}"
        self.lacks: dict[str, str] = {}
        self.heard = bytearray()
        self._spots: dict[str, tuple[Path, Any]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._victims: dict[str, tuple[subprocess.Popen[bytes], Any]] = {}
        self._sockets: list[socket.socket] = []
        self._stop = threading.Event()
        self._locked: set[str] = set()
        self._files()
        self._listen()
        self.neighbour = self._process()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=2.0)
        for process in self._processes:
            process.kill()
            process.wait()
        for endpoint in self._sockets:
            endpoint.close()
        self._open.close()
        os.environ.pop("GRADE_ATTACK", None)
        self._shared.unlink(missing_ok=True)
        for folder in (self.outside, self.given):
            shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------------ laying it out

    def _files(self) -> None:
        for folder in (self.outside, self.given):
            folder.chmod(0o755)
        shutil.copytree(INSIDE, self.program, ignore=shutil.ignore_patterns("__pycache__"))
        words = f"SECRET = {self.token!r}\n" + "#" * (3000 + secrets.randbelow(5000))
        for name in ("planted_secret.py", "held/labels.json", "others/submission.ipynb", "watched/x"):
            path = self.outside / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(words, encoding="utf-8")
        self.secret = self.outside / "planted_secret.py"
        (self.outside / "others" / self.token).touch()
        (self.outside / "link").symlink_to(f"/{self.token}")
        self._shared = Path("/dev/shm") / f"grade-attack-{secrets.token_hex(4)}"  # noqa: S108 (a file of the host's, to be found or not)
        try:
            self._shared.write_text(words, encoding="utf-8")
        except OSError:
            self.lacks["read.host_shared_memory"] = "The host has no /dev/shm that it may write."
        try:
            os.setxattr(self.secret, "user.secret", self.token.encode())
        except OSError:
            for name in ("read.extended_attribute", "write.set_attribute", "write.remove_attribute"):
                self.lacks[name] = "The folder for temporary files keeps no extended attributes."
        if not Path("/dev/nvidiactl").exists():
            self.lacks["ending.gpu_memory"] = "This machine has no GPU."
        self._open = self.secret.open("rb")
        os.set_inheritable(self._open.fileno(), True)
        os.environ["GRADE_ATTACK"] = self.token

    def _listen(self) -> None:
        self.addresses: dict[str, Any] = {}
        for name, family, kind, address in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("unix_stream", socket.AF_UNIX, socket.SOCK_STREAM, str(self.outside / "stream")),
            ("unix_datagram", socket.AF_UNIX, socket.SOCK_DGRAM, str(self.outside / "datagram")),
            ("abstract_stream", socket.AF_UNIX, socket.SOCK_STREAM, f"\0s{self.token}"),
            ("abstract_datagram", socket.AF_UNIX, socket.SOCK_DGRAM, f"\0d{self.token}"),
        ):
            try:
                endpoint = socket.socket(family, kind)
                endpoint.bind(address)
            except OSError:
                self.lacks[f"network.{name}"] = "The host itself cannot listen there."
                self.addresses[name] = 9
                continue
            if kind == socket.SOCK_STREAM:
                endpoint.listen()
            if isinstance(address, str) and not address.startswith("\0"):
                Path(address).chmod(0o777)
            endpoint.setblocking(False)
            self._sockets.append(endpoint)
            self.addresses[name] = address.lstrip("\0") if isinstance(address, str) else endpoint.getsockname()[1]

    def _process(self) -> "subprocess.Popen[bytes]":
        """A process of the grader's own user that may be read, traced and killed by whoever can; it holds the secret everywhere."""
        process = subprocess.Popen(  # noqa: S603
            [self.token, "600"], executable=shutil.which("sleep"), stdin=self._open, env={"SECRET": self.token * 4}, start_new_session=True
        )
        self._processes.append(process)
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline and self.token.encode() not in Path(f"/proc/{process.pid}/environ").read_bytes():
            time.sleep(0.005)
        return process

    def _serve(self) -> None:
        connected: list[socket.socket] = []
        flicker = self.outside / "watched" / self.token
        while not self._stop.wait(0.03):
            flicker.touch()
            for endpoint in [*self._sockets, *connected]:
                try:
                    if endpoint in connected or endpoint.type == socket.SOCK_DGRAM:
                        self.heard += endpoint.recv(4096)
                    else:
                        accepted, _ = endpoint.accept()
                        accepted.setblocking(False)
                        connected.append(accepted)
                        self.heard += b"(connected)"
                except OSError:
                    continue
            flicker.unlink(missing_ok=True)
        for endpoint in connected:
            endpoint.close()

    # ------------------------------------------------------------------ what a box is told

    def told(self) -> dict[str, Any]:
        """What every attempt may know: where things are, never what is in them."""
        lines = rubric.load("all_cnn_c")
        thresholds = rubric.reference(lines) / "thresholds.toml"
        if not thresholds.exists():
            self.lacks["read.thresholds"] = "The rubric has no thresholds yet."
        home = Path.home()
        names = [path.name for path in home.iterdir()] if home.is_dir() and os.access(home, os.R_OK) else []
        kept = [name for name in names if len(name) > 3 and not any(path.is_relative_to(home / name) for path in interpreter_folders())]
        if not kept:
            self.lacks["read.host_home"] = "There is nothing in the home that could be listed."
        address, length = _environment_at(self.neighbour.pid)
        self.secrets = {
            "file": self.token,
            "rubric": _line(lines.path),
            "thresholds": _line(thresholds),
            "source": _line(PACKAGE / "scoring.py"),
            "temporary": self.outside.name,
            "home": max(kept, key=len, default="?"),
            "users": _line(Path("/etc/passwd")),
            "name": f"name {socket.gethostname()}",
            "mounts": next((line for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines() if " / / " in line), "?"),
            "parent": _without_folders(Path("/proc/self/environ").read_bytes().decode("latin-1").split("\0")),
            "size": f"size {self.secret.stat().st_size}",
        }
        return {
            **self.addresses, "neighbour": self.neighbour.pid, "address": address, "length": length - length % 8, "grader": os.getpid(),
            "secret": str(self.secret), "held": str(self.outside / "held/labels.json"), "others": str(self.outside / "others"),
            "other": str(self.outside / "others/submission.ipynb"), "link": str(self.outside / "link"), "shared": str(self._shared),
            "watched": str(self.outside / "watched"), "temporary": tempfile.gettempdir(), "home": str(home), "rubric": str(lines.path),
            "thresholds": str(thresholds), "package": str(PACKAGE), "repository": str(PACKAGE.parent), **GOALS,
        }  # fmt: skip

    def told_for(self, attack: Attack) -> dict[str, Any]:
        """What one attempt gets besides: its token, a folder of its own to change, a process of its own to harm."""
        name = attack.id.replace(".", "-")
        found: dict[str, Any] = {"token": f"{self.token}{name}"[:60].replace("_", "").replace("-", "")}
        if attack.id.startswith("write."):
            for where, folder in (("spot", self.outside / name), ("spot_given", self.given / name)):
                folder.mkdir()
                folder.chmod(0o777)
                (folder / "file.txt").write_text("as it was\n", encoding="utf-8")
                (folder / "file.txt").chmod(0o666)
                if "write.remove_attribute" not in self.lacks:
                    os.setxattr(folder / "file.txt", "user.planted", b"1")
                self._spots[f"{attack.id} {where}"] = (folder, _look(folder))
                found[where] = str(folder)
        if attack.proof == "victim" or attack.id == "process.compare":
            victim = self._process()
            self._victims[attack.id] = (victim, _condition(victim))
            found |= {"victim": victim.pid, "victim_address": _environment_at(victim.pid)[0]}
        return found

    # ------------------------------------------------------------------ looking afterwards

    def on_begin(self, attack: Attack) -> None:
        """Measure what can only be measured while the attempt goes on."""
        if attack.id == "write.hold_lock":
            time.sleep(0.3)
            folder, _ = self._spots["write.hold_lock spot_given"]
            with (folder / "file.txt").open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._locked.add(attack.id)

    def harm(self, attack: Attack, token: str) -> str:
        """What the attempt changed, reached or ended outside, in words; empty where nothing."""
        if attack.id in self._locked:
            return "the file's lock was held"
        for name, (folder, before) in self._spots.items():
            if name.split(" ")[0] == attack.id and _look(folder) != before:
                return f"{folder.name} differs from what it was"
        if attack.id == "write.oom_score" and Path(f"/proc/{self.neighbour.pid}/oom_score_adj").read_text("ascii").strip() == "900":
            return "another process's oom_score_adj was changed"
        if attack.id in self._victims:
            victim, before = self._victims[attack.id]
            time.sleep(0.05)
            after = _condition(victim)
            if after != before:
                return f"a process outside was {before}, then {after}"[:300]
        if attack.proof == "heard":
            time.sleep(0.1)  # what was sent has arrived by then
            if token.encode() in self.heard:
                return "a listener outside received the token"
        return ""

    def survivors(self) -> list[int]:
        """Processes that still run this bait's program."""
        mark, found = self.program.name.encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if mark in (entry / "cmdline").read_bytes():
                        found.append(int(entry.name))
        return found


def _line(path: Path) -> str:
    """The longest plain line of a file: something that only who read it can know."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.isascii()] if path.exists() else []
    return max(lines, key=len, default="?")


def _look(folder: Path) -> Any:
    """Everything about a folder and what is in it that an attempt could change (not the access times)."""
    if not folder.exists():
        return None
    found: dict[str, Any] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (
            status.st_mode, status.st_size, status.st_mtime_ns, status.st_nlink,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
            _attributes(path), _flags(path),
        )  # fmt: skip
    return found


def _attributes(path: Path) -> list[str]:
    try:
        return sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return []


def _flags(path: Path) -> int:
    if not path.is_file() or path.is_symlink():
        return 0
    buffer = bytearray(8)
    try:
        with path.open("rb") as file:
            fcntl.ioctl(file, 0x80086601, buffer)  # FS_IOC_GETFLAGS
    except OSError:
        return 0
    return int.from_bytes(buffer, sys.byteorder)


def _condition(process: "subprocess.Popen[bytes]") -> Any:
    """Whether a process lives, whether it is stopped, its limits, priority, cores, and its environment as its memory holds it."""
    if process.poll() is not None:
        return f"ended by {process.returncode}"
    state = Path(f"/proc/{process.pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    return (
        "stopped" if state in "Tt" else "alive",
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE),
        os.getpriority(os.PRIO_PROCESS, process.pid),
        sorted(os.sched_getaffinity(process.pid)),
        Path(f"/proc/{process.pid}/environ").read_bytes()[:20],
    )


def _without_folders(entries: list[str]) -> str:
    """The longest entry of an environment that names no folder, or the first: this machine's folders are taken out of what leaves a box."""
    return max((entry for entry in entries if "/" not in entry), key=len, default=entries[0])[:40]


def _environment_at(pid: int) -> tuple[int, int]:
    """Address and length of a process's environment in its memory (fields 50 and 51 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    start, end = int(fields[47]), int(fields[48])
    return start, end - start


# ------------------------------------------------------------------ running


@dataclass(slots=True)
class _Box:
    """What came of one box: the last word of each attempt, and how the box ended."""

    begun: list[str] = field(default_factory=list)
    words: dict[str, tuple[str, str]] = field(default_factory=dict)
    ending: str = ""
    detail: str = ""
    output: bytes = b""
    seconds: float = 0.0
    left: str = ""


def run(attacks: Sequence[Attack], sandbox: Sandbox) -> Iterator[Outcome]:
    """Make `attacks` in boxes of `sandbox` and yield what became of each, in no fixed order.

    Raises InfrastructureError where a box cannot be started.
    """
    with Bait() as bait:
        told = bait.told()
        rooms = dict.fromkeys(attack.id.partition(".")[0] for attack in attacks if not attack.alone)
        groups = [[attack for attack in attacks if not attack.alone and attack.id.startswith(f"{room}.")] for room in rooms]
        groups += [[attack] for attack in attacks if attack.alone]
        for group in groups:
            waiting = [attack for attack in group if attack.id not in bait.lacks]
            yield from (
                Outcome(attack=attack, state="not_tried", detail=bait.lacks[attack.id]) for attack in group if attack.id in bait.lacks
            )
            while waiting:
                own = {attack.id: bait.told_for(attack) for attack in waiting}
                box = _make(waiting, sandbox, bait, told, own)
                done = [attack for attack in waiting if attack.id in box.begun] or waiting[:1]
                for attack in done:
                    yield _judge(attack, box, bait, own[attack.id]["token"])
                waiting = [attack for attack in waiting if attack not in done]


def _limits(attack: Attack) -> Limits:
    if not attack.alone:
        return SHARED
    if attack.id == "ending.deep_tree":
        return replace(ALONE, files=20_000)
    return HANGING if attack.family == "hang" else ALONE


def _make(attacks: Sequence[Attack], sandbox: Sandbox, bait: Bait, told: dict[str, Any], own: dict[str, dict[str, Any]]) -> _Box:
    by_id, box = {attack.id: attack for attack in attacks}, _Box()
    limits, alone = _limits(attacks[0]), attacks[0].alone
    spec = {"tries": [[attack.id, own[attack.id]] for attack in attacks], "bait": told, "patience_s": 3600 if alone else 5}
    job = Job(program=bait.program, module="tries", spec=spec, readable=(bait.given,))
    collector = RunCollector()
    with sandbox.start(job, limits) as running:
        while (frames := running.read(0.05)) is not None:
            for kind, body in frames:
                if kind == "begin":
                    box.begun.append(body["attempt"])
                    bait.on_begin(by_id[body["attempt"]])
                elif kind in ("did", "refused", "absent"):
                    box.words[body["attempt"]] = (kind, str(body.get("got", body.get("error", body.get("why", "")))))
                else:
                    try:
                        collector.add(kind, body)
                    except FrameError as error:
                        running.stop("garbled", str(error))
                        break
            _overtime(running, limits)
        assert running.ending is not None
        box.ending, box.detail = running.ending.name, running.ending.detail
        box.output, box.seconds, folder = bytes(running.output), running.seconds, running.folder
    time.sleep(0.1 if alone else 0.0)
    left = [pid for pid in bait.survivors() if pid not in getattr(sandbox, "residents", ())]  # a zygote is meant to stay
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    box.left = f"{len(left)} processes" if left else "the box's folder" if folder.exists() else ""
    return box


def _overtime(running: Running, limits: Limits) -> None:
    if running.seconds > limits.wall_s + _OVERTIME_S:
        running.stop("overtime", "The box had not ended long after its limit.")


def _judge(attack: Attack, box: _Box, bait: Bait, token: str) -> Outcome:
    kind, word = box.words.get(attack.id, ("nothing", ""))
    state: State = "held"
    harm = bait.harm(attack, token)
    how = {"refused": word, "did": "nothing came of it", "absent": word, "nothing": f"the box ended ({box.ending})"}[kind]
    if kind == "absent":
        state = "not_tried"
    elif box.left:
        state, how = "open", f"{box.left} were left"
    elif harm:
        state, how = "open", harm
    elif attack.proof == "secret":
        if kind == "did" and bait.secrets[attack.secret] in word:
            state, how = "open", "the secret came back"
    elif attack.proof == "printed":
        if f"said {token}".encode() in box.output:
            state, how = "open", "another program ran in its place"
    elif attack.proof == "garbled":
        state, how = ("held" if box.ending in ("garbled", "output") else "open"), f"ended: {box.ending} ({box.detail})"
    elif kind == "did" and word:
        state, how = "open", word
    elif attack.proof == "ended" and kind == "nothing":
        state = "open" if box.ending in ("ok", "overtime") else "held"
        how = f"ended: {box.ending} ({box.detail})"
    return Outcome(attack=attack, state=state, detail=how[:300], seconds=round(box.seconds, 2))
