"""The images that models are trained and judged on: read once for all models of a notebook, prepared as the claimed recipe says.

Images stay as stored (uint8) until a batch is taken, so that one pool serves every recipe. Nothing here comes from the student but the
recipe, which is a few numbers.
"""

import os

import numpy as np

BALANCED = 2_000
"""So many rows at the head of the held-back ones are balanced between the classes: what short runs are measured on."""

_CIFAR_GREY = np.array([0.299, 0.587, 0.114], np.float32)


class Pool:
    """Training images (N, 32, 32, 3) uint8 and labels (N,), and the held-back ones. Rows are drawn once with a fixed seed."""

    def __init__(self, folder, train_rows, held_rows):
        """`folder` holds the store's four arrays; at most `train_rows` and `held_rows` of them are taken, in random order."""
        parts = {name: np.load(os.path.join(folder, f"{name}.npy"), mmap_mode="r") for name in ("x_train", "y_train", "x_test", "y_test")}
        self.images, self.labels = _drawn(parts["x_train"], parts["y_train"], train_rows, 11, 0)
        self.held_images, self.held_labels = _drawn(parts["x_test"], parts["y_test"], held_rows, 13, BALANCED)

    def order(self, count, seed, rows):
        """`count` row numbers: the pool's first `rows` shuffled anew for every pass, another order for every seed. int32 (count,)."""
        generator = np.random.default_rng([17, seed])
        rows = min(rows, len(self.images))
        return np.concatenate([generator.permutation(rows) for _ in range(-(-count // rows))])[:count].astype(np.int32)

    def weights(self, labels, of_classes, of_samples):
        """What each training image counts, float32 (N,): the weight of its class times one of the samples' weights, drawn at random. None where all count alike."""
        if not of_classes and not of_samples:
            return None
        drawn = np.random.default_rng(23).choice(np.asarray(of_samples or [1.0], np.float32), len(labels))
        return drawn * np.asarray(of_classes or [1.0] * 10, np.float32)[labels]

    def wrong_labels(self, share, seed):
        """The training labels with the share `share` of them drawn at random: what a notebook that mixes up its labels trains on."""
        generator = np.random.default_rng([19, seed])
        labels = self.labels.copy()
        chosen = generator.random(len(labels)) < share
        labels[chosen] = generator.permutation(labels)[chosen]
        return labels


def _drawn(images, labels, rows, seed, balanced):
    """`rows` rows in random order; the first `balanced` of them hold as many of each class."""
    labels = np.asarray(labels).reshape(-1).astype(np.int32)
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    rows = min(rows, len(labels))
    first = min(rows, balanced)
    kinds = np.unique(labels)
    each = -(-first // len(kinds))
    chosen = np.sort(np.concatenate([np.flatnonzero(labels[shuffled] == kind)[:each] for kind in kinds]))[:first]
    rest = np.setdiff1d(np.arange(len(labels)), chosen)[: rows - len(chosen)]
    picked = shuffled[np.concatenate([chosen, rest])]
    return np.ascontiguousarray(images[np.sort(picked)])[np.argsort(np.argsort(picked))], labels[picked]


def some(folder, rows):
    """`rows` of the stored training images (rows, 32, 32, 3) uint8, evenly spread, without reading the others."""
    images = np.load(os.path.join(folder, "x_train.npy"), mmap_mode="r")
    return np.ascontiguousarray(images[:: max(1, len(images) // rows)][:rows])


def prepare(ops, images, recipe):
    """The claimed preprocessing on a batch of stored images (n, 32, 32, 3) uint8; float32 out. `recipe` is a plain dictionary."""
    x = ops.cast(images, "float32")
    if recipe.get("grayscale"):
        x = ops.sum(x * _CIFAR_GREY, axis=-1, keepdims=True)
    if recipe["kind"] == "per_image":
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        x = (x - mean) / (ops.std(x, axis=(1, 2, 3), keepdims=True) + 1e-6)
    elif recipe["kind"] != "identity":
        x = x * np.asarray(recipe["scale"], np.float32) + np.asarray(recipe["offset"], np.float32)
    if recipe.get("resized"):
        x = ops.image.resize(x, tuple(recipe["resized"]), interpolation="bilinear", data_format="channels_last")
    if recipe.get("channels_first"):
        x = ops.transpose(x, (0, 3, 1, 2))
    if recipe.get("flattened"):
        x = ops.reshape(x, (ops.shape(x)[0], -1))
    return x
