"""`report.html`: one self-contained page.

No script, nothing loaded from elsewhere; readable on a telephone, on paper and by a screen reader.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from grader.records import Executed, Report, ReportTraining
from grader.reports import appendix, inert, view
from grader.reports.chart import Chart, panels
from grader.reports.text import cleaned, count_text, hundredths, points_text, shape_text

NAME = "html"
FILENAME = "report.html"
_METAS = 4


def render(executed: Executed) -> str:
    """The report as an HTML page. Student text is escaped by the template; the finished page is checked to be inert.

    Raises:
        GraderError: something that can act got into the page (a fault of the grader, never seen in tests).
    """
    executed = cleaned(executed)
    report = executed.report
    shown = appendix.cells(executed.notebook, executed.cells) if executed.notebook is not None else ()
    page = _environment().get_template("report.html.j2").render(
        report=report,
        view=view,
        sections=view.sections(report),
        losses=view.losses(report),
        recorded=[(curve, _recorded(report, number)) for number, curve in enumerate(report.recorded)],
        training=[(training, _trained(training, number)) for number, training in enumerate(report.training)],
        answers=[(answer, appendix.markdown(answer.text)) for answer in report.answers],
        shown=shown,
        anchors={cell.index for cell in shown},
    )  # fmt: skip
    inert.check(page, metas=_METAS)
    return page


def _recorded(report: Report, number: int) -> tuple[Chart, ...]:
    curve = report.recorded[number]
    longest = max((len(values) for values in curve.values.values()), default=0)
    return panels(f"recorded-{number}", view.ROLES.get(curve.role, curve.role), "Epoch", range(1, longest + 1), curve.values)


def _trained(training: ReportTraining, number: int) -> tuple[Chart, ...]:
    curves = {"accuracy": [point.accuracy for point in training.curve], "loss": [point.loss for point in training.curve]}
    steps = [point.step for point in training.curve]
    return panels(f"training-{number}", view.ROLES.get(training.role, training.role), "Step", steps, curves)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("grader.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"shape": shape_text, "count": count_text, "points": lambda value: points_text(hundredths(value))}
    return environment
