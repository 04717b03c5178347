"""Rebuilding all models of a notebook: what one may take of a box that a class shares, and what is remembered."""

import json
import os
import re
import subprocess
import sys
import threading
import time

from harness import ROOT, warm_box2

from grader.records import ModelClaim
from grader.training import box2


def claim(units, serial=0):
    layers = [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 4]}, "registered_name": None},
        {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": units}, "registered_name": None},
    ]
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": layers}, "registered_name": None}
    return ModelClaim(serial=serial, version=0, cell=0, kind="Sequential", config=config)


def test_every_model_of_a_notebook_is_rebuilt():
    found = warm_box2().rebuild_all([claim(3, serial=0), claim(5, serial=1)])
    assert {key: graph.parameters for key, (graph, _) in found.items()} == {(0, 0): 15, (1, 0): 25}


def test_what_is_left_when_a_notebooks_models_took_their_time_is_not_rebuilt():
    found = warm_box2().rebuild_all([claim(103, serial=0), claim(105, serial=1), claim(106, serial=2)], together_s=0.0)
    assert found[0, 0][0] is not None
    for key in ((1, 0), (2, 0)):
        graph, reason = found[key]
        assert graph is None
        assert reason.startswith("the notebook builds so many or so large models that")


def test_waiting_for_another_notebooks_training_is_no_time_of_this_one():
    """What is known needs the box not at all; what is not waits, and then has all of its time."""
    box = warm_box2()
    box.rebuild_all([claim(3, serial=0)])
    held, release, found = threading.Event(), threading.Event(), []

    def trains():
        with box.exclusive():
            held.set()
            release.wait(30)

    other = threading.Thread(target=trains)
    other.start()
    assert held.wait(10)
    try:
        assert box.rebuild_all([claim(3, serial=0)])[0, 0][0] is not None
        mine = threading.Thread(
            target=lambda: found.append(box.rebuild_all([claim(7, serial=0), claim(3, serial=1), claim(8, serial=2)], together_s=3.0))
        )
        mine.start()
        time.sleep(4.0)
        assert not found
    finally:
        release.set()
    other.join()
    mine.join(60)
    assert [refusal for _, refusal in found[0].values()] == [None] * 3


def test_the_latest_models_are_remembered(monkeypatch):
    box = warm_box2()
    monkeypatch.setattr(box2, "MOST_KNOWN", 2)
    for units in (11, 12, 13, 14):
        graph, refusal = box.rebuild(claim(units))
        assert (graph.parameters, refusal) == (5 * units, None)
    assert len(box._known) == 2
    asked = box._asked
    box.rebuild(claim(14))
    assert box._asked == asked
    graph, _ = box.rebuild(claim(11))
    assert (graph.parameters, box._asked) == (55, asked + 1)


AT_ONCE = """
import contextlib, json, sys
from grader.training.inside import rebuild

keras = rebuild.keras
layers = keras.layers
CAPS = {"parameters": 10**8, "activation": 10**8, "nodes": 100}


def flat(*first):
    return keras.Sequential([*first, layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)])


def functional():
    x = inputs = keras.Input((8, 8, 3))
    inner = flat(keras.Input((8, 8, 3)))
    return keras.Model(inputs, layers.Add()([inner(x), inner(x)]))


def told(config, shape):
    config["config"]["build_input_shape"] = shape
    return config


plain = keras.saving.serialize_keras_object
twice = plain(flat(keras.Input((8, 8, 3))))
for layer in twice["config"]["layers"][1:3]:
    layer["config"]["name"] = "same"
built = flat()
built.build((None, 8, 8, 3))
CASES = {
    "flat": (plain(flat(keras.Input((8, 8, 3)))), None),
    "nested": (plain(keras.Sequential([keras.Input((8, 8, 3)), flat(keras.Input((8, 8, 3))), layers.Dropout(0.1)])), None),
    "nested without an input": (plain(keras.Sequential([keras.Input((8, 8, 3)), flat(), layers.Dropout(0.1)])), None),
    "a model first": (plain(keras.Sequential([functional(), layers.Dense(2)])), None),
    "in a functional model": (plain(functional()), None),
    "never built": (plain(flat()), None),
    "its shape from a call": (plain(flat()), [8, 8, 3]),
    "built without an input": (plain(built), None),
    "one layer": (plain(keras.Sequential([layers.Dense(2)])), [5]),
    "only an input": (plain(keras.Sequential([keras.Input((5,))])), None),
    "another shape told": (told(plain(flat(keras.Input((8, 8, 3)))), [None, 9, 9, 3]), None),
    "layers that do not fit": (plain(keras.Sequential([layers.Conv2D(4, 3), layers.Dense(2)])), [5]),
    "too small for its convolution": (told(plain(flat()), [None, 2, 2, 3]), None),
    "two layers of one name": (twice, None),
}


def graphs():
    found = {}
    for name, (config, shape) in CASES.items():
        try:
            found[name] = rebuild.graph(json.loads(json.dumps(config)), shape, CAPS)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


mine = graphs()
rebuild._at_once = contextlib.nullcontext
json.dump({"at once": mine, "layer by layer": graphs()}, sys.stdout)
"""


def test_a_model_built_at_once_is_the_one_built_layer_by_layer():
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", AT_ONCE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(re.sub(r"keras_tensor_\d+", "keras_tensor", done.stdout))  # numbered through the process
    for name, graph in found["at once"].items():
        assert graph == found["layer by layer"][name], name
    assert sum(isinstance(graph, dict) for graph in found["at once"].values()) >= 9, found
