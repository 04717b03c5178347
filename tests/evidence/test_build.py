"""Which model objects, as they were when, are worth rebuilding, and which calls belong to each."""

from dataclasses import replace

import pytest

from grader import evidence
from grader.records import (
    Cell,
    CellError,
    CellRun,
    CompileClaim,
    DataClaim,
    EvaluateClaim,
    FitClaim,
    HistoryClaim,
    LayerClaim,
    ModelClaim,
    Notebook,
    PlotClaim,
    RunRecord,
)

PLAIN = ("Conv2D", "GlobalAveragePooling2D", "Dense")
DROPPED = ("Conv2D", "GlobalAveragePooling2D", "Dropout", "Dense")


def claim(serial, version, classes, cell=1):
    layers = tuple(LayerClaim(class_name=name, name=f"{name}_{version}") for name in classes)
    return ModelClaim(serial=serial, version=version, cell=cell, kind="Sequential", layers=layers)


def fit(index, serial, version, cell):
    return FitClaim(index=index, cell=cell, call="fit", serial=serial, version=version)


def compiled(serial, cell, optimizer):
    return CompileClaim(serial=serial, cell=cell, optimizer=optimizer)


def built(record):
    made = evidence.build(Notebook(cells=()), record, {}, attempted=True)
    return [(each.claim.version, [call.index for call in each.fits], each.compiled and each.compiled.optimizer) for each in made.models]


def test_an_object_that_was_trained_changed_and_trained_again_is_two_models():
    record = RunRecord(
        models=(claim(0, 0, PLAIN), claim(0, 1, PLAIN[:-1]), claim(0, 2, DROPPED, cell=4)),
        compiles=(compiled(0, 2, "Adam"), compiled(0, 4, "SGD")),
        fits=(fit(0, 0, 0, 2), fit(1, 0, 0, 3), fit(2, 0, 2, 4)),
    )
    assert built(record) == [(0, [0, 1], "Adam"), (2, [2], "SGD")]


def test_other_settings_of_the_same_layers_are_one_model_as_it_was_trained_last():
    record = RunRecord(
        models=(claim(0, 0, PLAIN), claim(0, 1, PLAIN), claim(0, 2, DROPPED)),
        compiles=(compiled(0, 2, "Adam"), compiled(0, 9, "SGD")),
        fits=(fit(0, 0, 0, 2), fit(1, 0, 1, 3)),
    )
    assert built(record) == [(1, [0, 1], "SGD")]


def test_a_model_that_was_never_trained_is_as_it_was_seen_last():
    record = RunRecord(models=(claim(0, 0, PLAIN), claim(1, 0, ("InputLayer",)), claim(0, 1, DROPPED)))
    assert built(record) == [(1, [], None)]


def test_a_call_whose_model_was_lost_counts_for_the_object():
    record = RunRecord(models=(claim(0, 0, PLAIN),), fits=(fit(0, 0, 5, 2), fit(1, 7, 0, 2)))
    assert built(record) == [(0, [0], None)]


IMAGES = DataClaim(container="array", dataset="cifar10", rows=50_000, minimum=0.0, maximum=1.0)


@pytest.mark.parametrize(
    ("calls", "judged"),
    [
        ([{"validation": IMAGES}, {}], 0),  # five more epochs without held-out data
        ([{}, {"validation": IMAGES}], 1),
        ([{"validation": IMAGES}, {"validation": IMAGES}], 1),
        ([{"validation": IMAGES}, {"validation": IMAGES, "error": CellError(type="ValueError", message="")}], 0),
        ([{"validation": IMAGES, "train": replace(IMAGES, rows=100)}, {"validation_split": 0.1}], 1),  # a trial of a few images
        ([{"validation": IMAGES, "epochs": 50}, {"validation": IMAGES, "epochs": 30}], 1),
        ([{"validation": IMAGES, "train": replace(IMAGES, maximum=255.0)}, {"validation": IMAGES}], 1),
        ([{"validation": IMAGES}, {"validation": IMAGES, "train": replace(IMAGES, dataset=None)}], 0),
    ],
)
def test_of_several_calls_the_one_that_meets_most_is_judged_as_it_was_compiled(calls, judged):
    fits = tuple(replace(fit(index, 0, 0, index), **{"train": IMAGES, "epochs": 30, **call}) for index, call in enumerate(calls))
    compiles = tuple(replace(compiled(0, index, f"of {index}"), before=index) for index in range(len(calls)))
    made = evidence.build(Notebook(cells=()), RunRecord(models=(claim(0, 0, PLAIN),), compiles=compiles, fits=fits), {}, attempted=True)
    assert (made.models[0].fits[-1].index, made.models[0].compiled.optimizer) == (judged, f"of {judged}")


def test_of_several_compile_calls_before_any_training_a_fitting_one_is_judged():
    calls = (
        replace(compiled(0, 1, "first"), loss="categorical_crossentropy"),
        replace(compiled(0, 2, "second"), loss="mean_squared_error"),
    )
    assert built(RunRecord(models=(claim(0, 0, PLAIN),), compiles=calls)) == [(0, [], "first")]


WRONG = CellError(type="ValueError", message="no such padding", line=3, statement=3)
ADDS = "net = Sequential()\nnet.add(Conv2D(9, 3))\nnet.add(Conv2D(9, 3, padding='smae'))\nnet.add(Dense(10))"
LOOP = "net = Sequential()\nfor size in sizes:\n    net.add(Conv2D(size, 3))"


