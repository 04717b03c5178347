"""Small entries, keys and reports for the gradebook's tests, and children that do the same in other processes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from grader.batch.records import Entry, Graded, GradingKey
from grader.records import CriterionResult, Executed, Report, ReportRubric, ReportSubmission, RunStatus, Status
from grader.reports import as_json
from grader.scoring import totals

ROOT = Path(__file__).resolve().parents[2]
KEY = GradingKey(rubric="all_cnn_c", rubric_version="1.0", rubric_sha256="5b" * 32, tool="1.0", settings={"budget": "short", "seed": 1})
LINES = (
    ("model.built", 10.0, 10.0, Status.PASS),
    ("model.head", 5.5, 2.25, Status.PARTIAL),
    ("train.learns", 8.0, None, Status.SKIP),
    ("curves.answers", 6.5, None, Status.MANUAL),
)


def entry(student="sub_a", content="c1", **more):
    return Entry(student=student, content=content, sha256=f"sha-{content}", code=more.pop("code", f"# {content}"), **more)


def report(status="graded", lines=LINES, **more):
    criteria = tuple(
        CriterionResult(id=name, title=name, section=1, points=points, earned=earned, status=state, message="As found.")
        for name, points, earned, state in (lines if status in ("graded", "needs_review") else ())
    )
    sums = totals(criteria)
    return replace(
        Report(
            status=RunStatus(status),
            reason="",
            rubric=ReportRubric(id="all_cnn_c", version="1.0", sha256="5b" * 32),
            submission=ReportSubmission(id="sub_0", file="submission.ipynb", sha256="c4" * 32, source="file"),
            score=sums.score,
            max_score=sums.maximum or 30.0,
            auto_score=sums.auto_score,
            auto_max=sums.auto_maximum,
            pending_points=sums.pending,
            criteria=criteria,
        ),
        **more,
    )


def graded(content="c1", status="graded", lines=LINES, reason="", **more):
    return Graded(content=content, status=status, report=as_json.render(Executed(report=report(status, lines, reason=reason))), **more)


def child(code, *arguments, user=None):
    """Start a Python process that runs `code` with this folder and the checkout importable; `sys.argv[1:]` are the arguments."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        user=user,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )


READY = "import sys; print('ready', flush=True); sys.stdin.readline()\n"
"""A child's line behind its imports: all children of `together` go on at once."""


def together(code, *arguments, times=3):
    """Run `code` in several processes at once (it imports, then runs `READY`'s line, then works); returns what each printed after that."""
    children = [child(code, *arguments, number) for number in range(times)]
    for process in children:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in children:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in children]
    for process, (_, error) in zip(children, answers, strict=True):
        assert process.returncode == 0, error
    return [answer for answer, _ in answers]
