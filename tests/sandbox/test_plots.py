"""Which answered curve a drawn line shows."""

import numpy as np
import pytest
from harness import small_store, warm_box1

from grader import dataset
from grader.records import Cell
from grader.sandbox import Limits
from grader.sandbox.inside import plots
from grader.sandbox.inside.context import Context
from grader.sandbox.notebook_run import collect_notebook, start_notebook

EPOCHS = 30


@pytest.fixture(autouse=True)
def histories(monkeypatch):
    """Three answered fits of equal first values: accuracy and its validation 0.25, the losses 2.3."""
    monkeypatch.setattr(plots, "_ranges", [])
    made = []
    for index in range(3):
        firsts = {"accuracy": 0.25, "loss": 2.3, "val_accuracy": 0.25, "val_loss": 2.3}
        history = {
            name: [plots.value(first, index, position, epoch, EPOCHS) for epoch in range(EPOCHS)]
            for position, (name, first) in enumerate(firsts.items())
        }
        plots.remember(index, history, index)
        made.append({name: np.array(values) for name, values in history.items()})
    return made


def smoothed(values, weight=0.8):
    found = [values[0]]
    for value in values[1:]:
        found.append(weight * found[-1] + (1 - weight) * value)
    return np.array(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v,
        lambda v: 100 * v,
        lambda v: v[1:],
        lambda v: v[-3:],
        lambda v: v[::2],
        smoothed,
        lambda v: 100 * smoothed(v),
        lambda v: np.convolve(v, np.ones(5) / 5, mode="valid"),
        lambda v: np.convolve(v, np.ones(3) / 3, mode="same"),
        np.maximum.accumulate,
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "val_accuracy", "loss", "val_loss"])
def test_a_curve_is_known_however_it_is_drawn(histories, name, change):
    for index, history in enumerate(histories):
        assert plots._curves(change(history[name])) == {(index, name)}


def test_an_error_rate_is_its_accuracy(histories):
    assert plots._curves(1 - histories[1]["accuracy"]) == {(1, "accuracy")}
    assert plots._curves(100 * (1 - histories[1]["val_accuracy"])[2:]) == {(1, "val_accuracy")}


def test_other_lines_are_no_curve(histories):
    assert plots._curves(np.linspace(0.25, 0.8, EPOCHS)) == set()
    assert plots._curves([]) == set()
    assert plots._curves([0.25001]) == set()
    assert plots._curves(["a", "b", "c"]) == set()
    assert plots._curves([np.inf, -np.inf, np.nan] * 5) == plots._curves([10**400, 2, 3]) == plots._curves([None, [1]]) == set()
    assert plots._curves([np.nan, *histories[0]["accuracy"], np.nan]) == {(0, "accuracy")}
    assert plots._curves(histories[0]["accuracy"] - histories[1]["accuracy"]) == set()


def test_five_hundred_histories_change_the_numbers_little():
    assert plots.value(1.0, 499, 7, EPOCHS - 1, EPOCHS) < 1.0401


def test_values_of_several_histories_of_one_model_are_one_curve_and_of_several_models_are_none(histories):
    for index in range(10, 22):  # one epoch each, of model 9
        plots.remember(index, {"accuracy": [plots.value(0.25 + index / 100, index, 0, 0, 1)], "loss": [2.3 - index / 50]}, 9)
    collected = [plots.value(0.25 + index / 100, index, 0, 0, 1) for index in range(10, 22)]
    assert plots._curves(collected) == {(index, "accuracy") for index in range(10, 22)}
    assert plots._curves(np.float32(collected)) == plots._curves(100 - 100 * np.array(collected)) == plots._curves(collected)
    assert plots._curves(collected[:1]) == {(10, "accuracy")}  # its only value
    best = [history["val_accuracy"].max() for history in histories]
    assert plots._curves(best) == set()


