"""Keras 1 and 2 spellings that a small shim can run; each one used is noted in the report.

Two mechanisms: old module names are answered with the present module's contents (`answerer`), and constructors take their old
argument names (`install`). What no shim covers fails in its cell with Keras' own reason.
"""

import contextlib
import functools
import inspect
import itertools
import os
import re
import sys
import types

import numpy as np

from . import absent, files, imports
from .frames import readable
from .originals import hidden

_KERAS = re.compile(
    r"(?:tensorflow(?:_core)?\.)?(?:(?:python|contrib|compat\.v[12])\.)*(?:tf_)?keras(?:\.(?:api|_v[12]|_tf_keras|python|keras|src))*(?:\.|\Z)"
)
"""Where Keras has stood over the years: `keras.`, `tensorflow.keras.`, `tensorflow.contrib.keras.python.keras.`, `keras.api._v2.keras.`, …"""
_INNER = re.compile(r"tensorflow\.python\.keras(?:\.(?!legacy_tf_layers)|\Z)")
"""The Keras 2 that TensorFlow has kept for itself: complete in no version, and its models are no models of Keras'."""
_RENAMED = {
    "engine": "layers", "objectives": "losses", "initializations": "initializers", "optimizer_v1": "optimizers", "optimizer_v2": "optimizers",
    "keras_preprocessing": "preprocessing", "keras_applications": "applications",
}  # fmt: skip
_PARTS = {
    "layers": "convolutional core pooling normalization advanced_activations merge noise embeddings recurrent experimental preprocessing",
    "utils": "np_utils vis_utils generic_utils data_utils layer_utils",
    "optimizers": "legacy experimental",
    "mixed_precision": "experimental",
    "callbacks": "experimental",
    "wrappers": "scikit_learn",
}
"""Present module -> its former parts, which are reached as attributes, too, and show what it holds."""
_MODULES = frozenset((
    *(part for parts in _PARTS.values() for part in parts.split()), "adadelta", "adagrad", "adam", "adamax", "base_layer", "batch_normalization",
    "callbacks", "container", "conv_utils", "convolutional_recurrent", "engine", "ftrl", "functional", "gradient_descent", "image_preprocessing",
    "imagenet_utils", "input_layer", "learning_rate_schedule", "loss_scale_optimizer", "multi_gpu_utils", "nadam", "network", "policy", "rmsprop",
    "sequential", "tensorflow_backend", "topology", "training", "training_utils", "wrappers",
))  # fmt: skip
"""What else was a module once: only these are answered, since `from keras.layers import NoSuchLayer` asks for a module of that name, too."""
_ALIASES = {
    "layers": {
        "Convolution1D": "Conv1D", "Convolution3D": "Conv3D", "SeparableConvolution2D": "SeparableConv2D", "Deconvolution2D": "Conv2DTranspose",
        "SyncBatchNormalization": "BatchNormalization", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
    },
    "mixed_precision": {"set_policy": "set_global_policy"},
    "constraints": {"maxnorm": "max_norm", "nonneg": "non_neg", "unitnorm": "unit_norm"},
    "initializers": {"normal": "RandomNormal", "uniform": "RandomUniform", "zero": "Zeros", "one": "Ones"},
    "regularizers": {"l1l2": "L1L2", "activity_l1": "L1", "activity_l2": "L2"},
    "losses": {
        "mse": "mean_squared_error", "MSE": "mean_squared_error", "mae": "mean_absolute_error", "MAE": "mean_absolute_error",
        "logcosh": "log_cosh", "kullback_leibler_divergence": "kl_divergence", "cosine_proximity": "cosine_similarity",
    },
    "metrics": {"mse": "mean_squared_error", "MSE": "mean_squared_error", "mae": "mean_absolute_error", "MAE": "mean_absolute_error"},
    "callbacks": {"TerminateOnNan": "TerminateOnNaN"},
    "wrappers": {"KerasClassifier": "SKLearnClassifier", "KerasRegressor": "SKLearnRegressor"},
}  # fmt: skip
"""Present module -> former name -> present name."""

_ARGUMENTS = {
    "nb_filter": "filters", "border_mode": "padding", "subsample": "strides", "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint",
    "output_dim": "units", "p": "rate", "bias": "use_bias", "dim_ordering": None, "mode": None, "lr": "learning_rate", "loss_scale": None,
}  # fmt: skip
"""Old argument -> new argument, for whatever has the new one and not the old; None: left out."""
_TF1 = (
    "ConfigProto Session InteractiveSession GPUOptions set_random_seed reset_default_graph get_default_graph global_variables_initializer"
)
"""What TensorFlow 1 held and version 2 keeps elsewhere."""
_OPTIMIZERS = ("SGD", "Adam", "Nadam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Ftrl")


