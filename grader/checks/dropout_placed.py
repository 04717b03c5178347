"""*What it checks.* A further model has Dropout between the global average and the last Dense layer.

*Why it matters.* There it disturbs the few numbers that the decision rests on.

*Inputs.* The rebuilt graph of the model in the role "dropout".

*Units.* None.

*Tolerance and source.* At least one Dropout in that place; more elsewhere are free to try.

*Edge cases.* A Dropout layer switched off or not connected does not count, nor does one in the base model.

*Errors.* None.

*Example.* GAP, Dropout(0.2), Dense: pass. Dropout between convolutions only: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, graph_or_finding, passed
from grader.records import Evidence, Finding

PARAMS: Params = {}


def check(evidence: Evidence, params: Params) -> Finding:
    """Look for Dropout in the right place."""
    graph = graph_or_finding(evidence, "dropout")
    if isinstance(graph, Finding):
        return graph
    head, every = graphs.head(graph), graphs.dropout_layers(graph)
    expected = "Dropout between the global average and the last Dense layer"
    if head.dropouts and (head.average is not None or head.global_maximum is not None):
        return passed(
            f"Dropout is placed before the last Dense layer ({head.dropouts[-1].name}).", expected=expected, actual=head.dropouts[-1].name
        )
    if not every:
        return failed("The model has no Dropout layer.", expected=expected, actual="none")
    return failed(
        "Dropout is placed elsewhere, not between the global average and the last Dense layer.",
        expected=expected,
        actual=", ".join(node.name for node in every[:5]),
    )
