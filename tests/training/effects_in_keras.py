"""Run as a program with a folder of images: small networks as box 1 claims them, rebuilt and measured as box 2 does, as JSON on standard output.

Each network is the required one with few maps, but for one thing.
"""

# ruff: noqa: PLW0108 (a function makes another layer each time it is called)
import json
import sys

from grader.sandbox.inside import trace
from grader.training.canonical import canonical
from grader.training.inside import effects, rebuild

keras = rebuild.keras
layers, ops = keras.layers, keras.ops
CAPS = {"parameters": 10**8, "activation": 10**8, "nodes": 2000}
SCALED, RAW = {"kind": "affine", "scale": [1 / 255], "offset": [0.0]}, {"kind": "identity"}
NETWORKS = {}
"""Name -> (recipe, function that makes the network)."""


def same(x):
    return x


def dense(x):
    return layers.Dense(10, activation="softmax")(x)


def average(x):
    return layers.GlobalAveragePooling2D()(x)


def network(name, *, recipe=SCALED, front=same, act="relu", mid=same, late=same, pool=average, drop=same, out=dense, last=10):
    """Name one network: `act` after each of four convolutions, `mid` after the first, `late` after the fourth, `drop` behind the average."""

    def make():
        after = (lambda x: layers.Activation(act)(x)) if isinstance(act, str) else act
        inputs = keras.Input((32, 32, 3))
        x = mid(after(layers.Conv2D(8, 3, padding="same")(front(inputs))))
        for filters, strides in ((8, 2), (16, 1), (16, 2)):
            x = after(layers.Conv2D(filters, 3, strides=strides, padding="same")(x))
        x = layers.Conv2D(last, 1)(after(layers.Conv2D(16, 1)(late(x))))
        return keras.Model(inputs, out(drop(pool(x))))

    assert name not in NETWORKS
    NETWORKS[name] = recipe, make


def front(name, *parts, **call):
    network(name, front=lambda x: [x := part(x, **call) for part in parts][-1])


def raw(name, *parts):
    parts = parts or (same,)
    network(name, recipe=RAW, front=lambda x: [x := part(x) for part in parts][-1])


def act(name, function):
    network(name, act=function)


def mid(name, *parts):
    network(name, mid=lambda x: [x := part(x) for part in parts][-1])


def pool(name, *parts):
    network(name, pool=lambda x: [x := part(x) for part in parts][-1])


def drop(name, layer, **call):
    network(name, drop=lambda x: layer(x, **call))


network("as required")

# ------------------------------------------------------------------ values

act("leaky 1", lambda x: layers.LeakyReLU(1.0)(x))
act("slope 1", lambda x: layers.ReLU(negative_slope=1.0)(x))
act("prelu of ones", lambda x: layers.PReLU(alpha_initializer="ones")(x))
act("relu up to 0", lambda x: layers.ReLU(max_value=0.0)(x))
act("relu of an offset", lambda x: layers.ReLU()(layers.Rescaling(1.0, 1000.0)(x)))
act("relu of a sum", lambda x: ops.relu(x + 1000.0))
act("log of exp", lambda x: ops.log(ops.exp(x)))
act("relu less relu", lambda x: ops.relu(x) - ops.relu(-x))
act("tanh of next to nothing", lambda x: 1e5 * ops.tanh(1e-5 * x))
act("linear", "linear")
act("slope 1 of normalised rows", lambda x: layers.LeakyReLU(1.0)(layers.BatchNormalization(axis=1)(x)))
act("never clipped", lambda x: ops.clip(x, -1e6, 1e6))
act("normalised only", lambda x: layers.LayerNormalization()(x))
act("noise only", lambda x: layers.GaussianNoise(0.5)(x))
act("dropout only", lambda x: layers.Dropout(0.5)(x, training=True))
act("leaky 0.97", lambda x: layers.LeakyReLU(0.97)(x))
act("leaky 0.9", lambda x: layers.LeakyReLU(0.9)(x))
act("slope 1.1", lambda x: layers.LeakyReLU(1.1)(x))
act("slope 0.95", lambda x: layers.ReLU(negative_slope=0.95)(x))
act("prelu of 0.93", lambda x: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.93))(x))
act("a thousandth of relu", lambda x: x + 1e-3 * ops.relu(x))
act("a twentieth of relu", lambda x: layers.Add()([x, layers.Rescaling(0.05)(layers.ReLU()(x))]))
act("a ripple", lambda x: x + 0.02 * ops.sin(x))
act("leaky 0.97, own", lambda x: layers.Activation(lambda values: ops.maximum(values, 0.97 * values))(x))
act("log of exp and a little", lambda x: ops.log(ops.exp(x) + 1e-4))
act("tanh, undone", lambda x: (t := 0.999 * ops.tanh(0.3 * x)) is None or ops.log(1.0 + t) - ops.log(1.0 - t))
for each in ("tanh", "sigmoid", "elu", "selu", "gelu", "silu", "hard_sigmoid", "softplus", "leaky_relu", "relu6", "mish", "hard_tanh"):
    act(each, each)
