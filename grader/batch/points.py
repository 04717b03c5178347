"""What is decided of a standing: which overrides count, and whether there is a total. A standing's report has those overrides in its lines."""

import math
from collections.abc import Iterable

from grader.batch.records import Override, Standing

SCORED = frozenset({"graded", "needs_review"})
"""The endings that have a score. The others have none, which is not zero."""


def has_total(standing: Standing) -> bool:
    """Whether there is a total: the ending has a score and the number is one."""
    return standing.status in SCORED and standing.total is not None and math.isfinite(standing.total)


def in_force(overrides: Iterable[Override]) -> dict[str, Override]:
    """The newest override of each criterion, where that was not a withdrawal. `overrides` are in order of making."""
    newest = {made.criterion: made for made in overrides}
    return {criterion: made for criterion, made in newest.items() if made.points is not None}
