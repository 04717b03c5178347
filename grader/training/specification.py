"""What a training run repeats: the claimed model, compile configuration, data recipe and batch size, as plain allow-listed data.

Everything here was said by box 1. A lie in it only changes which model is trained (design, section 2.3).
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from grader.errors import RebuildRefused
from grader.records import CompileClaim, DataClaim, FitClaim, Model
from grader.training.canonical import MODELS, PRECISIONS, TENSOR, canonical

OPTIMIZERS = frozenset(["Adam", "AdamW", "Adamax", "Nadam", "SGD", "RMSprop", "Adagrad", "Adadelta", "Ftrl", "Lion", "Lamb", "Adafactor"])
SCHEDULES = frozenset(
    ["ExponentialDecay", "PiecewiseConstantDecay", "PolynomialDecay", "InverseTimeDecay", "CosineDecay", "CosineDecayRestarts"]
)
LOSSES = frozenset(
    [
        *("categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "categorical_focal_crossentropy"),
        *("binary_focal_crossentropy", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error", "log_cosh", "huber"),
        *("mean_squared_logarithmic_error", "kl_divergence", "poisson", "hinge", "squared_hinge", "categorical_hinge", "cosine_similarity"),
    ]
)
_LOSS_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
}
_ONLY_WITH_LOGITS = frozenset(
    [
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "binary_crossentropy",
        "categorical_focal_crossentropy",
        "binary_focal_crossentropy",
    ]
)
_ONLY_WITH_SMOOTHING = _ONLY_WITH_LOGITS - {"sparse_categorical_crossentropy"}
_DROPPED = frozenset(["name", "loss_scale_factor", "is_legacy_optimizer", "jit_compile", "decay"])
_LABELS_ARE_OWN = 0.9
"""From this share of sampled labels equal to the stored ones, all labels count as the images' own (48 samples; duplicates and one slip)."""
_DIGITS, _FEW_DIGITS, _EXACT = 6, 3, 1e-5
"""Significant digits of a recipe: it is solved for by least squares from images chosen by chance, and equal preprocessing must give equal keys. Few where more
than this residual is left, as 16-bit numbers leave it."""
MOST_BATCH = 2048
MOST_EPOCHS = 60
"""Twice the exercise's own 30."""

EPOCH_IMAGES = 50_000
"""One pass over CIFAR-10."""

MOST_WEIGHT, MOST_WEIGHTS, MOST_IMAGES = 1e6, 20, 10**9

