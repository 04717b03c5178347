"""Run as a program, with KERAS_BACKEND set: what box 2's trainer answers to a few questions, as JSON on standard output."""

import itertools
import json
import math
import sys

import numpy as np

from grader.training.inside import pool, trainer

keras = trainer.keras
CAPS = {"parameters": 10**6, "activation": 10**6, "nodes": 50, "memory_mib": 100}
GENERATOR = np.random.default_rng(5)


def libraries():
    return [name for name in ("jax", "tensorflow", "torch", "sklearn") if sys.modules.get(name)]


ALONE = libraries()


class FewImages(pool.Pool):
    def __init__(self):
        self.images = np.random.default_rng(6).integers(0, 256, (64, 32, 32, 3), np.uint8)
        self.labels = np.arange(64, dtype=np.int32) % 10
        self.held_images, self.held_labels = self.images[:20], self.labels[:20]


def ask(*layers):
    model = keras.Sequential([keras.layers.Input((32, 32, 3)), *layers])
    return {
        "config": keras.saving.serialize_keras_object(model),
        "input_shape": [32, 32, 3],
        "optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
        "loss": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        "recipe": {"kind": "affine", "scale": [1 / 255], "offset": [0.0]},
        "labels": {"encoding": "integer", "tail": [1], "wrong": 0.0},
        "batch_size": 16,
        "seed": 1,
        "precision": "float32",
        "most_steps": 12,
        "rows": 50_000,
        "epoch_images": 50_000,
        "rates": [],
        "class_weights": [],
        "sample_weights": [],
    }


def recipes():
    """Every kind of recipe on two images, and what NumPy says they should be (None: only the shape is told)."""
    images = GENERATOR.integers(0, 256, (2, 32, 32, 3), np.uint8)
    x = images.astype(np.float64)
    scaled = {"kind": "affine", "scale": [0.5, 0.25, 2.0], "offset": [1.0, -1.0, 0.0]}
    affine = x * scaled["scale"] + scaled["offset"]
    own = [(image - image.mean()) / image.std() for image in x]
    grey = (x @ [0.299, 0.587, 0.114])[..., None] / 255
    cases = {
        "identity": ({"kind": "identity"}, x),
        "affine": (scaled, affine),
        "per_image": ({"kind": "per_image"}, np.stack(own)),
        "grayscale": ({"kind": "affine", "scale": [1 / 255], "offset": [0.0], "grayscale": True}, grey),
        "channels_first": ({**scaled, "channels_first": True}, affine.transpose(0, 3, 1, 2)),
        "flattened": ({**scaled, "flattened": True}, affine.reshape(2, -1)),
        "resized": ({"kind": "identity", "resized": [64, 64]}, None),
    }
    for name, (recipe, wanted) in cases.items():
        found = np.asarray(pool.prepare(keras.ops, images, recipe))
        yield name, [str(found.dtype), list(found.shape), None if wanted is None else float(np.abs(found - wanted).max())]


def normalised():
    """Moving averages after three steps with momentum 0.9: as they are, freed of their start, and as they are again."""
    run = trainer.Run(
        FewImages(), ask(keras.layers.BatchNormalization(momentum=0.9), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)), CAPS
    )
    run.advance(3)
    layer = run.model.layers[0]
    before = np.asarray(layer.moving_mean).tolist(), np.asarray(layer.moving_variance).tolist()
    with trainer.corrected_statistics(run.model, run.initial, run.steps):
        freed = np.asarray(layer.moving_mean).tolist(), np.asarray(layer.moving_variance).tolist()
    after = np.asarray(layer.moving_mean).tolist(), np.asarray(layer.moving_variance).tolist()
    seen = run.pool.images[run.order[:48]] / 255
    return {"before": before, "freed": freed, "after": after, "mean": seen.mean(axis=(0, 1, 2)).tolist(), "steps": run.steps}


