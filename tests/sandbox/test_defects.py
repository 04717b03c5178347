"""Whose error is it? What a student's call asks for fails in the cell; what we do beside it becomes a note, and the call is answered."""

import io
import json
import os
import shutil
import types

import numpy as np
import pytest
from harness import small_store, statuses

from grader import pipeline
from grader.decode import _KINDS, FRAME_BYTES, MOST_ITEMS, MOST_NAME, MOST_TEXT, FrameReader, RunCollector
from grader.records import RunRecord
from grader.sandbox import base, bubblewrap, landlock, notebook_run
from grader.sandbox.inside import context, frames, imports, keras_hooks, plots, recipe, shell, trace

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (600, 32, 32, 3), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 10, 600)

INFINITE = IMAGES / 255
INFINITE[:, 5, 5, 0] = np.inf


class Pipe:
    """A frame writer whose frames are read and decoded as the host does it."""

    busy = False

    def __init__(self):
        self.writer, self.reader, self.collector = frames.Writer(0), FrameReader(), RunCollector()
        self.writer._write = self._take

    def _take(self, _, data):
        for kind, body in self.reader.feed(data):
            self.collector.add(kind, body)
        return len(data)

    def send(self, kind, body):
        self.writer.send(kind, body)

    @property
    def record(self):
        return RunRecord(**self.collector.fields())


class Model:
    """Stands for a Keras model: `fit` remembers what it was given."""

    run_eagerly, optimizer, layers, built = False, None, (), True

    def __init__(self, error=None):
        self.given, self.error = None, error

    def fit(self, x, y, **options):
        self.given = x, y, options
        if self.error is not None:
            raise self.error
        return types.SimpleNamespace(history={"loss": [np.nan], "accuracy": [0.25]}, epoch=[0], params={})


@pytest.fixture
def box():
    """A recorder on the stored images, and what the host reads of it."""
    pipe = Pipe()
    recorder = keras_hooks.Recorder(context.Context(pipe, {}))
    recorder.store.add("cifar10", "train", IMAGES, LABELS)
    recorder.original = dict.fromkeys(("fit", "train_on_batch"), Model.fit)
    recorder.keras = types.SimpleNamespace(callbacks=types.SimpleNamespace(Callback=object))
    return recorder, pipe


@pytest.fixture
def described(monkeypatch):
    """Models are described without Keras."""
    monkeypatch.setattr(trace, "snapshot", lambda *_: {"kind": "Sequential", "config": {}, "layers": [], "input_shape": None})


def broken(*_, **__):
    raise ZeroDivisionError("ours")


def fit(recorder, model, x, y=None, validation=None, epochs=3):
    return recorder.fit(model, "fit", x, y, None, epochs, None, 0.0, validation, (), {})


def notes(pipe):
    return [note.text for note in pipe.record.notes if note.kind == "grader"]


class Sequence:
    def __init__(self, error=None):
        self.error = error

    def __len__(self):
        return 5

    def __getitem__(self, index):
        if self.error:
            raise self.error
        return IMAGES[:32] / 255, LABELS[:32]


def one_batch():
    yield IMAGES[:32] / 255, LABELS[:32]


@pytest.mark.parametrize("given", [(IMAGES / 255, LABELS), (Sequence(), None), (one_batch(), None), ([IMAGES / 255], LABELS)])
def test_a_defect_in_examining_data_costs_the_claim_and_the_call_is_answered(box, described, monkeypatch, given):
    recorder, pipe = box
    monkeypatch.setattr(recipe, "identify", broken)
    model = Model()
    history = fit(recorder, model, *given, validation=(IMAGES / 255, LABELS))
    x, y = model.given[0][0] if isinstance(given[0], list) else model.given[0], model.given[1]
    assert np.array_equal(x, IMAGES[: keras_hooks._BATCH] / 255)
    assert np.array_equal(y, LABELS[: keras_hooks._BATCH])
    assert len(history.history["accuracy"]) == 3
    (call,) = pipe.record.fits
    assert (call.train, call.validation, call.error, call.epochs) == (None, None, None, 3)
    assert "a defect in the grader while examining the data of a call: ZeroDivisionError: ours (keras_hooks.py:" in notes(pipe)[0]


def test_without_a_defect_nothing_is_noted(box, described):
    recorder, pipe = box
    fit(recorder, Model(), IMAGES / 255, LABELS, validation=(IMAGES / 255, LABELS))
    recorder.arrays()
    assert notes(pipe) == []
    assert pipe.record.fits[0].train.recipe.kind == pipe.record.fits[0].validation.recipe.kind == "affine"


