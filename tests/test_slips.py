"""Honest habits and slips raise no alert and cost nothing: libraries' names overwritten by mistake, output redirected, seeds, logging, looking at one's own code."""

import json

import pytest
from harness import grade_notebook, small_store

from grader.evidence import SUSPICIOUS

LOAD = """import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train.astype("float32") / 255, x_test.astype("float32") / 255"""
MODEL = """model = keras.Sequential([layers.Input((32, 32, 3)),
    *[layers.Conv2D(n, 3, strides=s, padding="same", activation="relu") for n, s in ((48, 1), (96, 2), (192, 2), (192, 1))],
    layers.Conv2D(192, 1, activation="relu"), layers.Conv2D(10, 1), layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])"""
FIT = "history = model.fit(x_train, y_train, validation_data=(x_test, y_test), epochs=30, batch_size=128)"
PLOT = """import matplotlib.pyplot as plt
plt.plot(history.history["accuracy"])
plt.plot(history.history["val_accuracy"])
plt.show()"""

SLIPS = {
    "overwritten": [
        "np.random.seed = 42",
        "tf.random.set_seed = 1",
        "import random, time\nrandom.seed = 0\ntime.clock = time.time",
        "import warnings\nwarnings.filterwarnings = lambda *a, **k: None",
        "import matplotlib.pyplot as plt\nplt.title = 'Accuracy'\nplt.xlabel = 'epoch'",
        "import functools\nkeras.layers.Conv2D = functools.partial(keras.layers.Conv2D, padding='same')",
    ],
    "old names given back": [
        "np.float = float\nnp.int = int\nnp.bool = bool\nnp.object = object",
        "import collections, collections.abc\ncollections.Iterable = collections.abc.Iterable",
        "import functools\nnp.load = functools.partial(np.load, allow_pickle=True)",
        "keras.Model.predict_classes = lambda self, x: self.predict(x).argmax(-1)",
        "keras.Model.fit_generator = lambda self, g, **k: self.fit(g, **k)",
        "keras.backend.set_session = lambda *_: None\nkeras.utils.np_utils = keras.utils",
    ],
    "output": [
        "import sys\nsys.stdout = open('log.txt', 'w')\nprint('to a file')",
        "import builtins, functools\nbuiltins.print = functools.partial(print, flush=True)",
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as kept:\n    print('kept')",
        "import sys\nsys.excepthook = lambda *a: None\nsys.displayhook = print",
        "%matplotlib inline\n%config InlineBackend.figure_format = 'retina'\nimport matplotlib.pyplot as plt\nplt.rcParams.update({'figure.figsize': (8, 4)})",
        "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = 'all'",
    ],
    "logging in a callback": [
        (
            "import logging\nlogging.basicConfig(level=logging.INFO, format='%(funcName)s %(message)s')\nlog = logging.getLogger('mine')\ntf.get_logger().setLevel('ERROR')\n"
            "class Told(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n        log.info('epoch %d', epoch)\n        logging.warning('w')\n"
            "        import traceback\n        try:\n            1 / 0\n        except ZeroDivisionError:\n            traceback.print_exc()\n            log.exception('x')\n"
            "keras.Sequential([layers.Input((2,)), layers.Dense(1)])\nimport warnings\nwarnings.warn('mine')"
        ),
        "small = keras.Sequential([layers.Input((2,)), layers.Dense(1)])\nsmall.compile('sgd', 'mse')\nsmall.fit(np.zeros((4, 2)), np.zeros(4), callbacks=[Told()], verbose=0)",
    ],
    "looking at code": [
        "import inspect\nclass Net(keras.Model):\n    def call(self, x):\n        return x\nprint(inspect.getsource(Net.call))\nprint(inspect.signature(keras.Model.fit), inspect.getsource(keras.layers.Dense)[:80])",
        "print(inspect.getsource(keras.Model.fit)[:80])\nhelp(keras.Model.fit)\nprint(keras.datasets.cifar10.load_data.__doc__)",
        "import os, sys\ntry:\n    undefined_name\nexcept Exception as e:\n    kind, value, tb = sys.exc_info()\n    print(kind, os.path.split(tb.tb_frame.f_code.co_filename)[1], tb.tb_lineno)",
        "def where():\n    return sys._getframe().f_code.co_name, inspect.currentframe().f_back.f_lineno, inspect.stack()[0].function\nwhere()",
        "import gc\ngc.collect()\nsys.setrecursionlimit(10000)",
        "def numbers():\n    yield 1\ng = numbers()\nprint(inspect.getgeneratorstate(g), dir(keras.layers), vars(keras.Model).keys())",
    ],
    "aliases and classes of one's own": [
        "import functools\nConv2D = functools.partial(layers.Conv2D, padding='same')\nFC = keras.layers.Dense\nkeras.layers.FC = keras.layers.Dense",
        "class Dense(layers.Dense):\n    pass\nclass Adam(keras.optimizers.Adam):\n    def get_config(self):\n        return {**super().get_config(), 'mine': 1}",
        "opt = keras.optimizers.Adam\nopt = opt()\nopt.learning_rate = 0.01\nopt.name = 'mine'",
        "keras.utils.get_custom_objects().update({'swish2': lambda x: x * tf.sigmoid(x)})\n@keras.saving.register_keras_serializable()\ndef mine(x):\n    return x",
        "class Timed(keras.callbacks.Callback):\n    def on_epoch_begin(self, epoch, logs=None):\n        import time\n        self.begun = time.time()\ndel keras.preprocessing",
        "from collections import namedtuple\nfrom dataclasses import dataclass\nPoint = namedtuple('Point', 'x y')\n@dataclass\nclass Settings:\n    rate: float = 0.1\nimport copy, pickle\ncopy.deepcopy(Settings()), pickle.dumps(Point)",
    ],
    "profiling, pickling, showing": [
        "import cProfile, pstats\npr = cProfile.Profile()\npr.enable()\nsum(range(1000))\npr.disable()\npstats.Stats(pr).print_stats(3)\nwith cProfile.Profile():\n    len('')",
        "import pickle, cloudpickle\nprint(pickle.loads(cloudpickle.dumps(lambda x: x + 1))(2))",
        "def summary(self, *a, old=keras.Model.summary, **k):\n    return old(self, *a, line_length=100, **k)\nkeras.Model.summary = summary",
        "tf.image.resize(tf.zeros((1, 4, 4, 3)), (8, 8)).shape, tf.function(lambda x: tf.reduce_mean(x))(tf.ones(3))",
        "iterator = iter(tf.data.Dataset.range(3))\nnext(iterator), list(iterator), len(list(tf.data.Dataset.range(9)))",
        "layer = layers.Dense(2)\nlayer(tf.zeros((1, 2)))\nx = keras.Input((3,))\nx.shape.is_fully_defined(), x.get_shape().as_list()",
    ],
    "settings": [
        "keras.backend.set_epsilon(1e-6)\nkeras.backend.set_floatx('float32')\nkeras.backend.clear_session()\nkeras.backend.set_image_data_format('channels_last')",
        "import random, os\nrandom.seed(1)\nnp.random.seed(1)\ntf.random.set_seed(1)\nkeras.utils.set_random_seed(1)\nos.environ['PYTHONHASHSEED'] = '0'",
        "tf.config.run_functions_eagerly(True)\ntf.config.experimental.enable_op_determinism()\nprint(tf.config.list_physical_devices())",
        "np.set_printoptions(precision=3)\nnp.seterr(all='ignore')\nimport pandas as pd\npd.set_option('display.max_rows', 10)",
        "import threading\nthread = threading.Thread(target=lambda: sum(range(1000)))\nthread.start()\nthread.join()",
        "%load_ext autoreload\n%autoreload 2\n%env SOME=1\nimport psutil, platform\nprint(psutil.Process().memory_info().rss > 0, platform.platform())",
    ],
}


