"""The kinds of ending (design, section 2.5), each with its status and exit code; and whatever happens, a readable report."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from harness import REQUIRE_ALL, ROOT, grade_file, grade_notebook, statuses, store

from grader import checks, pipeline, sandbox
from grader.errors import InfrastructureError
from grader.sandbox import Limits

MODEL = """
from tensorflow import keras
from tensorflow.keras import layers as L
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
model = keras.Sequential([L.Input((32, 32, 3)), L.Conv2D(10, 1), L.GlobalAveragePooling2D(), L.Dense(10, activation='softmax')])
model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, epochs=2, validation_data=(x_test, y_test))
"""


def notebook(*sources):
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in sources]
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}


def write(path, *sources):
    path.write_text(json.dumps(notebook(*sources)), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_failing_cell_is_the_students_result_and_later_cells_count(tmp_path):
    outcome = grade_file(write(tmp_path / "a.ipynb", "1 / 0", MODEL))
    assert (outcome.report.status.value, outcome.exit_code) == ("graded", 0)
    assert [cell.status for cell in outcome.report.cells] == ["error", "ok"]
    assert outcome.report.cells[0].error.type == "ZeroDivisionError"
    assert statuses(outcome.report)["model.score_maps"] == "pass"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("while True: pass", Limits(cell_s=30), "longer than 30 s (--cell-timeout)"),
        (
            "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
            Limits(cell_s=30),
            "30 s (--cell-timeout) and could not be interrupted",
        ),
        ("x = []\nwhile True: x.append(bytearray(b'1' * (64 << 20)))", Limits(memory_mib=4000), "3.906 GiB of memory (--memory)"),
        ("import numpy as np; np.ones((60000, 224, 224, 3))", Limits(memory_mib=4096), "a notebook may use 4 GiB of memory: --memory"),
        ("import time; time.sleep(60)", Limits(wall_s=15), "longer than 15 s in total (--timeout)"),
        ("import os; os._exit(3)", Limits(), "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", Limits(), "ended by SIGKILL"),
    ],
    ids=["timeout", "deaf to the timeout", "memory", "one array", "the whole", "exit", "killed"],
)
def test_limits_and_deaths_are_the_students_result_and_what_ran_before_counts(code, limits, words, tmp_path):
    outcome = grade_file(write(tmp_path / "a.ipynb", MODEL, code), limits=limits)
    assert (outcome.report.status.value, outcome.exit_code) == ("graded", 0)
    assert outcome.report.cells[0].status == "ok"
    assert outcome.report.cells[1].status in ("timeout", "error")
    assert statuses(outcome.report)["data.normalized"] == "pass"
    assert words in f"{outcome.report.reason} {outcome.report.cells[1].error.message}"


@pytest.mark.slow
def test_a_deadline_skips_what_is_not_decided_and_costs_nothing(tmp_path):
    outcome = grade_file(write(tmp_path / "a.ipynb", MODEL, "import time; time.sleep(100)"), deadline_s=45)
    report = outcome.report
    assert (report.status.value, outcome.exit_code) == ("graded", 0)
    assert "Time was up" in report.reason
    assert {"fail", "partial"} & set(statuses(report).values()) == set()
    assert statuses(report)["model.score_maps"] == "pass"
    assert report.timings["total"] < 60


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        ("{", 4, "cut off"),
        ("<!DOCTYPE html><html><body>Sign in</body></html>", 4, "HTML"),
        (json.dumps(notebook()), 4, "no code cells"),
        (json.dumps(notebook("import torch, torchvision\nd = torchvision.datasets.CIFAR10('.')")), 4, "PyTorch"),
        (json.dumps(notebook("from tensorflow import keras\nkeras.datasets.mnist.load_data()")), 4, "another exercise"),
    ],
    ids=["broken", "login page", "empty", "PyTorch", "MNIST"],
)
def test_what_is_not_gradable_has_a_reason_and_no_score(data, code, words, tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(data, encoding="utf-8")
    outcome = grade_file(path, out=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["status"], outcome.exit_code) == ("ungradable", code)
    assert words in report["reason"]
    assert report["criteria"] == []


def test_nothing_to_grade(tmp_path):
    outcome = grade_file(tmp_path / "missing.ipynb", out=tmp_path / "out")
    assert (outcome.report.status.value, outcome.exit_code) == ("ungradable", 5)


@pytest.mark.slow
def test_a_defect_of_a_check_is_ours_and_costs_no_points(monkeypatch, tmp_path):
    real = checks.get

    class Broken:
        PARAMS = real("model_head").PARAMS

        def check(self, evidence, params):
            raise ZeroDivisionError

    monkeypatch.setattr(checks, "get", lambda name: Broken() if name == "model_head" else real(name))
    report = grade_file(write(tmp_path / "a.ipynb", MODEL)).report
    line = next(line for line in report.criteria if line.id == "model.head")
    assert (report.status.value, line.status.value, line.earned) == ("needs_review", "error", None)
    assert "defect in the grader" in line.message


def test_a_defect_anywhere_else_is_ours_too(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline.notebook, "recognise", lambda *_: 1 / 0)
    outcome = grade_file(write(tmp_path / "a.ipynb", MODEL), out=tmp_path / "out")
    assert (outcome.report.status.value, outcome.exit_code) == ("grader_error", 3)
    assert "ZeroDivisionError" in outcome.staff
    assert "Traceback" not in outcome.report.reason


def test_no_sandbox_is_the_infrastructures(monkeypatch, tmp_path):
    def none(_name):
        raise InfrastructureError("No sandbox works on this machine.")

    monkeypatch.setattr(sandbox, "choose", none)
    outcome = pipeline.grade(str(write(tmp_path / "a.ipynb", MODEL)), pipeline.Options(out=tmp_path / "out", store=store()))
    assert (outcome.report.status.value, outcome.exit_code) == ("infra_error", 6)


def test_a_missing_gpu_that_was_asked_for_is_the_infrastructures(tmp_path):
    outcome = grade_file(write(tmp_path / "a.ipynb", MODEL), device="gpu")
    assert (outcome.report.status.value, outcome.exit_code) == ("infra_error", 6)


@pytest.mark.slow
def test_an_empty_template_is_not_attempted(tmp_path):
    report = grade_notebook(json.loads((ROOT / "tests/notebooks/other_unfilled_template/submission.ipynb").read_text(encoding="utf-8")))
    assert (report.status.value, report.score) == ("graded", 0)
    assert "Not attempted" in report.reason


def grade_command(path, out, *options):
    command = [sys.executable, "-m", "grader", str(path), "--out", str(out), "--quiet", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "GRADER_DATA": str(store())}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.05, 0.4, 1.0, 2.5, 5.0])
def test_killed_at_any_moment_a_readable_report_is_left(after_s, tmp_path):
    out = tmp_path / "out"
    process = grade_command(write(tmp_path / "a.ipynb", MODEL), out)
    time.sleep(after_s)
    process.kill()
    process.communicate()
    if (out / "report.json").exists():  # killed before the first line of ours ran: there is none
        assert json.loads((out / "report.json").read_text(encoding="utf-8"))["status"] in ("started", "graded")
    else:
        assert after_s < 2.0


@pytest.mark.slow
@pytest.mark.parametrize(("which", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_in_order(which, code, tmp_path):
    out = tmp_path / "out"
    process = grade_command(write(tmp_path / "a.ipynb", MODEL, "import time; time.sleep(100)"), out)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / "report.json").exists():
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(which)
    said, _ = process.communicate(timeout=30)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (process.returncode, report["status"]) == (code, "infra_error"), said
    assert which.name in report["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["landlock", "none"])
def test_every_sandbox_gives_the_same_verdicts_and_is_named(name, tmp_path):
    state = next(state for state in sandbox.tiers() if state.name == name)
    if not state.works:
        if REQUIRE_ALL:
            pytest.fail(state.reason)
        pytest.skip(state.reason)
    usual = grade_file(write(tmp_path / "a.ipynb", MODEL)).report
    other = grade_file(tmp_path / "a.ipynb", sandbox=name).report
    assert statuses(other) == statuses(usual)
    assert other.environment["sandbox"] == name
    assert any("without a sandbox" in notice for notice in other.notices) == (name == "none")
