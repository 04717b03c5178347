"""What the student's machine has and this one lacks ends no cell, costs no points, and is told."""

import pytest
from harness import grade_notebook, small_store, statuses, warm_box1

from grader import dataset
from grader.records import Cell
from grader.sandbox import Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook

MODEL = """
import keras
(x, y), _ = keras.datasets.cifar10.load_data()
model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
"""
slow = pytest.mark.slow


def graded(*sources):
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in sources]
    return grade_notebook({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}, store=small_store())


def ran(*sources, limits=Limits()):  # noqa: B008 (frozen)
    """The record of a notebook with these cells, run in a box."""
    cells = tuple(Cell(index=index, kind="code", source=source.strip("\n")) for index, source in enumerate(sources))
    data = dataset.ensure(small_store()).folder
    with start_notebook(cells, warm_box1(data), limits, data) as running:
        return collect_notebook(running, cells, limits)


def told(record):
    return [(cell.status, cell.error and (cell.error.type, cell.error.line)) for cell in record.cells]


def notes(record, kind):
    return [note.text for note in record.notes if note.kind == kind]


# ------------------------------------------------------------------ packages


@slow
def test_a_cell_goes_on_behind_the_import():
    report = graded(
        'print("once")\nimport cv2_, os\nimport torch_.nn as nn; import albumentations_\nfrom torchvision_ import transforms as T\n1 / 0',
        "import wandb\nfrom wandb.integration.keras import WandbCallback\n"
        'with wandb.init(project="x") as run:\n    run.log({"a": 1})\nfor _ in wandb.Api().runs():\n    pass\nwandb.config.rate = 0.1',
        "cv2_.imread('x')",
        "import cv2_\nclass Net(nn.Module):\n    pass\nNet().x",
        "try:\n    import skimage_\nexcept ImportError:\n    skimage_ = None\nassert skimage_ is None",
        "def load():\n    import pytesseract_\n    return 3\n\nassert load() == 3",
        "import importlib\nimportlib.import_module('another_')\nimport keras.no_such_module",
        MODEL,
    )
    missing = "ModuleNotFoundError"
    assert told(report) == [
        ("error", ("ZeroDivisionError", 5)),
        ("ok", None),
        ("ok", None),
        ("error", (missing, 2)),
        ("ok", None),
        ("ok", None),
        ("error", (missing, 2)),
        ("ok", None),
    ]
    noted = [flag.message for flag in report.flags if flag.id == "missing_package"]
    assert noted == [
        f"The sandbox noted: the package {name} is not available: the cell continues without it."
        for name in ("cv2_", "torch_", "albumentations_")
    ]
    assert statuses(report)["model.built"] == "pass"


@slow
@pytest.mark.parametrize(
    ("lost", "cell"),
    [
        ("import hub_\nimport keras\nmodel = keras.Sequential([hub_.KerasLayer('x'), keras.layers.Dense(10)])", 0),
        ("from helper import build\nmodel = build()\nmodel.fit(1)", 0),
        ("from course_utils import *\nmodel = build_model()", 0),
        ("def build():\n    import keras\n    w = open('w.bin').read()\n    return keras.Sequential(w)\nmodel = build()", 0),
        ("%run helpers.ipynb\nmodel = build_model()", 0),
        ("import keras\nmodel = keras.models.load_model('/content/drive/MyDrive/m.h5')", 0),
    ],
)
def test_a_model_lost_for_what_is_not_there_is_for_a_person(lost, cell):
    found = graded(lost, "import keras\nimages = keras.datasets.cifar10.load_data()\nlayer = keras.layers.Conv2D(3, 3)")
    line = next(line for line in found.criteria if line.id == "model.built")
    assert (line.status.value, found.status.value) == ("error", "needs_review")
    assert f"cell {cell} needs something that is not available while grading" in line.message


@slow
def test_a_misspelt_package_is_the_students_mistake_and_a_package_that_only_prepares_excuses_nothing():
    found = graded("import tensorfow as tf\ntf.keras.datasets.cifar10.load_data()\ntf.keras.Sequential()")
    assert statuses(found)["model.built"] == "fail"
    assert found.cells[0].error.line == 1
    assert "No module named 'tensorfow'" in found.cells[0].error.message
    found = graded(
        "import cv2_\nshown = cv2_.cvtColor(1, cv2_.GRAY)\nown = open('my_cat.jpg').read()" + MODEL, "model.predict(own)\nafter = 1"
    )
    assert [cell.status for cell in found.cells] == ["error", "error"]
    assert (statuses(found)["model.built"], statuses(found)["train.protocol"]) == ("pass", "fail")


