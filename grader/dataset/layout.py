"""What the store's folders hold, and whether they are as they should be: with the standard library alone, as the host must stay small."""

import ast
import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from grader.errors import InfrastructureError

Name = Literal["cifar10", "standin"]
Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")

RECORDS: Mapping[Split, int] = {"train": 50_000, "test": 10_000}
"""How many images the full data set has."""

STANDIN = "made up by grader, version 2: ten textures and shapes in ten shades, not photographs"
"""What the stand-in's manifest calls its source. Its version goes up with every change of its images: the thresholds are calibrated on them."""

FILES = ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")
"""In the order in which the fingerprint takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is known about one data set; it can be read where the state is "ok". `detail` is a sentence; `mend` says what to do where it is not.

    `fingerprint` is the sha256 over the four arrays' bytes, in the order of `FILES`; `records` are the numbers of training and test images.
    """

    name: Name
    folder: Path
    state: Literal["ok", "absent", "broken"]
    detail: str
    mend: str = ""
    source: str = ""
    fingerprint: str = ""
    records: tuple[int, int] = (0, 0)

    @property
    def standin(self) -> bool:
        """Whether it is the made-up images."""
        return self.name == "standin"

    @property
    def full(self) -> bool:
        """Whether all 60,000 images are there."""
        return self.records == tuple(RECORDS.values())


class _Broken(Exception):
    """Why a set is not as it should be; a sentence."""


def look(store: Path, name: Name, *, verify: bool) -> Dataset:
    """The state of one set; with `verify` every byte is compared with the manifest. Never raises.

    What looks damaged is looked at twice, as a writer may have put another set in its place between two glances.
    """
    found = _glance(store / name, name, verify=verify)
    return _glance(store / name, name, verify=verify) if found.state == "broken" else found


