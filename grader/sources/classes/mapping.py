"""What a person says about the files: a CSV that names the student of each, or a regular expression that finds the student in each name."""

import csv
import difflib
import io
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate, islice
from pathlib import Path
from typing import TypeVar

from grader.errors import UsageError
from grader.sources import local
from grader.sources.classes.layout import MAX_PATH, Files, Found, Piece, moment, tidy
from grader.sources.common import display_path, listing

REQUIRED = ("file", "student")
OPTIONAL = ("name", "submitted_at", "seconds_late", "group", "attempt")
MAX_MAPPING = 16 * 2**20
_ATTEMPT = re.compile(r"0{0,9}[1-9]\d{0,8}", re.ASCII)
_T = TypeVar("_T")
_PREFIXES = 8
"""Folders above a file by which a row can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the mapping; `line` counts the header as 1."""

    line: int
    file: str
    student: str
    name: str = ""
    submitted_at: datetime | None = None
    seconds_late: float | None = None
    group: str = ""
    attempt: int | None = None


def read_rows(path: Path) -> list[Row]:
    """Read a mapping.

    Raises:
        UsageError: it is not readable, lacks a column, or a cell is not what its column asks for.
        NothingToGrade: it is not there.

    """
    where = display_path(str(path))
    if not local.exists(path):
        raise local.missing(path)
    data = local.from_file(path).data
    if len(data) > MAX_MAPPING:
        raise UsageError(f"{where}: a CSV of at most {MAX_MAPPING // 2**20} MiB was expected; this file has {len(data) // 2**20} MiB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: the file is not UTF-8 ({error.reason}). Save it as CSV UTF-8.") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        columns = _columns(next(rows, []), where)
        return [
            row for cells in rows if (row := _row(dict(zip(columns, cells, strict=False)), f"{where}, line {rows.line_num}", rows.line_num))
        ]
    except csv.Error as error:
        raise UsageError(f"{where}, line {rows.line_num}: not readable as CSV ({error}).") from error


def expression(text: str) -> re.Pattern[str]:
    """Compile `names`. Raises UsageError where it is no regular expression, or has no group `student` (or nbgrader's `student_id`)."""
    try:
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"names: a regular expression was expected ({error}).") from error
    if not {"student", "student_id"} & set(pattern.groupindex):
        raise UsageError(
            r"names: a group called student was expected, such as (?P<student>[^_]+)_.*\.ipynb; "
            f"the groups are {', '.join(sorted(pattern.groupindex)) or 'without names'}."
        )
    return pattern


def by_expression(files: Files, pattern: re.Pattern[str]) -> Found:
    """Find the student in each name: the expression describes a file's whole path, or else its whole name."""
    pieces: list[Piece] = []
    missed: list[str] = []
    for file in files.files:
        if not (file.is_notebook or file.is_zip):
            continue
        match = (pattern.fullmatch(file.path) or pattern.fullmatch(file.name)) if len(file.path) <= MAX_PATH else None
        groups = {name: value or "" for name, value in match.groupdict().items()} if match else {}
        student = tidy(groups.get("student") or groups.get("student_id") or "")
        attempt = groups.get("attempt", "")
        if not student or (attempt and not _ATTEMPT.fullmatch(attempt)):
            missed.append(file.whole)
            continue
        pieces.append(
            Piece(
                file=file,
                source=files,
                platform="folder",
                student=student,
                shown=file.name,
                name=tidy(groups.get("name", "")),
                attempt=int(attempt) if attempt else None,
                late=bool(groups["late"]) if "late" in groups else None,
            )
        )
    said = f"{files.where}: the expression of names gives no student (or no attempt from 1) for {listing(missed)}. They are skipped."
    return Found(pieces=tuple(pieces), problems=(said,) if missed else ())


def apply(rows: Sequence[Row], pieces: Sequence[Piece], where: str) -> tuple[list[Piece], list[str]]:
    """Give the pieces that the rows name to their students.

    A row names a file (by its path, or by its name where that is the only one), a folder, or an identifier of the platform (Canvas' user, Moodle's
    participant, …). What else was handed in with a file that is named is passed over; files that no row names stay with the platform's student, and
    are told of where the names of a plain folder would be all there is.

    Raises:
        UsageError: two rows give one file to two students who are no group.

    """
    index = _Index(pieces)
    teams: dict[str, list[str]] = {}
    for row in rows:
        if row.group:
            teams.setdefault(row.group, []).append(row.student)
    taken: dict[int, Row] = {}
    mapped: list[Piece] = []
    settled: set[tuple[object, ...]] = set()
    problems: list[str] = []
    for row in rows:
        found, exact, member = index.find(row.file)
        if not found:
            problems.append(
                f"{where}, line {row.line}: nothing that was submitted is called {display_path(row.file)}, or more than one thing is."
            )
            continue
        for number in found:
            piece = pieces[number]
            before = taken.setdefault(number, row)
            if before is not row and not member:
                if not (row.group and row.group == before.group) and (before.student, before.attempt) != (row.student, row.attempt):
                    raise UsageError(
                        f"{where}, lines {before.line} and {row.line}: one file is given to two students. Give both the same group."
                    )
                continue
            if exact:
                settled.add(piece.hand_in)
            mapped.append(_given(piece, row, teams, chosen=exact, member=member))
    left = [number for number in range(len(pieces)) if number not in taken]
    unnamed = [pieces[number] for number in left if pieces[number].hand_in not in settled]
    missed = [piece.file.whole for piece in unnamed if piece.platform == "folder"]
    if missed:
        problems.append(f"{where}: no line names {listing(missed)}. They are skipped; add a line for each that is a submission.")
    return mapped + [piece for piece in unnamed if piece.platform != "folder"], problems


