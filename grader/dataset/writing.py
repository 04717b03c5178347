"""Writing a data set into the store, whole or not at all. Runs in the child process."""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from grader.dataset.layout import FILES, SPLITS, Name, Split, hashes, look, store_errors
from grader.errors import UsageError

CHUNK = 1000
"""Images held in memory at a time."""

Images = NDArray[np.uint8]
Chunks = Iterator[tuple[Images, Images]]
"""Images (n, 32, 32, 3) and labels (n, 1), both uint8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where a set comes from: how many images each split has, and a way to read them in order, a chunk at a time."""

    source: str
    counts: Mapping[Split, int]
    chunks: Callable[[Split], Chunks]


@contextmanager
def _only_writer(store: Path) -> Iterator[None]:
    """One writer at a time, so that eight workers make one stand-in. The lock goes with its process; without locks it is only more work."""
    with (store / ".lock").open("ab") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(store: Path, name: str, parts: Parts) -> None:
    """Write a set into a temporary folder and publish it."""
    folder = Path(tempfile.mkdtemp(prefix=f".new-{name}-", dir=store))
    try:
        for split in SPLITS:
            _write_split(folder, split, parts)
        files, fingerprint = hashes(folder)
        manifest = {
            "schema": "grader/data/v1",
            "name": name,
            "source": parts.source,
            "fingerprint": fingerprint,
            "files": {file: {"bytes": (folder / file).stat().st_size, "sha256": files[file]} for file in FILES},
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _flushed(folder / "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n")
        for path in folder.iterdir():  # a box may run as another user
            path.chmod(0o644)
        folder.chmod(0o755)
        _publish(folder, store / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_split(folder: Path, split: Split, parts: Parts) -> None:
    count, seen = parts.counts[split], 0
    with (folder / f"x_{split}.npy").open("xb") as images_file, (folder / f"y_{split}.npy").open("xb") as labels_file:
        _start_array(images_file, (count, 32, 32, 3))
        _start_array(labels_file, (count, 1))
        for images, labels in parts.chunks(split):
            if images.shape[1:] != (32, 32, 3) or str(images.dtype) != "uint8" or labels.shape != (len(images), 1) or labels.max() > 9:
                raise UsageError(
                    f"{parts.source}: {split}: expected uint8 images of 32x32x3 with labels 0 to 9, "
                    f"got {images.dtype} of shape {images.shape} with labels of shape {labels.shape} up to {labels.max()}"
                )
            images_file.write(images.tobytes())
            labels_file.write(labels.tobytes())
            seen += len(images)
        if seen != count:
            raise UsageError(f"{parts.source}: {split}: expected {count} images, got {seen}")
        for file in (images_file, labels_file):
            file.flush()
            os.fsync(file.fileno())


def _start_array(file: BinaryIO, shape: tuple[int, ...]) -> None:
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _flushed(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _publish(folder: Path, target: Path) -> None:
    """Put a finished folder in its place in one step; what was there is deleted afterwards, by the caller."""
    if target.exists():
        _exchange(folder, target)
    else:
        folder.rename(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(folder: Path, target: Path) -> None:
    """Swap two folders: in one step where the kernel and the file system can, else in two with a moment between them."""
    import ctypes  # noqa: PLC0415 - only needed to replace a set

    at_fdcwd, rename_exchange = -100, 2
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None and renameat2(at_fdcwd, bytes(folder), at_fdcwd, bytes(target), rename_exchange) == 0:
        return
    aside = folder.with_name(folder.name + "-old")
    target.rename(aside)
    folder.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def _sweep(store: Path) -> None:
    """Delete what killed writers left; a day old, so that no living writer's folder is hit where locks do not work."""
    for path in store.glob(".new-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > 86_400:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def make(store: Path, name: Name, parts: Callable[[], Parts], *, keep: bool) -> None:
    """Write a set; with `keep` a sound one from the same source that is there by now (another worker was faster) stays."""
    with store_errors(store):
        store.mkdir(parents=True, exist_ok=True)
        with _only_writer(store):
            made = parts()
            there = look(store, name, verify=False)
            if keep and there.state == "ok" and there.source == made.source:
                return
            _sweep(store)
            _write(store, name, made)