@slow
def test_images_made_by_a_missing_package_leave_training_undecided():
    found = graded(
        "import cv2_\nimport numpy as np"
        + MODEL
        + "x = np.array([cv2_.resize(i, (8, 8)) for i in x])\nhistory = model.fit(x, y)\nafter = 1"
    )
    assert told(found) == [("error", ("ModuleNotFoundError", 7))]
    assert {key: statuses(found)[key] for key in ("model.built", "train.protocol", "curves.plotted")} == {
        "model.built": "pass",
        "train.protocol": "error",
        "curves.plotted": "error",
    }


@slow
def test_a_builder_that_reads_weights_returns_the_network_that_it_built():
    builder = "def build():\n    net = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])\n    {}\n    return net\n"
    lines = {
        "a": "import numpy as np\n    w = np.load('w.npy')\n    net.set_weights(w)",
        "b": "import pickle\n    with open('w.pkl', 'rb') as f:\n        w = pickle.load(f)\n    net.set_weights(w)",
        "c": "import h5py\n    f = h5py.File('w.h5', 'r')\n    for layer in net.layers:\n        layer.set_weights(f[layer.name])",
        "d": "import tensorflow as tf\n    tf.train.Checkpoint(model=net).restore('ck-1').expect_partial()",
    }
    record = ran(
        "import keras",
        *(f"{builder.format(line)}{name} = build()" for name, line in lines.items()),
        "print([m.count_params() for m in (a, b, c, d)])",
    )
    assert record.cells[-1].error is None
    assert "[30730, 30730, 30730, 30730]" in str(record.cells[-1].outputs)
    assert {note.kind for note in record.notes} == {"missing"}


@slow
def test_a_helper_that_is_given_the_history_leaves_the_curves_undecided_and_nothing_else():
    found = statuses(graded("from helpers import plot_history" + MODEL + "history = model.fit(x, y)", "plot_history(history)"))
    assert (found["curves.plotted"], found["train.protocol"], found["dropout.placed"]) == ("error", "error", "fail")
    found = statuses(graded("import plotly_ as px" + MODEL + "h = model.fit(x, y, validation_split=0.1)", "px.line(y=h.history['loss'])"))
    assert (found["curves.plotted"], found["train.protocol"], found["dropout.placed"]) == ("error", "pass", "fail")


@slow
def test_metrics_and_callbacks_that_are_not_there_are_left_out():
    compiled = 'model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", tfa_.F1Score()])\n'
    found = statuses(
        graded(
            "import tfa_, livelossplot_" + MODEL + compiled + "h = model.fit(x, y, validation_split=0.1, callbacks=[livelossplot_.Plot()])"
        )
    )
    assert {key: found[key] for key in ("model.built", "train.loss", "train.protocol", "curves.plotted", "dropout.placed")} == {
        "model.built": "pass",
        "train.loss": "pass",
        "train.protocol": "pass",
        "curves.plotted": "error",
        "dropout.placed": "fail",
    }


@slow
def test_what_a_tracker_was_told_it_still_knows():
    report = graded(
        'import wandb\nprint(wandb.__version__)\nrun = wandb.init(project="x", config={"rate": 0.01, "epochs": 3})\nconfig = wandb.config\n'
        'config.batch = 64\nconfig["size"] = 2\n'
        'assert (config.rate, run.config["epochs"], wandb.config.batch, config["size"]) == (0.01, 3, 64, 2)\n'
        'wandb.log({"loss": 1.0})\nfor _ in wandb.sweep({}):\n    pass',
        "float(wandb.config.never_given)\nafter = 1",
        MODEL,
    )
    assert told(report) == [("ok", None), ("error", ("ModuleNotFoundError", 1)), ("ok", None)]


@slow
def test_a_guarded_statement_is_still_stopped_when_the_time_is_up():
    record = ran("def f():\n    print(sum(1 for _ in iter(int, 1)))\n    return 1\nf()", "a = 1", limits=Limits(cell_s=2))
    assert [cell.status for cell in record.cells] == ["timeout", "ok"]


