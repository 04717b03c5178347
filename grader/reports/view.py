"""The words and numbers that all formats share, so that no two of them tell a different story.

Nothing is escaped here: each format escapes in its own way. All functions take records that went through `text.cleaned`.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from grader.records import CellError, CriterionResult, Json, Report, ReportCell, ReportModel, RunStatus, Status
from grader.reports.text import NOTHING, count_text, hundredths, in_points, points_text
from grader.words import counted, one_line

WORDS: dict[Status, str] = {
    Status.PASS: "Passed",
    Status.PARTIAL: "Partly",
    Status.FAIL: "Failed",
    Status.SKIP: "Not graded yet",
    Status.ERROR: "Not judged",
    Status.MANUAL: "Manual review",
}
SYMBOLS: dict[Status, str] = {
    Status.PASS: "✓",
    Status.PARTIAL: "◐",
    Status.FAIL: "✗",
    Status.SKIP: NOTHING,
    Status.ERROR: "!",
    Status.MANUAL: "✎",
}
ROLES = {"base": "Base model", "dropout": "Dropout model", "augmentation": "Augmentation model", "other": "Other model"}
RECORDED = "recorded, not measured"
"""Said wherever points are shown that rest on what the notebook's stored outputs say, as far as a re-run bears it out."""

SCORED = frozenset({RunStatus.GRADED, RunStatus.NEEDS_REVIEW})
"""The endings that have a score. All others have none: not zero, none."""