@pytest.mark.parametrize("part", ["snapshot", "stretch", "names", "remember"])
def test_a_defect_beside_a_training_call_keeps_the_call(box, described, monkeypatch, part):
    recorder, pipe = box
    place, name = {"snapshot": (trace, "snapshot"), "stretch": (recorder, "_stretch"), "remember": (plots, "remember")}.get(
        part, (recorder, "names")
    )
    monkeypatch.setattr(place, name, broken)
    if part == "names":  # fails for the data's variable only: it is asked for the model's names, too
        monkeypatch.setattr(recorder, "names", lambda thing: [] if isinstance(thing, Model) else broken())
    fit(recorder, Model(), IMAGES / 255, LABELS)
    (call,) = pipe.record.fits
    (claim,) = pipe.record.models
    assert (call.serial, call.version) == (claim.serial, claim.version)
    assert (claim.unbuildable is not None) == (part == "snapshot")
    assert (call.train is None) == (part == "names")
    assert len(notes(pipe)) == 1


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        ((iter(()), None), ValueError, "the generator given as data is empty"),
        ((Sequence(KeyError("theirs")), None), KeyError, "theirs"),
        ((IMAGES, LABELS[:500]), ValueError, "Data cardinality is ambiguous"),
        ((IMAGES, LABELS, (IMAGES[:50], LABELS)), ValueError, "'x' sizes: 50\n'y' sizes: 600"),
        ((5, 3), TypeError, "unsized"),
    ],
    ids=["empty generator", "their exception", "other length", "validation of other length", "no array"],
)
def test_the_students_errors_surface_and_are_no_defect(box, described, data, error, words):
    recorder, pipe = box
    with pytest.raises(error, match=words):
        fit(recorder, Model(), *data)
    (call,) = pipe.record.fits
    assert words.replace("\n", " ")[:20] in call.error.message.replace("\n", " ")
    assert notes(pipe) == []


def test_the_students_error_is_not_hidden_by_a_defect(box, monkeypatch):
    recorder, pipe = box
    monkeypatch.setattr(trace, "snapshot", broken)
    with pytest.raises(ValueError, match="theirs"):
        fit(recorder, Model(ValueError("theirs")), IMAGES / 255, LABELS)
    assert pipe.record.fits[0].error.message == "theirs"


def test_a_timeout_ends_examining_too(box, described, monkeypatch):
    recorder, _ = box

    def slow(*_):
        raise shell.CellTimeout

    monkeypatch.setattr(recipe, "identify", slow)
    with pytest.raises(shell.CellTimeout):
        fit(recorder, Model(), IMAGES, LABELS)


def test_defects_after_a_cell_and_at_the_end_cost_one_claim_each(box, described, monkeypatch):
    recorder, pipe = box
    recorder.keras.Model = Model

    class Odd(Model):
        @property
        def built(self):
            raise ZeroDivisionError("ours")

    class Strange:
        @property
        def __class__(self):
            raise ZeroDivisionError("ours, too")

    kept = fit(recorder, Model(), IMAGES / 255, LABELS)
    recorder.context.namespace = {"odd": Odd(), "strange": Strange(), "model": Model(), "kept": kept}
    recorder.after_cell()
    assert [claim.names for claim in pipe.record.models] == [(), ("model",)]
    assert [history.kept_as for history in pipe.record.histories] == ["kept"]
    monkeypatch.setattr(recipe, "identify", lambda images, *_: broken() if images.dtype == np.uint8 else {})
    recorder.context.namespace = {"raw": IMAGES, "scaled": IMAGES / 255}
    recorder.arrays()
    assert [claim.variable for claim in pipe.record.variables] == ["scaled"]
    assert len(notes(pipe)) == 4


def test_a_model_that_cannot_be_sent_is_one_for_a_person(box, monkeypatch):
    recorder, pipe = box
    huge = {"kind": "Sequential", "config": {"text": "x" * FRAME_BYTES}, "layers": [], "input_shape": None}
    monkeypatch.setattr(trace, "snapshot", lambda *_: dict(huge))
    recorder.look(Model())
    assert "defect in the grader" in pipe.record.models[0].unbuildable
    assert "more than the 4194304 of a frame" in notes(pipe)[0]