def answerer(context):
    """A function for `imports.Made`: old module name -> a module that shows what the present one holds, or None."""

    def answer(name):
        if name == "tensorflow_datasets":
            context.note("shim", "tensorflow_datasets is answered by a stand-in that knows cifar10 only")
            return _tensorflow_datasets(context)
        if name in ("tensorflow.contrib", "tensorflow_core", "tensorflow_core.python"):
            return _showing(name)
        start = 0 if name.partition(".")[0] in _RENAMED else _KERAS.match(name)
        present = None if start is None else _present(name[start.end() if start else 0 :])
        if present is None:
            return None
        context.note("shim", f"import {name} answered with {present[-1].__name__} (it was moved or removed)")
        return _showing(name, *present)

    return answer


def _present(rest):
    """The modules that hold today what stood under the name `rest` below `keras`; None where nothing did."""
    import keras

    if not rest:
        return (keras,)
    first, *more = rest.split(".")
    found = vars(keras).get(_RENAMED.get(first, first))
    if not isinstance(found, types.ModuleType):
        return None
    for part in more:
        if isinstance(vars(found).get(part), types.ModuleType):
            found = vars(found)[part]
        elif part not in _MODULES:
            return None
    return (keras.models, found) if first == "engine" else (found,)


def _showing(name, *shown):
    module = types.ModuleType(name)
    for each in shown:
        module.__dict__.update({key: value for key, value in vars(each).items() if not key.startswith("__")})
    module.__path__ = []
    return module


def install(context, after):
    """Register what happens once Keras' modules are imported."""
    after.before("keras", lambda: _keep_backend(context))
    after.after("keras.src.utils.file_utils", lambda module: _file_utils(context, module))
    _numpy(np)
    after.before(
        "tensorflow", lambda: os.environ.pop("TF_USE_LEGACY_KERAS", None)
    )  # `tf_keras` is answered with Keras, which wants TensorFlow first
    after.after("tensorflow", lambda module: _tensorflow(context, module))
    after.after("keras", lambda keras: _keras(context, keras))
    after.after("tensorflow.keras", lambda module: _fill(context, module, ""))
    for name in _FILLED:  # all of `keras` is there by then, but `tensorflow.keras` is imported part by part
        after.after(f"tensorflow.keras.{name}", lambda module, name=name: _fill(context, module, name))


def _instead_of_inner_keras(context):
    """Let `tensorflow.python.keras` be Keras: what TensorFlow has loaded of its own one, it has."""
    for name in [name for name in sys.modules if _INNER.match(name)]:
        del sys.modules[name]
    vars(sys.modules["tensorflow.python"]).pop("keras", None)
    answer = answerer(context)
    sys.meta_path.insert(0, imports.Made(lambda name: answer(name) if _INNER.match(name) else None).finder)


def _tensorflow(context, module):
    _instead_of_inner_keras(context)
    for name in _TF1.split():
        if name not in vars(module):
            setattr(module, name, getattr(module.compat.v1, name))
    for place in (module, module.compat.v1):
        rewrite = hidden(lambda optimizer, *_, **__: _quiet(context, f"{_REWRITE}()")() or optimizer)
        setattr(place.train.experimental, _REWRITE, rewrite)


_REWRITE = "enable_mixed_precision_graph_rewrite"


def _keep_backend(context):
    """Only TensorFlow is provided: a notebook that asks Keras for JAX or PyTorch runs on it, too."""
    if os.environ.get("KERAS_BACKEND") != "tensorflow":
        context.note("shim", f"Keras runs on TensorFlow here, not on {str(os.environ.get('KERAS_BACKEND'))[:20]}")
        os.environ["KERAS_BACKEND"] = "tensorflow"


def _numpy(module):
    """The aliases of Python's own types that NumPy 1.24 took away."""
    for name, kind in (("float", float), ("int", int), ("object", object), ("complex", complex), ("str", str)):
        if name not in vars(module):
            setattr(module, name, kind)


