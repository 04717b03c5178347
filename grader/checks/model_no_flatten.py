"""*What it checks.* No map is flattened into a vector in the base model.

*Why it matters.* A dense layer on a flattened map holds most of the parameters and ties the network to one image size.

*Inputs.* The rebuilt base model's graph, with what its steps were measured to do (`training/inside/effects.py`).

*Units.* Counts of layers.

*Tolerance and source.* None allowed; flattening a 1x1 map after a global average changes nothing and is allowed.

*Edge cases.* Whatever makes a vector of the map for the next layer with weights counts (`Reshape`, also to 1x1xN, `Permute` before it); a vector that becomes a map again does not. An MLP that flattens the image itself fails.

*Errors.* None.

*Example.* `Flatten()` on an 8x8x192 map: fail.
"""

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import failed, of_graph, passed
from grader.records import Finding, Graph

PARAMS: Params = {}


@of_graph()
def check(graph: Graph, params: Params) -> Finding:
    """Look for flattened maps in the base model."""
    for node in graphs.live(graph):
        if graphs.is_flattening(graph, node):
            shape = graph.nodes[node.inputs[0]].output_shape
            message = f"The layer {node.class_name} ({node.name}) flattens a map of shape {shape}."
            return failed(message, "no Flatten", f"{node.class_name} on {shape}")
    return passed("No map is flattened.", "no Flatten", "none")
