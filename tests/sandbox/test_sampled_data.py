"""Which images and labels a training call is said to have got: rows that nobody can foresee, of several batches, and how many of the validation images are rows of the training images."""

from functools import cache

import pytest
from harness import small_store, warm_box1

from grader import dataset
from grader.records import Cell
from grader.sandbox import Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook

HEAD = """
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from keras.datasets import cifar10
from tensorflow.keras.preprocessing.image import ImageDataGenerator

(x, y), (x_test, y_test) = cifar10.load_data()
raw, x, x_test = x, (x / 255.0).astype("float32"), (x_test / 255.0).astype("float32")
order = np.random.default_rng(5).permutation(len(x))
tf_slices = tf.data.Dataset.from_tensor_slices
model = keras.Sequential([keras.Input((32, 32, 3)), layers.Flatten(), layers.Dense(10)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))


class Batches(keras.utils.PyDataset):
    def __init__(self, images, labels, good=10**9):
        super().__init__()
        self.images, self.labels, self.good = images, labels, good

    def __len__(self):
        return len(self.images) // 100

    def __getitem__(self, index):
        rows = slice(100 * index, 100 * index + 100)
        return self.images[rows] * (1.0 if index < self.good else 255.0), self.labels[rows]


def batches(images, labels, good=10**9, count=10**9):
    taken.append(0)
    while taken[-1] < count:
        rows = slice(100 * taken[-1] % 5000, 100 * taken[-1] % 5000 + 100)
        taken[-1] += 1
        yield images[rows] * (1.0 if taken[-1] <= good else 255.0), labels[rows]


taken = []
"""
CALLS = {
    # name: (lines before, arguments of fit)
    "whole": ("", "x, y, validation_data=(x_test, y_test)"),
    "rows of it": ("", "x, y, validation_data=(x[:500], y[:500])"),
    "some rows of it": ("", "x, y, validation_data=(x[order[:500]], y[order[:500]])"),
    "raw rows of it": ("", "x, y, validation_data=(raw[:500], y[:500])"),
    "held out": ("", "x[500:], y[500:], validation_data=(x[:500], y[:500])"),
    "shuffled, held out": ("", "x[order[500:]], y[order[500:]], validation_data=(x[order[:500]], y[order[:500]])"),
    "brighter copies": (
        "more = np.concatenate([x, x * 1.1 + 0.1])[np.r_[order, order + len(x)]]; ys = np.concatenate([y, y])[np.r_[order, order + len(x)]]",
        "more[500:], ys[500:], validation_data=(more[:500], ys[:500])",
    ),
    "copies and a split": ("twice = np.concatenate([x, x]); ys = np.concatenate([y, y])", "twice, ys, validation_split=0.1"),
    "a split": ("", "x, y, validation_split=0.1"),
    "both sets": ("both = np.concatenate([x, x_test]); ys = np.concatenate([y, y_test])", "both, ys, validation_data=(x_test, y_test)"),
    "a few test images": ("mixed = x.copy(); mixed[::10] = x_test[:500]", "mixed, y, validation_data=(x_test[500:], y_test[500:])"),
    "tf.data of it": ("", "tf_slices((x, y)).shuffle(5000).batch(100), validation_data=tf_slices((x[:500], y[:500])).batch(100)"),
    "tf.data, taken and skipped": ("sets = tf_slices((x, y))", "sets.skip(500).batch(100), validation_data=sets.take(500).batch(100)"),
    "the same tf.data": ("sets = tf_slices((x, y)).skip(5).batch(100)", "sets, validation_data=sets"),
    "generator of it": ("", "ImageDataGenerator().flow(x, y), validation_data=ImageDataGenerator().flow(x[:500], y[:500])"),
    "Sequence": ("", "Batches(x, y), validation_data=Batches(x_test, y_test)"),
    "Sequence that changes": ("", "Batches(x, y, 1)"),
    "generator that changes": ("", "batches(x, y, 1), steps_per_epoch=50"),
    "tf.data that changes": (
        "",
        "tf_slices((x, y)).batch(100).enumerate().map(lambda i, b: (tf.cond(i < 1, lambda: b[0], lambda: b[0] * 255.0), b[1]))",
    ),
    "standardised by batch": ("", "tf_slices((x, y)).batch(100).map(lambda a, b: ((a - tf.reduce_mean(a)) / tf.math.reduce_std(a), b))"),
    "generator of two images": ("", "batches(x[:2], y[:2], count=1)"),
    "generator, one step": ("", "batches(x, y), steps_per_epoch=1"),
    "endless generator": ("", "batches(x, y)"),
    "labels of others": ("", "x, y[order]"),
    "own array class": (
        "class Seen(np.ndarray):\n    def __getitem__(self, key):\n        print('ASKED')\n        return np.asarray(self)[key]",
        "x.view(Seen), y",
    ),
}


