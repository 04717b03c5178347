"""From findings to points: the only place where points are computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from grader.records import CriterionResult, Finding, Status

_CENT = 100


class Line(Protocol):
    """What scoring needs to know of a rubric's criterion; `expected` and `hint` are shown where the check does not say."""

    id: str
    title: str
    section: int
    points: float
    why: str
    expected: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Sums over a report's lines, in points. `pending` is what a person still gives; undecided automatic points are in neither sum."""

    score: float
    maximum: float
    auto_score: float
    auto_maximum: float
    pending: float


def result(line: Line, finding: Finding) -> CriterionResult:
    """One line of the report. Points are rounded to hundredths, so that the printed lines add up.

    A fraction outside [0, 1], or not a number, is a defect of the check: the line becomes `error`, never points.
    """
    earned = None
    status, message = finding.status, finding.message
    if finding.fraction is not None:
        if not 0.0 <= finding.fraction <= 1.0:
            status, message = Status.ERROR, "This criterion could not be judged because of a defect in the grader; manual review is needed."
        else:
            earned = round(line.points * finding.fraction * _CENT) / _CENT
    lost = status in (Status.FAIL, Status.PARTIAL)
    return CriterionResult(
        id=line.id,
        title=line.title,
        section=line.section,
        points=float(line.points),
        earned=earned,
        status=status,
        message=message,
        hint=(finding.hint or line.hint) if lost else finding.hint,
        expected=finding.expected or line.expected,
        actual=finding.actual,
        why=line.why,
        basis=finding.basis,
    )


def totals(results: Iterable[CriterionResult]) -> Totals:
    """Add the lines up: `score` counts decided points only."""
    lines = tuple(results)
    manual = [line for line in lines if line.status is Status.MANUAL]
    automatic = [line for line in lines if line.status is not Status.MANUAL]
    earned = sum(round((line.earned or 0.0) * _CENT) for line in automatic) / _CENT
    return Totals(
        score=earned,
        maximum=sum(line.points for line in lines),
        auto_score=earned,
        auto_maximum=sum(line.points for line in automatic if line.earned is not None),
        pending=sum(line.points for line in manual),
    )


def reached(results: Iterable[CriterionResult]) -> float:
    """The percentage of the automatic points that were earned; 0 where there are none.

    Undecided points count as missing, so that nothing raises the percentage by hiding; those that the run was asked to leave out do not count.
    """
    asked = [line for line in results if line.status is not Status.MANUAL and line.basis != "left_out"]
    possible = sum(line.points for line in asked)
    return 100 * totals(asked).score / possible if possible else 0.0
