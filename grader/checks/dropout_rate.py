"""*What it checks.* The rate of that Dropout is reasonably low.

*Why it matters.* A network of a million parameters with ten numbers before the last layer loses much of its signal at high rates.

*Inputs.* The rebuilt graph of the model in the role "dropout"; the rate before the last Dense layer, else of the model's last Dropout.

*Units.* Fraction of units dropped, 0 to 1.

*Tolerance and source.* Within `full` (the exercise's suggestion): all points; within `partial`: half; else none.

*Edge cases.* A layer that was measured never to be active has the rate 0. Rates are compared with a slack of 1e-6.

*Errors.* None.

*Example.* 0.2: pass. 0.5: partial. 0.8: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph

PARAMS: Params = {"full": (0.1, 0.3), "partial": (0.05, 0.5)}
_SLACK = 1e-6


@of_graph("dropout")
def check(graph: Graph, params: Params) -> Finding:
    """Place the rate in its range."""
    found = graphs.head(graph).dropouts or graphs.dropout_layers(graph)
    (low, high), (lowest, highest) = params["full"], params["partial"]
    expected = f"{low:g} to {high:g}"
    if not found:
        return failed("The model has no Dropout layer.", expected, "none")
    acting = [node for node in found if graphs.activity(node) != "never"]
    rate = float(acting[-1].config.get("rate", 0.0)) if acting else 0.0
    actual = f"{rate:g}"
    if not acting and found[-1].config.get("rate"):
        return failed(f"The Dropout layer is switched off, so its rate counts as 0 ({found[-1].name}).", expected, "switched off")
    if low - _SLACK <= rate <= high + _SLACK:
        return passed(f"The Dropout rate is {rate:g}.", expected, actual)
    if lowest - _SLACK <= rate <= highest + _SLACK:
        return partial(0.5, f"The Dropout rate is {rate:g}: usable, but outside the suggested range.", expected, actual)
    effect = "so low that it does nothing" if rate < low else "most of the signal is lost"
    return failed(f"The Dropout rate is {rate:g}: {effect}.", expected, actual)
