"""The gradebook, on SQLite and on PostgreSQL: nothing twice, nothing lost, nothing overwritten."""

import json
import os
import pwd
import random
import signal
import sqlite3
import threading
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from books import KEY, LINES, READY, child, entry, graded, report, together
from hypothesis import given
from hypothesis import strategies as st
from kills import history

from grader import scoring
from grader.batch.gradebook import Gradebook, connection
from grader.batch.late import LatePolicy
from grader.batch.points import overridden
from grader.batch.records import FINISHED, Override
from grader.errors import GraderError, InfrastructureError, UsageError
from grader.records import Status

MONDAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def key(book):
    return book.key(KEY)


def standing(book, student="sub_a", **options):
    (found,) = [line for line in book.standings(**options) if line.student == student]
    return found


# ------------------------------------------------------------------ what was handed in


def test_the_same_content_is_no_new_attempt(book):
    book.enter([entry(), entry()])
    book.enter(iter([entry(content="c2"), entry("sub_b", "c2")]))
    book.enter([entry("sub_b", "c2"), entry(content="c2"), entry()])
    assert [(line.student, line.attempt, line.attempts, line.content) for line in book.standings(all_attempts=True)] == [
        ("sub_a", 1, 2, "c1"),
        ("sub_a", 2, 2, "c2"),
        ("sub_b", 1, 1, "c2"),
    ]
    assert [(line.student, line.content) for line in book.standings()] == [("sub_a", "c2"), ("sub_b", "c2")]


