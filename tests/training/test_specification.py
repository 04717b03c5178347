"""From claims to what is trained: everything allow-listed, whatever cannot be repeated refused with a sentence, equal work under equal keys."""

import copy
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_samples import convolution, sequential, specification

from grader.errors import RebuildRefused
from grader.records import CompileClaim, DataClaim, FitClaim, Graph, LabelClaim, Model, ModelClaim, Recipe
from grader.training import transform as t
from grader.training.diagnosis import suspected
from grader.training.specification import EPOCH_IMAGES, MOST_BATCH, specify

SPEC = specification()
TRAIN = DataClaim(
    container="array",
    dataset="cifar10",
    split="train",
    rows=50_000,
    shape=(32, 32, 3),
    recipe=Recipe(kind="affine", scale=(0.0039215687,), offset=(5e-9,)),
    labels=LabelClaim(encoding="integer", shape=(1,), agreement=1.0),
)
FIT = FitClaim(index=0, cell=5, call="fit", serial=0, version=0, epochs=30, batch_size=128, train=TRAIN)
COMPILED = CompileClaim(
    serial=0,
    cell=4,
    optimizer="Adam",
    learning_rate=0.001,
    optimizer_config={"name": "adam", "learning_rate": 0.0010000000474974513, "beta_1": 0.9, "amsgrad": False, "weight_decay": None},
    loss="sparse_categorical_crossentropy",
)
MODEL = Model(
    claim=ModelClaim(serial=0, version=0, cell=3, kind="Sequential", config=dict(SPEC.config), input_shape=(32, 32, 3)),
    graph=Graph(nodes=(), outputs=(), parameters=1, trainable_parameters=1, input_shape=(32, 32, 3)),
    compiled=COMPILED,
    fits=(FIT,),
)


def test_a_precision_that_is_not_repeated_is_said():
    config = copy.deepcopy(dict(SPEC.config))
    config["config"]["layers"][-1]["config"]["dtype"] = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "mixed_float16"},
    }
    found = specify(replace(MODEL, claim=replace(MODEL.claim, config=config)))
    assert found.notes == ("The model asks to compute in mixed_float16; it was trained in the grader's own precision.",)
    assert "float16" not in str(found.config)


def with_train(**changes):
    return replace(MODEL, fits=(replace(FIT, train=replace(TRAIN, **changes)),))


def with_compiled(**changes):
    return replace(MODEL, compiled=replace(COMPILED, **changes))


def test_an_honest_claim_becomes_plain_data():
    found = specify(MODEL)
    assert found.optimizer == {
        "class_name": "Adam",
        "config": {"learning_rate": 0.001, "beta_1": 0.9, "amsgrad": False, "weight_decay": None},
    }
    assert found.loss == {"name": "sparse_categorical_crossentropy", "from_logits": False}
    assert (found.recipe["kind"], found.recipe["scale"], found.recipe["offset"]) == ("affine", [0.00392157], [0.0])
    assert found.labels == {"encoding": "integer", "tail": [1], "wrong": 0.0}
    assert (found.batch_size, found.epochs, found.input_shape, found.notes) == (128, 30, (32, 32, 3), ())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (replace(MODEL, graph=None, refusal="its layers cannot be followed"), "its layers cannot be followed"),
        (replace(MODEL, compiled=None), "never compiled"),
        (replace(MODEL, fits=()), "no training call reached it"),
        (replace(MODEL, fits=(replace(FIT, train=None),)), "could not be read"),
        (with_compiled(optimizer="MyAdam"), "'MyAdam' is not one of Keras' own"),
        (with_compiled(loss=None, custom_loss="focal"), "a loss of its own (focal)"),
        (with_compiled(optimizer_config={"learning_rate": float("nan")}, learning_rate=None), "learning rate is not a number"),
        (
            with_compiled(optimizer_config={"learning_rate": 0.1, "beta_1": "__import__('os')"}),
            "'beta_1' to something that is not a number",
        ),
        (with_compiled(optimizer_config={"learning_rate": {"class_name": "MySchedule", "config": {}}}, learning_rate=None), "a schedule"),
        (with_train(recipe=None), "could not be matched"),
        (with_train(recipe=Recipe(kind="unknown", residual=0.5)), "fits no rule"),
        (with_train(recipe=Recipe(kind="affine", scale=(float("inf"),), offset=(0.0,))), "not finite"),
        (with_train(recipe=Recipe(kind="identity", resized=(224, 224))), "enlarged to 224x224"),
        (with_train(labels=LabelClaim(encoding="other")), "neither class numbers nor one-hot rows"),
    ],
)
def test_what_cannot_be_repeated_is_refused_with_a_sentence(model, words):
    with pytest.raises(RebuildRefused) as error:
        specify(model)
    assert words in str(error.value)


