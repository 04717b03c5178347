"""What all exports share: who gets which mark, who gets none and why, and text that commands nothing in a spreadsheet."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from types import MappingProxyType

from grader.batch.export.names import Identity, Names
from grader.batch.points import SCORED, has_total
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.reports.text import clean, one_line

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CENT = Decimal("0.01")
_NO_SCORE = {
    "waiting": "not graded yet; run grade batch again",
    "started": "not graded yet; run grade batch again",
    "infra_error": "the machine failed while grading it; run grade batch again",
    "grader_error": "the grader failed on it; a person has to look at it",
    "ungradable": "it could not be graded; a person has to decide",
}
REVIEW = "a person has to look at it first (include_review writes it as it is)"
UNKNOWN = "who is behind this pseudonym is not known; keep the names file beside the gradebook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an export was asked for. Each format reads what it needs.

    `with_names`: names as well as pseudonyms (csv, nbgrader). `include_review`: also those that a person should look at first. `assignment`: Canvas'
    `Title (id)`, or nbgrader's name of the assignment. `source`: the file downloaded from the platform (canvas-csv: the exported gradebook, may be
    left out; moodle: the grading worksheet), `file` its name. `columns` names the worksheet's columns where they are not found: `identifier`,
    `grade`, `maximum`, `feedback`, each a header or a number from 1. `feedback`: whether the worksheet's feedback is written. `database`: nbgrader's
    gradebook.db; `notebook` the notebook's name in it, `course` the course's.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What came of an export. `files`: content by file name (none where the export writes elsewhere); `written`: students whose mark is in it.

    `left_out`: who is not, by pseudonym (or line of the platform's file), each with the reason. `notes`: what else a person should know.
    """

    files: Mapping[str, bytes]
    written: int
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One student and the mark that is theirs. `identity` is None where it is not known; `group`: the pseudonym of the group that handed in."""

    pseudonym: str
    standing: Standing
    identity: Identity | None
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A group's student of whom only the platform's identifier is known."""

    student: str
    platform: str
    name: str = ""
    ids: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    members: tuple[str, ...] = ()


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
    group = names.of(standing.student)
    if standing.members:
        return tuple(
            Recipient(pseudonym=member, standing=standing, identity=names.of(member), group=standing.student) for member in standing.members
        )
    if group is not None and group.members:
        return tuple(
            Recipient(
                pseudonym=standing.student,
                standing=standing,
                identity=group if member == group.student else _Member(student=member, platform=group.platform),
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
        left_out += [f"{pseudonym}: more than one hand-in has a mark for this student; a person has to decide" for pseudonym in pseudonyms]
    return found, left_out


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


def number(text: str) -> float | None:
    """A number as platforms write it: `10.00`, `10,00` (a decimal comma), nothing else."""
    found = text.strip().replace("\u00a0", "")
    if not re.fullmatch(r"-?\d{1,12}(?:[.,]\d{1,10})?", found, re.ASCII):
        return None
    value = float(found.replace(",", "."))
    return value if math.isfinite(value) else None


def require(given: str, option: str, example: str) -> str:
    """An option that a format needs. Raises UsageError where it is missing."""
    if not given.strip():
        raise UsageError(f"{option}: this export needs it and it was not given. Example: {example}")
    return given
