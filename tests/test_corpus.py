"""Our corpus: every notebook under tests/notebooks ends with the status, the exit code and the verdicts that its expect.toml names."""

import tomllib
from pathlib import Path

import pytest
from harness import grade_file, small_store, store

from grader.sandbox import Limits

CASES = sorted(path.parent for path in (Path(__file__).parent / "notebooks").glob("*/expect.toml"))
MANUAL = {"curves.answers", "dropout.answers", "augmentation.answers"}
TRAINING = {"train.learns", "train.accuracy", "dropout.learns", "augmentation.learns"}
PATIENT = Limits(cell_s=60, wall_s=200)  # endless cells end sooner than for a real submission, slow ones not on a busy machine
SCORED = {"graded", "needs_review"}


def test_the_corpus_is_large_enough():
    assert len(CASES) >= 60


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_notebook(case):
    expect = tomllib.loads((case / "expect.toml").read_text(encoding="utf-8"))
    outcome = grade_file(case / "submission.ipynb", limits=PATIENT, store=store() if case.name.startswith("full_") else small_store())
    report = outcome.report
    assert (report.status.value, outcome.exit_code) == (expect["status"], expect["exit"]), report.reason
    assert expect.get("reason", "").lower() in report.reason.lower()
    if expect["status"] not in SCORED:
        assert not report.criteria
        return
    wanted = {line.id: expect["default"] for line in report.criteria}
    wanted |= dict.fromkeys(TRAINING, "skip") | dict.fromkeys(MANUAL, "manual") | expect.get("criteria", {})
    found = {line.id: line.status.value for line in report.criteria}
    wrong = {key: (value, found[key]) for key, value in wanted.items() if found[key] != value}
    details = {line.id: f"{line.message} | expected {line.expected} | found {line.actual}" for line in report.criteria if line.id in wrong}
    assert not wrong, f"(wanted, found): {wrong}\n{details}\n{[cell for cell in report.cells if cell.status != 'ok']}"
    for key, words in expect.get("messages", {}).items():
        line = next(line for line in report.criteria if line.id == key)
        text = f"{line.message} {line.hint} {line.expected} {line.actual}"
        assert words.lower() in text.lower(), text