class _Index:
    """Finds the pieces that a row's cell names, by their numbers."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._paths: dict[str, set[int]] = {}
        self._folders: dict[str, list[int]] = {}
        self._ids: dict[str, list[int]] = {}
        self._names: dict[str, set[int]] = {}
        for number, piece in enumerate(pieces):
            for path in {piece.file.path, piece.file.whole, piece.file.reference}:
                self._paths.setdefault(path, set()).add(number)
            for folder in {folder for path in (piece.file.path, piece.file.whole) for folder in _above(path)}:
                self._folders.setdefault(folder, []).append(number)
            for key in {piece.student, *(value for name, value in piece.ids.items() if name != "assignment")} - {""}:
                self._ids.setdefault(key, []).append(number)
            self._names.setdefault(piece.file.name, set()).add(number)

    def find(self, cell: str) -> tuple[Iterable[int], bool, str]:
        """The pieces that a cell names, whether it names just one file, and the member that it names within that file."""
        for place in [len(cell), *(match.start() for match in re.finditer("!", cell))]:
            name, member = cell[:place], cell[place + 1 :]
            for found in (self._paths.get(name), self._names.get(name)):
                if found and len(found) == 1:
                    return found, True, member
            if not member:
                folder = self._folders.get(name.rstrip("/")) or self._ids.get(name)
                if folder:
                    return folder, False, ""
        return (), False, ""


def _above(path: str) -> Iterator[str]:
    """Yield the first folders over a file, from the top."""
    return islice(accumulate(path.split("/")[:-1], "{}/{}".format), _PREFIXES)


def _given(piece: Piece, row: Row, teams: dict[str, list[str]], *, chosen: bool, member: str) -> Piece:
    """A piece as its row tells it; what the row leaves open stays as the platform told it."""
    members = tuple(dict.fromkeys(teams[row.group])) if row.group else piece.members
    return replace(
        piece,
        platform="csv" if piece.platform == "folder" else piece.platform,
        student=row.group or row.student,
        name=row.group or row.name or piece.name,
        members=members,
        attempt=row.attempt if row.attempt is not None else piece.attempt,
        submitted_at=row.submitted_at or piece.submitted_at,
        seconds_late=row.seconds_late if row.seconds_late is not None else piece.seconds_late,
        chosen=chosen,
        member=member,
    )


def _columns(header: Sequence[str], where: str) -> list[str]:
    """The columns' names in lower case. Raises UsageError where one is missing, doubled or mistyped."""
    columns = ["_".join(cell.lower().split()) for cell in header]
    for column in columns:
        near = difflib.get_close_matches(column, (*REQUIRED, *OPTIONAL), n=1, cutoff=0.8)
        if near and column != near[0]:
            raise UsageError(f"{where}, line 1: the column {display_path(column)!r} is not known; did you mean {near[0]!r}?")
    for column in (*REQUIRED, *OPTIONAL):
        if columns.count(column) > 1 or (column in REQUIRED and column not in columns):
            raise UsageError(
                f"{where}, line 1: one column {column!r} was expected; there are {columns.count(column)}. "
                f"The columns are {', '.join(REQUIRED)} and, as needed, {', '.join(OPTIONAL)}."
            )
    return columns


def _row(cells: dict[str, str], where: str, line: int) -> Row | None:
    """One line; None for an empty one. Raises UsageError for a cell that is not what its column asks for."""
    text = {column: tidy(cells.get(column, "")) for column in (*REQUIRED, *OPTIONAL)}
    if not any(text.values()):
        return None
    for column in REQUIRED:
        if not text[column]:
            raise UsageError(f"{where}: the column {column!r} is empty. Leave out the lines of those who submitted nothing.")
    return Row(
        line=line,
        file=unicodedata.normalize("NFC", cells["file"]).strip().replace("\\", "/").removeprefix("./"),
        student=text["student"],
        name=text["name"],
        submitted_at=_read(
            text["submitted_at"], moment, f"{where}: submitted_at must be a time with its zone, such as 2026-03-01T10:00:00+01:00"
        ),
        seconds_late=_read(text["seconds_late"], _seconds, f"{where}: seconds_late must be a number of seconds, 0 or more"),
        group=text["group"],
        attempt=_read(text["attempt"], _attempt, f"{where}: attempt must be a whole number from 1"),
    )


def _read(text: str, value: Callable[[str], _T | None], expected: str) -> _T | None:
    """The value of a cell, None where it is empty. Raises UsageError where it is not what was `expected`."""
    found = value(text) if text else None
    if text and found is None:
        raise UsageError(f"{expected}; it is {display_path(text)!r}.")
    return found


def _seconds(text: str) -> float | None:
    with suppress(ValueError):
        seconds = float(text)
        return seconds if 0 <= seconds < math.inf else None
    return None


def _attempt(text: str) -> int | None:
    return int(text) if _ATTEMPT.fullmatch(text) else None
