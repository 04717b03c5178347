"""The tier for machines where bubblewrap cannot run: Landlock, seccomp and rlimits, under another user id where we are root.

What it gives up against bubblewrap: no PID namespace (the box can see that other processes exist, not touch them), no private /tmp
(its work folder is a private one below the host's), file metadata outside its folders can be looked up by name.
"""

import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from grader.sandbox.base import PACKAGE, START, Job, TierState, command, environment, gpu_devices, interpreter_folders
from grader.sandbox.folders import NOBODY, make_folder
from grader.sandbox.inside.harden import landlock_abi, seccomp_available
from grader.sandbox.launch import launch
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running

_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
)  # fmt: skip
_DEVICES = ("/sys/devices/system/cpu", "/dev/urandom", "/dev/random", "/dev/null")  # not /dev/zero: see bubblewrap.py


@lru_cache(maxsize=1)
def other_user() -> int | None:
    """A user id to switch to where we are root and it can run our interpreter (not one below a private home), else None."""
    if os.geteuid() != 0:
        return None
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", "pass"], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return NOBODY if done.returncode == 0 else None


def _without_package(folder: Path) -> list[str]:
    """`folder` as readable paths that leave the `grader` package out."""
    if not PACKAGE.is_relative_to(folder):
        return [str(folder)]
    paths: list[str] = []
    for entry in folder.iterdir():
        if entry != PACKAGE:
            paths += _without_package(entry) if entry.is_dir() and PACKAGE.is_relative_to(entry) else [str(entry)]
    return paths


class Landlock:
    """See the module's docstring."""

    name: str = "landlock"

    def probe(self) -> TierState:
        """Ask the kernel for Landlock's ABI and for seccomp."""
        abi = landlock_abi()
        mend = "Use a kernel of 5.13 or later with Landlock on, and a container profile that lets its three system calls through."
        if not abi:
            return TierState(name=self.name, works=False, reason="The kernel answers that it has no Landlock.", mend=mend)
        if not seccomp_available():
            return TierState(name=self.name, works=False, reason="The kernel takes no seccomp filter.", mend=mend)
        user = f"user {other_user()}" if other_user() is not None else "the same user"
        return TierState(name=self.name, works=True, reason=f"Landlock ABI {abi}, seccomp and rlimits, as {user}.")

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a box. Raises InfrastructureError where the kernel lacks what this tier needs."""
        self.probe().require()
        folder = make_folder()
        work, temporary = folder / "content", folder / "tmp"
        user = other_user()
        for path in (folder, work, temporary):
            path.mkdir(exist_ok=True)
            if user is not None:
                os.chown(path, user, user)
        readable = [*_SYSTEM, *_DEVICES, str(START.parent), str(job.program), *(str(path) for path in job.readable)]
        for path in interpreter_folders():
            readable += _without_package(path)
        confinement = {
            "tier": self.name,
            "parent": os.getpid(),
            "readable": readable,
            "writable": [str(work), str(temporary), "/dev/null", *(str(path) for path in gpu_devices(job))],
            "listed": [],
            "shared_mappings": job.device == "gpu",
        }
        return launch(
            lambda frames: command(job, frames),
            job=job,
            limits=limits,
            folder=folder,
            confinement=confinement,
            environment=environment(job, str(work), str(temporary)),
            work=work,
            user=user,
        )
