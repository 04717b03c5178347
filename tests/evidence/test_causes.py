"""Whose fault it is that something is missing: the cell whose lost statements would have made it, along the names that were not there."""

import pytest

from grader.evidence.causes import causes
from grader.records import Cell, CellError, CellRun, DataClaim, Notebook, Role, RunRecord

NOTHING = {name: Role(model=None, reason="") for name in ("base", "dropout", "augmentation")}
DATA = "(x, y), (xt, yt) = keras.datasets.cifar10.load_data()\nx = x / 255"
NET = "model = keras.Sequential([\n    layers.Conv2D(96, 3),\n    layers.Dense(10)])"
COMPILE = "model.compile('adam', 'mse')"
FIT = "history = model.fit(x, y)"
PLOT = "plt.plot(history.history['accuracy'])"
DROPPED = "model = keras.Sequential([layers.Conv2D(96, 3), layers.Dropot(0.2), layers.Dense(10)])"
MOVED = "model = keras.Sequential([layers.RandomFlip(), layers.Conv2D(96, 3)])"
BUILDER = "def build(rate):\n    return keras.Sequential([layers.Conv2D(9, 3), layers.Dropout(rate)])"


def error(kind, statement, message="something", line=None):
    return CellError(type=kind, message=message, line=line or statement, statement=statement)


def blamed(*cells, ending="ok", data=True):
    """Cells are (source, section, what happened): None, "skipped", or (error, lost lines). Thing that is missing -> the cell that is blamed."""
    written, runs = [], []
    for index, (source, section, happened) in enumerate(cells):
        written.append(Cell(index=index, kind="code", source=source, section=section))
        if happened is None or happened == "skipped":
            runs.append(CellRun(index=index, status=happened or "ok"))
        else:
            first, *more = happened[0] if isinstance(happened[0], list) else [happened[0]]
            runs.append(CellRun(index=index, status="error", error=first, more=tuple(more), lost=tuple(happened[1])))
    variables = (DataClaim(container="array", dataset="cifar10"),) if data else ()
    record = RunRecord(cells=tuple(runs), variables=variables, ending=ending)
    found = causes(Notebook(cells=tuple(written)), record, NOTHING)
    return {what: cause.cell for what, cause in found.items() if not what.startswith("cell")}, found


NAME = "name 'model' is not defined"


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        # a picture fails, then the network: the network's cell
        (
            [
                ("plt.imshow(1)", 2, (error("OSError", 1), [1])),
                (NET, 1, (error("TypeError", 1), [1])),
                (FIT, 3, (error("NameError", 1, NAME), [1])),
            ],
            {"base": 1, "fit": 1},
        ),
        # nothing that fails would have built anything
        ([("plt.imshow(1)", 2, (error("OSError", 1), [1])), ("x = 1", 1, None)], {}),
        # a misspelt layer in its section
        ([(NET, 1, None), (DROPPED, 5, (error("AttributeError", 1), [1]))], {"dropout": 1}),
        # compile fails, fit needs it, the curves need fit
        (
            [
                (NET, 1, None),
                (f"{COMPILE}\n{FIT}", 3, (error("AttributeError", 1), [1, 2])),
                (PLOT, 4, (error("NameError", 1, "name 'history' is not defined"), [1])),
            ],
            {"compile": 1, "fit": 1, "curves": 1},
        ),
        # an import two cells before is what the network's names need
        (
            [
                ("from tensorflow.keras import layerz as layers", 0, (error("ImportError", 1), [1])),
                (NET, 1, (error("NameError", 1, "name 'layers' is not defined"), [1])),
                (COMPILE, 3, (error("NameError", 1, NAME), [1])),
            ],
            {"base": 0, "compile": 0},
        ),
        # a builder is called where it fails; it was defined elsewhere
        ([(BUILDER, 0, None), ("model = build(rat=2)", 5, (error("TypeError", 1), [1]))], {"dropout": 1}),
        # what stands in another section is not this one's cause
        ([(MOVED, 6, (error("TypeError", 1), [1]))], {"augmentation": 0}),
        # a cell that cannot be read at all is known by its words
        ([(f"{NET}\n{COMPILE}\nfor", 1, (CellError(type="SyntaxError", message="invalid", line=4), []))], {"base": 0, "compile": 0}),
        # fit says only that compile is missing: the cell where compile failed
        (
            [
                (NET, 1, None),
                (COMPILE, 3, (error("AttributeError", 1), [1])),
                (FIT, 3, (error("ValueError", 1, "You must call `compile()` before using the model."), [1])),
            ],
            {"compile": 1, "fit": 1},
        ),
        # a class that could not be registered takes the network that is made of it
        (
            [
                (
                    "@keras.registr('b')\nclass Block:\n    pass\nmodel = keras.Sequential([Block()])",
                    1,
                    (error("AttributeError", 1), [2, 4]),
                ),
                (COMPILE, 3, (error("NameError", 1, NAME), [1])),
            ],
            {"base": 0, "compile": 0},
        ),
        # a line of a function that the rest did not need takes nothing with it
        ([(f"def f():\n    print(a)\nf()\n{NET}", 1, (error("NameError", 3, line=2), []))], {}),
        # two lines of one cell: the second is the network's
        ([(f"plt.imshow(1)\n{NET}", 1, ([error("OSError", 1), error("TypeError", 2)], [1, 2]))], {"base": 0}),
    ],
)
def test_whose_fault_it_is(cells, wanted):
    assert blamed(*cells)[0] == wanted


def test_what_was_not_reached_is_not_told_of():
    stopped = CellError(type="Stopped", message="The notebook ended its own process.")
    found, told = blamed(
        (NET, 1, None), ("import os\nos._exit(1)", 4, (stopped, [])), (DROPPED, 5, "skipped"), (MOVED, 6, "skipped"), ending="killed"
    )
    assert (found["dropout"], found["augmentation"]) == (1, 1)
    assert told["dropout"].sentence == "Not seen: cell 2 was not reached, because cell 1 ended the run (see above)."
    assert told["augmentation"].sentence.startswith("Not seen: cell 3 was not reached")
    assert told["cell 1"].sentence == "so cells 2 and 3 were not reached"


def test_it_is_told_once_and_with_the_line_that_counts():
    _, told = blamed(
        (f"plt.imshow(1)\n{NET}\n{COMPILE}", 1, ([error("OSError", 1), error("TypeError", 2)], [1, 2, 5])),
        (f"{FIT}\n{PLOT}", 3, (error("NameError", 1, NAME), [1, 2])),
    )
    assert (told["cell 0"].error.type, told["cell 0"].sentence) == ("TypeError", "so no model was built")
    assert told["cell 1"].sentence == "which follows from cell 0"
    assert told["base"].sentence == "No model was built: cell 0 stopped with TypeError (see above)."
    assert told["fit"].sentence == "The network was not trained: cell 0 stopped with TypeError (see above)."


def test_images_that_never_came_are_their_cells_fault():
    found, told = blamed((DATA.replace("load_data", "load_dat"), 2, (error("AttributeError", 1), [1, 2])), (NET, 1, None), data=False)
    assert found == {"data": 0}
    assert told["cell 0"].sentence == "so no images were loaded"
