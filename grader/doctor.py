"""`grade doctor`: what works on this machine, what each lack costs, and how to mend it.

Everything is found out by looking at files, at installed packages' metadata and at one short call of `nvidia-smi`; TensorFlow and Keras are
never imported. Sizes are in MiB or GiB (2^20, 2^30 bytes).
"""

import importlib.util
import locale
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from grader import dataset
from grader.machine import default_memory_mib, group_values, meminfo, memory_limit, nvidia_smi, own_group, read_small

if TYPE_CHECKING:
    from grader.sandbox import TierState

State = Literal["ok", "lacking", "broken"]

PYTHON = ((3, 11), (3, 14))
"""The oldest Python that is supported, and the first that is not yet."""

MIB, GIB = 1 << 20, 1 << 30
NEEDED_MEMORY = 2 * GIB
"""A box that trains a batch took 0.9 GiB; room for it, the host and the images."""

NEEDED_DISK = 1 * GIB
"""CIFAR-10 and the stand-in take 176 MiB each, and are written beside themselves first; a box gets room for files besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One line of the doctor's report.

    `state`: ok | lacking (grading works, with less) | broken (grading does not work). `found` says what is there; `costs` and `mend`
    are empty where the state is ok.
    """

    name: str
    state: State
    found: str
    costs: str = ""
    mend: str = ""


_ADVICE: Mapping[str, tuple[str, str]] = {
    "python": (
        "Nothing is tested here; the sandboxes need Linux.",
        "Use Python {} or newer, below {}, on Linux (a container or WSL 2 will do).".format(*(".".join(map(str, one)) for one in PYTHON)),
    ),
    "grader": (
        "Which versions are needed is not known here, so they were not compared.",
        "Install it: `pip install -e .` in the source folder.",
    ),
    "library keras": ("No notebook can be run or judged; versions below 3.15 can be made to run code when they read a model.", ""),
    "library tensorflow": ("No notebook can be run or judged.", ""),
    "library": ("Everything that needs it fails.", ""),
    "packages of Colab": (
        "No notebook loses points, but what it computes with them is unknown: a criterion that depends on it goes to manual review.",
        "pip install 'grader[colab]'",
    ),
    "git": (
        "Nothing while grading; it is needed to work on the grader or to install it from its repository.",
        "Install git, for example with `apt-get install git`.",
    ),
    "locale": (
        "Names and texts that are not English may be printed wrongly or stop the printing; reports are always UTF-8.",
        "Set LANG=C.UTF-8, or PYTHONUTF8=1.",
    ),
    "sandbox": ("No student's code is run, so nothing is graded.", "This is a defect of the grader; please report it."),
    "data": (
        "Notebooks run on the made-up stand-in, and every report says so in its first line.",
        "`grade data fetch` where there is a network, else `grade data import FILE`.",
    ),
    "disk": (
        f"Storing data or running a notebook may stop half-way; {NEEDED_DISK / GIB:g} GiB is enough.",
        "Free some space, or set GRADER_DATA (for data) or TMPDIR (for temporary files) to another disk.",
    ),
    "report folder": ("No report can be written.", "Name another folder with --out, or give this user access."),
    "processor cores": (
        "Grading takes about twice as long as on two cores, and slow notebooks may reach their time limits.",
        "Give the machine or container two cores.",
    ),
    "memory": (
        f"A notebook that is run needs up to {NEEDED_MEMORY / GIB:g} GiB; with less, honest ones are stopped for using too much.",
        "Close other programs, or give the machine or container more memory.",
    ),
    "processor": (
        "Training on the processor takes about twice as long (204 against 94 images a second where it was measured).",
        "Nothing needs fixing; for many trainings use a newer processor or a GPU.",
    ),
    "gpu": (
        "Training is checked on the processor: minutes instead of seconds, and not with `--budget full`. Without training, nothing.",
        "Nothing needs fixing; on a machine with an NVIDIA GPU install its driver and `pip install 'grader[gpu]'`.",
    ),
    "control groups": (
        "Limits that a container sets on memory and processor time cannot be seen, so the values shown here may be too high.",
        "Make /sys/fs/cgroup visible, where there are limits.",
    ),
}
"""What a lack costs and how to mend it, by a symptom's name or its beginning."""


def _symptom(name: str, found: str, state: State = "ok", *, costs: str = "", mend: str = "") -> Symptom:
    """One line; where something is wrong it has the costs and the mending of `_ADVICE`, unless they are given."""
    if state == "ok":
        return Symptom(name=name, state=state, found=found)
    usual = _ADVICE.get(name) or _ADVICE[name.split(maxsplit=1)[0]]
    return Symptom(name=name, state=state, found=found, costs=costs or usual[0], mend=mend or usual[1])