def silent():
    """Shares of silent units where the first layer's inputs are all negative, and the second's are not."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-1.0), name="feeds"),
            layers.BatchNormalization(name="fixed", trainable=False),
            layers.ReLU(name="all"),
            layers.Dense(4, activation="relu", kernel_initializer="zeros", bias_initializer="ones", name="none"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    call = type(model.get_layer("all")).call
    found = trainer.silent_units(model, np.ones((4, 8, 8, 3), np.float32))
    run = trainer.Run.__new__(trainer.Run)
    run.model = model
    inputs = layers.Input((8, 8, 3))
    parts = [layers.Conv2D(4, 1, name=name)(inputs) for name in ("left", "right")]
    joined = layers.ReLU(name="behind_a_sum")(layers.Add()(parts))
    forked = trainer.Run.__new__(trainer.Run)
    forked.model = keras.Model(inputs, layers.Dense(10)(joined))
    return {"found": found, "feeding": [run.feeding(), forked.feeding()], "restored": model.get_layer("all").call.__func__ is call}


def loops():
    """One run in pieces of several sizes, step by step and (as on a GPU) as one program, where the backend has both."""
    given = ask(keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.5), keras.layers.Dense(10, kernel_regularizer="l2"))
    results = []
    for device in ("cpu", "gpu") if keras.backend.backend() == "jax" else ("cpu",):
        if keras.backend.backend() == "jax":
            import jax

            jax.default_backend = lambda device=device: device
        run = trainer.Run(FewImages(), given, CAPS)
        for attempt in range(2):
            points = [run.advance(steps) for steps in (1, 4, 0, 3, 9)]
            results.append([[point["step"], point["train_loss"], *(norm for _, norm in point["gradients"])] for point in points])
            if not attempt:
                run.restart(1)
    return results


def sure():
    """[loss of the first batch, what it is by its definition, the first gradient's norm] of models that are sure and wrong, by how they end."""
    layers, found = keras.layers, {}
    images = FewImages()
    endings = {
        "dense": (layers.Dense(10, "softmax"),),
        "dense, said to be scores": (layers.Dense(10, "softmax"),),
        "activation": (layers.Dense(10), layers.Activation("softmax")),
        "layer": (layers.Dense(10), layers.Softmax()),
        "nested": (keras.Sequential([layers.Input((3,)), layers.Dense(10, "softmax")]),),
        "scores": (layers.Dense(10),),
        "sigmoid": (layers.Dense(10, "sigmoid"),),
    }
    for name, ending in endings.items():
        asked = ask(layers.GlobalAveragePooling2D(), *ending)
        asked["loss"] = {"name": "sparse_categorical_crossentropy", "from_logits": "scores" in name}
        if name == "sigmoid":
            asked = {**asked, "loss": {"name": "binary_crossentropy"}, "labels": {"encoding": "one_hot", "tail": [], "wrong": 0.0}}
        run = trainer.Run(images, asked, CAPS)
        weights = GENERATOR.normal(0, 1000, (3, 10)).astype(np.float32)
        kernel, _ = run.model.trainable_variables
        kernel.assign(weights)
        rows = run.order[: run.batch]
        given = (images.images[rows] / 255.0).mean(axis=(1, 2)) @ weights.astype(np.float64)
        truth = np.eye(10)[images.labels[rows]]
        if name == "sigmoid":
            wanted = (np.logaddexp(0, given) - truth * given).mean()
        else:
            wanted = (np.logaddexp.reduce(given, axis=1) - (truth * given).sum(axis=1)).mean()
        point = run.advance(1)
        found[name] = [point["train_loss"], wanted, point["gradients"][0][1]]
    return found


def scores():
    """(crossentropy, accuracy) of hand-made outputs for the labels 0 and 1."""
    labels = np.array([0, 1])
    sure = np.full((2, 10), 0.02)
    sure[0, 0] = sure[1, 3] = 0.82
    lost = np.array([[math.nan] * 10, [0.0, 9.0] + [0.0] * 8])
    return {
        "probabilities": trainer.scored(sure, labels),
        "logits": trainer.scored(np.log(sure) + 5, labels),
        "one_row_nan": trainer.scored(lost, labels),
        "all_nan": trainer.scored(np.full((2, 10), math.nan), labels),
    }


def called():
    """{what fit or its optimizer was asked for: [loss of the first step, how far the kernel went in steps 1 to 2, in 3 to 6, different images taken, nothing moved by then]}."""
    dense = keras.layers.Dense
    plain = ask(keras.layers.GlobalAveragePooling2D(), dense(10))
    still = ask(keras.layers.GlobalAveragePooling2D(), dense(10, trainable=False))

    def optimizer(**config):
        return {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1, **config}}}

    asked = {
        "plain": {},
        "no class counts": {"class_weights": [0.0] * 10},
        "one class counts": {"class_weights": [1.0] + [0.0] * 9},
        "no image counts": {"sample_weights": [0.0]},
        "half": {"sample_weights": [0.5]},
        "some images count": {"sample_weights": [0.0, 0.0, 0.0, 1.0]},
        "a rate of 0": optimizer(learning_rate=0.0),
        "then a rate of 0": {"rates": [0.1, 0.0], "epoch_images": 32},
        "first a rate of 0": {"rates": [0.0, 0.1], "epoch_images": 20},
        "five images": {"rows": 5},
        "not trainable": {"config": still["config"]},
        "clipped": optimizer(clipnorm=1e-9),
        "clipped to 0": optimizer(global_clipnorm=1e-9),
        "gathered": optimizer(gradient_accumulation_steps=5),
        "decayed": optimizer(weight_decay=1.0),
    }
    found = {}
    for name, changes in asked.items():
        run = trainer.Run(FewImages(), {**plain, **changes}, CAPS)
        kernels = [np.asarray(run.model.layers[-1].kernel)]
        first, still = run.advance(1)["train_loss"], []
        for steps in (1, 4):
            still.append(run.advance(steps)["still"])
            kernels.append(np.asarray(run.model.layers[-1].kernel))
        found[name] = [first, *(float(np.abs(b - a).max()) for a, b in itertools.pairwise(kernels)), len(set(run.order.tolist())), still]
    return found


