"""What a training call asks for beside model, data and loss: plain numbers, so that box 2 can train as it was called."""

import collections
import math

import numpy as np

from . import trace

_PARTS = 20
"""Numbers that tell how the weights of single images are distributed: the middles of so many equal parts of them, in order."""


def weights(given):
    """The distribution of the weights of single images; [] where all are one. Raises what NumPy raises for what are no numbers, ValueError for NaN."""
    return [] if given is None else _odd(np.quantile(np.asarray(given, np.float64).ravel(), (np.arange(_PARTS) + 0.5) / _PARTS).tolist())


def class_weights(given):
    """[[class, weight], …]; [] where all are one. Raises as `weights` does."""
    numbers = sorted(dict(given or {}))
    found = _odd([float(given[number]) for number in numbers])
    return [[int(number), weight] for number, weight in zip(numbers, found, strict=False)]


def distinct(images):
    """How many different images there are about, from how many pairs of those that were chosen by chance are one image twice; None where hardly any are."""
    counts = collections.Counter(image.tobytes() for image in images).values()
    pairs = sum(count * (count - 1) // 2 for count in counts)
    return max(len(images) ** 2 // (2 * pairs), 1) if pairs > 1 else None


def loss_weight(given):
    """The one factor of the loss that `compile` was given."""
    while isinstance(given, (list, tuple, dict)) and len(given) == 1:
        given = next(iter(given.values())) if isinstance(given, dict) else given[0]
    return 1.0 if given is None or isinstance(given, (list, tuple, dict)) else float(given)


def _odd(numbers):
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a weight that is no finite number")
    return [] if all(number == 1 for number in numbers) else [float(f"{number:.6g}") for number in numbers]


def own_steps(model):
    """The names of the methods by which a model trains itself, in place of Keras'."""
    found = []
    for name in ("train_step", "compute_loss", "_compute_loss", "make_train_function"):
        owner = next((kind for kind in type(model).__mro__ if name in vars(kind)), object)
        if name in vars(model) or not trace.is_keras_own(owner):
            found.append(name)
    return found
