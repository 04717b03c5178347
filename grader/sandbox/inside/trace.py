"""A model object as data: its Keras configuration, or for subclassed models and custom layers the stock layers that its `call` applies.

Tracing: the model's `call` is run on a symbolic input while the `call` of every layer that is not Keras' own is run in place, so that only
stock layers are recorded. Lambdas and activations written by hand are replaced by the stock layer or function that gives the same numbers on
random input, where there is one, and else followed like a `call`. An operation on symbolic tensors is the stock layer that does the same (`_OPERATIONS`).
All of this is a claim; the rebuilding in box 2 judges it.
"""

import contextlib
import functools
import inspect
import json
import sys
import weakref
import zlib

import numpy as np
from numpy.random import default_rng

from .frames import readable


def is_keras_own(thing):
    """Whether a class or function is Keras' own: the one that its module holds under its name, and not one that only calls itself so."""
    module, name = getattr(thing, "__module__", None) or "", getattr(thing, "__name__", "")
    return module.startswith("keras.src.") and vars(sys.modules.get(module, object)).get(name) is thing


def has_own(thing, *methods):
    """Whether the object itself was given one of the methods, in place of its class's."""
    return not isinstance(thing, type) and any(name in getattr(thing, "__dict__", {}) for name in methods)


def _is_stock(layer):
    return is_keras_own(type(layer)) and type(layer).__name__ != "Lambda" and not has_own(layer, "call")


def _computes_as(layer):
    """The stock class that computes what a layer does, its activation aside: its own, or the one of which a subclass changes the settings only; else None."""
    stock, own = _stock_parent(layer)
    return stock if own.isdisjoint(("call", "build", "__call__")) and not has_own(layer, "call") else None


def _stock_parent(layer):
    """The stock class that a layer's class is or extends, None for none; and the names that are defined on the way to it."""
    import keras

    parents = type(layer).__mro__
    stock = next((parent for parent in parents if is_keras_own(parent)), keras.layers.Layer)
    own = {name for parent in parents[: parents.index(stock)] for name in vars(parent)}
    return stock if stock.__module__.startswith("keras.src.layers.") and stock not in (
        keras.layers.Layer,
        keras.layers.Lambda,
    ) else None, own


def _own_activation(layer):
    """The activation of a layer where it is no function of Keras' own, else None."""
    function = getattr(layer, "activation", None)
    return function if callable(function) and not is_keras_own(function) else None


@contextlib.contextmanager
def _without_activations(layers):
    """Meanwhile the layers have none: Keras would write down a function's byte code, and wants its source for that."""
    import keras

    kept = [(layer, layer.activation) for layer in layers if not isinstance(layer.activation, keras.layers.Layer)]
    try:
        for layer, _ in kept:
            layer.activation = keras.activations.linear
        yield
    finally:
        for layer, function in kept:
            layer.activation = function


def _has_operations(thing):
    """Whether a model, or one in it, applies Keras' operations to symbolic tensors, beside its layers."""
    import keras

    return any(
        not isinstance(item, keras.layers.Layer) for part in (thing, *all_layers(thing)) for item in getattr(part, "_operations", ())
    )


def _has_own_parts(thing):
    """Whether a layer or model is not Keras' own, or holds a layer that is not, or an activation that no configuration names."""
    parts = (thing, *(all_layers(thing) if hasattr(thing, "layers") else ()))
    return any(not _is_stock(part) or (_own_activation(part) and not _activation(_own_activation(part))) for part in parts)


def all_layers(model):
    """Every layer below `model`, nested ones too, the model itself left out."""
    try:
        return list(model._flatten_layers(include_self=False, recursive=True))
    except Exception:
        return list(getattr(model, "layers", []))


_ACTIVATIONS = (
    "relu", "linear", "softmax", "sigmoid", "tanh", "elu", "selu", "gelu", "silu", "leaky_relu", "softplus", "relu6", "hard_sigmoid", "hard_silu",
    "hard_tanh", "softsign", "mish", "log_softmax", "exponential", "celu", "log_sigmoid",
)  # fmt: skip