@pytest.mark.parametrize(
    ("arrivals", "order"),
    [
        ([{}, {}, {}], "012"),  # as they arrive
        ([{"submitted_at": MONDAY}, {"submitted_at": MONDAY - DAY}], "10"),
        (
            [{"attempt": 2, "submitted_at": MONDAY}, {"attempt": 1, "submitted_at": MONDAY + DAY}],
            "10",
        ),  # the platform's number goes before the time
        ([{"attempt": 1, "submitted_at": MONDAY + DAY}, {"attempt": 1, "submitted_at": MONDAY}], "10"),
        ([{"attempt": 1, "submitted_at": MONDAY}, {"attempt": 1, "submitted_at": MONDAY}], "01"),
        ([{"attempt": 1}, {"submitted_at": MONDAY}, {}], "210"),  # what is not known comes before what is
        ([{"attempt": 10}, {"attempt": 9}], "10"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_order_of_attempts(book, arrivals, order, at_once):
    entries = [entry(content=str(number), **facts) for number, facts in enumerate(arrivals)]
    for some in [entries] if at_once else [[one] for one in entries]:
        book.enter(some)
    assert "".join(line.content for line in book.standings(all_attempts=True)) == order
    assert standing(book).content == order[-1]


def test_going_back_to_an_earlier_content(book):
    book.enter([entry(attempt=1, submitted_at=MONDAY), entry(content="c2", attempt=2, submitted_at=MONDAY + DAY, seconds_late=9.0)])
    book.enter([entry(attempt=3, submitted_at=MONDAY + 2 * DAY, seconds_late=99.0)])
    found = standing(book)
    assert (found.content, found.attempts) == ("c1", 2)
    assert (found.submitted_at, found.seconds_late) == (MONDAY, None)  # it was in on Monday: sending it again makes it no later
    assert history(book, "sub_a")[1].number == 3


def test_the_platforms_newest_word_of_the_same_hand_in(book):
    at = {"submitted_at": MONDAY}
    book.enter([entry()])
    book.enter([entry(**at, seconds_late=3600.0, members=("sub_x", "sub_y"))])
    assert (standing(book).submitted_at, standing(book).seconds_late) == (MONDAY, 3600.0)
    book.enter([entry(**at, seconds_late=0.0, members=("sub_x", "sub_z"))])  # an extension, another partner
    book.enter([entry()])  # a source that knows less takes nothing away
    assert (standing(book).seconds_late, standing(book).members) == (0.0, ("sub_x", "sub_z"))
    book.enter([entry(submitted_at=MONDAY - DAY)])
    assert (standing(book).submitted_at, standing(book).seconds_late) == (MONDAY - DAY, None)


def test_times_are_utc_and_aware(book, key):
    book.enter([entry(submitted_at=datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=timezone(timedelta(hours=-5))))])
    book.record(key, graded())
    found = standing(book)
    assert found.submitted_at == datetime(2026, 3, 29, 6, 59, 59, 123456, tzinfo=UTC)
    for moment in (found.submitted_at, found.graded_at):
        assert moment.tzinfo is UTC
    assert abs(found.graded_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_entries_are_entered_all_or_none(book):
    def broken():
        yield entry()
        raise OSError("the archive ends here")

    with pytest.raises(OSError, match="ends here"):
        book.enter(broken())
    with pytest.raises(ValueError, match="aware of its zone"):
        book.enter([entry(), entry("sub_b", submitted_at=datetime(2026, 11, 2))])  # noqa: DTZ001
    assert list(book.standings()) == []
    book.enter([])


def test_code_is_kept_whatever_is_in_it(book):
    code = 'print("\0 \ud800 é 🐈")\n' * 3
    book.enter([entry(code=code), entry("sub_b", code="")])
    assert [line.code for line in book.standings(with_code=True)] == [code, code]
    assert standing(book).code == ""


def test_three_thousand_entries(book):
    code = "\n".join(f"model.add(Conv2D({number % 97}, (3, 3)))" for number in range(200))
    entries = [entry(f"sub_{number:012x}", f"{number:064x}", code=f"# {number}\n{code}") for number in range(3000)]
    statements = []
    sa.event.listen(book._database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    began = time.process_time()
    book.enter(entries)
    book.enter(entries)
    assert time.process_time() - began < 3  # 0.5 s on SQLite, twice that on PostgreSQL
    assert len(statements) <= 10
    assert sum(1 for _ in book.standings(with_reports=False)) == 3000
    assert book.counts(book.key(KEY)) == {"waiting": 3000}


# ------------------------------------------------------------------ keys and runs


def test_keys(book):
    first = book.key(KEY)
    assert book.key(replace(KEY, settings={"seed": 1, "budget": "short"})) == first  # an order of settings is none
    second, third = book.key(replace(KEY, tool="1.1")), book.key(replace(KEY, settings={"budget": "short", "seed": 2}))
    assert len({first, second, third}) == 3
    assert list(book.keys()) == [third, second, first]
    book.use(second)
    run = book.use(first, {"jobs": 4})
    book.finish(run)
    assert list(book.keys()) == [first, second, third]
    assert book.keys()[first] == KEY
    with book._database.reading() as reading:
        rows = reading.execute(sa.text("SELECT key_id, arguments, finished_at IS NULL FROM runs ORDER BY id")).all()
    assert [(row[0], row[1] if isinstance(row[1], dict) else json.loads(row[1]), bool(row[2])) for row in rows] == [
        (second, {}, True),
        (first, {"jobs": 4}, False),
    ]


def test_unknown_keys_are_refused(book):
    book.enter([entry()])
    for call in (
        lambda: book.record(7, graded()),
        lambda: book.use(7),
        lambda: book.counts(7),
        lambda: book.standings(7),
        lambda: book.begin_regrade(7, ["c1"]),
    ):
        with pytest.raises(UsageError, match="no grading key 7"):
            call()


def test_the_default_of_standings_is_the_key_used_last(book, key):
    book.enter([entry()])
    assert standing(book).status == "waiting"
    book.record(key, graded())
    other = book.key(replace(KEY, tool="1.1"))
    book.use(key)
    assert standing(book).status == "graded"
    book.use(other)
    assert standing(book).status == "waiting"
    assert standing(book, key_id=key).status == "graded"


def test_standings_of_an_empty_gradebook_and_of_one_without_keys(book):
    assert list(book.standings()) == []
    book.enter([entry()])
    assert (standing(book).status, standing(book).score, standing(book).total) == ("waiting", None, None)


# ------------------------------------------------------------------ results


def test_a_result_is_recorded_once(book, key):
    book.enter([entry(), entry("sub_b", "c2")])
    assert book.unfinished(key, ["c1", "c2", "c3"]) == {"c1", "c2", "c3"}
    assert book.record(key, graded(reason="first", worker="w1", seconds=2.5, phases={"box": 1.5}, trained=1, reused=2))
    assert not book.record(key, graded(reason="second", status="needs_review"))
    assert book.unfinished(key, ["c1", "c2"]) == {"c2"}
    assert book.report(key, "c1") == report(reason="first")
    assert book.report(key, "c2") is None
    found = standing(book)
    assert (found.seconds, found.trained, found.reused, found.status) == (2.5, 1, 2, "graded")


@pytest.mark.parametrize("status", sorted(FINISHED))
def test_every_ending_that_is_one(book, key, status):
    book.enter([entry()])
    assert book.record(key, graded(status=status))
    assert book.unfinished(key, ["c1"]) == set()
    assert standing(book).status == status
    assert (standing(book).score is not None) == (status in ("graded", "needs_review"))
    assert (standing(book).total is not None) == (status in ("graded", "needs_review"))


def test_a_lack_of_the_machine_is_kept_and_blocks_nothing(book, key):
    book.enter([entry()])
    assert book.record(key, graded(status="infra_error", reason="no sandbox"))
    assert book.record(key, graded(status="infra_error", reason="no sandbox again", staff="one\0two\ud800"))
    assert book.unfinished(key, ["c1"]) == {"c1"}
    assert book.report(key, "c1") is None
    found = standing(book)
    assert (found.status, found.score, found.report.reason) == ("infra_error", None, "no sandbox again")
    assert book.record(key, graded(reason="at last"))
    assert book.record(key, graded(status="infra_error"))  # a worker that came late
    assert (standing(book).status, standing(book).report.reason) == ("graded", "at last")
    (past,) = history(book, "sub_a")
    assert [(one.status, one.round) for one in past.gradings] == [
        ("infra_error", None),
        ("infra_error", None),
        ("graded", 0),
        ("infra_error", None),
    ]
    assert past.gradings[1].staff == "one\ufffdtwo?"


def test_answers_that_do_not_hold_together_are_refused(book, key):
    book.enter([entry()])
    for answer, message in [
        (replace(graded(), status="ungradable"), "outcome is 'ungradable', its report's 'graded'"),
        (graded(status="started"), "expected the same outcome"),
        (replace(graded(), report="{}"), "report cannot be read"),
        (replace(graded(), report=""), "report cannot be read"),
    ]:
        with pytest.raises(GraderError, match=message) as refused:
            book.record(key, answer)
        assert refused.value.exit_code == 3
    with pytest.raises(UsageError, match="never entered"):
        book.record(key, graded("c9"))
    assert history(book, "sub_a")[0].gradings == []


def test_equal_contents_share_a_result_under_one_key(book, key):
    book.enter([entry(), entry("sub_b")])
    book.record(key, graded())
    assert [line.score for line in book.standings(key)] == [12.25, 12.25]
    assert [line.score for line in book.standings(book.key(replace(KEY, tool="2")))] == [None, None]


def test_counts_are_those_of_the_standings(book, key):
    contents = ["graded", "needs_review", "ungradable", "grader_error", "infra_error", "waiting"]
    book.enter([entry(f"sub_{content}", content) for content in contents] + [entry("sub_again", "waiting"), entry("sub_again", "graded")])
    for content in contents[:-1]:
        book.record(key, graded(content, content))
    expected = {"graded": 2, "needs_review": 1, "ungradable": 1, "grader_error": 1, "infra_error": 1, "waiting": 1}
    assert book.counts(key) == expected
    assert Counter(line.status for line in book.standings(key)) == expected


def test_a_regrade_adds_a_round_and_resumes(where):
    with Gradebook.open(where) as book:
        key = book.key(KEY)
        book.enter([entry(), entry("sub_b", "c2"), entry("sub_c", "c3")])
        for content in ("c1", "c2"):
            book.record(key, graded(content, reason="old"))
        book.begin_regrade(key, ["c1", "c2", "c3", "c1"])
        assert book.unfinished(key, ["c1", "c2", "c3"]) == {"c1", "c2", "c3"}
        assert book.rounds(key, ["c1", "c2", "c3"]) == {"c1": 1, "c2": 1, "c3": 0}  # c3 was never graded: its first round is due
        assert standing(book).report.reason == "old"  # until there is a better one
        assert not book.record(key, graded(reason="late"), regrade=0)  # a worker that began before
        assert book.record(key, graded(reason="new", lines=[("model.built", 10.0, 4.0, Status.PARTIAL)]), regrade=1)
        assert not book.record(key, graded(reason="twice"))
        with pytest.raises(GraderError, match="Round 2"):
            book.record(key, graded(), regrade=2)
    with Gradebook.open(where) as book:  # as after a kill
        assert book.unfinished(key, ["c1", "c2", "c3"]) == {"c2", "c3"}
        book.begin_regrade(key, ["c2", "c3"])  # opens nothing more
        book.record(key, graded("c2", status="infra_error"))
        assert book.unfinished(key, ["c2"]) == {"c2"}
        assert book.record(key, graded("c2", reason="new"))
        assert book.record(key, graded("c3"))
        assert book.unfinished(key, ["c1", "c2", "c3"]) == set()
        assert [(line.report.reason, line.score) for line in book.standings()] == [("new", 4.0), ("new", 12.25), ("", 12.25)]
        assert [one.round for one in history(book, "sub_b")[0].gradings] == [0, None, 1]
        assert [one.score for one in history(book, "sub_a")[0].gradings] == [12.25, 4.0]
        book.begin_regrade(key, ["c1"])
        assert book.rounds(key, ["c1", "c2"]) == {"c1": 2, "c2": 1}


# ------------------------------------------------------------------ several processes, and their deaths


def test_several_processes_record_the_same_round_once(where):
    with Gradebook.open(where) as book:
        key = book.key(KEY)
        contents = [f"c{number}" for number in range(25)]
        book.enter([entry(f"sub_{content}", content) for content in contents])
        book.record(key, graded("c0"))
        book.begin_regrade(key, ["c0"])
        code = f"""
from books import KEY, graded
from grader.batch.gradebook import Gradebook
{READY}
with Gradebook.open(sys.argv[1]) as book:
    key = book.key(KEY)
    for number in range(25):
        if book.record(key, graded(f"c{{number}}", reason=sys.argv[2])):
            print(f"c{{number}}")
"""
        answers = together(code, where)
        assert Counter(" ".join(answers).split()) == Counter(contents)  # each by one of the three, none by two
        winners = {content: str(number) for number, answer in enumerate(answers) for content in answer.split()}
        assert {line.content: line.report.reason for line in book.standings(key)} == winners
        assert [one.round for one in history(book, "sub_c0")[0].gradings] == [0, 1]


def test_several_processes_make_one_gradebook_and_one_key(where):
    code = f"""
import alembic.command
from books import KEY, entry
from grader.batch.gradebook import Gradebook
{READY}
with Gradebook.open(sys.argv[1]) as book:
    print(book.key(KEY))
    book.enter([entry(), entry(f"sub_{{sys.argv[2]}}", "c2")])
"""
    (said,) = set(together(code, where))  # not always 1: in PostgreSQL an insertion that lost has used up a number
    with Gradebook.open(where, create=False) as book:
        assert list(book.keys()) == [int(said)]
        assert [line.student for line in book.standings()] == ["sub_0", "sub_1", "sub_2", "sub_a"]


def test_a_file_whose_log_cannot_be_turned_on_yet_is_waited_for(tmp_path):
    holder = sqlite3.connect(tmp_path / "class.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")  # as another process that opens the new file; SQLite itself would not wait for it here
    release = threading.Timer(0.3, holder.execute, ["COMMIT"])
    release.start()
    with Gradebook.open(tmp_path / "class.db") as book:
        book.enter([entry()])
    release.join()
    holder.close()
    holder.close()


@pytest.mark.parametrize("after_s", [0.0, 0.2])
def test_a_killed_process_loses_nothing_that_was_recorded(where, after_s):
    contents = [f"c{number}" for number in range(400)]
    with Gradebook.open(where) as book:
        key = book.key(KEY)
        book.enter([entry(f"sub_{content}", content) for content in contents])
    code = f"""
from books import KEY, graded
from grader.batch.gradebook import Gradebook
{READY}
book = Gradebook.open(sys.argv[1])
key = book.key(KEY)
for number in range(400):
    book.record(key, graded(f"c{{number}}", reason="x" * 5000))
    print(f"c{{number}}", flush=True)
"""
    process = child(code, where)
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    seen = [process.stdout.readline().strip()]
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    seen += process.communicate()[0].split()
    with Gradebook.open(where) as book:
        kept = set(contents) - book.unfinished(key, contents)
        assert set(seen) <= kept
        assert len(kept) <= len(seen) + 1  # the last one may have been recorded and not told of
        assert len(seen) < 400
        for content in seen[-3:]:
            assert book.report(key, content).reason == "x" * 5000
        if book._database.path:
            with book._database.reading() as reading:
                assert reading.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(where):
    with Gradebook.open(where) as book:
        book.enter([entry()])
    code = f"""
import time
from books import KEY, entry
from grader.batch.gradebook import Gradebook
from sqlalchemy import event
{READY}
book = Gradebook.open(sys.argv[1])
@event.listens_for(book._database.engine, "commit")
def hang(connection):
    print("written, not committed", flush=True)
    time.sleep(60)
book.enter([entry(f"sub_{{number}}", f"c{{number}}") for number in range(2000)])
"""
    process = child(code, where)
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    while (line := process.stdout.readline()) != "written, not committed\n":
        assert line, process.communicate()[1]
    with Gradebook.open(where) as book:  # readers do not wait for it
        assert [line.student for line in book.standings()] == ["sub_a"]
    process.kill()
    process.communicate()
    with Gradebook.open(where) as book:
        assert [line.student for line in book.standings()] == ["sub_a"]
        book.enter([entry("sub_b")])
        assert len(list(book.standings())) == 2


# ------------------------------------------------------------------ a person's decisions


def test_overrides(book, key):
    book.enter([entry()])
    book.record(key, graded())
    before = standing(book)
    assert (before.score, before.max_score, before.pending_points) == (12.25, 30.0, 6.5)
    book.override("sub_a", "curves.answers", 6.0, reason=" Good. ", author="staff")
    book.override("sub_a", "model.head", 5.5, reason="It is one.", author="staff")
    made = book.override("sub_a", "train.learns", 0.105, reason="Hardly.", author="other")
    assert made.points == 0.11
    found = standing(book)
    assert (found.score, found.total, found.pending_points) == (21.61, 21.61, 0.0)
    assert (found.report.score, found.report.pending_points, found.report.auto_score) == (21.61, 0.0, 12.25)
    assert {line.id: (line.earned, line.status) for line in found.report.criteria} == {
        "model.built": (10.0, Status.PASS),
        "model.head": (5.5, Status.PASS),
        "train.learns": (0.11, Status.PARTIAL),
        "curves.answers": (6.0, Status.PARTIAL),
    }
    assert [(one.criterion, one.points, one.reason, one.author) for one in found.overrides] == [
        ("curves.answers", 6.0, "Good.", "staff"),
        ("model.head", 5.5, "It is one.", "staff"),
        ("train.learns", 0.11, "Hardly.", "other"),
    ]
    light = standing(book, with_reports=False)
    assert light == replace(found, report=None)
    book.override("sub_a", "curves.answers", 0, reason="Copied.", author="staff")
    assert (standing(book).score, standing(book).pending_points) == (15.61, 0.0)
    book.override("sub_a", "curves.answers", None, reason="Not copied after all.", author="staff")
    assert (standing(book).score, standing(book).pending_points) == (15.61, 6.5)
    assert len(history(book, "sub_a")[0].overrides) == 5
    assert book.report(key, "c1").score == 12.25  # the stored one is as it was


def test_an_override_is_of_one_attempt(book, key):
    book.enter([entry()])
    book.record(key, graded("c1"))
    book.override("sub_a", "model.head", 5, reason="It is one.", author="staff")
    book.enter([entry(content="c2")])
    with pytest.raises(UsageError, match="not graded yet"):
        book.override("sub_a", "model.head", 5, reason="It is one.", author="staff")
    book.record(key, graded("c2"))
    assert [line.score for line in book.standings(all_attempts=True)] == [15.0, 12.25]
    assert [len(past.overrides) for past in history(book, "sub_a")] == [1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reason": "  "}, "needs a reason"),
        ({"author": ""}, "name of who makes it"),
        ({"student": "sub_z"}, "No such student"),
        ({"criterion": "model.heads"}, r"model\.heads: the report has no such criterion\. Near it: model\.head"),
        ({"criterion": "xyz"}, r"It has: model\.built, model\.head, train\.learns, curves\.answers"),
        ({"points": 5.51}, r"model\.head: expected 0 to 5\.5 points, found 5\.51"),
        ({"points": -0.01}, "expected 0 to 5.5"),
        ({"points": float("nan")}, "expected 0 to 5.5"),
        ({"points": None}, r"model\.head: there is no override to withdraw"),
    ],
)
def test_overrides_that_are_refused(book, key, change, message):
    book.enter([entry()])
    book.record(key, graded())
    call = {"student": "sub_a", "criterion": "model.head", "points": 5.0, "reason": "It is one.", "author": "staff", **change}
    with pytest.raises(UsageError, match=message):
        book.override(call.pop("student"), call.pop("criterion"), call.pop("points"), **call)
    assert standing(book).overrides == ()


def test_an_override_outlives_a_regrade_and_another_rubric(book, key):
    book.enter([entry()])
    book.record(key, graded())
    book.override("sub_a", "model.head", 5.5, reason="It is one.", author="staff")
    book.begin_regrade(key, ["c1"])
    book.record(key, graded(lines=[("model.head", 5.5, 0.0, Status.FAIL)]))
    assert standing(book).score == 5.5
    other = book.key(replace(KEY, rubric_version="2"))
    book.record(other, graded(lines=[("model.head", 4.0, 1.0, Status.PARTIAL), ("model.new", 1.0, 1.0, Status.PASS)]))
    assert standing(book, key_id=other).score == 5.0  # at most what the criterion is worth now


@given(st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), st.floats(0, 1))), max_size=12))
def test_sums_with_overrides_add_up(decisions):
    made = [
        Override(criterion=LINES[at][0], points=None if share is None else LINES[at][1] * share, reason="r", author="a", made_at=MONDAY)
        for at, share in decisions
    ]
    found = overridden(report(), made)
    assert round(found.score * 100) == sum(round((line.earned or 0.0) * 100) for line in found.criteria)
    assert found.score == scoring.totals(found.criteria).score
    last = dict(decisions)
    assert found.pending_points == (6.5 if last.get(3) is None else 0.0)
    for at, share in last.items():
        expected = LINES[at][2] if share is None else round(LINES[at][1] * share * 100) / 100
        assert found.criteria[at].earned == expected


