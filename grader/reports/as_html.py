"""`report.html`: one self-contained page.

No script, nothing loaded from elsewhere; readable on a telephone, on paper and by a screen reader.
"""

import re
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from grader.records import Executed, Page, Report, ReportTraining
from grader.reports import inert, trained, view
from grader.reports.band_chart import Figure, figure
from grader.reports.chart import Chart, panels
from grader.reports.text import cleaned, count_text, hundredths, points_text, shape_text
from grader.words import counted, one_line

NAME = "html"
FILENAME = "report.html"
_CELL = re.compile(r'<h3 [^>]*id="cell-(\d+)"')


def render(executed: Executed) -> str:
    """The report as an HTML page. Student text is escaped by the template; the finished page is checked to be inert.

    Raises:
        GraderError: something that can act got into the page (a fault of the grader, never seen in tests).
    """
    executed = cleaned(executed)
    report = executed.report
    checked = {training.role for training in report.training}
    drawn = executed.page or Page()
    page = environment().get_template("report.html.j2").render(
        report=report,
        view=view,
        sections=view.sections(report),
        losses=view.losses(report),
        trained=trained,
        recorded=[(curve, _recorded(report, number)) for number, curve in enumerate(report.recorded) if curve.role not in checked],
        moved=[curve for curve in report.recorded if curve.role in checked],
        checks=[_check(report, number) for number in range(len(report.training))],
        answers=list(zip_longest(report.answers, drawn.answers[: len(report.answers)])),
        page=executed.page,
        anchors={int(number) for number in _CELL.findall(drawn.cells)},
    )  # fmt: skip
    inert.check(page)
    return page


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A training check with its figures: of the re-runs, of a training over all epochs, and of what the notebook recorded of this model."""

    training: ReportTraining
    figure: Figure | None
    whole: tuple[Chart, ...]
    recorded: tuple[Chart, ...]


def _check(report: Report, number: int) -> _Check:
    training = report.training[number]
    role = view.ROLES.get(training.role, one_line(training.role, 60))
    first = all(earlier.role != training.role for earlier in report.training[:number])
    return _Check(
        training=training,
        figure=figure(f"training-{number}", f"{role}, trained again: accuracy on held-back images", training),
        whole=_whole(training, f"whole-{number}", role),
        recorded=tuple(
            chart
            for position, curve in enumerate(report.recorded)
            if first and curve.role == training.role
            for chart in _recorded(report, position)
        ),
    )


def _whole(training: ReportTraining, name: str, role: str) -> tuple[Chart, ...]:
    """The training over all epochs, where there was one: then the curve is none of the short re-runs'."""
    if not training.runs or any(run.points == training.curve for run in training.runs):
        return ()
    curves = {"accuracy": [point.accuracy for point in training.curve], "loss": [point.loss for point in training.curve]}
    images = [point.images for point in training.curve]
    return panels(name, f"{role}, trained here as long as the notebook asks", "Training images", images, curves)


def _recorded(report: Report, number: int) -> tuple[Chart, ...]:
    curve = report.recorded[number]
    longest = max((len(values) for values in curve.values.values()), default=0)
    title = f"{view.ROLES.get(curve.role, one_line(curve.role, 60))}, recorded in the notebook (cell {curve.cell})"
    return panels(f"recorded-{number}", title, "Epoch", range(1, longest + 1), curve.values)


@cache
def environment(*packages: str) -> Environment:
    """The templates of the pages, those of `packages` first; what they are given is escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates") for package in (*packages, "grader.reports")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"shape": shape_text, "count": count_text, "points": lambda value: points_text(hundredths(value))}
    environment.globals["counted"] = counted
    return environment
