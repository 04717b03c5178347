"""What a student's own training step is given when `fit` is answered: what Keras itself gives it, read as the one batch that it is."""

import os
import subprocess
import sys

import pytest
from harness import small_store, warm_box1

from grader import dataset
from grader.records import Cell
from grader.sandbox import Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook

CELLS = """
import keras
import numpy as np
import tensorflow as tf
from keras import layers

traced = []
built = tf.data.Dataset.flat_map
tf.data.Dataset.flat_map = lambda *given, **more: (traced.append(1), built(*given, **more))[1]


def told(part):
    return part if part is None else (part.dtype.name, tuple(part.shape), round(float(tf.reduce_sum(tf.cast(part, "float32"))), 3))


class Sees(keras.Model):
    def train_step(self, data):
        print("train", type(data).__name__, keras.tree.map_structure(told, data))
        return super().train_step(data)

    def test_step(self, data):
        print("test", type(data).__name__, keras.tree.map_structure(told, data))
        return super().test_step(data)


def model(*names, outputs=1):
    inputs = {name: keras.Input((3,), name=name) for name in names} if names else keras.Input((3,))
    x = layers.Concatenate()(list(inputs.values())) if len(names) > 1 else inputs
    made = Sees(inputs, [layers.Dense(2)(x) for _ in range(outputs)] if outputs > 1 else layers.Dense(2)(x))
    made.compile("sgd", "mse", run_eagerly=True)
    return made


rows = np.arange(ROWS * 3, dtype="float64").reshape(ROWS, 3)
wanted = np.ones((ROWS, 2), dtype="int64")
classes = np.arange(ROWS, dtype="uint8").reshape(ROWS, 1) % 2

model().fit(rows, wanted, validation_data=(rows, wanted), batch_size=BATCH, verbose=0, shuffle=False)
model("a", "b").fit({"a": rows, "b": rows.astype("int32")}, wanted, batch_size=BATCH, verbose=0, shuffle=False)
model(outputs=2).fit(rows, [wanted, wanted], batch_size=BATCH, verbose=0, shuffle=False)
weighed = model()
weighed.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
weighed.fit(rows, classes, class_weight={0: 1.0, 1: 3.0}, batch_size=BATCH, verbose=0, shuffle=False)
model().fit(tf.constant(rows), tf.constant(wanted), batch_size=BATCH, verbose=0, shuffle=False)
model().evaluate(rows, wanted, batch_size=BATCH, verbose=0)
print("test", model().predict(rows, batch_size=BATCH, verbose=0).shape)
print("traced", len(traced))
try:
    model().fit(rows, None, batch_size=BATCH, verbose=0)
except ValueError as error:
    print("refused", str(error).splitlines()[0])
"""


def lines(text):
    return [line for line in text.splitlines() if line.partition(" ")[0] in ("train", "test", "refused")]


@pytest.fixture(scope="module")
def alone():
    """What Keras says of the first rows, without a grader."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    code = f"ROWS = BATCH = 2\n{CELLS}"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "traced 0" not in done.stdout
    return lines(done.stdout)


@pytest.mark.parametrize("rows", [2, 50])
def test_an_answered_fit_gives_what_keras_gives(alone, rows):
    data = dataset.ensure(small_store()).folder
    cells = (Cell(index=0, kind="code", source=f"ROWS, BATCH = {rows}, {min(rows, 32)}\n{CELLS}"),)
    with start_notebook(cells, warm_box1(data), Limits(), data) as running:
        record = collect_notebook(running, cells, Limits())
    said = "".join(output.data for output in record.cells[0].outputs)
    assert record.cells[0].error is None, said
    found = [line.replace(f"test ({rows}, 2)", "test (2, 2)") for line in lines(said)]  # as many predictions as images were given
    assert found == alone
    assert "traced 0" in said