def test_shuffled_labels_are_repeated_and_a_slip_is_not():
    assert specify(with_train(labels=LabelClaim(encoding="integer", shape=(1,), agreement=0.1))).labels["wrong"] == 1.0
    assert specify(with_train(labels=LabelClaim(encoding="integer", shape=(), agreement=0.98))).labels == {
        "encoding": "integer",
        "tail": [],
        "wrong": 0.0,
    }


def test_schedules_callbacks_and_large_batches():
    schedule = {
        "class_name": "ExponentialDecay",
        "config": {"initial_learning_rate": 0.01, "decay_steps": 100, "decay_rate": 0.9, "name": "x"},
    }
    found = specify(with_compiled(optimizer_config={"learning_rate": schedule}))
    assert found.optimizer["config"]["learning_rate"]["config"] == {"initial_learning_rate": 0.01, "decay_steps": 100, "decay_rate": 0.9}
    found = specify(replace(MODEL, fits=(replace(FIT, batch_size=10_000, callbacks=("EarlyStopping",)),)))
    assert found.batch_size == MOST_BATCH
    assert found.notes == ("Callbacks are not repeated (EarlyStopping).", "Batches of 10000 are made smaller, to 2048.")
    assert specify(replace(MODEL, fits=(replace(FIT, batch_size=None),))).batch_size == 32


def renamed(config, names):
    found = copy.deepcopy(dict(config))
    for layer, name in zip(found["config"]["layers"], names, strict=True):
        layer["config"]["name"] = name
    return found


def test_equal_work_has_equal_keys_whatever_the_layers_are_called():
    other = replace(SPEC, config=renamed(SPEC.config, [f"conv_{index}" for index in range(6)]))
    assert other.key() == SPEC.key()
    assert SPEC.key(budget="short") != SPEC.key(budget="full")


def test_a_layers_name_cannot_make_different_models_look_alike():
    """A layer called "relu" beside an activation "relu" is not a layer called "linear" beside an activation "linear"."""
    named_relu = replace(SPEC, config=sequential(convolution(8, name="relu", activation="relu"), convolution(10, name="scores")))
    named_linear = replace(SPEC, config=sequential(convolution(8, name="linear", activation="linear"), convolution(10, name="scores")))
    assert named_relu.key() != named_linear.key()


@pytest.mark.parametrize(
    "changed",
    [
        t.with_rate(SPEC, 0.002),
        t.with_recipe(SPEC, "identity", [1.0], [0.0]),
        replace(SPEC, batch_size=64),
        replace(SPEC, epochs=10),
        replace(SPEC, loss={**SPEC.loss, "from_logits": True}),
        replace(SPEC, labels={**SPEC.labels, "wrong": 0.5}),
        t.edited(SPEC, t.set_activation("tanh"), lambda layer: layer["config"].get("name") == "a"),
    ],
)
def test_whatever_changes_the_training_changes_the_key(changed):
    assert changed.key() != SPEC.key()


def test_functional_models_keep_their_wiring_in_the_key():
    def functional(first, second):
        def node(name):
            config = {"shape": [None, 8], "dtype": "float32", "keras_history": [name, 0, 0]}
            return {"class_name": "__keras_tensor__", "config": config}

        layers = [
            {**t.stock("InputLayer", name="i"), "name": "i", "inbound_nodes": []},
            {**t.stock("Dense", name="a", units=8), "name": "a", "inbound_nodes": [{"args": [node("i")], "kwargs": {}}]},
            {**t.stock("Dense", name="b", units=8), "name": "b", "inbound_nodes": [{"args": [node(first)], "kwargs": {}}]},
            {**t.stock("Dense", name="c", units=8), "name": "c", "inbound_nodes": [{"args": [node(second)], "kwargs": {}}]},
        ]
        config = {"name": "m", "layers": layers, "input_layers": [["i", 0, 0]], "output_layers": [["c", 0, 0]]}
        return replace(SPEC, config={"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"})

    assert functional("a", "b").key() != functional("a", "a").key()
    assert functional("a", "b").key() == functional("a", "b").key()