for each in ("softsign", "hard_silu", "celu", "exponential", "log_sigmoid", "squareplus", "sparse_plus", "soft_shrink", "tanh_shrink"):
    act(each, each)
act("leaky 0.01", lambda x: layers.LeakyReLU(0.01)(x))
act("leaky 0.3", lambda x: layers.LeakyReLU(0.3)(x))
for scale in (0.1, 30.0):
    for each in ("tanh", "sigmoid", "elu", "selu", *(("hard_sigmoid",) if scale > 1 else ())):
        act(f"{each} of {scale}", lambda x, scale=scale, each=each: layers.Activation(each)(layers.Rescaling(scale)(x)))
for each in ("tanh", "elu"):
    network(f"{each} of raw pixels", recipe=RAW, act=each)
    network(f"{each} behind an average", act=lambda x, each=each: layers.Activation(each)(layers.AveragePooling2D(3, 1, "same")(x)))
act("prelu", lambda x: layers.PReLU()(x))
act("prelu of 0.25", lambda x: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25), shared_axes=(1, 2))(x))
act("batch normalised", lambda x: layers.ReLU()(layers.BatchNormalization()(x)))
act("group normalised", lambda x: layers.ReLU()(layers.GroupNormalization(4)(x)))
act("dropped before", lambda x: layers.ReLU()(layers.Dropout(0.5)(x, training=True)))
act("gated by itself", lambda x: x * ops.sigmoid(x))
act("square", lambda x: ops.square(x))
act("residual", lambda x: layers.ReLU()(layers.Add()([x, layers.Conv2D(x.shape[-1], 1)(x)])))
network(
    "bias of 1000",
    act="relu",
    mid=lambda x: layers.Conv2D(8, 1, activation="relu", bias_initializer=keras.initializers.Constant(1000.0))(x),
)

# ------------------------------------------------------------------ positions

mid("max of one", layers.MaxPooling2D(1, strides=2))
mid("average of one", layers.AveragePooling2D(1, strides=4, padding="same"))
mid("no pooling at all", layers.MaxPooling2D(1, strides=1))
mid("slices", lambda x: x[:, ::2, ::2])
mid("largest of a block", layers.Reshape((16, 2, 16, 2, 8)), lambda x: ops.max(x, axis=(2, 4)))
mid("mean of a block", lambda x: ops.reshape(x, (-1, 16, 2, 16, 2, 8)), lambda x: ops.mean(x, axis=(2, 4)))
mid("resized", layers.Resizing(16, 16))
mid("resized by leaving out", layers.Resizing(16, 16, interpolation="nearest"))
mid("max_pool", lambda x: ops.max_pool(x, 2))
mid("average_pool", lambda x: ops.average_pool(x, 3, strides=1, padding="same"))
mid(
    "largest of slices", lambda x: ops.maximum(ops.maximum(x[:, ::2, ::2], x[:, 1::2, ::2]), ops.maximum(x[:, ::2, 1::2], x[:, 1::2, 1::2]))
)
mid(
    "averaging kernel",
    layers.DepthwiseConv2D(2, strides=2, depthwise_initializer=keras.initializers.Constant(0.25), use_bias=False, trainable=False),
)
mid("pooled sequence", layers.Reshape((1024, 8)), layers.MaxPooling1D(4), layers.Reshape((16, 16, 8)))
mid("turned, pooled, turned", layers.Permute((2, 1, 3)), layers.AveragePooling2D(2), layers.Permute((2, 1, 3)))
mid("adaptive", layers.AdaptiveAveragePooling2D(16))
mid("normalised, pooled", layers.GroupNormalization(4), layers.MaxPooling2D(2))
network("pooled before the last", late=lambda x: layers.MaxPooling2D(3, strides=1, padding="same")(x))
mid("cut out", layers.Cropping2D(8))
mid("padded", layers.ZeroPadding2D(2))
mid("enlarged", layers.UpSampling2D(2, interpolation="bilinear"))
mid("squeezed and excited", lambda x: x * layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x)))
mid(
    "shortcut",
    lambda x: layers.ReLU()(layers.Add()([layers.Conv2D(16, 1, strides=2)(x), layers.Conv2D(16, 3, strides=2, padding="same")(x)])),
)
mid("instance normalised", lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True))

