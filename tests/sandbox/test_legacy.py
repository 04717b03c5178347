"""Keras from 2016 to today means the same: old places, names, numbers, metrics and operations, tried on the real Keras in one process."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache

import pytest
from harness import ROOT

from grader.training.canonical import canonical

IMPORTS = {  # code that binds `found` -> what it is today
    "from tensorflow.python.keras.layers import Dense as found": "keras.layers.Dense",
    "from tensorflow.python.keras.models import Sequential as found": "keras.Sequential",
    "from tensorflow.python.keras.utils.np_utils import to_categorical as found": "keras.utils.to_categorical",
    "from tensorflow.python.keras.optimizer_v2.adam import Adam as found": "keras.optimizers.Adam",
    "from tensorflow.python.keras.callbacks import EarlyStopping as found": "keras.callbacks.EarlyStopping",
    "from tensorflow.python.keras import backend; found = backend.clear_session": "keras.backend.clear_session",
    "import tensorflow.python.keras as k; found = k.layers.Conv2D": "keras.layers.Conv2D",
    "from tensorflow.python import keras as k; found = k.Model": "keras.Model",
    "from tensorflow.contrib.keras.python.keras.layers.core import Dropout as found": "keras.layers.Dropout",
    "from tensorflow.compat.v1.keras.layers import Flatten as found": "keras.layers.Flatten",
    "from keras.api._v2.keras.layers import Conv2D as found": "keras.layers.Conv2D",
    "from keras.engine.topology import Layer as found": "keras.layers.Layer",
    "from keras.engine.training import Model as found": "keras.Model",
    "from keras.engine import InputSpec as found": "keras.layers.InputSpec",
    "from keras.layers.core import Activation as found": "keras.layers.Activation",
    "from tf_keras.layers import ReLU as found": "keras.layers.ReLU",
    "from keras.objectives import categorical_crossentropy as found": "keras.losses.categorical_crossentropy",
    "from keras_preprocessing.image import ImageDataGenerator as found": "tf.keras.preprocessing.image.ImageDataGenerator",
    "from tensorflow.keras.optimizers.legacy import SGD as found": "keras.optimizers.SGD",
    "from tensorflow.keras.layers.experimental.preprocessing import Rescaling as found": "keras.layers.Rescaling",
    "from tensorflow.keras.mixed_precision.experimental import set_policy as found": "keras.mixed_precision.set_global_policy",
    "from tensorflow.keras.saving import register_keras_serializable as found": "keras.saving.register_keras_serializable",
    "found = tf.keras.saving.register_keras_serializable": "keras.saving.register_keras_serializable",
    "found = tf.keras.ops.relu": "keras.ops.relu",
    "found = tf.keras.random.SeedGenerator": "keras.random.SeedGenerator",
    "found = tf.keras.losses.mean_squared_error": "keras.losses.mean_squared_error",
    "found = tf.keras.layers.advanced_activations.LeakyReLU": "keras.layers.LeakyReLU",
    "found = keras.utils.vis_utils.plot_model": "keras.utils.plot_model",
    "found = keras.layers.experimental.preprocessing.RandomFlip": "keras.layers.RandomFlip",
    "found = tf.keras.mixed_precision.experimental.Policy": "keras.mixed_precision.Policy",
    "found = keras.constraints.maxnorm": "keras.constraints.MaxNorm",
    "found = keras.optimizers.adam": "keras.optimizers.Adam",
    "from keras.initializers import normal as found": "keras.initializers.RandomNormal",
    "from tensorflow.keras.initializers import uniform as found": "keras.initializers.RandomUniform",
    "from keras.regularizers import l1l2 as found": "keras.regularizers.L1L2",
    "from keras.losses import mse as found": "keras.losses.mean_squared_error",
    "from keras.metrics import mae as found": "keras.metrics.mean_absolute_error",
    "from keras.constraints import maxnorm as found": "keras.constraints.MaxNorm",
    "from keras.activations import relu as found": "keras.activations.relu",
    "import tensorflow.keras as k; found = k.saving.register_keras_serializable": "keras.saving.register_keras_serializable",
    "import tensorflow.keras as k; found = k.utils.register_keras_serializable": "keras.saving.register_keras_serializable",
    "found = tf.ConfigProto": "tf.compat.v1.ConfigProto",
    "from keras.wrappers.scikit_learn import KerasClassifier as found": "keras.wrappers.SKLearnClassifier",
}

GONE = (
    "from keras.layers import NoSuchLayer",
    "from keras.utils import print_summary",
    "import keras.layers.no_such",
    "from tensorflow.python.keras import Nothing",
)

STEPS = {  # what a functional model does to its input of 8x8x3 -> the layers that say so
    "keras.activations.relu(x)": "ReLU",
    "tf.nn.relu(x)": "ReLU",
    "keras.ops.relu6(x)": "ReLU",
    "keras.backend.relu(x)": "ReLU",
    "keras.backend.relu(x, alpha=0.1)": "LeakyReLU",
    "keras.backend.concatenate([x, x], axis=-1)": "Concatenate",
    "tf.nn.leaky_relu(x, alpha=0.1)": "LeakyReLU",
    "keras.activations.leaky_relu(x, negative_slope=0.3)": "LeakyReLU",
    "tf.nn.elu(x)": "ELU",
    "tf.nn.swish(x)": "Activation",
    "keras.activations.tanh(x)": "Activation",
    "keras.ops.softmax(x)": "Softmax",
    "keras.backend.softmax(x)": "Softmax",
    "tf.maximum(x, 0.0)": "ReLU",
    "tf.clip_by_value(x, 0.0, 6.0)": "ReLU",
    "x / 255.": "Rescaling",
    "(x - 127.5) / 127.5": "Rescaling Rescaling",
    "(x - np.array([125.3, 123.0, 113.9])) / np.array([63.0, 62.1, 66.7])": "Rescaling Rescaling",
    "(x - IMAGE) / 60.": "Rescaling Rescaling",
    "keras.layers.Lambda(lambda t: (t - IMAGE) / STD)(x)": "Rescaling Rescaling",
    "x / np.full((1, 1, 1, 1), 255.)": "Rescaling",
    "2 * x - 1": "Rescaling Rescaling",
    "1. - x": "Rescaling",
    "tf.cast(x, tf.float32) * (1. / 255)": "Rescaling",
    "x + keras.layers.Conv2D(3, 1)(x)": "Conv2D Add",
    "keras.layers.Conv2D(3, 1)(x) * x": "Conv2D Multiply",
    "tf.concat([x, x], axis=-1)": "Concatenate",
    "keras.ops.concatenate([x, x], axis=-1)": "Concatenate",
    "tf.reduce_mean(x, [1, 2])": "GlobalAveragePooling2D",
    "tf.math.reduce_mean(x, axis=[1, 2], keepdims=True)": "GlobalAveragePooling2D",
    "keras.ops.mean(x, axis=(1, 2))": "GlobalAveragePooling2D",
    "keras.backend.mean(x, axis=[1, 2])": "GlobalAveragePooling2D",
    "keras.ops.max(x, axis=(-3, -2))": "GlobalMaxPooling2D",
    "keras.ops.reshape(x, (-1, 192))": "Flatten",
    "tf.reshape(x, [-1, 64, 3])": "Reshape",
    "tf.squeeze(keras.layers.AveragePooling2D(8)(x), axis=[1, 2])": "AveragePooling2D Flatten",
    "tf.transpose(x, perm=[0, 2, 1, 3])": "Permute",
    "tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])": "ZeroPadding2D",
    "tf.nn.avg_pool2d(x, 2, 2, 'valid')": "AveragePooling2D",
    "tf.image.resize(x, [16, 16])": "Resizing",
    "keras.ops.average_pool(x, 2)": "AveragePooling2D",
    "keras.layers.Lambda(lambda t: (t - MEAN) / STD)(x)": "Rescaling",
    "keras.layers.Lambda(lambda t: t / 255.)(x)": "Rescaling",
    "keras.layers.Lambda(lambda t: tf.nn.leaky_relu(t, 0.1))(x)": "Activation",
    "keras.layers.Lambda(lambda t: tf.reduce_mean(t, axis=[1, 2]))(x)": "GlobalAveragePooling2D",
    "keras.layers.Lambda(lambda t: keras.ops.reshape(t * 2., (-1, 64, 3)))(x)": "Rescaling Reshape",
    "Halved()(x)": "Rescaling",
    "keras.layers.Rescaling(1 / np.array([255.] * 3))(x)": "Rescaling",
    "keras.layers.Rescaling(np.float32(1 / 255), offset=np.zeros((1, 1, 1, 3)))(x)": "Rescaling",
    "keras.layers.Dropout(np.float32(0.2))(x)": "Dropout",
    "keras.layers.Conv2D(np.int64(4), (np.int64(3), np.int32(3)), strides=np.array([2, 2]))(x)": "Conv2D",
    "keras.layers.Conv2D(4, np.int64(3))(x)": "Conv2D",
    "keras.layers.Dense(np.uint8(9) + 1)(keras.layers.Flatten()(x))": "Flatten Dense",
    "keras.layers.Dense(np.max([[9]], axis=0) + 1)(keras.layers.Flatten()(x))": "Flatten Dense",
    "keras.layers.Dense(tf.reduce_max([9.]) + 1)(keras.layers.Flatten()(x))": "Flatten Dense",
    "keras.layers.Conv2D(filters=np.float32(4), kernel_size=3.0)(x)": "Conv2D",
    "keras.layers.Convolution2D(4, 3, 3, border_mode='same', subsample=(2, 2), init='uniform')(x)": "Conv2D",
}

FUNCTIONS = {  # an activation -> what the layer's configuration says of it, and the layers behind it
    "lambda t: keras.activations.leaky_relu(t, negative_slope=0.1)": "LeakyReLU",
    "lambda t: tf.nn.leaky_relu(t, 0.1)": "LeakyReLU",
    "lambda t: tf.maximum(0.2 * t, t)": "leaky_relu",
    "lambda t: tf.where(t > 0, t, 0.05 * t)": "LeakyReLU",
    "lambda t: keras.ops.maximum(t, 0)": "relu",
    "lambda t: tf.minimum(tf.maximum(t, 0.), 6.)": "relu6",
    "lambda t: keras.ops.clip(t, 0., 1.)": "ReLU",
    "lambda t: tf.clip_by_value(t, -1., 1.)": "hard_tanh",
    "lambda t: t * tf.sigmoid(t)": "silu",
    "lambda t: t * tf.tanh(tf.math.softplus(t))": "mish",
    "lambda t: keras.activations.elu(t, alpha=0.5)": "ELU",
    "lambda t: keras.activations.gelu(t, approximate=True)": "gelu",
    "lambda t: keras.activations.softmax(t)": "softmax",
    "named('own', lambda t: tf.nn.leaky_relu(t, 0.2))": "leaky_relu",
    "named('swish', lambda t: keras.ops.maximum(t, 0))": "relu",
    "named('layer', keras.layers.Activation(lambda t: t * tf.sigmoid(t)))": "silu",
    "named('kind', keras.layers.ELU)": "elu",
    "keras.layers.LeakyReLU(0.1)": "LeakyReLU",
    "keras.layers.LeakyReLU()": "LeakyReLU",
    "keras.layers.ReLU()": "relu",
    "keras.layers.ReLU(max_value=6)": "relu6",
    "keras.layers.ELU()": "elu",
    "keras.layers.PReLU()": "linear PReLU",
    "keras.layers.PReLU(shared_axes=[1, 2])": "linear PReLU",
    "lambda t: tf.sin(t) + t": "linear Sin Add",
    "lambda t: keras.ops.sin(t)": "linear Sin",
    "lambda t: t * tf.sigmoid(1.7 * t)": "linear Rescaling Activation Multiply",
}

SAID = {  # what a notebook asks of a tensor or layer -> the answer in Keras 2
    "out.dtype.name": "float32",
    "out.dtype == 'float32' and out.dtype.is_floating": True,
    "out.shape.as_list()": [None, 4],
    "out.get_shape().as_list()": [None, 4],
    "out.shape[1:] == (4,) and len(out.shape) == out.shape.rank == 2": True,
    "keras.backend.int_shape(out)": [None, 4],
    "keras.backend.set_learning_phase(1)": None,
    "float(keras.optimizers.Adam(np.float32(0.5)).learning_rate)": 0.5,
    "float(keras.optimizers.SGD(lr=np.array(0.5), decay=np.float64(0)).learning_rate)": 0.5,
    "out._keras_shape": [None, 4],
    "model.output.shape.as_list()": [None, 4],
    "model.output_shape": [None, 4],
    "model.layers[1].output_shape": [None, 6, 6, 4],
    "model.layers[1].input_shape": [None, 8, 8, 3],
    "model.layers[1].get_output_at(0).shape": [None, 6, 6, 4],
    "model.layers[-1].get_input_shape_at(0)": [None, 6, 6, 4],
    "len(model.layers[1].inbound_nodes)": 1,
    "hasattr(model.layers[1], 'no_such_thing')": False,
    "keras.Model(input=given, output=out).output_shape": [None, 4],
    "keras.metrics.SparseCategoricalAccuracy().reset_states()": None,
    "keras.mixed_precision.Policy('mixed_float16', loss_scale='dynamic').compute_dtype": "float16",
    "keras.backend.set_session(None)": None,
    "model.reset_states()": None,
    "legacy.by_what_they_are({'m': [1], 'val_m': [2]}, [keras.metrics.SparseCategoricalAccuracy(name='m')])": {
        "accuracy": [1],
        "val_accuracy": [2],
    },
    "legacy.by_what_they_are({'m': [1], 'val_m': [2]}, [keras.metrics.TopKCategoricalAccuracy(name='m')])": {"m": [1], "val_m": [2]},
}

FITS = {  # callbacks, and the metrics that are compiled beside them -> what the first of them monitors
    "callbacks.EarlyStopping(monitor='val_acc', patience=5); 'accuracy'": "val_accuracy",
    "callbacks.EarlyStopping(monitor='acc', mode='max'); 'accuracy'": "accuracy",
    "callbacks.EarlyStopping('val_accuracy', mode='max'); 'acc'": "val_acc",
    "callbacks.ReduceLROnPlateau(monitor='val_acc', factor=0.5); 'sparse_categorical_accuracy'": "val_sparse_categorical_accuracy",
    "callbacks.ReduceLROnPlateau(monitor='val_categorical_accuracy', factor=0.5); 'accuracy'": "val_accuracy",
    "callbacks.ModelCheckpoint('best.h5', monitor='val_acc', save_best_only=True); 'accuracy'": "val_accuracy",
    "callbacks.ModelCheckpoint('w-{epoch:02d}-{val_acc:.2f}.hdf5', 'val_acc', save_best_only=True); 'accuracy'": "val_accuracy",
    "callbacks.ModelCheckpoint('w-{epoch:02d}-{val_accuracy:.2f}.keras', 'val_accuracy'); keras.metrics.SparseCategoricalAccuracy(name='acc')": "val_acc",
    "callbacks.EarlyStopping(monitor='val_f1'); 'accuracy'": "val_f1",  # Keras 2 warned and went on
    "Until(); 'accuracy'": "",
}

RATES = {  # an optimizer, however written -> its rate at the start, and after 1000 steps
    "keras.optimizers.Adam(np.float32(0.5))": [0.5, 0.5],
    "keras.optimizers.SGD(learning_rate=np.array(0.25))": [0.25, 0.25],
    "keras.optimizers.RMSprop(lr=np.float64(0.5), rho=np.float32(0.9))": [0.5, 0.5],
    "keras.optimizers.SGD(1)": [1.0, 1.0],
    "keras.optimizers.Adam(tf.Variable(0.5))": [0.5, 0.5],
    "keras.optimizers.AdamW(lr=0.5)": [0.5, 0.5],
    "keras.optimizers.SGD(decay=1e-3)": [0.01, 0.005],
    "keras.optimizers.SGD(np.float32(0.5), decay=np.float32(1e-3))": [0.5, 0.25],
    "keras.optimizers.Adam(keras.optimizers.schedules.PiecewiseConstantDecay(np.array([9]).tolist(), [0.5, np.float32(0.25)]))": [
        0.5,
        0.25,
    ],
    "keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(np.float32(0.5), np.int64(10)))": [0.5, 0.0],
    "keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.5), 'dynamic').inner_optimizer": [0.5, 0.5],
    "tf.keras.mixed_precision.experimental.LossScaleOptimizer(keras.optimizers.SGD(0.5), loss_scale=128).inner_optimizer": [0.5, 0.5],
    "tf.train.experimental.enable_mixed_precision_graph_rewrite(keras.optimizers.SGD(0.5))": [0.5, 0.5],
}

SCRIPT = """
import json, sys
from grader.sandbox.inside import imports, legacy
from grader.sandbox.inside.context import Context

