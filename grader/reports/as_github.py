"""GitHub Actions: `github-summary.md` for the step summary, and annotations for the log.

Summaries and logs of public repositories are public, so only what a student may see is in them: no flags, no answers, no student code.
`python -m grader.reports.as_github report.json` prints the annotations; with `--outputs` it prints `name=value` lines for `$GITHUB_OUTPUT`.
"""

import sys
from pathlib import Path

from grader.errors import GraderError
from grader.records import Executed, Report, RunStatus, Status
from grader.reports import as_json, view
from grader.reports.as_markdown import criterion, stopped
from grader.reports.escape_markdown import inline, table
from grader.reports.text import cleaned, hundredths, plain_lines, points_text
from grader.reports.view import Line
from grader.words import one_line

NAME = "github"
FILENAME = "github-summary.md"
MOST_ANNOTATIONS = 10
"""GitHub shows at most so many errors, and so many warnings, of one step."""
MOST_BYTES = 1_000_000
"""GitHub refuses a step summary of more than 1 MiB."""
_CUT = "\n\nThe rest is left out here: a step summary holds 1 MiB. The whole report is in `report.json`.\n"


def render(executed: Executed) -> str:
    """The step summary as GitHub Markdown, below 1 MiB: the score, a table of criteria, and what to do about each that lost points."""
    report = cleaned(executed.report)
    parts = [
        *(f"> **Note:** {inline(notice)}" for notice in report.notices),
        f"## {view.headline(report)}",
        *(inline(sentence) for sentence in view.explanation(report)),
        stopped(report),
    ]
    if report.criteria:
        rows = [
            (f"{line.symbol} {line.word}", inline(section.title), inline(line.result.title), line.points)
            for section in view.sections(report)
            for line in section.lines
        ]
        parts.append(table(("Result", "Section", "Criterion", "Points"), rows))
    if losses := view.losses(report):
        parts += ["### What to do next", *(criterion(line) for line in losses)]
    return _capped("\n\n".join(part for part in parts if part) + "\n")


def _capped(text: str) -> str:
    """`text`, cut at the end of a line if it is longer than GitHub takes."""
    data = text.encode()
    if len(data) <= MOST_BYTES:
        return text
    return data[: MOST_BYTES - len(_CUT)].decode(errors="ignore").rsplit("\n", 1)[0] + _CUT


def annotations(report: Report) -> list[str]:
    """Workflow commands, one a line: `::error` for what failed, `::warning` for partial credit and cells, `::notice` for the score.

    At most 10 errors and 10 warnings. Each is one line whatever the student wrote, so nothing in it can be a command of its own.
    """
    report = cleaned(report)
    if not view.has_score(report):
        level = "notice" if report.status is RunStatus.STARTED else "error"
        return [_command(level, report, view.headline(report), " ".join(view.explanation(report)) or view.headline(report))]
    losses = view.losses(report)
    errors = [_for_line("error", report, line) for line in losses if line.result.status is Status.FAIL]
    warnings = [_for_line("warning", report, line) for line in losses if line.result.status is not Status.FAIL]
    warnings += [_command("warning", report, f"cell {cell.index}", view.cell_sentence(cell)) for cell in view.troubled(report)]
    score = _command("notice", report, view.headline(report), f"{view.tally(report)}. {' '.join(view.explanation(report))}")
    return [*errors[:MOST_ANNOTATIONS], *warnings[:MOST_ANNOTATIONS], score]


def _for_line(level: str, report: Report, line: Line) -> str:
    title = f"{line.result.title} ({line.worth})"
    return _command(level, report, title, f"{line.result.message} {line.advice}")


def _command(level: str, report: Report, title: str, message: str) -> str:
    properties = f"file={_property(report.submission.file)},title={_property(title)}"
    return f"::{level} {properties}::{_data(one_line(message, 2000))}"


def _data(text: str) -> str:
    """A command's message, escaped; commands inside it, which some runners read anywhere in a line, are taken apart."""
    return plain_lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text, 200)).replace(":", "%3A").replace(",", "%2C")


def outputs(report: Report, path: Path) -> list[str]:
    """The action's outputs as `name=value` lines; `score` is empty where there is none."""
    score = points_text(hundredths(report.score)) if view.has_score(report) else ""
    values = {
        "status": report.status.value,
        "score": score,
        "max-score": points_text(hundredths(report.max_score)),
        "report": one_line(str(path)),
    }
    return [f"{name}={value}" for name, value in values.items()]


def main(arguments: list[str]) -> int:
    """Print the annotations of a `report.json`, or with `--outputs` the action's outputs. Returns the exit code."""
    paths = [Path(argument) for argument in arguments if argument != "--outputs"]
    if len(paths) != 1:
        sys.stderr.write("expected one report.json. Try: python -m grader.reports.as_github [--outputs] report.json\n")
        return 2
    try:
        report = as_json.load(paths[0])
    except GraderError as error:
        sys.stderr.write(f"{one_line(str(error))}\n")
        return error.exit_code
    lines = outputs(report, paths[0]) if "--outputs" in arguments else annotations(report)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