DEFAULT_BATCH = 32
"""Keras' own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """One training run to make. All values are plain JSON data from allow-lists; `notes` are sentences about what is not repeated exactly."""

    config: Mapping[str, Any]
    input_shape: tuple[int, ...]
    optimizer: Mapping[str, Any]  # class_name, config
    loss: Mapping[str, Any]  # name, from_logits, label_smoothing
    recipe: Mapping[str, Any]  # as records.Recipe
    labels: Mapping[str, Any]  # encoding, tail (shape after the batch axis), wrong (share of labels that are not the image's)
    batch_size: int
    epochs: int = 30
    rows: int = EPOCH_IMAGES  # different images that it is trained on
    epoch_images: int = EPOCH_IMAGES  # those of one epoch
    images: int = 30 * EPOCH_IMAGES  # that are trained in all, each as often as it is repeated
    rates: tuple[float, ...] = ()  # the learning rate of each epoch, the last one's for all that follow; empty: the optimizer's own
    class_weights: tuple[float, ...] = ()  # of the ten classes; empty: all one
    sample_weights: tuple[float, ...] = ()  # of which each image gets one, drawn at random; empty: all one
    notes: tuple[str, ...] = ()

    def as_request(self) -> dict[str, Any]:
        """What box 2 is told."""
        return {
            "config": self.config,
            "input_shape": list(self.input_shape),
            "optimizer": self.optimizer,
            "loss": self.loss,
            "recipe": self.recipe,
            "labels": self.labels,
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "rows": self.rows,
            "epoch_images": self.epoch_images,
            "images": self.images,
            "rates": list(self.rates),
            "class_weights": list(self.class_weights),
            "sample_weights": list(self.sample_weights),
        }

    def within(self, images: int) -> "Specification":
        """The same training as far as so many images go: what would differ only later is left out, so that equal runs have equal keys."""
        rates = self.rates[: -(-images // self.epoch_images)]
        rates = rates if len(set(rates)) > 1 else ()
        return replace(
            self,
            rows=self.rows if self.rows < images else EPOCH_IMAGES,
            epoch_images=self.epoch_images if rates else EPOCH_IMAGES,
            rates=rates,
        )

    def key(self, **more: Any) -> str:
        """The content key, sha256 in hexadecimal: equal for submissions that ask for the same training, whatever their layers are called."""
        named = {**self.as_request(), "config": without_names(self.config, {})}
        return hashlib.sha256(json.dumps([named, more], sort_keys=True, allow_nan=False).encode()).hexdigest()


def specify(model: Model) -> Specification:
    """The training run that a model's last fitted state asks for. Raises RebuildRefused with a sentence where it cannot be repeated from data."""
    claim, compiled = model.claim, model.compiled
    if model.graph is None:
        raise RebuildRefused(model.refusal or "it could not be rebuilt")
    if compiled is None:
        raise RebuildRefused("it is never compiled, so there is no optimizer and no loss to train it with")
    fits = [fit for fit in model.fits if fit.train is not None]
    if not fits or fits[-1].train is None:
        raise RebuildRefused("no training call reached it" if not model.fits else "what reached its training call could not be read")
    fit = fits[-1]
    train = fits[-1].train
    notes: list[str] = []
    shape = model.graph.input_shape or claim.input_shape
    if shape is None:
        raise RebuildRefused("its input shape is not known")
    shape = tuple(size if size is not None else known for size, known in zip(shape, train.shape or shape, strict=False))
    if any(size is None for size in shape):
        raise RebuildRefused(f"its input shape {shape} leaves sizes open")
    if fit.own_steps:
        raise RebuildRefused(f"it is trained by methods of its own ({', '.join(fit.own_steps[:4])})")
    if callbacks := [name for name in fit.callbacks if name != "LearningRateScheduler" or not fit.rates]:
        notes.append(f"Callbacks are not repeated ({', '.join(callbacks[:4])}).")
    if fit.stopped:
        notes.append("A callback stopped the training here after its first batch; that is not repeated.")
    if fit.unread:
        notes.append(f"What fit is given as {' and '.join(fit.unread[:2])} could not be read and is not repeated.")
    rows, epoch_images, images = _amounts(model, fit, notes)
    if train.augmentation:
        notes.append(f"Augmentation outside the model is not repeated ({', '.join(train.augmentation[:4])}).")
    if asked := sorted(PRECISIONS & _strings(claim.config)):
        notes.append(f"The model asks to compute in {' and '.join(asked)}; it was trained in the grader's own precision.")
    return Specification(
        config=canonical(claim.config),
        input_shape=tuple(int(size) for size in shape if size is not None),
        optimizer=_optimizer(compiled, notes),
        loss=_loss(compiled),
        recipe=recipe_of(train, notes),
        labels=_labels(train),
        batch_size=_batch(fit.batch_size, train, notes),
        epochs=min(max((fit.epochs or 1) - fit.initial_epoch, 1), MOST_EPOCHS),
        rows=rows,
        epoch_images=epoch_images,
        images=images,
        rates=_rates(fit),
        class_weights=_class_weights(fit),
        sample_weights=_sample_weights(fit, compiled, notes),
        notes=tuple(notes),
    )


def _amounts(model: Model, fit: FitClaim, notes: list[str]) -> tuple[int, int, int]:
    """(different images, images of an epoch, images in all) that a model is trained on."""
    epochs = max((fit.epochs or 1) - fit.initial_epoch, 1)
    if fit.train is None or (fit.train.rows is None and fit.train.distinct is None):
        notes.append("How many different images its generator gives is not known; it was trained on all training images.")
    share = 1 - fit.validation_split if 0 < fit.validation_split < 1 else 1.0
    sets = {(_different(each.train), each.train.mean, each.train.std) for each in model.fits if each.train is not None}
    rows = min(max(round(share * sum(rows for rows, *_ in sets)), 1), EPOCH_IMAGES)
    epoch_images = max(round(share * min(EPOCH_IMAGES if fit.rows is None else fit.rows, EPOCH_IMAGES)), 1)
    return rows, epoch_images, min(max(epoch_images * epochs, model.images or 0), MOST_IMAGES)


def _different(train: DataClaim) -> int:
    return min(number for number in (train.rows, train.distinct, EPOCH_IMAGES) if number is not None)


