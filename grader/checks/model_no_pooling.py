"""*What it checks.* No pooling layer makes the maps of the base model smaller.

*Why it matters.* The architecture replaces pooling by convolutions with stride 2, which learn how to downsample.

*Inputs.* The rebuilt base model's graph, with what its steps were measured to do (`training/inside/effects.py`).

*Units.* Counts of layers.

*Tolerance and source.* None allowed. Measured: a step of a map's, whatever it is called, that mixes neighbouring positions into at most as many, or leaves out at least half of
them. A global average is no pooling in this sense, however written (`GlobalAveragePooling2D`, average pooling over the
whole map, a mean over both axes).

*Edge cases.* Layers that the output does not depend on do not count. Pooling of size 1x1 counts where its stride leaves positions out. Images' own resizing and cropping in front does not count, nor does a rectangle
cut out of a map. What could not be measured is judged by its class.

*Errors.* None.

*Example.* `MaxPooling2D(2)` after a convolution: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, passed
from grader.records import Finding, Graph
from grader.words import counted

PARAMS: Params = {}


@of_graph(stands=True)
def check(graph: Graph, params: Params) -> Finding:
    """Look for pooling layers in the base model."""
    found = [node for node in graphs.live(graph) if graphs.is_pooling(graph, node)]
    if found:
        skipping = ", which leaves out positions"
        names = ", ".join(f"{node.class_name} ({node.name}{skipping * (graphs.positions(node) == 'skips')})" for node in found[:6])
        message = f"The network makes its maps smaller with pooling: {names}."
        return failed(message, "no pooling layer", counted(len(found), "pooling layer"))
    return passed("The network has no pooling layer.", "no pooling layer", "none")
