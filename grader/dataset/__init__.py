"""The data store: CIFAR-10 on this machine as four `.npy` files, or a made-up stand-in of the same shapes.

Layout, for a data set called NAME (`cifar10` or `standin`):

    STORE/NAME/x_train.npy  uint8 (50000, 32, 32, 3), rows, columns, RGB, 0 to 255
    STORE/NAME/y_train.npy  uint8 (50000, 1), 0 to 9 in Keras' order
    STORE/NAME/x_test.npy   uint8 (10000, 32, 32, 3)
    STORE/NAME/y_test.npy   uint8 (10000, 1)
    STORE/NAME/manifest.json

A set appears whole or not at all: it is written into a folder `STORE/.new-...`, flushed to the disk, and renamed. So a reader needs no
lock, and a killed writer leaves only a folder that a later writer sweeps. This module is for the host process and loads nothing heavy;
decoding and writing (NumPy, Pillow) happen in a child process, `python -m grader.dataset`. Nothing is ever unpickled.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grader.dataset import archive
from grader.dataset.layout import FILES, RECORDS, STANDIN, Dataset, Name, look
from grader.errors import GraderError, InfrastructureError, UsageError

__all__ = [
    "FILES", "RECORDS", "DataStatus", "Dataset", "default_store", "ensure", "ensure_standin", "fetch", "import_file", "status", "veiled",
]  # fmt: skip

CHILD_TIMEOUT_S = 1800.0
"""Longest time a child process may take, seconds; an import takes about 20."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataStatus:
    """The store's contents."""

    store: Path
    cifar10: Dataset
    standin: Dataset


def default_store() -> Path:
    """`$GRADER_DATA`, else the `data` folder in the user's cache for `grader`."""
    if named := os.environ.get("GRADER_DATA"):
        return Path(named).expanduser().absolute()
    import platformdirs  # noqa: PLC0415 - only needed where nothing is configured

    return Path(platformdirs.user_cache_dir("grader")) / "data"


def status(store: Path, *, verify: bool = False) -> DataStatus:
    """What the store holds. Compares sizes and shapes (under a millisecond); with `verify`, or where an array is younger than the manifest, every byte (about a second). Never raises."""
    return DataStatus(store=store, cifar10=look(store, "cifar10", verify=verify), standin=look(store, "standin", verify=verify))


def ensure(store: Path) -> Dataset:
    """The store's CIFAR-10; where there is none, the stand-in, which is made on first use (about 6 s, once).

    Raises InfrastructureError where a set is damaged (a damaged CIFAR-10 is never passed over in silence) or the store cannot be written.
    """
    found = _ready(store, "cifar10")
    return found if found is not None else ensure_standin(store)


def ensure_standin(store: Path) -> Dataset:
    """The stand-in, made on first use, whatever else the store holds. Raises InfrastructureError as `ensure` does."""
    if (found := _ready(store, "standin")) is not None:
        return found
    _child("standin", store)
    return _made(store, "standin")


def fetch(store: Path, connect_timeout_s: float = 10) -> Dataset:
    """Download the original archive and put it into the store, in place of what is there; nothing is done where it was fetched before.

    Raises InfrastructureError where the network, the server, the hash or the disk is at fault.
    """
    if (there := look(store, "cifar10", verify=False)).state == "ok" and there.source == archive.ARCHIVE.url:
        return there
    with archive.downloaded(store, connect_timeout_s) as file:
        _child("import", file, store, archive.ARCHIVE.sha256, archive.ARCHIVE.url)
    return _made(store, "cifar10")


def import_file(path: Path, store: Path) -> Dataset:
    """Put CIFAR-10 from a file into the store, in place of what is there.

    Taken are the original `cifar-10-binary.tar.gz` (known by its sha256), an `.npz` with `x_train`, `y_train`, `x_test`, `y_test`, and an
    `.npz` of JPEG files (`train_jpeg`, `train_offsets`, `train_labels`, the same for `test`). Any number of images is taken, as long as
    there are as many labels; what the store then lacks, `status` says. Raises UsageError where the file is none of these,
    InfrastructureError where the store cannot be written.
    """
    _child("import", Path(path).absolute(), store, archive.ARCHIVE.sha256, Path(path).name)
    return _made(store, "cifar10")


@contextmanager
def veiled(folder: Path) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """A set's folder for code that must not know the test images' labels, and those labels, in the folder's order; removed at the end.

    Training images and labels are as they are in `folder`. The test images stand in an order that nobody else knows, half of them mirrored;
    the labels beside them are drawn by lot. Raises InfrastructureError where there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="grade-data-") as temporary:
        target = Path(temporary)
        target.chmod(0o755)  # a box may run as another user
        for name in FILES[:2]:
            try:
                (target / name).hardlink_to(folder / name)
            except OSError:  # another file system
                try:
                    shutil.copyfile(folder / name, target / name)
                except OSError as error:
                    raise InfrastructureError(
                        f"{target}: the images for a sandbox cannot be written: {error.strerror}. Make room there."
                    ) from None
        labels = tuple(int(label) for label in json.loads(_child("veil", folder, target)))
        yield target, labels


def _ready(store: Path, name: Name) -> Dataset | None:
    found = look(store, name, verify=False)
    if name == "standin" and found.state == "ok" and found.source != STANDIN:
        return None  # another version's images: made anew
    if found.state == "broken":
        raise InfrastructureError(f"{found.detail} {found.mend}")
    return found if found.state == "ok" else None


def _made(store: Path, name: Name) -> Dataset:
    if (found := _ready(store, name)) is None:
        raise InfrastructureError(
            f"{store / name}: was written, but is gone again; does something else clean this folder? Run the command again."
        )
    return found


def _child(command: str, *arguments: Path | str) -> str:
    """Run a command of this module in a process of its own; what it printed. Raises what it raised.

    The working folder is the one that holds the package, since `-m` puts that first on the import path and the host's may hold students' files.
    """
    words = [str(item.absolute()) if isinstance(item, Path) else item for item in arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our interpreter, our module
            [sys.executable, "-m", "grader.dataset", command, *words],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
            timeout=CHILD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"data store: `{command}` took over {CHILD_TIMEOUT_S:g} s and was stopped; is the disk very slow?"
        ) from None
    message = done.stderr.strip()
    if done.returncode in {UsageError.exit_code, InfrastructureError.exit_code}:
        raise (UsageError if done.returncode == UsageError.exit_code else InfrastructureError)(message)
    if done.returncode < 0:
        raise InfrastructureError(
            f"data store: `{command}` was killed by signal {-done.returncode}; is there enough memory? Run the command again."
        )
    if done.returncode:
        raise GraderError(f"data store: `{command}` failed: {message[-2000:]}")
    return done.stdout
