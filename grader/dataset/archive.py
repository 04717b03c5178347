"""The original archive: where it is, how it is known, and how it is downloaded. Light: the host process does this."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from grader.dataset.layout import store_errors
from grader.errors import InfrastructureError

READ_TIMEOUT_S = 60.0
"""Longest silence of a server during a download, seconds."""


class Archive(NamedTuple):
    """An archive on the web, known by its hash before it is opened."""

    url: str
    sha256: str
    bytes: int


ARCHIVE = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170_052_171,
)
"""The original data set in its binary form, which can be read without unpickling anything."""

PICKLED_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
"""The same images as Python pickles (cifar-10-python.tar.gz): recognised, so that the refusal can say what to take instead."""


@contextmanager
def downloaded(store: Path, connect_timeout_s: float) -> Iterator[Path]:
    """The archive in a temporary file in the store, deleted afterwards; its hash is right. Raises InfrastructureError."""
    import httpx  # noqa: PLC0415 - heavy, and rarely needed

    other_way = f"Fetch {ARCHIVE.url} on another machine and run `grade data import FILE` here."
    with store_errors(store):
        store.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-download-", dir=store)
    try:
        with os.fdopen(handle, "wb") as file, store_errors(store):
            limits = httpx.Timeout(READ_TIMEOUT_S, connect=connect_timeout_s)
            with httpx.stream("GET", ARCHIVE.url, timeout=limits) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise InfrastructureError(f"{ARCHIVE.url}: expected the archive, the server answered {answer.status_code}. {other_way}")
                sha256 = _save(answer.iter_bytes(1 << 16), file)
        if sha256 != ARCHIVE.sha256:
            raise InfrastructureError(
                f"{ARCHIVE.url}: expected sha256 {ARCHIVE.sha256}, got {sha256}; it was not opened. Try again; if it stays so, "
                "a proxy or the server gives you another file."
            )
        yield Path(name)
    except httpx.HTTPError as error:
        raise InfrastructureError(f"{ARCHIVE.url}: cannot be fetched: {error or type(error).__name__}. {other_way}") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _save(chunks: Iterator[bytes], file: BinaryIO) -> str:
    """Write the chunks and return their sha256; stops where they are more than the archive has."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > ARCHIVE.bytes:
            raise InfrastructureError(f"{ARCHIVE.url}: expected {ARCHIVE.bytes:,} bytes, the server sends more; it was not opened.")
        digest.update(chunk)
        file.write(chunk)
    return digest.hexdigest()
