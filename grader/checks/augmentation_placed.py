"""*What it checks.* A model has random augmentation layers between its input and its first convolution.

*Why it matters.* As layers they run only while training, on whatever device trains, and travel with the model.

*Inputs.* The rebuilt graph of the model in the role "augmentation"; the containers that reached the training calls.

*Units.* Counts of layers.

*Tolerance and source.* At least one such layer before any convolution that was measured on stored images to change them in training and none in prediction: full points; one that is always active: half. Augmentation outside the model (ImageDataGenerator, a tf.data map): half.

*Edge cases.* A layer that changes no image (factor 0, `training=False`) does not count. Layers after a convolution move feature maps, not images: no points. A generator with every switch off does not count. Code that flips or draws images itself, in a layer or a
`Sequence` of the student's own, is told by its text only: `error`, manual review.

*Errors.* None.

*Example.* `RandomFlip("horizontal")` first: pass.
"""

import re

from grader import graph as graphs
from grader.checks import Params
from grader.checks._helpers import absent, failed, graph_or_finding, partial, passed, undecided
from grader.records import Evidence, Finding, Node

PARAMS: Params = {}
_FUNCTIONS = re.compile(
    r"\b(?:tf\.image\.(?:stateless_)?(?:random_\w+|flip_\w+|rot90)|(?:np|numpy)\.(?:fliplr|flipud|flip|rot90))\b|\[:, ?:, ?::-1"
)


def _by_hand(evidence: Evidence) -> tuple[int, str] | None:
    """The first cell that ran and whose code flips, turns or draws images by itself, and the function it calls; None where none does."""
    ran = {run.index for run in evidence.run.cells if run.status == "ok"}
    for cell in evidence.notebook.code:
        found = _FUNCTIONS.search(re.sub(r"#.*", "", cell.source)) if cell.index in ran else None
        if found:
            return cell.index, found[0]
    return None


def _why_idle(node: Node) -> str:
    """Why a random layer does nothing."""
    if node.training is False:
        return "it is switched off by training=False"
    if (factors := graphs.factors(node)) and not any(factors):
        return "its factor is 0"
    return "on stored images it changes nothing in training that reaches the first convolution"


def check(evidence: Evidence, params: Params) -> Finding:
    """Look for augmentation layers, then for augmentation outside the model."""
    expected = "random augmentation layers between the input and the first convolution"
    outside = sorted({switch for fit in evidence.run.fits if fit.train for switch in fit.train.augmentation})
    graph = graph_or_finding(evidence, "augmentation")
    layers = () if isinstance(graph, Finding) else graphs.augmentation_layers(graph)
    if not isinstance(graph, Finding):
        placed = [node for node in layers if graphs.before_first_convolution(graph, node)]
        right = [node for node in placed if graphs.activity(node) != "never"]
        if right:
            names = ", ".join(node.class_name for node in right)
            if all(graphs.activity(node) == "always" for node in right):
                message = f"The augmentation also changes images in prediction: {names} {'is' if len(right) == 1 else 'are'} always active."
                return partial(0.5, message, expected, names, hint="Leave out training=True: Keras switches these layers on in fit.")
            return passed(f"Augmentation layers come before the first convolution: {names}.", expected, names)
        if placed and not outside:
            message = " ".join(f"{node.class_name} changes no image: {_why_idle(node)}." for node in placed[:4])
            actual = f"{', '.join(node.class_name for node in placed)}, without effect"
            return failed(message, expected, actual, hint="Give the layers a factor such as 0.1, and leave out training=…")
    if outside:
        means, hint = ", ".join(outside[:4]), "Put RandomFlip, RandomRotation and the like into the model, right after its input."
        return partial(0.5, f"The images are augmented outside the model ({means}).", expected, means, hint=hint)
    if not layers and (found := _by_hand(evidence)) is not None:
        cell, function = found
        question = "are these training images, and only during training?"
        return undecided(f"Cell {cell} changes images itself ({function}). Manual review: {question}", actual=function)
    if isinstance(graph, Finding):
        return graph
    if layers:
        message = "The augmentation layers come after a convolution: they change feature maps, not images."
        return absent(evidence, "augmentation", message, expected, ", ".join(node.class_name for node in layers))
    return absent(evidence, "augmentation", "The model has no augmentation layer.", expected, "none")
