"""*What it checks.* The last convolution is 1x1 and makes one map for each class.

*Why it matters.* It is a small classifier at every position; averaging its maps gives class scores with hardly any parameters.

*Inputs.* The rebuilt base model's graph.

*Units.* Kernel in pixels, maps as a count.

*Tolerance and source.* `kernel` and `classes` exactly (the exercise). The right number of maps with a larger kernel: half the points.

*Edge cases.* Its activation is free here (a ReLU on it can end training; the training check measures that).

*Errors.* None.

*Example.* `Conv2D(10, 1)` last: pass. `Conv2D(10, 3)`: partial. `Conv2D(192, 1)`: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph

PARAMS: Params = {"classes": 10, "kernel": 1}


@of_graph(stands=True)
def check(graph: Graph, params: Params) -> Finding:
    """Look at the last convolution of the base model."""
    classes, size = params["classes"], params["kernel"]
    expected = f"{size}x{size} to {classes} maps"
    found = graphs.convolutions(graph)
    if not found:
        return failed("The network has no convolution.", expected, "none")
    last = found[-1]
    height, width = graphs.kernel(last)
    actual = f"{height}x{width} to {graphs.filters(last)} maps ({last.name})"
    if graphs.filters(last) != classes:
        message = f"The last convolution makes {graphs.filters(last)} maps, not one for each of the {classes} classes."
        return failed(message, expected, actual)
    if (height, width) != (size, size):
        return partial(0.5, f"The last convolution makes {classes} maps, but with a {height}x{width} kernel.", expected, actual)
    return passed(f"The last convolution is {size}x{size} and makes {classes} maps.", expected, actual)
