"""`canvas.csv`, to be imported into Canvas' gradebook: `Student, ID, …, Section, Title (id)`; students are matched by ID.

Only students who have a mark are in it: to Canvas, an empty cell is a change of the mark that is there. Comments need Canvas' API. With the exported
gradebook at hand its columns, its students' cells and its points possible are kept, and whoever is not in it is left out.
"""

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grader.batch.export.common import Exported, Options, Recipient, addressed, defused, number, require, scaled, two_decimals
from grader.batch.export.names import Identity, Names
from grader.batch.records import Standing
from grader.errors import UsageError

NAME = "canvas-csv"
FILENAME = "canvas.csv"
_TITLE = re.compile(r".*\((\d+)\)\s*", re.DOTALL | re.ASCII)
_POINTS = "    Points Possible"
_HEADER = ("Student", "ID", "SIS Login ID", "Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gradebook:
    """What is taken from an exported gradebook: the columns about students, the assignment's header and points, each student's cells by ID."""

    header: tuple[str, ...]
    title: str
    points: str
    students: dict[str, tuple[str, ...]]


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
    found, left_out = addressed(standings, names, options, _user, "a numeric Canvas user id (anonymous hand-ins have none)")
    rows = []
    for user, recipient in found.items():
        if book is not None and user not in book.students:
            left_out.append(f"{recipient.pseudonym}: not a student of the exported gradebook")
            continue
        about = book.students[user] if book is not None else (_shown(recipient, options), user, "", "")
        rows.append([*about, two_decimals(_mark(recipient.standing, book))])
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*header, book.title if book is not None else defused(title)])
    if book is not None and book.points:
        writer.writerow([_POINTS, *[""] * (len(header) - 1), book.points])
    writer.writerows(rows)
    return Exported(
        files={FILENAME: text.getvalue().encode("utf-8")}, written=len(rows), left_out=tuple(left_out), notes=_notes(found, book)
    )


def _user(identity: Identity) -> str:
    own = identity.ids.get("uid", "") or (identity.student if identity.platform == "canvas" else "")
    return own if own.isascii() and own.isdigit() else ""


def _shown(recipient: Recipient, options: Options) -> str:
    """The first cell, which Canvas does not read where there is an ID."""
    name = recipient.identity.name if options.with_names and recipient.identity is not None else ""
    return defused(name or recipient.pseudonym)


def _mark(standing: Standing, book: _Gradebook | None) -> float:
    total = standing.total or 0.0  # `addressed` gives only standings that have one
    points = number(book.points) if book is not None else None
    return total if points is None or points <= 0 else scaled(total, standing.max_score, points)


def _notes(found: dict[str, Recipient], book: _Gradebook | None) -> tuple[str, ...]:
    pending = sum(recipient.standing.pending_points > 0 for recipient in found.values())
    points = number(book.points) if book is not None else None
    most = {recipient.standing.max_score for recipient in found.values()}
    notes = []
    if points and any(not math.isclose(points, each) for each in most):
        notes.append(f"Scaled to the {points:g} points of Canvas' assignment.")
    if pending:
        notes.append(f"{pending} of the marks count what is decided; a person still has to give points.")
    return tuple(notes)


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
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","))
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
    points = next((_cell(row, columns[0]) for row in rows[1:3] if row and row[0].strip() == _POINTS.strip()), "")
    students = {
        row[1].strip(): tuple(_kept(_cell(row, place)) for place in range(about))
        for row in rows[1:]
        if len(row) > 1 and row[1].strip().isascii() and row[1].strip().isdigit()
    }
    if "read only" in points:
        raise UsageError(f"{where}: Canvas marks this assignment's column as read only, so it would ignore the import.")
    return _Gradebook(header=tuple(header[:about]), title=header[columns[0]], points=points, students=students)


def _cell(row: Sequence[str], place: int) -> str:
    return row[place] if place < len(row) else ""


def _kept(text: str) -> str:
    """A cell of Canvas' own, as it is unless a spreadsheet would run it."""
    return defused(text) if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
