"""Why a model does not learn: candidate causes read from its specification, in the order in which they are tried.

A candidate is only a suspicion. It becomes the diagnosis when the same model with that one thing changed learns from the same seed
(`measure`). Adding a cause is adding a function to `CAUSES` (or to `LAST_RESORTS`, where nothing in the model speaks for it).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grader.records import Counterfactual, Rerun, Training, Verdict
from grader.training import transform as t
from grader.training.specification import EPOCH_IMAGES, Specification
from grader.words import counted

USUAL_RATE = {"SGD": 0.01, "Adagrad": 0.01, "Adadelta": 1.0, "Ftrl": 0.01}
"""Keras' default rates where they are not 0.001; Adadelta's and Adagrad's defaults in Keras 3 (0.001) are far below their papers'."""

_ADAPTIVE_RATE = 1e-3
TAKE_OFF_STEPS = 75
"""Steps in which the reference had left guessing on every seed (9,600 images in batches of 128; reference/all_cnn_c/runs.csv)."""

ENOUGH_IMAGES = 19_200
"""Images of the whole short budget (`course.SCHEDULE`): a call that asks for fewer is suspected."""

_HIGH, _LOW = 3.0, 0.1
"""A rate over `_HIGH` or under `_LOW` times the usual one is suspected. Measured: Adam learns at 3e-4 and 1e-3 (training-findings)."""

_SATURATING = frozenset(["sigmoid", "tanh", "hard_sigmoid", "softmax", "softplus", "softsign", "exponential"])
_RECTIFIERS = frozenset(["relu", "relu6"])
_HIGH_DROPOUT = 0.5
_SMALL_NORM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """One change. `change` reads on from "with "; `cure` is what the student is told to do; `because` names what in the model is suspected.

    `changed` is the specification with the change.
    """

    cause: str
    because: str
    change: str
    cure: str
    changed: Specification


Cause = Callable[[Specification], Iterator[Intervention]]


def suspected(specification: Specification) -> list[Intervention]:
    """The changes that something in the specification speaks for, most likely cause first, each cause once."""
    return _first_of_each(CAUSES, specification)


def last_resorts(specification: Specification) -> list[Intervention]:
    """The changes that help some networks although nothing in the specification speaks for them."""
    return _first_of_each(LAST_RESORTS, specification)


def _first_of_each(causes: tuple[Cause, ...], specification: Specification) -> list[Intervention]:
    found: dict[str, Intervention] = {}
    for cause in causes:
        for intervention in cause(specification):
            found.setdefault(intervention.cause, intervention)
    return list(found.values())


def risk(specification: Specification) -> Intervention | None:
    """The change that takes away what is known to make a model die by chance, a rectifier on the convolution to ten maps; None where there is none."""
    return next(silent_score_maps(specification), None)


def told(training: Training, specification: Specification, failing: Rerun, *, out_of_time: bool = False) -> Training:
    """`training` with the diagnosis in words, from its counterfactuals; where it ended `out_of_time`, what is suspected may not have been tried.

    A run that is at guessing when the budget ends, and not dead, fails only for a cause that its specification shows and a change proves.
    Everything else is *slow*: it trains, and a short run, or one on as few images as the notebook's own, cannot tell how far it gets.
    """
    cured = named_by(training.counterfactuals)
    named = cured is not None and cured.cause in {found.cause for found in suspected(specification)}
    slow = cured is not None and (
        (cured.cause in ("optimizer", "rate_too_low") and within_reach(specification)) or cured.cause == "few_images"
    )
    verdict: Verdict = "slow" if training.verdict == "stuck" and (slow or not named) else training.verdict
    if cured is None:
        whole = dict.fromkeys(found.change for found in training.counterfactuals if found.rerun.ending != "cut")
        begun = [found.change for found in training.counterfactuals] + [found.change for found in suspected(specification) if out_of_time]
        cut = [change for change in dict.fromkeys(begun) if change not in whole]
        sentences = [f"No single change that was tried made it learn ({', '.join(whole)})."] * bool(whole)
        sentences += [f"Time was up before it was known whether it learns with {' or '.join(cut)}."] * bool(cut)
        return replace(training, verdict=verdict, diagnosis=" ".join(sentences))
    return replace(training, verdict=verdict, cause=cured.cause, because=cured.because, diagnosis=compared(cured, failing), cure=cured.cure)


def named_by(tried: Sequence[Counterfactual]) -> Counterfactual | None:
    """The change that names the cause: the one that cures, else the one that keeps alive; None where there is neither."""
    return next((found for found in tried if found.cures), None) or next((found for found in tried if found.lives), None)


def within_reach(specification: Specification) -> bool:
    """Whether all the epochs that the notebook asks for could take the weights as far as the reference's first `TAKE_OFF_STEPS` steps did.

    Rate times steps bounds how far an adaptive optimizer moves a weight; for the others it is taken as a measure of it.
    """
    rate = _rate(specification)
    if rate is None:
        return True
    steps = specification.images / specification.batch_size
    return rate * steps >= TAKE_OFF_STEPS * _usual(specification)


def compared(cured: Counterfactual, failing: Rerun) -> str:
    """The proof in words: the same model with and without the change."""
    if not cured.cures:
        alive = f"With {cured.change}, the same model no longer dies from the same random start; yours was dead after {failing.images:,} training images"
        return f"{alive}; after {cured.rerun.images:,} images it was still at chance level, so the short run only shows that it is no longer dead."
    reached = f"{cured.rerun.accuracy:.2f}" if cured.rerun.accuracy is not None else "more"
    stays = f"{failing.accuracy:.2f}" if failing.accuracy is not None else "0.10"
    after = f" (after {cured.rerun.images:,} training images from the same random start)"
    return f"With {cured.change}, the same model reaches an accuracy of {reached} where yours stays at {stays}{after}."


# ------------------------------------------------------------------ the causes, in order


def silent_score_maps(s: Specification) -> Iterator[Intervention]:
    """A rectifier on the convolution to ten maps, or in a layer behind it, can silence all ten for good."""
    place, cure = "on", "Give the convolution to 10 maps no activation (activation=None)."
    edit = t.set_activation("linear")
    chosen: Callable[[t.Layer], bool] = _is_scores
    if not any(_is_scores(layer) and t.activation(layer) in _RECTIFIERS for layer in t.layers(s.config)):
        place, cure = "behind", "Take the ReLU after the convolution to 10 maps out."
        edit, chosen = t.made_idle, _named(_rectifier_behind_scores(s))
    if any(chosen(layer) for layer in t.layers(s.config)):
        yield Intervention(
            cause="silent_score_maps",
            because=f"the ReLU {place} the convolution to 10 maps: once all ten maps are zero everywhere, no gradient passes any more",
            change=f"the ReLU {place} the 10-map convolution removed",
            cure=cure,
            changed=t.edited(s, edit, chosen),
        )


def relu_before_softmax(s: Specification) -> Iterator[Intervention]:
    """A ReLU on the class scores cuts every negative score off before the softmax."""
    last = _last_dense(s)
    if last is not None and t.activation(last) in _RECTIFIERS:
        yield Intervention(
            cause="relu_before_softmax",
            because="the ReLU on the last Dense layer: negative class scores become zero before the softmax sees them",
            change="the ReLU on the last Dense layer removed",
            cure="Give the last Dense layer the softmax itself and no ReLU.",
            changed=t.edited(s, t.set_activation("linear"), _named({_name(last)})),
        )


def fit_call(s: Specification) -> Iterator[Intervention]:
    """What `fit` was asked for: few images, weights, or rates so low that nothing is learned in them."""
    rate, usual = min((*s.rates, _usual(s) if (own := _rate(s)) is None else own)), _usual(s)
    parts = [f"{s.images:,} images in all"] * (s.images < ENOUGH_IMAGES)
    parts += [f"{counted(s.rows, 'different image')}"] * (s.rows < min(ENOUGH_IMAGES, s.images))
    parts += [f"class weights from {min(s.class_weights):g} to {max(s.class_weights):g}"] if s.class_weights else []
    parts += [f"sample weights from {min(s.sample_weights):g} to {max(s.sample_weights):g}"] if s.sample_weights else []
    low = [f"a learning rate of {rate:g}"] * (rate < _LOW * usual)
    if parts or (s.rates and low):
        changed = replace(
            s, rows=EPOCH_IMAGES, epoch_images=EPOCH_IMAGES, images=s.epochs * EPOCH_IMAGES, class_weights=(), sample_weights=()
        )
        yield Intervention(
            cause="fit_call" if s.class_weights or s.sample_weights or low else "few_images",
            because=f"what fit was asked for: {', '.join(parts + low)}",
            change="fit called on all training images, without weights" + f" and at a learning rate of {usual:g}" * bool(low),
            cure="Call fit on all training images, for the epochs that the exercise asks for, and without weights or callbacks that keep it from learning.",
            changed=t.with_rate(changed, usual) if low else replace(changed, rates=()),
        )


def wrong_labels(s: Specification) -> Iterator[Intervention]:
    """Labels that are not their images'."""
    if s.labels.get("wrong", 0) > 0.1:
        yield Intervention(
            cause="wrong_labels",
            because=f"the labels: about {s.labels['wrong']:.0%} of them are not those of their images",
            change="every image's own label",
            cure="Keep images and labels in the same order: shuffle both with one permutation, or neither.",
            changed=replace(s, labels={**s.labels, "wrong": 0.0}),
        )