# ------------------------------------------------------------------ a key belongs to one content


def tensor(name):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 8], "dtype": "float32", "keras_history": [name, 0, 0]}}


def functional(name, layers, ends):
    config = {"name": name, "layers": layers, "input_layers": [[ends[0], 0, 0]], "output_layers": [ends[1], 0, 0]}
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": "Functional"}


def placed(layer, *sources):
    return {**layer, "name": layer["config"]["name"], "inbound_nodes": [{"args": [tensor(name) for name in sources], "kwargs": {}}]}


def nested(names, words):
    """A model of a model, an operation and a wrapper. `names`: seven, of its layers; `words`: five, whatever else is called a name in it."""
    inner = functional(
        names[1], [placed(t.stock("InputLayer", name=names[2])), placed(t.stock("ReLU", name=names[3]), names[2])], names[2:4]
    )
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": words[0]}, "registered_name": None}
    start = {"module": "keras.initializers", "class_name": "Constant", "config": {"value": 0, "name": words[1]}, "registered_name": None}
    operation = {
        "module": "keras.src.ops.numpy",
        "class_name": "Pad",
        "config": {"name": names[5], "mode": words[2]},
        "registered_name": None,
    }
    wrapped = t.stock("Dense", name=names[6], kernel_initializer=start, activation=words[3])
    layers = [
        placed(t.stock("InputLayer", name=names[0], dtype=policy)),
        {**placed(inner, names[0]), "name": names[1]},
        placed(t.stock("TimeDistributed", name=names[4], layer=wrapped), names[1]),
        placed({**operation, "kwargs": {"name": words[4]}}, names[4], names[0]),
    ]
    return replace(SPEC, config=functional("outer", layers, (names[0], names[5])))


NAMES = ("i", "encoder", "i2", "relu", "each", "pad", "dense")
WORDS = ("float32", "w", "constant", "relu", "layer 0")


@given(st.permutations(("relu", "float32", "layer 0", "layer 1", "constant", "w", "x")))
def test_layers_may_be_called_anything(names):
    assert nested(names, WORDS).key() == nested(NAMES, WORDS).key()


def test_a_model_inside_has_names_of_its_own():
    """Keras numbers names in one session: a layer inside may be called as one outside, or not, and the model is the same."""
    assert nested(("i", "encoder", "i", "each", "each", "pad", "dense"), WORDS).key() == nested(NAMES, WORDS).key()


@given(st.tuples(*[st.sampled_from(["float32", "float16", "relu", "layer 0", "layer 1", "i"])] * 5))
def test_whatever_else_is_called_a_name_is_content(words):
    assert (nested(NAMES, words).key() == nested(NAMES, WORDS).key()) == (words == WORDS)


@given(st.data())
def test_another_wiring_is_another_content(data):
    """Any reference turned to another layer, names kept."""
    given_, other = nested(NAMES, WORDS), copy.deepcopy(nested(NAMES, WORDS))
    nodes = [node for layer in other.config["config"]["layers"] for node in layer["inbound_nodes"][0]["args"]]
    chosen = data.draw(st.sampled_from(nodes))
    chosen["config"]["keras_history"][0] = data.draw(
        st.sampled_from([name for name in NAMES if name != chosen["config"]["keras_history"][0]])
    )
    assert other.key() != given_.key()


# ------------------------------------------------------------------ fit as it was called


def called(*more, train=None, **changes):
    fit = replace(FIT, train=replace(TRAIN, **(train or {})), **changes)
    return specify(replace(MODEL, fits=(*more, fit)))


def test_an_ordinary_call_is_what_it_was():
    found = called()
    assert (found.rows, found.epoch_images, found.images, found.epochs) == (EPOCH_IMAGES, EPOCH_IMAGES, 30 * EPOCH_IMAGES, 30)
    assert (found.rates, found.class_weights, found.sample_weights, found.notes) == ((), (), (), ())
    assert found.within(19_200) == found


