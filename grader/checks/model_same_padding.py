"""*What it checks.* Every convolution larger than 1x1 keeps its map's size (divided by its stride).

*Why it matters.* Without padding each convolution trims the border.

*Inputs.* The rebuilt base model's graph; sizes of maps before and after each convolution.

*Units.* Pixels.

*Tolerance and source.* Judged by shapes: output = input / stride, rounded up; zero padding layers count. Points in proportion to the convolutions that keep
their size. 1x1 convolutions are free.

*Edge cases.* Maps of unknown size are judged by the layer's `padding` setting. No convolution at all: fail.

*Errors.* None.

*Example.* One of seven 3x3 convolutions `valid`: 6/7 of the points.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph
from grader.words import counted

PARAMS: Params = {}


@of_graph(stands=True)
def check(graph: Graph, params: Params) -> Finding:
    """Compare the map sizes around each convolution."""
    wide = [node for node in graphs.convolutions(graph) if max(graphs.kernel(node)) > 1]
    trimming = [node for node in wide if not graphs.keeps_size(graph, node)]
    expected, actual = "same padding in all", f"{len(wide) - len(trimming)} of {len(wide)} keep their size"
    if not wide:
        return failed("The network has no convolution larger than 1x1.", expected, actual)
    if len(trimming) == len(wide):
        return failed("No convolution pads its input, so each one loses the border.", expected, actual)
    if trimming:
        names = ", ".join(node.name for node in trimming[:4])
        message = f"{counted(len(trimming), 'convolution does not pad its input', 'convolutions do not pad their input')} ({names})."
        return partial((len(wide) - len(trimming)) / len(wide), message, expected, actual)
    return passed("Every convolution keeps the borders.", expected, actual)