def loss_does_not_fit(s: Specification) -> Iterator[Intervention]:
    """A loss that does not fit the labels or the head."""
    one_hot, softmax = s.labels["encoding"] == "one_hot", _ends_in_softmax(s)
    wanted: dict[str, Any] = {
        "name": "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy",
        "from_logits": not softmax,
    }
    if s.loss["name"] == wanted["name"] and bool(s.loss.get("from_logits")) == wanted["from_logits"]:
        return
    told_logits = s.loss["name"] == wanted["name"]
    what = f"from_logits={wanted['from_logits']}" if told_logits else wanted["name"] + (", from_logits=True" if not softmax else "")
    yield Intervention(
        cause="loss_does_not_fit",
        because=f"the loss {s.loss['name']}: it does not fit {'one-hot rows' if one_hot else 'class numbers'} and {'a softmax' if softmax else 'raw scores'}",
        change=f"the loss {what}",
        cure=f"Compile with {what}.",
        changed=replace(s, loss=wanted),
    )


def two_softmaxes(s: Specification) -> Iterator[Intervention]:
    """A softmax of a softmax is nearly flat."""
    found = [layer for layer in t.layers(s.config) if _is_softmax(layer)]
    if len(found) > 1:
        first = found[0]
        edit = t.made_idle if first["class_name"] in ("Softmax", "Activation") else t.set_activation("linear")
        yield Intervention(
            cause="two_softmaxes",
            because="two softmaxes in a row: the second sees numbers between 0 and 1 only, and its answer stays nearly flat",
            change="one softmax instead of two",
            cure="Keep the softmax of the last layer and take the other one out.",
            changed=t.edited(s, edit, _named({_name(first)})),
        )


