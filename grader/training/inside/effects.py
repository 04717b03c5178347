"""What each step of a rebuilt model does, measured: to values, to the positions of a map, and in training beyond what it does in inference.

A *start* is an input, a layer with a kernel (a convolution, a Dense layer), or a node where ways join. From each start values are drawn, as they are
there on real images (each channel's mean and spread), and run through the steps behind it, one batch for all questions:

* two random maps a and b, their mean, and a mixture that takes each value from one of the two: what maps the mean to the mean is linear, what maps the
  mixture to a mixture works on each value for itself;
* two more maps, a mixture that takes whole positions from one of the two, and one that takes its left half from a and the right one from b: an output
  that is none of the two results has more than one position in it. These are plain noise: where a layer reads does not depend on what it reads.

Weights have their initial values. Where all of it was measured, a class's name only tells where a run can be spared (USUAL, ANYWHERE).
"""

import functools
import json
import math
import zlib

import numpy as np
from keras.src.backend.common.stateless_scope import get_stateless_scope

from . import pool, rebuild

keras = rebuild.keras

IMAGES, PAIRS, DEEP = 64, 16, 2
"""Stored images that the input's range is measured on, that random layers are tried on, and that run through the whole network."""
MOST_VALUES, MOST_TOGETHER, MOST_PRODUCTS = 1_000_000, 10_000_000, 3_000_000_000
"""Largest activation (values an image) that is drawn, and all of them together (All-CNN-C: 0.1 and 0.5 million, ResNet50 on 224x224 pixels: 0.8 and 32 million, which would take 5 s);
and multiplications an image up to which the network runs on real images: All-CNN-C has 0.3e9."""
MOST_RUN, MOST_PARAMETERS = 50_000_000, 50_000_000
"""Values of one step's result for a batch, and parameters of a network that runs on real images."""
SMALL = 100_000
"""Values of a weight up to which its initial value is kept: a normalisation reads four, each time it is asked."""
ENOUGH, MOST_KNOWN = 30_000, 4096
"""Values that two results are compared by where they have more; rows of steps that are remembered."""
FEW = 1e-3
"""Share of values that may differ by chance or by rounding."""
USUAL_MOST, USUAL_EPSILON = 10.0, 1e-2
USUAL = frozenset((
    "Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D", "Dense", "DepthwiseConv2D", "Dropout", "ELU",
    "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "LeakyReLU", "MaxPooling2D", "ReLU", "Reshape", "SeparableConv2D", "Softmax",
    "SpatialDropout2D", "ZeroPadding2D",
))  # fmt: skip
USUAL_VALUES = ("Zeros", "Glorot", "He", "Lecun")
"""Largest value that reaches the first layer with a kernel, and of a normalisation's epsilon, layers, and beginnings of initializers' names with which values stay near mean 0 and deviation 1."""
FEW_POSITIONS, ANYWHERE = 64, frozenset(("Activation", "Conv2D", "Dropout", "ELU", "LeakyReLU", "ReLU"))
"""Positions of a map that are enough for layers that do the same at each."""
_SEED = 23  # any: of the drawn values
NEAR = 0.2
"""Deviation of a frozen kernel's values, as a share of their mean, up to which they are one number: an average with nearly the same weights."""
LINEAR, SAME, UNCHANGED = 1e-2, 1e-3, 5e-3
"""Differences that do not count, as shares of the values' deviation: of a scaled image, between two numbers, and between an image and a random layer's."""
BENT, MOVED, WIDE = 0.03, 1e-3, 3.0
"""How far from the mean of two results their mean's result must lie (root of the mean square, as a share of the deviation): a slope of 0.9 below 0 gives 0.023, of 0.85 0.035, of 0.3
0.22, a sigmoid of values of deviation 1 0.10. Values that come with a smaller deviation than WIDE, where a tanh or a hard sigmoid is all but straight, must differ by MOVED, and by BENT at WIDE."""