def _keras(context, keras):
    import keras.layers
    import keras.optimizers
    import keras.utils
    import tensorflow as tf

    places = (keras.layers, keras.optimizers, keras.optimizers.schedules, keras.regularizers, keras.initializers, keras.constraints)
    classes = {id(cls): cls for place in places for cls in vars(place).values() if isinstance(cls, type) and "__init__" in vars(cls)}
    for cls in [*classes.values(), keras.DTypePolicy]:
        _take_old_arguments(context, cls)
    for cls, method in (
        (keras.Model, "__new__"),
        (keras.Model, "__init__"),
        (sys.modules["keras.src.models.functional"].Functional, "__init__"),
    ):
        _take_old_ends(context, cls, method)
    for name in ("activations", "losses", "metrics"):
        _take_registered(keras, sys.modules[f"keras.src.{name}"])
    for name in _OPTIMIZERS:
        _take_old_optimizer_arguments(context, getattr(keras.optimizers, name), name)
    _take_old_checkpoints(context, keras.callbacks.ModelCheckpoint)
    _take_old_saves(context, keras.Model)
    _keep_training(context, keras.callbacks)
    _old_rate(context, keras.optimizers.Optimizer)
    _take_old_metric_names(context, keras.callbacks)
    _take_old_attributes(keras)
    for name in ("", *_FILLED):
        for prefix in ("keras", "keras._tf_keras.keras"):
            module = sys.modules.get(f"{prefix}.{name}" if name else prefix)
            if module is not None:
                _fill(context, module, name)
    _symbolic(context, tf)
    keras.backend.set_image_dim_ordering = lambda *_: context.note("shim", "set_image_dim_ordering() ignored")
    keras.backend.image_dim_ordering = lambda: "tf"
    keras.backend.set_image_data_format = keras.config.set_image_data_format


def _fill(context, module, name):
    """Give `module`, Keras' own `name` or `tensorflow.keras`' of that name, what it held in earlier versions, and what it lacks of Keras' own."""
    present = sys.modules.get(f"keras.{_SHOWING.get(name, name)}" if name else "keras")
    if present not in (None, module):
        for key, value in vars(present).items():
            if not key.startswith("_") and (name in _SHOWING or key not in vars(module)):
                setattr(module, key, value)
    for part in _PARTS.get(name, "").split():
        if not isinstance(vars(module).get(part), _Noting):
            setattr(module, part, _Noting(context, module, f"{name}.{part}"))
    for old, new in _ALIASES.get(name, {}).items():
        if old not in vars(module):
            setattr(module, old, getattr(module, new))
    if name in _SPECIAL:
        _SPECIAL[name](context, module)


def _quiet(context, what):
    def function(*_, **__):
        context.note("other", f"{what} does nothing while grading")

    return function


def _layers_module(context, module):
    module.Convolution2D = _convolution2d(context, module.Conv2D)


def _utils_module(context, module):
    for name in ("plot_model", "model_to_dot"):
        setattr(module, name, _quiet(context, f"{name}()"))
    module.multi_gpu_model = lambda model, *_, **__: model


def _optimizers_module(_, module):
    for name in _OPTIMIZERS:
        if name.lower() not in vars(module):
            setattr(module, name.lower(), getattr(module, name))


def _image_module(_, module):
    if not hasattr(module, "ImageDataGenerator"):
        from keras.src.legacy.preprocessing.image import ImageDataGenerator

        module.ImageDataGenerator = ImageDataGenerator


def _backend_module(context, module):
    """What `keras.backend` held until Keras 2, where the present one lacks it or cannot take a Keras variable."""
    import keras
    import keras.src.legacy.backend as old

    def get_value(x):
        context.note("shim", "keras.backend.get_value() answered (it was removed from Keras)")
        return np.asarray(keras.ops.convert_to_numpy(x))[()] if hasattr(x, "shape") else x

    def set_value(x, value):
        context.note("shim", "keras.backend.set_value() answered (it was removed from Keras)")
        x.assign(value)

    for name in dir(old):
        function = getattr(old, name)
        if not name.startswith("_") and inspect.isfunction(function) and name not in vars(module):
            setattr(module, name, function)
    for name in ("get_session", "set_session", "set_learning_phase", "manual_variable_initialization"):
        vars(module).setdefault(name, _quiet(context, f"keras.backend.{name}()"))
    module.get_value = module.eval = get_value
    module.set_value = set_value


def _old_rate(context, cls):
    def read(self):
        context.note("shim", "optimizer.lr answered as learning_rate (its name changed in Keras 2.3)")
        return self.learning_rate

    def write(self, value):
        context.note("shim", "optimizer.lr set as learning_rate (its name changed in Keras 2.3)")
        self.learning_rate = value

    cls.lr = property(read, write)


