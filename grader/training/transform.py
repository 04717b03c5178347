"""Changes to one thing in a training specification: what the interventions of a diagnosis and the calibration's variants are made of.

Pure functions of plain data. Layers keep their names and places, so that a functional model's graph stays as it is: a layer that is to
go becomes one that does nothing.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from grader.training.specification import Specification

Layer = dict[str, Any]
"""One layer's serialised form: module, class_name, config, registered_name (and inbound_nodes in a functional model)."""

CONVOLUTIONS = ("Conv2D", "SeparableConv2D", "DepthwiseConv2D")
WEIGHTED = (*CONVOLUTIONS, "Conv2DTranspose", "Dense")


def layers(config: Mapping[str, Any]) -> Iterator[Layer]:
    """Every layer below a serialised model, in order of appearance, nested models' too (the nested models themselves left out)."""
    for layer in config["config"].get("layers", ()):
        if layer["class_name"] in ("Sequential", "Functional"):
            yield from layers(layer)
        else:
            yield layer


def edited(specification: Specification, edit: Callable[[Layer], None], chosen: Callable[[Layer], bool] = lambda _: True) -> Specification:
    """`specification` with `edit` applied to a copy of every chosen layer."""
    config = copy.deepcopy(dict(specification.config))
    for layer in layers(config):
        if chosen(layer):
            edit(layer)
    return replace(specification, config=config)


def activation(layer: Layer) -> str | None:
    """The name of a layer's activation; None where it has none."""
    found = layer["config"].get("activation")
    if isinstance(found, Mapping):
        found = found.get("config") if isinstance(found.get("config"), str) else found.get("class_name")
    return str(found) if found is not None else None


def kernel(layer: Layer) -> tuple[int, ...]:
    """A convolution's kernel size."""
    size = layer["config"].get("kernel_size", ())
    return (size, size) if isinstance(size, int) else tuple(size)


def set_activation(name: str) -> Callable[[Layer], None]:
    """Give the layer this activation."""

    def edit(layer: Layer) -> None:
        layer["config"]["activation"] = name

    return edit


def is_class(*names: str) -> Callable[[Layer], bool]:
    """Whether the layer is of one of these classes."""
    return lambda layer: layer["class_name"] in names


def stock(class_name: str, **config: Any) -> Layer:
    """A stock layer's serialised form."""
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


def made_idle(layer: Layer) -> None:
    """Turn the layer into one that does nothing."""
    name = layer["config"].get("name")
    layer.update(stock("Activation", activation="linear", **({"name": name} if name else {})))


def initializer(class_name: str, **config: Any) -> Mapping[str, Any]:
    """A stock initializer's serialised form."""
    return {"module": "keras.initializers", "class_name": class_name, "config": config, "registered_name": None}


def set_initializer(value: Mapping[str, Any]) -> Callable[[Layer], None]:
    """Give the layer's kernel this initializer."""

    def edit(layer: Layer) -> None:
        for key in list(layer["config"]):
            if key.endswith("kernel_initializer"):
                layer["config"][key] = dict(value)

    return edit


def with_optimizer(specification: Specification, class_name: str, **config: Any) -> Specification:
    """Another optimizer, Keras' defaults but for `config`."""
    return replace(specification, optimizer={"class_name": class_name, "config": config}, rates=())


def with_rate(specification: Specification, rate: float) -> Specification:
    """The same optimizer at another, constant rate."""
    config = {**specification.optimizer["config"], "learning_rate": rate}
    return replace(specification, optimizer={**specification.optimizer, "config": config}, rates=())


def with_recipe(specification: Specification, kind: str, scale: list[float], offset: list[float]) -> Specification:
    """Another preprocessing: value = scale * pixel + offset."""
    return replace(specification, recipe={**specification.recipe, "kind": kind, "scale": scale, "offset": offset})


def inserted_after(specification: Specification, chosen: Callable[[Layer], bool], make: Callable[[int], Layer]) -> Specification:
    """A plain Sequential with `make(index)` put behind every chosen layer."""
    config = copy.deepcopy(dict(specification.config))
    result: list[Layer] = []
    for index, layer in enumerate(config["config"]["layers"]):
        result.append(layer)
        if chosen(layer):
            result.append(make(index))
    config["config"]["layers"] = result
    return replace(specification, config=config)