@pytest.mark.parametrize(
    ("source", "lost", "failing", "unfinished", "planned"),
    [
        (ADDS, (3, 4), True, "in line 3, fails", 2),
        (ADDS, (3, 4), False, None, 0),  # it was trained all the same
        (LOOP, (2,), True, "the next one, in line 3, fails", 0),
        (ADDS.replace("net.", "other."), (3, 4), True, None, 0),
    ],
)
def test_a_network_to_which_layers_could_not_be_added_was_never_finished(source, lost, failing, unfinished, planned):
    error = replace(WRONG, statement=lost[0])
    run = CellRun(index=0, status="error", error=error, lost=lost)
    begun = replace(claim(0, 0, ("Conv2D",), cell=0), names=("net",))
    call = replace(fit(0, 0, 0, 1), error=WRONG if failing else None)
    record = RunRecord(cells=(run,), models=(begun,), fits=(call,))
    made = evidence.build(Notebook(cells=(Cell(index=0, kind="code", source=source),)), record, {}, attempted=True)
    model = made.roles["base"].model
    assert (model.claim.unfinished, model.claim.planned) == (unfinished, planned)


SMALL = replace(IMAGES, rows=100, std=0.2)


@pytest.mark.parametrize(
    ("calls", "images"),
    [
        ([{}], 3_000),
        ([{}, {"epochs": 1}, {"epochs": None}], 3_200),
        ([{"initial_epoch": 20}], 1_000),
        ([{"initial_epoch": 30}], 0),
        ([{"steps": 2, "batch_size": 32}], 64 * 30),
        ([{"steps": 10, "batch_size": 32}], 3_000),  # no more than there are
        ([{"steps": 2, "batch_size": 32, "train": replace(SMALL, rows=None)}], 64 * 30),
        ([{"train": replace(SMALL, rows=None)}], None),
        ([{"train": None, "call": "custom_loop"}, {}], None),
        ([{"train": replace(SMALL, std=0.0)}], 0),  # black images
        ([{"train": replace(SMALL, dataset="mnist")}, {"epochs": 1}], 100),
        ([{"train": replace(SMALL, dataset=None, matched=0.0)}, {"epochs": 1}], 100),  # noise, where another call has images
        ([{"train": replace(SMALL, dataset=None, matched=0.0)}], 3_000),  # changed beyond recognition, all of it
        ([{"train": replace(SMALL, dataset=None, matched=0.5)}, {"epochs": 1}], 3_100),  # half of them mirrored
        ([{"train": replace(SMALL, dataset=None, matched=0.0, container="generator")}, {"epochs": 1}], 3_100),
        ([{"error": WRONG}], 0),  # its cell ran through: the notebook caught it
        ([{"error": WRONG, "cell": 9}], 3_000),
        ([], 0),
    ],
)
def test_the_images_that_a_model_is_trained_on(calls, images):
    fits = tuple(replace(fit(index, 0, 0, 2), **{"train": SMALL, "epochs": 30, **call}) for index, call in enumerate(calls))
    cells = (CellRun(index=2, status="ok"), CellRun(index=9, status="error", error=WRONG))
    made = evidence.build(Notebook(cells=()), RunRecord(cells=cells, models=(claim(0, 0, PLAIN),), fits=fits), {}, attempted=True)
    assert made.models[0].images == images


@pytest.mark.parametrize(
    ("source", "status", "images"),
    [
        ("net.fit(x, y)", "error", None),
        ("other.fit(x, y)", "error", 0),
        ("net.summary(x)", "error", 0),
        ("def train(model):\n    model.fit(x, y)\ntrain(net)", "error", None),
        ("anything()", "skipped", None),  # not reached: nobody knows
        ("net.fit(x, y)", "ok", 0),
    ],
)
def test_whether_a_failure_kept_a_models_training_from_being_seen(source, status, images):
    lost = len(source.splitlines())
    error = replace(WRONG, statement=lost) if status == "error" else None
    before = CellRun(index=0, status="ok")
    run = CellRun(index=1, status=status, error=error, lost=(lost,) if error else ())
    cells = (Cell(index=0, kind="code", source="net = build()"), Cell(index=1, kind="code", source=source))
    model = replace(claim(0, 0, PLAIN, cell=0), names=("net",))
    record = RunRecord(cells=(before, run), models=(model,), ending="killed" if status == "skipped" else "ok")
    assert evidence.build(Notebook(cells=cells), record, {}, attempted=True).models[0].images == images


def test_how_the_notebook_follows_a_models_training_counts_its_own_calls():
    record = RunRecord(
        models=(claim(0, 0, PLAIN), claim(1, 0, PLAIN)),
        fits=(fit(0, 0, 0, 2), fit(1, 1, 0, 3)),
        histories=(HistoryClaim(fit=0, kept_as="h"),),
        plots=(PlotClaim(cell=4, curves=((1, "accuracy"),)),),
        evaluations=(EvaluateClaim(cell=5, call="evaluate", serial=1),),
    )
    made = evidence.build(Notebook(cells=()), record, {}, attempted=True)
    assert [model.shown for model in made.models] == [1, 2]