pool("flatten", layers.Flatten())
pool("reshape", layers.Reshape((640,)))
pool("reshape to one position", layers.Reshape((1, 1, 640)), layers.Flatten())
pool("permute and reshape", layers.Permute((3, 1, 2)), layers.Reshape((-1,)))
pool("reshape as an operation", lambda x: ops.reshape(x, (-1, 640)))
pool("a dropped flatten", layers.Flatten(), layers.Dropout(0.2))
pool("flatten, undone", layers.Flatten(), layers.Reshape((8, 8, 10)), layers.GlobalAveragePooling2D())
pool("average of 8", layers.AveragePooling2D(8), layers.Flatten())
pool("average of 7", layers.AveragePooling2D(7), layers.Reshape((10,)))
pool("mean", lambda x: ops.mean(x, axis=(1, 2)))
pool("mean of means", lambda x: ops.mean(ops.mean(x, axis=1), axis=1))
pool("lambda", layers.Lambda(lambda x: ops.mean(x, axis=[1, 2])))
pool("dimensions kept", layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten())
pool("mean of a sequence", layers.Reshape((64, 10)), layers.GlobalAveragePooling1D())
pool("turned mean", layers.Permute((3, 1, 2)), lambda x: ops.mean(x, axis=(2, 3)))
pool("sum by 64", lambda x: ops.sum(x, axis=(1, 2)) / 64)
pool("global maximum", lambda x: ops.max(x, axis=(1, 2)))
pool("the middle", lambda x: x[:, 4, 4, :])

network("softmax of one", out=lambda x: layers.Flatten()(layers.Softmax(axis=1)(layers.Reshape((1, 10))(layers.Dense(10)(x)))))
network("softmax layer", out=lambda x: layers.Softmax()(layers.Dense(10)(x)))
network("softmax of raw pixels", recipe=RAW, act="relu")

# ------------------------------------------------------------------ training

drop("dropout", layers.Dropout(0.2))
drop("dropout of nothing", layers.Dropout(0.0))
drop("dropout, never", layers.Dropout(0.2), training=False)
drop("dropout, always", layers.Dropout(0.2), training=True)
drop("dropout by image", layers.Dropout(0.2, noise_shape=(None, 1)))
drop("dropout by batch", layers.Dropout(0.2, noise_shape=(1, 1)))
drop("gaussian dropout", layers.GaussianDropout(0.2))
drop("alpha dropout", layers.AlphaDropout(0.2))
pool("spatial dropout", layers.GlobalAveragePooling2D(keepdims=True), layers.SpatialDropout2D(0.2), layers.Flatten())


class Own(layers.Layer):
    """A block whose Dropout follows what it is told."""

    def __init__(self, word=None):
        super().__init__()
        self.inner, self.word = layers.Dropout(0.2), word

    def call(self, x, training=None):
        return self.inner(x, training=training if self.word is None else self.word)


