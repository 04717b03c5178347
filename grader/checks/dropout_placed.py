"""*What it checks.* A further model has Dropout between the global average and the last Dense layer.

*Why it matters.* There it disturbs the few numbers that the decision rests on.

*Inputs.* The rebuilt graph of the model in the role "dropout".

*Units.* None.

*Tolerance and source.* At least one Dropout in that place that was measured to change values in training and none in prediction; more elsewhere are free to try. One that is always active: half.

*Edge cases.* A Dropout layer switched off (`training=False`; a rate of 0 is `dropout.rate`'s) or not connected does not count, nor does one that drops all values of an image together (`noise_shape`), nor one in the base model.

*Errors.* None.

*Example.* GAP, Dropout(0.2), Dense: pass. Dropout between convolutions only: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph, Node

PARAMS: Params = {}


def _acting(placed: list[Node], expected: str) -> Finding:
    """What the layer in the right place was measured to do."""
    node, when = placed[-1], graphs.activity(placed[-1])
    layer, called = f"{node.class_name} ({node.name})", "" if node.training is None else f": it is called with training={node.training}"
    if when == "never" and (node.training is False or node.config.get("rate")):
        message = f"{layer} is switched off{called or ': it changes nothing in training that reaches the next layer'}."
        return failed(message, expected, "switched off", hint="Leave out training=…: Keras switches Dropout on in fit by itself.")
    if node.class_name == "Dropout" and node.effect is not None and node.effect.whole and when != "never":
        message = f"{layer} drops all values of an image together, or none of them."
        return failed(message, expected, f"noise_shape {node.config.get('noise_shape')}", hint="Leave out noise_shape.")
    if when == "always":
        message = f"{layer} also drops values in prediction{called}."
        return partial(0.5, message, expected, "always active", hint="Leave out training=True.")
    return passed(f"Dropout is placed before the last Dense layer ({node.name}).", expected, node.name)


@of_graph("dropout")
def check(graph: Graph, params: Params) -> Finding:
    """Look for Dropout in the right place."""
    head, every = graphs.head(graph), graphs.dropout_layers(graph)
    expected = "Dropout between the global average and the last Dense layer"
    if head.dropouts and (head.average is not None or head.global_maximum is not None):
        return _acting([node for node in head.dropouts if graphs.activity(node) == "training"] or list(head.dropouts), expected)
    if not every:
        return failed("The model has no Dropout layer.", expected, "none")
    message = "Dropout is placed elsewhere, not between the global average and the last Dense layer."
    return failed(message, expected, ", ".join(node.name for node in every[:5]))
