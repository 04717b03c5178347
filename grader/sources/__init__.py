"""Where a submission comes from: a file, standard input, a folder, an archive or a link. One kind, one file.

`resolve` is the only door. Nothing here looks into the notebook beyond what is needed to tell a notebook from a login page; nothing is
written to disk, and a name found in an archive, a folder or an address is shown but never used as a path.
"""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from grader.closing import Closing
from grader.errors import UsageError
from grader.records import Submission
from grader.sources import archive, local, web

__all__ = ["Reader", "resolve"]


def resolve(reference: str, *, allow_fetch: bool = False, stdin: BinaryIO | None = None, hosts: Sequence[str] = ()) -> Submission:
    """Fetch the bytes that `reference` names.

    Args:
        reference: a path to a notebook, `-` (standard input), a folder or a zip archive that holds exactly one notebook, a member of an
            archive (`class.zip!member.ipynb` or `class.zip/member.ipynb`), or an `https` link.
        allow_fetch: whether a link may be fetched at all.
        stdin: what `-` reads from; the process's standard input if None.
        hosts: further hosts that links may lead to: a host name (`notebooks.example.edu`: https only, public addresses only), or an
            origin (`http://127.0.0.1:8000`: exactly this scheme, host and port, private addresses included).

    Returns:
        The bytes (at most 128 MiB, 100 MB from the network) with their SHA-256; `file` is a display name of at most 120 characters.

    Raises:
        UsageError: the reference cannot be used as given: several notebooks to choose from, a link without `allow_fetch` or to a host
            that is not allowed, an unreadable file.
        NothingToGrade: nothing is there: no such path, no notebook in the folder or archive, HTTP 404, a Google Drive link.
        NotGradable: something is there, but it is too large, damaged, encrypted or no notebook.
        InfrastructureError: the network failed; trying again may help.

    """
    if not reference.strip():
        raise UsageError("SUBMISSION is empty; give a notebook, a folder, a zip archive, a link, or - for standard input.")
    if "\0" in reference:
        raise UsageError("SUBMISSION holds a NUL character, which no path or link has; check how it was quoted.")
    if reference == "-":
        return local.from_stream(stdin if stdin is not None else sys.stdin.buffer)
    if web.is_link(reference):
        return web.fetch(reference, allow_fetch=allow_fetch, hosts=hosts)
    path = Path(reference)
    if local.exists(path):
        if path.is_dir():
            return local.from_folder(path)
        return archive.from_zip(path, None) if archive.is_zip(path) else local.from_file(path)
    member = archive.split(reference)
    if member is not None:
        return archive.from_zip(*member)
    raise local.missing(path)


class Reader(Closing):
    """Reads many hand-ins: an archive that holds them is opened once. Use as a context manager, by one thread."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._archives: dict[str, archive.Archive] = {}

    def close(self) -> None:
        """Close every archive."""
        self._opened.close()
        self._archives.clear()

    def resolve(self, reference: str) -> Submission:
        """As the function `resolve`, without links."""
        for name, opened in self._archives.items():
            if reference.startswith(f"{name}!"):
                return archive.from_archive(opened, reference[len(name) + 1 :])
        path = Path(reference)
        found = None if local.exists(path) else archive.split(reference)
        if found is None:
            return resolve(reference)
        holder, member = found
        self._archives[str(holder)] = opened = archive.Archive(self._opened.enter_context(holder.open("rb")), str(holder))
        return archive.from_archive(opened, member)
