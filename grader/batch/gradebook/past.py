"""What `Gradebook.history` tells: a student's attempts, each with all that came of it. Data without behaviour."""

from dataclasses import dataclass
from datetime import datetime

from grader.batch.records import Override


@dataclass(frozen=True, slots=True, kw_only=True)
class PastGrading:
    """One grading. `round` is 0 for the first finished one under its key, and None for an `infra_error`; scores are the report's own, without overrides.

    `staff` is for staff alone: it may hold a traceback.
    """

    key_id: int
    round: int | None
    status: str
    score: float
    max_score: float
    pending_points: float
    graded_at: datetime
    seconds: float
    trained: int
    reused: int
    worker: str
    staff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One attempt. `attempt` is its place among the student's (from 1; the last one counts), `number` what the platform called it."""

    attempt: int
    number: int | None
    content: str
    sha256: str
    platform: str
    members: tuple[str, ...]
    submitted_at: datetime | None
    seconds_late: float | None
    arrived_at: datetime
    gradings: tuple[PastGrading, ...]
    overrides: tuple[Override, ...]
