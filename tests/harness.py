"""Running the real pipeline in tests: in the sandbox, on the made-up images (or CIFAR-10 where the test asks), without training."""

import atexit
import ctypes
import errno
import fcntl
import json
import os
import stat
import struct
import tempfile
import zlib
from functools import cache
from pathlib import Path

from grader import dataset, pipeline, sandbox
from grader.dataset.layout import STANDIN
from grader.records import Report
from grader.sandbox import Job
from grader.sandbox.bubblewrap import Bubblewrap
from grader.sandbox.inside import harden
from grader.sandbox.notebook_run import PROGRAM
from grader.sandbox.warm import Warm
from grader.training.box2 import Box2

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("GRADER_REQUIRE_ALL") == "1"


def store() -> Path:
    """A data store shared by all tests of this machine and user; the stand-in is made in it on first use."""
    return Path(os.environ.get("GRADER_TEST_STORE") or Path(tempfile.gettempdir()) / f"grader-test-store-{os.getuid()}")


def _make_small(folder: Path) -> None:
    import numpy as np

    full = dataset.ensure(store())
    parts = {
        name: np.load(full.folder / f"{name}.npy", mmap_mode="r")[: 5000 if "train" in name else 1000]
        for name in ("x_train", "y_train", "x_test", "y_test")
    }
    with tempfile.TemporaryDirectory() as temporary:
        np.savez(Path(temporary) / "small.npz", **parts)
        dataset.import_file(Path(temporary) / "small.npz", folder)


@cache
def small_store() -> Path:
    """A store of 5,000 and 1,000 of the made-up images, as an instructor's own import would make it: the same verdicts in less time."""
    folder = store() / f"small-{zlib.crc32(STANDIN.encode()):08x}"  # another version's images are another store's
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".one-maker").open("w") as lock:  # another worker's box may already be reading what is there
        fcntl.flock(lock, fcntl.LOCK_EX)
        if dataset.status(folder).cifar10.state != "ok":
            _make_small(folder)
    return folder


@cache
def warm_box2() -> Box2:
    """One box 2 for all notebooks of this process (rebuilding is a pure function; a class is graded like this, too)."""
    images = dataset.ensure(small_store()).folder
    box = Box2(sandbox.choose(), sandbox.Limits(wall_s=24 * 3600, cpu_s=24 * 3600), images=images)
    atexit.register(box.close)
    return box


@cache
def warm_box1(data: Path) -> sandbox.Sandbox:
    """Forked boxes for the images in `data`: what a class is graded with (that they equal cold ones: tests/sandbox/test_warm.py)."""
    cold = sandbox.choose()
    if not isinstance(cold, Bubblewrap):
        return cold
    box = Warm(cold, Job(program=PROGRAM, module="box1", readable=(data,)))
    atexit.register(box.close)
    return box


def warm_boxes(data: Path, name: str | None = None) -> pipeline.Boxes:
    """Box 1 forked, or of the tier `name`; and the one box 2 of this process."""
    return pipeline.Boxes(box1=warm_box1(data) if name is None else sandbox.choose(name), rebuilder=warm_box2(), trainer=warm_box2())


def grade_file(path: Path | str, out: Path | None = None, **options) -> pipeline.Outcome:
    """Grade one file with the given `pipeline.Options`."""
    settings = {"store": store(), "formats": ("json",), **options}
    boxes = warm_boxes(dataset.ensure(settings["store"]).folder, settings.get("sandbox"))
    if out is not None:
        return pipeline.grade(str(path), pipeline.Options(out=out, **settings), boxes=boxes)
    with tempfile.TemporaryDirectory() as folder:
        return pipeline.grade(str(path), pipeline.Options(out=Path(folder), **settings), boxes=boxes)


def grade_notebook(nb, **options) -> Report:
    """Grade a notebook given as an nbformat node (or a plain dictionary)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_text(json.dumps(nb), encoding="utf-8")
        return grade_file(path, **options).report


def statuses(report: Report) -> dict[str, str]:
    """Criterion id -> status."""
    return {line.id: line.status.value for line in report.criteria}


def refuse_landlock():
    """From here on the kernel answers this process and its children that it has no Landlock."""
    program = harden._Program()
    program.add(program.LOAD, 0)
    for number in (444, 445, 446):
        program.answer(number, program.ERRNO | errno.ENOSYS)
    program.add(program.RETURN, program.ALLOW)
    code = ctypes.create_string_buffer(b"".join(program.code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program.code), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(head)), 0, 0) == 0


def may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN."""
    return bool(int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) >> 21 & 1)


def open_the_way(*needed: Path) -> None:
    """Let every user walk to the folders `needed` (a Python below /root, say), in a mount namespace of this process's own, where one is shut.

    Only root can. Raises PermissionError where root may not, either.
    """
    if all(path.stat().st_mode & stat.S_IXOTH for folder in needed for path in folder.parents):
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def mounted(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
        if libc.mount(source.encode(), str(target).encode(), kind.encode(), flags, options.encode()):
            raise OSError(ctypes.get_errno(), f"mount {target}")

    new_namespace, bind_all, private_all = 0x00020000, 4096 | 16384, 262144 | 16384
    if libc.unshare(new_namespace):
        raise OSError(ctypes.get_errno(), "unshare")
    mounted("none", Path("/"), "", private_all)
    here = Path.cwd()
    for folder in needed:
        shut = next((path for path in reversed(folder.parents) if not path.stat().st_mode & stat.S_IXOTH), None)
        if shut is None:
            continue
        kept = {path: os.open(path, os.O_PATH | os.O_DIRECTORY) for path in needed if path.is_relative_to(shut)}
        mounted("tmpfs", shut, "tmpfs", 0, "mode=0755")
        for path, handle in kept.items():
            path.mkdir(parents=True)
            mounted(f"/proc/self/fd/{handle}", path, "", bind_all)
            os.close(handle)
    os.chdir(here if here.is_dir() else "/")