def initialisation(s: Specification) -> Iterator[Intervention]:
    """Kernels that start equal or far too large or small."""
    odd = {name for layer in t.layers(s.config) if layer["class_name"] in t.WEIGHTED for name in [_odd_initializer(layer)] if name}
    if odd:
        yield Intervention(
            cause="initialisation",
            because=f"the kernels' initial values ({', '.join(sorted(odd))}): equal weights get equal gradients and stay equal",
            change="Keras' own initial values (glorot_uniform)",
            cure="Leave kernel_initializer at its default, or use he_normal.",
            changed=t.edited(s, t.set_initializer(t.initializer("GlorotUniform", seed=None)), t.is_class(*t.WEIGHTED)),
        )


def frozen(s: Specification) -> Iterator[Intervention]:
    """Layers that are not trained."""
    still = [layer for layer in t.layers(s.config) if layer["class_name"] in t.WEIGHTED and layer["config"].get("trainable") is False]
    if still:
        yield Intervention(
            cause="frozen",
            because=f"trainable=False on {counted(len(still), 'layer')}: what is computed there never changes",
            change="all layers trainable",
            cure="Set trainable=True before you compile.",
            changed=t.edited(s, lambda layer: layer["config"].update(trainable=True)),
        )


def rate_too_high(s: Specification) -> Iterator[Intervention]:
    """Steps so large that the first ones destroy the network."""
    rate, usual = _rate(s), _usual(s)
    if rate is not None and rate > _HIGH * usual:
        yield _at_rate(
            s,
            usual,
            "rate_too_high",
            f"the learning rate of {rate:g}: its first steps are so large that they destroy what the layers compute",
        )