_ARITHMETIC = (
    "reduce_mean=mean reduce_max=max reduce_min=min reduce_sum=sum abs add argmax divide exp maximum minimum multiply negative pow=power "
    "sigmoid sin cos atan=arctan square sqrt subtract tanh"
)
_SYMBOLIC = {
    "": f"{_ARITHMETIC} cast clip_by_value=clip concat=concatenate expand_dims matmul pad reshape round shape split squeeze stack tile transpose",
    "math": f"{_ARITHMETIC} log erf expm1 rsqrt softplus reduce_std=std reduce_variance=var",
    "nn": "elu gelu leaky_relu log_softmax relu relu6 selu sigmoid silu softmax softplus softsign swish=silu tanh l2_normalize=normalize "
    "max_pool max_pool2d=max_pool avg_pool=average_pool avg_pool2d=average_pool",
    "image": "resize=image.resize",
}
"""TensorFlow's functions, which Keras 2 took in functional models -> `keras.ops`, which Keras 3 wants there."""
_SYMBOLIC_ARGUMENTS = {
    ("leaky_relu", "alpha"): "negative_slope", ("transpose", "perm"): "axes", ("clip_by_value", "clip_value_min"): "x_min",
    ("clip_by_value", "clip_value_max"): "x_max", ("split", "num_or_size_splits"): "indices_or_sections", ("pad", "paddings"): "pad_width",
}  # fmt: skip


def _symbolic(context, tensorflow):
    for holder, names in _SYMBOLIC.items():
        place = getattr(tensorflow, holder) if holder else tensorflow
        for name, _, operation in (item.partition("=") for item in names.split()):
            both = _for_both(context, getattr(place, name), f"{holder}.{name}".strip("."), operation or name)
            setattr(place, name, hidden(tensorflow.autograph.experimental.do_not_convert(both), getattr(place, name)))


def _for_both(context, original, name, operation):
    """`original`, but for symbolic tensors of a functional model `keras.ops`' operation of the same meaning."""

    @functools.wraps(original)
    def function(*args, **kwargs):
        given = [*args, *kwargs.values()]
        parts = [part for each in given for part in (each if isinstance(each, (list, tuple)) else [each])]
        if any(type(part).__name__ == "KerasTensor" for part in parts):
            import keras

            context.note("shim", f"tf.{name}() in a functional model answered by keras.ops.{operation}()")
            kwargs.pop("name", None)
            kwargs = {_SYMBOLIC_ARGUMENTS.get((name.rpartition(".")[2], key), key): value for key, value in kwargs.items()}
            if not args and kwargs:  # the first argument by its name, which keras.ops calls otherwise
                args = (kwargs.pop(next(iter(kwargs))),)
            return functools.reduce(getattr, operation.split("."), keras.ops)(*args, **kwargs)
        return original(*args, **kwargs)

    return function


# ------------------------------------------------------------------ names of metrics

_SAME_METRICS = (
    ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy"),
    ("mean_squared_error", "mse", "MSE"),
    ("mean_absolute_error", "mae", "MAE"),
    ("learning_rate", "lr"),
)


def same_metric(name, known):
    """The one of the names `known` that other versions of Keras give to what `name` says, or None."""
    held, bare = str(name).startswith("val_"), str(name).removeprefix("val_")
    group = next((group for group in _SAME_METRICS if bare in group), ())
    return next((other for other in known if other.removeprefix("val_") in group and other.startswith("val_") == held), None)


def by_what_they_are(history, metrics):
    """The history's values with those of the first metric that measures accuracy under that name, whatever the student called it."""
    parts = [part for metric in metrics for part in getattr(metric, "metrics", [metric])]
    own = [part.name for part in parts if re.fullmatch("(Sparse|Categorical|Binary)*Accuracy", type(part).__name__)]
    if not own or same_metric("accuracy", history) or "accuracy" in history:
        return history
    return {f"{key[: -len(own[0])]}accuracy" if key in (own[0], f"val_{own[0]}") else key: values for key, values in history.items()}


class Keys(dict):
    """A history's or an epoch's values, which also answer to the names that other versions of Keras gave them."""

    note = None

    def __missing__(self, key):
        other = same_metric(key, self)
        if other is None:
            raise KeyError(key)
        if Keys.note:
            Keys.note("shim", f"the value {key!r} answered with {other!r} (its name changed between Keras versions)")
        return self[other]

    def get(self, key, default=None):
        return self[key] if key in self or same_metric(key, self) is not None else default