class Writer:
    def send(self, kind, body): pass

context = Context(Writer(), {})
after = imports.AfterImport(context)
legacy.install(context, after)
sys.meta_path.insert(0, after)
sys.meta_path.append(imports.Made(legacy.answerer(context)))
import numpy as np
import tensorflow as tf
import keras
from grader.sandbox.inside import trace

asked = json.loads(sys.argv[1])
MEAN, STD = np.array([125.3, 123.0, 113.9], "float32"), np.array([63.0, 62.1, 66.7], "float32")
IMAGE = np.random.default_rng(0).uniform(100, 150, (8, 8, 3)).astype("float32")

class Halved(keras.layers.Layer):
    def call(self, inputs):
        return inputs / 2.

def imported(code):
    names = {"keras": keras, "tf": tf}
    exec(code, names)
    return names["found"] is eval(asked["imports"][code], {"keras": keras, "tf": tf})

def layers_of(model):
    found = trace.snapshot(model)
    return found["unbuildable"] or found["config"]

def stepped(code):
    x = keras.Input((8, 8, 3))
    return layers_of(keras.Model(x, eval(code)))

def activated(code):
    return layers_of(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation=eval(code))]))

def named(name, thing):
    keras.utils.get_custom_objects().update({name: thing})
    return name

def every(codes, function):
    told = {}
    for code in codes:
        try:
            told[code] = function(code)
        except Exception as error:
            told[code] = f"{type(error).__name__}: {error}"[:300]
    return told

