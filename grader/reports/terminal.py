"""The summary for a person at a terminal. Plain text where the output is no terminal; rich keeps `NO_COLOR` by itself.

Student text is only ever put into `rich.text.Text`, never parsed as markup.
"""

from rich.console import Console
from rich.text import Text

from grader.records import Report, RunStatus, Status
from grader.reports import trained, view
from grader.reports.text import cleaned, hundredths, plain_lines, points_text
from grader.reports.view import Line
from grader.words import one_line

_STYLES = {
    Status.PASS: "green",
    Status.PARTIAL: "yellow",
    Status.FAIL: "red",
    Status.SKIP: "dim",
    Status.ERROR: "magenta",
    Status.MANUAL: "cyan",
}
_VERDICTS = {"pass": "green", "partial": "yellow", "fail": "red", "manual": "cyan"}
_WIDEST = max(len(word) for word in view.WORDS.values())


def print_report(report: Report, console: Console, *, verbose: bool = False, quiet: bool = False) -> None:
    """Print a report.

    Args:
        report: what to print.
        console: where to; its encoding, colours and width are respected.
        verbose: also what was expected and found, all hints, the cells that failed, notes, flags and timings.
        quiet: one line: the ending, the score, the submission. Wins over `verbose`.
    """
    printer = _Printer(console)
    report = cleaned(report)
    if quiet:
        printer.line(quiet_line(report))
        return
    for notice in report.notices:
        printer.line(f"Note: {one_line(notice)}", "bold yellow")
    for cell in view.troubled(report):
        printer.line(one_line(view.cell_sentence(cell)), "bold yellow")
    _criteria(report, printer, verbose=verbose)
    _training(report, printer, verbose=verbose)
    if verbose:
        _details(report, printer)
    printer.line()
    scored = view.has_score(report)
    good = scored and report.status is RunStatus.GRADED
    printer.line(view.headline(report), "bold green" if good else "bold yellow" if scored else "bold red")
    for sentence in view.explanation(report):
        printer.line(one_line(sentence))
    if report.criteria:
        printer.line(f"{view.tally(report).capitalize()}.")


def quiet_line(report: Report) -> str:
    """One line for a script to read: "graded 82.5/100 submission.ipynb"; "-" stands for a score that there is not."""
    score = points_text(hundredths(report.score)) if view.has_score(report) else "-"
    return f"{report.status.value} {score}/{points_text(hundredths(report.max_score))} {one_line(report.submission.file, 200)}"


class _Printer:
    """Prints lines of literal text that command nothing; what the console's encoding cannot hold becomes "?"."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.unicode = console.encoding.lower().startswith("utf")

    def line(self, text: str = "", style: str = "", indent: int = 0) -> None:
        self.rich(Text(self.encodable(text), style=style), indent)

    def rich(self, text: Text, indent: int = 0) -> None:
        shown = Text(" " * indent).append_text(text)
        width = max(40, self.console.width) if self.console.is_terminal else None
        if width is None or len(shown) <= width:
            self.console.print(shown, soft_wrap=True, highlight=False, emoji=False)
            return
        for part in text.wrap(self.console, max(20, width - indent)):
            self.console.print(Text(" " * indent).append_text(part), soft_wrap=True, highlight=False, emoji=False)

    def encodable(self, text: str) -> str:
        text = plain_lines(text)
        return text if self.unicode else text.encode(self.console.encoding, "replace").decode(self.console.encoding)


def _criteria(report: Report, printer: _Printer, *, verbose: bool) -> None:
    for section in view.sections(report):
        printer.line()
        printer.line(f"{section.title} ({section.points})", "bold")
        for line in section.lines:
            _criterion(line, printer, verbose=verbose)


def _criterion(line: Line, printer: _Printer, *, verbose: bool) -> None:
    result = line.result
    symbol = f"{line.symbol} " if printer.unicode else ""
    shown = Text(printer.encodable(f"{symbol}{line.word:<{_WIDEST}}"), style=_STYLES[result.status])
    shown.append(printer.encodable(f"  {one_line(result.title, 200)} ({line.points})"), style="not dim default")
    printer.rich(shown, 2)
    silent = result.status in {Status.PASS, Status.MANUAL} and not verbose
    if result.message and not silent:
        printer.line(one_line(result.message), indent=6)
    if not verbose:
        return
    for word, text in line.remarks():
        printer.line(f"{word.lower() + ':':<10}{one_line(text)}", indent=6)


def _training(report: Report, printer: _Printer, *, verbose: bool) -> None:
    if not report.training:
        return
    printer.line()
    printer.line("Short training check", "bold")
    for training in report.training:
        phrase = trained.phrase(training)
        role = view.ROLES.get(training.role, one_line(training.role, 60))
        printer.line(f"{f'{phrase.symbol} ' if printer.unicode else ''}{role}: {phrase.words}", _VERDICTS.get(phrase.look, ""), indent=2)
        for word, text in trained.sentences(training):
            if word != trained.STORED or verbose:
                printer.line(one_line(text, 3000), indent=6)
        for text in trained.cured(training):
            printer.line(one_line(text), indent=6)
        if not verbose:
            continue
        for seed, ending, images, accuracy, interval, _ in trained.run_rows(training):
            printer.line(f"seed {seed}: {ending} after {images} images, accuracy {accuracy} (95 % interval {interval})", indent=6)
        for text in (*trained.evidence(training), *training.notes):
            printer.line(one_line(text), indent=6)
        printer.line(one_line("; ".join(f"{word}: {value}" for word, value in trained.facts(training))), indent=6)


def _details(report: Report, printer: _Printer) -> None:
    for title, rows in (
        ("Models", [f"{view.ROLES[model.role]}, cell {model.cell}: {model.reason}" for model in report.models]),
        ("What the grader changed to run this notebook", [f"cell {note.cell} ({note.kind}): {note.text}" for note in report.notes]),
        ("For course staff", [f"{flag.severity}: {flag.message} ({flag.id})" for flag in report.flags]),
        ("Timings", [f"{phase}: {seconds}" for phase, seconds in view.timings(report)]),
    ):
        if rows:
            printer.line()
            printer.line(title, "bold")
            for row in rows:
                printer.line(one_line(row), indent=2)