def _rates(fit: FitClaim) -> tuple[float, ...]:
    """The learning rate of each epoch, where the callbacks change it."""
    rates = tuple(
        _rounded(rate) for rate in fit.rates[:MOST_EPOCHS] if rate is not None and math.isfinite(rate) and 0 <= rate < MOST_WEIGHT
    )
    own = isinstance(fit.optimizer_config, dict) and isinstance(fit.optimizer_config.get("learning_rate"), dict)
    return rates if len(set(rates)) > 1 and not own else ()


def _weights(given: tuple[float, ...]) -> tuple[float, ...]:
    if not all(math.isfinite(weight) and abs(weight) < MOST_WEIGHT for weight in given):
        raise RebuildRefused("it is trained with weights that are no ordinary numbers")
    return tuple(_rounded(weight) for weight in given)


def _class_weights(fit: FitClaim) -> tuple[float, ...]:
    table = dict(fit.class_weight)
    return _weights(tuple(table.get(number, 1.0) for number in range(10))) if table else ()


def _sample_weights(fit: FitClaim, compiled: CompileClaim, notes: list[str]) -> tuple[float, ...]:
    """Weights of single images, and the loss's own; which image has which is not repeated."""
    given = (fit.sample_weight or (fit.train.weights if fit.train else ()) or (1.0,))[:MOST_WEIGHTS]
    weights = _weights(tuple(compiled.loss_weight * weight for weight in given))
    if len(set(weights)) > 1:
        notes.append("Sample weights are repeated by how they are distributed, not image by image.")
        return weights
    return () if weights[0] == 1 else weights[:1]


def _strings(value: Any) -> set[str]:
    """Every string in plain data."""
    if isinstance(value, dict | list | tuple):
        return {word for item in (value.values() if isinstance(value, dict) else value) for word in _strings(item)}
    return {value} if isinstance(value, str) else set()


def _optimizer(compiled: CompileClaim, notes: list[str]) -> dict[str, Any]:
    name = compiled.optimizer
    if name not in OPTIMIZERS:
        raise RebuildRefused(f"its optimizer {name[:40]!r} is not one of Keras' own")
    given = compiled.optimizer_config if isinstance(compiled.optimizer_config, dict) else {}
    config: dict[str, Any] = {}
    for key, value in given.items():
        if key in _DROPPED:
            continue
        if key == "learning_rate":
            config[key] = _rate(value, compiled, notes)
        elif value is None or isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e9):
            config[str(key)[:40]] = value
        else:
            raise RebuildRefused(f"its optimizer sets {str(key)[:40]!r} to something that is not a number")
    if "learning_rate" not in config and compiled.learning_rate is not None:
        config["learning_rate"] = _rounded(compiled.learning_rate)
    return {"class_name": name, "config": config}


def _rate(value: Any, compiled: CompileClaim, notes: list[str]) -> Any:
    if isinstance(value, dict):
        inner = value.get("config")
        if value.get("class_name") in SCHEDULES and isinstance(inner, dict):
            plain = {
                str(key)[:40]: item
                for key, item in inner.items()
                if isinstance(item, int | float | bool) or (isinstance(item, list) and all(isinstance(each, int | float) for each in item))
            }
            return {"class_name": value["class_name"], "config": plain}
        if compiled.learning_rate is None:
            raise RebuildRefused("its learning rate follows a schedule that is not one of Keras' own")
        notes.append("The learning rate's schedule is not repeated; its first value is used.")
        return compiled.learning_rate
    if isinstance(value, int | float) and math.isfinite(value):
        return _rounded(value)
    if compiled.learning_rate is not None and math.isfinite(compiled.learning_rate):
        return _rounded(compiled.learning_rate)
    raise RebuildRefused("its learning rate is not a number")


def _loss(compiled: CompileClaim) -> dict[str, Any]:
    name = _LOSS_ALIASES.get(compiled.loss or "", compiled.loss or "")
    if name not in LOSSES:
        what = f"a loss of its own ({compiled.custom_loss[:60]})" if compiled.custom_loss else f"no stock loss ({name[:40] or 'none'})"
        raise RebuildRefused(f"it is compiled with {what}")
    result: dict[str, Any] = {"name": name}
    if name in _ONLY_WITH_LOGITS:
        result["from_logits"] = compiled.from_logits
    if name in _ONLY_WITH_SMOOTHING:
        result["label_smoothing"] = compiled.label_smoothing if 0 <= compiled.label_smoothing < 1 else 0.0
    return result


