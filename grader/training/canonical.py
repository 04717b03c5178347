"""A claimed Keras configuration in canonical form: only allow-listed classes and plain values get through. Standard library only.

This is the gate of box 2. Everything that could run code or read files when Keras deserialises it is refused: Lambdas, functions,
vocabularies, custom classes, compile and build configurations. Allow-lists from sandbox-findings ("Rebuilding a model from data").
"""

import math
import re
from typing import Any

from grader.errors import RebuildRefused

_TEXT = re.compile(r"[\w.,\->()* :]{0,128}\Z")
"""What text may be: names, equations, data types; without slashes, so that none is a path or an address."""


LAYERS = frozenset((
    "InputLayer", "Dense", "EinsumDense", "Embedding", "Activation", "Identity", "Masking", "Conv1D", "Conv2D", "Conv3D",
    "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "BatchNormalization", "LayerNormalization", "GroupNormalization",
    "UnitNormalization", "RMSNormalization", "SpectralNormalization", "Dropout", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "ReLU", "LeakyReLU", "PReLU", "ELU",
    "Softmax", "Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D",
    "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D", "Concatenate", "Add", "Subtract", "Multiply", "Average",
    "Maximum", "Minimum", "Dot", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "LSTMCell", "GRUCell", "SimpleRNNCell",
    "StackedRNNCells", "RNN", "Bidirectional", "TimeDistributed", "MultiHeadAttention", "GroupedQueryAttention", "Attention",
    "AdditiveAttention", "Rescaling", "Resizing", "CenterCrop", "Normalization", "RandomFlip", "RandomRotation", "RandomZoom",
    "RandomTranslation", "RandomCrop", "RandomContrast", "RandomBrightness", "RandomHeight", "RandomWidth", "RandomShear",
    "RandomSaturation", "RandomHue", "RandomGrayscale", "RandomColorJitter", "RandomErasing", "RandomGaussianBlur", "RandomSharpness",
    "RandomPosterization", "RandomColorDegeneration", "RandomInvert", "RandomPerspective", "RandomElasticTransform", "AutoContrast",
    "Equalization", "Solarization", "MixUp", "CutMix", "RandAugment", "AugMix", "CategoryEncoding",
))  # fmt: skip
_OBJECTS: dict[str, frozenset[str]] = {
    "keras.layers": LAYERS,
    "keras": frozenset({"Sequential", "DTypePolicy", "Functional"}),
    "keras.models": frozenset({"Sequential", "Functional"}),
    "keras.src.models.functional": frozenset({"Functional"}),
    "keras.src.models.sequential": frozenset({"Sequential"}),
    "keras.initializers": frozenset([
        "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Zeros", "Ones", "Constant",
        "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal", "OrthogonalInitializer", "Identity",
    ]),
    "keras.regularizers": frozenset({"L1", "L2", "L1L2", "OrthogonalRegularizer"}),
    "keras.constraints": frozenset({"MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"}),
    "keras.src.ops.numpy": frozenset([
        "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Power", "Negative", "Absolute", "Square", "Sqrt", "Exp", "Log",
        "Maximum", "Minimum", "Mean", "Sum", "Max", "Min", "Prod", "Matmul", "Reshape", "Transpose", "Concatenate", "Stack",
        "Squeeze", "ExpandDims", "GetItem", "Flip", "Repeat", "Clip", "Tanh", "Var", "Std", "Argmax", "Pad", "Sin", "Cos", "Arctan",
        "Sign", "Expm1", "Log1p",
    ]),
    "keras.src.ops.nn": frozenset([
        "Relu", "Relu6", "Sigmoid", "Softplus", "Silu", "Gelu", "Elu", "Selu", "LeakyRelu", "Softmax", "LogSoftmax", "HardSigmoid",
        "Normalize", "MaxPool", "AveragePool",
    ]),
    "keras.src.ops.math": frozenset({"Rsqrt", "Logsumexp"}),
    "keras.src.ops.core": frozenset({"Cast", "ConvertToTensor"}),
}  # fmt: skip
TENSOR = "__keras_tensor__"
_TENSOR_PARTS = frozenset({TENSOR, "__slice__", "__ellipsis__"})
_FORBIDDEN = frozenset((
    "vocabulary", "vocab", "cls", "function", "arguments", "output_shape_fn", "custom_objects", "quantization_config", "shared_object_id",
    "idf_weights",
))  # fmt: skip
MODELS = ("Functional", "Sequential")
PRECISIONS = frozenset({"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"})
"""Floating-point policies that a model may ask for: what is judged and trained is the same model in float32, which the box then computes as the device can."""
MAX_NODES, MAX_LAYERS, MAX_DEPTH, MAX_INT = 200_000, 1000, 40, 10**8
MAX_SEQUENTIAL = 150
"""Rebuilding a Sequential is superlinear: 111 layers 2.5 s, 311 layers 18 s (measured); Functional models are not."""