def _take_old_metric_names(context, callbacks):
    """Let callbacks monitor, read and write into file names what this training calls otherwise; what it does not know at all is guessed as in Keras 2."""
    import keras.src.utils.python_utils as utils
    from keras.src.callbacks.monitor_callback import MonitorCallback

    original, choose, place = utils.pythonify_logs, MonitorCallback._set_monitor_op, callbacks.ModelCheckpoint._get_file_path

    def choose_either(self):
        names = ["loss", *(each.name for metric in self.model.metrics for each in getattr(metric, "metrics", [metric]))]
        bare = self.monitor.removeprefix("val_")
        other = None if bare in names else same_metric(bare, names)
        if other is not None:
            former, self.monitor = self.monitor, self.monitor[: -len(bare)] + other
            changed = f"answered with {self.monitor!r} (its name changed between Keras versions)"
            context.note("shim", f"{type(self).__name__}(monitor={former!r}) {changed}")
        elif bare not in names and self.mode == "auto":
            self.mode = "max" if "acc" in bare or "auc" in bare.lower() else "min"
            context.note("shim", f"{type(self).__name__} monitors {self.monitor[:40]!r}, which this training does not measure")
        choose(self)

    def place_either(self, epoch, batch, logs):
        names = (f"{held}{name}" for group in _SAME_METRICS for name in group for held in ("", "val_"))
        former = {name: logs[other] for name in names if (other := same_metric(name, logs)) is not None}
        return place(self, epoch, batch, {**former, **logs})

    utils.pythonify_logs = lambda logs: Keys(original(logs))
    MonitorCallback._set_monitor_op, callbacks.ModelCheckpoint._get_file_path = choose_either, place_either


# ------------------------------------------------------------------ what tensors and layers said of themselves


class _Dtype(str):
    """The name of a data type, which is also asked like TensorFlow's own."""

    __slots__ = ()
    name = property(str)
    base_dtype = property(lambda self: self)
    as_numpy_dtype = property(lambda self: np.dtype(str(self)).type)
    is_floating = property(lambda self: "float" in self)
    is_integer = property(lambda self: "int" in self)


class _Shape(tuple):
    """A shape, which is also asked like TensorFlow's own."""

    __slots__ = ()
    as_list = lambda self: list(self)  # noqa: E731, PLW0108 (a type is no method)
    rank = ndims = property(len)
    dims = property(list)
    is_fully_defined = lambda self: None not in self  # noqa: E731


_OLD_ATTRIBUTES = {
    "KerasTensor": {
        "get_shape": lambda tensor: lambda: tensor.shape,
        "_keras_shape": lambda tensor: tensor.shape,
        "op": lambda tensor: tensor._keras_history.operation,
    },
    "Layer": {
        "input_shape": lambda layer: layer.input.shape,
        "output_shape": lambda layer: layer.output.shape,
        "get_input_at": lambda layer: lambda index: layer._inbound_nodes[index].input_tensors[0],
        "get_output_at": lambda layer: lambda index: layer._inbound_nodes[index].output_tensors[0],
        "get_input_shape_at": lambda layer: lambda index: layer.get_input_at(index).shape,
        "get_output_shape_at": lambda layer: lambda index: layer.get_output_at(index).shape,
        "inbound_nodes": lambda layer: layer._inbound_nodes,
        "outbound_nodes": lambda layer: layer._outbound_nodes,
        "_make_predict_function": lambda _: lambda: None,
        "reset_states": lambda _: lambda: None,
        "_make_train_function": lambda _: lambda: None,
    },
    "Metric": {"reset_states": lambda metric: metric.reset_state},
}
"""What Keras 3 no longer has, asked only where an object has no attribute of that name."""


def _take_old_attributes(keras):
    def answering(cls, table):
        def answer(self, name):
            found = table[name](self) if name in table else object.__getattribute__(self, name)  # which says what is wrong
            return hidden(found) if isinstance(found, types.FunctionType) else found

        cls.__getattr__ = answer

    for cls in (keras.KerasTensor, keras.layers.Layer, keras.metrics.Metric):
        answering(cls, _OLD_ATTRIBUTES[cls.__name__])
    keras.KerasTensor.dtype = property(lambda tensor: _Dtype(tensor._dtype))
    keras.KerasTensor.shape = property(lambda tensor: _Shape(tensor._shape))


class _Noting:
    """An old place that shows a present module's contents and notes its use."""

    def __init__(self, context, module, name):
        self.__dict__.update(_note=hidden(context.note), _module=module, _name=name)

    def __getattr__(self, attribute):
        value = self if attribute in _INNER_PARTS else getattr(self._module, attribute)
        self._note("shim", f"keras.{self._name}.{attribute} answered with its present place")
        return value