# ------------------------------------------------------------------ magics


@slow
def test_magics_that_only_concern_display_or_installing_end_no_cell():
    record = ran(
        "% matplotlib inline\n%  load_ext tensorboard\n%matplotlib notebook\n%config InlineBackend.figure_format = 'retina'\n%foo bar\n"
        "%tensorflow_version 2.x\n! pip install x\n%pip install x\n%cd /nowhere\na = (7\n  % 4)\nassert a == 3",
        "%%  time\nb = 2\nprint(b.nothing)\nc = 3",
        "%%capture out\nd = 4",
        "%%time e = 5\nf = e + 1",
        "%%javascript\nalert(1)",
        "%%foo\nnot python",
        "%% bash\nls",
        "assert (b, c, d, e, f) == (2, 3, 4, 5, 6)",
        "%%time\n1 / 0",
    )
    assert told(record) == [("ok", None), ("error", ("AttributeError", 3)), *[("ok", None)] * 6, ("error", ("ZeroDivisionError", 2))]


# ------------------------------------------------------------------ files


@slow
def test_weights_folders_and_downloads_that_are_not_here_end_nothing():
    record = ran(
        MODEL,
        "def build():\n    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))\n"
        "    base.load_weights(keras.utils.get_file('w.h5', 'https://example.com/w.h5'))\n    model.load_weights('best.weights.h5')\n    return base\n"
        "base = build()\nassert len(base.layers) == 19",
        "from keras.callbacks import *\n"
        "h = model.fit(x, y, validation_split=0.1, epochs=4, callbacks=[ModelCheckpoint('/kaggle/working/best.h5'), CSVLogger('/nowhere/log.csv'),\n"
        "    ModelCheckpoint('drive/x/e-{epoch:02d}.weights.h5', save_weights_only=True), TensorBoard('/nowhere/t'), BackupAndRestore('/nowhere/b')])\n"
        "assert len(h.history['loss']) == 4\nassert keras.models.load_model('/kaggle/working/best.h5').count_params() == model.count_params()",
        "import json, pickle\nimport numpy as np\nimport matplotlib.pyplot as plt\nmodel.save('/nowhere/m.keras')\nmodel.save('/content/drive/MyDrive/a/m.h5')\n"
        "def save():\n    with open('/home/me/h.json', 'w') as file:\n        json.dump(h.history, file)\n    np.save('/nowhere/x.npy', np.zeros(2))\n"
        "    pickle.dump(3, open('/nowhere/x.pkl', 'wb'))\n    plt.plot(h.history['loss'])\n    plt.savefig('/nowhere/plot.png')\nsave()\n"
        "assert len(json.load(open('/home/me/h.json'))['loss']) == 4",
        "from IPython.display import Image\nkeras.utils.plot_model(model, to_file='m.png')\nImage('m.png')\nplt.imshow(plt.imread('cat.png'))\na = 1",
        "from google.colab import drive, files, userdata\nfrom google.colab.patches import cv2_imshow\ndrive.mount('/content/drive')\ncv2_imshow(3)\n"
        "files.download('m.keras')\nup = files.upload()\nfor name in up:\n    print(name)\nassert userdata.get('KEY') == ''\nb = 2",
        "import pandas as pd\ndf = pd.read_csv('https://example.com/x.csv')\nrows = df[df.label == 3].to_numpy() / 255\nbest = keras.models.load_model('m2.h5')\n"
        "model = keras.models.load_model('m3.h5')\nassert isinstance(model, keras.Model)\nbest.evaluate(x, y)\nassert (a, b) == (1, 2)",
    )
    missing = "FileNotFoundError"
    assert told(record) == [("ok", None)] * 4 + [("error", (missing, 4)), ("error", (missing, 7)), ("error", ("URLError", 2))]
    assert [fit.error for fit in record.fits] == [None]
    assert [len(plot.curves) for plot in record.plots][:1] == [1]
    assert (len(notes(record, "unknown")), len(notes(record, "unseen"))) == (0, 2)
    assert any("best.weights.h5" in text for text in notes(record, "missing"))


