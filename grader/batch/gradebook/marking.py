"""A report with a person's decisions in it: sums anew, as `scoring` makes them."""

from collections.abc import Iterable
from dataclasses import replace

from grader import scoring
from grader.batch.points import in_force
from grader.batch.records import Override
from grader.records import CriterionResult, Report, Status

_CENT = 100


def overridden(report: Report, overrides: Iterable[Override]) -> Report:
    """The report with the points of those `overrides` that count in its lines, and with `score` and `pending_points` that fit them; `auto_score` and `auto_max` stay the machine's.

    A line whose criterion has come to be worth less (another version of the rubric) gives at most what it is worth.
    """
    points = {criterion: made.points for criterion, made in in_force(overrides).items() if made.points is not None}
    if not any(line.id in points for line in report.criteria):
        return report
    lines = tuple(_line(line, points[line.id]) if line.id in points else line for line in report.criteria)
    sums = scoring.totals(lines)
    return replace(report, criteria=lines, score=sums.score, pending_points=sums.pending)


def _line(line: CriterionResult, points: float) -> CriterionResult:
    earned = min(round(points * _CENT) / _CENT, line.points)
    status = Status.PASS if earned >= line.points else Status.PARTIAL if earned > 0 else Status.FAIL
    return replace(line, earned=earned, status=status, basis="measured")
