"""One training run in box 2: a rebuilt model, our images, the claimed compile configuration; advanced in pieces, as the host asks.

The loop over many steps is compiled as one program (`loop_tensorflow`, `loop_jax`); this file is the same for both. Every batch is measured
before it is learned from. In the first pass over the images that is an honest measure of what the model knows of images it has never seen.
"""

import functools
import math
import time
import zlib

import numpy as np

from . import draws, rebuild
from . import pool as pools

keras = rebuild.keras
LN10 = math.log(10)
EVALUATE_BATCH = 250
MOST_LAYERS_PROBED = 200
SETTLED_ON = 1024
"""Images on which a silent layer must stay silent: four times those it was found on."""

REST, MOST_SETTLING = 1e-3, 700
"""Momentum is spent once this share of it is left (66 steps of Adam's 0.9), and no later than after so many steps."""
_BF16 = frozenset(
    [
        *("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "MaxPooling2D", "AveragePooling2D", "BatchNormalization"),
        *("Activation", "ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout2D", "Add", "Concatenate", "ZeroPadding2D"),
    ]
)
"""Layers that compute in bfloat16 while they work on maps. Everything after the maps, and all losses, stay in float32."""

_BEHIND = {"sparse_categorical_crossentropy": "softmax", "categorical_crossentropy": "softmax", "binary_crossentropy": "sigmoid"}
"""Losses that are computed from the scores before the model's last activation, if it is this one, whatever `from_logits` says: as on TensorFlow."""


class Refused(Exception):
    """The run cannot be made; the message is a sentence for the report."""


class Run:
    """An open training run. Shapes: images (n, 32, 32, 3) uint8 as stored; accuracies are fractions, losses natural logarithms."""

    def __init__(self, pool, ask, caps):
        """Build and compile the model as `ask` says (the host's `Specification`, as a dictionary). Raises Refused."""
        self.pool, self.ask = pool, ask
        self.batch = min(int(ask["batch_size"]), len(pool.images))
        loops = _loops()
        keras.utils.clear_session(free_memory=True)
        loops.forget()
        shape = rebuild.graph(ask["config"], ask["input_shape"], caps)
        memory = estimate_mib(shape, self.batch)
        if memory > caps["memory_mib"]:
            raise Refused(f"training it would need about {memory:,.0f} MiB of memory; at most {caps['memory_mib']:,} are used")
        self.model = self._fresh(ask["seed"])
        self.optimizer = _optimizer(ask["optimizer"])
        self.optimizer.build(self.model.trainable_variables)
        self._optimizer_start = [np.asarray(variable) for variable in self.optimizer.variables]
        self.one_hot = ask["labels"]["encoding"] == "one_hot"
        self.loss = _loss(ask["loss"])
        config = ask["optimizer"]["config"]
        self.steady = not (ask["rates"] or isinstance(config.get("learning_rate"), dict) or config.get("gradient_accumulation_steps"))
        self.loop = loops.Loop(self)
        self._start(ask["seed"])

    def restart(self, seed):
        """Begin anew from other random weights, other image order: as a run opened with that seed, without compiling again."""
        for variable, other in zip(self.model.variables, self._fresh(seed).variables, strict=True):
            variable.assign(other)
        for variable, value in zip(self.optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)
        self._start(seed)

    def _fresh(self, seed):
        keras.utils.set_random_seed(int(seed))
        with draws.as_on_tensorflow():
            model = _built(self.ask)
        if self.ask["precision"] == "mixed_bfloat16":
            use_bfloat16(model)
        return model

    def _start(self, seed):
        share = self.ask["labels"].get("wrong", 0.0)
        labels = self.pool.wrong_labels(share, seed) if share else self.pool.labels
        self.order = self.pool.order(int(self.ask["most_steps"]) * self.batch, seed, int(self.ask["rows"]))
        self.steps = 0
        self.initial = _moving_statistics(self.model)
        self.begun = _digest([np.asarray(variable) for variable in self.model.trainable_variables])
        self.loop.start(self.order, labels, self.pool.weights(labels, self.ask["class_weights"], self.ask["sample_weights"]))

    # ------------------------------------------------------------------ what both loops call

    def batch_of(self, images, labels):
        """(prepared images, labels in the claimed encoding) of stored rows."""
        x = pools.prepare(keras.ops, images, self.ask["recipe"])
        y = keras.ops.one_hot(labels, 10) if self.one_hot else keras.ops.reshape(labels, (-1, *self.ask["labels"]["tail"]))
        return x, y

    def loss_of(self, labels, outputs, weights=None, **scores):
        """Mean of the claimed loss over a batch, each image's times its weight as Keras does. `scores`: what was before a last softmax or sigmoid, where known."""
        behind = scores.get(_BEHIND.get(self.ask["loss"]["name"]))
        if behind is not None:
            losses = self.loss(labels, keras.ops.cast(behind, "float32"), from_logits=True)
        else:
            losses = self.loss(labels, keras.ops.cast(outputs, "float32"))
        return keras.ops.mean(losses if weights is None else losses * weights)

    # ------------------------------------------------------------------ what the host asks for

    def advance(self, steps):
        """Train `steps` batches. Returns the window's mean loss and accuracy (before each update) and whether all is finite."""
        began = time.monotonic()
        steps = min(steps, len(self.order) // self.batch - self.steps)
        loss, accuracy, gradients = self._trained(steps)
        weights = [np.asarray(variable) for variable in self.model.trainable_variables]
        finite = all(bool(np.isfinite(weight).all()) for weight in weights) and math.isfinite(loss)
        names = [variable.path for variable in self.model.trainable_variables]
        return {
            "step": self.steps,
            "images": self.steps * self.batch,
            "train_loss": loss if math.isfinite(loss) else None,
            "train_accuracy": accuracy,
            "finite": finite,
            "still": self.steady and self.steps > 0 and _digest(weights) == self.begun,
            "gradients": [
                [name[:120], float(value) if math.isfinite(value) else None] for name, value in zip(names, gradients, strict=True)
            ],
            "seconds": time.monotonic() - began,
        }

    def _trained(self, steps):
        """What the loop gives for the next `steps` batches, each epoch of them at its own learning rate."""
        rates = self.ask["rates"]
        epoch = max(1, -(-int(self.ask["epoch_images"]) // self.batch)) if rates else steps
        end, parts = self.steps + steps, []
        while self.steps < end or not parts:
            if rates:
                self.optimizer.learning_rate = rates[min(self.steps // epoch, len(rates) - 1)]
            count = min(end - self.steps, epoch - self.steps % epoch) if rates else steps
            parts.append((count, *self.loop.advance(self.steps, count)))
            self.steps += count
        shares = [count / max(steps, 1) for count, *_ in parts]
        loss, accuracy = (sum(share * part[place] for share, part in zip(shares, parts, strict=True)) for place in (1, 2))
        return loss, accuracy, np.max([gradients for *_, gradients in parts], axis=0)

    def evaluate(self, count):
        """Crossentropy (ours, whatever the student's loss is) and accuracy on the first `count` held-back images."""
        count = min(count, len(self.pool.held_images))
        with corrected_statistics(self.model, self.initial, self.steps):
            outputs = np.concatenate(
                [self.loop.predict(self.pool.held_images[at : at + EVALUATE_BATCH]) for at in range(0, count, EVALUATE_BATCH)]
            )[:count]
        loss, accuracy = scored(outputs, self.pool.held_labels[:count])
        return {"loss": loss, "accuracy": accuracy, "images": count, "constant": bool(np.ptp(outputs, axis=0).max(initial=0.0) < 1e-6)}

    def probe(self, count=256):
        """For every layer with a nonlinearity: the share of its units that are silent (never above zero) on `count` training images."""
        return silent_units(self.model, self.batch_of(self.pool.images[:count], self.pool.labels[:count])[0])

    def settled(self, silent, count=SETTLED_ON):
        """Those of the wholly `silent` layers (as `probe` answers) that stay so while the optimizer's momentum runs out, on `count` training images.

        Without a gradient the weights before a silent layer move on for a while, and may wake it up again. How they move is known without a single
        image: the optimizer is stepped with gradients of zero, the layers are looked at on the way, and everything is put back.
        """
        still = [name for name, share, _ in silent if share == 1.0]
        if not still:
            return []
        trained = self.model.trainable_variables
        variables = [*trained, *self.optimizer.variables]
        kept = [np.asarray(variable) for variable in variables]
        images = self.batch_of(self.pool.images[:count], self.pool.labels[:count])[0]
        zeros = [keras.ops.zeros(variable.shape, variable.dtype) for variable in trained]
        memory = max(float(getattr(self.optimizer, name, 0.0) or 0.0) for name in ("beta_1", "momentum", "rho"))
        steps = min(math.ceil(math.log(REST) / math.log(memory)) if 0 < memory < 1 else 1, MOST_SETTLING)
        done = 0
        try:
            for share in (1 / 32, 1 / 8, 1 / 3, 1):
                for _ in range(math.ceil(steps * share) - done):
                    self.optimizer.apply(zeros, trained)
                done = math.ceil(steps * share)
                silence = {name for name, silent_share, _ in silent_units(self.model, images) if silent_share == 1.0}
                still = [name for name in still if name in silence]
                if not still:
                    break
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)
        return still

    def feeding(self):
        """For every rectifying layer without weights of its own: [its name, the name of the layer with weights whose values it rectifies]."""
        found = []
        for layer in self.model._flatten_layers(include_self=False):
            if _rectifies(layer) and not layer.trainable_variables:
                fed = _fed_by(layer)
                if fed is not None:
                    found.append([layer.name[:120], fed.name[:120]])
        return found[:MOST_LAYERS_PROBED]


def _digest(weights):
    """A number that changes with any weight."""
    return functools.reduce(lambda number, weight: zlib.crc32(np.ascontiguousarray(weight), number), weights, 0)


def estimate_mib(graph, batch):
    """Memory of a training step, MiB: every activation twice (forward, gradient) for a batch, and weights with two optimizer slots."""
    values = sum(math.prod(size or 1 for size in node["output_shape"] or []) for node in graph["nodes"])
    return (2 * 4 * batch * values + 5 * 4 * graph["parameters"]) / 2**20


def _built(ask):
    model = keras.saving.deserialize_keras_object(ask["config"], safe_mode=True)
    if not model.built or (isinstance(model, keras.Sequential) and model._functional is None):
        model.build((None, *ask["input_shape"]))
    if tuple(model.output_shape) != (None, 10):
        raise Refused(f"its output has the shape {model.output_shape} where one score for each of the ten classes was expected")
    return model


def use_bfloat16(model):
    """Let the layers that work on maps compute in bfloat16; variables stay float32."""
    policy = keras.DTypePolicy("mixed_bfloat16")
    for layer in model._flatten_layers(include_self=False):
        if type(layer).__name__ not in _BF16 or layer.dtype_policy.name != "float32":
            continue
        try:
            on_maps = len(layer.output.shape) == 4
        except (AttributeError, ValueError):
            on_maps = False
        if on_maps and getattr(getattr(layer, "activation", None), "__name__", "") != "softmax":
            layer.dtype_policy = policy


def _optimizer(ask):
    """The claimed optimizer. `ask`: class name and plain configuration, both allow-listed by the host."""
    config = dict(ask["config"])
    schedule = config.get("learning_rate")
    if isinstance(schedule, dict):
        kind = getattr(keras.optimizers.schedules, schedule["class_name"])
        config["learning_rate"] = kind(**schedule["config"])
    return getattr(keras.optimizers, ask["class_name"])(**config)


def _loss(ask):
    """The claimed loss as a function of (labels, outputs) that gives one value an image."""
    function = keras.losses.get(ask["name"])
    if isinstance(function, keras.losses.Loss):
        function = function.fn
    options = {key: ask[key] for key in ("from_logits", "label_smoothing") if ask.get(key)}
    return lambda labels, outputs, **more: function(labels, outputs, **{**options, **more})


def _loops():
    """The module of the compiled loop."""
    if keras.backend.backend() == "jax":
        from . import loop_jax as loops
    else:
        from . import loop_tensorflow as loops
    return loops


def scored(outputs, labels):
    """(mean crossentropy, accuracy) of outputs (n, 10), probabilities or scores, for labels (n,). Rows that are not finite are wrong."""
    outputs = np.asarray(outputs, np.float64)
    fine = np.isfinite(outputs).all(axis=1)
    filled = np.where(fine[:, None], outputs, 0.0)
    if not fine.any():
        return None, 0.0
    probabilities = bool((filled[fine] >= -1e-6).all() and np.allclose(filled[fine].sum(axis=1), 1.0, atol=1e-2))
    if not probabilities:
        filled = np.exp(filled - filled.max(axis=1, keepdims=True))
    filled = np.clip(filled / np.maximum(filled.sum(axis=1, keepdims=True), 1e-12), 1e-7, 1.0)
    right = filled[np.arange(len(labels)), labels]
    return float(-np.log(right).mean()), float(((filled.argmax(axis=1) == labels) & fine).mean())


# ------------------------------------------------------------------ batch normalisation after few steps


def _normalisations(model):
    return [layer for layer in model._flatten_layers(include_self=False) if type(layer).__name__ == "BatchNormalization"]


def _moving_statistics(model):
    return [(np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in _normalisations(model)]


class corrected_statistics:  # noqa: N801 (used like a function)
    """While it holds, moving averages are freed of their starting values.

    After t steps a moving average with momentum m is m**t start + (1 - m**t) seen; with Keras' m = 0.99 and 50 steps, 60 % of it is still the start,
    and a healthy network predicts by chance. As Adam does for its moments, the start's share is taken out.
    """

    def __init__(self, model, initial, steps):
        self.layers, self.initial, self.steps = _normalisations(model), initial, steps

    def __enter__(self):
        self.kept = [(np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)) for layer in self.layers]
        for layer, (mean, variance), (first_mean, first_variance) in zip(self.layers, self.kept, self.initial, strict=True):
            rest = float(layer.momentum) ** self.steps
            if 0 < rest < 1 - 1e-9:
                layer.moving_mean.assign((mean - rest * first_mean) / (1 - rest))
                layer.moving_variance.assign(np.maximum((variance - rest * first_variance) / (1 - rest), 0.0))

    def __exit__(self, *_):
        for layer, (mean, variance) in zip(self.layers, self.kept, strict=True):
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(variance)


# ------------------------------------------------------------------ silent units


def silent_units(model, images):
    """[[layer name, share of silent units, units]] for every layer whose nonlinearity is zero for negative input."""
    found = {}
    layers = [layer for layer in model._flatten_layers(include_self=False) if _rectifies(layer)][:MOST_LAYERS_PROBED]
    originals = {}

    def watched(layer, call):
        def run(*args, **kwargs):
            result = call(*args, **kwargs)
            peak = np.asarray(keras.ops.cast(result, "float32")).reshape(-1, result.shape[-1]).max(axis=0)
            found[layer.name] = np.maximum(found.get(layer.name, -np.inf), peak)
            return result

        return run

    try:
        for layer in layers:
            originals[layer.name] = layer, layer.call
            layer.call = watched(layer, layer.call)
        for at in range(0, len(images), EVALUATE_BATCH):
            model(images[at : at + EVALUATE_BATCH], training=False)
    finally:
        for layer, call in originals.values():
            layer.call = call
    return [[layer.name[:120], float((found[layer.name] <= 0).mean()), len(found[layer.name])] for layer in layers if layer.name in found]


def _fed_by(layer):
    """The nearest layer with trainable weights on the one way that leads to `layer`; None where ways join or the way leaves the model."""
    for _ in range(MOST_LAYERS_PROBED):
        tensor = getattr(layer, "input", None) if len(getattr(layer, "_inbound_nodes", ())) == 1 else None
        if tensor is None or isinstance(tensor, list | tuple | dict) or not hasattr(tensor, "_keras_history"):
            return None
        layer = tensor._keras_history.operation
        if getattr(layer, "trainable_variables", None):
            return layer
    return None


def _rectifies(layer):
    if type(layer).__name__ == "ReLU":
        return True
    return getattr(getattr(layer, "activation", None), "__name__", "") in ("relu", "relu6")