def examine(store: Path, *, tiers: "Sequence[TierState]", out: Path = Path(), root: Path = Path("/")) -> tuple[Symptom, ...]:
    """Look at everything that grading needs, in the order in which one would mend it. Takes well under a second; never raises.

    `tiers` are the states of the sandboxes, best first, where the one called "none" protects nothing. `out` is the folder for reports.
    `root` is where `proc`, `sys` and `dev` are found.
    """
    return (
        _python(),
        *_libraries(),
        _colab(),
        *_sandboxes(tiers),
        _data(store),
        _disk("disk for data", store),
        _disk("disk for temporary files", Path(tempfile.gettempdir())),
        _output(out),
        _cores(root),
        _memory(root),
        _processor(root),
        _gpu(root),
        _cgroups(root),
        _locale(),
        _git(),
    )


# ------------------------------------------------------------------ software


def _python() -> Symptom:
    found = f"Python {platform.python_version()} in {sys.prefix}, {platform.system()} {platform.release()} {platform.machine()}"
    fits = PYTHON[0] <= sys.version_info[:2] < PYTHON[1] and sys.platform == "linux"
    return _symptom("python", found, "ok" if fits else "broken")


def _libraries() -> Iterator[Symptom]:
    """One line for all libraries that are as they should be, one for each that is not."""
    try:
        wanted = metadata.requires("grader") or []
    except metadata.PackageNotFoundError:
        yield _symptom("grader", "the package `grader` itself is not installed, it runs from its source folder", "lacking")
        wanted = ["keras", "tensorflow", "numpy"]
    sound: list[str] = []
    for requirement in wanted:
        name, _, condition = requirement.partition(";")
        match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", name)
        if "extra" in condition or match is None:
            continue
        name, oldest = match.groups()
        found = _version(name)
        if found is None or (oldest and _numbers(found) < _numbers(oldest)):
            there = f"{found}, older than {oldest}" if found else "not installed"
            yield _symptom(f"library {name}", there, "broken", mend=f"pip install '{name}{f'>={oldest}' if oldest else ''}'")
        else:
            sound.append(f"{name} {found}")
    yield _symptom("libraries", ", ".join(sorted(sound)) or "none is needed")


