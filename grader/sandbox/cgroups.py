"""Control groups: where this process may make one, the kernel holds a box's memory (shared memory and tmpfs files included) and its threads.

They are an addition: every limit is watched from outside as well, and where no group can be made (an ordinary user, most containers) that watch
is all there is. Version 2 and version 1 with its `memory` and `pids` hierarchies are known.
"""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from grader.machine import own_group
from grader.sandbox.limits import Limits

_SPARE_MIB = 256
"""What the watch allows (resident memory) is under what the kernel allows, so that the watch, which has the better words, speaks first."""

_ADMIT_S = 2.0
"""A box is moved into its group in under a millisecond; a kernel that refuses is not asked for ever."""


@dataclass(frozen=True, slots=True)
class Group:
    """A control group for one box: one folder (version 2), or one a controller (version 1)."""

    folders: tuple[Path, ...]
    limits: Limits

    @classmethod
    def make(cls, limits: Limits) -> Self | None:
        """A new group with the limits set, or None where none can be made. Never raises."""
        name = f"grade-{uuid.uuid4().hex[:12]}"
        folders: list[Path] = []
        try:
            for parent, settings in _places(limits):
                folder = parent / name
                folder.mkdir()
                folders.append(folder)
                for file, value in settings.items():
                    if not (folder / file).exists():  # the kernel makes the files of every controller that is switched on here
                        raise FileNotFoundError(file)
                    (folder / file).write_text(str(value), encoding="ascii")
        except OSError:
            cls(tuple(folders), limits).remove()
            return None
        return cls(tuple(folders), limits) if folders else None

    def admit(self, family: Callable[[], list[int]]) -> None:
        """Move the processes that `family` lists into the group, until a list holds none that is outside. Never raises.

        What was started by a process still outside is on the next list; what is started by one inside is inside.
        """
        until = time.monotonic() + _ADMIT_S
        while (outside := set(family()) - self.members()) and time.monotonic() < until:
            for pid in outside:
                for folder in self.folders:
                    with contextlib.suppress(OSError):  # it has ended since
                        (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def members(self) -> set[int]:
        """The processes that are in every folder of the group."""
        found: list[set[int]] = []
        for folder in self.folders:
            with contextlib.suppress(OSError):
                found.append({int(word) for word in (folder / "cgroup.procs").read_text(encoding="ascii").split()})
        return set.intersection(*found) if found else set()

    def out_of_memory(self) -> bool:
        """Whether the kernel ended a process of the group because the *group's own* limit was reached.

        The kernel counts a process here, too, that it ended because the whole machine was short of memory: that is nobody's result.
        """
        for folder in self.folders:
            with contextlib.suppress(OSError, ValueError):
                counts: dict[str, int] = {}
                for file in ("memory.events", "memory.oom_control", "memory.failcnt"):
                    with contextlib.suppress(FileNotFoundError):
                        for line in (folder / file).read_text(encoding="ascii").splitlines():
                            word, _, count = line.rpartition(" ")
                            counts[word or "failcnt"] = int(count)
                reached = counts.get("oom", 0) or counts.get("failcnt", 0)  # version 2, version 1
                if counts.get("oom_kill", 0) and reached:
                    return True
        return False

    def kill(self) -> None:
        """End every process of the group, however it hid from its parent."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1", encoding="ascii")
        for pid in self.members():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> None:
        """Remove the group; it is empty once its processes are reaped, which may take a moment."""
        for folder in self.folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
                else:
                    break


def _places(limits: Limits) -> list[tuple[Path, dict[str, int]]]:
    """(the group of this process, what is set in a new one below it), a controller's hierarchy each. Empty where there is none."""
    memory = (limits.memory_mib + limits.disk_mib + _SPARE_MIB) << 20
    threads = limits.threads + 16  # the watch, again, speaks first
    (version, group), (version_of_pids, group_of_pids) = (own_group(Path("/"), controller) for controller in ("memory", "pids"))
    if version == 2:
        return [(group, {"memory.max": memory, "memory.swap.max": 0, "pids.max": threads})]
    if version and version_of_pids:
        return [(group, {"memory.limit_in_bytes": memory}), (group_of_pids, {"pids.max": threads})]
    return []
