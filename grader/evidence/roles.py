"""Which model is the base, the dropout, the augmentation model: of those that the notebook works on, by structure first, then by section heading and order.

The exercise reuses one variable for all three, students add helpers and further models; names therefore count for nothing. A model that was trained on
next to nothing, or never, is none that the notebook is about where another one for the same part was really trained.
"""

from collections.abc import Callable, Mapping

from grader import graph as graphs
from grader.records import Graph, Model, Node, Role

_MODERATE = {
    "RandomRotation": 0.25,
    "RandomZoom": 0.5,
    "RandomTranslation": 0.4,
    "RandomShear": 0.5,
    "RandomBrightness": 0.6,
    "RandomContrast": 0.8,
}
"""The largest factor of each random layer that still is an answer to section 6: of a full turn (rotation), else of the size or the range of values.
Decides between candidates only, never points."""

_PASS = 50_000
"""Images of one epoch where a training loop does not tell how many: CIFAR-10's training set."""
_TIMES = 20
"""Trained so many times as long, a model is the notebook's subject rather than one that was trained on next to nothing: in less than one twentieth of an
epoch (2,500 images) no run of the reference was above chance (its first in `reference/all_cnn_c/runs.csv` are at 2,560). An All-CNN trained for one epoch
beside a small network trained for a hundred stays a subject."""
_PART = 100
"""Of an epoch's images too few are used to learn what a class looks like, however often: five hundred, fifty of each class."""
_SHOWN = 0.3
"""What each way of following a model's training (history kept, curves plotted, evaluated) counts: all three together less than one structural demand."""


_NO_DROPOUT = "No second model with Dropout was found: the section asks for a new model, built and trained again."


def match(models: tuple[Model, ...]) -> Mapping[str, Role]:
    """The roles "base", "dropout" and "augmentation", each with a model or None and a sentence that says why."""
    able = tuple(model for model in models if _is_classifier(model))
    found = {
        "base": Role(model=None, reason=_why_none(models)),
        "dropout": Role(model=None, reason=_NO_DROPOUT),
        "augmentation": Role(model=None, reason="No model with augmentation layers was found."),
    }
    if not able:
        begun = [model for model in models if model.claim.unfinished and model.graph is not None]
        if begun:
            last = max(begun, key=_structure)
            found["base"] = Role(model=last, reason=f"{_where(last)}: the only network that was started.")
        return found
    subjects = _subjects(able)
    base = max(subjects, key=lambda model: (_as_base(model, able), -model.claim.serial, -model.claim.version))
    others = tuple(model for model in able if model is not base)
    dropout = _best(others, _as_dropout) or _best(tuple(model for model in able if model.section == 5), _as_dropout)
    augmentation = _best(tuple(model for model in others if model is not dropout), _as_augmentation) or _best(able, _as_augmentation)
    found["base"] = Role(model=base, reason=_base_reason(base, able, subjects))
    for name, model, because in (("dropout", dropout, "has Dropout"), ("augmentation", augmentation, "augments its images")):
        if model is not None:
            found[name] = Role(model=model, reason=_reason(model, because))
    return found


def _is_classifier(model: Model) -> bool:
    """A model that turns images (or anything) into class scores; helper models without a weight are not."""
    graph = model.graph
    if model.claim.unfinished:
        return False
    if graph is None:
        return any(layer.parameters for layer in model.claim.layers) or model.fitted
    if graph.parameters == 0 or len(graph.outputs) != 1:
        return False
    output = graph.nodes[graph.outputs[0]].output_shape
    return output is not None and (len(output) == 1 or model.fitted)


def likeness(graph: Graph) -> float:
    """How much of the wanted structure a graph has, 0 to 10; decides between candidates only, never points."""
    found, head = graphs.convolutions(graph), graphs.head(graph)
    strided = sum(1 for node in found if max(graphs.strides(node)) >= 2 and max(graphs.kernel(node)) > 1)
    points = [
        2.0 * (graph.input_shape == (32, 32, 3)),
        1.0 * (head.units == 10),
        1.5 * bool(found),
        1.0 * (bool(found) and not any(graphs.is_pooling(graph, node) for node in graphs.live(graph))),
        1.0 * (bool(found) and not any(graphs.is_flattening(graph, node) for node in graphs.live(graph))),
        1.0 * (strided >= 2),
        1.0 * (bool(found) and graphs.filters(found[-1]) == 10),
        1.0 * (head.average is not None),
        0.5 * (head.average is not None and head.dense is not None),
    ]
    return sum(points)


def _subjects(models: tuple[Model, ...]) -> tuple[Model, ...]:
    """The models that the notebook works on: without those that were trained on next to nothing where another of `models` was really trained."""
    return tuple(model for model in models if not any(_is_decoy(model, other) for other in models))


def _is_decoy(model: Model, other: Model) -> bool:
    """Whether `model` was trained on next to nothing and `other` really: less than a twentieth of its images, and less than one epoch of them.

    It is next to nothing where it cannot suffice to be above chance (`_TIMES`, `_PART`), or where the notebook follows the other's training more. A model
    that was never trained stays section 1's own answer, and none is a decoy beside what was made of it for a later section.
    """
    images = _PASS if other.images is None else other.images
    if (
        model.images is None
        or _TIMES * model.images >= images
        or all(fit.error is not None for fit in other.fits)
        or _is_variant(other, model)
    ):
        return False
    if not model.fits:
        return other.graph is not None and not model.section == 1 != other.section
    epoch = max((fit.rows or _PASS for fit in other.fits), default=_PASS)
    rows = max((fit.rows or 0 for fit in model.fits), default=0)
    little = _TIMES * model.images < epoch or _PART * rows < epoch or model.shown < other.shown
    return model.images < epoch and little


