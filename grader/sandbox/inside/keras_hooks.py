"""Recording what the notebook does with Keras, and answering what would take too long.

`fit` and its relatives are answered by a short real run (one small batch, eager: shape, label and loss errors surface as they would for the
student) and a history of the asked length. `load_data` answers from the local store. Nothing here is worth points by itself.

Every answer has two halves: taking the small batch and running it are the student's, looking at what was given and recording it are ours
(`Context.ours`): a defect in the second half costs a claim, never the answer.
"""

import collections
import contextlib
import functools
import inspect
import itertools
import json
import os
import sys
import time
import weakref
import zlib

import numpy as np
from numpy.random import default_rng

from . import absent, as_called, legacy, plots, really_train, recipe, trace
from .context import describe_error
from .originals import hidden

_stored = np.load  # notebooks replace it, to have it allow pickles

OPTIONAL = ("sklearn", "pandas", "matplotlib", "jax", "torch")
"""What Keras imports only because it is there: 1.0 s of 3.6 s processor time. Notebooks that want them import them themselves."""

_MOST_LOOKED_AT = 2000  # things in a variable, in search of a history
_MOST_PLACES = 500  # arrays of which the rows are kept that were looked at
_MOST_FRESH = 4  # models of a cell that no variable holds: looking at one takes 20 to 70 ms
_MOST_ARRAYS = 12  # image arrays that are told of
_TELLING_S = 10.0  # for the epochs that callbacks of the student's own are told of
_BATCHES = 4  # that are looked at where data comes in batches: the first one, and others behind it
_LOOKING_S = 0.3  # for the batches behind the second
_SPLITTING = {"take", "skip", "shard", "filter", "concatenate", "window"}  # steps of a pipeline behind which not all images come
_BATCH = 2  # images of the one real training step: enough for every error to surface, and half the time of four
_LEAK = 0.2  # of evaluated images, the share from which they are training images (`records.FitClaim.validates_on_training`)
_LOOP_BATCH = 16  # of each step of a loop of the student's own, in the cell that trains: as many as a figure beside it shows
_SWITCHES = (
    "rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range", "horizontal_flip", "vertical_flip",
    "brightness_range", "channel_shift_range",
)  # fmt: skip
_STAND_INS = {  # other data sets: (train images' shape, test images' shape, classes); arrays of noise, so that the cells can run
    "mnist": ((60000, 28, 28), (10000, 28, 28), 10),
    "fashion_mnist": ((60000, 28, 28), (10000, 28, 28), 10),
    "cifar100": ((50000, 32, 32, 3), (10000, 32, 32, 3), 100),
}