def test_the_answers_of_evaluate_are_a_validation_curve(histories):
    asked = [plots.evaluated(index, {"loss": 1.0, "accuracy": 0.5, "other": np.nan, "more": {}}, 7) for index in range(5)]
    assert {key: type(value) for key, value in asked[0].items()} == {"loss": float, "accuracy": float, "other": float, "more": dict}
    assert plots._curves([each["accuracy"] for each in asked]) == {(index, "val_accuracy") for index in range(5)}


BOTH = {"accuracy", "val_accuracy"}
FIT = """
import numpy as np, keras, matplotlib.pyplot as plt, pandas as pd
x, y = np.random.rand(40, 4), np.arange(40) % 3
def build():
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
model = build()
h = model.fit(x, y, epochs=12, validation_data=(x, y)).history
a, v, e = h["accuracy"], h["val_accuracy"], range(12)
"""
DRAWN = {
    # cleared, or closed, after it was shown, or before the next
    "plt.plot(a); plt.plot(v); plt.show(); plt.clf(); plt.plot(h['loss']); plt.show()": BOTH | {"loss"},
    "fig = plt.figure()\nfor n in ('accuracy', 'val_accuracy'): plt.plot(h[n]); plt.savefig('a.png'); fig.clear()": BOTH,
    "for n in ('accuracy', 'val_accuracy'): plt.plot(h[n]); plt.cla()": BOTH,
    "fig, ax = plt.subplots()\nax.plot(a); ax.plot(v); fig.delaxes(ax)": BOTH,
    "fig, ax = plt.subplots()\nax.plot(a); ax.clear(); ax.plot(v); plt.close(fig)": BOTH,
    "line, = plt.plot(a); line.remove(); line, = plt.plot(v); line.remove()": BOTH,
    "plt.figure(1); plt.plot(a); plt.figure(2); plt.plot(v); plt.figure(1, clear=True)": BOTH,
    "with plt.ioff(): fig, ax = plt.subplots(); ax.plot(a); ax.plot(v)": BOTH,
    "from matplotlib.figure import Figure\nax = Figure().subplots(); ax.plot(a); ax.plot(v)": BOTH,
    # changed while it stands
    "line, = plt.plot([], [])\nfor n in ('accuracy', 'val_accuracy'): line.set_data(e, h[n]); plt.savefig('a.png')": BOTH,
    "fig, ax = plt.subplots(); one, = ax.plot([0]); two, = ax.plot([0]); one.set_data(e, a); two.set_data(e, v)": BOTH,
    "dots = plt.scatter(e, np.zeros(12)); dots.set_offsets(np.c_[e, a]); plt.show(); plt.plot(v)": BOTH,
    "from matplotlib.animation import FuncAnimation\nfig, ax = plt.subplots(); (one,), (two,) = ax.plot([]), ax.plot([])\n"
    "def up(i): one.set_data(e[:i], a[:i]); two.set_data(e[:i], v[:i]); return one, two\n"
    "moving = FuncAnimation(fig, up, frames=12); plt.close(); html = moving.to_jshtml()": BOTH,
    "import pylab\npylab.plot(a); pylab.subplot(2, 2, 4); pylab.plot(v); pylab.show()": BOTH,
    # other marks
    "plt.scatter(e, a); plt.scatter(e, v)": BOTH,
    "for i in e: plt.scatter(i, a[i], c='b'); plt.plot(i, v[i], 'ro')": BOTH,
    "plt.bar(e, a); plt.step(e, v)": BOTH,
    "plt.errorbar(e, a, yerr=0.1); plt.errorbar(e, v, yerr=0.1, fmt='none')": BOTH,
    "plt.stem(e, a); plt.stairs(v)": BOTH,
    "plt.fill_between(e, a, alpha=0.3); plt.stackplot(e, v)": BOTH,
    "ax = plt.gca(); ax.plot(h['loss']); ax.twinx().plot(a); ax.inset_axes([0, 0, 1, 1]).plot(v)": BOTH | {"loss"},
    "pd.DataFrame(h).plot(subplots=True)": BOTH | {"loss", "val_loss"},
    "pd.DataFrame(h)[['accuracy', 'val_accuracy']].plot.area(stacked=False)": BOTH,
    "import seaborn as sns; sns.lineplot(pd.DataFrame(h)[['accuracy', 'val_accuracy']])": BOTH,
    "import seaborn as sns; sns.scatterplot(x=e, y=a); sns.barplot(x=list(e), y=v)": BOTH,
    # several calls of fit
    "g = model.fit(x, y, epochs=12, validation_data=(x, y)).history; plt.plot(a + g['accuracy']); plt.plot(v + g['val_accuracy'])": BOTH,
    "ta, va = [], []\nfor i in range(8):\n    g = model.fit(x, y, epochs=1, validation_data=(x, y)).history\n"
    "    ta += g['accuracy']; va.append(100 * g['val_accuracy'][0])\nplt.plot(ta); plt.plot(va)": BOTH,
    "ta, va = [], []\nfor i in range(8):\n    ta.append(model.fit(x, y, epochs=1).history['accuracy'][-1])\n"
    "    va.append(model.evaluate(np.random.rand(*x.shape), y)[1])\n    plt.cla(); plt.plot(ta); plt.plot(va); plt.show()": BOTH,
    "ta, va = [], []\nfor i in range(8):\n    ta.append(model.fit(x, y, epochs=1).history['accuracy'][-1])\n"
    "    va.append(model.evaluate(x, y)[1])\n    plt.cla(); plt.plot(ta); plt.plot(va); plt.show()": {"accuracy"},  # of training images
    # in any style that can be seen
    "plt.plot(a, 'k--', alpha=0.3, lw=0.5); plt.plot(v, 'y.', ms=2)": BOTH,
    "plt.plot(a, ls='', marker='x'); plt.plot(v, 'o', mfc='none', mew=0.5)": BOTH,
    "plt.plot(a, lw=0, marker='.'); plt.plot(v, color='0.9')": BOTH,
    "plt.style.use('dark_background'); plt.plot(a, 'w'); plt.scatter(e, v, c='w'); plt.show(); plt.style.use('default')": BOTH,
    "ax = plt.gca(); ax.set_facecolor('k'); ax.plot(a, 'w'); ax.twinx().plot(v, 'w')": BOTH,
    "ax = plt.gca(); ax.plot(a, 'w'); ax.plot(v, 'w'); ax.set_facecolor('0.2')": BOTH,
    "plt.figure(facecolor='none'); ax = plt.axes(facecolor='none'); ax.plot(a, 'k'); ax.plot(v)": BOTH,
    "plt.semilogy(a); plt.semilogy(v); plt.ylim(0.5, 1); plt.axis('off')": BOTH,
    "one, two = plt.plot(e, np.c_[a, v], visible=False); one.set_visible(True); two.set_visible(True)": BOTH,
    "plt.scatter(e, a, s=1, c=e, cmap='gray'); plt.scatter(e, v, facecolors='none', edgecolors='r')": BOTH,
    "plt.plot(a, alpha=0.001); plt.plot(a); plt.fill_between(e, v, alpha=0.05)": BOTH,
    # in none that can
    "plt.plot(a, alpha=0); plt.plot(v, lw=0)": set(),
    "plt.plot(a, 'none'); plt.plot(v, 'w')": set(),
    "plt.plot(a, color=(1, 0, 0, 0)); plt.plot(v, ls='None')": set(),
    "for line in plt.plot(e, np.c_[a, v]): line.set_visible(False)": set(),
    "for line in plt.plot(e, np.c_[a, v]): line.set_alpha(0.001)": set(),
    "for line in plt.plot(e, np.c_[a, v]): line.set_color(plt.gca().get_facecolor())": set(),
    "plt.plot(a, 'o', ms=0); plt.plot(v, 'o', mfc='none', mec='w')": set(),
    "plt.scatter(e, a, alpha=0); plt.scatter(e, v, s=0)": set(),
    "plt.scatter(e, a, c='w'); plt.scatter(e, v, facecolors='none', edgecolors='r', linewidths=0)": set(),
    "plt.bar(e, a, alpha=0); plt.fill_between(e, v, color='w')": set(),
    "for bar in plt.bar(e, a): bar.set_visible(False)": set(),
    "plt.plot(a); plt.plot(v); plt.gca().set_visible(False)": set(),
    "for i in e: plt.plot(i, a[i], 'ro', alpha=0)": set(),
    "plt.gca().set_facecolor('k'); plt.plot(a, 'k'); plt.plot(v)": {"val_accuracy"},
    # what is no curve
    "plt.bar(['train', 'test'], [a[-1], v[-1]]); plt.axhline(max(v)); plt.imshow(np.random.rand(9, 9)); plt.hist(y)": set(),
    "plt.pcolormesh(np.random.rand(2000, 2000)); plt.contourf(np.random.rand(9, 9)); plt.quiver([1], [1]); plt.violinplot(y)": set(),
    "plt.plot(np.linspace(0.2, 0.9, 12)); plt.scatter(e, np.sqrt(e)); plt.clf()": set(),
    "best = []\nfor i in range(3): best.append(max(build().fit(x, y, epochs=5).history['accuracy']))\nplt.bar(range(3), best)": set(),
    "class Odd:\n    def __array__(self, *_, **__): raise RuntimeError\nplt.plot(a)": {"accuracy"},
}


