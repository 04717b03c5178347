"""Questions about a rebuilt model's graph, asked by checks and by the matching of roles. Pure functions of `records.Graph`.

What was measured (`records.Effect`) decides. Class names do where nothing was: before roles are matched, and for steps that could not be run.

A *map* is an activation with two spatial axes (channels last unless the layer says otherwise); its size is (height, width).
"""

import math
from collections import deque
from dataclasses import dataclass

from grader.records import Graph, Node

CONVOLUTIONS = frozenset({"Conv2D", "SeparableConv2D", "DepthwiseConv2D", "Conv2DTranspose"})
POOLING = frozenset((
    "MaxPooling2D", "AveragePooling2D", "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "MaxPool", "AveragePool", "MaxPooling1D",
    "AveragePooling1D",
))  # fmt: skip
DROPOUTS = frozenset({"Dropout", "AlphaDropout", "GaussianDropout", "SpatialDropout2D"})
AUGMENTATION = frozenset((
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomCrop", "RandomContrast", "RandomBrightness", "RandomHeight",
    "RandomWidth", "RandomShear", "RandomSaturation", "RandomHue", "RandomGrayscale", "RandomColorJitter", "RandomErasing",
    "RandomGaussianBlur", "RandomSharpness", "RandomPosterization", "RandomColorDegeneration", "RandomInvert", "RandomPerspective",
    "RandomElasticTransform", "MixUp", "CutMix", "RandAugment", "AugMix",
))  # fmt: skip
_NONLINEAR_LAYERS = {
    "ReLU": "relu", "LeakyReLU": "leaky_relu", "PReLU": "prelu", "ELU": "elu", "Softmax": "softmax", "Relu": "relu", "Relu6": "relu6",
    "LeakyRelu": "leaky_relu", "Elu": "elu", "Selu": "selu", "Silu": "silu", "Gelu": "gelu", "Sigmoid": "sigmoid", "Tanh": "tanh",
    "Softplus": "softplus", "HardSigmoid": "hard_sigmoid", "LogSoftmax": "log_softmax", "Maximum": "maximum",
    **{name: name.lower() for name in ("Sin", "Cos", "Arctan", "Sign", "Exp", "Expm1", "Log", "Log1p", "Square", "Sqrt", "Absolute", "Power", "Clip", "Minimum")},
}  # fmt: skip
_RESIZING = AUGMENTATION | {"Resizing", "Resize", "CenterCrop"}
_TRANSPARENT = DROPOUTS | {
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "Identity", "ActivityRegularization", "GaussianNoise", "Cast",
    "Add", "Concatenate", "Average", "ZeroPadding2D", "Cropping2D",
}  # fmt: skip
"""Steps that a nonlinearity may lie behind."""


def live(graph: Graph) -> tuple[Node, ...]:
    """The nodes that the output depends on, in topological order; what hangs off unused, or was measured to move the output next to nothing, is left out."""
    needed: set[int] = set()
    todo = list(graph.outputs)
    while todo:
        index = todo.pop()
        if index not in needed:
            needed.add(index)
            node = graph.nodes[index]
            todo += [source for source in node.inputs if node.effect is None or source not in node.effect.faint]
    return tuple(node for node in graph.nodes if node.index in needed)


def hiding(graph: Graph) -> Node | None:
    """The first live layer that holds a model, or a layer with weights other than Dense, and was not walked: TimeDistributed, Bidirectional, RNN with a cell."""
    for node in live(graph):
        held = next((node.config[key] for key in ("layer", "layers", "cell", "cells") if node.config.get(key)), None)
        if held is None:
            continue
        inner = held.get("config") if isinstance(held, dict) else None
        if (
            not isinstance(inner, dict)
            or "layers" in inner
            or (node.parameters and isinstance(held, dict) and held.get("class_name") != "Dense")
        ):
            return node
    return None


