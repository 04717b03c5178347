"""What `grade calibrate all_cnn_c` trains: the solution's three models, honest variants, the fragile model, and defects.

Every variant is the solution with one thing changed. `kind`: reference | honest | fragile | slow | defect. `seeds`: how many are run.
`visible` is False for defects that a short run cannot show; `caught_by` names the criterion that catches them instead.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

from grader.training import transform as t
from grader.training.specification import Specification


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant: `role` names the solution's model that `make` changes."""

    name: str
    kind: str
    seeds: int
    make: Callable[[Specification], Specification]
    role: str = "base"
    visible: bool = True
    caught_by: str = ""
    cause: str = ""


def _is_conv(layer: t.Layer) -> bool:
    return layer["class_name"] == "Conv2D"


def _is_scores(layer: t.Layer) -> bool:
    return _is_conv(layer) and layer["config"]["filters"] == 10


def _rectified(layer: t.Layer) -> bool:
    return t.activation(layer) == "relu"


def relu_scores(s: Specification) -> Specification:
    """ReLU on the convolution to ten maps: the textbook's own mistake."""
    return t.edited(s, t.set_activation("relu"), _is_scores)


def three_stages(s: Specification) -> Specification:
    """64, 128 and 256 filters, the last convolution of each stage with stride 2, then 1x1 to ten maps."""
    config = copy.deepcopy(dict(s.config))
    pattern = next(layer for layer in config["config"]["layers"] if _is_conv(layer))
    rest = [layer for layer in config["config"]["layers"] if not _is_conv(layer)]
    scores = next(copy.deepcopy(layer) for layer in config["config"]["layers"] if _is_scores(layer))
    made = []
    for stage, filters in enumerate((64, 128, 256)):
        for index in range(3):
            layer = copy.deepcopy(pattern)
            layer["config"].update(name=f"stage{stage}_{index}", filters=filters, strides=[2, 2] if index == 2 else [1, 1])
            made.append(layer)
    head = [layer for layer in rest if layer["class_name"] in ("GlobalAveragePooling2D", "Dense")]
    first = [layer for layer in rest if layer not in head]
    config["config"]["layers"] = [*first, *made, scores, *head]
    return replace(s, config=config)


def batch_normalised(s: Specification) -> Specification:
    """Convolution, BatchNormalization, ReLU in place of convolution with ReLU."""
    s = t.inserted_after(s, _rectified, lambda index: t.stock("ReLU", name=f"relu_{index}"))
    s = t.inserted_after(
        s,
        lambda layer: _is_conv(layer) and not _is_scores(layer),
        lambda index: t.stock("BatchNormalization", name=f"bn_{index}", momentum=0.99, epsilon=0.001),
    )
    return t.edited(s, t.set_activation("linear"), _is_conv)


def _weights(layer: t.Layer) -> bool:
    return layer["class_name"] in t.WEIGHTED


def _freeze(layer: t.Layer) -> None:
    layer["config"]["trainable"] = False


def _dropout(rate: float) -> Callable[[Specification], Specification]:
    return lambda s: t.edited(s, lambda layer: layer["config"].update(rate=rate), t.is_class("Dropout"))


def _two_softmaxes(s: Specification) -> Specification:
    config = copy.deepcopy(dict(s.config))
    config["config"]["layers"].append(t.stock("Activation", activation="softmax", name="second_softmax"))
    return replace(s, config=config)


def _loss(name: str, **more: object) -> Callable[[Specification], Specification]:
    return lambda s: replace(s, loss={"name": name, **more})


def _l2(layer: t.Layer) -> None:
    layer["config"]["kernel_regularizer"] = {
        "module": "keras.regularizers",
        "class_name": "L2",
        "config": {"l2": 1.0},
        "registered_name": None,
    }