class Guarded(layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = layers.Dropout(0.2)

    def call(self, x, training=False):
        return self.inner(x, training=training) if training else x


class Set(layers.Dropout):
    """A stock layer with its argument."""

    def __init__(self, **given):
        super().__init__(0.2, **given)


class Wide(layers.Conv2D):
    def __init__(self, filters):
        super().__init__(filters, 3, padding="same", activation="relu")

    def get_config(self):
        return {"filters": self.filters}


class Largest(layers.Layer):
    def call(self, x):
        return ops.max(ops.reshape(x, (-1, 16, 2, 16, 2, 8)), axis=(2, 4))


class Whole(keras.Model):
    """The required network as a subclass, without a 1x1 convolution between."""

    def __init__(self, word=None):
        super().__init__()
        self.flip, self.word = layers.RandomFlip(), word
        self.maps = [layers.Conv2D(8, 3, strides=strides, padding="same", activation="relu") for strides in (1, 2, 1, 2)]
        self.ending = [layers.Conv2D(10, 1), layers.GlobalAveragePooling2D()]
        self.drop, self.scores = layers.Dropout(0.2), layers.Dense(10, activation="softmax")

    def call(self, x, training=False):
        x = self.flip(x, training=training)
        for layer in (*self.maps, *self.ending):
            x = layer(x)
        return self.scores(self.drop(x, training=training if self.word is None else self.word))


def subclass(name, word):
    def make():
        model = Whole(word)
        model.build((None, 32, 32, 3))
        return model

    NETWORKS[name] = SCALED, make


subclass("subclass", None)
subclass("subclass, never", False)
subclass("subclass, always", True)
drop("set dropout", Set())
drop("set dropout, never", Set(), training=False)
network("own convolution", late=Wide(16))
mid("own pooling", Largest())
mid("slices in a lambda", layers.Lambda(lambda x: x[:, ::2, ::2]))
mid("one number in the kernel", layers.Conv2D(8, 2, strides=2, kernel_initializer="ones", trainable=False))
act("identity by a function", lambda x: layers.Activation(lambda values: values)(x))
front("next to no rotation", layers.RandomRotation(1e-9))
front("one of two", layers.RandomRotation(0.0), layers.RandomFlip())
network("both ways", late=lambda x: layers.Concatenate()([layers.Conv2D(8, size, padding="same", activation="relu")(x) for size in (1, 3)]))
raw("less its mean", lambda x: (x - ops.mean(x, axis=(1, 2, 3), keepdims=True)) / 255)
raw("by its maximum", lambda x: x / ops.max(x, axis=(1, 2, 3), keepdims=True))
drop("own dropout", Own())
drop("own dropout, never", Own(word=False))
drop("own dropout, always", Own(word=True))
drop("own dropout, guarded", Guarded())
drop("own dropout, called so", Own(), training=False)
network("own layer elsewhere", front=lambda x: layers.RandomFlip()(x, training=False), late=lambda x: Guarded()(x))

front("flipped", layers.RandomFlip())
front("flipped, never", layers.RandomFlip(), training=False)
front("flipped, always", layers.RandomFlip(), training=True)
front("nested", keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)]))
front("nested, never", keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)]), training=False)
for name, layer in {
    "rotation": layers.RandomRotation(0.0),
    "translation": layers.RandomTranslation(0, 0),
    "zoom": layers.RandomZoom(0.0),
    "contrast": layers.RandomContrast(0.0),
    "brightness": layers.RandomBrightness(0.0),
    "shear": layers.RandomShear(0.0, 0.0),
    "crop": layers.RandomCrop(32, 32),
    "grayscale": layers.RandomGrayscale(0.0),
    "invert": layers.RandomInvert(0.0),
    "erasing": layers.RandomErasing(0.0),
    "perspective": layers.RandomPerspective(0.0),
    "blur": layers.RandomGaussianBlur(0.0),
}.items():
    front(f"no {name}", layer)
for name, layer in {
    "rotation": layers.RandomRotation(0.05),
    "translation": layers.RandomTranslation(0.1, 0.1),
    "zoom": layers.RandomZoom(0.1),
    "contrast": layers.RandomContrast(0.1),
    "brightness": layers.RandomBrightness(0.1, value_range=(0, 1)),
    "shear": layers.RandomShear(0.1, 0.1),
    "grayscale": layers.RandomGrayscale(0.5),
    "erasing": layers.RandomErasing(),
    "perspective": layers.RandomPerspective(),
    "rand augment": layers.RandAugment(value_range=(0, 1)),
    "mix up": layers.MixUp(),
}.items():
    front(f"some {name}", layer)
front("cropped and resized", layers.RandomCrop(28, 28), layers.Resizing(32, 32))
front("smaller images", layers.Resizing(16, 16))

# ------------------------------------------------------------------ what reaches the first convolution

raw("raw")
raw("rescaled", layers.Rescaling(1 / 255))
raw("divided", lambda x: x / 255.0)
raw("rescaled by channel", layers.Rescaling(1.0, [-125.0, -123.0, -100.0]), layers.Rescaling([0.02, 0.01, 0.01]))
raw("one channel only", layers.Rescaling([1.0, 1 / 255, 1 / 255]))
raw("rescaled by 1", layers.Rescaling(1.0))
raw("rescaled and back", layers.Rescaling(1 / 255), layers.Rescaling(255.0))
raw("normalised by nothing", layers.Normalization(mean=0.0, variance=1.0))
raw("normalised", layers.Normalization(mean=[125.0, 123.0, 114.0], variance=[3970.0, 3890.0, 4450.0]))
raw("normalised in the batch", layers.BatchNormalization())
raw("normalised by pixel", layers.LayerNormalization())
front("scaled twice", layers.Rescaling(1 / 255))