_INNER_PARTS = ("preprocessing", "image_preprocessing", "batch_normalization")


def _take_old_arguments(context, cls):
    """Let a layer take the arguments of Keras 1 and 2 by their names, and NumPy's numbers, which Keras 2 made Python's own."""
    original, signature = cls.__init__, inspect.signature(cls.__init__)
    kind, names = cls.__name__, list(signature.parameters)[1:]
    renamed = {old: new for old, new in _ARGUMENTS.items() if old not in signature.parameters and new in (None, *signature.parameters)}

    @functools.wraps(original)
    def init(self, *args, **kwargs):
        args = [_number(value, name) for value, name in itertools.zip_longest(args, names[: len(args)])]
        args = args[:1] if kind == "LossScaleOptimizer" and args[1:] == ["dynamic"] else args
        kwargs = {key: _number(value, key) for key, value in kwargs.items()}
        for old in renamed.keys() & kwargs.keys():
            value, new = kwargs.pop(old), renamed[old]
            context.note(
                "shim", f"{kind}({old}=) answered" + (f" as {new}=" if new else " by leaving it out") + " (its name changed since Keras 1)"
            )
            if new:
                kwargs[new] = value
        if isinstance(kwargs.get("batch_input_shape"), (list, tuple)):
            kwargs["input_shape"] = tuple(kwargs.pop("batch_input_shape"))[1:]
            context.note("shim", f"{kind}(batch_input_shape=) answered as input_shape= (it was removed from Keras)")
        if "nb_row" in kwargs and "nb_col" in kwargs:
            kwargs["kernel_size"] = (kwargs.pop("nb_row"), kwargs.pop("nb_col"))
        original(self, *args, **kwargs)

    init.__signature__ = signature  # Keras reads it to derive configurations
    cls.__init__ = init


def _number(value, name=""):
    """NumPy's numbers, and arrays and tensors that hold one, as Python's own; those in lists and tuples, too. What counts something is whole."""
    if type(value) in (list, tuple):
        return type(value)(_number(item, name) for item in value)
    if type(value).__name__ == "EagerTensor":
        value = value.numpy()
    if isinstance(value, (np.generic, np.ndarray)) and value.size == 1 and value.dtype.kind in "biuf":
        value = value.item()
    return int(value) if name in _WHOLE and isinstance(value, float) and value.is_integer() else value


_WHOLE = ("units", "filters", "kernel_size", "strides", "pool_size", "padding")


def _take_old_ends(context, cls, method):
    """Let `Model` take the names `input` and `output`, as Keras 1 did."""
    original = getattr(cls, method)

    @functools.wraps(original)
    def function(self, *args, **kwargs):
        for old in ("input", "output"):
            if old in kwargs and method != "__new__":
                context.note("shim", f"Model({old}=) answered as {old}s= (its name changed in Keras 2)")
            kwargs = {f"{key}s" if key == old else key: value for key, value in kwargs.items()}
        return original(self, *args, **kwargs)

    setattr(cls, method, staticmethod(function) if method == "__new__" else function)


def _take_registered(keras, module):
    """Let the module's `get` know what the notebook put among the custom objects, as in Keras 2."""
    original = module.get

    @functools.wraps(original)
    def get(identifier):
        own = keras.saving.get_registered_object(identifier) if isinstance(identifier, str) else None
        return original(identifier if own is None else own() if isinstance(own, type) else own)

    module.get = get


def _convolution2d(context, conv2d):
    """Keras 1's Convolution2D(filters, rows, columns, …): since Keras 2 the third number silently means strides."""

    def convolution2d(*args, **kwargs):
        if len(args) >= 3 and all(isinstance(value, int) for value in args[:3]):
            context.note("shim", "Convolution2D(filters, rows, columns) answered as Conv2D(filters, (rows, columns))")
            args = (args[0], (args[1], args[2]), *args[3:])
        return conv2d(*args, **kwargs)

    return convolution2d


