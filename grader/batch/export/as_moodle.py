"""Moodle's offline grading worksheet, as downloaded, with grades and feedback filled in. Every other byte of it stays as it was.

The worksheet is in the language of whoever downloaded it, and Moodle compares it with the language of whoever uploads it. So nothing is made anew:
the columns are found by their English headers, else by what stands in them and where, and the user can name them. The mark is scaled to the
worksheet's maximum grade. Rows without a mark stay as they are, and so do those with a grade that somebody else gave.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from grader.batch.export.common import Exported, Names, Options, addressed, notes_on, number, numbered, others_mark, scaled, two_decimals
from grader.batch.export.worksheet import Row, Worksheet, read
from grader.batch.identities import Identity
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.reports import view
from grader.reports.text import clean
from grader.words import counted, one_line

FILENAME = "moodle.csv"
_ENGLISH = {
    "identifier": ("identifier",),
    "grade": ("grade",),
    "maximum": ("maximum grade",),
    "feedback": ("feedback comments",),
    "changeable": ("grade can be changed",),
}
_IDENTIFIER = re.compile(r"\D*?(\d{1,18})\s*", re.ASCII)
_TIME = re.compile(r"-|(?=[^<]*\d)[^<]{1,80}")
_OURS = "<p>Automatic grading: "
_MOST_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where in a row things stand, from 0. `feedback` and `changeable` are None where they are not known."""

    identifier: int
    grade: int
    maximum: int
    feedback: int | None
    changeable: int | None


def export(standings: Iterable[Standing], names: Names, options: Options) -> Exported:
    """Fill the worksheet in.

    Raises:
        UsageError: there is none, it is no grading worksheet, or a column was not found.
    """
    where = options.file or "the grading worksheet"
    if options.source is None:
        raise UsageError(
            "--worksheet: this export fills in the grading worksheet that Moodle gives; none was given. "
            "Download it (View all submissions, Grading action: Download grading worksheet) and name it."
        )
    sheet = read(options.source, where)
    columns = _columns(sheet, options, where)
    found, left_out = addressed(standings, names, options, _participant, "a Moodle participant number (a group's own number names none)")
    replaced: dict[tuple[int, int], str] = {}
    seen: set[str] = set()
    kept_feedback = 0
    marks: dict[str, str] = {}
    overwritten: list[str] = []
    for place, row in enumerate(sheet.rows[1:], 1):
        participant = _number_of(row, columns.identifier)
        recipient = found.get(participant)
        if recipient is None or participant in seen:
            why = "the identifier has no mark here" if recipient is None else "the identifier is in an earlier row too"
            left_out.append(f"{where}, line {row.line}: {why}; the row is as it was")
            continue
        seen.add(participant)
        because = _obstacle(row, columns)
        if because:
            left_out.append(f"{recipient.pseudonym}: {where}, line {row.line}: {because}; the row is as it was")
            continue
        there = row.cells[columns.grade].value
        mark = _mark(recipient.standing, row.cells[columns.maximum].value)
        if (said := others_mark(there, mark, recipient.pseudonym, options)) and not options.overwrite:
            left_out.append(f"{said}; {where}, line {row.line} is as it was (--overwrite replaces it)")
            continue
        overwritten += [said] * bool(said)
        marks[recipient.pseudonym] = mark
        if number(there) != number(mark):
            replaced[place, columns.grade] = mark
        if options.feedback and columns.feedback is not None:
            before = row.cells[columns.feedback].value
            if before.strip() and not before.startswith(_OURS):
                kept_feedback += 1
            elif (text := _feedback(recipient.standing)) != before:
                replaced[place, columns.feedback] = text
    left_out += [f"{found[number_].pseudonym}: no row of {where} has its identifier" for number_ in found if number_ not in seen]
    notes = (*_notes(columns, options, kept_feedback), *notes_on(found.values(), overwritten))
    return Exported(files={FILENAME: sheet.with_cells(replaced)}, written=len(marks), marks=marks, left_out=tuple(left_out), notes=notes)


def _participant(identity: Identity) -> str:
    return numbered(identity, "moodle", "participant").lstrip("0")


def _number_of(row: Row, column: int) -> str:
    match = _IDENTIFIER.fullmatch(row.cells[column].value) if column < len(row.cells) else None
    return match[1].lstrip("0") if match else ""


def _obstacle(row: Row, columns: _Columns) -> str:
    """Why a row cannot be graded; empty where it can."""
    if len(row.cells) <= max(columns.grade, columns.maximum, columns.feedback or 0):
        return "it has fewer columns than the first line"
    if not (number(row.cells[columns.maximum].value) or 0) > 0:
        return "its maximum grade cannot be read as a number above zero"
    if columns.changeable is not None and row.cells[columns.changeable].value.strip().lower() == "no":
        return "Moodle says that this grade cannot be changed"
    return ""


def _mark(standing: Standing, maximum: str) -> str:
    """The total on the worksheet's scale, with its decimal mark; never above its maximum, which Moodle would refuse."""
    most = number(maximum) or 0.0
    text = two_decimals(min(scaled(standing.total or 0.0, standing.max_score, most), most))
    return text.replace(".", ",") if "," in maximum else text