raw("clipped to 1", layers.ReLU(max_value=1.0))
raw("clipped by an operation", lambda x: ops.minimum(x, 1.0))
front("clipped to its range", lambda x: ops.clip(x, 0.0, 1.0))
raw("cut at 255", layers.ReLU(max_value=255.0), layers.Rescaling(1 / 255))

# ------------------------------------------------------------------ what hides, what is hidden, what does not arrive

pool("weighed by position", layers.EinsumDense("bhwc,hwcd->bd", 10))
pool("weighed sequence", layers.Reshape((64, 10)), layers.EinsumDense("bpc,pcd->bd", 10))
pool("weighed to a map", layers.EinsumDense("bhwc,hwcxyd->bxyd", (1, 1, 10)), layers.Flatten())
pool("weighed channels", layers.EinsumDense("bhwc,cd->bhwd", (None, None, 10)), layers.GlobalAveragePooling2D())
mid(
    "nearly averaging kernel",
    layers.DepthwiseConv2D(
        2, strides=2, depthwise_initializer=keras.initializers.RandomUniform(0.24, 0.26), use_bias=False, trainable=False
    ),
)
mid("frozen convolution", layers.Conv2D(8, 3, padding="same", activation="relu", trainable=False))
mid(
    "averaging in a wrapper",
    layers.Reshape((1, 32, 32, 8)),
    layers.TimeDistributed(layers.AveragePooling2D(2)),
    layers.Reshape((16, 16, 8)),
)


def wrapped():
    return keras.Sequential([keras.Input((32, 32, 8)), layers.MaxPooling2D(2), layers.Conv2D(8, 3, padding="same")])


mid("wrapped network", layers.Reshape((1, 32, 32, 8)), layers.TimeDistributed(wrapped()), layers.Reshape((16, 16, 8)))
mid(
    "wrapped convolution",
    layers.Reshape((1, 32, 32, 8)),
    layers.TimeDistributed(layers.Conv2D(8, 3, padding="same")),
    layers.Reshape((32, 32, 8)),
)
mid("recurrent cells", layers.Reshape((1024, 8)), layers.RNN(layers.GRUCell(8), return_sequences=True), layers.Reshape((32, 32, 8)))
mid("wrapped dense", layers.TimeDistributed(layers.Dense(8, activation="relu")))


def cancelled(x, layer):
    changed = layer(x)
    return changed - (changed - x)


def by_0(x, layer):
    return x + 0.0 * (layer(x) - x)


network("cancelled dropout", drop=lambda x: cancelled(x, layers.Dropout(0.2)))
network("dropout by 0", drop=lambda x: by_0(x, layers.Dropout(0.2)))
network("half a dropout", drop=lambda x: layers.Average()([x, layers.Dropout(0.2)(x)]))
network("cancelled flip", front=lambda x: cancelled(x, layers.RandomFlip()))
network("flip by 0", front=lambda x: by_0(x, layers.RandomFlip()))
network("half a flip", front=lambda x: layers.Average()([x, layers.RandomFlip()(x)]))


def poor(x):
    return layers.EinsumDense("bhwc,hwcd->bd", 10)(x)


network("faint network", pool=lambda x: layers.Add()([layers.Rescaling(1e-6)(layers.GlobalAveragePooling2D()(x)), poor(x)]))
network("faint, concatenated", pool=lambda x: layers.Concatenate()([1e-6 * layers.GlobalAveragePooling2D()(x), poor(x)]))
for name, scale in {
    "begins at 0": lambda: layers.BatchNormalization(gamma_initializer="zeros"),
    "begins at next to nothing": lambda: layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(1e-6)),
    "a tenth": lambda: layers.Rescaling(0.1),
}.items():
    mid(f"branch {name}", lambda x, scale=scale: layers.ReLU()(layers.Add()([x, scale()(layers.Conv2D(8, 3, padding="same")(x))])))


def claimed(recipe, make):
    """The measured graph of what box 1 says of a network."""
    claim = json.loads(json.dumps(trace.snapshot(make(), (32, 32, 3))))
    if claim["unbuildable"]:
        return claim["unbuildable"]
    return rebuild.graph(canonical(claim["config"]), claim["input_shape"], CAPS, effects.Measuring(sys.argv[1], recipe))


if __name__ == "__main__":
    trace.keep_training(keras)
    asked = {name: NETWORKS[name] for name in sys.argv[2:] or NETWORKS}
    print(json.dumps({name: [recipe is RAW, claimed(recipe, make)] for name, (recipe, make) in asked.items()}))  # noqa: T201