def _glance(folder: Path, name: Name, *, verify: bool) -> Dataset:
    try:
        if not folder.exists():
            return Dataset(name=name, folder=folder, state="absent", detail=f"{folder}: does not exist.", mend=_MEND[name, "absent"])
        return _inspect(folder, name, verify=verify)
    except (_Broken, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        detail = f"{folder}: the data set is damaged: {reason}."
        return Dataset(name=name, folder=folder, state="broken", detail=detail, mend=_MEND[name, "broken"])


_MEND: Mapping[tuple[Name, str], str] = {
    ("cifar10", "absent"): "`grade data fetch` or `grade data import FILE` puts it there.",
    ("cifar10", "broken"): "`grade data fetch` or `grade data import FILE` replaces it.",
    ("standin", "absent"): "It is made when it is first needed.",
    ("standin", "broken"): "Delete the folder; it is made again on next use.",
}


def _inspect(folder: Path, name: Name, *, verify: bool) -> Dataset:
    """The status of a sound set. Raises _Broken or OSError for any other."""
    manifest = _manifest(folder)
    counts = {file: _array_length(folder / file, manifest["files"][file]["bytes"]) for file in FILES}
    train, test = counts["x_train.npy"], counts["x_test.npy"]
    if (counts["y_train.npy"], counts["y_test.npy"]) != (train, test):
        raise _Broken(f"{train} and {test} images, but {counts['y_train.npy']} and {counts['y_test.npy']} labels")
    changed = _changed(folder)
    if verify or changed:
        _compare(folder, manifest)
    if changed:
        with contextlib.suppress(OSError):  # compared once is enough, where the manifest may be stamped anew
            os.utime(folder / "manifest.json")
    return Dataset(
        name=name,
        folder=folder,
        state="ok",
        detail=f"{folder}: {train:,} training and {test:,} test images.",
        source=manifest["source"],
        fingerprint=manifest["fingerprint"],
        records=(train, test),
    )


def _changed(folder: Path) -> bool:
    """Whether an array was written after the manifest, which a writer of ours writes last (a copied folder may look so, too)."""
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    return any((folder / file).stat().st_mtime_ns > stamp for file in FILES)


def _manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise _Broken("manifest.json is missing")
    try:
        manifest: Any = json.loads(path.read_bytes()[: 1 << 16])
    except (ValueError, RecursionError):
        raise _Broken("manifest.json is not JSON") from None
    texts = ("name", "source", "fingerprint", "created")
    sound = (
        isinstance(manifest, dict) and all(isinstance(manifest.get(key), str) for key in texts) and isinstance(manifest.get("files"), dict)
    )
    if not sound or manifest["name"] != folder.name:
        raise _Broken(f"manifest.json does not describe the data set {folder.name}")
    for file in FILES:
        entry = manifest["files"].get(file)
        if not (isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and isinstance(entry.get("sha256"), str)):
            raise _Broken(f"manifest.json does not describe {file}")
    return cast("Mapping[str, Any]", manifest)


def _array_length(path: Path, expected_bytes: int) -> int:
    """The number of rows of an array file whose size, type and row shape are right. Raises _Broken."""
    if not path.is_file():
        raise _Broken(f"{path.name} is missing")
    size = path.stat().st_size
    if size != expected_bytes:
        raise _Broken(f"{path.name} has {size:,} bytes, expected {expected_bytes:,}")
    with path.open("rb") as file:
        header, start = _header(file)
    row = _row(path.name)
    shape: Any = header.get("shape")
    rows = shape[0] if isinstance(shape, tuple) and len(shape) > 1 and shape[1:] == row and type(shape[0]) is int else 0
    if rows < 1 or header.get("descr") != "|u1" or header.get("fortran_order") or start + rows * math.prod(row) != size:
        raise _Broken(f"{path.name} is not an uint8 array of shape (n, {', '.join(map(str, row))})")
    return rows


def _row(name: str) -> tuple[int, ...]:
    return (32, 32, 3) if name.startswith("x") else (1,)


def _header(file: BinaryIO) -> tuple[Mapping[str, Any], int]:
    """The header of an open `.npy` file and where its values begin. Raises _Broken.

    Read by hand, since loading NumPy would cost the host some 25 MiB.
    """
    start = file.read(10)
    if start[:6] != b"\x93NUMPY" or len(start) < 10 or start[6] != 1:
        raise _Broken(f"{Path(file.name).name} is not a .npy file of version 1")
    length = int.from_bytes(start[8:10], "little")
    try:
        header = ast.literal_eval(file.read(length).decode("latin-1"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise _Broken(f"{Path(file.name).name} has no readable header")
    return header, 10 + length


def _compare(folder: Path, manifest: Mapping[str, Any]) -> None:
    found, fingerprint = hashes(folder)
    for file in FILES:
        if found[file] != manifest["files"][file]["sha256"]:
            raise _Broken(f"{file} has sha256 {found[file]}, expected {manifest['files'][file]['sha256']}")
    if fingerprint != manifest["fingerprint"]:
        raise _Broken(f"the arrays have the fingerprint {fingerprint}, expected {manifest['fingerprint']}")


def hashes(folder: Path) -> tuple[dict[str, str], str]:
    """The sha256 of each file, and the fingerprint: that of the four arrays' values alone, in the order of FILES."""
    values = hashlib.sha256()
    files: dict[str, str] = {}
    for name in FILES:
        whole = hashlib.sha256()
        with (folder / name).open("rb") as file:
            _, start = _header(file)
            file.seek(0)
            whole.update(file.read(start))
            while block := file.read(1 << 20):
                whole.update(block)
                values.update(block)
        files[name] = whole.hexdigest()
    return files, values.hexdigest()


@contextmanager
def store_errors(store: Path) -> Iterator[None]:
    """What the file system refuses becomes an InfrastructureError that says what to do."""
    try:
        yield
    except OSError as error:
        raise InfrastructureError(
            f"{error.filename or store}: the data store cannot be written: {error.strerror}. Make room or access there, or set GRADER_DATA "
            "to a folder that can be written."
        ) from None
