"""One session's grading: the one run of the notebook, the hooks, the score.

With pytest-xdist the controller runs the notebook before its workers start, and gives them report and evidence as JSON text.
"""

import json
import math
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pytest
from rich.console import Console

from grader import decode, display, pipeline, rubric
from grader.errors import UsageError
from grader.pytest_plugin.items import CriterionItem, Submission, Words, outcome, shown, wrapped
from grader.records import Evidence, Executed, Report, RunStatus, Status
from grader.reports import as_json, as_junit, view
from grader.reports.text import cleaned, hundredths, in_points, plain_lines, points_text
from grader.sandbox import Limits
from grader.words import counted

NAME = "grader.grading"
"""The name by which pytest's plugin manager knows a `Grading`."""

FIXTURES = frozenset({"report", "evidence", "notebook", "model", "training"})


@dataclass(frozen=True, kw_only=True)
class Graded:
    """What the run gave. `evidence` is JSON text, None where there is no score; the report's texts went through `cleaned`."""

    report: Report
    exit_code: int
    staff: str
    evidence: str | None

    @cached_property
    def lines(self) -> dict[str, view.Line]:
        """The report's lines by the criterion's id."""
        return {line.result.id: line for line in view.lines(self.report)}

    @cached_property
    def decoded(self) -> Evidence:
        """The evidence; only where there is a score."""
        return decode.to_record(Evidence, json.loads(self.evidence or "null"))

    def sent(self) -> dict[str, Any]:
        """For a worker of xdist."""
        return {**vars(self), "report": as_json.render(Executed(report=self.report))}

    @classmethod
    def received(cls, sent: dict[str, Any]) -> "Graded":
        """What `sent` gave."""
        return cls(**{**sent, "report": as_json.parse(sent["report"])})


