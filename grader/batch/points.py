"""What is decided of a standing, with a person's overrides in it: the one place where exports, the summary and the class page take points from."""

import math
from datetime import UTC, datetime

from grader.batch.records import Override, Standing

SCORED = frozenset({"graded", "needs_review"})
"""The endings that have a score. The others have none, which is not zero."""

_EARLIEST = datetime.min.replace(tzinfo=UTC)


def has_total(standing: Standing) -> bool:
    """Whether there is a total: the ending has a score and the number is one."""
    return standing.status in SCORED and standing.total is not None and math.isfinite(standing.total)


def overrides(standing: Standing) -> dict[str, Override]:
    """The override that counts of each criterion: the newest, unless it withdraws the earlier ones."""
    ordered = sorted(standing.overrides, key=lambda made: made.made_at if made.made_at.tzinfo else _EARLIEST)
    newest = {made.criterion: made for made in ordered}
    return {criterion: made for criterion, made in newest.items() if made.points is not None}


def earned(standing: Standing) -> dict[str, float | None]:
    """The points of each criterion in the report's order, None where nothing is decided. Empty where there is no report."""
    if standing.report is None:
        return {}
    decided = overrides(standing)
    return {line.id: decided[line.id].points if line.id in decided else line.earned for line in standing.report.criteria}
