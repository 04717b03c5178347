"""How a run looks while it goes on."""

import io
import json

import pytest
from rich.console import Console

from grader.batch import progress as shown
from grader.batch.progress import JsonLines, Lines, Live, duration
from grader.batch.records import Graded
from grader.batch.supervisor import Progress
from grader.batch.worker import Answer

HOSTILE = "::error::x\x1b[31m\r\n##[section]y"


def recorded(status="graded", score=61.5, staff="", students=("sub_a", "sub_b")):
    graded = Graded(content="c", status=status, report="{}", seconds=12.34, trained=1, reused=2, staff=staff, phases={"train": 10.0})
    return students, Answer(graded=graded, files={}, score=score, max_score=100.0)


def state(**changes):
    return Progress(total=10, already=4, **changes)


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, "unknown time"), (0, "0 s"), (89.4, "89 s"), (120, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min")]
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("took", "at_work", "total", "left"),
    [
        ([], [3], 10, None),  # nothing is known yet
        ([10, 10], [], 10, 4 * 10 / 2),  # six are to do, four already done, shared by two
        ([10, 10], [5, 5], 10, (5 + 5 + 2 * 10) / 2),
        ([10, 20], [10], 7, 10),  # the last one takes as long as the one that took longer
        ([10, 10], [50], 7, 50),  # longer than any before: not "7 s", as long again
        ([10, 10, 100], [50, 2], 9, 50),
    ],
)
def test_the_time_left_is_what_the_results_say(took, at_work, total, left, monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    progress = Progress(total=total, already=4, slots=2, took=took, began={str(number): 1000.0 - s for number, s in enumerate(at_work)})
    progress.statuses["graded"] += len(took)
    assert progress.left_s == (None if left is None else pytest.approx(left))


def test_lines_tell_each_result_and_are_harmless():
    stream = io.StringIO()
    lines = Lines(stream)
    progress = state()
    progress.statuses["graded"] += 1
    lines.recorded(*recorded(), progress)
    lines.recorded(*recorded("infra_error", None, staff=HOSTILE, students=("sub_c",)), progress)
    lines.tell(HOSTILE)
    text = stream.getvalue()
    assert "[5/10] sub_a and 1 with equal work: graded, 61.5 of 100 (12.3 s, 1 trained)" in text
    assert "sub_c: infra error, no score" in text
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line.startswith(("::", "##["))]


def test_quiet_says_only_what_a_person_has_to_know():
    stream = io.StringIO()
    lines = Lines(stream, quiet=True)
    lines.recorded(*recorded(), state())
    lines.tick(state())
    lines.tell("something")
    assert stream.getvalue() == "something\n"


def test_json_lines_are_objects():
    stream = io.StringIO()
    lines = JsonLines(stream)
    progress = state(running=2, training=1)
    lines.recorded(*recorded(staff=HOSTILE), progress)
    lines.tick(progress)
    lines.tell(HOSTILE)
    lines.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["recorded", "progress", "note"]  # a tick that comes too soon says nothing
    assert events[0]["students"] == ["sub_a", "sub_b"]
    assert [events[1][name] for name in ("total", "done", "running", "training")] == [10, 4, 2, 1]


def test_the_display_on_a_terminal_counts_and_shows_what_went_wrong():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=160, color_system=None)
    progress = state()
    live = Live(console, progress)
    progress.statuses["graded"] += 1
    progress.trained, progress.reused = 3, 5
    live.recorded(*recorded(), progress)
    live.recorded(*recorded("grader_error", None, staff="Traceback\nKeyError: 'x'"), progress)
    live.tick(progress)
    live.close()
    text = stream.getvalue()
    assert "5/10" in text
    assert "3 trained, 5 from the cache" in text
    assert "grader error, no score" in text
    assert "61.5" not in text  # what went well does not scroll by


def test_the_display_fits_where_it_is_shown(capsys):
    plain, terminal = Console(file=io.StringIO()), Console(file=io.StringIO(), force_terminal=True)
    assert isinstance(shown.watcher(plain, state(), json_lines=False, quiet=False), Lines)
    live = shown.watcher(terminal, state(), json_lines=False, quiet=False)
    live.close()
    assert isinstance(live, Live)
    assert isinstance(shown.watcher(terminal, state(), json_lines=False, quiet=True), Lines)
    assert isinstance(shown.watcher(terminal, state(), json_lines=True, quiet=False), JsonLines)