def saturating(s: Specification) -> Iterator[Intervention]:
    """Sigmoids between convolutions shrink the gradient at every layer."""
    names = {t.activation(layer) for layer in t.layers(s.config) if _hidden(s, layer)} & _SATURATING
    if names:

        def edit(layer: t.Layer) -> None:
            if layer["class_name"] == "Softmax":
                layer.update(t.stock("ReLU", name=_name(layer)))
            else:
                layer["config"]["activation"] = "relu"

        yield Intervention(
            cause="saturating",
            because=f"{' and '.join(sorted(str(name) for name in names))} between the convolutions: the gradient shrinks at every layer it passes",
            change="ReLU between the convolutions",
            cure='Use activation="relu" in the convolutions.',
            changed=t.edited(s, edit, lambda layer: _hidden(s, layer) and t.activation(layer) in _SATURATING),
        )


def dropout_too_high(s: Specification) -> Iterator[Intervention]:
    """So much is hidden that nothing is left to decide from."""

    def hides(layer: t.Layer) -> bool:
        named = layer["class_name"].endswith("Dropout") or layer["class_name"].startswith("SpatialDropout")
        return named and (layer["config"].get("rate") or 0) > _HIGH_DROPOUT

    high = next(filter(hides, t.layers(s.config)), None)
    if high is not None:
        yield Intervention(
            cause="dropout_too_high",
            because=f"a dropout rate of {high['config']['rate']:g}: most of what the layer computes is hidden in every step",
            change="dropout rates of 0.2",
            cure="Use a rate from 0.1 to 0.3.",
            changed=t.edited(s, lambda layer: layer["config"].update(rate=0.2), hides),
        )


def regularisation_too_strong(s: Specification) -> Iterator[Intervention]:
    """A penalty that outweighs the loss."""
    keys = ("kernel_regularizer", "bias_regularizer", "activity_regularizer")
    if any(layer["config"].get(key) for layer in t.layers(s.config) for key in keys):
        yield Intervention(
            cause="regularisation_too_strong",
            because="the regularisation: its penalty outweighs the loss and pulls all weights to zero",
            change="no regularisation",
            cure="Use a factor of 1e-4 or less.",
            changed=t.edited(s, lambda layer: layer["config"].update({key: None for key in keys if key in layer["config"]})),
        )


