"""*What it checks.* Every convolution of the base model but the one to the class maps is followed by a nonlinearity.

*Why it matters.* Convolutions with nothing nonlinear between them are one convolution written at length.

*Inputs.* The rebuilt base model's graph, with what its steps were measured to do (`training/inside/effects.py`).

*Units.* Counts of convolutions.

*Tolerance and source.* Points in proportion to the convolutions that have one. The last convolution to `classes` maps is free.

Measured: with values that have each channel's mean and deviation on stored images, the steps up to the next layer with weights do not map
the mean of two to the mean of their results, and one of these steps is nonlinear for each value by itself (a normalisation or a softmax is not).

*Edge cases.* An activation that is the identity or constant on what reaches it (slope 1, an offset of 1000) is none, nor is one that is nearly linear: a slope of 0.9 or more below 0, `x + 0.001 * relu(x)`. The nonlinearity may be the layer's own or a later layer's, with normalisation, Dropout, sums or pooling between.

*Errors.* None.

*Example.* One of eight convolutions linear: 7/8 of the points.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph
from grader.words import counted

PARAMS: Params = {"classes": 10}


@of_graph(stands=True)
def check(graph: Graph, params: Params) -> Finding:
    """Look for a nonlinearity after each convolution."""
    found = graphs.convolutions(graph)
    due = [node for node in found if not (node is found[-1] and graphs.filters(node) == params["classes"])]
    bare = [node for node in due if graphs.nonlinearity_after(graph, node) in ("linear", "softmax")]
    why = next((words for node in bare if (words := graphs.idle_activation(graph, node))), "")
    expected, actual = "a nonlinearity after each", f"{len(due) - len(bare)} of {len(due)} have one"
    if not due:
        return failed("The network has no convolutions that could be followed by a nonlinearity.", expected, actual)
    if len(bare) == len(due):
        linear = f"together they compute one linear map{f' ({why})' if why else ''}"
        return failed(f"No convolution is followed by a nonlinearity: {linear}.", expected, actual)
    if bare:
        names = ", ".join(node.name for node in bare[:4])
        message = f"{counted(len(bare), 'convolution has', 'convolutions have')} no nonlinearity after {'it' if len(bare) == 1 else 'them'} ({names}){f': {why}' if why else ''}."
        return partial((len(due) - len(bare)) / len(due), message, expected, actual)
    return passed("Every convolution is followed by a nonlinearity.", expected, actual)
