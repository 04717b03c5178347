"""`canvas.csv`, to be imported into Canvas' gradebook: `Student, ID, …, Section, Title (id)`; students are matched by ID.

Only students who have a mark are in it: to Canvas, an empty cell is a change of the mark that is there. Comments need Canvas' API. With the exported
gradebook at hand its columns and its students' cells are kept, marks are scaled to its points possible, and whoever is not in it, or has a mark
of somebody else's there, is left out.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from grader.batch.export.common import (
    Exported,
    Names,
    Options,
    Recipient,
    addressed,
    defused,
    notes_on,
    number,
    numbered,
    others_mark,
    require,
    scaled,
    two_decimals,
)
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.reports.text import clean
from grader.words import counted, one_line

FILENAME = "canvas.csv"
_TITLE = re.compile(r".*\((\d+)\)\s*", re.DOTALL | re.ASCII)
_POINTS = "    Points Possible"
_HEADER = ("Student", "ID", "SIS Login ID", "Section")
_TOTALS = re.compile(r"(?:Current|Final|Override) (?:Score|Points|Grade)|Override Status")
_LIKE_TOTALS = re.compile(r"\b(?:Current|Final|Override)\b", re.IGNORECASE)
"""Canvas' importer drops every column with one of the former in its title, as its own totals have it; older ones went by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gradebook:
    """What is taken from an exported gradebook: the columns about students, the assignment's header and points, each student's cells and mark by ID.

    `thousands` is what groups digits in its numbers (`common.number`): a file with commas between its cells has no decimal comma before three digits.
    """

    header: tuple[str, ...]
    title: str
    points: float | None
    students: dict[str, tuple[str, ...]]
    marks: dict[str, str]
    thousands: str


def export(standings: Iterable[Standing], names: Names, options: Options) -> Exported:
    """Raises UsageError where the assignment is not named as `Title (id)`, or the exported gradebook is none."""
    title = require(options.assignment, "--assignment", '"CNN on CIFAR 10 (12345)", as the header of the exported gradebook has it')
    match = _TITLE.fullmatch(title)
    if match is None:
        raise UsageError(
            f'--assignment: expected "Title (id)" with Canvas\' number of the assignment; found {title!r}. '
            "Without the number, Canvas makes a new assignment. The exported gradebook has it in the column's header."
        )
    book = _gradebook(options, match[1]) if options.source is not None else None
    header = book.header if book is not None else _HEADER
    user_of = partial(numbered, platform="canvas", key="uid")
    found, left_out = addressed(standings, names, options, user_of, "a numeric Canvas user id (anonymous submissions have none)")
    rows, marks = [], {}
    replaced: list[str] = []
    for user, recipient in found.items():
        mark = two_decimals(_mark(recipient.standing, book))
        about: tuple[str, ...] = (_shown(recipient, options), user, "", "")
        if book is not None:
            if user not in book.students:
                left_out.append(f"{recipient.pseudonym}: not a student of the exported gradebook")
                continue
            about, there = book.students[user], book.marks[user]
            if there.strip() == "N/A":
                left_out.append(f"{recipient.pseudonym}: Canvas has not assigned it to this student (N/A)")
                continue
            if (said := others_mark(there, mark, recipient.pseudonym, options, book.thousands)) and not options.overwrite:
                left_out.append(f"{said}; it is kept (--overwrite replaces it)")
                continue
            replaced += [said] * bool(said)
        rows.append([*about, mark])
        marks[recipient.pseudonym] = mark
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*header, book.title if book is not None else defused(title)])
    if book is not None and book.points is not None:
        writer.writerow([_POINTS, *[""] * (len(header) - 1), two_decimals(book.points)])  # of 1,000 Canvas would make 1
    writer.writerows(rows)
    return Exported(
        files={FILENAME: text.getvalue().encode("utf-8")},
        written=len(rows),
        marks=marks,
        left_out=tuple(left_out),
        notes=(*_notes(found, book, title), *notes_on(found.values(), replaced)),
    )


def _shown(recipient: Recipient, options: Options) -> str:
    """The first cell, which Canvas does not read where there is an ID."""
    name = recipient.identity.name if options.with_names and recipient.identity is not None else ""
    return defused(name or recipient.pseudonym)


def _mark(standing: Standing, book: _Gradebook | None) -> float:
    total = standing.total or 0.0  # `addressed` gives only standings that have one
    points = book.points if book is not None else None
    return total if points is None or points <= 0 else scaled(total, standing.max_score, points)


def _notes(found: dict[str, Recipient], book: _Gradebook | None, title: str) -> Iterator[str]:
    named = one_line(clean(book.title if book is not None else title), 120)
    points = book.points if book is not None else None
    if points and any(not math.isclose(points, recipient.standing.max_score) for recipient in found.values()):
        yield f"Scaled to the {counted(points, 'point')} of Canvas' assignment."
    if _LIKE_TOTALS.search(named):
        surely = "imports nothing into" if _TOTALS.search(named) else "may import nothing into"
        yield f"Canvas takes a column with such a title for one of its own totals and {surely} it: {named}. Rename the assignment in Canvas, then export its gradebook again."
    if book is None:
        yield "The import replaces marks that are in Canvas already. To keep those that were given there, name the gradebook exported from there (--worksheet)."


def _gradebook(options: Options, assignment: str) -> _Gradebook:
    """Read the exported gradebook. Raises UsageError where it is none, or has no column of this assignment."""
    where = options.file or "the exported gradebook"
    try:
        text = (options.source or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where}: a gradebook exported by Canvas (CSV, UTF-8) was expected; this is other text. Export it again."
        ) from error
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    header = rows[0] if rows else []
    if len(header) < 4 or "Student" not in header[0] or header[1].strip() != "ID" or "Section" not in header:
        raise UsageError(
            f"{where}: the columns Student, ID, …, Section were expected in the first line. Export the gradebook from Canvas again."
        )
    columns = [place for place, name in enumerate(header) if (match := _TITLE.fullmatch(name)) and match[1] == assignment]
    if len(columns) != 1:
        raise UsageError(
            f"{where}: one column of the assignment ({assignment}) was expected; {len(columns)} were found. Check the number in --assignment."
        )
    about = header.index("Section") + 1
    stated = next((_cell(row, columns[0]).strip() for row in rows[1:3] if row and row[0].strip() == _POINTS.strip()), "")
    of_students = {row[1].strip(): row for row in rows[1:] if len(row) > 1 and row[1].strip().isascii() and row[1].strip().isdigit()}
    if "read only" in stated:
        raise UsageError(f"{where}: Canvas marks this assignment's column as read only, so it would ignore the import.")
    thousands = "," if delimiter == "," else ""
    points = number(stated, thousands)
    if stated and points is None:
        raise UsageError(
            f"{where}: the points possible of the assignment, {one_line(clean(stated), 40)!r}, cannot be read as one number for sure, so no mark can be "
            "scaled to them. Write them without a mark between thousands (1000.00) in this file."
        )
    return _Gradebook(
        header=tuple(header[:about]),
        title=header[columns[0]],
        points=points,
        students={user: tuple(_kept(_cell(row, place)) for place in range(about)) for user, row in of_students.items()},
        marks={user: _cell(row, columns[0]) for user, row in of_students.items()},
        thousands=thousands,
    )


def _cell(row: Sequence[str], place: int) -> str:
    return row[place] if place < len(row) else ""


def _kept(text: str) -> str:
    """A cell of Canvas' own, as it is unless a spreadsheet would run it."""
    return defused(text) if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
