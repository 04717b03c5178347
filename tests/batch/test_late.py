"""Late policies: what they take off, what they leave alone, and files that are none."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.batch import late
from grader.batch.late import LatePolicy, load, penalty, stored
from grader.errors import UsageError

HOUR, DAY = 3600, 86_400
DUE = datetime(2026, 11, 1, 22, 59, tzinfo=UTC)


def policy(**keys):
    return LatePolicy.model_validate(keys)


def off(of, late_s=None, *, score=60.0, max_score=80.0, submitted_at=None, student=""):
    return penalty(of, score=score, max_score=max_score, submitted_at=submitted_at, seconds_late=late_s, student=student)


@pytest.mark.parametrize(
    ("late_s", "expected"),
    [(-5, 0), (0, 0), (1, 8), (DAY, 8), (DAY + 1, 16), (3 * DAY, 24), (5 * DAY, 40), (6 * DAY, 40), (400 * DAY, 40)],
)
def test_percent_of_the_maximum_for_every_day_begun(late_s, expected):
    assert off(policy(kind="per_day", percent=10, at_most_percent=50), late_s) == expected


def test_points_a_day_and_never_more_than_the_score():
    of = policy(kind="per_day", points=2.5)
    assert off(of, 2 * DAY) == 5.0
    assert off(of, 2 * DAY, score=3.0) == 3.0
    assert off(of, 2 * DAY, score=0.0) == 0.0
    assert off(of, 1000 * DAY, score=80.0) == 80.0  # at most 100 percent where no limit is given


def test_the_grace_moves_the_due_time():
    of = policy(kind="per_day", percent=10, grace_minutes=15)
    assert off(of, 900) == 0
    assert off(of, 901) == 8
    assert off(of, DAY + 900) == 8
    assert off(of, DAY + 901) == 16


def test_cut_off():
    of = policy(kind="cut_off", hours=2, grace_minutes=1)
    assert off(of, 2 * HOUR + 60) == 0
    assert off(of, 2 * HOUR + 61) == 60.0
    assert off(policy(kind="cut_off", hours=0), 1) == 60.0


SUMMER_ENDS, SUMMER_BEGINS = datetime(2026, 10, 24, 21, 59, tzinfo=UTC), datetime(2026, 3, 28, 22, 59, tzinfo=UTC)
"""23:59 in Berlin, the evening before the clock is set back, and forward."""


@pytest.mark.parametrize(
    ("due", "after", "zone", "days"),
    [
        (SUMMER_ENDS, timedelta(hours=24, minutes=31), "Europe/Berlin", 1),
        (SUMMER_ENDS, timedelta(hours=24, minutes=31), None, 2),
        (SUMMER_ENDS, timedelta(hours=24, minutes=31), "UTC", 2),
        (SUMMER_ENDS, timedelta(hours=24, minutes=31), "America/New_York", 2),  # there it ends a week later
        (SUMMER_ENDS, timedelta(hours=25), "Europe/Berlin", 1),
        (SUMMER_ENDS, timedelta(hours=25, seconds=1), "Europe/Berlin", 2),
        (SUMMER_ENDS, timedelta(seconds=1), "Europe/Berlin", 1),
        (SUMMER_ENDS, timedelta(days=7, hours=1), "Europe/Berlin", 7),
        (SUMMER_BEGINS, timedelta(hours=23), "Europe/Berlin", 1),
        (SUMMER_BEGINS, timedelta(hours=23, minutes=30), "Europe/Berlin", 2),
        (SUMMER_BEGINS, timedelta(hours=23, minutes=30), None, 1),
        (datetime(2026, 10, 25, 0, 50, tzinfo=UTC), timedelta(minutes=20), "Europe/Berlin", 1),  # 02:50, then 02:10
    ],
)
def test_a_day_is_one_by_the_calendar_of_the_zone(due, after, zone, days):
    of = policy(kind="per_day", points=1, due=due, zone=zone)
    assert off(of, submitted_at=due + after) == days
    assert off(policy(kind="per_day", points=1, zone=zone), after.total_seconds(), submitted_at=due + after) == days
    grace = policy(kind="per_day", points=1, due=due, zone=zone, grace_minutes=10)
    assert off(grace, submitted_at=due + after + timedelta(minutes=10)) == days


def test_where_only_the_seconds_are_known_a_day_has_24_hours():
    assert off(policy(kind="per_day", points=1, zone="Europe/Berlin"), DAY + 1) == 2


def test_what_is_not_known_is_not_guessed():
    for of in (policy(kind="per_day", percent=10), policy(kind="cut_off", hours=1)):
        assert off(of) is None
        assert off(of, float("nan")) is None
        assert off(of, submitted_at=DUE) is None  # a time, but nothing to compare it with
        assert off(of.model_copy(update={"due": DUE})) is None  # the other way round
    assert off(policy(kind="none")) == 0.0


def test_the_due_time_counts_where_the_platform_says_nothing_of_lateness():
    of = policy(kind="per_day", percent=10, due=DUE)
    here = DUE.astimezone(timezone(timedelta(hours=1)))
    assert off(of, submitted_at=here) == 0.0
    assert off(of, submitted_at=here + timedelta(seconds=1)) == 8.0
    assert off(of, 0.0, submitted_at=here + timedelta(days=3)) == 0.0  # the platform knows of an extension


def test_exceptions():
    of = policy(
        kind="per_day", percent=10, due=DUE, exceptions={"sub_ill": {"excused": True}, "sub_slow": {"due": DUE + timedelta(days=7)}}
    )
    week = DUE + timedelta(days=7)
    assert off(of, 9 * DAY, student="sub_ill") == 0.0
    assert off(of, student="sub_ill") == 0.0
    assert off(of, 7 * DAY, submitted_at=week, student="sub_slow") == 0.0
    assert off(of, 7 * DAY + 60, submitted_at=week + timedelta(minutes=1), student="sub_slow") == 8.0
    assert off(of, 60, student="sub_slow") is None  # late by the common due time; by the student's own nobody knows
    assert off(of, 60, student="sub_other") == 8.0


@given(
    st.floats(0, 100),
    st.floats(0, 1e8),
    st.sampled_from([policy(kind="per_day", percent=7.3), policy(kind="cut_off", hours=3)]),
    st.floats(0, DAY),
)
def test_a_penalty_is_hundredths_between_nothing_and_the_score_and_grows(score, late_s, of, more):
    score = round(score, 2)
    found = off(of, late_s, score=score, max_score=100.0)
    assert 0 <= found <= score
    assert round(found * 100) / 100 == found
    assert off(of, late_s + more, score=score, max_score=100.0) >= found


def test_a_file(tmp_path):
    path = tmp_path / "late.toml"
    path.write_text(late.__doc__.split("TOML file:")[1].split("The grace")[0].replace("\n    ", "\n"))
    found = load(path)
    assert (found.kind, found.percent, found.at_most_percent, found.grace_minutes) == ("per_day", 10, 50, 15)
    assert found.due == DUE
    assert found.exceptions["sub_3f9a1c07d2e4"].due == DUE + timedelta(days=7)
    assert stored(found.as_setting()) == found


def test_the_documentations_file(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "gradebook.md").read_text(encoding="utf-8")
    (tmp_path / "late.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    assert load(tmp_path / "late.toml").exceptions["sub_3f9a1c07d2e4"].due == DUE + timedelta(days=7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "weekly"', "kind: Input should be 'none', 'per_day' or 'cut_off'"),
        ("percent = 10", "kind: Field required"),
        ('kind = "per_day"', "needs one of percent and points"),
        ('kind = "per_day"\npercent = 10\npoints = 5', "needs one of percent and points"),
        ('kind = "per_day"\npercent = 110', "percent: Input should be less than or equal to 100"),
        ('kind = "per_day"\npercent = nan', "percent: Input should be"),
        ('kind = "per_day"\npercent = "10"', "percent: Input should be a valid number"),
        ('kind = "per_day"\npercent = true', "percent: Input should be a valid number"),
        ('kind = "per_day"\npercent = 10\nhours = 2', "hours means nothing"),
        ('kind = "cut_off"', "needs hours"),
        ('kind = "cut_off"\nhours = 2\nzone = "UTC"', "zone means nothing"),
        ('kind = "per_day"\npercent = 10\nzone = "Berlin"', "expected a time zone such as Europe/Berlin, found 'Berlin'"),
        ('kind = "per_day"\npercent = 10\nzone = "../etc/passwd"', "expected a time zone"),
        ('kind = "per_day"\npercent = 10\nzone = ""', "expected a time zone"),
        ('kind = "cut_off"\nhours = 2\npercent = 10', "percent means nothing"),
        ('kind = "none"\nat_most_percent = 10', "at_most_percent means nothing"),
        ('kind = "none"\ngrace = 15', "grace: Extra inputs are not permitted"),
        ('kind = "none"\ndue = 2026-11-01T23:59:00', "due: Input should have timezone info"),
        ('kind = "none"\ndue = 20261101', "due: Input should be a valid datetime"),
        ('kind = "none"\n[exceptions.sub_a]', "exceptions.sub_a: expected either a due time or excused"),
        ('kind = "none"\n[exceptions.sub_a]\nexcused = true\ndue = 2026-11-01T23:59:00Z', "exceptions.sub_a: expected either"),
        ("kind = ", "expected a late policy in TOML"),
    ],
)
def test_files_that_are_no_policy(tmp_path, text, message):
    path = tmp_path / "late.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        load(path)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{path}: ")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "late.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="expected a late policy in TOML"):
        load(tmp_path / "late.toml")


def test_a_setting_that_holds_none():
    assert stored(None).kind == "none"
    with pytest.raises(UsageError, match="setting late_policy: kind: Field required"):
        stored({"percent": 10})
