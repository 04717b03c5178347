"""The figure of one training check, as geometry: the re-runs' accuracy over the reference band and the guessing level.

Lines differ by dash pattern, marker and width as well as by colour; the legend says what each is, and the values stand in a table below.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grader.records import CurvePoint, ReportTraining, Rerun
from grader.reports.chart import MOST_ROWS, WIDTH, Place, Tick, line, placing, round_step
from grader.reports.text import NOTHING, thinned
from grader.reports.trained import GUESSING, Band, band, shown
from grader.words import one_line

HEIGHT = 250
_MOST_SEEDS, _MOST_CURES = 8, 2
_FARTHEST = 10**12
_Measured = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A drawn line. `look` is its class in the style sheet: own | cure | cure2 | seed."""

    look: str
    paths: tuple[str, ...]
    marks: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure in a box of `WIDTH` by `HEIGHT` units; `legend` is (look, words), `rows` the values as text.

    `area`: the band's outline, empty where it is one point only; then `low` to `high` at that point is `bar` (x, y, y).
    """

    id: str
    title: str
    description: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    guessing: float
    area: str
    median: str
    bar: tuple[float, float, float] | None
    lines: tuple[Line, ...]
    deaths: tuple[tuple[float, float], ...]
    legend: tuple[tuple[str, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    look: str
    name: str  # over its column of the table
    said: str  # in the legend and the description
    seed: int
    measured: _Measured
    died: int | None  # after so many images


def figure(name: str, title: str, training: ReportTraining) -> Figure | None:
    """The figure of a training check, or None where nothing was trained.

    Args:
        name: unique in the document; becomes the figure's id.
        title: what was trained.
        training: the check.
    """
    curves = _curves(training)
    if not any(curve.measured or curve.died for curve in curves):
        return None
    under = band(training)
    farthest = max([images for curve in curves for images, _ in curve.measured] + [curve.died or 0 for curve in curves])
    farthest = max(farthest, *under.images) if under else farthest
    best = max([GUESSING, *(value for curve in curves for _, value in curve.measured), *(under.high + under.passes if under else ())])
    top, step = _top(best)

    place = placing((0, farthest), (0, top), HEIGHT)
    deaths = tuple((curve.died, curve.measured[-1][1] if curve.measured else GUESSING) for curve in curves if curve.died)
    return Figure(
        id=name,
        title=title,
        description=_description(curves, under),
        x_ticks=tuple(Tick(at=place(x, 0)[0], label=f"{x:,}") for x in range(0, farthest + 1, max(1, round(round_step(farthest / 5))))),
        y_ticks=tuple(Tick(at=place(0, number * step)[1], label=f"{number * step:.1f}") for number in range(round(top / step) + 1)),
        guessing=place(0, GUESSING)[1],
        area=_outline(under, place) if under and len(under.images) > 1 else "",
        median=_path(under.images, under.median, place) if under and len(under.images) > 1 else "",
        bar=(*place(under.images[0], under.low[0]), place(0, under.high[0])[1]) if under and len(under.images) == 1 else None,
        lines=tuple(
            _line(curve, place) for look in ("seed", "cure2", "cure", "own") for curve in curves if curve.look == look
        ),  # ours on top
        deaths=tuple(place(images, accuracy) for images, accuracy in deaths),
        legend=_legend(curves, under),
        header=(
            "Training images",
            *(curve.name for curve in curves),
            *(("Band low", "Band median", "Band high", "Learns from") if under else ()),
        ),
        rows=_rows(curves, under),
    )


def _curves(training: ReportTraining) -> list[_Curve]:
    """The shown re-run first, then the cures, then the other seeds."""
    own = shown(training)
    if own is None:
        measured = _measured(training.curve)
        return [_Curve(look="own", name="This model", said="this model", seed=0, measured=measured, died=None)] if measured else []
    curves = [_curve("own", f"Seed {own.seed}", f"this model, seed {own.seed}", own)]
    cures = [found for found in training.counterfactuals if found.cures][:_MOST_CURES]
    for look, found in zip(("cure", "cure2"), cures, strict=False):
        words = f"with {one_line(found.change, 120)}"
        curves.append(_curve(look, words[:1].upper() + words[1:], f"{words} (seed {found.rerun.seed})", found.rerun))
    others = [run for run in training.runs if run is not own][:_MOST_SEEDS]
    return curves + [_curve("seed", f"Seed {run.seed}", f"seed {run.seed}", run) for run in others]


def _curve(look: str, name: str, said: str, run: Rerun) -> _Curve:
    died = run.images if run.ending == "dead" and 0 < run.images < _FARTHEST else None
    return _Curve(look=look, name=name, said=said, seed=run.seed, measured=_measured(run.points), died=died)


def _measured(points: Sequence[CurvePoint]) -> _Measured:
    found = {point.images: point.accuracy for point in points}
    return tuple(
        (images, value) for images, value in sorted(found.items()) if 0 < images < _FARTHEST and value is not None and 0 <= value <= 1
    )


def _top(best: float) -> tuple[float, float]:
    """The upper end of the axis and the distance of its ticks: tenths up to a half, fifths over it."""
    tenths = max(3, math.ceil(best * 10 + 0.2))
    return (tenths / 10, 0.1) if tenths <= 5 else (min(10, tenths + tenths % 2) / 10, 0.2)


def _line(curve: _Curve, place: Place) -> Line:
    paths, marks = line([images for images, _ in curve.measured], [value for _, value in curve.measured], place)
    return Line(look=curve.look, paths=paths, marks=marks)


def _path(images: Sequence[int], values: Sequence[float], place: Place) -> str:
    return " ".join("{},{}".format(*place(x, y)) for x, y in zip(images, values, strict=True))


def _outline(under: Band, place: Place) -> str:
    return f"{_path(under.images, under.low, place)} {_path(under.images[::-1], under.high[::-1], place)}"


def _legend(curves: Sequence[_Curve], under: Band | None) -> tuple[tuple[str, str], ...]:
    entries = [(curve.look, curve.said) for curve in curves if curve.look != "seed" and curve.measured]
    if others := [curve.seed for curve in curves if curve.look == "seed" and curve.measured]:
        entries.append(("seed", f"the same model, {_seeds(others)}"))
    if died := [curve.seed for curve in curves if curve.died]:
        entries.append(("death", f"proved dead: {_seeds(died)}"))
    if under:
        entries += [("band", "reference band"), ("median", "median of the reference runs")]
    return (*entries, ("guess", f"chance level, {GUESSING:.2f}"))


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(str(seed) for seed in sorted(seeds))}"


def _description(curves: Sequence[_Curve], under: Band | None) -> str:
    parts = [_sentence(curve) for curve in curves]
    if under:
        last = under.images[-1]
        parts.append(f"Reference band at {last:,} images: {under.low[-1]:.2f} to {under.high[-1]:.2f}, median {under.median[-1]:.2f}.")
    return " ".join([*parts, f"Chance level is {GUESSING:.2f}."])


def _sentence(curve: _Curve) -> str:
    said = curve.said[:1].upper() + curve.said[1:]
    ended = f"proved dead after {curve.died:,} images" if curve.died else ""
    if not curve.measured:
        return f"{said}: {ended or 'no accuracy measured'}."
    (start, first), (end, last) = curve.measured[0], curve.measured[-1]
    values = f"accuracy {first:.2f} at {start:,} images" + (f", {last:.2f} at {end:,} images" if end > start else "")
    return f"{said}: {values}{', ' if ended else ''}{ended}."


def _rows(curves: Sequence[_Curve], under: Band | None) -> tuple[tuple[str, ...], ...]:
    columns = [dict(curve.measured) for curve in curves]
    if under:
        columns += [dict(zip(under.images, values, strict=True)) for values in (under.low, under.median, under.high, under.passes)]
    places = sorted({images for column in columns for images in column})
    return tuple(
        (f"{images:,}", *(f"{column[images]:.3f}" if images in column else NOTHING for column in columns))
        for images in thinned(places, MOST_ROWS)
    )