def successors(graph: Graph) -> dict[int, list[Node]]:
    """Node index -> the live nodes that take its output, in order."""
    found: dict[int, list[Node]] = {node.index: [] for node in graph.nodes}
    for node in live(graph):
        for index in dict.fromkeys(node.inputs):
            found[index].append(node)
    return found


def before(graph: Graph, node: Node) -> Node | None:
    """The node that feeds `node`; None for an input or a junction of several."""
    return graph.nodes[node.inputs[0]] if len(node.inputs) == 1 else None


def convolutions(graph: Graph) -> tuple[Node, ...]:
    """The live convolutions that can learn, in order: one that is fixed to one number was measured like any step without weights."""
    return tuple(node for node in live(graph) if node.class_name in CONVOLUTIONS and positions(node) is None)


def positions(node: Node) -> str | None:
    """What a step was measured to make of a map's positions; None where it was not."""
    return node.effect.positions if node.effect is not None else None


def activity(node: Node) -> str:
    """When a layer that may act in training does so: "training", "always" or "never", as measured, else as the notebook calls it."""
    measured = node.effect.active if node.effect is not None else None
    return measured or {None: "training", True: "always", False: "never"}[node.training]


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) >= 2:
        return int(value[0]), int(value[1])
    if isinstance(value, list | tuple) and len(value) == 1:
        return int(value[0]), int(value[0])
    return (int(value), int(value)) if isinstance(value, int | float) else (1, 1)


def kernel(node: Node) -> tuple[int, int]:
    """Kernel height and width of a convolution."""
    return _pair(node.config.get("kernel_size", 1))


def strides(node: Node) -> tuple[int, int]:
    """Strides of a convolution or pooling layer."""
    return _pair(node.config.get("strides") or node.config.get("pool_size") or 1)


def filters(node: Node) -> int | None:
    """Output maps of a convolution."""
    size = map_size(node)
    shape = node.output_shape
    if shape is None or size is None:
        return None
    return shape[0] if node.config.get("data_format") == "channels_first" else shape[-1]


def map_size(node: Node | None) -> tuple[int | None, int | None] | None:
    """Height and width of a node's output, None if it is no map."""
    if node is None or node.output_shape is None or len(node.output_shape) != 3:
        return None
    if node.config.get("data_format") == "channels_first":
        return node.output_shape[1], node.output_shape[2]
    return node.output_shape[0], node.output_shape[1]


def source_size(graph: Graph, node: Node) -> tuple[int | None, int | None] | None:
    """Height and width of what goes into `node`, None if that is no map."""
    return map_size(graph.nodes[node.inputs[0]]) if node.inputs else None


def is_global_average(graph: Graph, node: Node) -> bool:
    """GlobalAveragePooling2D, or what amounts to it: average pooling over the whole map, or a mean over both spatial axes."""
    if positions(node) is not None:
        return positions(node) == "average"
    if node.class_name == "GlobalAveragePooling2D":
        return True
    size = source_size(graph, node)
    if node.class_name in ("AveragePooling2D", "AdaptiveAveragePooling2D", "AveragePool"):
        return map_size(node) == (1, 1) and size not in (None, (1, 1))
    if node.class_name == "Mean" and size is not None:
        axes = node.config.get("axis")
        return isinstance(axes, list | tuple) and {int(axis) % 4 for axis in axes} == {1, 2}
    if node.class_name == "GlobalAveragePooling1D":  # after a Reshape of the map to a sequence
        source = before(graph, node)
        return source is not None and source.class_name == "Reshape" and source_size(graph, source) is not None
    return False


def is_pooling(graph: Graph, node: Node) -> bool:
    """Whether a step mixes neighbours in a map of at most as many positions, or leaves out at least half of them, beyond images' own resizing and cropping.

    Where that was not measured: a pooling layer that is no global average (of size 1 with stride 1 it does nothing and does not count).
    """
    if positions(node) is not None:
        return positions(node) in ("pools", "skips") and not (node.class_name in _RESIZING and before_first_convolution(graph, node))
    if node.class_name not in POOLING or is_global_average(graph, node):
        return False
    return map_size(node) is None or _pair(node.config.get("pool_size", 2)) != (1, 1)