def test_settings_keep_every_change(book):
    assert book.setting("late_policy") is None
    for value in ({"a": [1, 2.5, None, "é\0"]}, {"a": [1, 2.5, None, "é\0"]}, None, False):
        book.set_setting("x", value)
        assert book.setting("x") == value
    book.set_setting("y", 1)
    with book._database.reading() as reading:
        rows = reading.execute(sa.text("SELECT name, set_at FROM settings ORDER BY id")).all()
    assert [row[0] for row in rows] == ["x", "x", "x", "y"]
    with pytest.raises(ValueError, match="JSON"):
        book.set_setting("x", float("nan"))


# ------------------------------------------------------------------ lateness


def test_the_late_policy_is_applied_in_the_standings_only(book, key):
    book.enter(
        [entry(seconds_late=90_000.0), entry("sub_b", "c2"), entry("sub_c", "c3", seconds_late=0.0), entry("sub_d", "c4", seconds_late=9e9)]
    )
    for content in ("c1", "c2", "c3"):
        book.record(key, graded(content))
    assert [(line.score, line.penalty, line.total) for line in book.standings()] == [(12.25, 0.0, 12.25)] * 3 + [(None, None, None)]
    policy = LatePolicy.model_validate({"kind": "per_day", "percent": 15})
    book.set_setting("late_policy", policy.as_setting())
    assert [(line.score, line.penalty, line.total) for line in book.standings()] == [
        (12.25, 9.0, 3.25),
        (12.25, None, None),  # nobody knows when it came in
        (12.25, 0.0, 12.25),
        (None, None, None),
    ]
    book.override("sub_a", "model.head", 5.25, reason="It is one.", author="staff")
    assert (standing(book).score, standing(book).penalty, standing(book).total) == (15.25, 9.0, 6.25)
    assert book.report(key, "c1").score == history(book, "sub_a")[0].gradings[0].score == 12.25
    book.set_setting(
        "late_policy", LatePolicy.model_validate({**policy.as_setting(), "exceptions": {"sub_a": {"excused": True}}}).as_setting()
    )
    assert standing(book).total == 15.25
    book.set_setting("late_policy", {"kind": "never"})
    with pytest.raises(UsageError, match="setting late_policy"):
        book.standings()


