"""The command line: fast help, exit codes, `grade SUBMISSION`, and the small commands."""

import json
import os
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from harness import ROOT, store

from grader import cli
from grader.records import CriterionResult, RunStatus, Status

HEAVY = ("tensorflow", "keras", "numpy", "nbformat", "nbconvert", "jinja2", "httpx", "pydantic", "rich", "IPython", "matplotlib")


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "grader", *arguments],
        cwd=ROOT,
        env={**os.environ, "GRADER_DATA": str(store()), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_imports_nothing_heavy():
    code = f"import sys; from click.testing import CliRunner; from grader import cli; r = CliRunner().invoke(cli.cli, ['--help']); print([m for m in {HEAVY!r} if m in sys.modules]); sys.exit(r.exit_code)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_host_imports_no_tensorflow(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text("{}", encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from grader import pipeline;"
        f"o = pipeline.grade({str(path)!r}, pipeline.Options(out=Path({str(tmp_path / 'out')!r})));"
        "print(o.exit_code, [m for m in ('tensorflow', 'keras', 'IPython', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4 []"


def test_submission_alone_means_run(tmp_path):
    done = command(str(tmp_path / "missing.ipynb"), "--out", str(tmp_path / "out"))
    assert done.returncode == 5
    assert "missing.ipynb" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.ipynb", "--rubric", "all_cnn_d"], "all_cnn_c"),
        (["x.ipynb", "--format", "htlm"], "html"),
        (["x.ipynb", "--budget", "long"], "'long' is not one of 'none', 'short', 'full'"),
        (["x.ipynb", "--fail-under", "120"], "fail-under"),
        (["https://github.com/a/b/blob/main/c.ipynb"], "--allow-fetch"),
    ],
)
def test_usage_errors_end_with_2_and_say_what_to_do(arguments, words, tmp_path):
    done = command(*arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "out" / "report.json").exists()


NO_FILE = "is neither a command nor a file."


@pytest.mark.parametrize(
    ("arguments", "usage", "words"),
    [
        (["bacth", "class.zip"], "grade [OPTIONS]", f"'bacth' {NO_FILE} Did you mean 'batch'?"),
        (["exprot"], "grade [OPTIONS]", f"'exprot' {NO_FILE} Did you mean 'export'?"),
        (["Doctor", "--help"], "grade [OPTIONS]", f"'Doctor' {NO_FILE} Did you mean 'doctor'?"),
        (["reviw", "class.db"], "grade [OPTIONS]", f"'reviw' {NO_FILE} The commands are run, batch, export,"),
        (["reviw", "--help"], "grade [OPTIONS]", f"'reviw' {NO_FILE} The commands are run, batch, export,"),
        (["--quiet", "--budget", "none", "bacth", "class.zip"], "grade [OPTIONS]", "Did you mean 'batch'?"),
        (["übung"], "grade [OPTIONS]", NO_FILE),
        (["a.ipynb", "b.ipynb", "--quiet"], "grade [OPTIONS]", "One SUBMISSION was expected; 2 were given. To grade several: grade batch"),
        (["rubric", "chek", "x.toml"], "grade rubric [OPTIONS]", "'chek' is no command of grade rubric. Did you mean 'check'?"),
        (["data", "improt"], "grade data [OPTIONS]", "Did you mean 'import'?"),
        (["cache", "delete"], "grade cache [OPTIONS]", "The commands are status, verify, clear."),
        (["--bugdet", "none", "a.ipynb"], "grade run [OPTIONS]", "--budget"),
        (["batch"], "grade batch [OPTIONS] PATHS...", "Missing argument 'PATHS...'"),
        (["batch", ".", "--gradebook", "x.db", "--rubric", "nope"], "grade batch [OPTIONS] PATHS...", 'under "nope"'),
        (["batch", ".", "--gradebook", "x.db", "--format", "htlm"], "grade batch [OPTIONS] PATHS...", "html"),
        (["export", "none.db", "--to", "csv"], "grade export [OPTIONS] GRADEBOOK", "found no such file"),
        (["override", "none.db", "sub_a", "model.built", "--reason", "x"], "grade override [OPTIONS] GRADEBOOK", "expected POINTS"),
        (["rubric", "show", "nope"], "grade rubric show [OPTIONS]", 'under "nope"'),
        (["nope.ipynb", "--rubric", "nope"], "grade run [OPTIONS] SUBMISSION", 'under "nope"'),
    ],
)
def test_a_usage_error_shows_the_commands_own_usage_and_what_may_be_meant(arguments, usage, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, arguments, prog_name="grade")
    assert done.exit_code == 2, done.output
    assert done.output.startswith(f"Usage: {usage}")
    assert words in done.output
    assert not list(tmp_path.iterdir())