class Recorder:
    """Installed once Keras is imported."""

    def __init__(self, context):
        self.context = context
        self.keras = None
        self.store = recipe.Store()
        self.models = []  # [(model, serial)], kept alive so that identities stay unique
        self.fresh = collections.deque(maxlen=2 * _MOST_FRESH)  # models of the running cell, as they are made; kept alive whatever fails
        self.sent = {}  # serial -> (digest of the last configuration, version)
        self.unfinished = {}  # id of a model that we made of what stood -> what became of it
        self.looked = {}  # serial -> cheap fingerprint at the last look
        self.fits = 0
        self.latest = {}  # serial -> index of the model's last training call
        self.trained = {}  # serial -> (what it was last trained on, weakly; its claim)
        self.compared = {}  # (serial, fit, images evaluated, by their numbers) -> whether they are training images
        self.histories = {}  # fit index -> (History, its dict)
        self.reported = set()
        self.custom_steps, self.custom_cell = 0, None
        self.custom_seen = set()
        self.pretrained = {}  # id(model) -> (weakref, text)
        self.cache = {}
        self.positions = {}  # of the rows that are looked at: an array keeps its own
        self.pooled = {}  # id of data that comes in batches -> the images of it that were looked at
        self.seen = {}  # name of an image array -> cheap fingerprint at the last look
        self.batches = {}
        legacy.Keys.note = hidden(context.note)

    # ------------------------------------------------------------------ installation

    def install(self, keras):
        """Called right after `keras` was imported."""
        from keras.src.models.model import Model
        from keras.src.trainers.trainer import Trainer

        self.keras = keras
        trace.keep_training(keras)
        self._datasets()
        self.original = {
            name: getattr(Model, name) for name in ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "compile")
        }
        recorder = self

        begin = Trainer.__init__

        def made(trainer):
            begin(trainer)
            if not recorder.context.busy and not _made_by_sequential(sys._getframe(2)):
                recorder.fresh.append(trainer)

        def fit(
            model, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0, validation_data=None,
            *args, **kwargs,
        ):  # fmt: skip
            return recorder.fit(model, "fit", x, y, batch_size, epochs, callbacks, validation_split, validation_data, args, kwargs)

        def fit_generator(
            model, generator, steps_per_epoch=None, epochs=1, verbose=1, callbacks=None, validation_data=None, *args, **kwargs
        ):
            recorder.context.note("shim", "fit_generator answered as fit (it was removed from Keras)")
            kwargs["steps_per_epoch"] = steps_per_epoch
            return recorder.fit(model, "fit_generator", generator, None, None, epochs, callbacks, 0.0, validation_data, (), kwargs)

        def evaluate(model, x=None, y=None, *args, **kwargs):
            return recorder.evaluate(model, x, y, args, kwargs)

        def predict(model, x, *args, **kwargs):
            return recorder.predict(model, x, args, kwargs)

        def compile(model, *args, **kwargs):
            recorder.context.compare()
            args, kwargs = legacy.compile_arguments(recorder.context, args, kwargs)
            recorder.original["compile"](model, *args, **kwargs)
            if not recorder.context.busy:
                with recorder.context.ours("recording a compile call"):
                    recorder.compiled(model, args, kwargs)

        def train_on_batch(model, x, y=None, *args, **kwargs):
            return recorder.on_batch(model, "train_on_batch", x, y, kwargs)

        def test_on_batch(model, x, y=None, *args, **kwargs):
            return recorder.on_batch(model, "test_on_batch", x, y, kwargs)

        for hook in (fit, evaluate, predict, compile, train_on_batch, test_on_batch):
            setattr(Model, hook.__name__, hidden(hook, self.original[hook.__name__]))
        Trainer.__init__ = hidden(made, begin)  # a model counts from here on, whatever a later line does
        Trainer.compile = Model.compile  # Keras compiles a loaded model only where its class has the trainer's own `compile`
        Model.fit_generator = fit_generator
        Model.evaluate_generator = lambda model, generator, *_, **__: recorder.evaluate(model, generator, None, (), {})
        Model.predict_generator = lambda model, generator, *_, **__: recorder.predict(model, generator, (), {})
        Model.predict_proba = lambda model, x, *_, **__: recorder.predict(model, x, (), {})
        Model.predict_classes = lambda model, x, *_, **__: recorder.predict(model, x, (), {}).argmax(axis=-1)
        self._custom_loops()
        self._plain_input()
        keras.utils.disable_interactive_logging()
        self.seed()

    def seed(self):
        """Seed every generator as the notebook's spec says; once Keras is there and a notebook is known."""
        if self.keras is not None and "seed" in self.context.spec:
            self.keras.utils.set_random_seed(self.context.spec["seed"])

    def give_pandas(self, pandas):
        """Called right after `pandas` was imported: Keras takes data frames once it knows of them."""
        slicing = sys.modules.get("keras.src.trainers.data_adapters.array_slicing")
        if slicing is not None:
            slicing.pandas = pandas

    def _datasets(self):
        import keras.datasets as public
        from keras.src import datasets

        for name in ("cifar10", *_STAND_INS):
            answer = self._loader(name, getattr(datasets, name).load_data)
            for place in (getattr(datasets, name), getattr(public, name)):
                place.load_data = answer
        for name in ("imdb", "reuters", "boston_housing", "california_housing"):
            for place in (getattr(datasets, name, None), getattr(public, name, None)):
                if place is not None:
                    place.load_data = self._absent(name)

    def _loader(self, name, like=None):
        def load_data(path=None, label_mode="fine"):
            self.context.send("load", {"name": name})
            return self.load(name)

        return hidden(load_data, like)

    def _absent(self, name):
        def load_data(*_, **__):
            self.context.send("load", {"name": name})
            raise RuntimeError(f"the data set {name} is not provided while grading")

        return hidden(load_data)

    def load(self, name):
        """((x_train, y_train), (x_test, y_test)) as Keras gives them; writable copies-on-write of the store's arrays."""
        if name == "cifar10":
            folder = self.context.spec["data"]
            paths = [os.path.join(folder, f"{part}.npy") for part in ("x_train", "y_train", "x_test", "y_test")]
            kept = [_stored(path, mmap_mode="r") for path in paths]
            given = [np.asarray(_stored(path, mmap_mode="c")) for path in paths]
            given[1], given[3] = given[1].copy(), given[3].copy()
        else:
            train, test, classes = _STAND_INS[name]
            generator = default_rng(zlib.crc32(name.encode()))
            kept = []
            for shape in (train, test):
                kept += [
                    generator.integers(0, 256, shape, dtype=np.uint8),
                    generator.integers(0, classes, (shape[0], 1) if classes == 100 else shape[0]).astype(np.uint8),
                ]
            given = [array.copy() for array in kept]
            self.context.note("data", f"{name} is answered with made-up images: the exercise is about CIFAR-10")
        self.store.add(name, "train", kept[0], kept[1])
        self.store.add(name, "test", kept[2], kept[3])
        return (given[0], given[1]), (given[2], given[3])

    def wrap_applications(self, module):
        """Called right after a module of `keras.src.applications` was imported, before anybody takes a network's function from it."""
        for name, function in list(vars(module).items()):
            if inspect.isfunction(function) and name[0].isupper() and function.__module__ == module.__name__:
                setattr(module, name, self._application(name, function))

    def _application(self, name, function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def build(*args, **kwargs):
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            weights = given.arguments.get("weights")
            given.arguments.update({key: None for key in ("weights",) if key in given.arguments})
            if weights is not None:
                self.context.note("network", f"{name}(weights={weights!r}) built without its weights: nothing is downloaded while grading")
            model = function(*given.args, **given.kwargs)
            self.pretrained[id(model)] = (weakref.ref(model), f"{name}, weights={str(weights)[:40]}")
            return model

        return build

    def _custom_loops(self):
        from keras.src.optimizers.base_optimizer import BaseOptimizer
        from tensorflow.python.data.ops.dataset_ops import DatasetV2
        from tensorflow.python.eager import context as eager

        recorder = self
        apply, iterate = BaseOptimizer.apply, DatasetV2.__iter__

        def counted_apply(optimizer, grads, trainable_variables=None):
            if not recorder.context.busy:
                recorder.custom_steps += 1
                recorder.custom_cell = recorder.context.cell
                with recorder.context.ours("looking at a training loop"):
                    recorder.custom_step(trainable_variables)
                if recorder.custom_steps > 4 and eager.executing_eagerly():
                    return None
            return apply(optimizer, grads, trainable_variables)

        def shortened_iterate(dataset):
            iterator = iterate(dataset)
            if recorder.context.busy or not eager.executing_eagerly():
                return iterator
            return _Shortened(iterator, recorder.shortened(iterator))

        BaseOptimizer.apply = hidden(counted_apply, apply)
        DatasetV2.__iter__ = hidden(shortened_iterate, iterate)

    def shortened(self, iterator):
        """What gives an iterator's items and ends early, with batches of few images, once a training loop of the student's own was recognised."""
        numbers = itertools.count(1)
        most = 1 if self.custom_cell == self.context.cell else 3  # batches: of the first epoch, and of each later one in its cell

        def step():
            if next(numbers) > most and self.custom_steps:
                raise StopIteration
            item = next(iterator)
            return self._few(item) if self.custom_cell == self.context.cell else item

        return hidden(step)

    def _few(self, item):
        """The first images and labels of a batch; anything else as it is."""
        with self.context.ours("shortening a batch"):
            if isinstance(item, tuple) and len(item) > 1:
                lengths = {part.shape[0] if getattr(getattr(part, "shape", None), "rank", None) else None for part in item}
                if len(lengths) == 1 and None not in lengths:
                    return tuple(part[:_LOOP_BATCH] for part in item)
        return item

    def _plain_input(self):
        """Have the one batch of an answered call read as what it is: Keras' pipeline for arrays traces four functions (0.09 s) for what is here one element.

        A pipeline that has to stay is read without tf.data's tuner, whose thread ends a fifth of a second after its last batch.
        """
        import tensorflow as tf
        from keras.src import tree
        from keras.src.backend.tensorflow.trainer import TFEpochIterator
        from keras.src.trainers.data_adapters import array_slicing
        from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

        recorder, options = self, tf.data.Options()
        whole_iterator, whole_dataset = TFEpochIterator._get_iterator, ArrayDataAdapter.get_tf_dataset
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False

        def get_iterator(iterator):
            dataset = whole_iterator(iterator)
            return dataset.with_options(options) if recorder.context.busy and isinstance(dataset, tf.data.Dataset) else dataset

        def get_tf_dataset(adapter):
            if recorder.context.busy and not tf.distribute.has_strategy():
                with contextlib.suppress(Exception):  # for what is wrong with the data Keras' own way has the words
                    arrays = tree.lists_to_tuples(array_slicing.convert_to_sliceable(adapter._inputs, target_backend="tensorflow"))
                    plain = all(
                        tf.is_tensor(part) or isinstance(part, np.ndarray) for part in tree.flatten(arrays)
                    )  # sparse ones are wrapped
                    if plain and adapter._size == 1:
                        return tf.data.Dataset.from_tensors(arrays)
            return whole_dataset(adapter)

        TFEpochIterator._get_iterator = get_iterator
        ArrayDataAdapter.get_tf_dataset = get_tf_dataset

    # ------------------------------------------------------------------ models

    def serial(self, model):
        for known, serial in self.models:
            if known is model:
                return serial
        self.models.append((model, len(self.models)))
        return len(self.models) - 1

    def names(self, thing):
        return [name for name, value in list(self.context.namespace.items()) if value is thing and not name.startswith("_")][:5]

    def look(self, model, data=None, *, failed=False):
        """Send the model as it is now, if it changed; returns (serial, version). `data`: the claim of what reached it, if anything did. `failed`: and it could not take it.

        A model that a defect of ours keeps from being described is sent as one that cannot be rebuilt: a person looks at it.
        """
        serial = self.serial(model)
        with self.context.ours("describing a model"):
            self.looked[serial] = _outline(model)
            return serial, self._send_model(model, serial, *self._described(model, tuple(data["shape"]) if data else None, failed=failed))
        undescribed = {"kind": "Subclassed", "unbuildable": "a defect in the grader kept it from being described"}
        return serial, self._send_model(model, serial, "undescribed", undescribed)

    def _described(self, model, given_shape, *, failed=False):
        """A digest of the model as it is now, and the fields of its claim."""
        with self.context:
            standing, unfinished, planned = _standing(model, given_shape) or (model, self.unfinished.get(id(model)), 0)
            found = trace.snapshot(standing, given_shape)
            if failed and found["kind"] == "Subclassed" and found["config"] is None and given_shape:
                part, last = self._of_tensors(_symbolic_in(_error_of(lambda: trace._traced(model, given_shape))))
                if part is not None:
                    found, unfinished = trace.snapshot(part, given_shape), f"its call fails behind {last}"
        found |= {"unfinished": unfinished, "planned": planned} if unfinished else {}
        nested = [model, *trace.all_layers(model)]
        pretrained = [text for ref, text in self.pretrained.values() if any(ref() is item for item in nested)]
        found["pretrained"] = pretrained[0] if pretrained else None
        parts = [found["config"], found["layers"], found["input_shape"]]
        return zlib.crc32(json.dumps(parts, sort_keys=True, default=str).encode()), found

    def _send_model(self, model, serial, digest, found):
        last, version = self.sent.get(serial, (None, -1))
        if digest != last:
            version += 1
            self.context.send(
                "model", {"serial": serial, "version": version, "cell": self.context.cell, "names": self.names(model), **found}
            )
            self.sent[serial] = (digest, version)
        return version

    def compiled(self, model, args, kwargs):
        serial, _ = self.look(model)
        loss = kwargs.get("loss", args[1] if len(args) > 1 else None)
        metrics = kwargs.get("metrics", args[3] if len(args) > 3 else None) or []
        loss_weight = 1.0
        with contextlib.suppress(Exception):
            loss_weight = as_called.loss_weight(kwargs.get("loss_weights", args[2] if len(args) > 2 else None))
        self.context.send(
            "compile",
            {
                "serial": serial,
                "cell": self.context.cell,
                "before": self.fits,
                "loss_weight": loss_weight if np.isfinite(loss_weight) else 1.0,
                **self._optimizer_now(model),
                "metrics": [
                    str(getattr(metric, "name", getattr(metric, "__name__", metric)))[:60]
                    for metric in (metrics if isinstance(metrics, (list, tuple)) else [metrics])
                ][:10],
                **self._loss(loss),
            },
        )

    def _optimizer_now(self, model):
        """The optimizer as it is set now: class, learning rate, configuration."""
        optimizer, config = getattr(model, "optimizer", None), None
        if type(optimizer) is self.keras.optimizers.LossScaleOptimizer:  # put around the notebook's own by a policy of 16 bits
            optimizer = optimizer.inner_optimizer
        with contextlib.suppress(Exception):
            config = json.loads(json.dumps(optimizer.get_config(), default=trace._plain))
        return {"optimizer": self._optimizer(optimizer), "learning_rate": _rate(optimizer), "optimizer_config": config}

    def _optimizer(self, optimizer):
        """The name of the optimizer's class, with words before it where it is not Keras' own or was changed."""
        if optimizer is None:
            return "none"
        kind, changed = type(optimizer), trace.has_own(optimizer, "get_config", "apply_gradients", "apply", "update_step")
        return kind.__name__ if trace.is_keras_own(kind) and not changed else f"the notebook's own {kind.__name__}"

    def _loss(self, loss):
        """The loss as a canonical name where it is one of Keras' own."""
        if isinstance(loss, (list, tuple)) and len(loss) == 1:
            loss = loss[0]
        if isinstance(loss, dict) and len(loss) == 1:
            loss = next(iter(loss.values()))
        if loss is None:
            return {"loss": None, "custom_loss": None}
        result = {"loss": None, "custom_loss": None, "from_logits": False, "label_smoothing": 0.0}
        try:
            known = self.keras.losses.get(loss) if isinstance(loss, str) else loss
            if trace.has_own(known, "call", "get_config"):
                result["custom_loss"] = type(known).__name__
            elif isinstance(known, self.keras.losses.Loss) and trace.is_keras_own(type(known)):
                config = known.get_config()
                function = getattr(known, "fn", None)
                if function is not None and not trace.is_keras_own(function):
                    return {**result, "custom_loss": getattr(function, "__name__", "a function")[:80]}
                result["loss"] = function.__name__ if function is not None else _snake(type(known).__name__)
                result["from_logits"] = bool(config.get("from_logits", getattr(known, "_fn_kwargs", {}).get("from_logits", False)))
                result["label_smoothing"] = float(config.get("label_smoothing", 0.0) or 0.0)
            elif inspect.isfunction(known) and trace.is_keras_own(known):
                result["loss"] = known.__name__
            elif isinstance(known, type) and issubclass(known, self.keras.losses.Loss) and trace.is_keras_own(known):
                result["loss"] = _snake(known.__name__)
            else:
                result["custom_loss"] = getattr(known, "__name__", type(known).__name__)[:80]
        except Exception:
            result["custom_loss"] = str(loss)[:80]
        return result

    # ------------------------------------------------------------------ data

    def data(self, x, y=None, most=None):
        """What a call was given as data: (small x, small y, DataClaim body or None, rows, batch size found). `most`: batches that the call itself takes.

        Taking it is the student's: an empty generator, an error in theirs, shapes that do not fit surface in the cell. Examining it is ours.
        """
        self.context.compare()
        small_x, small_y, rows, size, examine = self._take(x, y, most)
        claim = None
        with self.context.ours("examining the data of a call"):
            claim = examine()
        return small_x, small_y, claim, rows, size

    def _take(self, x, y, most):
        """(small x, small y, rows, batch size found, a function that gives the DataClaim body)."""
        absent.refuse(x, y)
        try:
            if hasattr(x, "image_data_generator") and hasattr(x, "batch_size"):
                return self._batch(x, x, "generator", most, rows=int(getattr(x, "n", 0)), complete=lambda claim: self._iterator(x, claim))
            if type(x).__module__.startswith("tensorflow") and hasattr(x, "element_spec") and hasattr(x, "take"):
                with self.context:
                    steps = int(x.cardinality())
                    return self._batch(x, iter(x), "tf.data", most, steps=steps, complete=lambda claim: self._pipeline(x, claim))
            if hasattr(x, "__getitem__") and hasattr(x, "__len__") and not hasattr(x, "shape") and not isinstance(x, (list, tuple, dict)):
                steps = len(x)
                others = iter([0, *(1 + recipe.chosen(max(steps - 1, 0), _BATCHES - 1))])
                return self._batch(x, (x[int(place)] for place in others), "generator", most, steps=steps)
            if hasattr(x, "__next__"):
                return self._batch(x, x, "generator", most)
        except StopIteration:
            raise ValueError("the generator given as data is empty") from None
        if x is None:
            return None, None, None, None, lambda: None
        images = _leaf(x)
        images = images if hasattr(images, "shape") else np.asarray(images)
        rows = _length(images)
        nested = _is_nested(x)
        several = nested or _is_one_each(y, rows)
        labels = _leaf(y) if several else y
        labels = labels if labels is None or hasattr(labels, "shape") else np.asarray(labels)
        _refuse_other_lengths(images, labels)
        small = (_small(x if nested else images), _small(y if several else labels))
        return *small, rows, None, lambda: self._claim(images, labels, "array", variable=(self.names(x) or [None])[0])

    def _claim(self, images, labels, container, variable=None):
        """The DataClaim body of arrays. Which rows are looked at nobody can know before; an array that is looked at again is so at the same ones."""
        if isinstance(images, np.ndarray):
            images = np.asarray(images)  # a class of the student's own would hear which rows are asked for
        total = int(images.shape[0])
        place = (*images.__array_interface__["data"], images.strides) if isinstance(images, np.ndarray) else id(images)
        if len(self.positions) >= _MOST_PLACES:
            self.positions.clear()
        positions = self.positions.setdefault((place, total), recipe.chosen(total))
        whole = None if labels is None or _length(labels) != total else np.asarray(labels)
        claim = self._examined(_pick(images, positions), whole, positions, total, images)
        kind = str(getattr(images, "dtype", claim["dtype"])).replace("<dtype: '", "").replace("'>", "")[:20]
        return {**claim, "container": container, "rows": total, "dtype": kind, "variable": variable}

    def _examined(self, picked, labels, positions, total, there, parts=()):
        """The fields of a DataClaim that looking at `picked` images gives: rows `positions` of `total`, so many of each batch (`parts`), of all that are `there`.

        `labels`: theirs, or all `total`. The range is that of all images where no rule gives it: that of a few is chance.
        """
        if picked.dtype.name == "bfloat16":  # NumPy knows it as raw bytes only
            picked = picked.astype(np.float32)
        digest = (*(zlib.crc32(np.ascontiguousarray(part).tobytes()) for part in (picked, positions)), total, len(self.store.sets))
        labelled = None if labels is None else zlib.crc32(np.ascontiguousarray(labels).tobytes())
        if (digest, labelled) not in self.cache:
            found = recipe.identify(picked, labels, positions, total, self.store, parts)
            self.cache[digest, labelled], self.cache[digest, None] = found, {**found, "labels": None}
        claim = {"shape": [int(size) for size in picked.shape[1:]], "dtype": str(picked.dtype)[:20], **self.cache[digest, labelled]}
        claim["distinct"] = as_called.distinct(picked)
        if picked.dtype.kind in "fiub" and picked.size:
            numbers = picked.astype(np.float64)
            ranging = numbers if (claim.get("recipe") or {}).get("kind") in ("identity", "affine", "per_pixel") else np.asarray(there)
            claim.update(minimum=float(ranging.min()), maximum=float(ranging.max()), mean=float(numbers.mean()), std=float(numbers.std()))
        return claim

    def _batch(self, data, batches, container, most, *, rows=None, steps=-1, complete=None):
        """`_take` for data that comes in batches. `steps`: how many there are, below 1 where that is not known. `complete(claim)` adds to the claim what is known beyond them."""
        first = images, labels, _ = _parts(next(batches))
        leaf = np.asarray(_leaf(images))
        size, looked = int(leaf.shape[0]), [(0, *first)]
        with contextlib.suppress(Exception):  # what is wrong with a later batch is not seen here, as ever
            ended = _further(batches, most, looked, all_of_them=container == "tf.data")
            steps = ended if ended and steps < 1 else steps
        found = size if container != "tf.data" or leaf.ndim in (2, 4) else None  # images that come one by one have no batch
        rows = (found or 1) * steps if rows is None and steps > 0 else rows

        def examine():
            parts = [(at, np.asarray(_leaf(x)), None if y is None else np.asarray(_leaf(y))) for at, x, y, _ in looked]
            parts = [part for part in parts if part[1].shape[1:] == leaf.shape[1:] and (part[2] is None) == (labels is None)]
            if len(self.pooled) > 1:  # a call has training and validation data
                self.pooled.clear()
            there = self.pooled[id(data)] = np.concatenate([part for _, part, _ in parts])
            chosen = [recipe.chosen(len(part), -(-recipe.SAMPLES // len(parts))) for _, part, _ in parts]
            rows_of = list(zip(parts, chosen, strict=True))
            picked = np.concatenate([part[places] for (_, part, _), places in rows_of])
            theirs = None if labels is None else np.concatenate([part[places] for (*_, part), places in rows_of])
            positions = np.concatenate([at * size + places for (at, *_), places in rows_of])
            total = max(rows or 0, int(positions.max()) + 1)
            claim = self._examined(picked, theirs, positions, total, there, [len(places) for places in chosen])
            claim.update(container=container, rows=rows, seen=len(there))
            with contextlib.suppress(Exception):  # weights of another form, for several outputs say
                weights = [part for *_, part in looked if part is not None]
                claim["weights"] = as_called.weights(np.concatenate(weights)) if weights else []
            if complete is not None:
                complete(claim)
            return claim

        return _small(images), _small(labels), rows or size, found, examine

    def _iterator(self, iterator, claim):
        """ImageDataGenerator.flow(…): one batch told the range, the arrays behind it tell the data, its switches the augmentation."""
        generator = iterator.image_data_generator
        if claim["dataset"] is None and getattr(iterator, "x", None) is not None:
            behind = self._claim(iterator.x, iterator.y, "generator")
            claim.update(dataset=behind["dataset"], split=behind["split"], labels=behind["labels"] or claim["labels"])
            known = behind["recipe"]
            if known and known["kind"] in ("identity", "affine"):
                factor = getattr(generator, "rescale", None) or 1.0
                plain = not (getattr(generator, "featurewise_center", False) or getattr(generator, "samplewise_center", False))
                if plain:
                    scale, offset = [value * factor for value in known["scale"]], [value * factor for value in known["offset"]]
                    kind = "identity" if scale == [1.0] and offset == [0.0] else "affine"
                    claim["recipe"] = {**known, "kind": kind, "scale": scale, "offset": offset}
        claim["augmentation"] = [name for name in _SWITCHES if _is_on(getattr(generator, name, None))]

    def _pipeline(self, dataset, claim):
        """What a tf.data pipeline is made of: the tensors at its start tell the data where its images match none."""
        steps, tensors = self._origin(dataset)
        if claim["dataset"] is None and tensors:
            behind = self._claim(tensors[0], tensors[1] if len(tensors) > 1 else None, "tf.data")
            claim.update(dataset=behind["dataset"], split=behind["split"])
            if any("map" in step for step in steps):
                claim["augmentation"] = ["tf.data map"]
            if claim["recipe"] is None and behind["recipe"] and claim.get("maximum") is not None:
                claim["recipe"] = self._range_recipe(behind, claim)

    def _origin(self, dataset):
        """The names of a pipeline's steps, and the tensors at its start: images, then labels where there are any."""
        steps, source = [], dataset
        for _ in range(50):
            steps.append(type(source).__name__.strip("_").removesuffix("Dataset").lower())
            zipped = getattr(source, "_datasets", None)
            if steps[-1] == "zip" and isinstance(zipped, tuple) and zipped:
                parts = [self._origin(part) for part in zipped[:2] if hasattr(part, "element_spec")]
                return steps + [step for more, _ in parts for step in more], [tensors[0] for _, tensors in parts if tensors]
            inner = getattr(source, "_input_dataset", None)
            if inner is None:
                break
            source = inner
        return steps, getattr(source, "_tensors", None)

    def _rows(self, data):
        """All images that a call's data are made of; None where they are not at hand together."""
        if hasattr(data, "image_data_generator"):
            return getattr(data, "x", None)
        if hasattr(data, "element_spec"):
            steps, tensors = self._origin(data)
            return tensors[0] if tensors and not any(word in step for step in steps for word in _SPLITTING) else None
        images = _leaf(data) if hasattr(data, "shape") or _is_nested(data) else None
        return images if hasattr(images, "shape") else None

    def _shared(self, x, held, claim):
        """The share of a call's validation images that are rows of its training images; None where the two are of different sets, or not at hand.

        Of a `validation_split` that is asked only where there are more images than were loaded: some stand there twice.
        """
        rows, split, loaded = self._rows(x), claim.get("validation_split"), self.store.sets.values()
        if held is None and split and rows is not None and _length(rows) > max((len(images) for images, _ in loaded), default=0):
            at = int(_length(rows) * (1 - split))
            rows, others = np.asarray(rows)[:at], np.asarray(rows)[at:]
        elif held is None or {(claim[part] or {}).get("split") for part in ("train", "validation")} == {"train", "test"}:
            return None
        else:
            others = self._rows(held)
        rows, others = (self.pooled.get(id(data)) if part is None else part for data, part in ((x, rows), (held, others)))
        if rows is None or others is None or not len(rows) or not len(others):
            return None
        return recipe.shared(_pick(others, recipe.chosen(_length(others))), np.asarray(rows))

    def _trained_on(self, serial, x, claim):
        """Whether the images that a model is evaluated on are rows of those that it was last trained on, as far as these are at hand."""
        known, trained = self.trained.get(serial, (lambda: None, None))
        rows = known()
        if rows is None or not claim or not trained:
            return False
        key = serial, self.latest.get(serial), *(claim.get(part) for part in ("rows", "mean", "std", "variable"))
        if key not in self.compared:
            share = self._shared(rows, x, {"train": trained, "validation": claim})
            self.compared[key] = rows is x or (share is not None and share > _LEAK)
        return self.compared[key]

    def _range_recipe(self, behind, claim):
        """An estimate for augmented pipelines, where no image can be matched: the map of ranges [0, 255] -> [minimum, maximum]."""
        known = behind["recipe"]
        if known["kind"] not in ("identity", "affine") or behind["maximum"] is None or behind["maximum"] <= behind["minimum"]:
            return None
        ratio = (claim["maximum"] - claim["minimum"]) / (behind["maximum"] - behind["minimum"])
        for factor in (1.0, 1 / 255, 1 / 127.5, 1 / 256):
            if abs(ratio / factor - 1) < 0.12:
                offset = -1.0 if claim["minimum"] < -0.5 and factor == 1 / 127.5 else known["offset"][0] * factor
                return {
                    **known,
                    "kind": "affine" if factor != 1.0 or known["kind"] == "affine" else "identity",
                    "scale": [value * factor for value in known["scale"]],
                    "offset": [offset] * len(known["scale"]),
                    "residual": 0.1,
                }
        return None

    # ------------------------------------------------------------------ answering calls

    def _eagerly(self, model, function):
        """Run `function` with the model in eager mode (no tracing: 0.35 s instead of 2.9 s for one batch), everything put back after."""
        kept = model.run_eagerly, getattr(model, "jit_compile", False)
        with self.context:
            try:
                model.run_eagerly = True
                return function()
            finally:
                model.run_eagerly = kept[0]
                model.train_function = model.test_function = model.predict_function = None

    def fit(self, model, call, x, y, batch_size, epochs, callbacks, validation_split, validation_data, args, kwargs):
        if self.context.busy:
            return self.original["fit"](
                model,
                x,
                y,
                batch_size,
                epochs,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                **kwargs,
            )
        for old in ("nb_epoch",):
            if old in kwargs:
                epochs = kwargs.pop(old)
                self.context.note("shim", f"fit({old}=) answered as fit(epochs=) (its name changed in Keras 2)")
        samples = _whole(kwargs.get("nb_val_samples"))
        for gone in (
            "workers", "use_multiprocessing", "max_queue_size", "samples_per_epoch", "nb_val_samples", "max_q_size", "pickle_safe", "nb_worker",
        ):  # fmt: skip
            if gone in kwargs:
                kwargs.pop(gone)
                self.context.note("shim", f"fit({gone}=) ignored (it was removed from Keras)")
        allowed = (
            "shuffle", "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps", "validation_batch_size",
            "validation_freq",
        )  # fmt: skip
        kwargs = {**dict(zip(allowed, args, strict=False)), **kwargs}
        unknown = set(kwargs) - set(allowed)
        if unknown:
            raise TypeError(f"Model.fit() got an unexpected keyword argument '{min(unknown)}'")
        index = self.fits
        self.fits += 1
        claim, error, history = {"epochs": _whole(epochs), "batch_size": _whole(batch_size)}, None, None
        claim |= {"steps": _whole(kwargs.get("steps_per_epoch")), "initial_epoch": max(_whole(kwargs.get("initial_epoch")) or 0, 0)}
        small, held = (None, None), None
        try:
            self.pooled.clear()
            small_x, small_y, claim["train"], _, found = self.data(x, y, _product(claim["steps"], claim["epochs"]))
            small = small_x, small_y
            if claim["batch_size"] is None:
                claim["batch_size"] = found or (32 if found is None and small_x is not None else None)
            if validation_data is not None:
                pair = validation_data if isinstance(validation_data, (list, tuple)) else (validation_data, None)
                more = _product(_whole(kwargs.get("validation_steps")), claim["epochs"])
                val_x, val_y, claim["validation"], _, size = self.data(pair[0], pair[1] if len(pair) > 1 else None, more)
                held = (val_x, val_y)
                size = _whole(kwargs.get("validation_batch_size")) or size or claim["batch_size"]
                asked = samples or _product(_whole(kwargs.get("validation_steps")), size)
                if asked and claim["validation"]:
                    claim["validation"]["rows"] = min(asked, claim["validation"]["rows"] or asked)
            elif validation_split:
                claim["validation_split"] = float(validation_split)
                held = small
            with self.context.ours("comparing training and validation images"):
                claim["shared"] = self._shared(x, pair[0] if validation_data is not None else None, claim)
            with contextlib.suppress(TypeError):  # a list, say, cannot be referred to weakly
                self.trained[self.serial(model)] = weakref.ref(x), claim["train"]
            if index == self.context.spec.get("train", {}).get("fit"):
                really_train.train(self, model, x, y, validation_data, claim, kwargs)
                return None  # the host ends the box at the claim below
            epochs = max(int(epochs), 1)
            later = self._later_epochs(callbacks, index, epochs, claim)
            history = self._short_fit(model, small, held, callbacks, kwargs, [later], claim["initial_epoch"])
            with self.context.ours("giving the history its length"):
                self._stretch(history, epochs, index, self.serial(model), getattr(model, "metrics", []), validated=held is not None)
            return history
        except BaseException as problem:
            error = problem
            raise
        finally:
            names = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks is not None else []
            claim["callbacks"] = [type(item).__name__[:60] for item in names][:20]
            claim["error"] = describe_error(error) if error is not None else None
            with self.context.ours("reading what a training call asks for"):
                claim |= self._asked_of(model, kwargs)
            self._trained(model, index, call, claim)
            if history is not None:
                self.histories[index] = (history, history.history)
                print(f"(fit answered while grading: one batch of {_BATCH} images was trained; {epochs} epochs were asked for)")

    def _trained(self, model, index, call, claim):
        """Send a training call; returns what was sent."""
        self.latest[self.serial(model)] = index
        with self.context.ours("recording a training call"):
            serial, version = self.look(model, claim.get("train"), failed=bool(claim.get("error")))
            body = {"index": index, "cell": self.context.cell, "call": call, "serial": serial, "version": version, **claim}
            self.context.send("fit", body)
            return body

    def _used(self, model, call, data):
        """Send a call of `evaluate` or `predict`."""
        with self.context.ours(f"recording {call}"):
            serial, _ = self.look(model, data)
            self.context.send("evaluate", {"cell": self.context.cell, "call": call, "serial": serial, "data": data})

    def _asked_of(self, model, kwargs):
        """What else a call asks for, for its claim: weights, and by what of its own the model is trained."""
        found, lost = {"own_steps": as_called.own_steps(model)}, []
        for name, numbers in (("class_weight", as_called.class_weights), ("sample_weight", as_called.weights)):
            try:
                found[name] = numbers(kwargs.get(name))
            except Exception:  # Keras takes more than what is read here, or nothing of it
                lost.append(name)
        return {**found, "unread": lost}

    def _later_epochs(self, callbacks, index, epochs, claim):
        """A callback, to be the last, that tells those that set rates, write curves down or are the student's own of the epochs that are not trained.

        It writes into `claim` what the others did: the optimizer as it was set for the first batch, and for the epochs the learning rate.
        """
        given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks is not None else []
        usual = ("CSVLogger", "LambdaCallback", "LearningRateScheduler")
        told = [item for item in given if type(item).__module__ == "__main__" or type(item).__name__ in usual]
        recorder, began = self, claim["initial_epoch"]

        class Later(self.keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                with recorder.context.ours("looking at an optimizer"):
                    claim.update(recorder._optimizer_now(self.model))
                    claim["rates"] = [claim["learning_rate"]]

            def on_epoch_end(self, epoch, logs=None):
                until = time.monotonic() + _TELLING_S
                claim["stopped"] = bool(self.model.stop_training)
                for later in range(began + 1, epochs) if told else ():
                    values = {
                        name: plots.value(_first([value]), index, position, later, epochs)
                        for position, (name, value) in enumerate((logs or {}).items())
                    }
                    try:
                        for item in told:
                            item.on_epoch_begin(later, {})
                        claim["rates"].append(_rate(self.model.optimizer))
                        for item in told:
                            item.on_epoch_end(later, dict(values))
                    except Exception:  # an epoch without batches is our doing: what a callback makes of it is not the student's mistake
                        break
                    if time.monotonic() > until:
                        break

        return Later()

    def _short_fit(self, model, small, held, callbacks, kwargs, later, began):
        options = {key: kwargs[key] for key in ("class_weight",) if kwargs.get(key) is not None}
        callbacks = [
            item
            for item in (callbacks if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks is not None else [])
            if type(item).__name__ not in ("TensorBoard", "BackupAndRestore")
        ]
        callbacks = absent.known(self.context, callbacks, "unseen")
        return self._eagerly(
            model,
            lambda: self.original["fit"](
                model,
                small[0],
                small[1],
                batch_size=_BATCH,
                initial_epoch=began,
                epochs=began + 1,
                verbose=0,
                callbacks=[*callbacks, *later],
                validation_data=held if held is None or held[1] is not None else held[0],
                shuffle=False,
                **options,
            ),
        )

    def _stretch(self, history, epochs, index, serial, metrics, *, validated):
        """Give the history the asked length; every curve gets values of its own in the sixth digit, so that plots can be recognised.

        Without validation data a metric that only has the name of one of theirs is one of training.
        """
        stretched = legacy.Keys()
        for position, (name, values) in enumerate(history.history.items()):
            first = _first(values)
            stretched[name] = [plots.value(first, index, position, epoch, epochs) for epoch in range(epochs)]
        history.history = stretched
        history.epoch = list(range(epochs))
        history.params = {**(history.params or {}), "epochs": epochs}
        shown = legacy.by_what_they_are(stretched, metrics)
        plots.remember(index, shown if validated else {name.removeprefix("val_"): values for name, values in shown.items()}, serial)

    def evaluate(self, model, x, y, args, kwargs):
        if self.context.busy:
            return self.original["evaluate"](model, x, y, *args, **kwargs)
        small_x, small_y, claim, *_ = self.data(x, y, _whole(kwargs.get("steps")))
        self._used(model, "evaluate", claim)
        logs = self._eagerly(
            model, lambda: self.original["evaluate"](model, small_x, small_y, batch_size=_BATCH, verbose=0, return_dict=True)
        )
        with self.context.ours("giving the answer of evaluate values of its own"):
            serial = self.serial(model)
            logs = plots.evaluated(self.latest.get(serial, -1), logs, serial, "" if self._trained_on(serial, x, claim) else "val_")
        print(f"(evaluate answered while grading: {_BATCH} images were used)")
        return logs if kwargs.get("return_dict") else model._flatten_metrics_in_order(logs)

    def predict(self, model, x, args, kwargs):
        if self.context.busy:
            return self.original["predict"](model, x, *args, **kwargs)
        small_x, _, claim, rows, _ = self.data(x, None, _whole(kwargs.get("steps")))
        self._used(model, "predict", claim)
        small = self._eagerly(model, lambda: self.original["predict"](model, small_x, batch_size=_BATCH, verbose=0))
        if not isinstance(small, np.ndarray) or not len(small):
            return small
        return np.resize(small, (rows or _BATCH, *small.shape[1:]))

    def on_batch(self, model, call, x, y, kwargs):
        if self.context.busy:
            return self.original[call](model, x, y, **kwargs)
        serial = self.serial(model)
        count, last, told = self.batches.get((serial, call), (0, None, None))
        if count >= 3:
            self.batches[serial, call] = count + 1, last, told
            return last
        small_x, small_y, claim, rows, _ = self.data(x, y)
        if count == 0 and call == "train_on_batch":
            told = self._trained(model, self.fits, call, {"batch_size": rows, "train": claim})
            self.fits += 1
        options = {"return_dict": True} if kwargs.get("return_dict") else {}
        result = self._eagerly(model, lambda: self.original[call](model, small_x, small_y, **options))
        self.batches[serial, call] = count + 1, result, told
        return result

    def _count_batches(self):
        """Send the calls of `train_on_batch` once more where there were more of them: how many images they took together."""
        for count, _, told in self.batches.values():
            if told and told["train"] and told["batch_size"] and told["train"]["rows"] < (rows := count * told["batch_size"]):
                told["train"]["rows"] = rows
                self.context.send("fit", told)

    def custom_step(self, variables):
        """An optimiser was applied outside `fit`: a training loop of the student's own."""
        wanted = {id(variable) for variable in (variables or [])} | {
            id(getattr(variable, "_value", None)) for variable in (variables or [])
        }
        for model in self._models_in_namespace():
            key = (self.serial(model), self.context.cell)
            own = {id(variable) for variable in model.trainable_variables} | {
                id(getattr(variable, "_value", None)) for variable in model.trainable_variables
            }
            if key not in self.custom_seen and (not wanted or wanted & own):
                self.custom_seen.add(key)
                self._trained(model, self.fits, "custom_loop", {})
                self.fits += 1

    # ------------------------------------------------------------------ after each cell, and at the end

    def _models_in_namespace(self):
        keras = getattr(self, "keras", None)
        if keras is None:
            return []
        found = []
        for name, value in list(self.context.namespace.items()):
            if name.startswith("_") or name in ("In", "Out"):
                continue
            with self.context.ours("looking for models among the variables"):
                items = [value]
                if isinstance(value, (list, tuple)) and len(value) <= 50:
                    items = list(value)
                elif isinstance(value, dict) and len(value) <= 50:
                    items = list(value.values())
                found += [item for item in items if isinstance(item, keras.Model) and not any(item is other for other in found)]
        return found

    def after_cell(self):
        """Send what the cell left: models, in the namespace or not, which histories are kept, image arrays."""
        self.context.compare()
        named = self._models_in_namespace()
        with self.context.ours("looking for models that no variable holds"):
            named = [*named, *self._unnamed(named)]
        for model in named:
            with self.context.ours("looking at a model that the cell left"):
                if self.looked.get(self.serial(model)) != _outline(model):
                    self.look(model)
        for index in sorted(self.histories.keys() - self.reported):
            for name, value in list(self.context.namespace.items()):
                if name.startswith("_") or name in ("In", "Out"):
                    continue
                with self.context.ours("looking for a history among the variables"):
                    if self._holds(value, *self.histories[index]):
                        self.reported.add(index)
                        self.context.send("history", {"fit": index, "kept_as": name[:60]})
                        break
        with self.context.ours("counting batches"):
            self._count_batches()
        self.arrays()
        self.context.compare(told=True)

    def _unnamed(self, named):
        """The models of this cell that no variable holds (a function failed before it returned one), and what stands of one that was never finished."""
        fresh, self.fresh = list(self.fresh), collections.deque(maxlen=self.fresh.maxlen)
        known = {id(model) for model, _ in self.models} | {id(model) for model in named}
        inner = {id(layer) for model in (*named, *fresh) for layer in trace.all_layers(model)} if fresh else set()
        found = [
            model for model in fresh if id(model) not in known | inner and hasattr(model, "built") and (not model.built or model.weights)
        ]
        found, errors = found[-_MOST_FRESH:], self.context.resume.errors if self.context.resume else []
        if errors and self.keras and not found:
            tensors = [value for value in self.context.namespace.values() if isinstance(value, self.keras.KerasTensor)]
            tensors += [tensor for error in errors for tensor in _symbolic_in(error)]
            taken = {id(layer) for model, _ in self.models for layer in (*trace.all_layers(model), *getattr(model, "_operations", ()))}
            with self.context:
                model, last = self._of_tensors([tensor for tensor in tensors if id(tensor._keras_history.operation) not in taken])
            if model is not None:
                self.unfinished[id(model)] = f"no model was made of them, the last of which is {last}"
                found.append(model)
        return found

    def _of_tensors(self, tensors):
        """(a model of what the furthest of some symbolic tensors is made by, the name of its last operation); (None, "") where that is nothing."""
        size, furthest = max(((_reach(tensor), tensor) for tensor in tensors[-50:]), key=lambda pair: pair[0], default=(0, None))
        if size < 2:
            return None, ""
        return self.keras.Model(self.keras.utils.get_source_inputs(furthest), furthest), furthest._keras_history.operation.name

    def before_end(self):
        """The notebook ends its own process: what there is by now is sent first."""
        with self.context.ours("looking at what is there at the end"):
            self.after_cell()

    def _holds(self, value, history, values):
        """Whether a variable is this history or its dictionary, or holds it up to three steps away."""
        todo, seen = [(value, 0)], 0
        while todo and seen < _MOST_LOOKED_AT:
            item, depth = todo.pop()
            seen += 1
            if item is history or item is values:
                return True
            if depth == 3 or isinstance(item, legacy.Keys):
                continue
            if isinstance(item, dict):
                inner = list(item.values())[:50]
            elif isinstance(item, (list, tuple)):
                inner = list(item)[:50]
            else:
                inner = list(getattr(item, "__dict__", {}).values())[:50] if type(item).__module__ == "__main__" else []
            todo += [(each, depth + 1) for each in inner]
        return False

    def arrays(self):
        """Send the image arrays that the cell left new or changed in the namespace: evidence where no training call is reached, whatever ends the run."""
        for name, value in list(self.context.namespace.items()):
            if name.startswith("_") or not issubclass(type(value), np.ndarray) or value.ndim not in (2, 3, 4) or len(value) < 500:
                continue
            if value.dtype.kind not in "fiu" or (value.ndim == 2 and value.shape[1] not in (784, 3072)):
                continue
            with self.context.ours("examining an array that is left"):
                cheap = value.shape, value.dtype, value[:: len(value) // 4].tobytes()
                if self.seen.get(name) != cheap and (name in self.seen or len(self.seen) < _MOST_ARRAYS):
                    self.seen[name] = cheap
                    self.context.send("variable", self._claim(value, None, "array", variable=name[:60]))


class _Shortened:
    """An iterator over a tf.data set, of which `step()` gives the next item (`Recorder.shortened`)."""

    def __init__(self, iterator, step):
        self._iterator, self._step = iterator, step

    def __iter__(self):
        return self

    def __next__(self):
        return self._step()

    def __getattr__(self, name):
        return getattr(self._iterator, name)


def _made_by_sequential(frame):
    """Whether the model being made is the one that a Sequential makes of its layers for itself."""
    while frame is not None and f"{os.sep}keras{os.sep}src{os.sep}" in frame.f_code.co_filename:
        if frame.f_code.co_name == "build":
            return True
        frame = frame.f_back
    return False


def _standing(model, given_shape):
    """(model, what fails, planned layers): of a Sequential that cannot be built the layers before the one that fails; None where nothing fails."""
    import keras

    layers = list(getattr(model, "_layers", ()))
    if type(model) is not keras.Sequential or model._functional is not None or not layers:
        return None
    has_input = type(layers[0]).__name__ == "InputLayer"
    if not has_input and given_shape is None:
        return None
    inputs = x = layers[0].output if has_input else keras.Input(given_shape)
    layers = layers[has_input:]
    for place, layer in enumerate(layers):
        try:
            x = layer(x)
        except Exception:
            return (keras.Model(inputs, x), f"{layer.name} ({type(layer).__name__}) fails", len(layers)) if place else None
    return None


def _error_of(function):
    try:
        function()
    except Exception as error:
        return error
    return None


def _symbolic_in(error):
    """The symbolic tensors that the functions hold through which an error came."""
    import keras

    found, frames = [], getattr(error, "__traceback__", None)
    while frames is not None:
        found += [value for value in frames.tb_frame.f_locals.values() if isinstance(value, keras.KerasTensor)]
        frames = frames.tb_next
    return found


def _reach(tensor):
    """How many operations a symbolic tensor is made by."""
    seen, todo = set(), [tensor]
    while todo:
        made = todo.pop()._keras_history
        if id(made.operation) not in seen:
            seen.add(id(made.operation))
            todo += made.operation._inbound_nodes[made.node_index].input_tensors
    return len(seen)


def _rate(optimizer):
    """The learning rate as it is now; None where it is no finite number."""
    with contextlib.suppress(Exception):
        rate = float(np.asarray(optimizer.learning_rate))
        return rate if np.isfinite(rate) else None


def _first(values):
    """The first number of a curve; a curve of NaN would be found in no figure."""
    first = float(np.asarray(values[0]).reshape(-1)[0]) if values else 0.0
    return first if np.isfinite(first) else 0.0


def _snake(name):
    return "".join(
        ("_" if index and letter.isupper() and not name[index - 1].isupper() else "") + letter.lower() for index, letter in enumerate(name)
    )


def _product(steps, epochs):
    return steps * (epochs or 1) if steps else None


def _whole(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _is_on(value):
    """Whether a switch of ImageDataGenerator does anything (its zoom_range of 0 is kept as [1, 1])."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and any(item != 1 for item in value)
    return bool(value)


def _is_nested(data):
    """Whether `data` holds arrays, one for each input or output, and is no array itself."""
    return isinstance(data, dict) or (isinstance(data, (list, tuple)) and len(data) > 0 and hasattr(data[0], "shape"))


def _is_one_each(labels, rows):
    """Whether `labels` are arrays for so many images, one for each output of a model; a list of single labels is none."""
    if isinstance(labels, dict):
        return True
    return _is_nested(labels) and all(len(getattr(part, "shape", ())) and int(part.shape[0]) == rows for part in labels)


def _leaf(data):
    """The first array of nested data; anything else as it is."""
    while _is_nested(data) and len(data):
        data = next(iter(data.values())) if isinstance(data, dict) else data[0]
    return data


def _small(data):
    """The first rows of data, nested or not, as NumPy arrays."""
    if data is None:
        return None
    if isinstance(data, dict):
        return {key: _small(item) for key, item in data.items()}
    if _is_nested(data):
        return type(data)(_small(item) for item in data)
    return np.asarray(data[:_BATCH]) if hasattr(data, "shape") else np.asarray(data)[:_BATCH]


def _refuse_other_lengths(images, labels):
    """Keras' refusal, in its words: the small batch would hide it."""
    if labels is not None and _length(images) != _length(labels):
        raise ValueError(
            "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples."
            f"'x' sizes: {_length(images)}\n'y' sizes: {_length(labels)}\n"
        )


def _outline(model):
    """What tells at once that a model is another than when it was looked at."""
    return len(getattr(model, "layers", ())), bool(getattr(model, "built", False)), bool(getattr(model, "compiled", False))


def _parts(batch):
    """(images, labels or None, weights or None) of a batch, as arrays where they are not nested."""
    parts = [*(batch if isinstance(batch, (list, tuple)) else (batch,)), None, None][:3]
    return tuple(part if part is None or isinstance(part, dict) else np.asarray(part) for part in parts)


def _further(batches, most, looked, *, all_of_them):
    """Put batches behind the first one into `looked`, each with its place: the next ones, or some, by chance, of all that come in the time. How many there are, where they end."""
    begun, count = time.monotonic(), 1
    while (most is None or count < most) and (all_of_them or count < _BATCHES):
        try:
            batch = count, *_parts(next(batches))
        except StopIteration:
            return count
        if len(looked) < _BATCHES:
            looked.append(batch)
        elif (place := 1 + int(recipe.chosen(count, 1)[0])) < _BATCHES:
            looked[place] = batch
        count += 1
        if time.monotonic() - begun > _LOOKING_S:
            break
    return None


def _length(labels):
    shape = getattr(labels, "shape", None)
    return int(shape[0]) if shape else len(labels)


def _pick(array, positions):
    """Rows `positions` of an array, a tensor or a data frame as a NumPy array."""
    if isinstance(array, np.ndarray):
        return array[positions]
    if hasattr(array, "iloc"):
        return np.asarray(array.iloc[positions])
    if type(array).__module__.startswith("tensorflow"):
        import tensorflow as tf

        return np.asarray(tf.gather(array, positions))
    return np.asarray([array[int(position)] for position in positions])