def _is_variant(model: Model, base: Model) -> bool:
    """Whether `model` is `base` with the additions of a later section, and nothing else."""
    if model.graph is None or base.graph is None:
        return False
    return _added(model.graph) != _added(base.graph) and _core(model.graph) == _core(base.graph)


def _added(graph: Graph) -> tuple[bool, bool]:
    return bool(graphs.dropout_layers(graph)), bool(graphs.augmentation_layers(graph))


def _core(graph: Graph) -> list[object]:
    without = graphs.DROPOUTS | graphs.AUGMENTATION | {"InputLayer"}
    nodes = [node for node in graphs.live(graph) if node.class_name not in without]
    return [(node.class_name, node.output_shape, node.parameters, graphs.activation(node)) for node in nodes]


def _progress(model: Model) -> float:
    trained = any(fit.error is None for fit in model.fits)
    return 3.0 * trained + 1.5 * (model.fitted and not trained) + 1.0 * (model.compiled is not None) + _SHOWN * model.shown


def _structure(model: Model) -> float:
    return likeness(model.graph) if model.graph is not None else 5.0


def _as_base(model: Model, able: tuple[Model, ...]) -> float:
    score = _structure(model) + _progress(model) + 1.5 * (model.section in (1, 2, 3, 4)) - 1.5 * (model.section in (5, 6))
    if model.graph is not None and len(able) > 1:
        score -= 2.0 * bool(graphs.head(model.graph).dropouts) + 0.5 * bool(graphs.dropout_layers(model.graph))
        score -= 4.0 * bool(graphs.augmentation_layers(model.graph))
    if any(fit.train is not None and fit.train.augmentation for fit in model.fits) and len(able) > 1:
        score -= 2.0
    if model.claim.pretrained or (len(able) > 1 and not (model.claim.names or model.fits or model.compiled)):
        score -= 2.0
    return score


def _described(model: Model, classes: frozenset[str], section: int) -> bool:
    """Whether a model that could not be rebuilt may have such layers, by their names or as its section asks for them: then its part needs manual review."""
    return model.graph is None and (model.section == section or any(layer.class_name in classes for layer in model.claim.layers))


def _as_dropout(model: Model) -> float:
    if model.graph is None:
        return (1.0 + 3.0 * (model.section == 5)) * _described(model, graphs.DROPOUTS, 5)
    if not graphs.dropout_layers(model.graph):
        return 0.0
    score = (
        4.0 + 3.0 * bool(graphs.head(model.graph).dropouts) + 3.0 * (model.section == 5) + 0.5 * _structure(model) + 0.5 * _progress(model)
    )
    rates = [float(node.config.get("rate", 0.0)) for node in graphs.head(model.graph).dropouts if graphs.activity(node) == "training"]
    score += 0.4 * any(0.1 <= rate <= 0.3 for rate in rates)  # of several rates tried, one from the suggested range
    return score - (6.0 if graphs.augmentation_layers(model.graph) else 0.0) - (5.0 if model.section == 6 else 0.0)


def _as_augmentation(model: Model) -> float:
    inside = _described(model, graphs.AUGMENTATION, 6) or (model.graph is not None and bool(graphs.augmentation_layers(model.graph)))
    outside = any(fit.train is not None and fit.train.augmentation for fit in model.fits)
    if not inside and not outside:
        return 0.0
    score = 4.0 * inside + 1.0 + 2.0 * (model.section == 6) + 0.5 * _structure(model) + 0.5 * _progress(model)
    return score - 0.4 * (model.graph is not None and any(_is_extreme(node) for node in graphs.augmentation_layers(model.graph)))


def _is_extreme(layer: Node) -> bool:
    """Whether a random layer changes images beyond what photographs of a thing differ in, or not at all: of several models tried, an experiment, not the answer."""
    largest = max(map(abs, graphs.factors(layer)), default=0.5)
    return not 0 < largest <= _MODERATE.get(layer.class_name, 1.0) or graphs.activity(layer) != "training"


def _best(models: tuple[Model, ...], score: Callable[[Model], float]) -> Model | None:
    """Of the models that score above zero and that the notebook works on the one that scores highest, the later one of equals; None where there is none."""
    able = _subjects(tuple(model for model in models if score(model) > 0))
    return max(able, key=lambda model: (score(model), model.claim.serial, model.claim.version), default=None)


def _where(model: Model) -> str:
    names = " or ".join(f'"{name}"' for name in model.claim.names[:2]) or "a model without a name"
    did = f"trained in cell {model.fits[-1].cell}" if model.fits else f"{'compiled' if model.compiled else 'built'}, never trained"
    return f"{names} of cell {model.claim.cell} ({did})"


def _reason(model: Model, because: str) -> str:
    section = f" and is in section {model.section}" if model.section else ""
    return f"{_where(model)}: it {because}{section}."


def _base_reason(base: Model, able: tuple[Model, ...], subjects: tuple[Model, ...]) -> str:
    if len(able) == 1:
        return f"{_where(base)}: the only classifier that the notebook builds."
    words = ""
    if passed := [model for model in able if model not in subjects and _structure(model) > _structure(base)]:
        words = f" {_where(passed[0])} was passed over: trained on {passed[0].images:,} images, it is not what the notebook is about."
    return f"{_where(base)}: of {len(able)} classifiers the one that is closest to the required network{', trained' if base.fitted else ''}, without the later sections' additions.{words}"


def _why_none(models: tuple[Model, ...]) -> str:
    if models:
        return "The notebook builds models, but none that turns images into class scores."
    return "No model was built by any cell that ran."
