"""Submissions on this machine: a file, standard input, a folder with one notebook."""

import difflib
import os
import stat
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from grader.errors import NothingToGrade, UsageError, refused
from grader.records import Submission
from grader.sources.common import MAX_BYTES, display_path, is_notebook_name, listing, submission, too_large

MAX_ENTRIES = 100_000
"""A folder with more entries than this is not searched."""


def exists(path: Path) -> bool:
    """Whether something stands at `path`; False also for a name that the file system cannot hold."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def from_file(path: Path, source: str = "file") -> Submission:
    """Read one regular file, whatever its suffix. Raises UsageError if it is none or may not be read."""
    where = display_path(str(path))
    problem = f"{where}: the file could not be read"
    with refused(UsageError, problem, "Check its permissions."), os.fdopen(open_without_waiting(path), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise UsageError(
                f"{where}: a file was expected; this is a device, pipe or socket. Give the notebook's path, or - to read from a pipe."
            )
        if state.st_size > MAX_BYTES:
            raise too_large(where, state.st_size)
        data = file.read(MAX_BYTES + 1)
    return submission(data, path.name, source)


def from_stream(stream: BinaryIO) -> Submission:
    """Read a notebook from a binary stream to its end, at most 128 MiB. Raises NothingToGrade if nothing comes."""
    data = stream.read(MAX_BYTES + 1)
    if not data:
        raise NothingToGrade("Standard input: a notebook was expected; it was empty. Pipe one in: grade - < notebook.ipynb")
    return submission(data, "stdin.ipynb", "stdin")


def from_folder(folder: Path) -> Submission:
    """Read the only notebook below a folder; checkpoints, hidden entries and links are passed over.

    Raises UsageError if there are several (naming them), NothingToGrade if there is none.
    """
    where = display_path(str(folder))
    found, others = _search(folder)
    if len(found) > 1:
        raise UsageError(
            f"{where}: one notebook was expected in this folder; {len(found)} were found: {listing(found)}. Name one, or use `grade batch`."
        )
    if not found:
        seen = f"only {listing(others)}" if others else "nothing"
        raise NothingToGrade(f"{where}: a notebook (.ipynb) was expected in this folder; {seen} was found. Check the path.")
    return from_file(folder / found[0], "folder")


def missing(path: Path) -> NothingToGrade:
    """Make the error for a path that does not exist, with near-miss names in its folder."""
    where = display_path(str(path))
    folder = path.parent
    if not exists(folder):
        return NothingToGrade(f"{where}: no such file, and no folder {display_path(str(folder))} either. Check the path.")
    try:
        with os.scandir(folder) as scan:
            names = [entry.name for entry in islice(scan, MAX_ENTRIES)]
    except OSError:
        names = []
    by_lower = {name.lower(): name for name in names}
    near = [by_lower[name] for name in difflib.get_close_matches(path.name.lower(), by_lower, n=3, cutoff=0.6)]
    if not near:
        near = sorted(name for name in names if is_notebook_name(name))[:3]
    meant = f" Did you mean {listing(near)}?" if near else " Check the path."
    return NothingToGrade(f"{where}: no such file or folder.{meant}")


def open_without_waiting(path: Path) -> int:
    """Open for reading without blocking on a pipe that nobody writes to; give the descriptor."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))


def _search(folder: Path) -> tuple[list[str], list[str]]:
    """Walk a folder: relative paths (with `/`) of notebooks, and of the other visible files."""
    seen: list[str] = []
    entries = 0
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        entries += len(folders) + len(files)
        if entries > MAX_ENTRIES:
            raise UsageError(f"{display_path(str(folder))}: more than {MAX_ENTRIES} entries; name the notebook itself.")
        paths = (Path(base, name) for name in files)
        seen += [path.relative_to(folder).as_posix() for path in paths if not path.is_symlink()]
    found = [path for path in seen if is_notebook_name(path)]
    return found, [path for path in seen if not is_notebook_name(path) and not path.rpartition("/")[2].startswith(".")]
