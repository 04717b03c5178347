"""One interface, several backends: what a box is started with, and what a backend must offer."""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from grader.errors import InfrastructureError
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running

PACKAGE = Path(__file__).resolve().parent.parent
"""The folder of the `grader` package: hidden from every box but for the one `inside/` folder that it runs."""

START = Path(__file__).resolve().parent / "inside" / "start.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run in a box: `main(writer, spec)` of `module` in the folder `program`, told `spec`, allowed to read `readable`.

    `backend` is Keras' (tensorflow, jax); `device`: cpu hides every GPU from the box; `threads`: how many the libraries compute with, None for all.
    """

    program: Path
    module: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    backend: str = "tensorflow"
    device: str = "cpu"
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierState:
    """Whether a backend works on this machine, and if not, why (one sentence) and what would mend it."""

    name: str
    works: bool
    reason: str
    mend: str = ""

    def require(self) -> None:
        """Raise InfrastructureError where it does not work."""
        if not self.works:
            raise InfrastructureError(f"Sandbox {self.name} does not work here: {self.reason} {self.mend}")


class Sandbox(Protocol):
    """A backend. Life cycle: `probe` once, then for every box `start`, talk through the returned `Running`, `Running.close`."""

    name: str

    def probe(self) -> TierState:
        """Find out, in milliseconds, by really doing it, whether this backend works here. Never raises."""
        ...

    def start(self, job: Job, limits: Limits) -> Running:
        """Start a box. Raises InfrastructureError where the box itself cannot be started (never for what runs in it)."""
        ...


def command(job: Job, descriptor: int, *, warm: bool = False) -> list[str]:
    """The interpreter's command line in the box: isolated mode, no user site; `inside/start.py` hardens itself, then runs the job.

    `warm`: it prepares the job's module instead and forks a box for every request over `descriptor`, a socket then.
    """
    line = [sys.executable, "-I", "-B", "-u", str(START), str(descriptor), str(job.program), job.module]
    return [*line, "warm"] if warm else line


def threads_environment(threads: int | None) -> dict[str, str]:
    """What tells OpenMP and TensorFlow to compute with so many threads; None: as many as there are processors, at most 8."""
    count = min(threads or len(os.sched_getaffinity(0)), 8)
    return {"OMP_NUM_THREADS": str(count), "TF_NUM_INTRAOP_THREADS": str(count), "TF_NUM_INTEROP_THREADS": str(min(count, 2))}


def environment(job: Job | None, work: str, temporary: str) -> dict[str, str]:
    """The box's whole environment: nothing of the host's gets in. Threads and oneDNN are pinned (they move losses in the 6th digit)."""
    pinned = threads_environment(job.threads if job else None)
    threads = pinned["OMP_NUM_THREADS"]
    backend, device = (job.backend, job.device) if job else ("tensorflow", "cpu")
    jax = {"NPROC": threads, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # XLA's name for its threads; else it takes 3/4 of a GPU's memory
    if device == "cpu":
        jax["JAX_PLATFORMS"] = "cpu"
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": work,
        "TMPDIR": temporary,
        "IPYTHONDIR": f"{temporary}/ipython",
        "MPLCONFIGDIR": f"{temporary}/matplotlib",
        "MPLBACKEND": "Agg",
        "KERAS_BACKEND": backend,
        "KERAS_HOME": f"{temporary}/keras",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1" if device == "cpu" else os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
        "OPENBLAS_NUM_THREADS": threads,
        **pinned,
        **(jax if backend == "jax" else {}),
    }


def gpu_devices(job: Job | None) -> tuple[Path, ...]:
    """The device files of the GPUs that a box is given; none for a box on the CPU. Not tried on a machine that has a GPU."""
    return tuple(sorted(Path("/dev").glob("nvidia*"))) if job is not None and job.device == "gpu" else ()


def interpreter_folders() -> tuple[Path, ...]:
    """The folders that the interpreter and its libraries live in, outermost only, outside /usr."""
    found = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.executable).resolve().parent.parent, Path(sys.prefix)}
    found.update(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))
    kept = [path for path in found if not any(path != other and path.is_relative_to(other) for other in found)]
    return tuple(sorted(path for path in kept if not path.is_relative_to("/usr") and path.exists()))


def places(job: Job) -> tuple[Path, ...]:
    """The folders of this machine that a box may learn of and that are nothing for a report."""
    return (*interpreter_folders(), PACKAGE, PACKAGE.parent, Path("~").expanduser(), *job.readable)
