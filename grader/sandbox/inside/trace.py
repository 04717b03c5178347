"""A model object as data: its Keras configuration, or for subclassed models and custom layers the stock layers that its `call` applies.

Tracing: the model's `call` is run on a symbolic input while the `call` of every layer that is not Keras' own is run in place, so that only
stock layers are recorded. Lambdas and activations written by hand are replaced by the stock layer or function that gives the same numbers on
random input, where there is one. All of this is a claim; the rebuilding in box 2 judges it.
"""

import contextlib
import inspect
import json
import sys
import weakref
import zlib

import numpy as np

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


def all_layers(model):
    """Every layer below `model`, nested ones too, the model itself left out."""
    try:
        return list(model._flatten_layers(include_self=False, recursive=True))
    except Exception:
        return list(getattr(model, "layers", []))


def _activation_name(function):
    """The Keras activation that gives the same numbers as `function`, or None."""
    import keras

    grid = np.linspace(-4, 4, 41, dtype="float32").reshape(1, -1)
    try:
        wanted = np.asarray(function(keras.ops.convert_to_tensor(grid)))
    except Exception:
        return None
    for name in (
        "relu",
        "linear",
        "softmax",
        "sigmoid",
        "tanh",
        "elu",
        "selu",
        "gelu",
        "silu",
        "leaky_relu",
        "softplus",
        "relu6",
        "hard_sigmoid",
    ):
        candidate = np.asarray(keras.activations.get(name)(keras.ops.convert_to_tensor(grid)))
        if wanted.shape == candidate.shape and np.allclose(wanted, candidate, atol=1e-4):
            return name
    return None


def _lambda_stand_in(layer, tensor):
    """A stock layer that does what the Lambda `layer` does to inputs shaped like `tensor`, or None."""
    import keras

    shape = tuple(tensor.shape[1:])
    if any(size is None for size in shape) or int(np.prod(shape)) > 2_000_000:
        return None
    probe = np.random.default_rng(3).uniform(-2, 2, (3, *shape)).astype("float32")
    try:
        result = np.asarray(layer(keras.ops.convert_to_tensor(probe)))
    except Exception:
        return None
    makers = [keras.layers.Identity, keras.layers.ReLU, keras.layers.Softmax, keras.layers.Flatten]
    if len(shape) == 3:
        makers = [keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, *makers]
    for maker in makers:
        stand_in = maker(name=layer.name)
        if np.allclose(*_same_shape(np.asarray(stand_in(probe)), result), atol=1e-4):
            return maker(name=layer.name)
    if result.ndim == 4 and result.shape[:1] == probe.shape[:1] and result.shape[-1] == probe.shape[-1] and result.shape != probe.shape:
        for method in ("bilinear", "nearest", "bicubic"):
            stand_in = keras.layers.Resizing(result.shape[1], result.shape[2], interpolation=method, name=layer.name)
            if np.allclose(*_same_shape(np.asarray(stand_in(probe)), result), atol=1e-3):
                return stand_in
    if result.shape == probe.shape:
        scale, offset = np.polyfit(probe.reshape(-1).astype("float64"), result.reshape(-1).astype("float64"), 1)
        if np.allclose(scale * probe + offset, result, atol=1e-3 * max(1.0, float(np.abs(result).max()))):
            return keras.layers.Rescaling(float(scale), float(offset), name=layer.name)
    return None


def _same_shape(a, b):
    return (a, b) if a.shape == b.shape else (np.zeros(1), np.ones(1))