def _take_old_optimizer_arguments(context, cls, name):
    original, signature = cls.__init__, inspect.signature(cls.__init__)

    @functools.wraps(original)
    def init(self, *args, **kwargs):
        if "lr" in kwargs:
            kwargs["learning_rate"] = kwargs.pop("lr")
            context.note("shim", f"{name}(lr=) answered as learning_rate= (its name changed in Keras 2.3)")
        rate = kwargs.pop("learning_rate", args[0] if args else signature.parameters["learning_rate"].default)
        if isinstance(rate, (int, float, np.generic)) or (hasattr(rate, "numpy") and not callable(rate)):
            rate = float(rate)
        decay = kwargs.pop("decay", None)
        if decay:
            context.note("shim", f"{name}(decay=) answered as an inverse-time schedule (it was removed from Keras)")
            if isinstance(rate, float):
                import keras

                rate = keras.optimizers.schedules.InverseTimeDecay(rate, 1, float(decay))
        kwargs.pop("schedule_decay", None)
        if kwargs.get("epsilon", 1) is None:
            kwargs.pop("epsilon")
        original(self, rate, *args[1:], **kwargs)

    init.__signature__ = signature  # Keras reads it to derive configurations
    cls.__init__ = init


def _take_old_checkpoints(context, cls):
    original = cls.__init__

    @functools.wraps(original)
    def init(self, filepath, *args, **kwargs):
        for gone in ("period", "options"):
            kwargs.pop(gone, None)
        path = str(filepath)
        weights_only = kwargs.get("save_weights_only", False)
        wanted = ".weights.h5" if weights_only else (".keras", ".h5")
        if not path.endswith(wanted):
            path += ".weights.h5" if weights_only else ".keras"
            context.note("shim", f"ModelCheckpoint({str(filepath)[-40:]!r}) saves under a name that present Keras takes")
        original(self, files.folder_for(path), *args, **kwargs)

    init.__signature__ = inspect.signature(original)  # Keras reads it to derive configurations
    cls.__init__ = init


def _take_old_saves(context, cls):
    """`save("x")`, `save_weights("x.h5")` and back: names that present Keras refuses get the ending it wants, weights that are not here are left out."""

    def with_ending(method, endings):
        original = getattr(cls, method)

        @functools.wraps(original)
        def function(self, filepath, *args, **kwargs):
            path = str(filepath)
            if method == "load_weights":
                path = _saved_as(path, *endings)
                if path is None:
                    context.note(
                        "missing",
                        f"load_weights({str(filepath)[-60:]!r}): there is no such file while grading, and weights count for nothing",
                    )
                    return
            if not path.endswith((*endings, ".h5", ".hdf5") if method == "load_weights" else endings):
                path += endings[0]
            if path != str(filepath):
                context.note("shim", f"{method}({str(filepath)[-40:]!r}) uses a file name that present Keras takes")
            kwargs.pop("save_format", None)
            with contextlib.nullcontext(path) if method == "load_weights" else files.writing(context, path) as path:
                original(self, path, *args, **kwargs)

        setattr(cls, method, function)

    with_ending("save", (".keras", ".h5", ".hdf5"))
    with_ending("save_weights", (".weights.h5",))
    with_ending("load_weights", (".weights.h5", ".keras"))


def _saved_as(path, *endings):
    """The file that a save under `path` became by our endings, or `path` itself where it is a file; None where there is neither."""
    names = (path, *(path + ending for ending in endings))
    return next((place for name in names for place in (name, files.elsewhere(name)) if os.path.isfile(place)), None)


def _take_old_names(context, module):
    """`load_model` finds what `save` wrote under a name with another ending, and takes the function's TensorFlow-only arguments."""
    original = vars(module).get("load_model")
    if original is None or hasattr(original, "__wrapped__"):
        return

    @functools.wraps(original)
    def load_model(filepath, *args, **kwargs):
        found = _saved_as(str(filepath), ".keras")
        if found is None and not os.path.isdir(str(filepath)):
            raise FileNotFoundError(f"load_model({str(filepath)[-60:]!r}): there is no such file while grading")
        if found is not None and found != str(filepath):
            context.note(
                "shim", f"load_model({str(filepath)[-40:]!r}) reads the file that was written under a name which present Keras takes"
            )
            filepath = found
        kwargs.pop("options", None)
        return original(filepath, *args, **kwargs)

    module.load_model = load_model


def _keep_training(context, module):
    """Callbacks of Keras that write files end no training where they cannot."""
    for name in ("ModelCheckpoint", "CSVLogger", "TensorBoard", "BackupAndRestore", "RemoteMonitor"):
        cls = getattr(module, name)
        for method in [method for method in vars(cls) if method.startswith("on_")]:
            setattr(cls, method, _suppressing(context, name, vars(cls)[method]))


def _suppressing(context, name, method):
    @functools.wraps(method)
    def function(*args, **kwargs):
        try:
            return method(*args, **kwargs)
        except (OSError, AttributeError) as error:
            context.note(
                "missing",
                f"{name} could not write its file while grading ({type(error).__name__}: {readable(error, 160)}): the training continues",
            )

    return function