class Measuring:
    """Measures one model. `folder`: the images' folder, None for drawn ones; `recipe`: how they reach the model (records.Recipe as a dictionary), `shape`: as which."""

    def __init__(self, folder, recipe, shape=None):
        self._folder, self._recipe, self._given = folder, recipe, shape
        self._random = np.random.default_rng(_SEED)

    def __call__(self, steps, body):
        """Write `effect` into every node of `body` (a graph's), and `reaching` into it. `steps`: Keras' nodes, as the walker has them."""
        self._nodes, self._steps = body["nodes"], steps
        self._after = [[] for _ in steps]
        for node in self._nodes:
            for source in dict.fromkeys(node["inputs"]):
                self._after[source].append(node["index"])
            node["effect"] = {}
        scope = get_stateless_scope()
        self._kernel = [step is not None and _has_kernel(step.operation) for step in steps]
        bare = [step.operation for step, kernel in zip(steps, self._kernel, strict=True) if step is not None and not kernel]
        for weight in {id(each): each for operation in bare for each in getattr(operation, "weights", ())}.values():
            if math.prod(weight.shape) <= SMALL:
                scope.add_update((weight, weight.value))
        self._learns = [
            kernel or step is None or bool(getattr(step.operation, "trainable_weights", ()))
            for step, kernel in zip(steps, self._kernel, strict=True)
        ]
        self._outputs = body["outputs"]
        shape = self._given if body["input_shape"] and None in body["input_shape"] else body["input_shape"]
        self._shapes = [None] * len(steps)
        images = None if not shape or None in shape else self._images(tuple(shape))
        body["reaching"] = None if images is None else self._reaching(images)
        self._spread = {} if images is None or self._is_usual(body["reaching"]) else self._spreads(images[:DEEP])
        self._starts = {index for index, step in enumerate(steps) if step is None or self._kernel[index]}
        self._ends = {}
        together = sum(math.prod(self._shape(index) or ()) for index in range(len(steps)))
        for index in range(len(steps)):
            if index in self._starts and together <= MOST_TOGETHER:  # junctions become starts on the way
                self._follow_once(index)
        if together <= MOST_TOGETHER:
            self._weigh(images)
        if body["reaching"] is not None:
            body["reaching"]["bent"] = next((index for index in self._front if self._bends(index)), None)
        for index, node in enumerate(self._nodes):
            if self._kernel[index] and self._ends.get(index):
                node["effect"]["nonlinear"] = self._is_nonlinear(index)
            if steps[index] is not None and _acts_in_training(steps[index].operation) and "active" not in node["effect"]:
                self._try(index, self._noise(self._shape(node["inputs"][0]), 4096))

    # ------------------------------------------------------------------ real images

    def _images(self, shape):
        """IMAGES stored images as they reach the model, float32; drawn ones in the recipe's range where none of this shape are there."""
        if self._folder is not None:
            found = _stored(self._folder, json.dumps(self._recipe, sort_keys=True))
            if found.shape[1:] == shape:
                return found
        if math.prod(shape) > MOST_VALUES:
            return None
        pixels = self._random.integers(0, 256, (min(IMAGES, 2 * MOST_VALUES // math.prod(shape)), *shape))
        scale, offset = (np.mean(self._recipe.get(key) or [plain]) for key, plain in (("scale", 1.0), ("offset", 0.0)))
        return (pixels * scale + offset).astype(np.float32)

    def _reaching(self, images):
        """Smallest, largest and mean value and deviation of what reaches a first layer with a kernel, in inference and where layers normalise by batch as in training."""
        found, self._front = {}, {}
        for training in (False, True):
            if training and not any(getattr(self._steps[index].operation, "weights", ()) for index in self._front):
                return {**found, "training": found["inference"]}
            values, ends = {}, []
            for index, step in enumerate(self._steps):
                if step is None:
                    values[index] = images
                    continue
                taken = [values.get(source) for source in self._nodes[index]["inputs"]]
                if any(value is None for value in taken):
                    continue
                if self._kernel[index]:
                    ends += taken
                    continue
                operation = step.operation
                if not training and _acts_in_training(operation):
                    self._try(index, taken[0][:PAIRS])
                adapts = training and not _acts_in_training(operation)
                values[index] = self._run(index, taken, training=adapts)
                if not training and values[index] is not None:
                    self._front[index] = taken, values[index]
            if not ends or not all(np.isfinite(value).all() for value in ends):
                return None
            worst = max(ends, key=lambda value: float(np.abs(value).max()))
            found["training" if training else "inference"] = [float(each) for each in (worst.min(), worst.max(), worst.mean(), worst.std())]
        return found

    def _bends(self, index):
        """Whether a step in front works on each value for itself, and in an image's channel by more than a scale and an offset."""
        taken, result = self._front[index]
        same = [given for given in taken if given.shape == result.shape and given.ndim == 4]
        if self._nodes[index]["effect"].get("values") != "each" or not same:
            return False
        axes = (2, 3) if self._channels(index, 2) == 0 else (1, 2)
        y = result - result.mean(axis=axes, keepdims=True)
        left = []
        for given in same:
            x = given - given.mean(axis=axes, keepdims=True)
            slope = (x * y).mean(axis=axes, keepdims=True) / np.maximum((x * x).mean(axis=axes, keepdims=True), 1e-12)
            left.append((y - slope * x).std())
        return bool(min(left) > LINEAR * y.std())

    def _is_usual(self, reaching):
        """Whether values of mean 0 and deviation 1 are near enough to what is there on real images: usual layers only, with usual initial values, and no raw pixels."""
        return (
            reaching is not None
            and max(map(abs, reaching["inference"])) <= USUAL_MOST
            and all(self._shape(index) is not None for index in range(len(self._steps)))
            and all(step is None or index in self._front or _is_usual(step.operation) for index, step in enumerate(self._steps))
        )

    def _spreads(self, images):
        """Node -> (mean, standard deviation) of each channel on real images, before a layer's own activation; empty where the network is too large for that."""
        products = sum(node["parameters"] * math.prod(size or 1 for size in (node["output_shape"] or [1])[:-1]) for node in self._nodes)
        found, values = {}, {}
        if products > MOST_PRODUCTS or sum(node["parameters"] for node in self._nodes) > MOST_PARAMETERS:
            return found
        for index, step in enumerate(self._steps):
            taken = [values.get(source) for source in self._nodes[index]["inputs"]]
            known = step is not None and all(each is not None for each in taken)
            value = values[index] = images if step is None else self._run(index, taken, plain=True) if known else None
            self._shapes[index] = None if value is None else value.shape[1:]
            if value is not None and value.ndim > 1 and (step is None or self._kernel[index] or len(taken) > 1):
                channels = 1 + self._channels(index, value.ndim - 2)
                axes = tuple(axis for axis in range(value.ndim) if axis != channels)
                mean, spread = value.mean(axis=axes, keepdims=True)[0], value.std(axis=axes, keepdims=True)[0]
                if np.isfinite(mean).all() and np.isfinite(spread).all():
                    found[index] = mean, spread
            if value is not None and self._kernel[index]:
                values[index] = _activated(step.operation, value)
        return found

    # ------------------------------------------------------------------ what layers do in training

    def _try(self, index, value):
        """Does a layer change what it is given in training, and nothing at random in inference?"""
        if value is None:
            return
        inference, again, *trained = (self._run(index, [value], training=on, said=True) for on in (False, False, True, True))
        effect = self._nodes[index]["effect"]
        if inference is None or any(each is None or each.shape != inference.shape for each in (again, *trained)):
            return
        close = UNCHANGED * (float(inference.std()) or 1.0)
        dropped = np.concatenate([((each == 0) & (inference != 0)).reshape(len(each), -1).mean(axis=1) for each in trained])
        effect["dropped"] = float(dropped.mean())
        effect["whole"] = bool(value[0].size > 1 and ((dropped == 0) | (dropped == 1)).all())
        changed = any((np.abs(each - inference) > close).any() for each in trained)
        if changed and not self._arrives(index, value[:PAIRS], [inference[:PAIRS], trained[0][:PAIRS]]):
            effect["active"] = "never"
            return
        effect["active"] = "always" if (np.abs(again - inference) > close).any() else "training" if changed else "never"

    def _arrives(self, index, given, results):
        """Whether two results of a layer, for the batch `given`, still differ where the next layers that learn, or the output, take them."""
        noise, taken_at_end = {}, ([], [])
        for result, ends in zip(results, taken_at_end, strict=True):
            values = {self._nodes[index]["inputs"][0]: given, index: result}
            for following in range(min(values) + 1, len(self._steps)):
                sources = self._nodes[following]["inputs"]
                known = [source for source in dict.fromkeys(sources) if source in values]
                if known and following != index:
                    if self._learns[following]:
                        ends += [values[source] for source in known]
                        continue
                    for source in set(sources) - set(values) - set(noise):
                        shape = self._shape(source)
                        if shape is None or math.prod(shape) > MOST_VALUES:
                            return True
                        noise[source] = self._normal(len(given), *shape)
                    values[following] = self._run(following, [values.get(source, noise.get(source)) for source in sources])
                    if values[following] is None:  # not known
                        return True
                if following in self._outputs and following in values:
                    ends.append(values[following])
        return any((np.abs(one - other) > UNCHANGED * (float(one.std()) or 1.0)).any() for one, other in zip(*taken_at_end, strict=True))

    def _weigh(self, images):
        """Note at each step that joins ways what comes in and moves its result by less than a thousandth of what another input does, with no weight between that learns."""
        if all(len(set(node["inputs"])) < 2 for node in self._nodes):
            return
        values = {}
        for index, step in enumerate(self._steps):
            sources, result = self._nodes[index]["inputs"], None
            taken = [values[source] for source in sources]
            if not self._learns[index] and all(each is not None for each in taken):
                result = self._run(index, taken)
            if result is None or not np.isfinite(result).all():
                shape = self._shape(index)
                drawn = None if shape is None or math.prod(shape) > MOST_VALUES else self._normal(2, *shape)
                values[index] = images[:2] if step is None and images is not None else drawn
                continue
            values[index] = result
            moved = {}
            for source in set(sources) if len(set(sources)) > 1 else ():
                other = self._run(index, [each[::-1] if at == source else each for at, each in zip(sources, taken, strict=True)])
                moved[source] = math.inf if other is None else float(np.abs(other - result).mean())
            self._nodes[index]["effect"]["faint"] = sorted(source for source, by in moved.items() if by < FEW * max(moved.values()))

    # ------------------------------------------------------------------ drawn values, from one start to the next

    def _follow_once(self, start):
        """Measure the steps behind a start as `_follow` does, or say what was found where the same ones stood behind another, of this model or of one before."""
        chain = self._chain(start)
        try:
            key = json.dumps([self._shape(start), *(self._content(index) for index in chain)], sort_keys=True)
        except TypeError:  # there is none, or what it computes does not stand in its configurations alone
            self._follow(start)
            return
        effects = [self._nodes[index]["effect"] for index in chain]
        if key in _KNOWN:
            self._ends[start], found = _KNOWN[key]
            for effect, known in zip(effects, found, strict=True):
                effect.update(known)
            return
        before, drawing = [dict(effect) for effect in effects], self._random
        self._random = np.random.default_rng([_SEED, zlib.crc32(key.encode())])  # what is found must not depend on who asks first
        self._follow(start, *([FEW_POSITIONS] if all(self._nodes[index]["class_name"] in ANYWHERE for index in chain[1:]) else []))
        self._random = drawing
        if len(_KNOWN) >= MOST_KNOWN:
            _KNOWN.clear()
        found = [{name: said for name, said in after.items() if name not in known} for after, known in zip(effects, before, strict=True)]
        if start in self._ends:
            _KNOWN[key] = self._ends[start], found

    def _chain(self, start):
        """A start with a kernel and the steps behind it up to the next one, where they follow one another and nothing is known of values there; else None."""
        if start in self._spread or not self._kernel[start]:
            return None
        chain = [start]
        while self._after[chain[-1]]:
            if len(self._after[chain[-1]]) > 1 or chain[-1] in self._outputs:
                return None
            (following,) = self._after[chain[-1]]
            chain.append(following)
            if self._kernel[following]:
                break
            if len(set(self._nodes[following]["inputs"])) > 1:
                return None
        return chain

    def _content(self, index):
        """All that decides what a layer computes, but for a start's own kernel. Raises TypeError where that is more than its configuration."""
        step, node = self._steps[index], self._nodes[index]
        given = [value for value in step.arguments.kwargs.values() if not isinstance(value, bool | int | None)]
        if not isinstance(step.operation, keras.layers.Layer) or len(step.arguments.args) > 1 or given:
            raise TypeError("it has more than its configuration")
        config = {key: value for key, value in step.operation.get_config().items() if key != "name"}
        return [node["class_name"], config, node["output_shape"], node["training"], self._kernel[index], len(node["inputs"])]

    def _follow(self, start, most=MOST_VALUES):
        """Measure the steps behind a start up to the next ones, on maps of at most `most` positions."""
        shape = self._shape(start)
        if shape is None or math.prod(shape) > MOST_VALUES:
            return
        if len(shape) == 3 and math.prod(shape[:2]) > most and self._channels(start, 2) == 2:
            shape = (int(most**0.5), int(most**0.5), shape[2])
        a, b = self._normal(2, *shape)
        if start in self._spread and len(shape) == 3:  # scores of raw pixels are so large that a softmax of them is all but constant
            mean, spread = self._spread[start]
            a, b = (mean + each * np.maximum(spread, 1.0) for each in (a, b))
        values, through = {start: self._asked(a, b, (a + b) / 2, {})}, {start: 0}
        if self._kernel[start]:
            operation = self._steps[start].operation
            given, values[start] = values[start], _activated(operation, values[start])
            self._note(start, lambda batch: _activated(operation, batch), given, values[start])
            through[start] = int(self._nodes[start]["effect"]["values"] == "each")
        places = {start: _Place(self, shape, self._channels(start, len(shape) - 1))}
        ends = self._ends[start] = []
        for index in range(start, len(self._steps)):
            if index > start:
                sources = self._nodes[index]["inputs"]
                inside = [source for source in dict.fromkeys(sources) if source in values]
                if not inside or self._kernel[index]:
                    continue
                if len(inside) < len(set(sources)):
                    self._starts.add(index)
                result = self._step(index, [values.get(source, self._noise(self._shape(source))) for source in sources])
                if result is None:
                    continue
                bends = self._nodes[index]["effect"]["values"] == "each"  # two bends, or ways that join, may undo each other
                through[index] = sum(through[source] for source in inside) + bends + (len(inside) > 1)
                if index in self._starts:
                    ends.append((_bent(result, result[4], BENT if through[index] > 1 else MOVED), bool(through[index]), index))
                    places[inside[0]].settle()
                    continue
                values[index] = result
                places[index] = self._place(index, places[inside[0]], [places[source] for source in sources])
            if not self._after[index] or any(self._kernel[following] for following in self._after[index]):
                ends.append((_bent(values[index], values[index][4], BENT if through[index] > 1 else MOVED), bool(through[index]), None))
                places[index].settle()
                for following in self._after[index]:
                    if self._kernel[following] and _weighs_positions(self._steps[following].operation) and places[index].is_whole_map():
                        shape = self._shape(following) or ()
                        if math.prod(shape) in (shape or [0])[:: max(1, len(shape) - 1)]:
                            self._nodes[following]["effect"]["positions"] = "flattens"

    def _is_nonlinear(self, start, seen=frozenset()):
        """Whether what a start gives goes through something nonlinear that works on each value for itself, before the next layer with a kernel."""
        return any(
            (bent and through) or (junction is not None and junction not in seen and self._is_nonlinear(junction, seen | {start}))
            for bent, through, junction in self._ends.get(start, ())
        )

    def _asked(self, a, b, mean, masks):
        """The batch for a step: two values, their mean, a mixture, and `mean`, what the start's mean has become by then."""
        if a.shape not in masks:
            masks[a.shape] = self._normal(*a.shape) < 0
        return np.stack([a, b, (a + b) / 2, np.where(masks[a.shape], a, b), np.broadcast_to(mean, a.shape)]).astype(np.float32)

    def _step(self, index, taken):
        """One step for a batch as asked; what it does to values is noted. None where it cannot be run."""
        masks = {}
        taken = [each if each is None else self._asked(each[0], each[1 % len(each)], each[4 % len(each)], masks) for each in taken]
        result = None if any(each is None for each in taken) else self._run(index, taken)
        if result is None or len(result) != 5 or not np.isfinite(result).all():
            return None
        self._note(index, lambda batch: self._run(index, [batch]), taken[0] if len(taken) == 1 else None, result)
        return result

    def _note(self, index, run, given, result):
        """What a step does to values: identity | constant | linear | each (nonlinear, each value for itself) | nonlinear."""
        if given is not None and _constant(result) and not _constant(given):  # of what comes in here; of plain noise, too?
            given = self._asked(*self._normal(2, *given.shape[1:]), 0, {})
            result = run(given)
        a, b, mean, mixture = result[:4]
        if given is not None and _alike(result, given):
            found = "identity"
        elif _constant(result):
            found = "constant"
        elif not _bent(result, mean, MOVED) or not (_bent(result, mean, BENT) or self._bends_wide(run, given)):
            found = "linear"
        else:
            found = "each" if _neither(mixture, a, b) <= 10 * FEW else "nonlinear"
        effect = self._nodes[index]["effect"]
        if found == "each" or "values" not in effect:  # a junction is met from several starts
            effect["values"] = found

    def _bends_wide(self, run, given):
        """Whether a step is bent for values as they come, but with a deviation of WIDE."""
        wide = None if given is None else given * max(1.0, WIDE / (float(given[:2].std()) or WIDE))
        result = None if wide is None else run(self._asked(wide[0], wide[1], 0, {}))
        return result is not None and bool(np.isfinite(result).all()) and _bent(result, result[2], BENT)

    def _place(self, index, before, sources):
        taken = [each.values for each in sources]
        result = None if any(each is None for each in taken) else self._run(index, taken)
        return before.through(self._nodes[index]["effect"], result, self._nodes[index]["config"].get("data_format"))

    # ------------------------------------------------------------------ running a step

    def _run(self, index, taken, *, training=False, said=False, plain=False):
        """A step's result as NumPy; None where it cannot be run. `said`: as the notebook calls it; `plain`: without the layer's own activation."""
        step, operation = self._steps[index], self._steps[index].operation
        given = self._nodes[index]["training"]
        try:
            if len(taken[0]) * math.prod(self._shape(index) or ()) > MOST_RUN:
                return None
            inputs = {
                id(tensor): keras.ops.convert_to_tensor(value) for tensor, value in zip(step.arguments.keras_tensors, taken, strict=True)
            }
            args, kwargs = step.arguments.fill_in(inputs)
            kwargs.pop("training", None)
            if getattr(operation, "_call_has_training_arg", False):
                kwargs["training"] = given if said and given is not None else training
            activation = getattr(operation, "activation", None)
            plain = plain and _activates(operation)
            if plain:
                operation.activation = keras.activations.linear
            try:
                result = operation(*args, **kwargs)
            finally:
                if plain:
                    operation.activation = activation
            return np.asarray(keras.ops.cast(result, "float32"))
        except Exception:  # what cannot be run is not measured
            return None

    def _shape(self, index):
        shape = self._nodes[index]["output_shape"] or ()
        return (tuple(shape) or None) if None not in shape else self._shapes[index]

    def _channels(self, index, last):
        """The axis of the channels, the batch's left out; `last` where the layer does not say otherwise."""
        return 0 if self._nodes[index]["config"].get("data_format") == "channels_first" else last

    def _noise(self, shape, values=1):
        """A batch of noise of at least `values` numbers; None where the shape is not known."""
        if shape is None or math.prod(shape) > MOST_VALUES:
            return None
        return self._normal(max(1, values // math.prod(shape)), *shape)

    def _normal(self, *shape):
        """Values of mean 0 and deviation 1: a piece of those that are drawn once for all models, where that is enough."""
        size = math.prod(shape)
        if size > 2 * MOST_VALUES:
            return self._random.standard_normal(shape, np.float32)
        first = self._random.integers(3 * MOST_VALUES - size)
        return _drawn()[first : first + size].reshape(shape)


class _Place:
    """Where on the start's map the values of a step come from. `values`: the batch [a, b, whole positions of both, halves of both, more like a], None where it is lost.

    `maps`: what the values were while they were maps, the batch first, the channels last; empty once there is only one position.
    """

    def __init__(self, measuring, shape, channels):
        self.measuring, self.shape, self.channels = measuring, shape, channels
        self.pending, self.flat = None, None

    @functools.cached_property
    def maps(self):  # drawn when a step asks for them
        if len(self.shape) != 3 or math.prod(self.shape) == self.shape[self.channels]:
            return []
        a, b = (np.moveaxis(each, self.channels, -1) for each in self.measuring._normal(2, *self.shape))
        across = (
            np.arange(a.shape[1])[None, :, None] < a.shape[1] / 2
            if a.shape[1] > 1
            else np.arange(a.shape[0])[:, None, None] < a.shape[0] / 2
        )
        half = (self.measuring._random.permutation(a[..., 0].size) % 2 == 0).reshape(*a.shape[:2], 1)
        more = self.measuring._normal(min(12, MOST_VALUES // (10 * a.size)), *self.shape)  # for what is nearly an average
        return [np.concatenate([np.stack([a, b, np.where(half, a, b), np.where(across, a, b)]), np.moveaxis(more, 1 + self.channels, -1)])]

    @functools.cached_property
    def values(self):
        if not self.maps:
            return self.measuring._normal(2, *self.shape)[[0, 1, 0, 1]]
        return np.ascontiguousarray(np.moveaxis(self.maps[0], -1, self.channels + 1))

    def through(self, effect, result, data_format):
        """The place behind a step that gives `result`; what the step does to positions goes into `effect`."""
        place = object.__new__(_Place)
        place.measuring, place.values, place.maps, place.pending, place.flat = self.measuring, result, self.maps, self.pending, self.flat
        place.channels = {"channels_first": 0, "channels_last": 2}.get(data_format, self.channels)
        if result is None or len(result) != len(self.values):
            place.values, place.maps = None, []
        if not place.maps:
            return place
        effect["positions"] = "kept"
        shape, last = result.shape[1:], self.maps[-1]
        size, kept = math.prod(shape), last[0].size
        is_map = len(shape) == 3 and size > shape[place.channels]
        mixed = self.pending is not None or _neither(result[2], result[0], result[1]) > 10 * FEW
        now = np.moveaxis(result, place.channels + 1, -1) if is_map else None
        fewer = is_map and now[0, ..., 0].size <= last[0, ..., 0].size
        if not is_map and (whole := self._whole(result)):
            effect["positions"], place.maps, place.pending = whole, [], None
        elif mixed and is_map:
            ends = [np.take(now, [at], axis=2 if last.shape[2] > 1 else 1) for at in (0, -1)]
            if fewer and all(_neither(end[3], end[0], end[1]) < 0.8 for end in ends):  # else each position depends on all: a normalisation
                (self.pending or effect)["positions"] = "pools"
            return _Place(self.measuring, shape, place.channels)
        elif mixed:
            place.pending = self.pending or effect
        elif is_map and 2 * now[0, ..., 0].size <= last[0, ..., 0].size and 2 * size <= kept and not _is_window(now[0], last[0]):
            effect["positions"] = "skips"
            return _Place(self.measuring, shape, place.channels)
        elif is_map:
            place.maps, place.flat = [*self.maps, now], None
        elif size in (shape[-1], shape[0]):
            if size > last.shape[-1]:
                place.flat = self.flat or effect
            elif size == last.shape[-1]:
                effect["positions"], place.maps = "skips", []
        return place

    def _whole(self, result):
        """What the values are (average | maximum) of one of the maps before them; "" for neither."""
        for values in reversed(self.maps):
            if values.shape[-1] != result[0].size:
                continue
            found, mean = result.reshape(len(result), -1), values.mean(axis=(1, 2))
            near = np.corrcoef(found.ravel(), mean.ravel())[0, 1] >= 0.8 and 0.75 <= found.std() / mean.std() <= 1.3
            if _alike(found, mean) or near:  # a window that leaves out a border is near: of 8x8 positions 7x7 give 0.875 and 1.14
                return "average"
            if _alike(found, values.max(axis=(1, 2))):
                return "maximum"
        return ""

    def is_whole_map(self):
        """Whether the values still are several positions, and nothing before made a vector of them."""
        return bool(self.maps) and self.flat is None and self.pending is None

    def settle(self):
        """The next layer with a kernel, or the output, takes the values as they are now."""
        if self.pending is not None and self.maps:
            self.pending["positions"] = "pools"
        elif self.flat is not None:
            self.flat["positions"] = "flattens"


# ------------------------------------------------------------------ comparing


def _share(those):
    return float(np.mean(those))


def _some(*batches):
    """Of batches of more values than ENOUGH that many, the same of each."""
    size = batches[0].size
    if size <= ENOUGH or any(each.size != size for each in batches):
        return batches
    places = (_SHARES * size).astype(np.intp)
    return [each.reshape(-1)[places] for each in batches]


@functools.lru_cache(maxsize=2)  # a notebook's models take the same images, as a rule
def _stored(folder, recipe):
    return np.asarray(pool.prepare(keras.ops, pool.some(folder, IMAGES), json.loads(recipe)), np.float32)


_SHARES = np.sort(np.random.default_rng(_SEED).random(ENOUGH))
_KNOWN = {}  # what was found behind a start (`_follow_once`)


@functools.cache
def _drawn():
    return np.random.default_rng(_SEED).standard_normal(3 * MOST_VALUES, np.float32)


def _alike(one, other):
    """The same numbers, up to rounding, but for a few."""
    if one.shape != other.shape:
        return False
    one, other = _some(one, other)
    return _share(np.abs(one - other) > SAME * float(other.std()) + 1e-6 * np.abs(other).max()) <= FEW


def _bent(results, mean, share):
    """Whether what became of the mean is not, by this share of their deviation, the mean of what became of two values, the first `results`."""
    a, b, mean = _some(*results[:2], mean)
    close = share * float(np.stack([a, b]).std()) + 1e-6 * max(np.abs(a).max(), np.abs(b).max())
    return float(np.sqrt(np.square(mean - (a + b) / 2, dtype=np.float64).mean())) > close


def _is_window(part, whole):
    """Whether a map (H, W, C) is a rectangle cut out of another."""
    first, last = (np.argwhere((whole == corner).all(axis=-1)) for corner in (part[0, 0], part[-1, -1]))
    return len(first) == len(last) == 1 and tuple(last[0] - first[0]) == (part.shape[0] - 1, part.shape[1] - 1)


def _constant(result):
    """The same whatever comes in."""
    a, b = _some(*result[:2])
    return _share(np.abs(a - b) > 1e-6 * max(np.abs(a).max(), np.abs(b).max())) <= FEW


def _neither(mixture, a, b):
    """The share of a mixture's values that are those of neither."""
    mixture, a, b = _some(mixture, a, b)
    close = 1e-4 * float(np.stack([a, b]).std()) + 1e-6 * max(np.abs(a).max(), np.abs(b).max())
    return _share((np.abs(mixture - a) > close) & (np.abs(mixture - b) > close))


# ------------------------------------------------------------------ kinds of operations


def _has_kernel(operation):
    """Whether an operation has a kernel that training changes, or whose values differ: not one that is fixed to one number."""
    weights = [weight for weight in getattr(operation, "weights", ()) if any(word in weight.name for word in ("kernel", "embeddings"))]
    return bool(weights) and (getattr(operation, "trainable", True) or not all(_is_one_number(weight) for weight in weights))


def _is_usual(operation):
    """Whether an operation keeps values of mean 0 and deviation 1 near that."""
    begun = [(key, value["class_name"]) for key, value in operation.get_config().items() if key.endswith("_initializer") and value]
    return (
        type(operation).__name__ in USUAL
        and getattr(operation, "epsilon", 0.0) <= USUAL_EPSILON
        and all(
            name.startswith(USUAL_VALUES) or (name == "Ones" and key in ("gamma_initializer", "moving_variance_initializer"))
            for key, name in begun
        )
    )


def _is_one_number(weight):
    """Whether a weight's initial values are all but the same; those of weights too large to look at are not."""
    if math.prod(weight.shape) > MOST_VALUES:
        return False
    values = np.asarray(keras.ops.cast(weight.value, "float32"))
    return bool(values.std() <= NEAR * abs(values.mean()))


def _weighs_positions(operation):
    """Whether a layer with a kernel that makes a vector of a map has a weight for each position: a convolution and a recurrent layer share theirs."""
    return not isinstance(operation, keras.layers.RNN) and "kernel_size" not in operation.get_config()


def _acts_in_training(operation):
    """Whether an operation may do otherwise in training without learning anything: Dropout, noise, random images."""
    return bool(getattr(operation, "_call_has_training_arg", False)) and not operation.weights


def _activates(operation):
    return callable(getattr(operation, "activation", None)) and not isinstance(operation, keras.layers.RNN)


def _activated(operation, values):
    """`values` through a layer's own activation."""
    return np.asarray(operation.activation(keras.ops.convert_to_tensor(values))) if _activates(operation) else values
