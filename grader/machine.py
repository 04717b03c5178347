"""What this machine has, as far as the control groups let this process use it. `root` is where `proc` and `sys` are found."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

COLAB_MIB, USUAL_MIB, LEAST_MIB = 12_288, 6144, 1024
"""Memory of a Colab machine, of what an ordinary notebook never reaches, and of what TensorFlow needs with room for the images."""

_SHARE = 0.6
"""Of the machine's memory, for one notebook: box 2, the host and the images' pages need some, too."""


@cache
def machine_mib(root: Path = Path("/")) -> int:
    """The memory that this process may use at most, MiB: the machine's, or what a control group leaves of it. 0 where nothing says it."""
    known = [size for size in (meminfo(root, "MemTotal"), memory_limit(root)) if size is not None]
    return min(known, default=0) >> 20


def default_memory_mib(side_by_side: int = 1, root: Path = Path("/")) -> int:
    """Colab's memory or 60 % of the machine's, whichever is less; `side_by_side` notebooks share the 60 %, but no share is under what is usual."""
    most = int(machine_mib(root) * _SHARE) or USUAL_MIB
    return max(min(COLAB_MIB, max(most // side_by_side, min(USUAL_MIB, most))) // 128 * 128, LEAST_MIB)


def own_group(root: Path, controller: str) -> tuple[int, Path]:
    """The version of the control groups (2, 1, or 0 for none) and this process's group in them."""
    top = root / "sys/fs/cgroup"
    version = 2 if (top / "cgroup.controllers").is_file() else 1 if (top / controller).is_dir() else 0
    top = top / controller if version == 1 else top
    for line in read_small(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" if version == 2 else controller in controllers.split(","):
            own = top / path.lstrip("/")
            return version, own if own.is_dir() else top  # inside a container the path may be the outer one
    return version, top


def group_values(root: Path, controller: str, file: str, file_1: str) -> Iterator[str]:
    """What a file says in this process's control group and in every group above it; `file_1` is its name in version 1."""
    version, own = own_group(root, controller)
    for folder in (own, *own.parents) if version else ():
        if folder == root / "sys/fs":
            return
        if text := read_small(folder / (file_1 if version == 1 else file)):
            yield text


def memory_limit(root: Path) -> int | None:
    """The control group's memory limit in bytes, None where there is none."""
    limits = group_values(root, "memory", "memory.max", "memory.limit_in_bytes")
    return min((int(text) for text in limits if text.isascii() and text.isdigit()), default=None)


def meminfo(root: Path, key: str) -> int | None:
    """A line of /proc/meminfo in bytes."""
    match = re.search(rf"^{key}:\s*(\d+) kB$", read_small(root / "proc/meminfo"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def read_small(path: Path) -> str:
    """A small file's text, stripped; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def nvidia_smi(query: str, timeout_s: float, form: str = "csv,noheader") -> str | None:
    """What the driver's tool says of each GPU, a line each; None where it is missing or fails."""
    words = ["nvidia-smi", f"--query-gpu={query}", f"--format={form}"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=True, errors="replace").stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