def _feedback(standing: Standing) -> str:
    """The mark and what cost points as HTML in ASCII: whatever the worksheet's encoding, it can hold it."""
    report = standing.report
    most, total = two_decimals(standing.max_score), two_decimals(standing.total or 0.0)
    parts = [f"{_OURS}{total} of {most} points"]
    if standing.penalty:
        parts.append(f", after {two_decimals(standing.penalty)} were taken off for lateness")
    if standing.pending_points > 0:
        parts.append(f"; up to {two_decimals(standing.pending_points)} more in manual review")
    resting = [_escaped(line.result.title) for line in view.recorded(report)] if report else []
    parts.append(f"; {view.RECORDED}: {', '.join(resting)}" * bool(resting) + ".</p>")
    lost = [(line.earned, line) for line in report.criteria if line.earned is not None and line.earned < line.points] if report else []
    if lost:
        shown = [
            f"<li>{_escaped(line.title)} ({two_decimals(earned)} of {two_decimals(line.points)}): {_escaped(line.message)}</li>"
            for earned, line in sorted(lost, key=lambda one: one[0] - one[1].points)[:_MOST_LINES]
        ]
        parts.append(f"<ul>{''.join(shown)}</ul>")
    return "".join(parts)


def _escaped(text: str) -> str:
    return html.escape(one_line(clean(text), 500)).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _notes(columns: _Columns, options: Options, kept: int) -> Iterator[str]:
    if options.feedback and columns.feedback is None:
        yield "Feedback was not written: its column was not recognised. Name it (--column feedback=HEADER) or ask for none (--no-feedback)."
    if kept:
        yield f"{counted(kept, 'row holds', 'rows hold')} feedback that is not the grader's; it was kept."


# ------------------------------------------------------------------ finding the columns


def _columns(sheet: Worksheet, options: Options, where: str) -> _Columns:
    header = [cell.value.strip() for cell in sheet.rows[0].cells]
    body = [[cell.value.strip() for cell in row.cells] for row in sheet.rows[1:]]
    unknown = set(options.columns) - {"identifier", "grade", "maximum", "feedback"}
    if unknown:
        raise UsageError(f"--column {min(unknown)}: expected identifier, grade, maximum or feedback.")

    def place(name: str, guess: Callable[[], int | None]) -> int | None:
        if name in options.columns:
            return _named(header, options.columns[name], name, where)
        english = [number_ for number_, text in enumerate(header) if text.lower() in _ENGLISH[name]]
        return english[0] if len(english) == 1 else guess()

    def wanted(name: str, guess: Callable[[], int | None]) -> int:
        column = place(name, guess)
        if column is None:
            shown = ", ".join(f"{number_}: {one_line(clean(text), 40)}" for number_, text in enumerate(header, 1))
            raise UsageError(
                f"{where}: the column of the {name} was not recognised. Name it, as its header or its number: --column {name}=NUMBER. Found {shown}. "
                "(A worksheet with a scale instead of a maximum grade cannot be filled in.)"
            )
        return column

    identifier = wanted("identifier", lambda: 0 if body and all(_IDENTIFIER.fullmatch(row[0]) for row in body) else None)
    maximum = wanted("maximum", lambda: _maximum(body, len(header)))
    grade = wanted("grade", lambda: maximum - 1 if _holds_grades(body, maximum - 1, maximum) else None)
    if len({identifier, maximum, grade}) < 3:
        raise UsageError(f"{where}: identifier, grade and maximum are the same column. Name each: --column grade=NUMBER.")
    feedback = place("feedback", lambda: _feedback_column(body, maximum, len(header)))
    if feedback in {identifier, maximum, grade}:
        if "feedback" in options.columns:
            raise UsageError(f"{where}: the feedback's column is another one's too. Name it: --column feedback=NUMBER.")
        feedback = None  # a guess that was wrong
    changeable = place("changeable", lambda: None)
    return _Columns(identifier=identifier, grade=grade, maximum=maximum, feedback=feedback, changeable=changeable)


def _named(header: list[str], name: str, what: str, where: str) -> int:
    """The column that the user named, by header or by number from 1. Raises UsageError."""
    places = [place for place, text in enumerate(header) if text == name.strip()]
    if len(places) == 1:
        return places[0]
    if name.strip().isascii() and name.strip().isdigit() and 1 <= int(name) <= len(header):
        return int(name) - 1
    raise UsageError(
        f"{where}: --column {what}={one_line(name, 60)}: expected one header of the first line, or a number from 1 to {len(header)}."
    )


def _maximum(body: list[list[str]], width: int) -> int | None:
    """The one column with the same number above zero in every row, and beside it, to the left, one of grades."""
    found = []
    for column in range(2, width):
        values = {row[column] if column < len(row) else "" for row in body}
        if len(values) == 1 and (number(next(iter(values))) or 0) > 0 and _holds_grades(body, column - 1, column):
            found.append(column)
    return found[0] if len(found) == 1 else None


def _holds_grades(body: list[list[str]], column: int, maximum: int) -> bool:
    """Whether every cell is empty, a dash, or a number from 0 to its row's maximum."""
    for row in body:
        if max(column, maximum) >= len(row):
            return False
        text = row[column]
        value = number(text)
        if text not in {"", "-"} and (value is None or not 0 <= value <= (number(row[maximum]) or 0)):
            return False
    return True


def _feedback_column(body: list[list[str]], maximum: int, width: int) -> int | None:
    """The last column where it is the only one after the last time of grading (a dash, or text with a number, in every row); None where unclear."""
    times = [
        column for column in range(maximum + 1, width) if body and all(column < len(row) and _TIME.fullmatch(row[column]) for row in body)
    ]
    return width - 1 if times and times[-1] == width - 2 else None