def _file_utils(context, module):
    """`get_file` gives the path of what cannot be fetched: what needs the file finds that it is not there."""
    original = module.get_file

    @functools.wraps(original)
    def get_file(fname=None, origin=None, *args, **kwargs):
        for name in ("md5_hash", "file_hash"):
            kwargs.pop(name, None)
        try:
            return original(fname, origin, *args, **kwargs)
        except Exception as error:
            if "URL fetch failure" not in str(error):
                raise
            context.note("missing", f"get_file({str(origin)[-80:]!r}): nothing is downloaded while grading")
            return os.path.join("downloads", str(fname or origin).rsplit("/", 1)[-1])

    module.get_file = get_file


_SHOWING = {"optimizers.legacy": "optimizers"}
"""A module whose own things refuse to work -> the one that it shows instead."""
_SPECIAL = {
    "layers": _layers_module, "utils": _utils_module, "optimizers": _optimizers_module, "preprocessing.image": _image_module,
    "backend": _backend_module, "models": _take_old_names, "saving": _take_old_names,
}  # fmt: skip
_FILLED = tuple({**_PARTS, **_ALIASES, **_SPECIAL, **_SHOWING, "losses": None, "metrics": None})


def compile_arguments(context, args, kwargs):
    """The arguments of `compile` with Keras 2's third one, the metrics, where Keras 3 has it (its own third are the losses' weights), and in a list."""
    third = args[2] if len(args) > 2 else None
    named = isinstance(third, (list, tuple)) and third and not any(isinstance(item, (int, float)) for item in third)
    if (named or isinstance(third, str)) and "metrics" not in kwargs:
        context.note("shim", "compile(optimizer, loss, metrics) answered with metrics= (their place changed in Keras 3)")
        args, kwargs = args[:2], {**kwargs, "metrics": third}
    if isinstance(kwargs.get("metrics"), str):
        context.note("shim", "compile(metrics=) answered with a list of one (Keras 3 takes no single name)")
        kwargs = {**kwargs, "metrics": [kwargs["metrics"]]}
    if isinstance(kwargs.get("metrics"), (list, tuple)):
        kwargs = {**kwargs, "metrics": absent.known(context, kwargs["metrics"], "missing")}
    return args, kwargs


def _tensorflow_datasets(context):
    module = types.ModuleType("tensorflow_datasets")
    module.__path__ = []

    def load(name, split=None, as_supervised=False, batch_size=None, with_info=False, **_):
        from keras.datasets import cifar10

        if str(name).split(":")[0].split("/")[0] != "cifar10":
            raise OSError(f"tensorflow_datasets has only cifar10 while grading, not {name!r}")
        import tensorflow as tf

        (x_train, y_train), (x_test, y_test) = cifar10.load_data()
        arrays = {"train": (x_train, y_train.reshape(-1).astype("int64")), "test": (x_test, y_test.reshape(-1).astype("int64"))}

        def one(part):
            base, _, window = str(part).partition("[")
            images, labels = arrays[base]
            if window:
                start, _, stop = window.rstrip("]").partition(":")
                share = [
                    int(float(text.strip("% ")) * len(images) / 100) if text.endswith("%") else int(text) if text else None
                    for text in (start, stop)
                ]
                images, labels = images[slice(*share)], labels[slice(*share)]
            if batch_size == -1:
                pair = (tf.constant(images), tf.constant(labels))
                return pair if as_supervised else {"image": pair[0], "label": pair[1]}
            data = (images, labels) if as_supervised else {"image": images, "label": labels}
            dataset = tf.data.Dataset.from_tensor_slices(data)
            return dataset.batch(batch_size) if batch_size else dataset

        if split is None:
            result = {part: one(part) for part in arrays}
        elif isinstance(split, (list, tuple)):
            result = [one(part) for part in split]
        else:
            result = one(split)
        if with_info:
            examples = {part: types.SimpleNamespace(num_examples=len(pair[0])) for part, pair in arrays.items()}
            label = types.SimpleNamespace(
                num_classes=10, names=["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
            )
            return result, types.SimpleNamespace(
                splits=examples, features={"label": label, "image": types.SimpleNamespace(shape=(32, 32, 3))}, name="cifar10"
            )
        return result

    module.load = load
    module.as_numpy = lambda dataset: dataset.as_numpy_iterator() if hasattr(dataset, "as_numpy_iterator") else dataset
    module.disable_progress_bar = lambda: None
    return module