def recipe_of(train: DataClaim, notes: list[str]) -> dict[str, Any]:
    """How box 2 makes the images that reached a call. Raises RebuildRefused where no rule says it."""
    found = train.recipe
    if found is None:
        raise RebuildRefused(
            "the images that reached fit could not be matched with the stored ones, so their preprocessing cannot be repeated"
        )
    if found.kind == "unknown" and not found.grayscale:
        raise RebuildRefused("the preprocessing of its images fits no rule that can be repeated (such as a scale and an offset)")
    if found.kind == "per_pixel":
        notes.append("The images' own map per pixel is repeated per channel.")
    numbers = [*found.scale, *found.offset]
    if not all(math.isfinite(number) and abs(number) < 1e6 for number in numbers):
        raise RebuildRefused("the preprocessing of its images has numbers that are not finite")
    kind = "affine" if found.kind == "unknown" else found.kind
    scale, offset = (list(found.scale) or [1 / 255], list(found.offset) or [0.0])
    digits = _DIGITS if found.residual < _EXACT else _FEW_DIGITS
    if found.resized and max(found.resized) > 128:
        raise RebuildRefused(f"its images are enlarged to {found.resized[0]}x{found.resized[1]}, too large for the short training check")
    return {
        "kind": kind,
        "scale": [_rounded(number, digits) for number in scale],
        "offset": [round(number, digits - 1) + 0.0 for number in offset],  # a zero has no sign
        "resized": list(found.resized) if found.resized else None,
        "channels_first": found.channels_first,
        "flattened": found.flattened,
        "grayscale": found.grayscale,
    }


def _rounded(number: float, digits: int = _DIGITS) -> float:
    """A number to so many significant digits."""
    return float(f"{number:.{digits - 1}e}")


def _labels(train: DataClaim) -> dict[str, Any]:
    found = train.labels
    if found is None or found.encoding == "other":
        raise RebuildRefused("its labels are neither class numbers nor one-hot rows")
    tail = [] if found.encoding == "one_hot" or not found.shape else [1]
    agreement = 1.0 if found.agreement is None or found.agreement >= _LABELS_ARE_OWN else found.agreement
    wrong = min(max((1.0 - agreement) / 0.9, 0.0), 1.0)  # a random label is right by chance one time in ten
    return {"encoding": found.encoding, "tail": tail, "wrong": round(wrong, 2)}


def _batch(claimed: int | None, train: DataClaim, notes: list[str]) -> int:
    size = claimed if claimed is not None and claimed > 0 else DEFAULT_BATCH
    if train.rows:
        size = min(size, train.rows)
    if size > MOST_BATCH:
        notes.append(f"Batches of {size} are made smaller, to {MOST_BATCH}.")
    return min(size, MOST_BATCH)


def without_names(item: Any, numbers: dict[str, str]) -> Any:
    """The same data with the layers of each model numbered in order of appearance instead of named; `numbers`: those of the model around it.

    Only a layer's own name and the references to it in its model's graph are replaced. Whatever else is called a name (a policy's, an argument's) is content:
    two trainings that differ in it are two.
    """

    def number(name: Any) -> Any:
        return numbers.setdefault(name, f"layer {len(numbers)}") if isinstance(name, str) else name

    if isinstance(item, list | tuple):
        return [without_names(each, numbers) for each in item]
    if not isinstance(item, dict):
        return item
    config, is_model = item.get("config"), item.get("class_name") in MODELS
    is_layer = is_model or str(item.get("module")).startswith(("keras.layers", "keras.src.ops"))
    inner: dict[str, str] = {} if is_model else numbers
    found = {key: without_names(each, inner if key == "config" else numbers) for key, each in sorted(item.items())}
    if is_layer and isinstance(config, dict):
        own = {key: number(part["name"]) for key, part in (("config", config), ("layer", item)) if "name" in part}
        ends = {key: without_names(_tensors(config[key]), inner) for key in ("input_layers", "output_layers") if is_model and key in config}
        found["config"] |= ends | ({"name": own["config"]} if "config" in own else {})
        found |= {"name": own["layer"]} if "layer" in own else {}
    if item.get("class_name") == TENSOR and isinstance(config, dict) and isinstance(history := config.get("keras_history"), list):
        found["config"]["keras_history"] = [number(each) for each in history[:1]] + history[1:]
    return found


def _tensors(item: Any) -> Any:
    """The `[name, index, index]` of a model's ends, or a list or table of such, as tensors that carry it."""
    if isinstance(item, list) and item and isinstance(item[0], str):
        return {"class_name": TENSOR, "config": {"keras_history": item}}
    if isinstance(item, list):
        return [_tensors(each) for each in item]
    return {key: _tensors(each) for key, each in item.items()} if isinstance(item, dict) else item