def is_flattening(graph: Graph, node: Node) -> bool:
    """Whether a step makes a vector of a map larger than 1x1 for what follows; where that was not measured: Flatten, or a Reshape or EinsumDense to a vector."""
    if positions(node) is not None:
        return positions(node) == "flattens"
    size = source_size(graph, node)
    if size in (None, (1, 1)):
        return False
    return node.class_name == "Flatten" or (
        node.class_name in ("Reshape", "EinsumDense") and node.output_shape is not None and len(node.output_shape) == 1
    )


def activation(node: Node) -> str:
    """The nonlinearity that a node itself applies, as Keras names it; "linear" for none, "constant" where it gives the same whatever comes in."""
    if node.effect is not None and node.effect.values in ("identity", "constant", "linear"):
        return "constant" if node.effect.values == "constant" else "linear"
    return _named(node)


def _named(node: Node) -> str:
    if node.class_name in _NONLINEAR_LAYERS:
        return _NONLINEAR_LAYERS[node.class_name]
    given = node.config.get("activation")
    if isinstance(given, dict):
        given = given.get("config") if isinstance(given.get("config"), str) else given.get("class_name")
    if isinstance(given, str):
        return _NONLINEAR_LAYERS.get(given, given.lower())
    return "linear"


def nonlinearity_after(graph: Graph, node: Node) -> str:
    """The nonlinearity that `node`'s output goes through, its own or the next layer's (normalisation, dropout, sums between); or "linear". "nonlinear": measured."""
    if node.effect is not None and node.effect.nonlinear is not None:
        return "nonlinear" if node.effect.nonlinear else "linear"
    own = activation(node)
    if own != "linear":
        return own
    after = successors(graph)
    todo, seen = deque(after[node.index]), set()
    while todo:
        following = todo.popleft()
        if following.index in seen:
            continue
        seen.add(following.index)
        if activation(following) != "linear" and following.class_name not in CONVOLUTIONS and following.class_name != "Dense":
            return activation(following)
        if following.class_name in _TRANSPARENT or is_pooling(graph, following):
            todo += after[following.index]
    return "linear"