class Grading:
    """What pytest asks of the plugin while there is a submission."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.option = config, config.option
        self.reference: str = config.option.grade_submission
        if self.reference == "-":
            raise pytest.UsageError("--submission=-: expected the path of a notebook; pytest keeps standard input for itself.")
        try:
            self.rubric = rubric.load(config.option.grade_rubric)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args = []  # no test files were named: the criteria alone, not all tests of this folder
        sent = getattr(config, "workerinput", {}).get(NAME)
        self.graded = None if sent is None else Graded.received(sent)
        self.own: dict[str, dict[str, Any]] = {}
        """The facts of the tests beside the rubric's that have points, by node id."""

    # -------------------------------------------------------------- the run

    def run(self) -> Graded:
        """What grading gave. The notebook runs at the first call and never again."""
        if self.graded is None:
            option = self.option
            self._say(f"Running {self.reference} in the sandbox, --budget {option.grade_budget}. The tests follow when it has finished …")
            capture = self.config.pluginmanager.get_plugin("capturemanager")
            with ExitStack() as open_:
                if capture is not None:
                    open_.enter_context(capture.global_and_fixture_disabled())  # so that progress is seen
                watch = open_.enter_context(
                    closing(display.watcher(Console(stderr=True), json_lines=False, quiet=self.config.get_verbosity() < 0))
                )
                try:
                    same = ("rubric", "budget", "device", "sandbox", "backend", "seed")
                    options = pipeline.Options(
                        **{name: getattr(option, f"grade_{name}") for name in same},
                        deadline_s=option.grade_deadline,
                        limits=Limits.of(option.grade_memory, option.grade_cell_timeout, option.grade_timeout),
                        formats=("json",),
                        watch=watch,
                    )
                    done = pipeline.execute(self.reference, options)
                except UsageError as error:
                    raise pytest.UsageError(plain_lines(str(error))) from None
            evidence = None if done.evidence is None else json.dumps(asdict(done.evidence))
            self.graded = Graded(report=cleaned(done.report), exit_code=done.exit_code, staff=done.staff, evidence=evidence)
            for cell in view.troubled(self.graded.report):  # messages refer to them ("see above")
                self._say(view.cell_sentence(cell))
        return self.graded

    def require_score(self) -> None:
        """End the test that asks: skipped where the submission cannot be graded, an error where the machine or the grader failed."""
        report = self.run().report
        if not view.has_score(report):
            words = plain_lines(f"{view.headline(report)}. {report.reason}")
            if report.status is RunStatus.UNGRADABLE:
                pytest.skip(words)
            pytest.fail(words, pytrace=False)

    def _say(self, line: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            for part in wrapped(plain_lines(line), self.config.get_terminal_writer().fullwidth):
                reporter.write_line(part)

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_xdist_setupnodes(self) -> None:
        """The controller of xdist runs the notebook before it makes workers."""
        self.run()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give an xdist worker the results."""
        node.workerinput[NAME] = self.run().sent()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Run the notebook before the first test, outside its time limit, if any test needs it."""
        if session.testsfailed or session.config.option.collectonly:
            return  # a test file that could not be collected ends the session
        if any(isinstance(item, CriterionItem) or FIXTURES & set(getattr(item, "fixturenames", ())) for item in session.items):
            self.run()

    # -------------------------------------------------------------- items and their outcomes

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """The submission comes before the test files that were named."""
        report = yield
        if isinstance(collector, pytest.Session):
            file = self.config.invocation_params.dir / self.reference
            root = self.config.rootpath
            path = file if file.exists() else root
            inside = file.is_relative_to(root) and file.exists()
            name = file.relative_to(root).as_posix() if inside else os.path.basename(self.reference)  # noqa: PTH119 (it may be a link)
            name = plain_lines(name.replace("::", ":"))
            report.result.insert(0, Submission.from_parent(collector, name=self.rubric.id, nodeid=name, path=path, grading=self))
        return report

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A `points` marker that is not one number is an error of its test."""
        marker = item.get_closest_marker("points")
        if marker is not None and _points(item) is None:
            pytest.fail(f"expected @pytest.mark.points(n) with one number over 0, found {marker.args}", pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: "pytest.CallInfo[None]"
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add the points: for the score, for JUnit, for the controller of xdist."""
        report = yield
        if isinstance(item, CriterionItem):
            item.reported(report, None if call.excinfo is None else call.excinfo.value)
        elif points := _points(item):
            vars(report)["grade"] = _own_facts(points, report)
        if _decides(report):
            known = {name: value for name, value in getattr(report, "grade", {}).items() if value is not None}
            item.user_properties += [(name, shown(value) if isinstance(value, float) else str(value)) for name, value in known.items()]
            report.user_properties = list(item.user_properties)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the points of tests beside the rubric's; give a criterion its words, which come from xdist's workers as plain text."""
        facts = getattr(report, "grade", {})
        if "criterion" in facts and isinstance(report.longrepr, str):
            report.longrepr = Words(report.longrepr)  # type: ignore[assignment]  # what pytest and xdist ask of it, it has
        elif facts and "criterion" not in facts and _decides(report):
            self.own[report.nodeid] = facts

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Points lost in part and manual review have a letter and a word of their own."""
        facts = getattr(report, "grade", {})
        return outcome(report, facts) if "criterion" in facts and report.when == "call" else None

    # -------------------------------------------------------------- what the terminal shows, and the exit code

    def pytest_report_header(self) -> str:
        """What is graded, by which rubric."""
        size = f"{counted(len(self.rubric.criteria), 'criterion')}, {shown(self.rubric.max_points)} points"
        return f"submission: {plain_lines(self.reference)}, rubric {self.rubric.id} {self.rubric.version} ({size})"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """The score, last."""
        yield
        if self.graded is not None:
            terminalreporter.write_sep("=", "score", bold=True)
            for line in self.summary(self.graded):
                self._say(line)

    def summary(self, graded: Graded) -> Iterator[str]:
        """The lines of the summary; the last one is the score."""
        report = graded.report
        yield from (f"Note: {notice}" for notice in report.notices)
        yield " ".join((f"{view.headline(report)}.", *view.explanation(report)))
        if graded.exit_code == 3:
            yield graded.staff
        if not view.has_score(report):
            return
        by_hand = [
            f"{line.result.id} ({points_text(line.possible)})" for line in graded.lines.values() if line.result.status is Status.MANUAL
        ]
        if by_hand:
            yield f"Manual review: {', '.join(by_hand)}."
        score, decided, most = (hundredths(value) for value in (report.score, report.auto_max, report.max_score))
        parts = ""
        if self.own:
            earned = sum(hundredths(facts["earned"] or 0) for facts in self.own.values())
            settled = sum(hundredths(facts["points"]) for facts in self.own.values() if facts["earned"] is not None)
            parts = f" (rubric {points_text(score)}/{points_text(decided)}, own tests {points_text(earned)}/{points_text(settled)})"
            most += sum(hundredths(facts["points"]) for facts in self.own.values())
            score, decided = score + earned, decided + settled
        waiting = f", {points_text(most - decided)} not graded yet" if most > decided else ""
        yield f"Score: {points_text(score)} of {in_points(decided)}{parts}{waiting}."

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A run without a score has `grade`'s exit code. JUnit's suite gets the properties that it has in `grade`'s junit.xml."""
        if self.graded is not None:
            for junit in (plugin for plugin in self.config.pluginmanager.get_plugins() if hasattr(plugin, "add_global_property")):
                for name, value in as_junit.summary(self.graded.report).items():
                    junit.add_global_property(name, plain_lines(value))
        if self.graded is not None and session.exitstatus in (0, 1):
            review = self.option.grade_on_review == "fail" and self.graded.report.status is RunStatus.NEEDS_REVIEW
            session.exitstatus = self.graded.exit_code or (1 if review else session.exitstatus)


def _decides(report: pytest.TestReport) -> bool:
    """Whether this report, of an item's three, says how its test went."""
    return report.when == "call" or (report.when == "setup" and not report.passed)


def _points(item: pytest.Item) -> float | None:
    """The points of a test beside the rubric's; None: it has none, or its marker is not one number."""
    marker = item.get_closest_marker("points")
    number = marker.args[0] if marker is not None and len(marker.args) == 1 and not marker.kwargs else None
    if isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) and number > 0:
        return float(number)
    return None


def _own_facts(points: float, report: pytest.TestReport) -> dict[str, Any]:
    """A test beside the rubric's earns all its points or none; where it was skipped or its fixtures failed, nothing is decided."""
    status = {"passed": "pass", "failed": "fail", "skipped": "skip"}[report.outcome]
    if report.when != "call" and report.failed:
        status = "error"
    return {"points": points, "earned": {"pass": points, "fail": 0.0}.get(status), "status": status}