@contextlib.contextmanager
def _symbolic_tensorflow():
    """Let the TensorFlow functions that students use inside `call` work on symbolic Keras tensors."""
    import keras
    import tensorflow as tf

    ops = keras.ops
    changes = []

    def replace(place, name, function):
        original = getattr(place, name)

        def either(*args, **kwargs):
            if any(
                isinstance(value, keras.KerasTensor)
                for value in [*args, *kwargs.values()] + [v for a in args if isinstance(a, (list, tuple)) for v in a]
            ):
                return function(*args, **kwargs)
            return original(*args, **kwargs)

        changes.append((place, name, original))
        setattr(place, name, either)

    def mean(input_tensor, axis=None, keepdims=False, name=None):
        return ops.mean(input_tensor, axis=tuple(axis) if isinstance(axis, (list, tuple)) else axis, keepdims=keepdims)

    replace(tf, "reduce_mean", mean)
    replace(tf, "reshape", lambda tensor, shape, name=None: ops.reshape(tensor, shape))
    replace(tf, "concat", lambda values, axis, name=None: ops.concatenate(values, axis=axis))
    replace(tf, "add", lambda x, y, name=None: ops.add(x, y))
    replace(tf, "squeeze", lambda input, axis=None, name=None: ops.squeeze(input, axis=tuple(axis) if isinstance(axis, list) else axis))
    replace(tf, "cast", lambda x, dtype, name=None: x)
    for name in ("relu", "softmax", "elu", "sigmoid", "tanh", "selu", "gelu", "leaky_relu"):
        if hasattr(tf.nn, name):
            replace(tf.nn, name, lambda x, *_, _name=name, **__: getattr(ops, _name)(x))
    try:
        yield
    finally:
        for place, name, original in reversed(changes):
            setattr(place, name, original)


@contextlib.contextmanager
def _through_custom_layers():
    """While this holds, calling a layer that is not Keras' own runs its `call` in place."""
    import keras

    layer_class = keras.layers.Layer
    original = layer_class.__call__

    def call(self, *args, **kwargs):
        symbolic = any(isinstance(value, keras.KerasTensor) for value in [*args, *kwargs.values()]) or (
            args and isinstance(args[0], (list, tuple)) and any(isinstance(value, keras.KerasTensor) for value in args[0])
        )
        if not symbolic:
            return original(self, *args, **kwargs)
        if type(self).__name__ == "Lambda" and args:
            stand_in = _lambda_stand_in(self, args[0])
            if stand_in is None:
                raise NotTraceable(f"the Lambda layer {self.name!r} does something that no stock layer does")
            return original(stand_in, args[0])
        if _is_stock(self) and not any(not _is_stock(layer) for layer in (all_layers(self) if hasattr(self, "layers") else [])):
            return original(self, *args, **kwargs)
        if not self.built:
            original(self, *args, **kwargs)
        if type(self).__module__.startswith("keras.src.") and type(self).__name__ == "Sequential":
            tensor = args[0]
            for layer in self.layers:
                tensor = layer(tensor)
            return tensor
        if (
            not type(self).call.__module__.startswith("keras.src.")
            and not hasattr(self, "layers")
            and self.weights
            and not all_layers(self)
        ):
            raise NotTraceable(f"the layer {type(self).__name__} has weights of its own")
        return _plain_call(self, *args, **kwargs)

    layer_class.__call__ = call
    try:
        yield
    finally:
        layer_class.__call__ = original


class NotTraceable(Exception):
    """The model does something that no stock layers say."""


def _plain_call(layer, *args, **kwargs):
    try:
        accepts = inspect.signature(layer.call).parameters
    except (TypeError, ValueError):
        accepts = {}
    kwargs = {key: value for key, value in kwargs.items() if key in accepts}
    if "training" in accepts:
        kwargs["training"] = True  # `if training: x = dropout(x)` must be seen
    return layer.call(*args, **kwargs)


def _traced(model, input_shape):
    """`model` as a Functional of stock layers. Raises where that is not possible."""
    import keras

    with _symbolic_tensorflow(), _through_custom_layers():
        inputs = keras.Input(shape=input_shape)
        if hasattr(model, "layers") and type(model).__name__ == "Sequential" and type(model).__module__.startswith("keras.src."):
            outputs = inputs
            for layer in model.layers:
                outputs = layer(outputs)
        else:
            outputs = _plain_call(model, inputs)
    return keras.Model(inputs, outputs)


_compared = {}
"""id of a traced model -> it (weakly), and a digest of its layers when it was last compared: a loop may look at a model hundreds of times, and comparing takes 30 ms."""


