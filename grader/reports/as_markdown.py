"""`report.md`: the whole report as Markdown, the text alternative of the HTML report (without the notebook)."""

from grader.records import Executed, Report, ReportModel
from grader.reports import trained, view
from grader.reports.band_chart import figure
from grader.reports.escape_markdown import block, bold, code, inline, table
from grader.reports.text import NOTHING, cleaned, count_text, in_points, shape_text, thinned
from grader.reports.view import Line

NAME = "md"
FILENAME = "report.md"
_MOST_ROWS = 60


def render(executed: Executed) -> str:
    """The report as Markdown (CommonMark with tables). Student text is escaped or fenced: it cannot become markup."""
    report = cleaned(executed.report)
    parts = [
        *(f"> **Note:** {inline(notice)}" for notice in report.notices),
        f"# {view.headline(report)}",
        *(inline(sentence) for sentence in view.explanation(report)),
        stopped(report),
        *_criteria(report),
        *_models(report),
        *_recorded(report),
        *_training(report),
        *_answers(report),
        *_flags(report),
        *_cells(report),
        *_about(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def stopped(report: Report) -> str:
    """The cells that did not run to their end, as a list; empty where all did."""
    return "\n".join(f"- {inline(view.cell_sentence(cell))}" for cell in view.troubled(report))


def _criteria(report: Report) -> list[str]:
    if not report.criteria:
        return []
    parts = ["## Criteria", f"{view.tally(report).capitalize()}."]
    for section in view.sections(report):
        rows = [(f"{line.symbol} {line.word}", inline(line.result.title), line.points) for line in section.lines]
        parts += [f"### {inline(section.title)} ({section.points})", table(("Result", "Criterion", "Points"), rows)]
        parts += [criterion(line) for line in section.lines]
    return parts


def criterion(line: Line) -> str:
    """One criterion as a list: what was found, and what to do next."""
    result = line.result
    first = f"- {line.symbol} {bold(result.title)} ({code(result.id)}, {line.points}): {inline(result.message)}"
    return "\n".join([first, *(f"  - {word}: {inline(text)}" for word, text in line.remarks(why=True))])


def _models(report: Report) -> list[str]:
    parts = ["## Models"] if report.models else []
    for model in report.models:
        parts += [f"### {view.ROLES[model.role]}", inline(model.reason)]
        parts += [_facts(view.model_facts(model)), _layers(model)]
    return parts


def _facts(facts: tuple[tuple[str, str], ...]) -> str:
    return "\n".join(f"- {inline(word)}: {inline(value)}" for word, value in facts)


def _layers(model: ReportModel) -> str:
    rows = [
        (code(layer.class_name), code(layer.name), shape_text(layer.output_shape), count_text(layer.parameters), inline(layer.settings))
        for layer in model.layers
    ]
    return table(("Layer", "Name", "Output", "Parameters", "Settings"), rows) if rows else ""


def _recorded(report: Report) -> list[str]:
    parts = [
        "## Curves that the notebook recorded",
        "Read from the outputs stored in the file: what the notebook claims, not measured by the grader.",
    ]
    for curve in report.recorded:
        keys = list(curve.values)
        longest = max((len(values) for values in curve.values.values()), default=0)
        rows = [
            (str(epoch + 1), *(_value(curve.values[key], epoch) for key in keys)) for epoch in range(longest)
        ]  # fmt: skip
        parts += [f"### {view.ROLES.get(curve.role, inline(curve.role))}, cell {curve.cell}"]
        parts += [table(("Epoch", *(inline(key, 40) for key in keys)), thinned(rows, _MOST_ROWS))]
    return parts if report.recorded else []


def _value(values: tuple[float, ...], index: int) -> str:
    return f"{values[index]:.4f}" if index < len(values) and view.finite(values[index : index + 1])[0] is not None else NOTHING


def _training(report: Report) -> list[str]:
    parts = ["## Short training check"] if report.training else []
    for number, training in enumerate(report.training):
        phrase = trained.phrase(training)
        parts += [f"### {view.ROLES.get(training.role, inline(training.role))}: {phrase.symbol} {inline(phrase.words)}"]
        parts += [f"**{word}:** {inline(text, 3000)}" for word, text in trained.sentences(training)]
        parts += ["\n".join(f"- {inline(text)}" for text in (*trained.cured(training), *trained.evidence(training)))]
        if rows := trained.run_rows(training):
            parts += [table(trained.RUN_HEADER, rows), trained.INTERVAL]
        if drawn := figure(f"training-{number}", "", training):
            parts += [
                trained.band_sentence(training),
                table(tuple(inline(name, 80) for name in drawn.header), thinned(drawn.rows, _MOST_ROWS)),
            ]
        parts += [_facts(trained.facts(training)), "\n".join(f"- {inline(note)}" for note in training.notes)]
    return parts


def _answers(report: Report) -> list[str]:
    parts = ["## Written answers for manual review"] if report.answers else []
    for answer in report.answers:
        worth = f" (up to {in_points(round(answer.points * 100))})" if answer.points is not None else ""
        parts += [f"### Section {answer.section}{worth}", bold(answer.question)]
        parts += [block(answer.text) if answer.text.strip() else "No answer was found."]
    return parts


def _flags(report: Report) -> list[str]:
    if not report.flags:
        return []
    rows = [(flag.severity, code(flag.id), "" if flag.cell is None else f"cell {flag.cell}", inline(flag.message)) for flag in report.flags]
    return ["## For course staff", "Please check these; they cost no points.", table(("Severity", "Flag", "Where", "What"), rows)]


def _cells(report: Report) -> list[str]:
    parts = []
    if report.notes:
        parts += ["## What the grader changed to run this notebook"]
        parts += ["\n".join(f"- Cell {note.cell} ({inline(note.kind)}): {inline(note.text)}" for note in report.notes)]
    return parts


def _about(report: Report) -> list[str]:
    rows = [
        ("Submission", code(report.submission.id)),
        ("File", code(report.submission.file)),
        ("File sha256", code(report.submission.sha256)),
        ("Rubric", f"{code(report.rubric.id)} {inline(report.rubric.version)}"),
        *((inline(name), inline(value)) for name, value in view.pairs(report.environment) if name),
        *((f"Time: {inline(phase)}", seconds) for phase, seconds in view.timings(report)),
    ]
    return ["## How this was graded", table(("What", "Value"), rows)]