VARIANTS = (
    Variant(name="reference", kind="reference", seeds=10, make=lambda s: s),
    Variant(name="reference_dropout", kind="reference", seeds=5, role="dropout", make=lambda s: s),
    Variant(name="reference_augmentation", kind="reference", seeds=5, role="augmentation", make=lambda s: s),
    Variant(name="batch_normalisation", kind="honest", seeds=5, make=batch_normalised),
    Variant(
        name="he_normal",
        kind="honest",
        seeds=5,
        make=lambda s: t.edited(s, t.set_initializer(t.initializer("HeNormal", seed=None)), _weights),
    ),
    Variant(name="sgd_momentum", kind="honest", seeds=5, make=lambda s: t.with_optimizer(s, "SGD", learning_rate=0.05, momentum=0.9)),
    Variant(name="rate_3e-4", kind="honest", seeds=5, make=lambda s: t.with_rate(s, 3e-4)),
    Variant(name="stages_64_128_256", kind="honest", seeds=5, make=three_stages),
    Variant(
        name="standardised",
        kind="honest",
        seeds=5,
        make=lambda s: t.with_recipe(s, "affine", [0.0158, 0.0160, 0.0150], [-1.98, -1.97, -1.71]),
    ),
    Variant(name="fragile", kind="fragile", seeds=10, make=relu_scores, cause="silent_score_maps"),
    Variant(name="stages_relu_scores", kind="fragile", seeds=3, make=lambda s: relu_scores(three_stages(s)), cause="silent_score_maps"),
    Variant(
        name="no_nonlinearity",
        kind="defect",
        seeds=3,
        make=lambda s: t.edited(s, t.set_activation("linear"), _is_conv),
        visible=False,
        caught_by="model.nonlinear",
        cause="no_nonlinearity",
    ),
    Variant(
        name="sigmoid_everywhere",
        kind="defect",
        seeds=3,
        make=lambda s: t.edited(s, t.set_activation("sigmoid"), _rectified),
        cause="saturating",
    ),
    Variant(
        name="raw_pixels",
        kind="defect",
        seeds=3,
        make=lambda s: t.with_recipe(s, "identity", [1.0], [0.0]),
        visible=False,
        caught_by="data.normalized",
        cause="raw_pixels",
    ),
    Variant(name="rate_0.1", kind="defect", seeds=3, make=lambda s: t.with_rate(s, 0.1), cause="rate_too_high"),
    Variant(name="rate_1e-6", kind="defect", seeds=3, make=lambda s: t.with_rate(s, 1e-6), cause="rate_too_low"),
    Variant(name="frozen_convolutions", kind="defect", seeds=3, make=lambda s: t.edited(s, _freeze, _is_conv), cause="frozen"),
    Variant(
        name="two_softmaxes", kind="defect", seeds=3, make=_two_softmaxes, visible=False, caught_by="model.head", cause="two_softmaxes"
    ),
    Variant(
        name="shuffled_labels", kind="defect", seeds=3, make=lambda s: replace(s, labels={**s.labels, "wrong": 1.0}), cause="wrong_labels"
    ),
    Variant(name="squared_error_on_class_numbers", kind="defect", seeds=3, make=_loss("mean_squared_error"), cause="loss_does_not_fit"),
    Variant(
        name="dropout_0.9",
        kind="defect",
        seeds=3,
        role="dropout",
        visible=False,
        caught_by="dropout.rate",
        make=_dropout(0.9),
        cause="dropout_too_high",
    ),
    Variant(
        name="zero_initialisation",
        kind="defect",
        seeds=3,
        make=lambda s: t.edited(s, t.set_initializer(t.initializer("Zeros")), _weights),
        cause="initialisation",
    ),
    Variant(name="l2_of_one", kind="defect", seeds=3, make=lambda s: t.edited(s, _l2, _weights), cause="regularisation_too_strong"),
    Variant(
        name="relu_before_softmax",
        kind="defect",
        seeds=3,
        visible=False,
        caught_by="model.head",
        make=lambda s: _relu_head(s),  # noqa: PLW0108 (defined below)
        cause="relu_before_softmax",
    ),
    Variant(
        name="sgd_momentum_0.01",
        kind="slow",
        seeds=3,
        make=lambda s: t.with_optimizer(s, "SGD", learning_rate=0.01, momentum=0.9),
        cause="optimizer",
    ),
    Variant(
        name="sgd_without_momentum", kind="slow", seeds=3, make=lambda s: t.with_optimizer(s, "SGD", learning_rate=0.01), cause="optimizer"
    ),
)


def _relu_head(s: Specification) -> Specification:
    """Dense with ReLU, and a softmax after it."""
    config = copy.deepcopy(dict(s.config))
    config["config"]["layers"][-1]["config"]["activation"] = "relu"
    config["config"]["layers"].append(t.stock("Activation", activation="softmax", name="softmax"))
    return replace(s, config=config)