def _compare(model, target, config, input_shape):
    """Compare a traced model with its trace, once for each kind of layers and settings that it has had (names are drawn anew for each trace)."""
    if target is model:
        return
    digest = zlib.crc32(
        json.dumps([[layer.get("class_name"), _nameless(layer.get("config"))] for layer in config["config"]["layers"]]).encode()
    )
    known, before = _compared.get(id(model), (lambda: None, None))
    if known() is not model or before != digest:
        _same_numbers(model, target, input_shape)
        _compared[id(model)] = weakref.ref(model), digest


def _nameless(settings):
    return {key: value for key, value in settings.items() if key != "name"} if isinstance(settings, dict) else settings


def _same_numbers(model, target, input_shape):
    """Raise NotTraceable where the trace computes something else than the model: `call` may tell a symbolic input from images.

    Where the model itself gives other numbers each time (a random layer that is always on), nothing can be compared.
    """
    if any(size is None for size in input_shape):
        return
    probe = np.random.default_rng(5).uniform(0, 1, (2, *input_shape)).astype("float32")
    once, again, traced = (_numbers(each, probe) for each in (model, model, target))
    if not _close(once, again):
        return
    if not _close(once, traced):
        raise NotTraceable("on images they compute something else than on a symbolic input")


def _numbers(model, probe):
    """The outputs for `probe`, in inference."""
    found = model(probe, training=False) if "training" in inspect.signature(model.call).parameters else model(probe)
    return [np.asarray(each, dtype="float64") for each in (found if isinstance(found, (list, tuple)) else [found])]


def _close(one, other):
    return len(one) == len(other) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-2, atol=1e-3, equal_nan=True) for a, b in zip(one, other, strict=True)
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
    """Drop `training` arguments of calls, name hand-written activations, and write down what Keras leaves out or cannot read back, in place; returns `config`."""
    if isinstance(config, dict):
        name, settings = config.get("name"), config.get("config")
        if config.get("class_name") == "RandomShear" and isinstance(settings, dict):
            _unspread(settings)
        if config.get("class_name") == "Normalization" and isinstance(settings, dict):
            settings.update(adapted.get(settings.get("name")) or {})
        for key, value in list(config.items()):
            said = value.get("class_name", "__lambda__") if isinstance(value, dict) else "function" if isinstance(value, str) else ""
            if key in ("activation", "recurrent_activation") and said in ("function", "__lambda__") and name in activations:
                if activations[name]:
                    config[key] = activations[name]
                elif isinstance(value, str):
                    raise NotTraceable(f"the activation of {name} is a function of the notebook's that calls itself {value}")
            elif key == "kwargs" and isinstance(value, dict):
                value.pop("training", None)
                _mend(value, activations, adapted)
            else:
                _mend(value, activations, adapted)
    elif isinstance(config, (list, tuple)):
        for item in config:
            _mend(item, activations, adapted)
    return config


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
    stock = kind != "Subclassed" and not has_own(model, "call") and all(_is_stock(layer) for layer in layers)
    target = model
    try:
        _as_it_computes(model)
        if not stock:
            if shape is None:
                raise NotTraceable("its input shape is not known: it was never fitted, called or built")
            target = _traced(model, shape)
            result["traced"] = True
        activations, adapted = {}, {}
        for layer in (target, *all_layers(target)):
            if has_own(layer, "get_config"):
                raise NotTraceable(f"the get_config of {layer.name} was replaced")
            if type(layer).__name__ == "Normalization":
                adapted[layer.name] = _adapted(layer)
            function = getattr(layer, "activation", None)
            if callable(function) and not is_keras_own(function) and not _is_stock(function):
                activations[layer.name] = _activation_name(function)
        result["parameters"] = _parameters(target, adapted)
        config = keras.saving.serialize_keras_object(target)
        mended = _mend(json.loads(json.dumps(config, default=_plain)), activations, adapted)
        _compare(model, target, mended, shape)
        result["config"] = mended
    except Exception as error:
        name = "its layers cannot be followed" if isinstance(error, NotTraceable) else type(error).__name__
        result["unbuildable"] = f"{name}: {readable(error, 300)}"
    result["layers"] = [_describe(layer) for layer in layers[:300]]
    result["frozen"] = [layer.name[:80] for layer in layers if not layer.trainable and layer.weights][:50]
    return result


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
