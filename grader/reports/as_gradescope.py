"""`results.json`: what Gradescope reads. One test a criterion, points a test, no total of our own (Gradescope adds up the tests).

What was not decided has neither score nor status: Gradescope shows it as information, and it is never a zero in disguise. An ending
without a score has no scored test at all, so that Gradescope shows the failure instead of a mark. Nothing is `hidden`: one hidden test
would hide the student's total. What only staff should see is in `extra_data`, which Gradescope stores and does not show.
"""

import json
from dataclasses import asdict
from typing import Any

from grader.records import Executed, Report
from grader.reports import view
from grader.reports.text import cleaned
from grader.reports.view import Line, Section

NAME = "gradescope"
FILENAME = "results.json"


def render(executed: Executed) -> str:
    """The report as Gradescope's JSON; scores in points, `execution_time` in seconds. All output is plain text, never markup."""
    report = cleaned(executed.report)
    results = {
        "execution_time": view.total_seconds(report),
        "output": "\n".join(
            (*report.notices, f"{view.headline(report)}.", *view.explanation(report), *map(view.cell_sentence, view.troubled(report)))
        ),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": _for_staff(report),
        "tests": _tests(report),
    }
    return json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _for_staff(report: Report) -> dict[str, Any]:
    return {
        "schema": report.schema,
        "status": report.status.value,
        "reason": report.reason,
        "rubric": asdict(report.rubric),
        "auto_score": report.auto_score,
        "auto_max": report.auto_max,
        "pending_points": report.pending_points,
        "flags": [asdict(flag) for flag in report.flags],
    }


def _tests(report: Report) -> list[dict[str, Any]]:
    if not view.has_score(report):
        return [{"name": "Grading", "number": "0", "output": "\n".join((f"{view.headline(report)}.", *view.explanation(report)))}]
    return [_test(section, number, line) for section in view.sections(report) for number, line in enumerate(section.lines, 1)]


def _test(section: Section, number: int, line: Line) -> dict[str, Any]:
    result = line.result
    test: dict[str, Any] = {
        "name": result.title,
        "number": f"{section.number}.{number}",
        "output": "\n".join((f"{line.word}: {result.message}", *(f"{word}: {text}" for word, text in line.remarks(why=True)))),
        "tags": [result.id],
        "extra_data": {"id": result.id, "status": result.status.value, "basis": result.basis},
    }
    if line.earned is None:
        test["name"] = f"{result.title} ({line.points})"
        return test
    passed = line.earned >= line.possible
    return test | {"score": line.earned / 100, "max_score": line.possible / 100, "status": "passed" if passed else "failed"}
