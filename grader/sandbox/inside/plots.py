"""What the cells drew. Every answered history has values of its own, so a curve in a figure tells which history and key it shows."""

import base64
import io
import sys

import numpy as np

_known = {}  # (rounded values, …) -> (fit index, key)
_ranges = []  # (lowest, highest, (fit index, key)) of every curve that was answered
_seen = []  # (lines, curves) of figures closed before the cell ended
_PICTURE_DPI = 50
_ROOM = 1e-9  # for what rounding adds to a curve's range
_KEYS, _SLOT = 8, 1e-5
"""Curves of one history that have ranges of their own, and the width of each range: 500 histories change the numbers by 0.04 at most."""


def value(first, index, position, epoch, epochs):
    """The answer of fit number `index` for its `position`-th curve in `epoch`: rising, and in a range that no other curve with this `first` value has."""
    return first + _SLOT * (1 + _KEYS * index + min(position, _KEYS - 1) + 0.9 * epoch / max(epochs, 1))


def _key(values):
    try:
        return tuple(round(float(value), 9) for value in list(values)[:4])
    except (TypeError, ValueError):
        return ()


def remember(fit, history):
    """Remember the answered `history` (key -> list of floats) of fit number `fit`."""
    for name, values in history.items():
        shown = [[value * scale for value in values] for scale in (1.0, 100.0)]
        if "acc" in name:  # error rate = 1 - accuracy is a usual plot, too
            shown += [[scale * (1 - value) for value in values] for scale in (1.0, 100.0)]
        for numbers in shown:
            _known.setdefault(_key(numbers), (fit, name))
            if numbers:
                _ranges.append((min(numbers), max(numbers), (fit, name)))


def _curve(data):
    """The (fit index, key) that a drawn line shows, or None: its values, or a part, a mean or a smoothed form of them, which stay in their range."""
    exact = _known.get(_key(data)) if len(data) else None
    if exact or len(data) < 2:
        return exact
    try:
        numbers = np.asarray(list(data)[:1000], np.float64)
    except (TypeError, ValueError):
        return None
    hits = {
        curve
        for low, high, curve in _ranges
        if np.mean((numbers >= low - _ROOM) & (numbers <= high + _ROOM)) > 0.6  # ends of a moving mean may lie outside
    }
    return hits.pop() if len(hits) == 1 else None


def _look(figure):
    lines, curves = 0, set()
    for axes in figure.get_axes():
        for line in axes.get_lines():
            lines += 1
            hit = _curve(line.get_ydata(orig=True))
            if hit:
                curves.add(hit)
    return lines, curves


def keep_backend(matplotlib):
    """After matplotlib was imported: a notebook that asks for a window's backend keeps the one that draws to memory."""
    matplotlib.use = lambda *_, **__: None


def install(context, pyplot):
    """After matplotlib.pyplot was imported: look at figures before they are closed, and make `show` quiet."""
    original_close = pyplot.close

    def close(figure=None):
        with context.ours("looking at figures before they are closed"):
            _seen.extend(_look(pyplot.figure(number)) for number in pyplot.get_fignums())
        return original_close(figure)

    def show(*_, **__):
        return None

    pyplot.close = close
    pyplot.show = show
    switch = pyplot.switch_backend
    pyplot.switch_backend = lambda *_, **__: switch("agg")


def collect(context, outputs):
    """At a cell's end: send what its figures show, keep a picture of each for the report's appendix, close them."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    found = list(_seen)
    _seen.clear()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for number in pyplot.get_fignums()[:6]:
        figure = pyplot.figure(number)
        found.append(_look(figure))
        buffer = io.BytesIO()
        try:
            width, height = figure.get_size_inches()
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=min(_PICTURE_DPI, 800 / max(width, height, 1)))
            outputs.picture(base64.b64encode(buffer.getvalue()).decode("ascii"))
        except Exception:
            continue
    pyplot.close("all")
    _seen.clear()
    if found:
        curves = sorted(set().union(*(curves for _, curves in found)))
        context.send("plot", {"cell": context.cell, "curves": [list(item) for item in curves], "lines": sum(lines for lines, _ in found)})