def test_a_word_that_is_a_file_is_a_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bacth").write_text("no notebook", encoding="utf-8")
    done = CliRunner().invoke(cli.cli, ["bacth", "--out", "out"], prog_name="grade")
    assert done.exit_code == 4, done.output


@pytest.mark.slow
def test_fail_under_and_formats(tmp_path):
    out = tmp_path / "out"
    done = command(
        "run",
        "--budget",
        "none",
        "--fail-under",
        "99",
        "--format",
        "html,md,junit,gradescope,github",
        "--out",
        str(out),
        "--",
        str(ROOT / "tests/notebooks/wrong_mlp/submission.ipynb"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert {path.name for path in out.iterdir()} == {
        "report.json",
        "report.html",
        "report.md",
        "junit.xml",
        "results.json",
        "github-summary.md",
    }
    assert json.loads((out / "report.json").read_text(encoding="utf-8"))["status"] == "graded"


HIDDEN = {
    "get_config": "model.layers[0].get_config = lambda: {}",
    "raises": "model.get_config = lambda: 1 / 0",
    "unknown class": "model.layers[-1].__class__ = type('Mine', (layers.Dense,), {'call': lambda self, x: str(x)})",
}


@pytest.mark.slow
@pytest.mark.parametrize("line", HIDDEN.values(), ids=HIDDEN)
def test_what_cannot_be_judged_does_not_pass_a_gate(line, tmp_path):
    """A network that earns few points, and hides from most criteria: of the points that are left it has more than half."""
    cells = [
        "from tensorflow import keras\nfrom tensorflow.keras import layers\n(x, y), test = keras.datasets.cifar10.load_data()\nx = x / 255.0",
        (
            "model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(8, 3, activation='relu'), layers.MaxPooling2D(4), layers.Flatten(),"
            " layers.Dense(10, activation='softmax')])\nmodel.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])"
        ),
        line,
        "history = model.fit(x, y, validation_data=(test[0] / 255.0, test[1]), epochs=2)",
    ]
    cells = [{"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None} for text in cells]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    done = command("run", "--budget", "none", "--fail-under", "50", "--out", str(tmp_path / "out"), "--", str(path))
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert done.returncode == 1, (report["auto_score"], report["auto_max"])


@pytest.mark.parametrize(
    ("fail_under", "on_review", "status", "code"),
    [
        (None, "pass", RunStatus.NEEDS_REVIEW, 0),
        (None, "fail", RunStatus.NEEDS_REVIEW, 1),
        (None, "fail", RunStatus.GRADED, 0),
        (60.0, "fail", RunStatus.GRADED, 0),
        (61.0, "pass", RunStatus.GRADED, 1),
    ],
)
def test_exit_codes_of_a_gate(fail_under, on_review, status, code):
    """Six of ten points are earned, four are undecided."""
    line = partial(CriterionResult, title="", section=1, message="")
    criteria = (line(id="a", points=6.0, earned=6.0, status=Status.PASS), line(id="b", points=4.0, earned=None, status=Status.ERROR))
    report = SimpleNamespace(criteria=criteria, status=status)
    assert cli._exit_code(SimpleNamespace(exit_code=0, report=report), fail_under, on_review) == code
    assert cli._exit_code(SimpleNamespace(exit_code=6, report=report), fail_under, on_review) == 6


def test_rubric_commands(tmp_path):
    run = CliRunner().invoke
    assert "all_cnn_c" in run(cli.cli, ["rubric", "list"]).output
    shown = run(cli.cli, ["rubric", "show"]).output
    assert "model.head" in shown
    assert "augmentation.answers" in shown
    new = tmp_path / "rubric.toml"
    assert run(cli.cli, ["rubric", "new", str(new)]).exit_code == 0
    assert run(cli.cli, ["rubric", "check", str(new)]).exit_code == 0
    new.write_text(new.read_text(encoding="utf-8").replace("points =", "pionts =", 1), encoding="utf-8")
    bad = run(cli.cli, ["rubric", "check", str(new)])
    assert bad.exit_code == 2
    assert "points" in bad.output


def test_data_status_and_doctor(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADER_DATA", str(tmp_path / "store"))
    status = CliRunner().invoke(cli.cli, ["data", "status"])
    assert "cifar10: absent" in status.output
    doctor = CliRunner().invoke(cli.cli, ["doctor"])
    assert "bubblewrap" in doctor.output
    assert "landlock" in doctor.output