def raw_pixels(s: Specification) -> Iterator[Intervention]:
    """Pixels of 0 to 255 where the layers' initial weights expect numbers around one."""
    scale = max((abs(number) for number in s.recipe["scale"]), default=1.0)
    inside = any(
        layer["class_name"] == "Rescaling" or (layer["class_name"] == "Normalization" and layer["config"].get("mean") is not None)
        for layer in t.layers(s.config)
    )
    if s.recipe["kind"] in ("identity", "affine") and scale * 255 > 20 and not inside:
        yield Intervention(
            cause="raw_pixels",
            because=f"pixel values of up to {scale * 255:.0f}: the first layer's outputs and gradients are that much too large",
            change="pixels divided by 255",
            cure="Divide both the training and the test images by 255.",
            changed=t.with_recipe(s, "affine", [1 / 255], [0.0]),
        )


def rate_too_low(s: Specification) -> Iterator[Intervention]:
    """Steps so small that nothing happens in the time there is."""
    rate, usual = _rate(s), _usual(s)
    if rate is not None and rate < _LOW * usual:
        yield _at_rate(s, usual, "rate_too_low", f"the learning rate of {rate:g}: the weights hardly move")


def optimizer(s: Specification) -> Iterator[Intervention]:
    """An optimizer that is slow on this network at its usual rate."""
    name, config = s.optimizer["class_name"], s.optimizer["config"]
    if name in ("Adagrad", "Adadelta", "Ftrl") or (name == "SGD" and not config.get("momentum")):
        yield Intervention(
            cause="optimizer",
            because=f"the optimizer {name}{' without momentum' if name == 'SGD' else ''}: on this network it needs many epochs to leave the start",
            change="Adam at its usual rate of 0.001",
            cure="Compile with Adam, or give SGD momentum=0.9.",
            changed=t.with_optimizer(s, "Adam", learning_rate=_ADAPTIVE_RATE),
        )


def no_nonlinearity(s: Specification) -> Iterator[Intervention]:
    """Convolutions with nothing between them are one convolution."""
    convolutions = [layer for layer in t.layers(s.config) if layer["class_name"] in t.CONVOLUTIONS]
    others = any(layer["class_name"] in ("ReLU", "LeakyReLU", "ELU", "PReLU", "Activation") for layer in t.layers(s.config))
    if convolutions and not others and all(t.activation(layer) in (None, "linear") for layer in convolutions):
        yield Intervention(
            cause="no_nonlinearity",
            because="no nonlinearity between the convolutions: together they are one linear map",
            change="ReLU after every convolution but the last",
            cure='Add activation="relu" to the convolutions, all but the last one.',
            changed=t.edited(s, t.set_activation("relu"), lambda layer: layer["class_name"] in t.CONVOLUTIONS and not _is_scores(layer)),
        )


def extreme_augmentation(s: Specification) -> Iterator[Intervention]:
    """Random image layers so strong that nothing of the class is left."""
    if any(layer["class_name"].startswith("Random") for layer in t.layers(s.config)):
        yield Intervention(
            cause="extreme_augmentation",
            because="the random image layers: they change the images more than the classes differ",
            change="no augmentation",
            cure="Make the random changes smaller, and look at a few augmented images.",
            changed=t.edited(s, t.made_idle, lambda layer: layer["class_name"].startswith("Random")),
        )


def smaller_rate(s: Specification) -> Iterator[Intervention]:
    """Last resort: units die at the usual rate, too; a third of it spared them where it was tried (training-findings)."""
    rate = _rate(s)
    if rate is not None and _LOW * _usual(s) <= rate <= _HIGH * _usual(s):
        yield _at_rate(s, 0.3 * rate, "rate_too_high", f"the learning rate of {rate:g}, which this network does not bear")


def _at_rate(s: Specification, better: float, cause: str, because: str) -> Intervention:
    return Intervention(
        cause=cause,
        because=because,
        change=f"a learning rate of {better:.2g} instead of {_rate(s):g}",
        cure=f"Compile with a learning rate of {better:.2g}.",
        changed=t.with_rate(s, better),
    )