@functools.cache
def _known_activations():
    """(Numbers from -30 to 30, [(name, what Keras' activation of that name makes of them)])."""
    import keras

    grid = np.concatenate([[-30.0], np.linspace(-8, 8, 65), [30.0]], dtype="float32").reshape(1, -1)
    return grid, [(name, np.asarray(keras.activations.get(name)(grid))) for name in _ACTIVATIONS]


def _activation(function):
    """What Keras' own configurations say of an activation that gives the same numbers as `function`: a name or a layer; None where there is none.

    A layer with weights of its own gives other numbers once they are trained.
    """
    import keras

    if type(function).__name__ == "PReLU" or getattr(function, "weights", None):
        return None

    def same(found):
        return np.allclose(wanted, np.asarray(found), rtol=1e-3, atol=1e-3)

    grid, known = _known_activations()
    try:
        wanted = np.asarray(function(keras.ops.convert_to_tensor(grid)), dtype="float32")
        if wanted.shape != grid.shape:
            return None
        named = next((name for name, values in known if same(values)), None)
        if named is not None:
            return named
        below, above = float(-wanted[0, 0] / 30), float(wanted[0, -1])  # what a leaky slope or an ELU's bound would be, and a cap
        layers = keras.layers
        for kind, settings in ((layers.LeakyReLU, (below,)), (layers.ELU, (30 * below,)), (layers.ReLU, (above, below))):
            candidate = kind(*(round(number, 6) for number in settings))
            if same(candidate(grid)):
                return keras.saving.serialize_keras_object(candidate)
    except Exception:  # it takes something else than a tensor, or Keras refuses the settings
        return None
    return None


def _lambda_stand_in(layer, tensor):
    """A stock layer that does what the Lambda `layer` does to inputs shaped like `tensor`, or None."""
    import keras

    shape = tuple(tensor.shape[1:])
    if any(size is None for size in shape) or int(np.prod(shape)) > 2_000_000:
        return None
    probe = default_rng(3).uniform(-2, 2, (3, *shape)).astype("float32")
    try:
        result = np.asarray(layer(keras.ops.convert_to_tensor(probe)))
    except Exception:
        return None
    makers = [keras.layers.Identity, keras.layers.ReLU, keras.layers.Softmax, keras.layers.Flatten]
    if len(shape) == 3:
        makers = [keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, *makers]
    known = _activation(layer)
    if known is not None:
        makers.append(lambda name: keras.layers.Activation(known, name=name))
    for maker in makers:
        stand_in = maker(name=layer.name)
        if np.allclose(*_same_shape(np.asarray(stand_in(probe)), result), rtol=1e-3, atol=1e-3):
            return maker(name=layer.name)
    if result.ndim == 4 and result.shape[:1] == probe.shape[:1] and result.shape[-1] == probe.shape[-1] and result.shape != probe.shape:
        for method in ("bilinear", "nearest", "bicubic"):
            stand_in = keras.layers.Resizing(result.shape[1], result.shape[2], interpolation=method, name=layer.name)
            if np.allclose(*_same_shape(np.asarray(stand_in(probe)), result), atol=1e-3):
                return stand_in
    if result.shape == probe.shape:
        given, got = (values.reshape(-1, shape[-1]).astype("float64") for values in (probe, result))
        scale, offset = (
            np.round(part, 9) for part in zip(*(np.polyfit(x, y, 1) for x, y in zip(given.T, got.T, strict=True)), strict=True)
        )
        if np.allclose(scale * given + offset, got, atol=1e-3 * max(1.0, float(np.abs(got).max()))):
            return keras.layers.Rescaling(_one_or_each(scale), _one_or_each(offset), name=layer.name)
    return None


