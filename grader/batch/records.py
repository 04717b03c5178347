"""What passes between the parts of a batch: entries, keys, results and standings. Data without behaviour; no names of students in any of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from grader.records import Report

FINISHED = frozenset({"graded", "needs_review", "ungradable", "grader_error"})
"""The endings (`RunStatus`) after which a submission is not tried again by itself; `infra_error` is retried by the next run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One hand-in on its way into the gradebook.

    `student` is a pseudonym (`sub_…`), of a group where a group hands in; `members` are the pseudonyms of all who get this mark, where they are more
    than the one. `content` identifies what is graded (equal notebooks have equal contents, whatever their files' metadata), `sha256` the file's bytes.
    `code` is the text of the code cells, for the comparison between students. `submitted_at` is aware of its zone.
    """

    student: str
    content: str
    sha256: str
    code: str = ""
    members: tuple[str, ...] = ()
    platform: str = "folder"
    submitted_at: datetime | None = None
    seconds_late: float | None = None
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingKey:
    """What a grading depends on besides the content: equal keys and contents are graded once."""

    rubric: str
    rubric_version: str
    rubric_sha256: str
    tool: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """What a worker answers: the report as `report.json` text, and what it cost. `trained`: models that were trained for it; `reused`: verdicts from the cache."""

    content: str
    status: str
    report: str
    seconds: float = 0.0
    phases: Mapping[str, float] = field(default_factory=dict)
    trained: int = 0
    reused: int = 0
    worker: str = ""
    staff: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A person's decision on one criterion. `points` None withdraws an earlier one. The newest one of a criterion counts; all are kept."""

    criterion: str
    points: float | None
    reason: str
    author: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one student stands: the attempt that counts and what it is worth.

    `report` has the overrides in its lines and sums; `machine` is what its lines had given, by criterion, where one counts.

    `status`: a `RunStatus` value, or `waiting` (not graded yet under this key). `score` has the overrides in it, `penalty` is the late policy's (points
    taken off), `total` is `score - penalty`, not below zero; all three are None where there is no score, which is not zero. `attempts`: how many the student handed in.
    """

    student: str
    attempt: int
    attempts: int
    content: str
    status: str
    members: tuple[str, ...] = ()
    platform: str = "folder"
    report: Report | None = None
    machine: Mapping[str, float | None] = field(default_factory=dict)
    score: float | None = None
    max_score: float = 0.0
    pending_points: float = 0.0
    penalty: float | None = None
    total: float | None = None
    submitted_at: datetime | None = None
    seconds_late: float | None = None
    graded_at: datetime | None = None
    overrides: tuple[Override, ...] = ()
    seconds: float = 0.0
    trained: int = 0
    reused: int = 0
    code: str = ""