class _Canonical:
    def __init__(self) -> None:
        self._nodes = self._layers = 0

    def object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        name, module, registered = value.get("class_name"), value.get("module"), value.get("registered_name")
        if not isinstance(name, str):
            raise RebuildRefused("a part of the model has no class name")
        if name in _TENSOR_PARTS:
            return {"class_name": name, "config": self.walk(value.get("config"), depth + 1)}
        if not isinstance(module, str) or name not in _OBJECTS.get(module, ()):
            if name in ("__numpy__", "__tensor__"):
                raise RebuildRefused("it computes with an array of the notebook's own that no stock layer holds")
            raise RebuildRefused(
                f"it contains {name[:40]!r} (of {module[:40] if isinstance(module, str) else 'no module'}), which is not one of Keras' stock layers"
            )
        if registered not in (None, name):
            raise RebuildRefused(f"{name} is registered under another name")
        if module == "keras.layers" or name in MODELS:
            self._layers += 1
            if self._layers > MAX_LAYERS:
                raise RebuildRefused(f"it has more than {MAX_LAYERS} layers")
        config = value.get("config") or {}
        if not isinstance(config, dict) or "class_name" in config:
            raise RebuildRefused(f"the configuration of {name} is not a table")
        layers = config.get("layers")
        if name == "Sequential" and isinstance(layers, list) and len(layers) > MAX_SEQUENTIAL:
            raise RebuildRefused(f"it is a Sequential of more than {MAX_SEQUENTIAL} layers")
        if config.get("unroll") not in (None, False):
            raise RebuildRefused(f"{name} asks to be unrolled")
        result: dict[str, Any] = {
            "module": module,
            "class_name": name,
            "config": self.walk(config, depth + 1),
            "registered_name": registered,
        }
        if name == "DTypePolicy" and result["config"].get("name") in PRECISIONS:
            result["config"]["name"] = "float32"
        if name in MODELS:
            result["config"].pop("build_input_shape", None)
            result["config"].setdefault("trainable", True)
        if name == "InputLayer":
            shape = result["config"].get("batch_shape")
            if isinstance(shape, list) and shape:
                shape[0] = None
        for key in ("inbound_nodes", "name"):
            if key in value:
                result[key] = self.walk(value[key], depth + 1)
        return result  # build_config, compile_config and unknown keys are left behind

    def walk(self, value: Any, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise RebuildRefused("its configuration is too large")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if abs(value) > MAX_INT:
                raise RebuildRefused(f"it contains the number {value}" if abs(value) < 10**40 else "it contains a number of over 40 digits")
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise RebuildRefused("it contains a number that is not finite")
            return value
        if isinstance(value, str):
            if not _TEXT.match(value):
                raise RebuildRefused("it contains text that is no plain name" + f": {value!r}" * (len(value) <= 40))
            return value
        if isinstance(value, list):
            return [self.walk(item, depth + 1) for item in value]
        if isinstance(value, dict):
            if "class_name" in value:
                return self.object(value, depth)
            return self._table(value, depth)
        raise RebuildRefused(f"it contains a value of type {type(value).__name__}")

    def _table(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            if not isinstance(key, str) or not _TEXT.match(key):
                raise RebuildRefused("a key of its configuration is not a plain name")
            if key in _FORBIDDEN:
                if item not in (None, [], {}):
                    raise RebuildRefused(f"it sets {key!r}")
                continue
            if key == "build_config":
                continue
            seeded = key == "seed" and isinstance(item, int)  # Keras draws one of up to 10^9 for its random layers; any is as good
            lower = key == "dtype" and isinstance(item, str) and item in PRECISIONS
            result[key] = "float32" if lower else self.walk(item % MAX_INT if seeded else item, depth + 1)
        return result


def canonical(config: Any) -> dict[str, Any]:
    """The canonical form of a claimed model configuration. Raises RebuildRefused with the part that is not allowed."""
    if not isinstance(config, dict):
        raise RebuildRefused("there is no configuration")
    result = _Canonical().object(config, 0)
    if result["class_name"] not in MODELS:
        raise RebuildRefused(f"its outermost part is a {result['class_name']}, not a model")
    return result