def test_a_loop_never_sends_more_than_the_host_takes(box):
    recorder, pipe = box
    assert {kind: most for kind, (_, _, most) in _KINDS.items() if kind not in ("cell", "note")} | {"load": 200} == context.MOST
    assert frames.MOST_BYTES == FRAME_BYTES
    recorder.look = lambda *_, **__: (0, 0)
    for index in range(700):
        recorder._used(Model(), "predict", None)
        recorder.context.send("load", {"name": "cifar10"})
        recorder._trained(Model(), index, "fit", {})
    assert (len(pipe.record.evaluations), len(pipe.record.loads), len(pipe.record.fits)) == (500, 200, 500)
    assert [note.kind for note in pipe.record.notes] == ["limit", "limit", "grader"]


def test_names_of_any_length_are_cut_to_what_the_host_takes(box):
    recorder, pipe = box
    assert (context.MOST_NAME, context.MOST_TEXT, context.MOST_ITEMS) == (MOST_NAME, MOST_TEXT, MOST_ITEMS)
    long = "n" * 5000
    recorder.context.send(
        "fit",
        {
            "index": 0,
            "cell": 0,
            "serial": 0,
            "version": 0,
            "call": long,
            "callbacks": [long, "b"],
            "train": {"container": "array", "variable": long, "shape": [3] * 1000},
        },
    )
    layer = {"class_name": long, "name": long, "output_shape": [None, 3], "parameters": 1}
    model = {"serial": 0, "version": 0, "cell": 0, "kind": "Subclassed", "names": [long], "unbuildable": long, "layers": [layer]}
    recorder.context.send("model", {**model, "config": {"name": long}})
    (fit,), (claim,) = pipe.record.fits, pipe.record.models
    assert {len(text) for text in (fit.call, fit.callbacks[0], fit.train.variable, claim.names[0], claim.layers[0].name)} == {MOST_NAME}
    assert (len(claim.unbuildable), claim.config, fit.callbacks[1]) == (MOST_TEXT, {"name": long}, "b")
    assert fit.train.shape == (3,) * MOST_ITEMS
    recorder.context.note("other", long)
    assert len(pipe.record.notes[0].text) == 500


