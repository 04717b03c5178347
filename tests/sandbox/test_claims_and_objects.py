"""A model's claim is of the model that computes: what names itself, looks or counts otherwise cannot be rebuilt, or is told of."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest
from harness import ROOT

SCRIPT = """
import json
import types
import keras
from keras import layers, ops
from grader.sandbox.inside import keras_hooks, trace

SHAPE = (8, 8, 3)


def made(*more, head=True):
    parts = [keras.Input(SHAPE), layers.Conv2D(4, 3, name="c"), *more]
    return keras.Sequential([*parts, layers.GlobalAveragePooling2D(), layers.Dense(10, name="d")] if head else parts)


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Conv2D(5, 3)
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=False):
        x = self.inner(x)
        if training:
            x = self.drop(x)
        return ops.relu(x)


class Sub(keras.Model):
    def __init__(self, always=False):
        super().__init__()
        self.one, self.drop, self.spare = layers.Conv2D(4, 3), layers.Dropout(0.3), layers.Dense(7)
        self.always = always

    def call(self, x):
        return ops.mean(self.drop(self.one(x), training=True if self.always else None), axis=(1, 2))


class TwoFaces(layers.Layer):
    def call(self, x):
        return x if isinstance(x, keras.KerasTensor) else ops.max_pool(x, 2)


class Sized(layers.Layer):
    def call(self, x):
        return x * (1.0 if isinstance(x, keras.KerasTensor) else 0.5)


Conv2D = type("Conv2D", (layers.MaxPooling2D,), {"__module__": layers.Conv2D.__module__})


def functional():
    x = inputs = keras.Input(SHAPE)
    x = layers.Add()([layers.Conv2D(4, 3, padding="same")(x), layers.Conv2D(4, 1)(x)])
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def popped():
    model = made()
    model.pop()
    model.add(layers.Dense(3))
    return model


def shared():
    x = inputs = keras.Input(SHAPE)
    again = layers.Conv2D(3, 3, padding="same")
    return keras.Model(inputs, again(again(x)))


def changed(change):
    model = made()
    change(model)
    return model


def replaced_call():
    model = made(layers.Conv2D(4, 3))
    model.layers[1].call = lambda x: ops.max_pool(x, 2)
    return model


def own_layers(model):
    model._layers = made(layers.Conv2D(9, 3))._layers


HONEST = {
    "sequential": made(), "functional": functional(), "popped": popped(), "shared": shared(), "custom": made(Block()), "subclass": Sub(),
    "nested": made(keras.Sequential([layers.Conv2D(4, 3), layers.BatchNormalization()])), "always random": Sub(always=True),
    "lambda": made(layers.Lambda(lambda x: x / 2 + 1)), "activation": made(layers.Activation(lambda x: ops.maximum(x, 0.0))),
    "unbuilt": keras.Sequential([layers.Conv2D(4, 3), layers.Dense(3)]), "frozen": changed(lambda m: setattr(m.layers[0], "trainable", False)),
    "own train_step": changed(lambda m: setattr(m, "train_step", m.train_step)),
}
LIES = {
    "model's get_config": changed(lambda m: setattr(m, "get_config", functional().get_config)),
    "layer's get_config": changed(lambda m: setattr(m.layers[0], "get_config", layers.Conv2D(96, 3).get_config)),
    "other layers": changed(own_layers),
    "two faces": made(TwoFaces()), "another size": made(Sized()),
    "model's call": changed(lambda m: setattr(m, "call", lambda x, **_: ops.mean(x, axis=(1, 2)))),
}
CALLED = {
    "layer's call": replaced_call(),
    "named as Keras' own": made(Conv2D(2)),
}


def told(model):
    found = trace.snapshot(model, SHAPE)
    parts = (found["config"] or {}).get("config", {}).get("layers", [])
    names = [layer["class_name"] for layer in parts]
    for layer in parts:
        layer.pop("build_config", None)  # as box 2 does
    again = found["config"] and keras.saving.deserialize_keras_object(found["config"])
    if again is not None and not again.built:
        again.build((None, *SHAPE))
    count = again.count_params() if again is not None else None
    return {"unbuildable": found["unbuildable"], "parameters": found.get("parameters"), "rebuilt": count, "names": names}


def mine(y_true, y_pred):
    return ops.mean(y_pred, axis=-1)


def sparse_categorical_crossentropy(y_true, y_pred):
    return ops.mean(y_pred, axis=-1)


sparse_categorical_crossentropy.__module__ = keras.losses.sparse_categorical_crossentropy.__module__
Stock, Adam = keras.losses.SparseCategoricalCrossentropy, keras.optimizers.Adam
Loss = type("SparseCategoricalCrossentropy", (Stock,), {"__module__": Stock.__module__, "call": lambda self, y, p: ops.mean(p)})
Optimizer = type("Adam", (Adam,), {"__module__": Adam.__module__})


