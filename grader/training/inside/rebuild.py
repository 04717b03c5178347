"""Rebuilding a model symbolically: exact shapes and parameter counts, no variable allocated (`Dense(10**7)` costs nothing)."""

import contextlib
import functools
import importlib.abc
import json
import math
import os
import sys

_LEFT_OUT = {
    "tensorflow": frozenset(["sklearn", "pandas", "matplotlib", "torch", "jax", "scipy"]),
    "jax": frozenset(["sklearn", "pandas", "matplotlib", "torch", "tensorflow"]),  # JAX itself needs SciPy
}

_asked_for = set()
_SEED = 23  # any: of initial weights


class _Refusal(importlib.abc.MetaPathFinder):
    """Refuses what Keras would import only because it is there: a third of its start on TensorFlow, and TensorFlow itself on JAX.

    A None in `sys.modules` would not do: Keras' Random layers take a "tensorflow" in there for a TensorFlow that runs.
    """

    def find_spec(self, name, path=None, target=None):
        if name in _LEFT_OUT.get(os.environ.get("KERAS_BACKEND", "tensorflow"), ()) and name not in _asked_for:
            raise ModuleNotFoundError(f"{name} is left out in this box", name=name)


sys.meta_path.insert(0, _Refusal())

import keras  # noqa: E402


@contextlib.contextmanager
def _at_once():
    """Meanwhile a sequential model of a configuration is built when it has all its layers, not anew with each (45 ms for All-CNN-C, else 15)."""
    add, from_config = keras.Sequential.add, keras.Sequential.__dict__["from_config"]

    def whole(kind, config, custom_objects=None):
        if config["layers"] and config["layers"][0]["class_name"] == "InputLayer":
            config = {**config, "build_input_shape": None}  # its input layer tells; Keras then looks at the other no more, either
        model = from_config.__func__(kind, config, custom_objects)
        if model._functional is None and model._layers:
            model._maybe_rebuild()
        return model

    keras.Sequential.add = lambda model, layer, **_: add(model, layer, rebuild=False)
    keras.Sequential.from_config = classmethod(whole)
    try:
        yield
    finally:
        keras.Sequential.add, keras.Sequential.from_config = add, from_config


def tensorflow():
    """TensorFlow, in a box with JAX too, for what is computed on the processor."""
    _asked_for.add("tensorflow")
    import tensorflow as library

    if keras.backend.backend() != "tensorflow":
        library.config.set_visible_devices([], "GPU")  # else it takes the whole card
    return library


class TooLarge(Exception):
    """The model is over a cap; the message says which, for the student."""


def graph(config, input_shape, caps, measure=None):
    """The body of a `Graph` record for a canonical Keras configuration. Raises TooLarge, or whatever Keras raises.

    `measure` gets the steps and the body, while the weights answer with their initial values, and writes into it.
    """
    with keras.StatelessScope(initialize_variables=False), _at_once():
        built = _built(json.dumps(config), input_shape and tuple(input_shape), tuple(caps.items()))
        body = {**built.body, "nodes": [dict(node) for node in built.nodes]}
        if measure is not None:
            measure(built.steps, body)
    return body


@functools.lru_cache(maxsize=8)  # what is measured was rebuilt just before
def _built(config, input_shape, caps):
    """The walker that went through a model, with the other fields of its graph as `body`."""
    caps = dict(caps)
    keras.utils.set_random_seed(_SEED)  # a verdict must not depend on luck
    model = keras.saving.deserialize_keras_object(json.loads(config), safe_mode=True)
    if not model.built or (isinstance(model, keras.Sequential) and model._functional is None):
        if not input_shape:
            raise ValueError("its input shape is not known: it has no Input layer and was never fitted")
        model.build((None, *input_shape))
    parameters = sum(math.prod(weight.shape) for weight in model.weights)
    if parameters > caps["parameters"]:
        raise TooLarge(f"it has {parameters:,} parameters; at most {caps['parameters']:,} are rebuilt")
    walker = _Walker(caps)
    functional = model._functional if isinstance(model, keras.Sequential) else model
    inputs = [walker.add("InputLayer", tensor.name, {}, [], tensor.shape, 0) for tensor in functional.inputs]
    outputs = walker.walk(functional, inputs)
    walker.body = {
        "outputs": outputs,
        "parameters": parameters,
        "trainable_parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "input_shape": None if len(functional.inputs) != 1 else _without_batch(functional.inputs[0].shape),
    }
    return walker


def _without_batch(shape):
    return [None if size is None else int(size) for size in shape[1:]]


class _Walker:
    """Flattens nested models into one list of nodes in topological order."""

    def __init__(self, caps):
        self.nodes = []
        self.steps = []  # for each node: Keras' own node, None for an input
        self._caps = caps

    def add(self, class_name, name, config, inputs, shape, parameters, step=None, training=None):
        known = None if shape is None else _without_batch(shape)
        if known is not None and math.prod(size or 1 for size in known) > self._caps["activation"]:
            raise TooLarge(
                f"the output of layer {name!r} has the shape {tuple(known)}; at most {self._caps['activation']:,} values an image are rebuilt"
            )
        self.nodes.append(
            {
                "index": len(self.nodes),
                "class_name": class_name,
                "name": name[:120],
                "config": config,
                "inputs": list(inputs),
                "output_shape": known,
                "parameters": parameters,
                "training": training,
            }
        )
        self.steps.append(step)
        if len(self.nodes) > self._caps["nodes"]:
            raise TooLarge(f"it applies more than {self._caps['nodes']} layers")
        return len(self.nodes) - 1

    def walk(self, functional, inputs, training=None):
        """Add the nodes of `functional`, whose inputs are the nodes `inputs`; returns the output nodes. `training`: as the notebook calls it."""
        where = {id(tensor): node for tensor, node in zip(functional.inputs, inputs, strict=True)}
        for depth in sorted(functional._nodes_by_depth, reverse=True):
            for node in functional._nodes_by_depth[depth]:
                operation = node.operation
                if isinstance(operation, keras.layers.InputLayer):
                    continue
                sources = [where[id(tensor)] for tensor in node.arguments.keras_tensors]
                if type(operation).__name__ == "ConvertToTensor":  # left by tracing a model's call; does nothing
                    results = sources[:1]
                elif isinstance(operation, keras.Sequential):
                    results = self.walk(operation._functional, sources, _training(node, training))
                elif isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth"):
                    results = self.walk(operation, sources, _training(node, training))
                else:
                    parameters = sum(math.prod(weight.shape) for weight in getattr(operation, "weights", []))
                    made = self.add(
                        type(operation).__name__,
                        operation.name,
                        _config(operation),
                        sources,
                        node.outputs[0].shape,
                        parameters,
                        node,
                        _training(node, training),
                    )
                    results = [made] * len(node.outputs)
                for tensor, result in zip(node.outputs, results, strict=False):
                    where[id(tensor)] = result
        return [where[id(tensor)] for tensor in functional.outputs]


def _training(node, inherited):
    """What the notebook itself passes as `training=`, to the layer or to a model around it: box 1 writes it as 0 or 1, Keras its own default as a bool."""
    given = node.arguments.kwargs.get("training")
    return bool(given) if type(given) is int else inherited


def _config(operation):
    """The operation's configuration without initializers and build details, as plain data."""
    try:
        config = operation.get_config()
    except Exception:
        return {}
    left_out = ("initializer", "regularizer", "constraint", "dtype")
    return {str(key): _plain(value) for key, value in config.items() if not any(word in str(key) for word in left_out)}


def _plain(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)[:100]