# ------------------------------------------------------------------ many reports


def test_standings_hold_few_reports_at_a_time_and_tell_of_one_moment(book, key):
    noise = random.Random(1)
    contents = [f"c{number:03}" for number in range(200)]
    book.enter([entry(f"sub_{content}", content) for content in reversed(contents)])
    for content in contents[:-1]:
        book.record(key, graded(content, reason=noise.randbytes(25_000).hex()))
    tracemalloc.start()
    lines = book.standings()
    first = next(lines)
    book.record(key, graded(contents[-1]))
    book.enter([entry("sub_late", "c000")])
    rest = [line.status for line in lines]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(first.report.reason) == 50_000
    assert rest == ["graded"] * 198 + ["waiting"]
    assert peak < 4 * 2**20  # all 200 reports are 10 MiB, twice that parsed
    assert [line.student for line in book.standings(with_reports=False)] == [*(f"sub_{content}" for content in contents), "sub_late"]


def test_ten_submissions_are_small(tmp_path):
    path = tmp_path / "class.db"
    text = (Path(__file__).parents[1] / "reports" / "golden" / "trained" / "report.json").read_text(encoding="utf-8")
    base = report()
    size = 0
    with Gradebook.open(path) as book:
        key = book.key(KEY)
        for number in range(10):
            answer = graded(f"c{number}", reason=f"{number} " + text * 3)
            assert base.status == answer.status
            size += len(answer.report)
            book.enter([entry(f"sub_{number}", f"c{number}", code=text)])
            book.record(key, answer)
    assert size > 900_000
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2**20