@pytest.mark.slow
def test_curves_are_seen_however_they_are_drawn_and_whatever_becomes_of_the_figure():
    data = dataset.ensure(small_store()).folder
    cells = tuple(Cell(index=index, kind="code", source=source) for index, source in enumerate([FIT, *DRAWN]))
    with start_notebook(cells, warm_box1(data), Limits(), data) as running:
        record = collect_notebook(running, cells, Limits())
    assert [(run.index, run.error) for run in record.cells if run.error] == []
    assert [note for note in record.notes if note.kind == "grader"] == []
    found = {
        source: {key for plot in record.plots if plot.cell == index for _, key in plot.curves} for index, source in enumerate(DRAWN, 1)
    }
    assert {source: keys for source, keys in found.items() if keys != DRAWN[source]} == {}
    pictures = [sum(output.kind == "png" for output in run.outputs) for run in record.cells]
    assert pictures[1] == 2  # one a `show`, as in Jupyter
    assert max(pictures) <= 4


def test_what_was_shown_before_the_process_ended_is_known():
    data = dataset.ensure(small_store()).folder
    ends = "plt.plot(a); plt.plot(v); plt.show()\nimport os; os._exit(0)"
    cells = tuple(Cell(index=index, kind="code", source=source) for index, source in enumerate([FIT, ends]))
    with start_notebook(cells, warm_box1(data), Limits(), data) as running:
        record = collect_notebook(running, cells, Limits())
    assert {key for plot in record.plots for _, key in plot.curves} == BOTH


def test_curves_of_plotly_are_seen(histories, monkeypatch):
    base = pytest.importorskip("plotly.basedatatypes")
    express, objects = pytest.importorskip("plotly.express"), pytest.importorskip("plotly.graph_objects")
    for name in ("__init__", "add_traces"):
        monkeypatch.setattr(base.BaseFigure, name, getattr(base.BaseFigure, name))  # put back afterwards
    monkeypatch.setattr(plots, "_seen", {"lines": 0, "curves": {}, "sent": set(), "looks": 0})
    plots.watch_plotly(Context(None, {}), base)
    objects.Figure(objects.Scatter(y=histories[0]["accuracy"]))
    objects.Figure().add_trace(objects.Bar(y=list(histories[0]["val_accuracy"]))).add_trace(objects.Pie(values=[1, 2]))
    express.line({"a": histories[1]["loss"], "b": 100 * histories[1]["accuracy"]})
    drawn = {curve for curve, rank in plots._seen["curves"].items() if rank % 2}
    assert drawn == {(0, "accuracy"), (0, "val_accuracy"), (1, "loss"), (1, "accuracy")}
