"""What the cells drew. Every answered history has values of its own, so a curve in a figure tells which history and key it shows.

What is put into axes is looked at right then, whatever becomes of the figure later; what a drawn line was changed to, when its figure is shown, saved, cleared
or closed, and at the cell's end. What cannot be seen then is no curve.
"""

import base64
import bisect
import contextlib
import io
import sys
from collections import Counter

import numpy as np

from .originals import hidden

_ranges = []  # sorted: (lowest, highest, (fit index, key), the model's serial) of every curve that was answered
_seen = {"lines": 0, "curves": {}, "sent": set(), "looks": 0}  # of the cell; a curve's number: odd if it can be seen, over 1 once shown
_PICTURES, _PICTURE_DPI = 4, 50
_ROOM = 3e-7  # of a number, for what rounding (to float32, too) adds to a curve's range; a tenth of a range lies between two
_SHARE = 0.6  # of a line's numbers that must lie in a curve's range: the ends of a moving mean may lie outside
_POINTS = 3  # that are drawn one at a time, to make a curve
_MOST_NUMBERS, _MOST_LOOKS, _MOST_CURVES = 1000, 20_000, 256
_FAINT, _THIN = 0.02, 0.05  # contrast to what is behind (0 to 1), and width in points, up to which nothing can be seen
_KEYS, _SLOT = 8, 1e-5
"""Curves of one history that have ranges of their own, and the width of each range: 500 histories change the numbers by 0.04 at most."""


def value(first, index, position, epoch, epochs):
    """The answer of fit number `index` for its `position`-th curve in `epoch`: rising, and in a range that no other curve with this `first` value has."""
    return first + _SLOT * (1 + _KEYS * index + min(position, _KEYS - 1) + 0.9 * epoch / max(epochs, 1))


def remember(fit, history, serial=0):
    """Remember the answered `history` (key -> list of floats) of fit number `fit` of model number `serial`."""
    for name, values in history.items():
        shown = [[value * scale for value in values] for scale in (1.0, 100.0)]
        if "acc" in name:  # error rate = 1 - accuracy is a usual plot, too
            shown += [[scale * (1 - value) for value in values] for scale in (1.0, 100.0)]
        for numbers in shown:
            if numbers:
                bisect.insort(_ranges, (min(numbers), max(numbers), (fit, name), serial))


