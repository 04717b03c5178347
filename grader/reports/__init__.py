"""Reports: one format, one file. Each format module has `NAME`, `FILENAME` and `render(executed) -> str`.

To add one: write `as_<name>.py` with those three, add its line to `MODULES`, and golden files in `tests/reports`.
`notebook` stands for two files, of which `page` is the second.
"""

import errno
import os
import tempfile
from collections import UserDict
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from grader.errors import InfrastructureError, UsageError
from grader.records import Executed, Report, ReportRubric, ReportSubmission, RunStatus
from grader.words import meant

__all__ = ["DRAWN", "FORMATS", "MODULES", "Format", "check", "files", "replace_file", "write", "write_started"]

MODULES = {
    "json": "as_json", "html": "as_html", "md": "as_markdown", "junit": "as_junit", "gradescope": "as_gradescope", "github": "as_github",
    "notebook": "as_notebook", "page": "as_page",
}  # fmt: skip
DRAWN = frozenset({"html", "notebook", "page"})
"""Formats that show the notebook as nbconvert draws it (`Executed.page`)."""

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


class Format(Protocol):
    """What a format's module has."""

    NAME: str
    FILENAME: str

    def render(self, executed: Executed) -> str:
        """The whole file as text, to be written as UTF-8."""


class _Formats(UserDict[str, Any]):
    """The formats by name; a module is imported when it is first asked for, so that `grade --help` stays fast."""

    def __getitem__(self, name: str) -> Format:
        return cast("Format", import_module(f"grader.reports.{self.data[name]}"))


FORMATS: Mapping[str, Format] = _Formats(MODULES)


def check(formats: Iterable[str]) -> tuple[str, ...]:
    """The names without repetitions, in the order given, `page` after `notebook`.

    Raises:
        UsageError: a name is no format; the message suggests the nearest.
    """
    names = tuple(dict.fromkeys(name for given in formats for name in ((given, "page") if given == "notebook" else (given,))))
    for name in names:
        if name not in MODULES:
            raise UsageError(f"--format: expected one of {', '.join(MODULES)}; found {name!r}.{meant(name, MODULES)}")
    return names


def files(executed: Executed, formats: Iterable[str] = ()) -> dict[str, str]:
    """The files of the formats that are named, by their names, and `report.json` always and last. Raises UsageError as `check`."""
    names = [name for name in check(formats) if name != "json"]
    return {FORMATS[name].FILENAME: FORMATS[name].render(executed) for name in (*names, "json")}


def write(executed: Executed, folder: Path, formats: Iterable[str] = ()) -> list[Path]:
    """Write the formats that are named into `folder`, and `report.json` always and last: once it is there, all are there.

    Every file is replaced atomically: a reader sees the old file or the whole new one. Everything is rendered before anything is written.

    Returns:
        The files written, in the order given, `report.json` last.

    Raises:
        UsageError: a name is no format, or the folder cannot be written.
        InfrastructureError: the disk is full or fails; what was there before is still there.
    """
    rendered = files(executed, formats)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [replace_file(folder / filename, text) for filename, text in rendered.items()]
    except OSError as error:
        found = f"{type(error).__name__}: {error.strerror}"
        if error.errno in _DISK:
            raise InfrastructureError(
                f"--out {folder}: the report could not be written ({found}); what was in the folder before is still there. Free some space and run it again."
            ) from error
        raise UsageError(f"--out {folder}: expected a folder that can be written; found {found}. Name another folder.") from error


def write_started(
    folder: Path, *, rubric: ReportRubric, submission: ReportSubmission, max_score: float = 0.0, formats: Iterable[str] = ()
) -> list[Path]:
    """Write the report of a run that has begun, `status: "started"`, so that an interrupted run never looks like a graded one.

    With `formats`, these are written too: no file of an earlier run is left to be taken for this one's.

    Raises:
        UsageError: as `write`.
    """
    report = Report(
        status=RunStatus.STARTED,
        reason="",
        rubric=rubric,
        submission=submission,
        score=0.0,
        max_score=max_score,
        auto_score=0.0,
        auto_max=0.0,
        pending_points=0.0,
    )
    return write(Executed(report=report), folder, formats)


def replace_file(path: Path, content: str | bytes, mode: int = 0o644) -> Path:
    """Write a file so that a reader sees the old one or the whole new one, whatever happens meanwhile. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return path


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