_HEADLINES = {
    RunStatus.STARTED: "No score yet: grading has not finished",
    RunStatus.UNGRADABLE: "No score: this submission could not be graded",
    RunStatus.GRADER_ERROR: "No score: the grader failed",
    RunStatus.INFRA_ERROR: "No score: the grading machine was not ready",
}
_MEANINGS = {
    RunStatus.STARTED: "Grading has started and is not finished. If this does not change, grading was interrupted: run it again.",
    RunStatus.NEEDS_REVIEW: "The points are provisional until a manual review.",
    RunStatus.UNGRADABLE: "No points were given or taken away. Fix the problem described above and resubmit.",
    RunStatus.GRADER_ERROR: "This is a fault of the grader, not of the submission. No points were taken away; manual review follows.",
    RunStatus.INFRA_ERROR: "This is a fault of the grading machine, not of the submission. No points were taken away; grading will be run again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One criterion with its printed points, in hundredths; `earned` is None where nothing was decided."""

    result: CriterionResult
    earned: int | None
    possible: int

    @property
    def word(self) -> str:
        """The status in words."""
        return WORDS[self.result.status]

    @property
    def symbol(self) -> str:
        """The status as one character, always shown beside the word."""
        return SYMBOLS[self.result.status]

    @property
    def basis(self) -> str:
        """What to say of points that rest on the notebook's stored outputs; empty for others."""
        return RECORDED if self.earned is not None and self.result.basis == "recorded" else ""

    @property
    def points(self) -> str:
        """For people: "2.5 of 5", "2.5 of 5; recorded, not measured", or "5, not graded yet" where nothing was decided."""
        return self._points(points_text(self.possible))

    @property
    def worth(self) -> str:
        """For a sentence: "2.5 of 5 points", or "5 points, not graded yet"."""
        return self._points(in_points(self.possible))

    def _points(self, possible: str) -> str:
        if self.earned is not None:
            return f"{points_text(self.earned)} of {possible}{'; ' * bool(self.basis)}{self.basis}"
        return f"{possible}, {WORDS[self.result.status].lower() if self.result.status is Status.MANUAL else 'not graded yet'}"

    @property
    def anchor(self) -> str:
        """Where this line stands in a page: an id of letters, digits and hyphens."""
        return "criterion-" + "".join(character if character.isascii() and character.isalnum() else "-" for character in self.result.id)

    @property
    def lost(self) -> int:
        """Hundredths of a point that were possible and not earned; 0 where nothing was decided."""
        return 0 if self.earned is None else max(0, self.possible - self.earned)

    @property
    def advice(self) -> str:
        """What to do next: the check's hint, or where to look if it gave none. Empty for what passed or awaits a person."""
        if self.result.hint:
            return self.result.hint
        if self.result.status is Status.ERROR:
            return "Nothing to do: this is a fault of the grader. It goes to manual review."
        if self.result.status not in {Status.FAIL, Status.PARTIAL}:
            return ""
        where = f"section {self.result.section} of the exercise" if self.result.section else "the exercise"
        return f"Read {where} again, compare it with this part of your notebook, and change what differs."

    def remarks(self, *, why: bool = False) -> tuple[tuple[str, str], ...]:
        """What was expected and found, what to do next and, where points were lost, `why` it matters, as (word, text)."""
        told = (
            ("Expected", self.result.expected),
            ("Found", self.result.actual),
            ("Next", self.advice),
            ("Why it matters", self.result.why if why and self.lost else ""),
        )
        return tuple((word, text) for word, text in told if text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The lines of one section of the exercise, in the rubric's order; points in hundredths."""

    number: int
    title: str
    lines: tuple[Line, ...]

    @property
    def points(self) -> str:
        """For people: "12.5 of 15 points", or "5 of 15 points, 10 of them not graded yet"."""
        earned = sum(line.earned or 0 for line in self.lines)
        waiting = sum(line.possible for line in self.lines if line.earned is None)
        points = f"{points_text(earned)} of {in_points(sum(line.possible for line in self.lines))}"
        return f"{points}, {points_text(waiting)} of them not graded yet" if waiting else points


def lines(report: Report) -> tuple[Line, ...]:
    """Every criterion with its points rounded to hundredths such that the printed lines add up to the printed total.

    Largest remainders: each line is rounded down, and the hundredths missing from the rounded total go to the lines that lost most.
    """
    decided = [result.earned for result in report.criteria if result.earned is not None]
    earned = iter(_apportioned(decided, report.score))
    possible = _apportioned([result.points for result in report.criteria], report.max_score)
    return tuple(
        Line(result=result, earned=None if result.earned is None else next(earned), possible=most)
        for result, most in zip(report.criteria, possible, strict=True)
    )


def _apportioned(values: list[float], total: float) -> list[int]:
    """`values` in hundredths, adding up to `total` in hundredths; plainly rounded where the values are not what makes up the total."""
    exact = [Fraction(Decimal(str(value))) * 100 for value in values]
    floors = [math.floor(value) for value in exact]
    missing = hundredths(total) - sum(floors)
    by_remainder = sorted((i for i in range(len(exact)) if exact[i] > floors[i]), key=lambda i: floors[i] - exact[i])
    if not 0 <= missing <= len(by_remainder):
        return [hundredths(value) for value in values]
    raised = set(by_remainder[:missing])
    return [floor + (i in raised) for i, floor in enumerate(floors)]


def sections(report: Report) -> tuple[Section, ...]:
    """The criteria by section, sections in order of number, lines in the rubric's order."""
    found: dict[int, list[Line]] = {}
    for line in lines(report):
        found.setdefault(line.result.section, []).append(line)
    return tuple(
        Section(number=number, title=_section_title(number, found[number]), lines=tuple(found[number])) for number in sorted(found)
    )


def _section_title(number: int, members: list[Line]) -> str:
    prefixes = {line.result.id.partition(".")[0] for line in members}
    name = prefixes.pop() if len(prefixes) == 1 else ""
    title = f"Section {number}" if number else "General"
    return f"{title}: {name}" if name else title


def has_score(report: Report) -> bool:
    """Whether the report's score means anything (`graded` and `needs_review` only)."""
    return report.status in SCORED


def headline(report: Report) -> str:
    """The score in words, or that there is none and why."""
    if report.status not in SCORED:
        return _HEADLINES[report.status]
    score = f"{points_text(hundredths(report.score))} of {in_points(hundredths(report.max_score))}"
    if report.status is RunStatus.NEEDS_REVIEW:
        return f"{score}, provisional"
    return f"{score} so far" if report.pending_points > 0 else score


def explanation(report: Report) -> tuple[str, ...]:
    """What decided: sentences about the ending, then about the points."""
    sentences = [report.reason] if report.reason else []
    if report.status in _MEANINGS:
        sentences.append(_MEANINGS[report.status])
    if report.status not in SCORED:
        return tuple(sentences)
    auto = f"{points_text(hundredths(report.auto_score))} of {in_points(hundredths(report.auto_max))}"
    sentences.append(f"Graded automatically: {auto}.")
    if report.pending_points > 0:
        sentences.append(f"Manual review: up to {in_points(hundredths(report.pending_points))}.")
    if resting := recorded(report):
        worth = in_points(sum(line.earned or 0 for line in resting))
        sentences.append(f"Of these, {worth}: {RECORDED} ({', '.join(line.result.id for line in resting)}).")
    undecided = [line for line in lines(report) if line.earned is None and line.result.status is not Status.MANUAL]
    if undecided:
        worth = in_points(sum(line.possible for line in undecided))
        sentences.append(f"Not graded yet (no points lost): {counted(len(undecided), 'criterion')} worth {worth}.")
    return tuple(sentences)


def recorded(report: Report) -> tuple[Line, ...]:
    """The lines whose points rest on the notebook's stored outputs."""
    return tuple(line for line in lines(report) if line.basis)


def losses(report: Report) -> tuple[Line, ...]:
    """The lines that cost points, the dearest first."""
    return tuple(sorted((line for line in lines(report) if line.lost), key=lambda line: -line.lost))


def tally(report: Report) -> str:
    """How many criteria ended how: "14 passed, 2 failed, 3 for manual review"."""
    counts = {status: sum(result.status is status for result in report.criteria) for status in Status}
    return ", ".join(f"{count} {'for ' * (status is Status.MANUAL)}{WORDS[status].lower()}" for status, count in counts.items() if count)


def cell_sentence(cell: ReportCell) -> str:
    """How a cell ended and what followed: "Cell 6 stopped with NameError: name 'x' is not defined (line 3), so the network was not trained."."""
    first = cell.error
    if first is None:
        ended = {"ok": "ran without an error", "error": "stopped with an error", "timeout": "was stopped: it ran longer than a cell may"}
        return f"Cell {cell.index} {ended.get(cell.status, 'was not reached')}."
    said = f"{first.type}: {_error_text(first)}"
    if first.type == "Stopped":
        said = f"Cell {cell.index} ended the run: {_error_text(first)}"
    elif first.type == "Timeout":
        said = f"Cell {cell.index} was stopped: {_error_text(first)}"
    else:
        said = f"Cell {cell.index} {'stopped' if cell.consequence else 'failed'} with {said}"
    others = "".join(f" Also {other.type}: {_error_text(other)}." for other in cell.more)
    return f"{said}{', ' if cell.consequence else ''}{cell.consequence}.{others}"


def _error_text(error: CellError) -> str:
    place = "" if error.line is None else f" (line {error.line})" if error.cell is None else f" (cell {error.cell}, line {error.line})"
    return f"{one_line(error.message, 400).rstrip('.')}{place}"


def troubled(report: Report) -> tuple[ReportCell, ...]:
    """The cells that did not run to their end; those that were not reached only where no other cell's line tells of them."""
    found = tuple(cell for cell in report.cells if cell.status in ("error", "timeout"))
    told = any("not reached" in cell.consequence for cell in found)
    return found if told else (*found, *(cell for cell in report.cells if cell.status == "skipped"))


def model_facts(model: ReportModel) -> tuple[tuple[str, str], ...]:
    """What is known of a model besides its layers, as (word, value)."""
    origin = "rebuilt here" if model.origin == "rebuilt" else "as its summary described it (it could not be rebuilt)"
    facts = (
        ("Defined in", f"cell {model.cell}"),
        ("Name", model.name),
        ("Parameters", count_text(model.parameters)),
        ("Input", model.input),
        ("Labels", model.labels),
        ("Optimizer", model.optimizer),
        ("Loss", model.loss),
        ("Layers below", origin),
    )
    return tuple((word, value) for word, value in facts if value)


def pairs(value: Json, prefix: str = "") -> tuple[tuple[str, str], ...]:
    """A nested JSON object as flat (dotted name, text) pairs, in its own order."""
    if isinstance(value, dict):
        return tuple(pair for key, item in value.items() for pair in pairs(item, f"{prefix}.{key}" if prefix else str(key)))
    return ((prefix, _json_text(value)),)


def _json_text(value: Json) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_json_text(item) for item in value) or "none"
    return one_line(str(value), 300)


def timings(report: Report) -> tuple[tuple[str, str], ...]:
    """Each phase with its duration, "1.2 s"."""
    return tuple((phase, f"{seconds:.1f} s") for phase, seconds in report.timings.items())


def total_seconds(report: Report) -> float:
    """How long grading took: the phase "total" where there is one, else the sum of the phases."""
    seconds = report.timings.get("total", sum(report.timings.values()))
    return round(seconds, 3) if math.isfinite(seconds) else 0.0


def finite(values: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """The values with None for whatever cannot be drawn (NaN, infinite, beyond 1e12)."""
    return tuple(value if value is not None and abs(value) < 1e12 else None for value in values)
