"""The rubric's criteria as pytest's items."""

import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from grader.reports import as_junit
from grader.reports.text import hundredths, plain_lines, points_text
from grader.rubric import Criterion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grader.pytest_plugin.grading import Grading


class Submission(pytest.Collector):
    """The submission; its items are the rubric's criteria, known before anything has run."""

    def __init__(self, *, grading: "Grading", **parts: Any) -> None:
        super().__init__(**parts)
        self.grading = grading

    def collect(self) -> "Iterator[CriterionItem]":
        """One item a criterion, in the rubric's order."""
        for criterion in self.grading.rubric.criteria:
            yield CriterionItem.from_parent(self, name=criterion.id, grading=self.grading, criterion=criterion)

    def __repr__(self) -> str:
        return f"<Submission {self.nodeid}>"


class CriterionItem(pytest.Item):
    """One criterion. Full points pass, lost points fail, what is not decided is skipped; only a defect of ours or of the machine is an error.

    `facts` go into JUnit's properties and to the controller of xdist: plain values only.
    """

    def __init__(self, *, grading: "Grading", criterion: Criterion, **parts: Any) -> None:
        super().__init__(**parts)
        self.grading, self.criterion = grading, criterion
        self.facts: dict[str, Any] = {
            "criterion": criterion.id,
            "section": criterion.section,
            "title": criterion.title,
            "points": criterion.points,
            "earned": None,
            "status": "error",
            "basis": None,
        }

    def setup(self) -> None:
        """Find this criterion's line in the report. The notebook ran before, or runs now."""
        report = self.grading.run().report
        self.facts["status"] = report.status.value
        self.grading.require_score()
        line = self.grading.run().lines[self.criterion.id]
        self.facts |= {
            "status": line.result.status.value,
            "points": line.possible / 100,
            "earned": None if line.earned is None else line.earned / 100,
            "basis": line.basis or None,
        }
        self.message = plain_lines(line.result.message)
        lead = "" if line.earned is None else f"{line.worth}. "
        self.words = plain_lines(lead + as_junit.details(line))
        if self.facts["status"] == "error":
            pytest.fail(self.words, pytrace=False)

    def runtest(self) -> None:
        """Turn the line's status into an outcome."""
        if self.facts["status"] in ("skip", "manual"):
            pytest.skip(self.message)
        if self.facts["status"] != "pass":
            pytest.fail(self.words, pytrace=False)

    def reported(self, report: pytest.TestReport, ended: BaseException | None) -> None:
        """Put into pytest's report what a reader needs, where pytest would show where in this file a test ended."""
        vars(report)["grade"] = self.facts
        if isinstance(ended, pytest.fail.Exception):
            report.longrepr = str(ended.msg)
        elif isinstance(ended, pytest.skip.Exception):
            where = self.nodeid.rpartition("::")[0] if report.when == "setup" else self.nodeid  # for all the same, said once for all
            report.longrepr = (where, cast("int", None), str(ended.msg))  # where pytest has a path and a line

    def reportinfo(self) -> tuple[Path, None, str]:
        """The heading of this item."""
        return self.path, None, f"{self.criterion.id}: {self.criterion.title}"

    def __repr__(self) -> str:
        return f"<Criterion {self.name}: {self.criterion.title} ({shown(self.criterion.points)})>"


def shown(points: float) -> str:
    """Points as people write them."""
    return points_text(hundredths(points))


def outcome(report: pytest.TestReport, facts: dict[str, Any]) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
    """A criterion's category, letter and word, for pytest; None: as for any test."""
    points = f"{shown(facts['earned'] or 0)}/{shown(facts['points'])}" + (f" ({facts['basis']})" if facts["basis"] else "")
    if facts["status"] == "manual":
        return "manual", "m", ("MANUAL", {"cyan": True})
    if facts["status"] == "partial":
        return "failed", "p", (f"PARTIAL {points}", {"yellow": True})
    return {"passed": ("passed", ".", f"PASSED {points}"), "failed": ("failed", "F", f"FAILED {points}")}.get(report.outcome)


class Words:
    """Why a criterion failed, in place of a traceback. pytest shows `reprcrash.message`, the first line, where it has room for one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.reprcrash = SimpleNamespace(message=text.partition("\n")[0])

    def __str__(self) -> str:
        return self.text

    def toterminal(self, writer: Any) -> None:
        """See pytest."""
        for line in wrapped(self.text, writer.fullwidth, indent="    "):
            writer.line(line)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The lines of `text`, cut between words to fit a terminal; `indent` stands before what was cut off."""
    return [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, max(40, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
    ]