def with_own(thing, name, value):
    setattr(thing, name, value)
    return thing


def loss(given):
    found = keras_hooks.Recorder._loss(types.SimpleNamespace(keras=keras), given)
    return found["loss"], found["custom_loss"]


losses = {
    "stock": [loss(each) for each in ("sparse_categorical_crossentropy", Stock(), Stock, keras.losses.sparse_categorical_crossentropy)],
    "own": [loss(each) for each in (mine, sparse_categorical_crossentropy, Loss(), Loss, with_own(Stock(), "call", mine), with_own(Stock(), "fn", mine))],
}
optimizer = lambda given: keras_hooks.Recorder._optimizer(None, given)
optimizers = {
    "stock": [optimizer(each) for each in (Adam(), keras.optimizers.SGD(), None)],
    "own": [optimizer(each) for each in (Optimizer(), with_own(Adam(), "get_config", dict))],
}
def relu(x):
    return x


relu.__module__ = keras.activations.relu.__module__
def odd(x):
    return ops.sin(x)


odd.__module__, odd.__name__ = relu.__module__, "relu"


def activation(given):
    found = trace.snapshot(made(layers.Conv2D(4, 3, activation=given)), SHAPE)
    return found["config"]["config"]["layers"][2]["config"]["activation"] if found["config"] else found["unbuildable"]


activations = [activation(each) for each in (keras.activations.relu, "elu", lambda x: ops.maximum(x, 0.0), relu, odd)]
activations.append(activation(layers.LeakyReLU(negative_slope=0.1))["class_name"])
activations += [layer["class_name"] for layer in trace.snapshot(made(layers.Conv2D(4, 3, activation=odd)), SHAPE)["config"]["config"]["layers"]][2:4]
compared, real, looked_at = [], trace._same_numbers, made(Block())
trace._same_numbers = lambda *given: compared.append(1) or real(*given)
for _ in range(3):
    trace.snapshot(looked_at, SHAPE)
looked_at.pop()
for _ in range(2):
    trace.snapshot(looked_at, SHAPE)
trace._same_numbers = real
wide = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(4, 3)])
wide.layers[0].filters = 96
kinds = {"honest": HONEST, "lies": LIES, "called": CALLED, "counted": {"filters": wide}}
models = {kind: {name: told(model) for name, model in models.items()} for kind, models in kinds.items()}
print(json.dumps({**models, "losses": losses, "optimizers": optimizers, "activations": activations, "compared": len(compared)}))
"""


@cache
def told():
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "models.py"  # Keras reads the source of a lambda
        script.write_text(SCRIPT, encoding="utf-8")
        line, environment = [sys.executable, str(script)], {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_an_honest_model_is_what_it_says():
    for name, found in told()["honest"].items():
        assert found["unbuildable"] is None, name
        assert found["parameters"] == (None if name == "unbuilt" else found["rebuilt"]), name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("model's get_config", "the get_config of"),
        ("layer's get_config", "the get_config of c was replaced"),
        ("other layers", "are not those that it computes with"),
        ("two faces", "compute something else"),
        ("another size", "compute something else"),
        ("model's call", "compute something else"),
    ],
)
def test_a_model_that_names_another_cannot_be_rebuilt(name, reason):
    found = told()["lies"][name]
    assert found["names"] == []
    assert reason in found["unbuildable"]


@pytest.mark.parametrize(("name", "seen"), [("layer's call", "MaxPooling2D"), ("named as Keras' own", "MaxPooling2D")])
def test_another_computation_of_a_stock_object_is_what_is_seen(name, seen):
    found = told()["called"][name]
    assert found["unbuildable"] is None
    assert seen in found["names"]


def test_attributes_that_say_more_than_the_object_holds_are_counted():
    found = told()["counted"]["filters"]
    assert found["parameters"] < found["rebuilt"]


def test_a_model_is_compared_once_for_what_it_is():
    """A loop of the student's looks at it hundreds of times."""
    assert told()["compared"] == 2


def test_a_loss_that_only_calls_itself_kerass_is_the_notebooks_own():
    found = told()["losses"]
    assert found["stock"] == [["sparse_categorical_crossentropy", None]] * 4
    assert [name for name, _ in found["own"]] == [None] * 6
    assert all(own for _, own in found["own"])


def test_an_activation_that_only_calls_itself_kerass_is_what_it_computes():
    assert told()["activations"] == ["relu", "elu", "relu", "linear", "linear", "LeakyReLU", "Conv2D", "Sin"]


def test_an_optimizer_that_only_calls_itself_kerass_is_the_notebooks_own():
    assert told()["optimizers"] == {"stock": ["Adam", "SGD", "none"], "own": ["the notebook's own Adam"] * 2}