@cache
def record():
    """All calls in one run."""
    folder = dataset.ensure(small_store()).folder
    code = [HEAD, *(f"{lines}\nmodel.fit({arguments})" for lines, arguments in CALLS.values()), "print(taken)"]
    cells = tuple(Cell(index=at, kind="code", source=source) for at, source in enumerate(code))
    with start_notebook(cells, warm_box1(folder), Limits(), folder) as running:
        run = collect_notebook(running, cells, Limits())
    assert [(cell.index, cell.error) for cell in run.cells if cell.error] == []
    assert [note for note in run.notes if note.kind == "grader"] == []
    return run


def call(name):
    return next(fit for fit in record().fits if fit.cell == 1 + list(CALLS).index(name))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("rows of it", 1, 1), ("some rows of it", 1, 1), ("raw rows of it", 1, 1), ("held out", 0, 0.05), ("shuffled, held out", 0, 0.05),
        ("brighter copies", 0.8, 1), ("copies and a split", 1, 1), ("both sets", 1, 1), ("a few test images", 0, 0.05), ("tf.data of it", 1, 1),
        ("tf.data, taken and skipped", 0, 0.05), ("the same tf.data", 1, 1), ("generator of it", 1, 1),
    ],
)  # fmt: skip
def test_the_share_of_validation_images_that_are_training_images(name, low, high):
    assert low <= call(name).shared <= high
    assert call(name).validates_on_training is (low > 0.5)


@pytest.mark.parametrize("name", ["whole", "a split", "Sequence", "Sequence that changes"])
def test_other_sets_are_not_compared(name):
    assert call(name).shared is None


@pytest.mark.parametrize(
    ("name", "split"),
    [("whole", "train"), ("shuffled, held out", "train"), ("both sets", "mixed"), ("a few test images", "mixed"), ("Sequence", "train")],
)
def test_which_images_they_are(name, split):
    assert (call(name).train.dataset, call(name).train.split) == ("cifar10", split)


@pytest.mark.parametrize("name", ["Sequence that changes", "generator that changes", "tf.data that changes"])
def test_images_that_are_good_in_the_first_batch_only_are_seen(name):
    train = call(name).train
    assert train.recipe.kind == "unknown"
    assert train.maximum > 200


@pytest.mark.parametrize("name", ["Sequence", "standardised by batch", "endless generator", "tf.data of it"])
def test_images_that_are_alike_in_all_batches_have_one_recipe(name):
    assert call(name).train.recipe.kind == "affine"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("generator of two images", 2),
        ("generator, one step", 100),
        ("endless generator", None),
        ("Sequence", 5000),
        ("tf.data of it", 5000),
    ],
)
def test_how_many_images_an_epoch_has(name, rows):
    assert call(name).rows == rows


def test_a_generator_gives_no_more_batches_than_the_call_takes():
    printed = record().cells[-1].outputs[0].data
    assert printed.strip() == "[4, 1, 1, 4]"  # the one that changes, two images, one step, endless


def test_all_labels_count_where_the_images_stand_in_their_order():
    agreement = call("labels of others").train.labels.agreement
    assert agreement * 5000 == pytest.approx(round(agreement * 5000), abs=1e-6)
    assert 0.05 < agreement < 0.15


def test_a_class_of_arrays_is_not_asked_for_the_rows_that_are_looked_at():
    cell = record().cells[1 + list(CALLS).index("own array class")]
    assert "".join(output.data for output in cell.outputs).count("ASKED") <= 2  # by the small batch itself