def unnormalised_depth(s: Specification) -> Iterator[Intervention]:
    """Last resort: initial values for rectifiers."""
    if not any(_odd_initializer(layer) for layer in t.layers(s.config) if layer["class_name"] in t.WEIGHTED):
        yield Intervention(
            cause="initialisation",
            because="the kernels' initial values, which let the signal fade on its way through the layers",
            change="initial values for ReLU (he_normal)",
            cure='Give the convolutions kernel_initializer="he_normal".',
            changed=t.edited(s, t.set_initializer(t.initializer("HeNormal", seed=None)), t.is_class(*t.WEIGHTED)),
        )


CAUSES: tuple[Cause, ...] = (
    fit_call,
    wrong_labels,
    loss_does_not_fit,
    initialisation,
    rate_too_high,
    frozen,
    silent_score_maps,
    relu_before_softmax,
    saturating,
    regularisation_too_strong,
    raw_pixels,
    rate_too_low,
    two_softmaxes,
    dropout_too_high,
    optimizer,
    no_nonlinearity,
    extreme_augmentation,
)
LAST_RESORTS: tuple[Cause, ...] = (smaller_rate, unnormalised_depth)


# ------------------------------------------------------------------ questions about a specification


def _name(layer: t.Layer) -> Any:
    return layer["config"].get("name")


def _named(names: set[Any]) -> Callable[[t.Layer], bool]:
    return lambda layer: _name(layer) in names


def _is_scores(layer: t.Layer) -> bool:
    return layer["class_name"] in t.CONVOLUTIONS and layer["config"].get("filters") == 10


def _rectifier_behind_scores(s: Specification) -> set[str]:
    """Names of rectifying layers that stand right behind the convolution to ten maps (a BatchNormalization may stand between)."""
    found: set[str] = set()
    behind = False
    for layer in t.layers(s.config):
        if _is_scores(layer):
            behind = True
        elif behind and (layer["class_name"] == "ReLU" or (layer["class_name"] == "Activation" and t.activation(layer) in _RECTIFIERS)):
            found.add(str(_name(layer)))
        elif layer["class_name"] != "BatchNormalization":
            behind = False
    return found


def _last_dense(s: Specification) -> t.Layer | None:
    found = [layer for layer in t.layers(s.config) if layer["class_name"] == "Dense"]
    return found[-1] if found else None


def _is_softmax(layer: t.Layer) -> bool:
    return layer["class_name"] == "Softmax" or t.activation(layer) == "softmax"


def _ends_in_softmax(s: Specification) -> bool:
    return any(_is_softmax(layer) for layer in list(t.layers(s.config))[-3:])


def _hidden(s: Specification, layer: t.Layer) -> bool:
    """Whether the layer stands before the last layer with weights, and has a nonlinearity."""
    names = [_name(each) for each in t.layers(s.config)]
    weighted = [index for index, each in enumerate(t.layers(s.config)) if each["class_name"] in t.WEIGHTED]
    return bool(weighted) and _name(layer) in names[: weighted[-1]]


def _odd_initializer(layer: t.Layer) -> str:
    found = layer["config"].get("kernel_initializer")
    if not isinstance(found, Mapping):
        return ""
    name, config = str(found.get("class_name")), found.get("config") or {}
    if name in ("Zeros", "Ones", "Constant", "Identity"):
        return name
    spread = config.get("stddev", config.get("maxval"))
    if (
        name in ("RandomNormal", "TruncatedNormal", "RandomUniform")
        and isinstance(spread, int | float)
        and not _SMALL_NORM < abs(spread) < 0.3
    ):
        return f"{name} of {spread:g}"
    return ""


def _rate(s: Specification) -> float | None:
    rate = s.optimizer["config"].get("learning_rate")
    if isinstance(rate, Mapping):
        rate = rate.get("config", {}).get("initial_learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def _usual(s: Specification) -> float:
    return USUAL_RATE.get(s.optimizer["class_name"], _ADAPTIVE_RATE)
