"""The best tier: bubblewrap's namespaces outside, Landlock, seccomp and rlimits inside.

The box sees /usr, the interpreter's folders without the `grader` package (rubrics, thresholds and solutions travel in it), the one
`inside/` folder that it runs, and what its job may read; it writes to size-limited tmpfs mounts (/content, as on Colab, /tmp and
/dev/shm); no network, no other process, no host name.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from grader.sandbox.base import PACKAGE, START, Job, TierState, command, environment, gpu_devices, interpreter_folders
from grader.sandbox.folders import make_folder
from grader.sandbox.launch import first_line, launch
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running

WORK, TEMPORARY = "/content", "/tmp"  # noqa: S108 (inside the box both are private tmpfs mounts)
SHARED_MIB = 64
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime", "/proc", "/dev/urandom", "/dev/random", "/dev/full",
)  # fmt: skip
"""What is read besides the interpreter and the job. Not /dev/zero: mapped shared, it is memory that no process's size counts."""


def arguments(job: Job | None, disk_mib: int, more: Mapping[str, str] | None = None) -> list[str]:
    """Bubblewrap's command line up to the program. `job` None: the same box with nothing to read (for the probe). `more`: environment to add."""
    line = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    line += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv", "--ro-bind", "/usr", "/usr"]
    if os.geteuid() == 0:  # in the box root has another name: a warm box may not map the name 0 into a namespace of its own
        line += ["--uid", "1000", "--gid", "1000"]
    for name in ("lib", "lib64", "bin", "sbin"):
        path = Path("/") / name
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for path in (Path("/etc/ld.so.cache"), Path("/etc/localtime")):
        line += ["--ro-bind-try", str(path), str(path)]
    for mount in (WORK, TEMPORARY):  # before the binds: an environment may itself lie below /tmp
        line += ["--size", str(disk_mib << 20), "--tmpfs", mount]
    bound = interpreter_folders()
    for path in bound:
        line += ["--ro-bind", str(path), str(path)]
    if PACKAGE.is_relative_to("/usr") or any(PACKAGE.is_relative_to(path) for path in bound):
        line += ["--tmpfs", str(PACKAGE)]
    if job is not None:
        for path in (START.parent, job.program, *job.readable):
            line += ["--ro-bind", str(path), str(path)]
    line += ["--proc", "/proc", "--dev", "/dev", "--size", str(SHARED_MIB << 20), "--tmpfs", "/dev/shm"]  # noqa: S108
    for path in gpu_devices(job):
        line += ["--dev-bind-try", str(path), str(path)]
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORK]
    for name, value in {**environment(job, WORK, TEMPORARY), **(more or {})}.items():
        line += ["--setenv", name, value]
    return line


def folders_below(job: Job, mounts: tuple[str, ...]) -> list[str]:
    """What a box of `job` is shown of the host below `mounts`, outermost folders only."""
    shown = {str(path) for path in (*interpreter_folders(), START.parent, job.program, *job.readable)}
    below = sorted(path for path in shown if any(Path(path).is_relative_to(mount) for mount in mounts))
    return [path for path in below if not any(path != other and Path(path).is_relative_to(other) for other in below)]


def confinement(job: Job) -> Mapping[str, Any]:
    """What a process in a box of `job` still does to itself (`inside/harden.py`)."""
    return {
        "tier": Bubblewrap.name,
        "readable": [*_SYSTEM, *(str(path) for path in (*interpreter_folders(), START.parent, job.program, *job.readable))],
        "writable": [WORK, TEMPORARY, "/dev/shm", "/dev/null", *(str(path) for path in gpu_devices(job))],  # noqa: S108
        "listed": ["/"],
        "shared_mappings": job.device == "gpu",
    }


@lru_cache(maxsize=1)
def _probe() -> TierState:
    mend = "Install bubblewrap and let ordinary users make user namespaces (sysctl kernel.unprivileged_userns_clone, AppArmor's profile for bwrap)."
    if not shutil.which("bwrap"):
        return TierState(name="bubblewrap", works=False, reason="bwrap is not installed.", mend=mend)
    try:  # the complete command line: `unshare` alone says yes where AppArmor then refuses
        done = subprocess.run([*arguments(None, 16), "/bin/true"], capture_output=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return TierState(name="bubblewrap", works=False, reason=f"bwrap could not be run: {error}.", mend=mend)
    if done.returncode:
        return TierState(name="bubblewrap", works=False, reason=f"bwrap fails here: {first_line(done.stderr)}", mend=mend)
    return TierState(name="bubblewrap", works=True, reason="Namespaces, Landlock, seccomp and rlimits.")


class Bubblewrap:
    """See the module's docstring."""

    name = "bubblewrap"

    def probe(self) -> TierState:
        """Run the complete command line on /bin/true (about 10 ms)."""
        return _probe()

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a box. Raises InfrastructureError where bwrap cannot be started."""
        self.probe().require()
        folder = make_folder()
        return launch(
            lambda frames: [*arguments(job, limits.disk_mib), *command(job, frames)],
            job=job,
            limits=limits,
            folder=folder,
            confinement=confinement(job),
            environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            in_box=(WORK, TEMPORARY),
        )
