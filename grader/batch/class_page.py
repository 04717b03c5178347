"""`class.html`: one self-contained page about a class, for its instructors. Pseudonyms only; no name, no file name.

No script, nothing loaded from elsewhere, in the look of the reports. The standings are read once, and only counts of them are kept (`Tally`).
"""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from jinja2 import Environment

from grader.batch.similarity import Similar
from grader.batch.summary import endings, percent, points, quantiles
from grader.batch.tally import BINS, OUTCOMES, Line, Listed, Tally
from grader.display import duration
from grader.records import Status
from grader.reports import as_html, inert, view
from grader.reports.chart import round_step
from grader.reports.text import clean
from grader.words import counted, one_line

FILENAME = "class.html"
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 20, 26, 50
BAR_WIDTH, BAR_HEIGHT = 120, 18
_WORDS = {
    "pass": view.WORDS[Status.PASS],
    "partial": view.WORDS[Status.PARTIAL],
    "fail": view.WORDS[Status.FAIL],
    "undecided": view.WORDS[Status.SKIP],
    "manual": view.WORDS[Status.MANUAL],
}
_HEIGHTS = {"pass": 1.0, "partial": 0.66, "fail": 0.33, "undecided": 0.14, "manual": 1.0}
"""A part of a bar is told by its height as well as by its colour; what is open has an outline only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the histogram, in the drawing's units, with its label below and its count above."""

    x: float
    y: float
    width: float
    height: float
    middle: float
    label: str
    count: int
    share: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The distribution of the totals: `columns` from the lowest tenth to the highest, `edges` between them as (x, label), `ticks` as (y, label)."""

    columns: tuple[Column, ...]
    edges: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionRow:
    """One criterion: its counts as (word, look, number), its bar, and the share of the points that was given.

    `parts` of the bar: (look, x, y, width, height), in the drawing's units.
    """

    line: Line
    counts: tuple[tuple[str, str, int], ...]
    parts: tuple[tuple[str, float, float, float, float], ...]
    given: str


@dataclass(frozen=True, slots=True)
class Heading:
    """One kind of thing that a person should look at. `short`: pseudonyms are enough, there is nothing to say of each."""

    id: str
    title: str
    explanation: str
    listed: Listed
    short: bool = False


def render(title: str, tally: Tally, similar: Similar | None, *, generated_at: datetime, problems: int = 0) -> str:
    """The page.

    Args:
        title: what the class is called; it is shown as it is given.
        tally: of the standings, one a student or group.
        similar: what the comparison found; None where nobody compared.
        generated_at: the time that the page states.
        problems: how many problems intake had. Their words name files, and files name students: they are not shown.

    Raises:
        GraderError: something that can act got into the page (a fault of the grader).
    """
    page = _environment().get_template("class.html").render(
        title=one_line(clean(title), 200) or "Class",
        tally=tally,
        endings=[(words.capitalize(), count) for _, count, words in endings(tally)],
        histogram=_histogram(tally),
        quantiles=[(word.capitalize(), value) for word, value in quantiles(tally)],
        sections=_sections(tally),
        words=_WORDS,
        headings=_headings(tally),
        flags=sorted(tally.flags.items(), key=lambda item: (-("info", "warning", "alert").index(item[1].severity), -item[1].count, item[0])),
        similar=similar,
        problems=problems,
        generated_at=generated_at,
        bar=(BAR_WIDTH, BAR_HEIGHT),
        frame=(WIDTH, HEIGHT, LEFT, WIDTH - RIGHT),
    )  # fmt: skip
    inert.check(page)
    return page


def _histogram(tally: Tally) -> Histogram | None:
    counts = tally.histogram()
    total = sum(counts)
    if not total:
        return None
    step = max(1, round(round_step(max(counts) / 6)))  # at most six of them
    high = math.ceil(max(counts) / step) * step
    slot = (WIDTH - LEFT - RIGHT) / BINS
    columns = []
    for place, count in enumerate(counts):
        height = round(count / high * (HEIGHT - TOP - BOTTOM), 1)
        low, top = (points(tally.max_score * edge / BINS) for edge in (place, place + 1))
        columns.append(
            Column(
                x=round(LEFT + slot * place + 3, 1),
                y=round(HEIGHT - BOTTOM - height, 1),
                width=round(slot - 6, 1),
                height=height,
                middle=round(LEFT + slot * (place + 0.5), 1),
                label=f"{low}\u2013{top}",
                count=count,
                share=percent(count, total),
            )
        )
    ticks = tuple((round(HEIGHT - BOTTOM - tick / high * (HEIGHT - TOP - BOTTOM), 1), f"{tick:,}") for tick in range(0, high + 1, step))
    most = max(columns, key=lambda column: column.count)
    low, middle, top = (points(value * tally.max_score) for value in tally.quantiles(0, 0.5, 1))
    description = (
        f"{counted(total, 'total')} of {points(tally.max_score)} points, from {low} to {top}; half of them are at {middle} or below. "
        f"Most, {most.count:,} ({most.share}), lie in {most.label}."
    )
    edges = tuple((round(LEFT + slot * edge, 1), points(tally.max_score * edge / BINS)) for edge in range(BINS + 1))
    return Histogram(columns=tuple(columns), edges=edges, ticks=ticks, description=description)


def _sections(tally: Tally) -> tuple[tuple[int, tuple[CriterionRow, ...]], ...]:
    numbers = sorted({line.section for line in tally.lines.values()})
    return tuple((number, tuple(_row(line) for line in tally.lines.values() if line.section == number)) for number in numbers)


def _row(line: Line) -> CriterionRow:
    parts = []
    x = 0.0
    for name in OUTCOMES:
        width, height = line.outcomes[name] / line.students * BAR_WIDTH, _HEIGHTS[name] * (BAR_HEIGHT - 2)
        if width:
            parts.append((name, round(x + 0.5, 2), round(BAR_HEIGHT - 1 - height, 2), round(max(width - 1, 0.5), 2), round(height, 2)))
        x += width
    return CriterionRow(
        line=line,
        counts=tuple((_WORDS[name], name, line.outcomes[name]) for name in OUTCOMES),
        parts=tuple(parts),
        given=percent(line.given, line.possible) if line.possible else "",
    )


def _headings(tally: Tally) -> tuple[Heading, ...]:
    pending = ""
    if tally.pending.count:
        each = points(tally.pending_points / tally.pending.count)
        pending = f"Written answers get their points in manual review: up to {each} on average. No total includes them yet."
    bug = "A grader bug: not graded (no points lost). Please report it; manual review is needed."
    retry = "Not graded yet (no points lost). Run the same command again to retry."
    provisional = "They have a provisional total: confirm or override it."
    found = (
        Heading("review", "Manual review before the points count", provisional, tally.listed["needs_review"]),
        Heading("grader-errors", "The grader failed", bug, tally.listed["grader_error"]),
        Heading("infra-errors", "The machine failed", retry, tally.listed["infra_error"]),
        Heading("ungradable", "Not gradable", "Not graded (no points lost): manual review is needed.", tally.listed["ungradable"]),
        Heading("waiting", "Not graded yet", "Run the same command again to grade them.", tally.listed["waiting"], short=True),
        Heading("answers", "With written answers", pending, tally.pending, short=True),
    )
    return tuple(heading for heading in found if heading.listed.count)


@cache
def _environment() -> Environment:
    environment = as_html.environment("grader.batch")
    environment.filters |= {
        "line": lambda text: one_line(clean(text), 600),
        "points": points,
        "duration": duration,
        "percent": lambda share: percent(share, 1.0),
        "pseudonyms": lambda cases: ", ".join(one_line(clean(case.student), 80) for case in cases),
    }
    environment.globals["share"] = percent
    return environment
