"""*What it checks.* After the convolutions: a global average, optionally Dropout, one Dense layer with a score for each class, softmax.

*Why it matters.* The average makes the head independent of the map's size; softmax gives the probabilities that the loss expects.

*Inputs.* The rebuilt base model's graph; whether the compiled loss was told `from_logits=True`.

*Units.* Counts.

*Tolerance and source.* Exact form: full points. Half the points for one deviation: no Dense after the average (the paper's own head), hidden Dense layers,
a global maximum instead of the average, no softmax, another output activation. No global pooling at all: none.

*Edge cases.* The average is whatever was measured to be one. A softmax over one value is constant and none. Softmax as an activation argument, as a layer of its own, or inside a loss told `from_logits=True` are the same thing.

*Errors.* None.

*Example.* GAP, Dense(10, softmax): pass. GAP, softmax: partial. Flatten, Dense: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import defect, failed, graph_or_finding, model_of, partial, passed
from grader.records import Evidence, Finding

PARAMS: Params = {"classes": 10}


def check(evidence: Evidence, params: Params) -> Finding:
    """Judge what stands after the last convolution of the base model."""
    graph = graph_or_finding(evidence)
    if isinstance(graph, Finding):
        return graph
    model = model_of(evidence)
    logits = bool(model and model.compiled and model.compiled.from_logits)
    head, classes = graphs.head(graph), params["classes"]
    unknown = defect(evidence) if head.activation == "linear" and model and not model.compiled else None
    if unknown is not None:  # the loss may have been told from_logits=True
        return unknown
    expected = f"global average, Dense({classes}), softmax"
    actual = _describe(head, logits=logits)
    if head.average is None and head.global_maximum is None:
        return failed("The convolutions do not end in a global average.", expected, actual)
    faults = []
    if head.average is None:
        faults.append("the maps are reduced by their maximum instead of their average")
    if head.dense is None:
        faults.append("no Dense layer follows the average (the paper's own head; the exercise asks for the Dense layer)")
    elif head.hidden:
        faults.append(f"{len(head.hidden)} more Dense layer{'s come' if len(head.hidden) > 1 else ' comes'} before the last one")
    if head.softmaxes > 1:
        faults.append(f"softmax is applied {head.softmaxes} times")
    if head.units != classes:
        faults.append(f"the output has {head.units} scores instead of {classes}")
    if head.activation == "linear" and not logits:
        faults.append("the output has no softmax and the loss does not have from_logits=True")
    elif head.activation not in ("linear", "softmax", "log_softmax"):
        faults.append(f"the output activation is {head.activation}, not softmax")
    if len(faults) > 1:
        return partial(0.25, f"The head differs: {'; '.join(faults)}.", expected, actual)
    if faults:
        return partial(0.5, f"The head is nearly right: {faults[0]}.", expected, actual)
    return passed("A global average, a Dense layer and softmax end the network.", expected, actual)


def _describe(head: graphs.Head, *, logits: bool) -> str:
    parts = []
    if head.flatten is not None:
        parts.append("Flatten")
    if head.average is not None:
        parts.append("global average")
    elif head.global_maximum is not None:
        parts.append("global maximum")
    parts += [f"Dense({node.config.get('units')})" for node in head.hidden]
    if head.dropouts:
        parts.append("Dropout")
    if head.dense is not None:
        parts.append(f"Dense({head.dense.config.get('units')})")
    parts.append("logits (from_logits=True)" if head.activation == "linear" and logits else head.activation)
    return ", ".join(parts)