@pytest.mark.parametrize(
    "images",
    [IMAGES[:0], INFINITE, IMAGES * 1e300, IMAGES / 0.0001, np.full((600, 32, 32, 3), np.nan)],
    ids=["none", "infinite", "enormous", "large", "NaN"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_whatever_the_images_hold_the_host_can_read_what_is_said_of_them(box, images):
    recorder, pipe = box
    recorder.context.send("variable", recorder.data(images, LABELS[: len(images)])[2])
    assert len(pipe.record.variables) == 1
    assert notes(pipe) == []


def test_bfloat16_images_have_a_range(box):
    recorder, pipe = box
    pytest.importorskip("ml_dtypes")
    import ml_dtypes

    recorder.context.send("variable", recorder.data((IMAGES / 255).astype(ml_dtypes.bfloat16))[2])
    (claim,) = pipe.record.variables
    assert (claim.minimum, claim.maximum, claim.dataset, claim.dtype) == (0.0, 1.0, "cifar10", "bfloat16")


def test_a_curve_that_is_not_a_number_is_still_found_in_a_figure(box, described):
    recorder, _ = box
    history = fit(recorder, Model(), IMAGES / 255, LABELS).history
    assert plots._curves(history["loss"]) == {(0, "loss")}


def test_a_timeout_never_cuts_a_frame_in_two():
    writer = frames.Writer(0)
    interrupt = shell._interrupter(writer)
    written = io.BytesIO()

    def write(_, data):
        interrupt()  # the alarm comes while the pipe is full
        return written.write(data[:1000])

    writer._write = write
    writer.send("note", {"cell": 0, "kind": "other", "text": "x" * 5000})
    assert [kind for kind, _ in FrameReader().feed(written.getvalue())] == ["note"]
    with pytest.raises(shell.CellTimeout):
        interrupt()


def test_text_that_looks_like_an_escaped_surrogate_is_text():
    read, write = os.pipe()
    frames.Writer(write).send("note", {"cell": 0, "kind": "other", "text": r'"\ud83d\ude00" and \\ud83d'})
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        ((_, body),) = FrameReader().feed(pipe.read())
    assert body["text"] == r'"\ud83d\ude00" and \\ud83d'


def test_a_defect_in_preparing_a_module_does_not_fail_its_import(monkeypatch):
    import importlib
    import sys

    pipe = Pipe()
    after, called = imports.AfterImport(context.Context(pipe, {})), []
    after.before("colorsys", broken)
    after.after("colorsys", broken)
    after.after("colorsys", called.append)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    monkeypatch.setattr(sys, "meta_path", [after, *sys.meta_path])
    assert called == [importlib.import_module("colorsys")]
    assert len(notes(pipe)) == 2


BREAK = "\n\ndef {}(*_, **__):\n    raise ZeroDivisionError('ours')\n"
REFERENCE = """
from tensorflow import keras
from tensorflow.keras import layers as L
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train / 255.0, x_test / 255.0
conv = lambda n, k=3, s=1: L.Conv2D(n, k, strides=s, padding='same', activation='relu')
model = keras.Sequential([L.Input((32, 32, 3)), conv(96), conv(96), conv(96, s=2), conv(192), conv(192), conv(192, s=2), conv(192),
                          conv(192, 1), conv(10, 1), L.GlobalAveragePooling2D(), L.Dense(10, activation='softmax')])
model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])
history = model.fit(x_train, y_train, epochs=2, batch_size=128, validation_data=(x_test, y_test))
assert model.predict(x_test).shape == (len(x_test), 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "undecided"),
    [
        ("recipe", "identify", ("data.cifar10", "data.normalized", "data.consistent", "train.loss", "train.protocol")),
        ("trace", "snapshot", ("model.built", "model.head", "model.no_pooling")),
    ],
    ids=["data", "models"],
)
def test_a_defect_in_the_box_is_for_a_person_and_costs_nothing(monkeypatch, tmp_path, module, name, undecided):
    inside = shutil.copytree(notebook_run.PROGRAM, tmp_path / "inside")
    with (inside / f"{module}.py").open("a", encoding="utf-8") as file:
        file.write(BREAK.format(name))
    for where, what in ((base, "START"), (bubblewrap, "START"), (landlock, "START"), (notebook_run, "PROGRAM")):
        monkeypatch.setattr(where, what, inside / "start.py" if what == "START" else inside)
    cells = [{"cell_type": "code", "metadata": {}, "source": REFERENCE, "outputs": [], "execution_count": None}]
    (tmp_path / "submission.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    options = pipeline.Options(out=tmp_path / "out", store=small_store(), formats=("json",))
    report = pipeline.grade(str(tmp_path / "submission.ipynb"), options).report
    assert [cell.status for cell in report.cells] == ["ok"], report.cells
    assert report.status.value == "needs_review"
    found = statuses(report)
    assert {found[name] for name in undecided} == {"error"}, found
    assert not [name for name in found if found[name] == "fail"], found
    assert all("defect in the grader" in line.message for line in report.criteria if line.id in undecided)
    assert {found[name] for name in found if name.startswith("model.")} == {"error" if "model.built" in undecided else "pass"}
    assert "grader_defect" in {flag.id for flag in report.flags}


class Part(list):
    """Stands for an eager tensor."""

    @property
    def shape(self):
        return type("Shape", (tuple,), {"rank": 1})((len(self),))

    def __getitem__(self, index):
        return Part(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)


@pytest.mark.parametrize(
    ("item", "given"),
    [
        ((Part(range(128)), Part(range(128))), (16, 16)),
        ((Part(range(32)), Part(range(3))), (32, 3)),
        (({"image": 1}, Part(range(128))), (1, 128)),
        (Part(range(128)), None),
    ],
)
def test_a_training_loop_gets_few_images_in_its_own_cell_only(item, given):
    recorder = types.SimpleNamespace(custom_steps=0, custom_cell=None, context=context.Context(Pipe(), {}))
    recorder.context.cell = 4
    recorder._few = types.MethodType(keras_hooks.Recorder._few, recorder)

    def shortened(items):
        return keras_hooks._Shortened(iter(items), keras_hooks.Recorder.shortened(recorder, iter(items)))

    first = shortened([item] * 9)
    assert next(first) is item
    recorder.custom_steps, recorder.custom_cell = 1, 4
    rest = list(first)
    assert len(rest) == 2
    assert all(given is None or tuple(len(part) for part in each) == given for each in rest)
    assert len(list(shortened([item] * 9))) == 1
    recorder.context.cell = 5
    assert next(shortened([item])) is item
    assert not recorder.context.writer.record.notes