def colab() -> dict[str, str]:
    """The packages that Colab has and notebooks use: what is imported -> what is installed for it (`grader/colab.txt`, the extra `colab`)."""
    lines = (Path(__file__).parent / "colab.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("#") for line in lines if line and not line.startswith("#")]
    return {name.strip(): requirement.strip() for requirement, name in pairs}


def _colab() -> Symptom:
    missing = [name for name in colab() if importlib.util.find_spec(name) is None]
    if missing:
        return _symptom("packages of Colab", f"not installed: {', '.join(missing)}", "lacking")
    return _symptom("packages of Colab", f"all {len(colab())} are installed")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (2, 21, 0) for "2.21.0rc1"."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def _git() -> Symptom:
    found = shutil.which("git")
    return _symptom("git", found or "not installed", "ok" if found else "lacking")


def _locale() -> Symptom:
    encodings = {
        locale.getpreferredencoding(do_setlocale=False),
        sys.getfilesystemencoding(),
        getattr(sys.stdout, "encoding", None) or "utf-8",
    }
    fits = all(encoding.lower().replace("-", "").replace("_", "") == "utf8" for encoding in encodings)
    return _symptom("locale", ", ".join(sorted(encodings)), "ok" if fits else "lacking")


# ------------------------------------------------------------------ sandboxes


def _sandboxes(tiers: "Sequence[TierState]") -> Iterator[Symptom]:
    """A line for each sandbox; where one works, those that do not are only lacking, and where none does, all are broken."""
    protecting = [tier for tier in tiers if tier.name != "none"]
    working = [tier for tier in protecting if tier.works]
    if not protecting:
        yield _symptom("sandbox", "no sandbox was looked for", "broken")
    for tier in protecting:
        state: State = "ok" if tier.works else "lacking" if working else "broken"
        costs = f"Nothing: {working[0].name} is used." if working else _ADVICE["sandbox"][0]
        yield _symptom(f"sandbox {tier.name}", tier.reason, state, costs=costs, mend=tier.mend)


# ------------------------------------------------------------------ data and disk


def _data(store: Path) -> Symptom:
    found = dataset.status(store)
    cifar10, standin = found.cifar10, found.standin
    if cifar10.state == "broken" or (cifar10.state == "absent" and standin.state == "broken"):
        broken = cifar10 if cifar10.state == "broken" else standin
        return _symptom("data", broken.detail, "broken", costs="Nothing is graded until it is fixed.", mend=broken.mend)
    if cifar10.state == "absent":
        there = f"the made-up stand-in {'is there' if standin.state == 'ok' else 'will be made'}"
        return _symptom("data", f"{cifar10.detail.rstrip('.')}; {there}", "lacking")
    told = f"{cifar10.detail.rstrip('.')}; from {cifar10.source}, fingerprint {cifar10.fingerprint[:16]}"
    if cifar10.full:
        return _symptom("data", told)
    return _symptom(
        "data",
        f"{told}; not the full 50,000 and 10,000",
        "lacking",
        costs="Notebooks that count on the full size, for example to split off 10,000 images, fail.",
        mend="`grade data fetch`, or `grade data import FILE` with all images.",
    )


def _disk(name: str, folder: Path) -> Symptom:
    nearest = _nearest(folder)
    try:
        free = shutil.disk_usage(nearest).free
    except OSError as error:
        mend = f"Give this user access to {nearest}."
        return _symptom(name, f"{nearest}: {error.strerror}", "broken", costs="Nothing can be stored there.", mend=mend)
    return _symptom(name, f"{nearest}: {free / GIB:.1f} GiB free", "ok" if free >= NEEDED_DISK else "lacking")


def _output(out: Path) -> Symptom:
    """Whether a report could be written, found out by writing where the folder exists."""
    nearest = _nearest(out)
    try:
        if nearest == out.absolute():
            with tempfile.TemporaryFile(dir=nearest):
                pass
        elif not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
            raise NotADirectoryError(0, "a folder cannot be made there")
    except OSError as error:
        return _symptom("report folder", f"{nearest}: {error.strerror}", "broken")
    return _symptom("report folder", f"{out.absolute()} can be written")


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    path = path.absolute()
    return next((parent for parent in (path, *path.parents) if os.path.lexists(parent)), Path("/"))


# ------------------------------------------------------------------ hardware


def _cores(root: Path) -> Symptom:
    usable = float(len(os.sched_getaffinity(0)))
    share = _cpu_share(root)
    found = f"{usable:g} usable" + (f", limited by the control group to {share:.3g}" if share is not None and share < usable else "")
    return _symptom("processor cores", found, "ok" if min(usable, share or usable) >= 2 else "lacking")


def _memory(root: Path) -> Symptom:
    total, available = (meminfo(root, key) for key in ("MemTotal", "MemAvailable"))
    if total is None or available is None:
        unknown = "Whether the memory suffices is not known."
        return _symptom("memory", f"{root / 'proc/meminfo'} cannot be read", "lacking", costs=unknown, mend="Make /proc visible.")
    limit = memory_limit(root)
    free = min(available, limit) if limit is not None else available
    found = f"{available / GIB:.1f} of {total / GIB:.1f} GiB available"
    if limit is not None and limit < total:
        found += f", limited by the control group to {limit / GIB:.1f} GiB"
    found += f"; a notebook may use {default_memory_mib(root=root) / 1024:.4g} GiB (--memory)"
    return _symptom("memory", found, "ok" if free >= NEEDED_MEMORY else "lacking" if free >= NEEDED_MEMORY // 2 else "broken")


def _processor(root: Path) -> Symptom:
    text = read_small(root / "proc/cpuinfo")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    have = set(flags[1].split()) if flags else set()
    fast = sorted(have & {"avx512_bf16", "amx_bf16", "bf16"})
    wide = sorted(have & {"avx2", "avx512f", "asimd"})
    found = f"{model[1].strip() if model else platform.machine()}: {', '.join(wide + fast) or 'no vector instructions named'}"
    return _symptom("processor", found) if fast else _symptom("processor", f"{found}; no bfloat16", "lacking")


def _gpu(root: Path) -> Symptom:
    devices = sorted(path.name for path in (root / "dev").glob("nvidia[0-9]*"))
    if not devices:
        return _symptom("gpu", "no NVIDIA device", "lacking")
    told = "; ".join((nvidia_smi("name,memory.total,driver_version", timeout_s=10) or "").strip().splitlines()[:16])
    if not told:
        mend = "Install the driver's tools, and in a container start it with the GPU's tools visible."
        return _symptom("gpu", f"{', '.join(devices)}, but nvidia-smi does not answer", "lacking", mend=mend)
    if not any(_version(f"nvidia-cudnn-cu{number}") for number in (12, 13)):
        return _symptom("gpu", f"{told}, but CUDA's libraries are not installed", "lacking", mend="pip install 'grader[gpu]'")
    return _symptom("gpu", told)


def _cgroups(root: Path) -> Symptom:
    version, own = own_group(root, "memory")
    return _symptom("control groups", f"version {version} ({own})" if version else "none visible", "ok" if version else "lacking")


def _cpu_share(root: Path) -> float | None:
    """How many cores' time the control group grants, None where there is no limit."""
    shares = []
    quotas = group_values(root, "cpu", "cpu.max", "cpu.cfs_quota_us")
    periods = group_values(root, "cpu", "cpu.max", "cpu.cfs_period_us")
    for quota, period in zip(quotas, periods, strict=False):
        words = (quota.split()[0], period.split()[-1])
        if all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):  # "max" and -1 stand for no limit
            shares.append(int(words[0]) / int(words[1]))
    return min(shares, default=None)
