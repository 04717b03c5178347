"""One training call made in earnest: the student's model, loss, optimizer and images, over some thousand images, and what it then predicts.

Asked for by the spec's `train`: `fit` (index of the call), `batch` (images a step, where the call's data has no batches of its own),
`checkpoints` (images after which predictions are sent) and `held` (so many stored test images are predicted: the first rows). All of this
is the student's code and a claim; the labels that tell what the predictions are worth are not in this box.
"""

import numpy as np

from . import keras_hooks, recipe, trace

_CHUNK = 250
_TEST = ("cifar10", "test")


def train(recorder, model, x, y, validation, claim, options):
    """Train `model` on what `fit` was given as `x`, `y`, and send its predictions for the images of `validation`.

    `claim` is the fit's claim so far, `options` are the call's other arguments. Errors of the student's code are raised as they are.
    """
    context, ask = recorder.context, recorder.context.spec["train"]
    goals = sorted(ask["checkpoints"])
    weighted = {"class_weight": options["class_weight"]} if options.get("class_weight") is not None else {}
    with context:
        model.jit_compile = False  # compiling for one short run on a CPU is not worth its time
        model.steps_per_execution = 1  # `train_on_batch` has one step to give
        model.train_function = model.test_function = model.predict_function = None
        start, images, steps = None, 0, 0
        for batch_x, batch_y, weights in _batches(x, y, options.get("sample_weight"), ask["batch"]):
            if start is None:
                _predict(recorder, model, _each(batch_x, lambda part: part[:2]))  # builds it
                start = _moving_averages(model)
            recorder.original["train_on_batch"](model, batch_x, batch_y, sample_weight=weights, **weighted)
            images, steps = images + _length(batch_x), steps + 1
            while goals and images >= goals[0]:
                goals.pop(0)
                with context.ours("taking predictions"), _Warm(model, start, steps):
                    found = _predictions(recorder, model, validation, (claim.get("validation") or {}).get("rows"), ask["held"])
                    context.send("predictions", {"fit": ask["fit"], "images": images, "step": steps, **found})
            if not goals:
                return


# ------------------------------------------------------------------ data in batches


def _batches(x, y, weights, size, *, once=False):
    """(images, labels or None, weights or None) batch after batch, over and over unless `once`; data with batches of its own keeps them."""
    if x is None:
        return
    if hasattr(x, "shape") or keras_hooks._is_nested(x) or isinstance(x, (list, tuple)):
        x, y, weights = (_each(part, lambda item: item if hasattr(item, "shape") else np.asarray(item)) for part in (x, y, weights))
        rows = _length(x)
        size = min(size, rows)
        while size:
            for first in range(0, rows if once else rows - size + 1, size):
                yield tuple(_each(part, lambda item, at=first: _plain(item[at : at + size])) for part in (x, y, weights))
            if once:
                return
    while True:
        had = False
        for batch in _own_batches(x):
            had = True
            parts = batch if isinstance(batch, (list, tuple)) else (batch,)
            parts = (*parts[:3], *(None,) * (3 - len(parts)))
            yield tuple(_each(part, _plain) for part in parts)
        if once or not had:
            return


def _own_batches(x):
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return (x[index] for index in range(len(x)))
    return iter(x)


def _each(data, function):
    """`function` of every array of data, nested or not."""
    if data is None:
        return None
    if isinstance(data, dict):
        return {key: _each(item, function) for key, item in data.items()}
    if keras_hooks._is_nested(data):
        return type(data)(_each(item, function) for item in data)
    return function(data)


def _plain(array):
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float64 else array  # as Keras' own adapter does


def _length(data):
    return int(np.shape(keras_hooks._leaf(data))[0])


# ------------------------------------------------------------------ predictions


def _predictions(recorder, model, validation, total, wanted):
    """{rows, outputs, matched}: what the model says of the first `wanted` stored test images, as the call's validation images hold them.

    Where images cannot be matched with stored ones one by one, but there are as many, they are taken to be in the same order
    (`matched` is False then). A row with a number that is not finite is sent as zeros.
    """
    store = recorder.store
    rows, outputs, matched = [], [], True
    stored = len(store.sets[_TEST][0]) if _TEST in store.sets else 0
    wanted, at, seen = min(wanted, stored), 0, set()
    images = validation[0] if isinstance(validation, (list, tuple)) else validation
    for chunk, *_ in _batches(images if stored else None, None, None, _CHUNK, once=True):
        count = _length(chunk)
        found = recipe.rows_of(keras_hooks._leaf(chunk), at, store, _TEST)
        if found is None:
            if total is None or not stored <= total < stored + count:
                break
            matched, found = False, np.arange(at, at + count)
        at += count
        keep = []
        for index, row in enumerate(found.tolist()):
            if 0 <= row < wanted and row not in seen:
                seen.add(row)
                keep.append(index)
        if keep:
            scores = _predict(recorder, model, _each(chunk, lambda part, keep=keep: part[keep]))
            if scores is None:
                break
            outputs += scores
            rows += found[keep].tolist()
        if len(rows) >= wanted or at >= 2 * stored:
            break
    return {"rows": rows, "outputs": outputs, "matched": matched}


def _predict(recorder, model, images):
    """The model's outputs, ten numbers of six digits an image; None where they are anything else."""
    outputs = recorder.original["predict"](model, images, batch_size=_CHUNK, verbose=0)
    if isinstance(outputs, (list, tuple)) and len(outputs) == 1:
        outputs = outputs[0]
    if not hasattr(outputs, "shape") or len(outputs) != _length(images) or outputs.size != 10 * len(outputs):
        return None
    outputs = np.asarray(outputs, np.float64).reshape(-1, 10)
    outputs[~np.isfinite(outputs).all(axis=1)] = 0.0
    return [[float(f"{value:.6g}") for value in row] for row in outputs.tolist()]


# ------------------------------------------------------------------ batch normalisation after few steps (as in box 2, training/inside/trainer.py)


def _normalisations(model):
    return [layer for layer in trace.all_layers(model) if type(layer).__name__ == "BatchNormalization" and layer.built]


def _moving_averages(model):
    return [(layer, np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in _normalisations(model)]


class _Warm:
    """While it holds, moving averages are freed of their starting values, as Adam does for its moments."""

    def __init__(self, model, start, steps):
        self.start, self.steps = start, steps

    def __enter__(self):
        self.kept = [(layer, np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer, *_ in self.start]
        for (layer, mean, variance), (_, first_mean, first_variance) in zip(self.kept, self.start, strict=True):
            rest = float(layer.momentum) ** self.steps
            if 0 < rest < 1 - 1e-9:
                layer.moving_mean.assign((mean - rest * first_mean) / (1 - rest))
                layer.moving_variance.assign(np.maximum((variance - rest * first_variance) / (1 - rest), 0.0))

    def __exit__(self, *_):
        for layer, mean, variance in self.kept:
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)
