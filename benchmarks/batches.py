"""Starting `grade batch --json-lines` and following it from outside: what it says and when, and the memory of the supervising process."""

import compileall
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from none_budget import CannotMeasureError

import grader

SAMPLE_S = 0.5
"""Between two readings of the memory."""


def as_installed() -> None:
    """Compile the grader's bytecode, as an installed package has it: from a source tree it may be compiled anew at every start, a second each."""
    compileall.compile_dir(Path(grader.__file__).parent, quiet=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A result as it came: seconds after the start of the process, and the seconds that the grading itself took."""

    after_s: float
    seconds: float
    status: str
    trained: int
    reused: int


@dataclass(slots=True, kw_only=True)
class Followed:
    """A finished process. `memory`: (seconds after the start, contents that were done, resident set of the process alone in MiB)."""

    seconds: float = 0.0
    results: list[Result] = field(default_factory=list)
    memory: list[tuple[float, int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def start_s(self) -> float:
        """From the start of the process until the first notebook began."""
        return max(min((result.after_s - result.seconds for result in self.results), default=self.seconds), 0.0)

    @property
    def last_s(self) -> float:
        """From the start of the process until the last result was recorded."""
        return max((result.after_s for result in self.results), default=0.0)


def follow(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    limit_s: float,
    keep: Callable[[dict[str, Any]], None] = lambda _line: None,
) -> Followed:
    """Run to the end. `keep` is given every result and memory reading as it comes, as a line that can be kept for a run that is broken off.

    Raises CannotMeasureError where the command fails or takes longer than `limit_s`.
    """
    found, done, ended = Followed(), [0], threading.Event()
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)

        def watch() -> None:
            while not ended.wait(SAMPLE_S):
                after = time.monotonic() - start
                if mib := resident_mib(process.pid):
                    found.memory.append((round(after, 2), done[0], mib))
                    keep({"at": "memory", "after_s": round(after, 2), "done": done[0], "mib": mib})
                if after > limit_s:
                    process.terminate()
                    return

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for line in process.stdout or ():
                _take(line, time.monotonic() - start, found, done, keep)
            code = process.wait()
            found.seconds = time.monotonic() - start
        except BaseException:  # let it record what it has, and end its boxes
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            raise
        finally:
            process.kill()
            ended.set()
            watcher.join()
        if code != 0:
            errors.seek(0)
            last = errors.read().decode("utf-8", "replace")[-2000:] or "\n".join(found.notes[-5:])
            what = " ".join(map(str, command))[:300]
            raise CannotMeasureError(f"{what}\nexpected exit code 0, got {code} after {found.seconds:.1f} s; it said last:\n{last}")
    return found


def _take(line: str, after_s: float, found: Followed, done: list[int], keep: Callable[[dict[str, Any]], None]) -> None:
    try:
        said = json.loads(line)
    except ValueError:
        raise CannotMeasureError(f"grade batch --json-lines: expected a JSON object a line, got {line[:200]!r}") from None
    if said.get("event") == "recorded":
        fields = {name: said[name] for name in ("seconds", "status", "trained", "reused")}
        found.results.append(Result(after_s=after_s, **fields))
        keep({"at": "result", "after_s": round(after_s, 3), **fields})
    elif said.get("event") == "progress":
        done[0] = said["done"]
    elif said.get("event") == "note":
        found.notes.append(said["text"])


def resident_mib(pid: int) -> float:
    """The resident set of a process now, in MiB; 0.0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)