ROADS = {
    "pickled batches": "import pickle\ndef unpickle(name):\n    with open(name, 'rb') as file:\n        return pickle.load(file, encoding='bytes')\n"
    "parts = [unpickle(f'/content/drive/MyDrive/cifar-10-batches-py/data_batch_{i}') for i in range(1, 6)]\n"
    "x = np.concatenate([part[b'data'] for part in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)\n"
    "y = np.concatenate([part[b'labels'] for part in parts])\nassert unpickle('batches.meta')[b'label_names'][3] == b'cat'",
    "get_file": "import os, pickle\npath = keras.utils.get_file('cifar-10-batches-py', 'https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz', untar=True)\n"
    "part = pickle.load(open(os.path.join(path, 'cifar-10-batches-py', 'data_batch_1'), 'rb'), encoding='latin1')\n"
    "x, y = part['data'].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(part['labels'])",
    "urlretrieve": "import os, pickle, tarfile, urllib.request\nurllib.request.urlretrieve('https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz', 'c.tar.gz')\n"
    "tarfile.open('c.tar.gz').extractall('there', filter='data')\npart = pickle.load(open('there/cifar-10-batches-py/data_batch_2', 'rb'), encoding='latin1')\n"
    "x, y = part['data'].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(part['labels'])\nassert len(os.listdir('there/cifar-10-batches-py')) == 7",
    "wget": "!wget https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz && tar xzf cifar-10-python.tar.gz\nimport os, pickle\n"
    "part = pickle.load(open(os.path.join('cifar-10-batches-py', sorted(os.listdir('cifar-10-batches-py'))[1]), 'rb'), encoding='latin1')\n"
    "x, y = part['data'].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(part['labels'])",
    "npz": "kept = np.load('/content/drive/MyDrive/cifar10.npz')\nx, y = kept['x_train'], kept['y_train']",
    "npy": "x, y = np.load('data/CIFAR10/X_train.npy'), np.load('data/CIFAR10/y_train.npy')",
    "torchvision": "from torchvision import datasets, transforms\ntrain = datasets.CIFAR10('data', train=True, download=True, transform=transforms.ToTensor())\n"
    "x, y = train.data, np.array(train.targets)",
    "datasets": "from datasets import load_dataset\nkept = load_dataset('uoft-cs/cifar10')\nx, y = np.array(kept['train']['img']), np.array(kept['train']['label'])",
    "tfds": "import tensorflow_datasets as tfds\nx, y = tfds.as_numpy(tfds.load('cifar10', split='train', batch_size=-1, as_supervised=True))",
}


@slow
def test_cifar10_by_another_road_is_cifar10():
    sources = [f"import numpy as np\n{source}\nmodel.fit(np.asarray(x) / 255.0, y)" for source in ROADS.values()]
    record = ran(MODEL + "del x, y", *sources)
    assert [cell.error for cell in record.cells] == [None] * len(record.cells)
    found = [(fit.train.dataset, fit.train.split, fit.train.recipe.kind, fit.train.labels.agreement) for fit in record.fits]
    assert found == [("cifar10", "train", "affine", 1.0)] * len(ROADS)
    assert "cifar10" in record.loads


# ------------------------------------------------------------------ pretrained networks


@slow
def test_a_published_network_is_built_without_its_weights_by_every_road():
    record = ran(
        "import tensorflow as tf\nfrom tensorflow.keras.applications.mobilenet_v2 import MobileNetV2\nfrom keras.applications.resnet import ResNet50\n"
        "import keras\nsize = dict(include_top=False, input_shape=(32, 32, 3))\na = MobileNetV2(weights='imagenet', **size)\nb = ResNet50(**size)",
        "c = tf.keras.applications.vgg16.VGG16(False, 'imagenet', input_shape=(32, 32, 3))\nd = keras.applications.VGG16(weights='drive/vgg.h5', **size)",
        "from keras_applications.vgg16 import VGG16\nfrom keras.applications.vgg16 import preprocess_input\ne = VGG16(weights='imagenet', **size)",
        "from keras.src.applications.vgg16 import VGG16 as inner\nf = inner(weights=None, **size)",
    )
    assert [cell.error for cell in record.cells] == [None] * 4
    found = {name: model.pretrained for model in record.models for name in model.names}
    assert found == {
        "a": "MobileNetV2, weights=imagenet",
        "b": "ResNet50, weights=imagenet",
        "c": "VGG16, weights=imagenet",
        "d": "VGG16, weights=drive/vgg.h5",
        "e": "VGG16, weights=imagenet",
        "f": "VGG16, weights=None",
    }