class Towards:
    """Adam with momentum left over that moves a bias up (or down) although no gradient arrives any more."""

    def __init__(self, direction):
        layers = keras.layers
        conv = layers.Conv2D(
            4, 1, activation="relu", kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-1e-4), name="all"
        )
        asked = ask(conv, layers.GlobalAveragePooling2D(), layers.Dense(10))
        self.run = trainer.Run(FewImages(), {**asked, "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.001}}}, CAPS)
        mine = [variable for variable in self.run.optimizer.variables if "all" in variable.path and variable.shape == (4,)]
        moments = [variable for variable in mine if "momentum" in variable.path]
        speeds = [variable for variable in mine if "velocity" in variable.path]
        assert moments
        assert speeds
        moments[0].assign(np.full(4, -direction, np.float32))
        speeds[0].assign(np.ones(4, np.float32))

    def settled(self):
        before = [np.asarray(variable).tolist() for variable in (*self.run.model.variables, *self.run.optimizer.variables)]
        silent = self.run.probe()
        found = self.run.settled(silent)
        after = [np.asarray(variable).tolist() for variable in (*self.run.model.variables, *self.run.optimizer.variables)]
        return {"silent": silent, "settled": found, "put back": before == after}


answers = {
    "settling": {name: Towards(direction).settled() for name, direction in (("up", 1.0), ("down", -1.0))},
    "recipes": dict(recipes()),
    "normalised": normalised(),
    "silent": silent(),
    "loops": loops(),
    "scores": scores(),
    "sure": sure(),
    "called": called(),
}
answers["imported"] = [ALONE, libraries()]
print(json.dumps(answers))  # noqa: T201