class Until(keras.callbacks.Callback):
    monitor = ""
    def on_epoch_end(self, epoch, logs=None):
        assert logs.get("acc") >= 0 and logs["val_acc"] == logs["val_accuracy"] and logs.get("f1") is None
        if logs.get("acc") > 2:
            self.model.stop_training = True

def fitted(code):
    from keras import callbacks
    made, metric = (eval(part, {"callbacks": callbacks, "keras": keras, "Until": Until}) for part in code.split("; "))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[metric], run_eagerly=True)
    x, y = np.zeros((4, 4)), np.arange(4) % 3
    model.fit(x, y, validation_data=(x, y), callbacks=[made], verbose=0)
    return made.monitor

def rates(code):
    made = eval(code)
    rate = lambda: round(float(made.learning_rate), 4)
    first = rate()
    made.iterations.assign(1000)
    return [first, rate()]

given = keras.Input((8, 8, 3))
out = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(given))
model = keras.Model(given, out)
told = {
    "gone": every(asked["gone"], exec),
    "imports": every(asked["imports"], imported),
    "steps": every(asked["steps"], stepped),
    "functions": every(asked["functions"], activated),
    "fits": every(asked["fits"], fitted),
    "rates": every(asked["rates"], rates),
    "said": every(asked["said"], lambda code: eval(code)),
}
print(json.dumps(told, default=str))
"""


@cache
def told():
    asked = {"gone": GONE, "imports": IMPORTS, "steps": STEPS, "functions": FUNCTIONS, "said": SAID, "fits": FITS, "rates": RATES}
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_USE_LEGACY_KERAS": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONPATH": str(ROOT),
    }
    line = [sys.executable, "-c", SCRIPT, json.dumps(asked)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def layers(config):
    """The layers of a claimed configuration, which has to pass the gate; a sentence where there is none."""
    return canonical(config)["config"]["layers"] if isinstance(config, dict) else config


@pytest.mark.parametrize("code", IMPORTS)
def test_an_old_place_shows_what_is_there_today(code):
    assert told()["imports"][code] is True


@pytest.mark.parametrize("code", GONE)
def test_what_was_never_there_is_no_module(code):
    assert told()["gone"][code].startswith(("ImportError", "ModuleNotFoundError"))


@pytest.mark.parametrize("code", STEPS)
def test_an_operation_is_the_layer_that_does_the_same(code):
    found = layers(told()["steps"][code])
    assert isinstance(found, list), found
    assert [layer["class_name"] for layer in found[1:]] == STEPS[code].split()


@pytest.mark.parametrize("code", FUNCTIONS)
def test_an_activation_is_known_by_what_it_computes(code):
    found = layers(told()["functions"][code])
    assert isinstance(found, list), found
    activation, *behind = FUNCTIONS[code].split()
    said = found[1]["config"]["activation"]
    assert (said if isinstance(said, str) else said["class_name"]) == activation
    assert [layer["class_name"] for layer in found[2:]] == behind


@pytest.mark.parametrize("code", SAID)
def test_tensors_and_layers_still_say_what_they_said(code):
    assert told()["said"][code] == SAID[code]


@pytest.mark.parametrize("code", FITS)
def test_a_callback_monitors_what_the_training_calls_otherwise(code):
    assert told()["fits"][code] == FITS[code]


@pytest.mark.parametrize("code", RATES)
def test_an_optimizer_takes_any_number(code):
    assert told()["rates"][code] == RATES[code]
