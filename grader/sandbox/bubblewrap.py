"""The best tier: bubblewrap's namespaces outside, Landlock, seccomp and rlimits inside.

The box sees /usr, the interpreter's folders without the `grader` package (rubrics, thresholds and solutions travel in it), the one
`inside/` folder that it runs, and what its job may read; it writes to size-limited tmpfs mounts (/content, as on Colab, /tmp and
/dev/shm); no network, no other process, no host name.
"""

import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

from grader.errors import InfrastructureError
from grader.sandbox.base import PACKAGE, START, Job, TierState, command, environment, gpu_devices, interpreter_folders
from grader.sandbox.folders import make_folder
from grader.sandbox.launch import first_line, launch
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running

_WORK, _TEMPORARY = "/content", "/tmp"  # noqa: S108 (inside the box both are private tmpfs mounts)
_SHARED_MIB = 64
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/localtime", "/proc", "/dev/urandom", "/dev/random", "/dev/full",
)  # fmt: skip
"""What is read besides the interpreter and the job. Not /dev/zero: mapped shared, it is memory that no process's size counts."""


def _arguments(job: Job | None, disk_mib: int) -> list[str]:
    """Bubblewrap's command line up to the program. `job` None: the same box with nothing to read (for the probe)."""
    arguments = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += [
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--hostname",
        "sandbox",
        "--clearenv",
        "--ro-bind",
        "/usr",
        "/usr",
    ]
    for name in ("lib", "lib64", "bin", "sbin"):
        path = Path("/") / name
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for path in (Path("/etc/ld.so.cache"), Path("/etc/localtime")):
        arguments += ["--ro-bind-try", str(path), str(path)]
    for mount in (_WORK, _TEMPORARY):  # before the binds: an environment may itself lie below /tmp
        arguments += ["--size", str(disk_mib << 20), "--tmpfs", mount]
    bound = interpreter_folders()
    for path in bound:
        arguments += ["--ro-bind", str(path), str(path)]
    if PACKAGE.is_relative_to("/usr") or any(PACKAGE.is_relative_to(path) for path in bound):
        arguments += ["--tmpfs", str(PACKAGE)]
    if job is not None:
        for path in (START.parent, job.program, *job.readable):
            arguments += ["--ro-bind", str(path), str(path)]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--size", str(_SHARED_MIB << 20), "--tmpfs", "/dev/shm"]  # noqa: S108
    for path in gpu_devices(job):
        arguments += ["--dev-bind-try", str(path), str(path)]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", _WORK]
    for name, value in environment(job, _WORK, _TEMPORARY).items():
        arguments += ["--setenv", name, value]
    return arguments


@lru_cache(maxsize=1)
def _probe() -> TierState:
    mend = "Install bubblewrap and let ordinary users make user namespaces (sysctl kernel.unprivileged_userns_clone, AppArmor's profile for bwrap)."
    if not shutil.which("bwrap"):
        return TierState(name="bubblewrap", works=False, reason="bwrap is not installed.", mend=mend)
    try:  # the complete command line: `unshare` alone says yes where AppArmor then refuses
        done = subprocess.run([*_arguments(None, 16), "/bin/true"], capture_output=True, timeout=20, check=False)  # noqa: S603
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
        state = self.probe()
        if not state.works:
            raise InfrastructureError(f"Sandbox bubblewrap does not work here: {state.reason} {state.mend}")
        folder = make_folder()
        confinement = {
            "tier": self.name,
            "readable": [*_SYSTEM, *(str(path) for path in (*interpreter_folders(), START.parent, job.program, *job.readable))],
            "writable": [_WORK, _TEMPORARY, "/dev/shm", "/dev/null", *(str(path) for path in gpu_devices(job))],  # noqa: S108
            "listed": ["/"],
            "shared_mappings": job.device == "gpu",
        }
        return launch(
            lambda frames: [*_arguments(job, limits.disk_mib), *command(job, frames)],
            job=job,
            limits=limits,
            folder=folder,
            confinement=confinement,
            environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            in_box=(_WORK, _TEMPORARY),
        )
