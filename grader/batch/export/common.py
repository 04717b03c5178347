"""What all exports share: who gets which mark, who gets none and why, and text that commands nothing in a spreadsheet."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from grader.batch.identities import Identity
from grader.batch.points import SCORED, has_total
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.reports.text import clean
from grader.words import counted, one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CENT = Decimal("0.01")
_BLANKS = re.compile("[\u00a0\u2007\u2009\u202f]")
_NUMBER = re.compile(
    r"(?P<sign>-?)(?P<whole>[1-9]\d{0,2}(?P<group>[., '])\d{3}(?:(?P=group)\d{3}){0,3}|\d{1,12})(?:(?P<mark>[.,])(?P<part>\d{1,10}))?",
    re.ASCII,
)
_NO_SCORE = {
    "waiting": "not graded yet; run grade batch again",
    "started": "not graded yet; run grade batch again",
    "infra_error": "the machine failed while grading it; run grade batch again",
    "grader_error": "the grader failed on it; manual review is needed",
    "ungradable": "it could not be graded; manual review is needed",
}
Names = Callable[[str], Identity | None]
"""Who is behind a pseudonym, as far as it is known."""
REVIEW = "it needs manual review first (--include-review writes it as it is)"
UNKNOWN = "no name is known for this pseudonym; keep the names file next to the gradebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an export was asked for. Each format reads what it needs.

    `with_names`: names as well as pseudonyms (csv, nbgrader). `include_review`: also those that a person should look at first. `assignment`: Canvas'
    `Title (id)`, or nbgrader's name of the assignment. `source`: the file downloaded from the platform (canvas-csv: the exported gradebook, may be
    left out; moodle: the grading worksheet), `file` its name. `columns` names the worksheet's columns where they are not found: `identifier`,
    `grade`, `maximum`, `feedback`, each a header or a number from 1. `feedback`: whether the worksheet's feedback is written. `database`: nbgrader's
    gradebook.db; `notebook` the notebook's name in it, `course` the course's. `overwrite`: whether a mark that somebody gave there is replaced;
    `earlier`: the marks that were exported in this format before, by pseudonym: they are ours, so a newer one replaces them.
    """

    with_names: bool = False
    include_review: bool = False
    assignment: str = ""
    source: bytes | None = None
    file: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    feedback: bool = True
    database: Path | None = None
    notebook: str = "submission"
    course: str = "default_course"
    overwrite: bool = False
    earlier: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of an export. `files`: content by file name (none where the export writes elsewhere); `written`: students whose mark is in it.

    `left_out`: who is not, by pseudonym (or line of the platform's file), each with the reason. `notes`: what else a person should know.
    `marks`: what was written of whom, where the platform is one that tells what it holds when it is asked again.
    """

    files: Mapping[str, bytes]
    written: int
    marks: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One student and the mark that is theirs. `identity` is None where it is not known; `group`: the pseudonym of the group that handed in."""

    pseudonym: str
    standing: Standing
    identity: Identity | None
    group: str = ""


def reason(standing: Standing, options: Options) -> str:
    """Why a standing has no mark to write; empty where it has one."""
    if standing.status not in SCORED:
        said = _NO_SCORE.get(standing.status, f"its status is {one_line(clean(standing.status), 40)}")
        given = one_line(clean(standing.report.reason), 200) if standing.report is not None else ""
        return f"{standing.status}: {said}{f' ({given})' if given else ''}"
    if not has_total(standing):
        return f"{standing.status}: it has no total"
    if standing.status == "needs_review" and not options.include_review:
        return f"needs_review: {REVIEW}"
    return ""


def recipients(standing: Standing, names: Names) -> tuple[Recipient, ...]:
    """Everybody who gets this mark: the student, or each member of the group."""
    group = names(standing.student)
    if standing.members:
        return tuple(
            Recipient(pseudonym=member, standing=standing, identity=names(member), group=standing.student) for member in standing.members
        )
    if group is not None and group.members:
        return tuple(
            Recipient(
                pseudonym=standing.student,
                standing=standing,
                identity=group if member == group.student else Identity(pseudonym="", student=member, platform=group.platform),
                group=standing.student,
            )
            for member in group.members
        )
    return (Recipient(pseudonym=standing.student, standing=standing, identity=group),)


def addressed(
    standings: Iterable[Standing], names: Names, options: Options, address: Callable[[Identity], str], wanted: str
) -> tuple[dict[str, Recipient], list[str]]:
    """Who gets a mark, by address on the platform, and a sentence for everybody who does not.

    Args:
        standings: one a student or group.
        names: who is who.
        options: whether those that a person should look at are in.
        address: the platform's identifier, empty where there is none.
        wanted: what the address is, for the sentence ("a numeric Canvas user id").

    An address that two standings claim gets nothing: which mark is right is for a person to say.
    """
    found: dict[str, Recipient] = {}
    twice: dict[str, list[str]] = {}
    left_out: list[str] = []
    for standing in standings:
        because = reason(standing, options)
        for recipient in recipients(standing, names):
            where = address(recipient.identity) if recipient.identity is not None else ""
            if because:
                left_out.append(f"{recipient.pseudonym}: {because}")
            elif recipient.identity is None:
                left_out.append(f"{recipient.pseudonym}: {UNKNOWN}")
            elif not where:
                left_out.append(f"{recipient.pseudonym}: {wanted} was expected; none is known")
            elif where in twice:
                twice[where].append(recipient.pseudonym)
            elif where in found:
                twice[where] = [found.pop(where).pseudonym, recipient.pseudonym]
            else:
                found[where] = recipient
    for pseudonyms in twice.values():
        left_out += [f"{pseudonym}: more than one submission has a mark for this student; choose one by hand" for pseudonym in pseudonyms]
    return found, left_out


def numbered(identity: Identity, platform: str, key: str) -> str:
    """A student's number on a platform: one of its `ids`, or the identifier of who handed in there; empty where it is no number."""
    own = identity.ids.get(key, "") or (identity.student if identity.platform == platform else "")
    return own if own.isascii() and own.isdigit() else ""


def defused(text: str) -> str:
    """Text for a cell of a spreadsheet: one line, and never the beginning of a formula."""
    begins = text.startswith(_FORMULA)
    line = one_line(clean(text), 2000)
    return f"'{line}" if begins or line.startswith(_FORMULA) else line


def two_decimals(value: float) -> str:
    """Points with two decimals, halves rounded up."""
    return str(Decimal(str(value)).quantize(_CENT, ROUND_HALF_UP))


def scaled(value: float, most: float, to: float) -> float:
    """Points of `most` as points of `to`, at most as many more than the whole as there were."""
    return value if most == to or not most > 0 else value * to / most


def number(text: str, thousands: str | None = None) -> float | None:
    """A number as platforms write it: `10.00`, `10,00`, `1,000.00`, `1.000,00`, `1 000`; None for anything else, and for what may be two numbers.

    `thousands`: the mark that groups digits where one comma or point stands before the last three of them (`1,000`); of another one there the
    number is not known. None: such a mark is a decimal one, as of platforms that group no digits.
    """
    match = _NUMBER.fullmatch(_BLANKS.sub(" ", text.strip()).replace("\u2019", "'"))
    if match is None or (match["mark"] and match["mark"] == match["group"]):
        return None
    sign, whole, group, mark, part = match["sign"], match["whole"], match["group"], match["mark"], match["part"] or "0"
    if group in (",", ".") and not mark and whole.count(group) == 1 and thousands != group:
        if thousands is not None:
            return None
        whole, _, part = whole.partition(group)
    return float(f"{sign}{re.sub('[^0-9]', '', whole)}.{part}")


def others_mark(there: str, mark: str, pseudonym: str, options: Options, thousands: str | None = None) -> str:
    """Both marks in words, where the platform holds one that is neither `mark` nor one that was exported before: somebody else gave it."""
    ours = [mark, *options.earlier.get(pseudonym, ())]
    if there.strip() in {"", "-"} or number(there, thousands) in map(number, ours):
        return ""
    return f"{pseudonym}: {one_line(clean(there), 40)} is there already, the grader's mark is {mark}"


def notes_on(found: Iterable[Recipient], replaced: Sequence[str]) -> list[str]:
    """What an instructor should know of the marks that were written, `replaced` in the place of others."""
    pending = sum(recipient.standing.pending_points > 0 for recipient in found)
    notes = [
        f"{counted(pending, 'mark counts', 'marks count')} only what is graded automatically; manual review can still add points."
    ] * bool(pending)
    return notes + [f"{counted(len(replaced), 'mark was', 'marks were')} replaced (--overwrite): {'; '.join(replaced)}."] * bool(replaced)


def require(given: str, option: str, example: str) -> str:
    """An option that a format needs. Raises UsageError where it is missing."""
    if not given.strip():
        raise UsageError(f"{option}: this export needs it and it was not given. Example: {example}")
    return given
