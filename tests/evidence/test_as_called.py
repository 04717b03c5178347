"""What box 1 tells of a training call: as it was called, and as its callbacks left it."""

import json

import pytest
from harness import grade_file, small_store

CELLS = [
    (
        "import numpy as np\nimport tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"
        "(x, y), (xt, yt) = keras.datasets.cifar10.load_data()\nx, xt = x / 255.0, xt / 255.0\nfew = np.zeros(len(x)); few[:3] = 1\n"
        "def made(**more):\n    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(10, 3), layers.GlobalAveragePooling2D(),"
        " layers.Dense(10, activation='softmax')])\n    model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'], **more)\n"
        "    return model\n"
        "class Sets(keras.callbacks.Callback):\n    def on_epoch_begin(self, epoch, logs=None):\n"
        "        self.model.optimizer.learning_rate = 0.5 / (epoch + 1)\n"
        "class Stops(keras.callbacks.Callback):\n    def on_train_batch_end(self, batch, logs=None):\n        self.model.stop_training = True\n"
        "class Mine(keras.Sequential):\n    def train_step(self, data):\n        return {'loss': 0.0}"
    ),
    "made().fit(x, y, epochs=3)",
    "made().fit(x[:128], y[:128], epochs=3, class_weight={i: 0.0 for i in range(10)})",
    "made().fit(x, y, 32, 3, 0, None, 0.0, None, True, dict(enumerate([1.0] * 9 + [2.0])))",
    "made().fit(x, y, sample_weight=np.zeros(len(x)))",
    "made().fit(x, y, sample_weight=few)",
    "made().fit(tf.data.Dataset.from_tensor_slices((x[:128], y[:128], np.zeros(128))).batch(128), epochs=2)",
    "m = made(); m.optimizer.learning_rate = 0; m.fit(x, y)",
    "m = made(); m.optimizer.learning_rate.assign(0.0); m.fit(x, y)",
    "m = made(); m.optimizer = keras.optimizers.SGD(1e-9, clipnorm=1e-9); m.fit(x, y)",
    "made().fit(x, y, epochs=3, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)])",
    "made().fit(x, y, epochs=4, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-3 if epoch < 1 else 0.0)], initial_epoch=1)",
    "made().fit(x, y, epochs=3, callbacks=[Sets()])",
    "made().fit(x, y, epochs=3, callbacks=[Stops()])",
    "m = Mine(made().layers); m.compile('adam', 'sparse_categorical_crossentropy'); m.fit(x, y)",
    "made(loss_weights=[0.0]).fit(x, y)",
    "def forever():\n    while True:\n        yield x[:16], y[:16]\nmade().fit(forever(), steps_per_epoch=100, epochs=2)",
    "m = made(); m.trainable = False; m.fit(x, y)",
    "made().fit(np.tile(x[:128], (30, 1, 1, 1)), np.tile(y[:128], (30, 1)))",
    "made().fit(tf.data.Dataset.from_tensor_slices((x[:96], y[:96])).shuffle(96).repeat().batch(32), steps_per_epoch=100)",
    "made().fit(x, y, epochs=2, validation_split=0.2, class_weight='balanced')",
]


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    cells = [{"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None} for text in CELLS]
    path = tmp_path_factory.mktemp("called") / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    found = grade_file(path, store=small_store()).evidence.run
    assert not [note for note in found.notes if note.kind == "grader"]
    return {CELLS[fit.cell]: fit for fit in found.fits}, found


def of(record, words):
    (fit,) = [fit for source, fit in record[0].items() if words in source]
    return fit


@pytest.mark.slow
def test_an_ordinary_call(record):
    fit = of(record, "made().fit(x, y, epochs=3)")
    assert (fit.class_weight, fit.sample_weight, fit.train.weights, fit.unread, fit.own_steps, fit.stopped) == ((), (), (), (), (), False)
    assert (fit.optimizer, fit.learning_rate) == ("Adam", pytest.approx(0.001))
    assert set(fit.rates) == {fit.learning_rate}
    assert fit.optimizer_config == next(call for call in record[1].compiles if call.serial == fit.serial).optimizer_config


@pytest.mark.slow
def test_rows_and_weights(record):
    fit = of(record, "x[:128], y[:128], epochs=3")
    assert (fit.train.rows, fit.class_weight) == (128, tuple((number, 0.0) for number in range(10)))
    assert of(record, "dict(enumerate").class_weight[-2:] == ((8, 1.0), (9, 2.0))
    assert set(of(record, "np.zeros(len(x))").sample_weight) == {0.0}
    assert set(of(record, "=few").sample_weight) == {0.0}
    fit = of(record, "np.zeros(128)")
    assert (fit.train.rows, set(fit.train.weights)) == (128, {0.0})
    fit = of(record, "forever")
    assert (fit.train.rows, fit.rows) == (None, 1600)
    assert next(call for call in record[1].compiles if call.serial == of(record, "loss_weights").serial).loss_weight == 0.0


@pytest.mark.slow
def test_images_that_return_are_counted_once(record):
    assert 60 < of(record, "np.tile").train.distinct < 400
    fit = of(record, ".repeat()")
    assert fit.train.rows is None
    assert 40 < fit.train.distinct < 400
    assert of(record, "forever").train.distinct < 50
    others = [fit for source, fit in record[0].items() if not any(word in source for word in ("tile", "repeat", "forever"))]
    assert {fit.train.distinct for fit in others} == {None}


@pytest.mark.slow
def test_the_optimizer_as_it_is_when_the_first_batch_is_trained(record):
    for words in ("learning_rate = 0;", "assign(0.0)", "lambda epoch: 0.0", "initial_epoch=1"):
        assert of(record, words).learning_rate == 0.0
        assert of(record, words).optimizer_config["learning_rate"] == 0.0
    fit = of(record, "1e-9")
    assert (fit.optimizer, fit.optimizer_config["clipnorm"]) == ("SGD", 1e-9)
    assert of(record, "Sets").rates == pytest.approx((0.5, 0.25, 0.5 / 3))
    assert of(record, "initial_epoch=1").rates == (0.0, 0.0, 0.0)
    assert of(record, "Stops()").stopped


@pytest.mark.slow
def test_what_cannot_be_read_is_named(record):
    assert of(record, "Mine(").own_steps == ("train_step",)
    assert of(record, "'balanced'").unread == ("class_weight",)
    assert of(record, "'balanced'").error is not None or of(record, "'balanced'").validation_split == 0.2
    fit = of(record, "trainable = False")
    model = next(model for model in record[1].models if (model.serial, model.version) == (fit.serial, fit.version))
    assert all(layer["config"]["trainable"] is False for layer in model.config["config"]["layers"] if layer["class_name"] != "InputLayer")
