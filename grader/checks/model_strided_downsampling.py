"""*What it checks.* Convolutions with stride 2 make the maps smaller, and nothing else does.

*Why it matters.* That is what the network uses in place of pooling; a 1x1 convolution with a stride would skip most of its input unseen.

*Inputs.* The rebuilt base model's graph.

*Units.* Counts of convolutions.

*Tolerance and source.* At least `strided` convolutions larger than 1x1 with stride `stride` or more (the paper has two, arXiv 1412.6806 table 1; three-stage
variants have three). Fewer, or a strided 1x1 convolution: half the points.

*Edge cases.* A strided 1x1 convolution beside another way from the same map (a residual network's shortcut) leaves nothing unseen and does not count. Strides of pooling layers do not count here; `model.no_pooling` judges those.

*Errors.* None.

*Example.* Strides 1, 1, 2, 1, 1, 2, 1: pass. Only one 2: partial.
"""

import math

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph
from grader.words import counted

PARAMS: Params = {"strided": 2, "stride": 2}


@of_graph(stands=True)
def check(graph: Graph, params: Params) -> Finding:
    """Count the strided convolutions of the base model."""
    wanted, stride = params["strided"], params["stride"]
    strided = [node for node in graphs.convolutions(graph) if max(graphs.strides(node)) >= stride]
    good = [node for node in strided if max(graphs.kernel(node)) > 1]
    expected = f"at least {counted(wanted, 'convolution')} with stride {stride}"
    actual = f"{len(good)} with stride {stride}"
    after = graphs.successors(graph)
    small = [node for node in strided if node not in good]
    blind = [node for node in small if all(other in small for source in node.inputs for other in after[source])]
    if blind:
        many, area = len(blind) > 1, math.prod(graphs.strides(blind[0]))
        message = (
            f"The 1x1 convolution{'s' * many} {', '.join(node.name for node in blind[:4])} {'have' if many else 'has'} "
            f"stride {max(graphs.strides(blind[0]))}: {'they skip' if many else 'it skips'} "
            f"{'three quarters' if area == 4 else f'{area - 1} of {area} pixels'} of the map unseen."
        )
        hint = "Take the stride off the 1x1 convolutions; the 3x3 convolutions do the downsampling."
        actual = f"{actual}, and {len(blind)} on 1x1 kernels"
        if good:
            return partial(0.5, message, expected, actual, hint=hint)
        return failed(f"The strides are on 1x1 kernels. {message}", expected, actual, hint=hint)
    if not good:
        return failed("No convolution with a stride makes the maps smaller.", expected, actual)
    if len(good) < wanted:
        only = counted(len(good), "convolution with a stride makes", "convolutions with a stride make")
        return partial(0.5, f"Only {only} the maps smaller; the architecture has {wanted}.", expected, actual)
    last = graphs.map_size(graphs.convolutions(graph)[-1])
    made = counted(len(good), f"convolution with stride {stride} makes", f"convolutions with stride {stride} make")
    return passed(f"{made} the maps smaller{f', down to {last[0]}x{last[1]}' if last else ''}.", expected, actual)
