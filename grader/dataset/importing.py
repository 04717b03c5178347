"""CIFAR-10 from a file: the original binary archive, or an `.npz` of arrays or of JPEG files. Runs in the child process."""

import gzip
import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from grader.dataset.archive import ARCHIVE, PICKLED_SHA256
from grader.dataset.layout import SPLITS, Split
from grader.dataset.writing import CHUNK, Chunks, Images, Parts
from grader.errors import UsageError


def parts_of(path: Path, sha256: str, source: str) -> Parts:
    """The parts of an import file, whichever kind it is. Raises UsageError."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start[:2] == b"\x1f\x8b":
                file.seek(0)
                return _from_archive(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256, source)
        if start == b"PK\x03\x04":
            return _from_npz(path, source)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    raise UsageError(f"{path}: expected {Path(ARCHIVE.url).name} or an .npz file, found neither (it begins with {start!r})")


def _from_archive(path: Path, found: str, expected: str, source: str) -> Parts:
    if found == PICKLED_SHA256:
        raise UsageError(f"{path}: this is CIFAR-10 as Python pickles, which are never opened here; take {ARCHIVE.url} instead")
    if found != expected:
        raise UsageError(
            f"{path}: expected the original archive with sha256 {expected}, got {found}; it was not opened. It is at {ARCHIVE.url}"
        )
    names: dict[Split, tuple[str, ...]] = {
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    }
    sizes = _member_sizes(path, names["train"] + names["test"])
    counts = {split: sum(sizes[name] for name in names[split]) // 3073 for split in SPLITS}

    def chunks(split: Split) -> Chunks:
        with tarfile.open(path, "r:gz") as archive:
            for name in names[split]:
                yield from _batches(archive, name)

    return Parts(source=source, counts=counts, chunks=chunks)


def _member_sizes(path: Path, names: tuple[str, ...]) -> dict[str, int]:
    """The sizes of the wanted members in bytes, each there once, a plain file of whole records. Raises UsageError."""
    sizes: dict[str, int] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                folder, _, name = member.name.rpartition("/")
                if folder != "cifar-10-batches-bin" or name not in names:
                    continue
                if name in sizes or not member.isreg() or member.size % 3073 or not 0 < member.size <= 10_000 * 3073:
                    raise UsageError(
                        f"{path}: {member.name}: expected one plain file of at most 10,000 records of 3,073 bytes, got {member.size} bytes"
                    )
                sizes[name] = member.size
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path}: expected a whole .tar.gz archive: {error}") from None
    if missing := [name for name in names if name not in sizes]:
        raise UsageError(f"{path}: expected cifar-10-batches-bin/{missing[0]} in the archive, found nothing")
    return sizes


def _batches(archive: tarfile.TarFile, name: str) -> Chunks:
    """A batch file's records: a label byte, then the red, green and blue plane of 32x32 bytes each, row by row."""
    file = archive.extractfile(f"cifar-10-batches-bin/{name}")
    assert file is not None  # a plain file, `_member_sizes` has seen to it
    while block := file.read(CHUNK * 3073):
        rows = np.frombuffer(block, np.uint8).reshape(-1, 3073)
        yield rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, :1]


def _from_npz(path: Path, source: str) -> Parts:
    arrays = {"x_train", "y_train", "x_test", "y_test"}
    jpegs = {f"{split}_{kind}" for split in SPLITS for kind in ("jpeg", "offsets", "labels")}
    try:
        with zipfile.ZipFile(path) as archive:
            inflated = sum(entry.file_size for entry in archive.infolist())
        if inflated > 1 << 30:
            raise UsageError(f"{path}: expected at most 1 GiB of arrays, found {inflated:,} bytes")
        with np.load(path, allow_pickle=False) as stored:
            names = set(stored.files)
            if arrays <= names:
                return _from_arrays(path, {name: stored[name] for name in arrays}, source)
            if jpegs <= names:
                return _from_jpegs(path, {name: stored[name] for name in jpegs}, source)
    except (ValueError, MemoryError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: expected an .npz file of plain arrays: {error}") from None
    raise UsageError(
        f"{path}: expected the arrays {', '.join(sorted(arrays))} or {', '.join(sorted(jpegs))}; found {', '.join(sorted(names)) or 'none'}"
    )


def _from_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], source: str) -> Parts:
    counts: dict[Split, int] = {}
    for split in SPLITS:
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if images.ndim != 4 or images.shape[1:] != (32, 32, 3) or str(images.dtype) != "uint8" or not len(images):
            raise UsageError(f"{path}: x_{split}: expected uint8 of shape (n, 32, 32, 3), got {images.dtype} of shape {images.shape}")
        _check_labels(path, f"y_{split}", labels, len(images))
        counts[split] = len(images)

    def chunks(split: Split) -> Chunks:
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"].astype("uint8").reshape(-1, 1)
        for first in range(0, len(images), CHUNK):
            yield images[first : first + CHUNK], labels[first : first + CHUNK]

    return Parts(source=source, counts=counts, chunks=chunks)


def _check_labels(path: Path, name: str, labels: NDArray[Any], count: int) -> None:
    sound = labels.dtype.kind in "iu" and labels.shape in {(count,), (count, 1)} and labels.min() >= 0 and labels.max() <= 9
    if not sound:
        raise UsageError(f"{path}: {name}: expected {count} whole numbers from 0 to 9, got {labels.dtype} of shape {labels.shape}")


def _from_jpegs(path: Path, arrays: Mapping[str, NDArray[Any]], source: str) -> Parts:
    counts: dict[Split, int] = {}
    for split in SPLITS:
        data, offsets = arrays[f"{split}_jpeg"], arrays[f"{split}_offsets"]
        sound = str(data.dtype) == "uint8" and data.ndim == 1 and offsets.dtype.kind in "iu" and offsets.ndim == 1 and len(offsets) > 1
        if not sound or offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] <= offsets[:-1]).any():
            raise UsageError(f"{path}: {split}_offsets: expected where each file in {split}_jpeg begins, from 0 to {len(data)}, rising")
        counts[split] = len(offsets) - 1
        _check_labels(path, f"{split}_labels", arrays[f"{split}_labels"], counts[split])

    def chunks(split: Split) -> Chunks:
        data, offsets = arrays[f"{split}_jpeg"].tobytes(), arrays[f"{split}_offsets"].tolist()
        labels = arrays[f"{split}_labels"].astype("uint8").reshape(-1, 1)
        for first in range(0, counts[split], CHUNK):
            last = min(first + CHUNK, counts[split])
            images = [_decode(data[offsets[i] : offsets[i + 1]], f"{path}: {split} image {i}") for i in range(first, last)]
            yield np.stack(images), labels[first:last]

    return Parts(source=source, counts=counts, chunks=chunks)


def _decode(data: bytes, where: str) -> Images:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if image.size != (32, 32):
                raise UsageError(f"{where}: expected 32x32 pixels, got {image.size[0]}x{image.size[1]}")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"{where}: expected a JPEG file: {error}") from None
