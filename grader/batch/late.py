"""Late policies as data: what lateness costs, in points, computed when standings are told and never stored with a score.

A policy is a TOML file:

    kind = "per_day"          # none | per_day | cut_off
    percent = 10              # of the maximum, for every day begun; or: points = 5
    at_most_percent = 50      # of the maximum; 100 where it is left out
    grace_minutes = 15
    due = 2026-11-01T23:59:00+01:00
    zone = "Europe/Berlin"

    [exceptions.sub_3f9a1c07d2e4]
    due = 2026-11-08T23:59:00+01:00    # or: excused = true

The grace moves the due time: a day is begun where it ends, not before. A day is one by the clock of `zone`, from the due time to the same time of the next
date, so that the day on which summer time ends has 25 hours; without `zone`, or where the time of submission is not known, it is 24 hours. `hours` of
a cut-off are always hours. Lateness is what the platform says; else the submission's time against `due`; a student's own due time goes before both.
Where neither is known, the penalty is not known either: nothing is guessed.
"""

import json
import math
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from grader.errors import UsageError

SETTING = "late_policy"
"""The gradebook's setting that holds a policy, as `LatePolicy.as_setting` gives it."""
_DAY_S = 86_400
_CENT = 100
_Percent = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class LateException(BaseModel):
    """What holds for one student (a pseudonym; of the group where a group hands in): a due time of their own, or no penalty at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    due: AwareDatetime | None = None
    excused: bool = False

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.due is None) == (not self.excused):
            raise ValueError("expected either a due time or excused = true")
        return self


class LatePolicy(BaseModel):
    """A late policy (module docstring). `hours` is of the kind cut_off: after so many hours the submission is worth nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["none", "per_day", "cut_off"]
    percent: _Percent | None = None
    points: _Positive | None = None
    at_most_percent: _Percent | None = None
    hours: _NotNegative | None = None
    grace_minutes: _NotNegative = 0.0
    due: AwareDatetime | None = None
    zone: str | None = None
    exceptions: dict[str, LateException] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _what_the_kind_needs(self) -> Self:
        """Refuse what the kind would leave out of account: a key that does nothing is a mistake."""
        if self.kind == "per_day" and (self.percent is None) == (self.points is None):
            raise ValueError('kind = "per_day" needs one of percent and points')
        if self.kind == "cut_off" and self.hours is None:
            raise ValueError('kind = "cut_off" needs hours')
        if self.zone is not None:
            try:
                ZoneInfo(self.zone)
            except (ZoneInfoNotFoundError, OSError, ValueError) as error:
                raise ValueError(f"zone: expected a time zone such as Europe/Berlin, found {self.zone!r}") from error
        wanted = {"none": (), "per_day": ("percent", "points", "at_most_percent", "zone"), "cut_off": ("hours",)}[self.kind]
        for name in ("percent", "points", "at_most_percent", "zone", "hours"):
            if name not in wanted and getattr(self, name) is not None:
                raise ValueError(f'{name} means nothing with kind = "{self.kind}"')
        return self

    def as_setting(self) -> dict[str, Any]:
        """The policy as JSON, to keep in a gradebook."""
        return self.model_dump(mode="json", exclude_defaults=True)


def load(path: str | Path) -> LatePolicy:
    """Read a policy.

    Raises:
        UsageError: the file cannot be read, is no TOML, or no policy; each key that does not fit is named.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        said = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: expected a late policy in TOML; {said}. docs/gradebook.md shows one.") from error
    try:
        return LatePolicy.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{path}: {_problems(error)}. docs/gradebook.md shows every key.") from error


def stored(value: Any) -> LatePolicy:
    """The policy in a gradebook's setting; none is kept: kind none.

    Raises:
        UsageError: the setting holds something else.
    """
    if value is None:
        return LatePolicy(kind="none")
    try:
        return LatePolicy.model_validate_json(json.dumps(value))
    except ValidationError as error:
        raise UsageError(f"The gradebook's setting {SETTING}: {_problems(error)}. Set the late policy again.") from error


def penalty(
    policy: LatePolicy, *, score: float, max_score: float, submitted_at: datetime | None, seconds_late: float | None, student: str = ""
) -> float | None:
    """Points that lateness takes off, in hundredths and at most `score`; None where the policy needs a lateness that is not known.

    `submitted_at` is aware of its zone; `seconds_late` is the platform's word, negative or zero for on time; `student` finds the exception.
    """
    exception = policy.exceptions.get(student)
    if policy.kind == "none" or (exception is not None and exception.excused):
        return 0.0
    late = _lateness(policy, exception, submitted_at, seconds_late)
    if late is None:
        return None
    late -= 60 * policy.grace_minutes
    if late <= 0:
        return 0.0
    if policy.kind == "cut_off":
        assert policy.hours is not None
        lost = score if late > 3600 * policy.hours else 0.0
    else:
        most = max_score * (policy.at_most_percent or 100) / 100
        a_day = policy.points if policy.points is not None else max_score * (policy.percent or 0.0) / 100
        lost = min(a_day * _days(policy, late, submitted_at), most)
    return max(0.0, min(round(lost * _CENT) / _CENT, score))


def _days(policy: LatePolicy, late: float, submitted_at: datetime | None) -> int:
    """Days begun, for a lateness above zero."""
    if policy.zone is not None and submitted_at is not None:
        zone = ZoneInfo(policy.zone)
        due, handed_in = ((submitted_at - timedelta(seconds=before)).astimezone(zone).replace(tzinfo=None) for before in (late, 0))
        late = (handed_in - due).total_seconds()
    return max(math.ceil(late / _DAY_S), 1)


def _lateness(
    policy: LatePolicy, exception: LateException | None, submitted_at: datetime | None, seconds_late: float | None
) -> float | None:
    """Seconds after the due time (negative: before it); None where it is not known."""
    if exception is not None and exception.due is not None:
        return (submitted_at - exception.due).total_seconds() if submitted_at is not None else None
    if seconds_late is not None:
        return seconds_late if math.isfinite(seconds_late) else None
    if policy.due is not None and submitted_at is not None:
        return (submitted_at - policy.due).total_seconds()
    return None


def _problems(error: ValidationError) -> str:
    """Every problem with its key: "percent: Input should be …; due: …"."""
    told = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"]) or "policy"
        told.append(f"{where}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(told)
