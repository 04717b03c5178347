"""The hand-ins of a class: which notebook is whose, as the platform's own download tells it. One platform, one file.

`read_class` is the only door. It lists names and reads small side files (Gradescope's metadata, nbgrader's time stamps); of notebooks it reads nothing,
of an archive that a student handed in the table of contents, and of a hand-in without either whether one of its files is a notebook by another
name. Nothing is unpacked, and no name is used as a path.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from grader.errors import NothingToGrade, UsageError
from grader.records import HandedIn
from grader.sources.classes import canvas, choice, folder, gradescope, moodle, nbgrader, repositories
from grader.sources.classes.layout import Files, Found, Piece, given
from grader.sources.classes.mapping import apply, by_expression, expression, read_rows
from grader.sources.common import display_path, listing

__all__ = ["PLATFORMS", "ClassList", "read_class"]


class Reader(Protocol):
    """What each platform's file offers."""

    EXPECTED: str
    """How the platform names files, for a message."""

    def recognises(self, files: Files) -> bool:
        """Whether the files, seen from this level, are named as the platform names them."""

    def read(self, files: Files) -> Found:
        """Make of the files what the platform's names tell."""


_READERS: dict[str, Reader] = {
    "gradescope": gradescope,
    "nbgrader": nbgrader,
    "moodle": moodle,
    "canvas": canvas,
    "repositories": repositories,
}
"""In the order in which they are tried; the plain folder is what is left."""
PLATFORMS = ("auto", *_READERS, "folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassList:
    """Who handed in what. `problems` are sentences for the instructor's eyes: they name files, and files are named after people."""

    handed_in: tuple[HandedIn, ...]
    problems: tuple[str, ...]


def read_class(paths: Sequence[Path], *, mapping: Path | None = None, names: str | None = None, platform: str = "auto") -> ClassList:
    """Tell which notebook is whose.

    Args:
        paths: folders, zip archives and single notebooks; the attempts of a student who is in several of them follow each other in this order where
            no time or number tells.
        mapping: a CSV that gives files (or folders, or the platform's identifiers) to students: columns `file` and `student`, optionally `name`,
            `submitted_at`, `seconds_late`, `group`, `attempt`. It goes before what the layout tells.
        names: a regular expression, in the place of a layout, that describes each notebook's path or name whole, with a group `student` and optionally
            `name`, `attempt`, `late`.
        platform: one of `PLATFORMS`; `auto` recognises the layout of each path.

    Returns:
        One entry for each student's (or group's) attempt, sorted by student, also where it holds no notebook; every file that could not be placed is in a
        sentence of `problems`.

    Raises:
        UsageError: the mapping or expression cannot be used, the forced platform does not fit, several nbgrader assignments are there.
        NothingToGrade: a path does not exist, or nothing at all is there.
        NotGradable: an archive that was given is damaged, encrypted in its directory, or too large; Gradescope's metadata cannot be read.

    """
    if platform not in PLATFORMS:
        raise UsageError(f"platform: one of {', '.join(PLATFORMS)} was expected; it is {display_path(platform)!r}.")
    if names is not None and platform not in {"auto", "folder"}:
        raise UsageError(f"names takes the place of a layout; leave it out, or the platform {platform}.")
    pattern = None if names is None else expression(names)
    rows = None if mapping is None else read_rows(mapping)
    problems: list[str] = []
    pieces: list[Piece] = []
    with ExitStack() as stack:
        for files in given(paths, stack):
            found = by_expression(files, pattern) if pattern is not None else _read(files, platform)
            problems += (*files.problems, *found.problems)
            pieces += found.pieces
            pieces += (Piece(file=file, source=files, platform="folder", student="", shown=file.name) for file in found.loose)
        if mapping is not None and rows is not None:
            pieces, unmapped = apply(rows, pieces, display_path(str(mapping)))
            problems += unmapped
        _check_assignments(pieces)
        problems += _nobodys(pieces)
        hand_ins, without, none = choice.notebooks(choice.groups(piece for piece in pieces if piece.student))
        chosen, several = choice.one_each(hand_ins)
        handed_in, unordered = choice.attempts(chosen + without)
    problems += (*none, *several, *unordered)
    if not handed_in and not problems:
        raise NothingToGrade(
            f"{listing(str(path) for path in paths) or 'No path'}: notebooks were expected; nothing was found. Check the path."
        )
    return ClassList(
        handed_in=tuple(sorted(handed_in, key=lambda one: (one.platform, one.student, one.attempt or 0))), problems=tuple(problems)
    )


def _read(files: Files, platform: str) -> Found:
    """Read files in their layout, at the level where it begins. Raises UsageError where the forced platform's names are nowhere."""
    if platform == "folder" or not files.files:
        return folder.read(files)
    for level in files.levels():
        for name, reader in _READERS.items():
            if name == platform or (platform == "auto" and reader.recognises(level)):
                found = reader.read(level)
                if found.pieces or platform == "auto":
                    return found
    if platform == "auto":
        return folder.read(files)
    some = listing(file.whole for file in files.files[:3])
    raise UsageError(
        f"{files.where}: {_READERS[platform].EXPECTED}, was expected; {some} was found. Leave the platform out, or name another."
    )


def _nobodys(pieces: Sequence[Piece]) -> list[str]:
    """A sentence for each path in which there are files that belong to nobody."""
    lost: dict[str, list[str]] = {}
    for piece in pieces:
        if not piece.student:
            lost.setdefault(piece.source.where, []).append(piece.file.whole)
    return [
        f"{where}: the file names identify no student for {listing(files)}. They are skipped; if one is a submission, name it in a mapping CSV "
        "(columns file, student)."
        for where, files in lost.items()
    ]


def _check_assignments(pieces: Sequence[Piece]) -> None:
    """Raise UsageError where nbgrader's hand-ins are to several assignments: one is graded at a time."""
    assignments = {piece.ids["assignment"] for piece in pieces if "assignment" in piece.ids}
    if len(assignments) > 1:
        raise UsageError(
            f"nbgrader: submissions to one assignment were expected; there are {len(assignments)}: {listing(assignments)}. "
            "Give the folders of one (submitted/*/ASSIGNMENT)."
        )
