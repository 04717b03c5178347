"""Line charts as geometry: a template turns them into inline SVG, so that the report needs no plotting library and no image.

Series differ by dash pattern and marker as well as by colour, and every chart has a title, a description and a table of its values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from grader.reports.text import NOTHING, thinned
from grader.reports.view import finite
from grader.words import one_line

WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 12, 34
MOST_SERIES, MOST_ROWS = 6, 120
_MOST_POINTS = 2000
_MARKED = 40  # up to so many points each point is marked
Place = Callable[[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A mark on an axis: its place in the chart's units and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line. `paths` are the points of its unbroken stretches ("x,y x,y …"), `marks` its marked points, `style` is 1 to 6."""

    name: str
    style: int
    paths: tuple[str, ...]
    marks: tuple[tuple[float, float], ...]
    legend_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart in a box of `width` by `height` units; `rows` are its values as text for the table."""

    id: str
    title: str
    description: str
    x_label: str
    width: int
    height: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def panels(name: str, title: str, x_label: str, xs: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> tuple[Chart, ...]:
    """A chart of the losses and one of everything else, each only where there is a finite value to draw.

    Args:
        name: unique in the document; becomes the charts' ids.
        title: what the curves belong to.
        x_label: what `xs` counts ("Epoch", "Step").
        xs: at least as many positions as the longest curve has values.
        curves: history key to values; at most 6 are drawn in a chart, at most 2,000 values each.
    """
    losses = {key: values for key, values in curves.items() if "loss" in key.lower()}
    others = {key: values for key, values in curves.items() if key not in losses}
    made = (
        _chart(f"{name}-{kind}", f"{title}: {word}", x_label, xs, group)
        for kind, word, group in (("metrics", "accuracy", others), ("losses", "loss", losses))
    )
    return tuple(chart for chart in made if chart is not None)


def _chart(name: str, title: str, x_label: str, xs: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> Chart | None:
    drawn = {
        one_line(key, 30): finite(tuple(values[:_MOST_POINTS]))
        for key, values in list(curves.items())[:MOST_SERIES]
    }  # fmt: skip
    known = [value for values in drawn.values() for value in values if value is not None]
    if not known:
        return None
    xs = xs[: max(len(values) for values in drawn.values())]
    low, high, y_ticks = _y_axis(known)
    first, last = xs[0], max(xs[-1], xs[0] + 1)

    place = placing((first, last), (low, high), HEIGHT)
    series = tuple(_series(key, number, xs, values, place) for number, (key, values) in enumerate(drawn.items(), 1))
    return Chart(
        id=name,
        title=title,
        description=" ".join(_sentence(key, x_label, xs, values) for key, values in drawn.items()),
        x_label=x_label,
        width=WIDTH,
        height=HEIGHT + 16 * len(series) + 4,
        x_ticks=tuple(Tick(at=place(x, low)[0], label=str(x)) for x in _x_ticks(xs)),
        y_ticks=tuple(Tick(at=place(first, y)[1], label=f"{y:.4g}") for y in y_ticks),
        series=series,
        header=(x_label, *drawn),
        rows=_rows(xs, tuple(drawn.values())),
    )


def _series(name: str, style: int, xs: Sequence[int], values: tuple[float | None, ...], place: Place) -> Series:
    paths, marks = line(xs, values, place)
    return Series(name=name, style=style, paths=paths, marks=marks, legend_y=HEIGHT + 16 * (style - 1) + 8)


def placing(across: tuple[float, float], up: tuple[float, float], height: int) -> Place:
    """Where a point of a chart is drawn whose axes run from `across[0]` to `across[1]` and from `up[0]` to `up[1]`."""

    def place(x: float, y: float) -> tuple[float, float]:
        right = LEFT + (x - across[0]) / (across[1] - across[0]) * (WIDTH - LEFT - RIGHT)
        down = TOP + (up[1] - y) / (up[1] - up[0]) * (height - TOP - BOTTOM)
        return round(right, 1), round(down, 1)

    return place


def line(xs: Sequence[int], values: Sequence[float | None], place: Place) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    """The unbroken stretches of a line ("x,y x,y …") and its marked points: all of a few, else only those that stand alone."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, values, strict=False):
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append(place(x, y))
    points = [point for stretch in stretches for point in stretch]
    alone = [stretch[0] for stretch in stretches if len(stretch) == 1]
    paths = tuple(" ".join(f"{x},{y}" for x, y in stretch) for stretch in stretches if len(stretch) > 1)
    return paths, tuple(points if len(points) <= _MARKED else alone)


def _y_axis(values: list[float]) -> tuple[float, float, list[float]]:
    """The axis' ends and its ticks: 0 to 1 for fractions, else round numbers around the values."""
    low, high = min(0.0, *values) if len(values) > 1 else min(0.0, values[0]), max(values)
    if low >= 0 and high <= 1 and high > 0.05:
        return 0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    span = high - low if high - low > 1e-300 else 1.0
    step = round_step(span / 5)
    bottom, top = math.floor(low / step), math.ceil((low + span) / step)
    return bottom * step, top * step, [number * step for number in range(bottom, top + 1)]


def round_step(least: float) -> float:
    """The distance of an axis' ticks: 1, 2 or 5 times a power of ten, and not under `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _x_ticks(xs: Sequence[int]) -> list[int]:
    if len(xs) <= 6:
        return list(xs)
    return [xs[round(part * (len(xs) - 1) / 5)] for part in range(6)]


def _sentence(name: str, x_label: str, xs: Sequence[int], values: tuple[float | None, ...]) -> str:
    known = [(x, y) for x, y in zip(xs, values, strict=False) if y is not None]
    if not known:
        return f"{name}: no finite value."
    word = x_label.lower()
    (start, first), (end, last) = known[0], known[-1]
    best_x, best = (min if "loss" in name.lower() else max)(known, key=lambda point: point[1])
    extreme = "lowest" if "loss" in name.lower() else "highest"
    return f"{name}: {first:.3g} at {word} {start}, {last:.3g} at {word} {end}, {extreme} {best:.3g} at {word} {best_x}."


def _rows(xs: Sequence[int], columns: tuple[tuple[float | None, ...], ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((str(xs[i]), *(_cell(column, i) for column in columns)) for i in thinned(range(len(xs)), MOST_ROWS))


def _cell(column: tuple[float | None, ...], index: int) -> str:
    value = column[index] if index < len(column) else None
    return NOTHING if value is None else f"{value:.4f}"
