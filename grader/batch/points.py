"""What is decided of a standing: which overrides count, the report with them in its lines and sums, and whether there is a total."""

import math
from collections.abc import Iterable
from dataclasses import replace

from grader import scoring
from grader.batch.records import Override, Standing
from grader.records import CriterionResult, Report, Status

SCORED = frozenset({"graded", "needs_review"})
"""The endings that have a score. The others have none, which is not zero."""


def has_total(standing: Standing) -> bool:
    """Whether there is a total: the ending has a score and the number is one."""
    return standing.status in SCORED and standing.total is not None and math.isfinite(standing.total)


def in_force(overrides: Iterable[Override]) -> dict[str, Override]:
    """The newest override of each criterion, where that was not a withdrawal. `overrides` are in order of making."""
    newest = {made.criterion: made for made in overrides}
    return {criterion: made for criterion, made in newest.items() if made.points is not None}


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
    earned = min(round(points * 100) / 100, line.points)
    status = Status.PASS if earned >= line.points else Status.PARTIAL if earned > 0 else Status.FAIL
    return replace(line, earned=earned, status=status, basis="measured")