def _dropout_stand_in(layer, tensor):
    """Dropout where a layer of the notebook's own is one, for inputs shaped like `tensor`; else None.

    That is: in training it sets a share of the values to zero, each by chance for itself, and scales up the others; else it changes nothing.
    """
    import keras

    shape = tuple(tensor.shape[1:])
    if layer.weights or None in shape or "training" not in inspect.signature(layer.call).parameters:
        return None
    ones = np.ones((max(2, _DRAWN // int(np.prod(shape))), *shape), "float32")
    try:
        still, drawn = (np.asarray(layer.call(keras.ops.convert_to_tensor(ones), training=on)) for on in (False, True))
    except Exception:
        return None
    if drawn.shape != ones.shape or not np.array_equal(still, ones):
        return None
    dropped = drawn == 0
    rate, stated = float(dropped.mean()), getattr(layer, "rate", None)
    each = all(
        (dropped.any(axis) & ~dropped.all(axis)).any() for axis, size in enumerate(dropped.shape) if size > 1
    )  # not whole images or channels
    if not 0 < rate < 1 or not each or not np.allclose(drawn[~dropped], 1 / (1 - rate), rtol=0.05):
        return None
    near = isinstance(stated, float) and abs(stated - rate) < 0.02
    return keras.layers.Dropout(stated if near else round(rate, 2), name=layer.name)


def _one_or_each(values):
    """A number for each channel or each value of a map, as one where it is the same for all."""
    values = np.asarray(values, dtype="float64")
    return float(values.flat[0]) if np.allclose(values, values.flat[0], rtol=1e-6, atol=1e-9) else values.tolist()


def _same_shape(a, b):
    return (a, b) if a.shape == b.shape else (np.zeros(1), np.ones(1))


# ------------------------------------------------------------------ operations


def _reduced(name):
    """A mean or maximum over both axes of a map."""

    def make(layers, op, tensor):
        axes = op.axis if isinstance(op.axis, (list, tuple)) else ()
        whole = len(tensor.shape) == 4 and {axis % 4 for axis in axes} == {1, 2}
        return getattr(layers, name)(keepdims=op.keepdims) if whole else None

    return make


def _reshaped(layers, op, tensor):
    shape = op.compute_output_spec(tensor).shape
    if len(shape) < 2 or shape[0] is not None or None in shape[1:]:
        return None
    return layers.Flatten() if len(shape) == 2 and len(tensor.shape) > 2 else layers.Reshape(shape[1:])


def _padded(layers, op, tensor):
    width = [tuple(pair) for pair in op.pad_width]
    zeros = op.mode == "constant" and len(width) == 4 and width[0] == width[3] == (0, 0)
    return layers.ZeroPadding2D(tuple(width[1:3])) if zeros else None


def _clipped(layers, op, tensor):
    if (op.x_min, op.x_max) == (-1, 1):
        return layers.Activation("hard_tanh")
    return layers.ReLU(op.x_max) if op.x_min == 0 else None


_OPERATIONS = {
    "ReLU": lambda layers, op, _: layers.ReLU(op.max_value, op.negative_slope, op.threshold),
    "Relu": lambda layers, *_: layers.ReLU(),
    "Relu6": lambda layers, *_: layers.ReLU(6.0),
    "LeakyRelu": lambda layers, op, _: layers.LeakyReLU(op.negative_slope),
    "Elu": lambda layers, op, _: layers.ELU(op.alpha),
    "Softmax": lambda layers, op, _: layers.Softmax(op.axis),
    "Mean": _reduced("GlobalAveragePooling2D"),
    "Max": _reduced("GlobalMaxPooling2D"),
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims"), _reshaped),
    "Transpose": lambda layers, op, _: layers.Permute(tuple(op.axes[1:])) if op.axes and op.axes[0] == 0 else None,
    "Pad": _padded,
    "Clip": _clipped,
    "Negative": lambda layers, *_: layers.Rescaling(-1.0),
    "AveragePool": lambda layers, op, _: layers.AveragePooling2D(op.pool_size, op.strides, op.padding),
    "MaxPool": lambda layers, op, _: layers.MaxPooling2D(op.pool_size, op.strides, op.padding),
    "Resize": lambda layers, op, _: layers.Resizing(*op.size, interpolation=op.interpolation),
    **{
        name.title().replace("_", ""): lambda layers, *_, name=name: layers.Activation(name)
        for name in (
            "sigmoid",
            "tanh",
            "silu",
            "gelu",
            "selu",
            "softplus",
            "softsign",
            "hard_sigmoid",
            "hard_tanh",
            "log_softmax",
            "log_sigmoid",
            "mish",
        )
    },
}
"""Keras' operations on one tensor -> (keras.layers, the operation, the tensor) -> the stock layer that does the same, or None."""
_OF_SEVERAL = {
    "Add": "Add",
    "Subtract": "Subtract",
    "Multiply": "Multiply",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
    "Concatenate": "Concatenate",
}
_WITH_NUMBERS = {
    "Add": lambda c, first: (1.0, c),
    "Subtract": lambda c, first: (1.0, -c) if first else (-1.0, c),
    "Multiply": lambda c, first: (c, 0.0),
    "TrueDivide": lambda c, first: (1 / c, 0.0) if first else None,
    "Divide": lambda c, first: (1 / c, 0.0) if first else None,
}
"""Arithmetic with a number, or one for each channel or value of an image, which may come first -> scale and offset."""
_MOST_NUMBERS = 4096
_DRAWS = 8  # calls of a model that is random in inference
_DRAWN = 20_000  # values that tell a rate to 0.01


def _operation_stand_in(op, args, kwargs):
    """The stock layer that does what a Keras operation does, and the tensors that it takes; None where there is none."""
    import keras

    name, given = type(op).__name__, list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else [*args, *kwargs.values()]
    tensors = [item for item in given if isinstance(item, keras.KerasTensor)]
    others = [item for item in given if item is not None and not isinstance(item, keras.KerasTensor)]
    layer = None
    if not is_keras_own(type(op)) or not tensors:
        return None
    if len(tensors) == 1 and not others and name in _OPERATIONS:
        layer = _OPERATIONS[name](keras.layers, op, tensors[0])
    elif len(tensors) > 1 and not others and name in _OF_SEVERAL:
        layer = getattr(keras.layers, name)(**({"axis": op.axis} if name == "Concatenate" else {}))
    elif len(tensors) == len(others) == 1 and name in ("Maximum", *_WITH_NUMBERS):
        number, shape = np.asarray(others[0], dtype="float64"), tensors[0].shape
        number = number.reshape(
            [size for at, size in enumerate(number.shape) if max(number.shape[: at + 1]) > 1]
        )  # without axes of one before it
        if name == "Maximum" and number.size == 1 and number.item() == 0:
            layer = keras.layers.ReLU()
        elif name in _WITH_NUMBERS and number.size <= _MOST_NUMBERS and number.shape == shape[len(shape) - number.ndim :]:
            found = _WITH_NUMBERS[name](number, given[0] is tensors[0])
            layer = found and keras.layers.Rescaling(*map(_one_or_each, found))
    return layer and (layer, tensors if len(tensors) > 1 else tensors[0])


@contextlib.contextmanager
def _through_custom_layers():
    """While this holds, calling a layer that is not Keras' own runs its `call` in place, and operations are stock layers where there are such."""
    import keras

    layer_class, operation_class = keras.layers.Layer, keras.Operation
    original, operate, plain = layer_class.__call__, operation_class.symbolic_call, {}

    def symbolic_call(self, *args, **kwargs):
        if type(self).__name__ in ("Cast", "ConvertToTensor") and is_keras_own(type(self)):
            return args[0]
        found = None if isinstance(self, layer_class) else _operation_stand_in(self, args, kwargs)
        return operate(self, *args, **kwargs) if found is None else original(*found)

    def call(self, *args, **kwargs):
        symbolic = any(isinstance(value, keras.KerasTensor) for value in [*args, *kwargs.values()]) or (
            args and isinstance(args[0], (list, tuple)) and any(isinstance(value, keras.KerasTensor) for value in args[0])
        )
        if not symbolic:
            return original(self, *args, **kwargs)
        given = kwargs.pop("training", None)
        if given is not None and isinstance(given, bool) is not _follows_graph[-1]:
            kwargs["training"] = int(given)
        if type(self).__name__ == "Lambda" and args:
            stand_in = _lambda_stand_in(self, args[0])
            if stand_in is not None:
                return original(stand_in, args[0])
            try:
                return _plain_call(self, *args, **kwargs)
            except Exception as error:
                raise NotTraceable(f"the Lambda layer {self.name!r} does something that no stock layer does") from error
        if not _has_own_parts(self) and not _has_operations(self):
            return original(self, *args, **kwargs)
        stock = _computes_as(self)
        if stock is not None:  # its activation is one of the notebook's own, or it only sets what the stock class takes
            function = _own_activation(self)
            if not self.built or self.name not in plain:
                original(self, *args, **kwargs)  # builds it
            try:
                result = original(as_stock(self, stock, function), *args, **kwargs)
                return result if function is None else function(result)
            except Exception as error:
                raise NotTraceable(f"the activation of {self.name!r} computes something that no stock layer does") from error
        if not self.built:
            original(self, *args, **kwargs)
        if type(self).__module__.startswith("keras.src.") and type(self).__name__ == "Sequential":
            tensor = args[0]
            for layer in self.layers:
                tensor = layer(tensor)
            return tensor
        if not isinstance(self, keras.Model) and isinstance(args[0] if args else None, keras.KerasTensor):
            stand_in = _dropout_stand_in(self, args[0])
            if stand_in is not None:
                return original(stand_in, args[0], **kwargs)
        stock, own = _stock_parent(self)
        if stock is not None and "call" in own and not own & {"build", "__call__"} and _own_activation(self) is None:
            with _calls_of_parent(self, stock, functools.partial(original, as_stock(self, stock, None))) as called:
                result = _plain_call(self, *args, **kwargs)
            if called or not self.weights:
                return result
        if not type(self).call.__module__.startswith("keras.src."):
            _refuse_own_weights(self)
        return _plain_call(self, *args, **kwargs)

    def as_stock(layer, stock, function):
        """The layer of a stock class with the settings and weights of a built one that extends it; without its activation where that is `function`."""
        if layer.name not in plain:
            with _without_activations([layer] if function else []):
                made = stock.from_config({**stock.get_config(layer), **({"activation": "linear"} if function else {})})
            made.build_from_config(layer.get_build_config() or {})
            for variable, value in zip(made.weights, layer.weights, strict=False):  # an activation's own come last
                variable.assign(value)
            if not function and len(made.weights) != len(layer.weights):
                raise NotTraceable(f"{type(layer).__name__} has weights of its own")
            plain[layer.name] = made
        return plain[layer.name]

    layer_class.__call__, operation_class.symbolic_call = call, symbolic_call
    try:
        yield
    finally:
        layer_class.__call__, operation_class.symbolic_call = original, operate


class NotTraceable(Exception):
    """The model does something that no stock layers say."""


@contextlib.contextmanager
def _calls_of_parent(layer, stock, instead):
    """While this holds, `super().call(x)` of a layer calls `instead`; gives a list that is no longer empty once that happened."""
    holder = next(parent for parent in stock.__mro__ if "call" in vars(parent))
    call, called = holder.call, []

    def parents_call(self, *args, **kwargs):
        if self is not layer:
            return call(self, *args, **kwargs)
        called.append(True)
        return instead(*args, **kwargs)

    holder.call = parents_call
    try:
        yield called
    finally:
        holder.call = call


def _refuse_own_weights(layer):
    """Raise NotTraceable where a layer or model has weights that none of its layers has: traced, they would be constants."""
    known = {id(weight) for inner in all_layers(layer) for weight in inner.weights}
    if any(id(weight) not in known for weight in layer.weights):
        raise NotTraceable(f"{type(layer).__name__} has weights of its own")


_follows_graph = [False]
"""Whether what is being followed is a graph that Keras keeps, not a `call`. In a graph the notebook's own `training=` is 0 or 1 (`keep_training`), Keras' default a bool.
In a `call` a bool is the notebook's own, and 1 is what was passed to see `if training: x = dropout(x)`."""


def keep_training(keras):
    """From now on a layer that is called on a symbolic tensor with `training=` keeps it as 0 or 1 in its configuration: False and True are there by default, too."""
    original = keras.layers.Layer.__call__

    @functools.wraps(original)
    def call(self, *args, **kwargs):
        if isinstance(kwargs.get("training"), bool) and args and isinstance(args[0], keras.KerasTensor):
            kwargs["training"] = int(kwargs["training"])
        return original(self, *args, **kwargs)

    keras.layers.Layer.__call__ = call


def _plain_call(layer, *args, **kwargs):
    try:
        accepts = inspect.signature(layer.call).parameters
    except (TypeError, ValueError):
        accepts = {}
    kwargs = {key: value for key, value in kwargs.items() if key in accepts}
    graph = type(layer).call.__module__.startswith("keras.src.models.")
    if "training" in accepts and not graph:
        kwargs["training"] = bool(kwargs["training"]) if "training" in kwargs else 1
    _follows_graph.append(graph)
    try:
        return layer.call(*args, **kwargs)
    finally:
        _follows_graph.pop()


def _traced(model, input_shape):
    """`model` as a Functional of stock layers. Raises where that is not possible."""
    import keras

    _refuse_own_weights(model)
    if input_shape is None:
        raise NotTraceable("its input shape is not known: it was never fitted, called or built")
    with _through_custom_layers():
        inputs = keras.Input(shape=input_shape)
        if hasattr(model, "layers") and type(model).__name__ == "Sequential" and type(model).__module__.startswith("keras.src."):
            outputs = inputs
            for layer in model.layers:
                outputs = layer(outputs)
        else:
            outputs = _plain_call(model, inputs)
    return keras.Model(inputs, outputs)


_compared = {}
"""id of a model -> it (weakly), and a digest of its layers when it was last compared: a loop may look at a model hundreds of times, and comparing takes 30 ms to 0.1 s."""


def _compare(model, target, config, input_shape, *, used):
    """Compare a traced model with its trace, and one that was `used` with what its configuration builds, once for each kind of layers and settings that it has had, but for names: they are drawn anew for each trace."""
    if (target is model and not (used and model.built)) or any(size is None for size in input_shape or (None,)):
        return
    digest = zlib.crc32(
        json.dumps([[layer.get("class_name"), _nameless(layer.get("config"))] for layer in config["config"]["layers"]]).encode()
    )
    known, before = _compared.get(id(model), (lambda: None, None))
    if known() is not model or before != digest:
        if target is not model:
            _same_numbers(model, target, (2, *input_shape), "on a symbolic input", 1e-2, 1e-3)
        elif (twin := _twin(model, config)) is not None:
            small = len(input_shape) == 3 and all(map(_takes_any_size, all_layers(model)))
            called, size = (model.call, (8, 8)) if small else (model, input_shape[:2])
            _same_numbers(called, twin, (1, *size, *input_shape[2:]), "they say", 1e-3, 1e-5)
        _compared[id(model)] = weakref.ref(model), digest


_ANY_SIZE = frozenset((
    "Activation", "Add", "BatchNormalization", "Concatenate", "Conv2D", "Dense", "Dropout", "ELU", "GlobalAveragePooling2D", "GlobalMaxPooling2D",
    "InputLayer", "LeakyReLU", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "ReLU", "Rescaling", "Softmax",
))  # fmt: skip


def _takes_any_size(layer):
    """Whether a layer takes maps of any size and never leaves nothing of one: a small image is then enough to compare by."""
    if type(layer).__name__ not in _ANY_SIZE or getattr(layer, "axis", -1) not in (-1, 3):
        return False
    return getattr(layer, "padding", "same") == "same" or set(layer.kernel_size) == {1}


def _nameless(settings):
    return {key: value for key, value in settings.items() if key != "name"} if isinstance(settings, dict) else settings


def _twin(model, config):
    """What a stock model's configuration builds, as a function of images, with the present weights of the model's layers; None where Keras cannot build it here (box 2 judges that).

    No variable is made for it: that takes three times as long as all the rest.
    """
    import keras

    bare = {key: value for key, value in config.items() if key not in ("build_config", "compile_config")}
    try:
        with keras.StatelessScope(initialize_variables=False):
            made = keras.saving.deserialize_keras_object(json.loads(json.dumps(bare)))  # Keras takes what it reads apart
        layers = {layer.name: layer for layer in all_layers(made)}
        weights = []
        for layer in all_layers(model):
            other = layers.get(layer.name)
            if other is not None and not hasattr(layer, "layers") and len(other.weights) == len(layer.weights):
                weights += zip(other.weights, map(keras.ops.convert_to_tensor, layer.weights), strict=True)
        if any(tuple(mine.shape) != tuple(theirs.shape) for mine, theirs in weights):
            return None
    except Exception:
        return None

    def call(probe, training=False):
        with keras.StatelessScope(weights, initialize_variables=False):
            return made.call(probe, training=training)

    return call


def _same_numbers(model, target, shape, where, relative, absolute):
    """Raise NotTraceable where the trace or the configuration computes something else than the model: `call` may tell a symbolic input from images.

    Where the model itself gives other numbers each time (a random layer that is always on), means are compared.
    """
    probe = default_rng(5).uniform(0, 1, shape).astype("float32")
    once, other = (_numbers(each, probe) for each in (model, target))
    if _close(once, other, relative, absolute):
        return
    if _close(once, _numbers(model, probe), relative, absolute) or not _alike_on_average(model, target, probe):
        raise NotTraceable(f"on images they compute something else than {where}")


def _alike_on_average(model, target, probe):
    """Whether two models that draw numbers have outputs of the same mean over `_DRAWS` calls, as far as their scatter tells (six standard errors)."""
    one, other = (
        np.stack([np.concatenate([part.ravel() for part in _numbers(each, probe)]) for _ in range(_DRAWS)]) for each in (model, target)
    )
    if one.shape != other.shape:
        return False
    allowed = 6 * np.sqrt((one.var(axis=0) + other.var(axis=0)) / _DRAWS) + 1e-3
    return bool((np.abs(one.mean(axis=0) - other.mean(axis=0)) <= allowed).all())


def _numbers(model, probe):
    """The outputs of a model, or of a function that stands for one, for `probe`, in inference."""
    found = model(probe, training=False) if "training" in inspect.signature(getattr(model, "call", model)).parameters else model(probe)
    return [np.asarray(each, dtype="float64") for each in (found if isinstance(found, (list, tuple)) else [found])]


def _close(one, other, relative, absolute):
    return len(one) == len(other) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=relative, atol=absolute, equal_nan=True) for a, b in zip(one, other, strict=True)
    )


def _as_it_computes(model):
    """Raise NotTraceable where a Sequential names other layers than it computes with."""
    inner = getattr(model, "_functional", None) if type(model).__name__ == "Sequential" else None
    if inner is not None:
        named = [id(layer) for layer in model.layers]
        used = {id(layer) for layer in inner.layers if type(layer).__name__ != "InputLayer"}
        if used != set(named):
            raise NotTraceable("the layers that it names are not those that it computes with")


def _parameters(target, adapted):
    """The numbers that the object holds, without what `adapt` found, which the configuration carries; None before it is built."""
    try:
        found = sum(
            layer.count_params() for layer in all_layers(target) if type(layer).__name__ == "Normalization" and adapted.get(layer.name)
        )
        return int(target.count_params()) - int(found)
    except Exception:
        return None


def _mend(config, activations, adapted):
    """Drop `training` arguments of calls that are Keras' own defaults, name hand-written activations, and write down what Keras leaves out or cannot read back, in place; returns `config`."""
    if isinstance(config, dict):
        name, settings = config.get("name"), config.get("config")
        if config.get("class_name") == "RandomShear" and isinstance(settings, dict):
            _unspread(settings)
        if config.get("class_name") == "Normalization" and isinstance(settings, dict):
            settings.update(adapted.get(settings.get("name")) or {})
        for key, value in list(config.items()):
            if key == "activation" and name in activations:
                config[key] = activations[name]
            elif isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
                config[key] = _unnested(value["config"]["value"])
            elif key == "kwargs" and isinstance(value, dict):
                if type(value.get("training")) is not int:
                    value.pop("training", None)
                _mend(value, activations, adapted)
            else:
                _mend(value, activations, adapted)
    elif isinstance(config, (list, tuple)):
        for item in config:
            _mend(item, activations, adapted)
    return config


def _unnested(values):
    """An array's numbers as Keras' layers take them: a list for each channel, without the axes of length one before it."""
    while isinstance(values, list) and len(values) == 1:
        values = values[0]
    return values


def _adapted(layer):
    """The mean and variance that `adapt` found, which the layer's configuration lacks; empty where it never ran or they were given."""
    if layer.input_mean is not None or not layer.built:
        return {}
    mean, variance = np.asarray(layer.adapt_mean), np.asarray(layer.adapt_variance)
    if not mean.size or mean.size > 4096 or (np.all(mean == 0) and np.all(variance == 1)):
        return {}
    return {"mean": mean.tolist(), "variance": variance.tolist()}


def _unspread(settings):
    """RandomShear(0.2) writes its factors as [-0.2, 0.2], and refuses negative ones when it is read."""
    for key in ("x_factor", "y_factor"):
        factor = settings.get(key)
        if isinstance(factor, (list, tuple)) and len(factor) == 2 and factor[0] == -factor[1]:
            settings[key] = factor[1]


def _input_shape(model, given):
    for source in (
        lambda: model.input_shape,
        lambda: model.inputs[0].shape,
        lambda: model._build_shapes_dict and next(iter(model._build_shapes_dict.values())),
    ):
        try:
            shape = source()
            if isinstance(shape, (tuple, list)) and shape and not isinstance(shape[0], (tuple, list)):
                return tuple(None if size is None else int(size) for size in shape[1:])
        except Exception:
            continue
    return given


def snapshot(model, given_shape=None):
    """The fields of a ModelClaim that describe `model`, as a dict. `given_shape`: the shape of the images that reached it, if any."""
    import keras

    kind = "Sequential" if type(model) is keras.Sequential else "Functional" if type(model).__name__ == "Functional" else "Subclassed"
    shape = _input_shape(model, given_shape)
    layers = all_layers(model)
    result = {"kind": kind, "config": None, "unbuildable": None, "traced": False, "input_shape": list(shape) if shape else None}
    own = kind == "Subclassed" or has_own(model, "call") or _has_own_parts(model)
    ways = [functools.partial(_traced, model, shape)] if own or _has_operations(model) else []
    for way in [*ways, *([] if own else [lambda: model])]:  # operations that are followed in vain stay operations
        try:
            _as_it_computes(model)
            target = way()
            result.update(_configured(model, target, shape, used=given_shape is not None), unbuildable=None, traced=target is not model)
            break
        except Exception as error:
            said = "its layers cannot be followed" if isinstance(error, NotTraceable) else type(error).__name__
            result["unbuildable"] = f"{said}: {readable(error, 300)}"
    result["layers"] = [_describe(layer) for layer in layers[:300]]
    result["frozen"] = [layer.name[:80] for layer in layers if not layer.trainable and layer.weights][:50]
    return result


def _configured(model, target, shape, *, used):
    """The configuration of `target`, which is `model` or its trace, and the numbers that it holds."""
    import keras

    activations, adapted, own = {}, {}, []
    for layer in (target, *all_layers(target)):
        if has_own(layer, "get_config"):
            raise NotTraceable(f"the get_config of {layer.name} was replaced")
        if type(layer).__name__ == "Normalization":
            adapted[layer.name] = _adapted(layer)
        function = _own_activation(layer)
        if function is not None:
            activations[layer.name] = _activation(function)
            own.append(layer)
    parameters = _parameters(target, adapted)
    with _without_activations(own):
        config = keras.saving.serialize_keras_object(target)
    mended = _mend(json.loads(json.dumps(config, default=_plain)), activations, adapted)
    _compare(model, target, mended, shape, used=used)
    return {"parameters": parameters, "config": mended}


def _plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "as_list"):
        return value.as_list()
    return str(value)


def _describe(layer):
    shape = None
    try:
        shape = [None if size is None else int(size) for size in layer.output.shape[1:]]
    except Exception:
        shape = None
    parameters = None
    try:
        parameters = int(layer.count_params())
    except Exception:
        parameters = None
    return {"class_name": type(layer).__name__[:80], "name": str(layer.name)[:80], "output_shape": shape, "parameters": parameters}
