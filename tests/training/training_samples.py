"""Plain data for the tests of the training room: a small specification, bands, and a trainer that plays recorded courses back."""

from dataclasses import replace

from grader.records import BandPoint, Checkpoint, HeldOut
from grader.training import transform as t
from grader.training.bands import Bands
from grader.training.specification import Specification


def convolution(filters, *, name, activation="relu", strides=1, kernel=3):
    return t.stock(
        "Conv2D",
        name=name,
        filters=filters,
        kernel_size=[kernel, kernel],
        strides=[strides, strides],
        padding="same",
        activation=activation,
        kernel_initializer=t.initializer("GlorotUniform", seed=None),
    )


def sequential(*layers):
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": list(layers)},
        "registered_name": None,
    }


def specification(**changes):
    config = sequential(
        t.stock("InputLayer", batch_shape=[None, 32, 32, 3], name="input"),
        convolution(8, name="a"),
        convolution(8, name="b", strides=2),
        convolution(10, name="scores", activation="linear", kernel=1),
        t.stock("GlobalAveragePooling2D", name="gap"),
        t.stock("Dense", name="dense", units=10, activation="softmax", kernel_initializer=t.initializer("GlorotUniform", seed=None)),
    )
    base = Specification(
        config=config,
        input_shape=(32, 32, 3),
        optimizer={"class_name": "Adam", "config": {"learning_rate": 0.001}},
        loss={"name": "sparse_categorical_crossentropy", "from_logits": False},
        recipe={
            "kind": "affine",
            "scale": [1 / 255],
            "offset": [0.0],
            "resized": None,
            "channels_first": False,
            "flattened": False,
            "grayscale": False,
        },
        labels={"encoding": "integer", "tail": [1], "wrong": 0.0},
        batch_size=128,
    )
    return replace(base, **changes)


def with_relu_scores(given):
    return t.edited(given, t.set_activation("relu"), lambda layer: layer["config"].get("name") == "scores")


BAND = tuple(
    BandPoint(images=images, low=low, median=low + 0.05, high=low + 0.1, passes=0.15, zero=0.12)
    for images, low in ((3072, 0.12), (6400, 0.15), (9600, 0.17), (12800, 0.18), (16000, 0.2), (19200, 0.21))
)


def bands():
    return Bands(dataset="cifar10", roles={"base": BAND}, sha256="0" * 64, rates={})


LIVING = (("a/kernel", 0.1), ("scores/kernel", 0.2), ("dense/kernel", 0.3))
VANISHED = (("a/kernel", 0.0), ("scores/kernel", 0.0), ("dense/kernel", 0.0))
SILENT = (("scores", 1.0, 10),)


def checkpoint(images, accuracy=None, *, loss=None, gradients=LIVING, silent=None, settled=None, finite=True, batch=128, held=1000):
    """`loss`: the held-back crossentropy; unless given, it falls as the accuracy rises."""
    loss = 2.3026 - (accuracy - 0.1) if loss is None and accuracy is not None else loss
    return Checkpoint(
        step=images // batch,
        images=images,
        train_loss=2.3 if finite else None,
        train_accuracy=0.1,
        finite=finite,
        gradients=gradients,
        seconds=1.0,
        held=None if accuracy is None else HeldOut(loss=loss, accuracy=accuracy, images=held),
        silent=silent,
        settled=tuple(name for name, share, _ in silent or () if share == 1.0) if settled is None else settled,
    )


class Recorded:
    """A trainer that plays courses back. `course(specification, seed)` names one: learns | dies | stuck | late | between | lucky."""

    def __init__(self, course):
        self._course = course
        self.opened = []
        self.images = 0

    def open(self, specification, *, seed, precision, most_steps, deadline=None):
        self._now = self._course(specification, seed)
        self._step = 0
        self.batch = specification.batch_size
        self.opened.append((self._now, seed))

    def advance(self, steps, *, evaluate=0, probe=False, deadline=None):
        self._step += steps
        images = self._step * self.batch
        self.images += steps * self.batch
        dead = self._now == "dies" and images >= 3584
        accuracy = {"learns": 0.1 + images / 100_000, "late": 0.1 if images < 15_000 else 0.18, "between": 0.13, "lucky": 0.3}.get(
            self._now, 0.1
        )
        return replace(
            checkpoint(
                images,
                accuracy if evaluate else None,
                loss=2.3025 if self._now == "lucky" else None,
                gradients=VANISHED if dead else LIVING,
                silent=(SILENT if dead else (("scores", 0.2, 10),)) if probe else None,
                batch=self.batch,
                held=evaluate or 1000,
            ),
            step=self._step,
        )