def idle_activation(graph: Graph, node: Node) -> str:
    """Which activation behind a convolution was measured to be none, as a sentence's part: "LeakyReLU (act_1) is linear or nearly linear on what reaches it"; "" where there is no such."""
    after, step = successors(graph), node
    while True:
        if _named(step) != (found := activation(step)):
            return f"{step.class_name} ({step.name}) is {found}{' or nearly linear' * (found == 'linear')} on what reaches it"
        following = after[step.index]
        if len(following) != 1 or following[0].class_name in (*CONVOLUTIONS, "Dense"):
            return ""
        step = following[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What stands after the last convolution. `dropouts` and `hidden` lie between the average and the last Dense; `softmaxes` counts them all."""

    average: Node | None = None
    global_maximum: Node | None = None
    flatten: Node | None = None
    dense: Node | None = None
    hidden: tuple[Node, ...] = ()
    dropouts: tuple[Node, ...] = ()
    activation: str = "linear"
    softmaxes: int = 0
    units: int | None = None


def head(graph: Graph) -> Head:
    """The head of a classifier: everything that the last convolution's output goes through."""
    last = convolutions(graph)
    tail = [node for node in live(graph) if (not last or node.index > last[-1].index) and node.class_name != "InputLayer"]
    average = next((node for node in tail if is_global_average(graph, node)), None)
    maximum = next((node for node in tail if positions(node) == "maximum" or node.class_name == "GlobalMaxPooling2D"), None)
    pooled = average or maximum
    start = pooled.index if pooled else -1
    denses = [node for node in tail if node.class_name == "Dense" and node.index > start]
    dense = denses[-1] if denses else None
    between = [node for node in tail if dense is not None and start < node.index < dense.index]
    final, softmaxes = "linear", 0
    for node in tail:
        softmaxes += activation(node) == "softmax"
        if (dense is not None and node.index >= dense.index) or (dense is None and node.index >= start):
            final = activation(node) if activation(node) != "linear" else final
    output = graph.nodes[graph.outputs[0]].output_shape if graph.outputs else None
    return Head(
        average=average,
        global_maximum=maximum,
        flatten=next((node for node in tail if is_flattening(graph, node)), None),
        dense=dense,
        hidden=tuple(denses[:-1]),
        dropouts=tuple(node for node in between if node.class_name in DROPOUTS),
        activation=final,
        softmaxes=softmaxes,
        units=output[-1] if output and len(output) == 1 else None,
    )


def augmentation_layers(graph: Graph) -> tuple[Node, ...]:
    """The live random augmentation layers."""
    return tuple(node for node in live(graph) if node.class_name in AUGMENTATION)


def factors(layer: Node) -> list[float]:
    """The numbers in a random layer's factors: one of each, or the two ends of its range."""
    settings = [setting for key, setting in layer.config.items() if key.endswith("factor")]
    parts = [part for setting in settings for part in (setting if isinstance(setting, list | tuple) else (setting,))]
    return [float(part) for part in parts if isinstance(part, int | float) and not isinstance(part, bool)]


def dropout_layers(graph: Graph) -> tuple[Node, ...]:
    """The live dropout layers."""
    return tuple(node for node in live(graph) if node.class_name in DROPOUTS)


def before_first_convolution(graph: Graph, node: Node) -> bool:
    """Whether `node` works on the images themselves: no convolution or dense layer lies on any way to it."""
    todo, seen = list(node.inputs), set()
    while todo:
        index = todo.pop()
        if index in seen:
            continue
        seen.add(index)
        source = graph.nodes[index]
        if source.class_name in CONVOLUTIONS or source.class_name == "Dense":
            return False
        todo += source.inputs
    return True


def front(graph: Graph) -> tuple[Node, ...]:
    """The live steps in front of all convolutions and dense layers, in order."""
    weighted = CONVOLUTIONS | {"Dense", "InputLayer"}
    return tuple(node for node in live(graph) if node.class_name not in weighted and before_first_convolution(graph, node))


def keeps_size(graph: Graph, node: Node) -> bool:
    """Whether a convolution's output is its input divided by the stride, rounded up, zero padding layers before it counted to it."""
    size, out = source_size(graph, node), map_size(node)
    source = before(graph, node)
    if source is not None and source.class_name == "ZeroPadding2D":
        size = source_size(graph, source)
    if size is None or out is None or None in size or None in out:
        return str(node.config.get("padding", "valid")).lower() == "same"
    step = strides(node)
    return all(
        made == math.ceil(given / by) for made, given, by in zip(out, size, step, strict=True) if made is not None and given is not None
    )


def settings(node: Node) -> str:
    """The few settings of a layer that matter, in words: "3x3, stride 2, same, relu"."""
    words: list[str] = []
    if node.class_name in CONVOLUTIONS:
        height, width = kernel(node)
        words.append(f"{height}x{width}")
        if strides(node) != (1, 1):
            down, across = strides(node)
            words.append(f"stride {down}" if down == across else f"strides {down}, {across}")
        words.append(str(node.config.get("padding", "valid")))
    elif node.class_name in POOLING:
        words.append("x".join(str(size) for size in _pair(node.config.get("pool_size", 2))))
    for key in ("rate", "factor", "mode", "scale", "offset"):
        value = node.config.get(key)
        if isinstance(value, int | float | str) and not (key == "offset" and value == 0):
            words.append(f"{key} {value:.6g}" if isinstance(value, int | float) else f"{key} {value}")
        elif isinstance(value, list) and key == "factor":
            words.append(f"{key} {', '.join(f'{item:.3g}' if isinstance(item, int | float) else str(item) for item in value)}")
    if activation(node) != "linear" and node.class_name not in _NONLINEAR_LAYERS:
        words.append(activation(node))
    return ", ".join(words)
