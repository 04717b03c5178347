"""*What it checks.* The network sees small numbers: pixels scaled before `fit` or by the model's first layers.

*Why it matters.* Initial weights are sized for inputs around one.

*Inputs.* The recipe found for the training images (scale, offset per channel), or their sampled range; what of stored images, made by that recipe, was measured to reach the base model's first layer with weights.

*Units.* Pixel values; `magnitude` and `spread` in the network's input values.

*Tolerance and source.* Largest absolute value at most `magnitude` (standardised CIFAR-10 reaches 2.8), range at least `spread`. Small values in training only, which a BatchNormalization
in front of raw pixels gives: half the points.

*Edge cases.* Images divided twice (range under `spread`) or to whole numbers (`// 255`) fail, and so do images with values that are no numbers. No images seen at all: fail. Images whose
range is not known, that a defect of ours kept from being examined, that reach a model which could not be rebuilt or measured, or that a step in front changes value by value by more than a scale and an offset (`ReLU(max_value=1)`): `error`.

*Errors.* None.

*Example.* `x / 255`: [0, 1], pass. Raw pixels: [0, 255], fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._data import Span, lost, span, training_data
from grader.checks._helpers import absent, failed, graph_or_finding, model_of, partial, passed, undecided
from grader.records import Evidence, Finding, Graph

PARAMS: Params = {"magnitude": 6.0, "spread": 0.2}
_CLOSE = 0.1
_NORMALISING = ("Normalization", "Rescaling", "BatchNormalization")


def check(evidence: Evidence, params: Params) -> Finding:
    """Work out the range of the network's input."""
    if (unknown := lost(evidence)) is not None:
        return unknown
    data = training_data(evidence)
    if data is None or data.rows == 0:
        return absent(evidence, "data", "No images reached a training call, and no image array is left in the notebook.")
    if "float" in data.dtype and (data.minimum is None or data.maximum is None):  # what is not finite leaves the sandbox as None
        message = "Some image values are not numbers (NaN or infinite)."
        hint = "Look for a division by zero, or a logarithm of zero, before fit."
        return failed(message, "finite values", "NaN or infinite values", hint=hint)
    given = span(data)
    if given is None:
        return undecided("The value range of the images could not be determined; manual review is needed.", actual=data.dtype)
    expected = "about [0, 1], [-1, 1] or standardised"
    if "int" in data.dtype and given.high - given.low <= 1:
        message = f"The images hold whole numbers in {given} only: the fractions were lost."
        return failed(message, expected, f"{data.dtype} in {given}", hint="`//` drops the fraction; use `/`.")
    graph = graph_or_finding(evidence, stands=True) if model_of(evidence) else None
    if isinstance(graph, Finding):  # what it does to its input is not known
        return graph
    measured = graph.reaching if graph is not None else None
    seen = adapted = given
    if measured is not None:
        seen, adapted = (Span(low=low, high=high) for low, high, *_ in (measured.inference, measured.training))
    elif graph is not None and (front := [node for node in graphs.front(graph) if node.class_name not in graphs.AUGMENTATION]):
        layer = f"{front[0].class_name} ({front[0].name})"
        return undecided(f"What {layer} makes of the images could not be measured; manual review is needed.")
    actual = str(seen)
    if graph is not None and measured is not None and measured.bent is not None:
        step = graph.nodes[measured.bent]
        message = f"{step.class_name} ({step.name}) changes the images before the first convolution by more than a scale and an offset"
        return undecided(f"{message}; manual review is needed.", actual=actual)
    if _is_small(seen, params) and seen.high - seen.low >= params["spread"]:
        where = "" if _is_close(seen, given) else " after the network's own first layers"
        return passed(f"The network sees values in {actual}{where}.", expected, actual)
    if not _is_close(adapted, seen) and _is_small(adapted, params):
        return partial(0.5, f"The images have values in {actual}; only the BatchNormalization in front evens them out.", expected, actual)
    if _is_small(seen, params):
        message = f"The network sees values in {actual} only: the pixels were scaled down too far."
        return failed(message, expected, actual, hint="Look for a division that runs twice, or an integer division.")
    return failed(f"The network sees values in {actual}: {_idle(graph)}.", expected, actual)


def _is_small(seen: Span, params: Params) -> bool:
    return bool(max(abs(seen.low), abs(seen.high)) <= params["magnitude"])


def _is_close(one: Span, other: Span) -> bool:
    """The same range, as far as a few images show it."""
    return bool(max(abs(one.low - other.low), abs(one.high - other.high)) <= _CLOSE * (other.high - other.low))


def _idle(graph: Graph | None) -> str:
    """Why values are large, as a sentence's part: a layer in front was measured to change nothing, or there is none."""
    for node in graphs.front(graph) if graph is not None else ():
        if node.class_name in _NORMALISING and node.effect is not None and node.effect.values == "identity":
            return f"the layer {node.class_name} ({node.name}) in front changes nothing"
    return "the pixels are not scaled down"