@pytest.mark.parametrize(
    ("changes", "amounts"),
    [
        ({"train": {"rows": 128}, "epochs": 2}, (128, 128, 256)),
        ({"validation_split": 0.2}, (40_000, 40_000, 1_200_000)),
        ({"epochs": 10**400, "steps": 10**400}, (EPOCH_IMAGES, EPOCH_IMAGES, 10**9)),
        ({"train": {"rows": 10**400}, "validation_split": 0.5, "steps": -3}, (25_000, 1, 30)),
        ({"train": {"distinct": 128}}, (128, EPOCH_IMAGES, 1_500_000)),  # the same ones again and again
        ({"train": {"rows": None, "distinct": 64}, "steps": 10}, (64, 1280, 38_400)),
        ({"steps": 2}, (EPOCH_IMAGES, 256, 7680)),
        ({"initial_epoch": 28, "train": {"rows": 1000}}, (1000, 1000, 2000)),
        ({"train": {"rows": None, "container": "generator"}}, (EPOCH_IMAGES, EPOCH_IMAGES, 1_500_000)),
        ({"train": {"rows": None}, "steps": 3, "epochs": 1}, (EPOCH_IMAGES, 384, 384)),
    ],
)
def test_images_are_as_many_as_the_call_asks_for(changes, amounts):
    found = called(**changes)
    assert (found.rows, found.epoch_images, found.images) == amounts


def test_calls_on_several_sets_train_on_all_of_them():
    parts = [replace(FIT, epochs=1, train=replace(TRAIN, rows=1000, mean=float(number))) for number in range(30)]
    fits = (*parts, replace(parts[0], index=30))
    found = specify(replace(MODEL, fits=fits, images=31_000))
    assert (found.rows, found.images) == (30_000, 31_000)


def test_weights_and_rates():
    found = called(
        class_weight=((3, 0.0), (5, 2.0)), sample_weight=(0.5,) * 20, rates=(0.01, 0.001, None), callbacks=("LearningRateScheduler",)
    )
    assert found.class_weights == (1, 1, 1, 0, 1, 2, 1, 1, 1, 1)
    assert found.sample_weights == (0.5,)
    assert found.rates == (0.01, 0.001)
    assert not found.notes
    assert found.within(19_200).rates == (), "in the first epoch there is one rate"
    assert called(train={"rows": 5000}, rates=(0.01, 0.001)).within(19_200).rates == (0.01, 0.001)
    assert called(train={"weights": (0.0,) * 20}).sample_weights == (0.0,)
    assert called(sample_weight=(0.0, 1.0)).notes == ("Sample weights are repeated by how they are distributed, not image by image.",)
    assert specify(with_compiled(loss_weight=0.0)).sample_weights == (0.0,)
    for bad in ({"class_weight": ((1, math.inf),)}, {"sample_weight": (math.nan,)}, {"class_weight": ((1, 1e9),)}):
        with pytest.raises(RebuildRefused, match="no ordinary numbers"):
            called(**bad)


def test_what_is_not_repeated_is_said():
    found = called(stopped=True, unread=("sample_weight",), callbacks=("Mine", "LearningRateScheduler"))
    assert found.notes == (
        "Callbacks are not repeated (Mine, LearningRateScheduler).",
        "A callback stopped the training here after its first batch; that is not repeated.",
        "What fit is given as sample_weight could not be read and is not repeated.",
    )
    with pytest.raises(RebuildRefused, match=r"methods of its own \(train_step\)"):
        called(own_steps=("train_step",))


@pytest.mark.parametrize(
    "changes", [{"rows": 128}, {"images": 128}, {"class_weights": (0.0,) * 10}, {"sample_weights": (0.0,)}, {"rates": (0.1, 0.0)}]
)
def test_what_fit_was_asked_for_is_in_the_key_and_is_a_cause(changes):
    other = replace(SPEC, **changes)
    assert other.key() != SPEC.key()
    (first, *_) = suspected(other)
    assert first.cause == ("few_images" if {"rows", "images"} & set(changes) else "fit_call")
    assert replace(first.changed, optimizer=SPEC.optimizer) == SPEC
    assert not {"few_images", "fit_call"} & {found.cause for found in suspected(SPEC)}
