"""Standings to tell of: real reports (`reports/`, made by `grade run --budget none`), and those of tests/reports that have training in them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "reports"))

from samples import SAMPLES

from grader.batch.points import overridden
from grader.batch.records import Override, Standing
from grader.records import Report
from grader.reports import as_json

REPORTS = Path(__file__).with_name("reports")
CASES = sorted(path.stem for path in REPORTS.glob("*.json"))
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\x00\u202e\r\n=cmd|' /C calc'!A0 {{7*7}} \"quoted\", ; \t"


@cache
def report(case: str) -> Report:
    """A real report, or a sample by its name."""
    return as_json.load(REPORTS / f"{case}.json") if case in CASES else SAMPLES[case]().report


def standing(student: str, case: str = "full_spanish_stored_outputs", **fields: object) -> Standing:
    """Somebody with a report, as the gradebook would tell of them."""
    found = fields.pop("report", None) or report(case)
    scored = found.status.value in {"graded", "needs_review"}
    penalty = fields.pop("penalty", 0.0)
    score = fields.pop("score", found.score)
    given = {
        "attempt": 1,
        "attempts": 1,
        "content": f"content-{case}",
        "status": found.status.value,
        "report": found,
        "score": score if scored else None,
        "max_score": found.max_score,
        "pending_points": found.pending_points if scored else 0.0,
        "penalty": penalty if scored else None,
        "total": max(0.0, score - penalty) if scored else None,
        "submitted_at": NOON,
        "graded_at": NOON,
        "seconds": 12.5,
    }
    given |= fields
    if "overrides" in given:  # the gradebook gives them in the report's lines, too
        given["report"] = overridden(found, given["overrides"])
    return Standing(student=student, **given)


def override(criterion: str, points: float | None, minute: int = 0) -> Override:
    return Override(criterion=criterion, points=points, reason="seen", author="ta", made_at=NOON.replace(minute=minute))


def hostile(case: str = "wrong_maxpool_flatten") -> Report:
    """A report in which every word that a student might have a hand in is hostile."""
    found = report(case)
    return replace(
        found,
        reason=HOSTILE,
        submission=replace(found.submission, file=HOSTILE),
        criteria=tuple(replace(line, title=HOSTILE, message=HOSTILE, hint=HOSTILE) for line in found.criteria),
        flags=tuple(replace(flag, id=HOSTILE, message=HOSTILE) for flag in report("hostile_forges_frames").flags),
    )


@dataclass(frozen=True)
class Person:
    student: str
    platform: str = "canvas"
    name: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    members: tuple[str, ...] = ()


class People(dict[str, Person]):
    """Names as an export asks for them."""

    def __call__(self, pseudonym: str) -> Person | None:
        return self.get(pseudonym)


NO_SCORE = ("ungradable", "grader_error", "infra_error", "started")