def evaluated(fit, logs, serial, prefix="val_"):
    """The answer of `evaluate` after fit number `fit`: what is collected from it epoch by epoch is a curve, too, of validation unless `prefix` is empty."""
    found = {
        name: value(number, fit, _KEYS // 2 + position, 0, 1)
        for position, (name, number) in enumerate(logs.items())
        if isinstance(number, float) and np.isfinite(number)
    }
    remember(fit, {f"{prefix}{name}": [number] for name, number in found.items()}, serial)
    return {**logs, **found}


def _numbers(data):
    """`data` as finite floats, as many as are looked at; none where it is something else."""
    try:
        numbers = np.asarray(np.ma.getdata(data)).ravel()[:_MOST_NUMBERS].astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.empty(0)
    return numbers[np.isfinite(numbers)]


def _places(number):
    """The entries of `_ranges` that hold `number`."""
    room = _ROOM * max(1.0, abs(number))
    last = bisect.bisect_right(_ranges, (number + room, np.inf))
    return [entry for entry in _ranges[max(last - 3, 0) : last] if number <= entry[1] + room]


def _curves(data):
    """The {(fit index, key)} that drawn numbers show: a history's values, or a part, a mean or a smoothed form of them, which stay in their range.

    Values of several histories of one model are one curve, too. A single number is a curve where the history has no other.
    """
    numbers, hits = _numbers(data), {}
    for number in numbers:
        for low, high, curve, serial in _places(number):
            if len(numbers) > 1 or low == high:
                hits.setdefault((curve[1], serial), Counter())[curve] += 1
    shown = [set(found) for found in hits.values() if found.total() > _SHARE * len(numbers)]
    level = len(numbers) > 1 and numbers.min() == numbers.max()  # marks one value
    return shown[0] if len(shown) == 1 and not level else set()


def _series(artist):
    """The sequences of numbers that a line, a scatter, bars, steps, error bars or a filled area show."""
    if hasattr(artist, "plotly_name"):
        return [() if getattr(artist, "y", None) is None else artist.y]
    if hasattr(artist, "get_ydata"):
        return [artist.get_ydata(orig=True)]
    if hasattr(artist, "datavalues"):
        return [artist.datavalues]
    if hasattr(artist, "legend_elements"):  # a scatter
        return [artist.get_offsets()[:, 1]]
    if hasattr(artist, "get_data"):  # stairs
        return [getattr(artist.get_data(), "values", ())]
    if not {"LineCollection", "PolyCollection"} & {kind.__name__ for kind in type(artist).__mro__}:
        return []  # a mesh would make a path of each of its cells
    paths = [path.vertices[:, 1] for path in artist.get_paths()[:_MOST_NUMBERS]]
    areas = [half for path in paths if len(path) > 4 for half in (path, path[: len(path) // 2], path[len(path) // 2 :])]
    return [*areas, [path.mean() for path in paths if 0 < len(path) <= 4]]  # error bars, and lines in pieces


def _is_seen(artist):
    """Whether an artist's style leaves a mark that differs from what is behind it; what cannot be asked does."""
    if hasattr(artist, "datavalues"):
        return any(map(_is_seen, artist))
    with contextlib.suppress(Exception):  # an artist of another kind, or of the notebook's own
        from matplotlib.colors import to_rgba_array

        axes, wide, alpha = artist.axes, bool(np.max(artist.get_linewidth()) > _THIN), None
        if hasattr(artist, "get_ydata"):
            marked = artist.get_marker() not in ("None", "none", " ", "", None) and artist.get_markersize() > _THIN
            inks, alpha = [artist.get_color()] * (wide and artist.get_linestyle() != "None"), artist.get_alpha()
            inks += [artist.get_markerfacecolor(), artist.get_markeredgecolor()] * marked
        else:
            sized = max(getattr(artist, "get_sizes", list)(), default=1.0) > _THIN
            inks = [artist.get_facecolor(), *[artist.get_edgecolor()] * wide] if sized else []
        colours = np.concatenate([np.empty((0, 4)), *(to_rgba_array(ink, alpha) for ink in inks)])
        behind = axes.get_facecolor() if axes and axes.patch.get_visible() else (0, 0, 0, 0)
        contrast = colours[:, 3:] * (np.abs(colours[:, :3] - behind[:3]) if behind[3] > 0.5 else 1)
        return bool(artist.get_visible() and (not axes or axes.get_visible()) and (contrast > _FAINT).any())
    return True


def _look(artists, *, shown=False):
    """Note the curves that `artists` show, as their figure is `shown` or before; points that were drawn one at a time are a line together."""
    points = Counter()
    for artist in artists:
        _seen["looks"] += 1
        if _seen["looks"] > _MOST_LOOKS:
            return
        for data in _series(artist):
            found = _curves(data)
            single = {entry[2] for number in _numbers(data) for entry in _places(number)} if len(data) == 1 else set()
            rank = 2 * shown + _is_seen(artist) if found or single else 0
            _seen["curves"] |= {curve: max(rank, _seen["curves"].get(curve, 0)) for curve in found}
            points.update(single if rank % 2 else ())
    _seen["curves"] |= {curve: 2 * shown + 1 for curve, count in points.items() if count >= _POINTS}


def _look_at(figure, *_):
    _look([artist for axes in figure.get_axes() for artist in (*axes.lines, *axes.collections, *axes.containers)], shown=True)


def _open():
    """The figures that pyplot keeps, none of which becomes the current one by being looked at."""
    from matplotlib._pylab_helpers import Gcf

    return [manager.canvas.figure for manager in Gcf.get_all_fig_managers()]


def keep_backend(matplotlib):
    """After matplotlib was imported: a notebook that asks for a window's backend keeps the one that draws to memory."""
    matplotlib.use = lambda *_, **__: None


def _hook(context, owner, name, look, *, after=False):
    """Have `look(self, *args)` called before, or after, each call of a method."""
    original = getattr(owner, name)

    def looked(self, *args, **kwargs):
        result = original(self, *args, **kwargs) if after else None
        with context.ours("looking at what is drawn"):
            look(self, *args)
        return result if after else original(self, *args, **kwargs)

    setattr(owner, name, hidden(looked, original))


def watch(context, figure):
    """After matplotlib.figure was imported: look at what is put into axes, and at figures before they are saved or cleared."""
    from matplotlib.axes._base import _AxesBase

    def added(_, artist=None, *__):
        if artist is not None and not (hasattr(artist, "get_width") and hasattr(artist, "get_height")):  # one bar: its container comes
            _seen["lines"] += (hasattr(artist, "get_ydata") or hasattr(artist, "legend_elements")) and _is_seen(artist)
            _look([artist])

    for name in ("add_line", "add_collection", "add_container", "add_patch"):
        _hook(context, _AxesBase, name, added)
    _hook(context, figure.Figure, "savefig", _look_at)
    _hook(context, figure.FigureBase, "clear", _look_at)


def watch_plotly(context, base):
    """After plotly.basedatatypes was imported: look at the traces that are put into a figure."""

    def added(figure, *_):
        _seen["lines"] += 1
        _look(figure.data)

    for name in ("__init__", "add_traces"):
        _hook(context, base.BaseFigure, name, added, after=True)


def install(context, pyplot):
    """After matplotlib.pyplot was imported: `show` shows as it does in a notebook, and figures are looked at before they are closed."""
    original_close = pyplot.close

    def close(figure=None):
        with context.ours("looking at figures before they are closed"):
            for each in _open():
                _look_at(each)
        return original_close(figure)

    def show(*_, **__):
        with context.ours("looking at the figures that are shown"):
            _show(pyplot, context.outputs)
            _send(context)

    pyplot.close = close
    pyplot.show = show
    switch = pyplot.switch_backend
    pyplot.switch_backend = lambda *_, **__: switch("agg")


def _show(pyplot, outputs):
    """What Jupyter does: a picture of every figure (for the report's appendix), which is then closed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for figure in _open():
        if sum(item["kind"] == "png" for item in outputs.items) >= _PICTURES:
            break
        buffer = io.BytesIO()
        try:
            width, height = figure.get_size_inches()
            FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=min(_PICTURE_DPI, 800 / max(width, height, 1)))
            outputs.picture(base64.b64encode(buffer.getvalue()).decode("ascii"))
        except Exception:
            continue
    pyplot.close("all")


def _send(context, *, rest=False):
    """Send the curves that are new in this cell; at its end the `rest`: how many lines there were, if any."""
    new = {curve for curve, rank in _seen["curves"].items() if rank % 2} - _seen["sent"]
    if new or (rest and _seen["lines"]):
        _seen["sent"] |= new
        lines, _seen["lines"] = _seen["lines"], 0
        context.send("plot", {"cell": context.cell, "curves": [list(curve) for curve in sorted(new)[:_MOST_CURVES]], "lines": lines})


def collect(context, outputs):
    """At a cell's end: show what is left, and send what was drawn."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        _show(pyplot, outputs)
    _send(context, rest=True)
    _seen.update(lines=0, curves={}, sent=set(), looks=0)
