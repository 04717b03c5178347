"""Curves and parameter counts as every Keras printed them, and text that only looks like it."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.evidence.outputs import MAX_CURVES, claimed_parameters, recorded_curves
from grader.records import Cell, CellError, CellOutput, CellRun, FitClaim, Notebook, RunRecord, StoredOutput


def notebook(*texts: str, kind="stream") -> Notebook:
    return Notebook(
        cells=tuple(Cell(index=i, kind="code", source="", outputs=(StoredOutput(kind=kind, text=text),)) for i, text in enumerate(texts))
    )


def curve(text: str) -> dict[str, tuple[float, ...]]:
    (found,) = recorded_curves(notebook(text), RunRecord())
    assert all(len(values) == found.epochs for values in found.values.values())
    return dict(found.values)


FULL = {"loss": (1.5, 1.25), "accuracy": (0.25, 0.5), "val_loss": (1.75, 1.0), "val_accuracy": (0.375, 0.625)}

KERAS_1 = """Train on 50000 samples, validate on 10000 samples
Epoch 1/2
50000/50000 [==============================] - 21s - loss: 1.5000 - acc: 0.2500 - val_loss: 1.7500 - val_acc: 0.3750
Epoch 2/2
50000/50000 [==============================] - 20s - loss: 1.2500 - acc: 0.5000 - val_loss: 1.0000 - val_acc: 0.6250
"""
KERAS_2 = """Epoch 1/2
391/391 [==============================] - 5s 12ms/step - loss: 1.5000 - accuracy: 0.2500 - val_loss: 1.7500 - val_accuracy: 0.3750
Epoch 2/2
391/391 [==============================] - ETA: 0s - loss: 1.2500 - accuracy: 0.5000 - val_loss: 1.0000 - val_accuracy: 0.6250
"""
KERAS_3 = """Epoch 1/2
\x1b[1m391/391\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m5s\x1b[0m 12ms/step - accuracy: 0.2500 - loss: 1.5000 - val_accuracy: 0.3750 - val_loss: 1.7500
Epoch 2/2
391/391 ━━━━━━━━━━━━━━━━━━━━ 5s 12ms/step - accuracy: 0.5000 - loss: 1.2500 - val_accuracy: 0.6250 - val_loss: 1.0000 - learning_rate: 0.0010
"""
QUIET_1 = """Epoch 1/2
 - 5s - loss: 1.5000 - acc: 0.2500 - val_loss: 1.7500 - val_acc: 0.3750
Epoch 2/2
 - 5s - loss: 1.25e+00 - acc: 0.5000 - val_loss: 1.0000 - val_acc: 0.6250
"""
QUIET_3 = """Epoch 1/2
391/391 - 5s - 12ms/step - accuracy: 0.2500 - loss: 1.5000 - val_accuracy: 0.3750 - val_loss: 1.7500
Epoch 2/2
391/391 - 5s - 12ms/step - accuracy: 0.5000 - loss: 1.2500 - val_accuracy: 0.6250 - val_loss: 1.0000
"""
LIVE = "".join(
    f"Epoch {epoch}/2\n"
    + "".join(f"\r{step:3}/391 [==>......] - ETA: 4s - loss: 9.0 - accuracy: 0.0100" + "\x08" * 60 for step in (1, 200, 391))
    + f"\r391/391 [========] - 5s 12ms/step - loss: {FULL['loss'][epoch - 1]} - accuracy: {FULL['accuracy'][epoch - 1]}"
    f" - val_loss: {FULL['val_loss'][epoch - 1]} - val_accuracy: {FULL['val_accuracy'][epoch - 1]}\n"
    for epoch in (1, 2)
)
UNKNOWN = KERAS_2.replace("Epoch 1/2\n", "Epoch 1/2\n390/Unknown - 5s 12ms/step - loss: 3.0 - accuracy: 0.1\r")
CALLBACKS = KERAS_2.replace("\nEpoch 2", "\nEpoch 00001: val_loss improved from inf to 1.75000, saving model to x.h5\nEpoch 2").replace(
    "accuracy: 0.6250", "accuracy: 0.6250 - lr: 0.001"
)
EVALUATE = (
    KERAS_2
    + "313/313 [=====] - 1s 3ms/step - loss: 7.0 - accuracy: 0.7000\n391/391 [=====] - 1s - loss: 8.0 - accuracy: 0.8\nTest loss: 0.9\n"
)


@pytest.mark.parametrize(
    "text", [KERAS_1, KERAS_2, KERAS_3, QUIET_1, QUIET_3, LIVE, UNKNOWN, CALLBACKS, EVALUATE, KERAS_2.replace("\n", "\r\n")]
)
def test_every_keras(text):
    assert {key: values for key, values in curve(text).items() if key in FULL} == FULL


def test_one_accuracy_by_any_name():
    assert set(curve(KERAS_2.replace("accuracy", "sparse_categorical_accuracy"))) == set(FULL)


def test_other_metrics_keep_their_names():
    assert set(curve("Epoch 1/1\n5/5 - 1s - loss: 1.0 - top5_acc: 0.5 - val_loss: 2.0\n")) == {"loss", "top5_acc", "val_loss"}


def test_values_may_be_nan():
    assert math.isnan(curve("Epoch 1/1\n5/5 - 1s - loss: nan - accuracy: 0.1\n")["loss"][0])


def test_one_curve_for_each_run():
    text = KERAS_2 + KERAS_2.replace("Epoch 1/2", "Epoch 1/2")
    assert [found.epochs for found in recorded_curves(notebook(text, KERAS_3), RunRecord())] == [2, 2, 2]
    assert [found.cell for found in recorded_curves(notebook(text, KERAS_3), RunRecord())] == [0, 0, 1]
    short = KERAS_1.split("Epoch 2", maxsplit=1)[0]
    assert [found.epochs for found in recorded_curves(notebook(short + short.replace("Epoch 1", "Epoch 2")), RunRecord())] == [
        1,
        1,
    ]  # "Train on" begins anew


def test_training_that_goes_on_is_one_run():
    assert curve(KERAS_2.replace("Epoch 1/2", "Epoch 11/20").replace("Epoch 2/2", "Epoch 12/20")) == FULL


def test_an_interrupted_epoch_is_left_out():
    text = KERAS_2 + "Epoch 3/4\n"
    started = KERAS_2.replace("/2\n", "/4\n") + "Epoch 3/4\n100/391 [==>...] - ETA: 3s - loss: 9.0 - accuracy: 0.1\n"
    assert curve(started) == FULL
    assert {key: values[:2] for key, values in curve(text).items()} == FULL
    assert recorded_curves(notebook("Epoch 1/4\n100/391 [==>...] - ETA: 3s - loss: 9.0 - accuracy: 0.1\n"), RunRecord()) == ()


def test_validation_now_and_then_keeps_what_all_epochs_have():
    text = KERAS_2.replace(" - val_loss: 1.0000 - val_accuracy: 0.6250", "") + "Epoch 3/2\n"
    text = KERAS_2.replace(" - val_loss: 1.7500 - val_accuracy: 0.3750", "")
    assert curve(text) == {"loss": (1.5, 1.25), "accuracy": (0.25, 0.5)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "loss: 1.0 - accuracy: 0.9",
        "Epoch 1/30\nEpoch 2/30\n",
        "Epoch one/2\n5/5 - loss: 1",
        "391/391 [==] - loss: 1.0",
        "Epoch 1/2\nlearning: 3 - rate: 4",
    ],
)
def test_what_is_no_curve(text):
    assert recorded_curves(notebook(text), RunRecord()) == ()


def test_a_stream_in_pieces_is_one_text():
    outputs = tuple(StoredOutput(kind="stream", text=KERAS_2[i : i + 37]) for i in range(0, len(KERAS_2), 37))
    (found,) = recorded_curves(Notebook(cells=(Cell(index=4, kind="code", source="", outputs=outputs),)), RunRecord())
    assert found.values == FULL


def test_markdown_is_not_read():
    assert recorded_curves(Notebook(cells=(Cell(index=0, kind="markdown", source=KERAS_2),)), RunRecord()) == ()


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Total params: 1,369,848\nTrainable params: 1,369,738\nNon-trainable params: 110\n", (1369848,)),
        (" Total params: 1,369,848 (5.23 MB)\n Trainable params: 1,369,848 (5.23 MB)\n Non-trainable params: 0 (0.00 B)\n", (1369848,)),
        (
            " Total params: 4,109,546 (15.68 MB)\n Trainable params: 1,369,848 (5.23 MB)\n Non-trainable params: 0 (0.00 B)\n Optimizer params: 2,739,698 (10.45 MB)\n",
            (1369848,),
        ),
        ("Total params: 300\nOptimizer params: 200\n", (100,)),
        ("Total params: 7\n______\nTotal params: 8\nTrainable params: 5\nNon-trainable params: 3\n", (7, 8)),
        ("Total params: \x1b[38;5;34m1,000\x1b[0m (3.91 KB)\n", (1000,)),
        ("Trainable params: 5\n", ()),
        ("Total params: many\n", ()),
    ],
)
def test_parameters_of_summary_tables(text, counts):
    assert claimed_parameters(notebook(text)) == counts
    assert claimed_parameters(notebook(text, kind="display")) == counts


def test_parameters_over_several_outputs():
    outputs = tuple(
        StoredOutput(kind="display", text=text)
        for text in (" Total params: 30 (1 B)", " Trainable params: 9 (1 B)", " Non-trainable params: 1 (1 B)")
    )
    assert claimed_parameters(Notebook(cells=(Cell(index=0, kind="code", source="", outputs=outputs),))) == (10,)


HOSTILE = [
    "loss: " * 300_000,
    " - ".join(["loss: 1"] * 200_000),
    "1" * 2_000_000 + "/",
    "Epoch 1/9\n" + "\x1b[" * 500_000,
    "Total params: " + "1," * 500_000,
    "Epoch 1/2\n - 1s - loss: 1\n" * 50_000,
    "\r\x08" * 1_000_000,
    "Epoch " * 300_000,
    " " * 2_000_000 + "Epoch 1/2",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_takes_linear_time_and_little_room(text):
    start = time.process_time()
    assert len(recorded_curves(notebook(text), RunRecord())) <= MAX_CURVES
    claimed_parameters(notebook(text))
    assert time.process_time() - start < 10


@given(
    st.lists(
        st.sampled_from(
            [
                "Epoch 1/3\n",
                "Epoch 2/3\n",
                "5/5",
                " - ",
                "loss: 1.0",
                "val_loss: nan",
                "\r",
                "\x08",
                "\n",
                "ETA: 0s",
                "1/5",
                "Total params: 5",
                "acc: 1e9",
            ]
        ),
        max_size=40,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_mixture_gives_whole_curves(parts):
    found = recorded_curves(notebook("".join(parts)), RunRecord())
    assert all(len(values) == one.epochs > 0 for one in found for values in one.values.values())
    claimed_parameters(notebook("".join(parts)))


# ------------------------------------------------------------------ what the run of the cell here says of its stored output


def lines(*accuracies, epochs=None):
    total = epochs or len(accuracies)
    return "".join(f"Epoch {n}/{total}\n391/391 - 29s - loss: 1.0 - val_accuracy: {value:.4f}\n" for n, value in enumerate(accuracies, 1))


STORED = lines(0.41, 0.55, 0.66, 0.71, 0.79)


def doubted(stored, *, asked=(5,), printed="", call="fit", **cell):
    fits = tuple(FitClaim(index=n, cell=0, call=call, serial=0, version=0, epochs=epochs) for n, epochs in enumerate(asked))
    here = CellRun(index=0, outputs=(CellOutput(kind="stdout", data=printed),), **{"status": "ok", **cell})
    found = recorded_curves(notebook(stored), RunRecord(cells=(here,), fits=fits))
    assert len({(each.doubt, each.refuted) for each in found}) == 1
    return found[0].doubt, found[0].refuted


@pytest.mark.parametrize(
    ("stored", "here"),
    [
        (STORED, {"asked": (1,)}),  # more epochs than were fitted
        (lines(0.3) + STORED, {"asked": (5,)}),  # one of Keras' own, five that were added
        (STORED, {"asked": (2, 2)}),
        (STORED, {"printed": STORED}),  # a loop that prints what it stored
        (STORED, {"printed": lines(0.4, 0.5, 0.67, 0.7, 0.78)}),  # with some noise
        (lines(0.79), {"asked": (1,), "printed": lines(0.77)}),  # one line
        (STORED, {"printed": lines(0.5, 0.5, 0.5, 0.96, 0.98)}),  # near what calls answer, and not of it
        (STORED, {"printed": lines(*[0.7] * 5)}),  # the same in every line
        (STORED, {"printed": "".join(f"Epoch {n}/5 - val_accuracy: {60 + n:.2f}\n" for n in range(1, 6))}),  # percent
    ],
)
def test_a_curve_that_the_code_prints_or_that_has_too_many_epochs_is_refuted(stored, here):
    assert doubted(stored, **here)[1]


@pytest.mark.parametrize(
    ("stored", "here"),
    [
        (STORED, {}),
        (STORED, {"asked": (30,)}),  # stopped early
        (STORED + STORED, {"asked": (5, 5)}),
        (STORED + STORED.replace("/5", "/10"), {"asked": (5, 10)}),
        (STORED, {"asked": (1,) * 5, "printed": lines(*[0.5001] * 5)}),  # a loop around fit that prints the history's last value
        (STORED, {"printed": lines(*[0.0002] * 5)}),  # a callback that prints its logs, as Keras does
        (STORED + STORED, {"printed": lines(*[0.5002] * 5)}),  # beside Keras' own lines
        (STORED, {"printed": lines(0.1, 0.1034, 0.0987, 0.1, 0.1)}),  # measured by the notebook itself, on a network that knows nothing
        (STORED, {"printed": "Epoch 3: best val_accuracy 0.79 so far\nFinal val acc: 0.7912\nTest accuracy: 0.79\n"}),
        (STORED, {"call": "custom_loop", "asked": (None,)}),
    ],
)
def test_honest_output_is_not_doubted(stored, here):
    assert doubted(stored, **here) == ("", False)


@pytest.mark.parametrize(
    "here",
    [
        {"asked": (1,), "status": "error", "error": CellError(type="NameError", message="x")},  # the call with more epochs may come later
        {"asked": (1,), "lost": (4,)},
        {"call": "train_on_batch", "printed": lines(0.3125, 0.375, 0.4375, 0.4, 0.5)},  # a loop of its own on a few images
    ],
)
def test_what_may_be_honest_is_no_record_and_refutes_nothing(here):
    doubt, refuted = doubted(STORED, **here)
    assert doubt
    assert not refuted