# ------------------------------------------------------------------ opening


def test_opening_what_is_up_to_date_needs_no_alembic_and_no_time(where):
    Gradebook.open(where).close()
    code = """
import sys, time
from grader.batch.gradebook import Gradebook
began = time.process_time()
Gradebook.open(sys.argv[1], create=False).close()
print(time.process_time() - began < 0.3, [name for name in sys.modules if name.split(".")[0] == "alembic"])
"""
    out, error = child(code, where).communicate()
    assert out == "True []\n", error


def test_an_sqlite_gradebook_is_private_and_keeps_what_it_commits(tmp_path):
    path = tmp_path / ":memory:"
    with Gradebook.open(path) as book, book._database.reading() as reading:
        assert [
            reading.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        ] == [
            "wal",
            1,
            2,
            30_000,
        ]
    assert path.stat().st_mode & 0o777 == 0o600
    copy = tmp_path / "copy.db"
    with sqlite3.connect(path) as original:
        original.execute(f"VACUUM INTO '{copy}'")
    original.close()
    with Gradebook.open(copy) as book, book._database.reading() as reading:  # as a backup is made: without the log
        assert reading.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_what_is_no_gradebook_is_left_as_it_is(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to look at")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as made:
        made.execute("CREATE TABLE runs (id INTEGER)")
    made.close()
    empty = tmp_path / "empty.db"
    empty.touch()
    for path, message in [
        (text, "expected a gradebook; the file is something else"),
        (other, "found tables of something else"),
        (tmp_path, "found a folder"),
        (tmp_path / "none" / "class.db", "expected an existing folder"),
        (text / "class.db", "cannot be opened|expected an existing folder"),
    ]:
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(UsageError, match=message) as refused:
            Gradebook.open(path)
        assert str(path) in str(refused.value)
        assert (path.read_bytes() if path.is_file() else None) == before
    for path, found in [(tmp_path / "none.db", "no such file"), (empty, "an empty file")]:
        with pytest.raises(UsageError, match=found):
            Gradebook.open(path, create=False)
    assert not (tmp_path / "none.db").exists()
    Gradebook.open(empty).close()


def test_addresses_that_are_none():
    for address, message in [
        ("mysql://root:s3cret@host/db", "begins with mysql://"),
        ("postgresql+psycopg2://root:s3cret@host/db", r"begins with postgresql\+psycopg2://"),
        ("postgresql://root:s3cret@host:port/db", "cannot be read"),
        ("://s3cret", "cannot be read"),
    ]:
        with pytest.raises(UsageError, match=message) as refused:
            Gradebook.open(address)
        assert "s3cret" not in str(refused.value)


def test_postgresql_without_its_driver_and_with_a_server_out_of_reach(tmp_path):
    code = """
import sys
for name in sys.argv[2:]:
    sys.modules[name] = None  # as where it is not installed
from grader.batch.gradebook import Gradebook
try:
    Gradebook.open(sys.argv[1])
except Exception as error:
    print(type(error).__name__, error)
"""
    address = f"postgres://me:s3cret@/class?host={tmp_path}"
    out, error = child(code, address, "psycopg").communicate()
    assert (
        out
        == "UsageError postgresql+psycopg://me:***@/class: PostgreSQL's driver is not installed. Install it: pip install 'grader[postgres]'\n"
    ), error
    pytest.importorskip("psycopg")
    out, error = child(code, address).communicate()
    assert out.startswith("InfrastructureError postgresql+psycopg://me:***@/class: the server is out of reach"), error
    assert "s3cret" not in out


def test_what_a_server_refuses(postgres):
    address = postgres()
    with pytest.raises(UsageError, match=r"no such database. Make it: createdb NAME"):
        Gradebook.open(address.replace("/book_", "/none_").replace("grader@", "grader:s3cret@"))
    with pytest.raises(UsageError, match="refused the user") as refused:
        Gradebook.open(address.replace("grader@", "nobody_known:s3cret@") + "&password=s3cret")
    assert "s3cret" not in str(refused.value)
    with pytest.raises(UsageError, match="the database is empty"):
        Gradebook.open(address, create=False)
    read_only = address + "&options=-c%20default_transaction_read_only%3Don"
    with pytest.raises(UsageError, match="read-only"):
        Gradebook.open(read_only)
    Gradebook.open(address).close()
    for other in ("postgres", "postgresql"):  # both mean psycopg 3
        Gradebook.open(address.replace("postgresql+psycopg", other), create=False).close()


def test_a_server_that_goes_away(postgres):
    address = postgres()
    with Gradebook.open(address) as book, Gradebook.open(address) as other:
        key = book.key(KEY)
        book.enter([entry()])
        with pytest.raises(InfrastructureError, match="out of reach"), book._database.writing() as writing:  # noqa: PT012
            writing.execute(sa.text("INSERT INTO settings (name, value, set_at) VALUES ('x', '1', now())"))
            with other._database.writing() as ending:
                ending.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
                    )
                )
            writing.execute(sa.text("SELECT 1"))
        assert book.setting("x") is None  # and a new connection is made
        assert book.record(key, graded())


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user to be refused; permissions do not stop root")
def test_a_file_that_may_not_be_written(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    with Gradebook.open(folder / "class.db") as book:
        book.enter([entry()])
    (folder / "class.db").chmod(0o644)
    for above in [folder, *folder.parents][:-2]:
        above.chmod(above.stat().st_mode | 0o055)
    code = """
import sys, os
from books import entry
from grader.batch.gradebook import Gradebook
os.setuid(int(sys.argv[2]))
for path in (sys.argv[1] + "/class.db", sys.argv[1] + "/new.db"):
    try:
        with Gradebook.open(path) as book:
            book.enter([entry("sub_b")])
    except Exception as error:
        print(type(error).__name__, error)
"""
    out, error = child(code, folder, pwd.getpwnam("nobody").pw_uid).communicate()
    first, second = out.splitlines() or [error]
    assert first.startswith("UsageError"), error
    assert "read-only" in first or "cannot be opened" in first
    assert second.startswith(f"UsageError {folder}/new.db: the gradebook cannot be opened (PermissionError)")


def test_a_full_disk(tmp_path):
    with Gradebook.open(tmp_path / "class.db") as book:
        book.enter([entry()])
        key = book.key(KEY)
        sa.event.listen(book._database.engine, "begin", lambda found: found.exec_driver_sql("PRAGMA max_page_count=60"))
        with pytest.raises(InfrastructureError, match="the disk is full"):  # noqa: PT012
            for number in range(100):
                book.enter([entry(f"sub_{number}", f"c{number}", code=random.Random(number).randbytes(9000).hex())])
    with Gradebook.open(tmp_path / "class.db") as book:
        assert book.record(key, graded())
        assert len(list(book.standings())) == number + 1
    code = """
import sys, resource, signal
from books import entry
from grader.batch.gradebook import Gradebook
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    with Gradebook.open(sys.argv[1]) as book:
        book.enter([entry(f"sub_{number}", f"c{number}", code=str(number) * 5000) for number in range(5000)])
except Exception as error:
    print(type(error).__name__, error)
"""
    out, error = child(code, tmp_path / "other.db").communicate()
    assert out.startswith(f"InfrastructureError {tmp_path}/other.db: the disk "), error


def test_a_lock_that_is_never_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "BUSY_S", 0.3)
    with Gradebook.open(tmp_path / "class.db") as book:
        holder = sqlite3.connect(tmp_path / "class.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(InfrastructureError, match="another process has held the gradebook"):
            book.enter([entry()])
        assert list(book.standings()) == []
        holder.execute("ROLLBACK")
        holder.close()
        book.enter([entry()])
        holder.close()


# ------------------------------------------------------------------ damage


def everything(book):
    found = list(book.standings(all_attempts=True, with_code=True))
    for line in found:
        history(book, line.student)
    for key in list(book.keys()):
        book.counts(key)
        book.unfinished(key, ["c1"])
    return found


def test_a_damaged_file_is_told_of(tmp_path):
    path = tmp_path / "class.db"
    with Gradebook.open(path) as book:
        key = book.key(KEY)
        book.enter([entry(f"sub_{number}", f"c{number}", submitted_at=MONDAY, code="x" * 500) for number in range(40)])
        for number in range(40):
            book.record(key, graded(f"c{number}"))
        book.override("sub_1", "model.head", 1.0, reason="r", author="a")
        book.set_setting("late_policy", {"kind": "cut_off", "hours": 1})
        whole = everything(book)
    data = path.read_bytes()
    noise = random.Random(7)
    refused = []
    for number in range(80):
        harmed = bytearray(data)
        if number % 10 == 0:
            del harmed[noise.randrange(16, len(harmed)) :]
        else:
            for _ in range(2 ** noise.randrange(8)):
                harmed[noise.randrange(16, len(harmed))] = noise.randrange(256)
        path.write_bytes(harmed)
        for name in ("class.db-wal", "class.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        try:
            with Gradebook.open(path, create=False) as book:
                everything(book)
        except GraderError as error:
            refused.append(error)
    assert len(refused) > 20
    assert {error.exit_code for error in refused} <= {2, 6}, refused
    path.write_bytes(data)
    with Gradebook.open(path) as book:
        assert everything(book) == whole


def test_a_damaged_report_is_named(book, key):
    book.enter([entry(), entry("sub_b", "c2")])
    book.record(key, graded())
    book.record(key, graded("c2"))
    with book._database.writing() as writing:
        writing.execute(sa.text("UPDATE gradings SET report = :report WHERE content = 'c2'"), {"report": b"x\x9c nothing"})
    lines = book.standings()
    assert next(lines).student == "sub_a"
    with pytest.raises(UsageError, match="report 2 cannot be unpacked"):
        next(lines)
    assert [line.score for line in book.standings(with_reports=False)] == [12.25, 12.25]


def test_the_database_refuses_rows_that_hang_in_the_air(book, key):
    for statement in (
        "INSERT INTO attempts (student, content, sha256, platform, members, arrived_at) VALUES ('s', 'none', '', '', '[]', '2026-11-01 00:00:00.000000')",
        "INSERT INTO runs (key_id, started_at, arguments) VALUES (99, '2026-11-01 00:00:00.000000', '{}')",
    ):
        with pytest.raises(GraderError, match="foreign key|FOREIGN KEY"), book._database.writing() as writing:
            writing.execute(sa.text(statement))


def test_a_history_is_of_one_student(book):
    book.enter([entry()])
    assert history(book, "sub_z") == []
    assert [past.content for past in history(book, "sub_a")] == ["c1"]
