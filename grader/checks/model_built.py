"""*What it checks.* The notebook built a Keras model that takes the exercise's images and gives one score for each class.

*Why it matters.* Everything after it needs a model whose ends fit the task.

*Inputs.* The rebuilt base model: input shape (height, width, channels), output shape (classes,).

*Units.* Pixels; counts.

*Tolerance and source.* Exact; `image_shape` and `classes` are the exercise's. Larger inputs by resizing are a partial answer.

*Edge cases.* A model with several inputs or an unknown input size is a partial answer. A model that cannot be rebuilt is `error`.

*Errors.* None.

*Example.* Input (32, 32, 3), output (10,): pass. Output (100,): fail.
"""

from grader.checks import Params
from grader.checks._helpers import failed, of_graph, partial, passed
from grader.records import Finding, Graph

PARAMS: Params = {"image_shape": (32, 32, 3), "classes": 10}


@of_graph(whole=False)
def check(graph: Graph, params: Params) -> Finding:
    """Judge the ends of the base model."""
    shape, classes = tuple(params["image_shape"]), params["classes"]
    output = graph.nodes[graph.outputs[0]].output_shape if graph.outputs else None
    expected = f"input {shape}, output ({classes},)"
    actual = f"input {graph.input_shape}, output {output}"
    if output != (classes,):
        return failed(f"The network's output is {output}, not one score for each of the {classes} classes.", expected, actual)
    if graph.input_shape != shape:
        return partial(0.5, f"The network takes inputs of shape {graph.input_shape}, the images have {shape}.", expected, actual)
    return passed(f"The network takes images of shape {shape} and gives {classes} class scores.", expected, actual)