def notebook(cells):
    return {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
            for source in (LOAD, *cells, MODEL, FIT, PLOT)
        ],
    }


def graded(cells):
    report = grade_notebook(json.loads(json.dumps(notebook(cells))), store=small_store())
    return report, {line.id: (line.status.value, line.earned) for line in report.criteria}


def test_there_are_more_than_thirty_slips():
    assert sum(map(len, SLIPS.values())) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", SLIPS)
def test_slips_cost_nothing_and_raise_no_alert(kind):
    report, found = graded(SLIPS[kind])
    assert (report.status.value, report.reason) == ("graded", "")
    assert not [flag for flag in report.flags if flag.id in SUSPICIOUS or flag.severity == "alert"]
    assert all(found[name][0] == "pass" for name in ("model.built", "model.head", "data.normalized", "train.protocol", "curves.plotted")), (
        found
    )


@pytest.mark.slow
def test_an_overwritten_function_is_told_to_the_staff():
    report, _ = graded(SLIPS["overwritten"])
    told = " ".join(flag.message for flag in report.flags if flag.id == "overwritten")
    for name in (
        "numpy.random.seed",
        "tensorflow.random.set_seed",
        "warnings.filterwarnings",
        "matplotlib.pyplot.title",
        "keras.layers.Conv2D",
    ):
        assert f"overwrites {name}:" in told
