"""What a model's claim says of layers whose own configuration leaves something out."""

import json
import subprocess
import sys
from functools import cache

import pytest
from harness import ROOT

SCRIPT = """
import json
import keras
import numpy as np
from grader.sandbox.inside import trace

pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype("float32")

def told(layer):
    found = trace.snapshot(keras.Sequential([keras.Input((8, 8, 3)), layer]))
    again = keras.saving.deserialize_keras_object(found["config"]).layers[0]
    values, wanted = np.asarray(again(pixels)), np.asarray(layer(pixels))
    return {"unbuildable": found["unbuildable"], "apart": float(abs(values - wanted).max()), "mean": float(values.mean()), "std": float(values.std())}

def adapted(**settings):
    layer = keras.layers.Normalization(**settings)
    layer.adapt(pixels)
    return layer

class Scaled(keras.layers.Layer):
    def __init__(self, own, inner):
        super().__init__()
        self.inner = keras.layers.Conv2D(4, 1) if inner else None
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale") if own else 2.0

    def call(self, x):
        return (self.inner(x) if self.inner is not None else x) * self.scale

class Net(keras.Model):
    def __init__(self, own, inner):
        super().__init__()
        self.block, self.last = Scaled(own, inner), keras.layers.Dense(10)

    def call(self, x):
        return self.last(keras.ops.mean(self.block(x), axis=(1, 2)))

def followed(own, inner):
    model = Net(own, inner)
    model(pixels[:2])
    return trace.snapshot(model, (8, 8, 3))["unbuildable"]

class Counting(keras.layers.Dropout):
    count = 0

    def call(self, inputs, training=False):
        self.count += 1
        return super().call(inputs, training=training)

class Drawn(keras.layers.Layer):
    def __init__(self, rate, whole=False, always=False, scaled=True):
        super().__init__()
        self.rate, self.whole, self.always, self.scaled = rate, whole, always, scaled

    def call(self, x, training=None):
        if not training and not self.always:
            return x
        shape = (keras.ops.shape(x)[0], 1) if self.whole else keras.ops.shape(x)
        kept = keras.ops.cast(keras.random.uniform(shape) >= self.rate, x.dtype)
        return x * kept / ((1 - self.rate) if self.scaled else 1.0)

class Rectified(keras.layers.Conv2D):
    def call(self, x):
        return keras.ops.relu(super().call(x))

class ScaledToo(keras.layers.Conv2D):
    def build(self, shape):
        super().build(shape)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return super().call(x) * self.scale

class ByKernel(keras.layers.Conv2D):
    def call(self, x):
        return keras.ops.conv(x, self.kernel, padding="same")

def extending(kind):
    found = trace.snapshot(keras.Sequential([keras.Input((8, 8, 3)), kind(4, 3, padding="same"), keras.layers.GlobalAveragePooling2D()]))
    return found["unbuildable"] or [layer["class_name"] for layer in found["config"]["config"]["layers"]]

def dropping(*layers):
    ends = [keras.layers.GlobalAveragePooling2D(), *layers, keras.layers.Dense(10)]
    config = trace.snapshot(keras.Sequential([keras.Input((8, 8, 12)), *ends]))["config"]
    return config and [layer["config"]["rate"] for layer in config["config"]["layers"] if layer["class_name"] == "Dropout"]

shear = trace.snapshot(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.RandomShear(0.2, 0.1)]))
print(json.dumps({
    "last axis": told(adapted()),
    "no axis": told(adapted(axis=None)),
    "pixels": told(adapted(axis=(1, 2, 3))),
    "never": told(keras.layers.Normalization()),
    "given": told(keras.layers.Normalization(mean=[120.0, 120.0, 120.0], variance=[5400.0, 5400.0, 5400.0])),
    "own weights": [followed(own, inner) for own in (True, False) for inner in (True, False)],
    "dropping": [dropping(Counting(0.3)), dropping(Drawn(0.25)), dropping(Drawn(0.1), Drawn(0.5))],
    "other": [dropping(Drawn(0.2, whole=True)), dropping(Drawn(0.2, always=True)), dropping(Drawn(0.2, scaled=False)), dropping(Drawn(0.0))],
    "extending": [extending(kind) for kind in (Rectified, ScaledToo, ByKernel)],
    "call": "call" in vars(keras.layers.Conv2D),
    "shear": list(keras.saving.deserialize_keras_object(shear["config"]).layers[0].x_factor),
}))
"""


@cache
def told():
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["last axis", "no axis", "pixels", "given"])
def test_a_normalization_is_rebuilt_with_what_it_knows(name):
    found = told()[name]
    assert found["unbuildable"] is None
    assert found["apart"] < 1e-3
    assert abs(found["mean"]) < 0.2
    assert 0.9 < found["std"] < 1.1


def test_a_normalization_that_was_never_adapted_stays_so():
    found = told()["never"]
    assert found["apart"] == 0
    assert found["std"] > 50


def test_a_shear_is_rebuilt():
    assert told()["shear"] == [-0.2, 0.2]


def test_weights_that_no_layer_has_are_not_taken_for_constants():
    with_inner, alone, *without = told()["own weights"]
    assert "Scaled has weights of its own" in with_inner
    assert "Scaled has weights of its own" in alone
    assert without == [None, None]


def test_a_layer_of_the_notebooks_own_that_drops_values_by_chance_is_dropout():
    assert told()["dropping"] == [[0.3], [0.25], [0.1, 0.5]]
    assert not any(told()["other"]), "all values of an image, in inference too, without scaling, or never"


def test_a_layer_that_extends_a_stock_one_by_super_is_that_one_and_what_follows():
    rectified, scaled, by_kernel = told()["extending"]
    assert rectified == ["InputLayer", "Conv2D", "ReLU", "GlobalAveragePooling2D"]
    assert "ScaledToo has weights of its own" in scaled
    assert "ByKernel has weights of its own" in by_kernel
    assert not told()["call"], "Keras' classes are as they were"
