"""How `grade run` looks while it goes on: on a real terminal, through a pipe, for machines, and not at all."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time

import pytest
from harness import ROOT, small_store
from rich.cells import cell_len
from rich.console import Console

from grader import display
from grader.display import InLines, JsonLines, OnTerminal, Pace

HOSTILE = "# x \x1b[31m\x9b2J\x07::error:: \u202eevil\u200d e\u0301 " + "wide \u5bbd\u5b57 " * 40
CELLS = ["data = 'cifar10'\nimport time; time.sleep(0.6)", f"\n\n{HOSTILE}\ntime.sleep(0.6)", "time.sleep(0.6)\nprint('\\x1b[2J')"]
STEPS = (
    [("phase", {"phase": phase}) for phase in ("read", "data", "run")]
    + [("cell", {"number": number, "of": 2, "cell": number, "code": code}) for number, code in ((1, "import keras"), (2, HOSTILE))]
    + [("phase", {"phase": "rebuild"}), ("phase", {"phase": "train"}), ("training", {"role": "base", "number": 1, "of": 2})]
    + [("checkpoint", {"role": "base", "seed": 0, "images": 0, "most": 19_200, "accuracy": None})]
    + [("checkpoint", {"role": "base", "seed": 0, "images": 1024, "most": 19_200, "accuracy": None})]
    + [("trying", {"role": "base", "change": "without the \x1b[1mReLU"})]
    + [("checkpoint", {"role": "base", "seed": 1, "images": 6400, "most": 19_200, "accuracy": 0.3125})]
    + [("trained", {"role": "base", "verdict": "learns", "images": 6400, "accuracy": 0.3125, "seconds": 41.2, "cached": False})]
    + [("training", {"role": "dropout", "number": 2, "of": 2})]
    + [("trained", {"role": "dropout", "verdict": "not_measured", "images": 0, "accuracy": None, "seconds": 0.0, "cached": True})]
    + [("phase", {"phase": "judge"}), ("phase", {"phase": "report"}), ("something new", {})]
)


def play(watch):
    for event, fields in STEPS:
        watch(event, **fields)
    watch.close()


def test_a_log_has_a_line_a_phase_and_a_training():
    stream = io.StringIO()
    play(InLines(stream))
    assert stream.getvalue().splitlines() == [
        "Reading the notebook.",
        "Preparing the images.",
        "Running 2 cells.",
        "Rebuilding the models.",
        "Base model: training it again (1 of 2).",
        "Base model: learns, accuracy 0.31 after 6,400 images (41 s).",
        "Dropout model: training it again (2 of 2).",
        "Dropout model: not measured (known from an earlier run).",
        "Writing the report.",
    ]


def test_a_log_that_nobody_reads_any_more_ends_nothing():
    stream = io.StringIO()
    stream.close()
    play(InLines(stream))
    play(JsonLines(stream))
    play(InLines(None))


def test_every_event_is_an_object_on_a_line():
    stream = io.StringIO()
    play(JsonLines(stream))
    assert stream.getvalue().isascii()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == [event for event, _ in STEPS]
    assert [event["left_s"] is None for event in events if event["event"] == "checkpoint"] == [True, True, False]
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(str(event) for event in events))


@pytest.mark.parametrize("width", [20, 80, 140])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_one_line_that_is_never_wrapped(width, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, force_terminal=True, width=width, color_system=None)
    probe = Console(file=io.StringIO(), width=width, color_system=None)
    watch = OnTerminal(console)
    try:
        for event, fields in STEPS:
            watch(event, **fields)
            with probe.capture() as shown:
                probe.print(watch._rendered())
            (line,) = shown.get().splitlines()
            assert cell_len(line) < max(width - 1, 22)
            assert line.isprintable()
            line.encode(encoding)
    finally:
        watch.close()


def test_the_time_left_comes_from_the_images_a_second(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    pace = Pace()

    def come(seconds, event, **fields):
        clock[0] += seconds
        pace.take(event, fields)
        return pace.left_s

    assert come(0, "training", number=1, of=3) is None
    assert come(0, "checkpoint", images=0, most=1000) is None
    assert come(60, "checkpoint", images=100, most=1000) is None  # it had to begin first
    assert come(10, "checkpoint", images=600, most=1000) == pytest.approx(8 + 2 * 20)  # two more models, as long as this one may be
    assert come(3, "cell") == pytest.approx(45)  # it counts down
    assert come(0, "checkpoint", images=0, most=1000) == pytest.approx(60)  # another seed begins
    assert come(60, "checkpoint", images=400, most=1000) == pytest.approx(52)
    assert come(0, "training", number=2, of=3) is None
    assert come(5, "checkpoint", images=0, most=2000) == pytest.approx(20 + 20)  # the first model took a thousand images
    assert come(60, "checkpoint", images=1200, most=2000) == pytest.approx(16 + 20)  # this one more than that
    assert come(0, "phase", phase="judge") is None


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    path = tmp_path_factory.mktemp("seen") / "a.ipynb"
    cells = [{"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None} for code in CELLS]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}), encoding="utf-8")
    return path


def command(notebook, *options):
    return [sys.executable, "-m", "grader", str(notebook), "--budget", "none", "--out", str(notebook.parent / "out"), *options]


ENVIRONMENT = {"GRADER_DATA": "", "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}


def environment():
    given = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}  # xdist tells its workers a width
    return {**given, **ENVIRONMENT, "GRADER_DATA": str(small_store())}


def on_terminal(arguments, columns):
    """What a program writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(arguments, cwd=ROOT, env=environment(), stdin=its, stdout=its, stderr=its)
    os.close(its)
    written, until = b"", time.monotonic() + 100
    try:
        while time.monotonic() < until:
            written += os.read(ours, 65536)
    except OSError:  # the terminal's other side is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=30) == 0
    return written.decode("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_shows_what_is_done_on_one_line(notebook, columns):
    written = on_terminal(command(notebook), columns)
    during, _, after = written.partition("\x1b[?25h")  # the cursor is shown again
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", during)
    for words in ("starting the sandbox", "cell 1 of 3: data = 'cifar10'", "cell 2 of 3: # x", "cell 3 of 3: time.sleep(0.6)"):
        assert words in plain
    shown = re.split(r"[\r\n]+", plain)
    assert max(map(cell_len, shown)) < columns
    assert any(cell_len(line) == columns - 3 and "\u5bbd" in line and "…" in line for line in shown)  # a long line is cut with a sign
    assert "\x1b[1A" not in during  # never more than one line
    assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u200d\u202e]", plain)
    assert after.count("Report: ") == 1
    assert "cell 3 of 3" not in after


@pytest.mark.slow
def test_a_pipe_gets_plain_lines_on_stderr_and_the_summary_on_stdout(notebook):
    done = subprocess.run(command(notebook), cwd=ROOT, env=environment() | {"FORCE_COLOR": ""}, capture_output=True, check=True)
    assert done.stderr.decode().splitlines() == [
        "Reading the notebook.",
        "Preparing the images.",
        "Running 3 cells.",
        "Rebuilding the models.",
        "Writing the report.",
    ]
    assert b"Report: " in done.stdout
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", done.stdout + done.stderr)


@pytest.mark.slow
def test_machines_get_objects_and_quiet_gets_one_line(notebook):
    done = subprocess.run(command(notebook, "--json-lines"), cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["phase"] for event in events if event["event"] == "phase"] == [
        "read",
        "data",
        "run",
        "rebuild",
        "train",
        "judge",
        "report",
    ]
    assert [event["number"] for event in events if event["event"] == "cell"] == [1, 2, 3]
    assert (events[-1]["event"], events[-1]["status"], events[-1]["exit_code"]) == ("recorded", "graded", 0)
    assert events[-1]["max_score"] == 100
    assert done.stderr == ""
    done = subprocess.run(command(notebook, "--quiet"), cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
