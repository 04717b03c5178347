"""The gate of box 2: stock layers get through unchanged, everything that could run code or read files is refused with its name."""

import copy

import pytest

from grader.errors import RebuildRefused
from grader.training.canonical import canonical


def layer(class_name, /, module="keras.layers", registered=None, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}


def sequential(*layers):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}, "registered_name": None}


GOOD = sequential(layer("InputLayer", batch_shape=[4, 32, 32, 3], name="i"), layer("Conv2D", filters=10, name="c", activation="relu"))


def test_a_stock_model_gets_through_without_its_batch_size():
    result = canonical(copy.deepcopy(GOOD))
    assert result["config"]["layers"][0]["config"]["batch_shape"] == [None, 32, 32, 3]
    assert result["config"]["layers"][1]["config"] == {"filters": 10, "name": "c", "activation": "relu"}


def test_build_and_compile_configurations_are_left_behind():
    given = copy.deepcopy(GOOD)
    given["compile_config"] = {"loss": "x"}
    given["config"]["layers"][1]["build_config"] = {"input_shape": [1]}
    assert "compile_config" not in canonical(given)
    assert "build_config" not in canonical(given)["config"]["layers"][1]


def policy(name):
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


@pytest.mark.parametrize("name", ["float16", "mixed_float16", "bfloat16", "mixed_bfloat16", "float64"])
def test_a_models_precision_is_the_graders(name):
    def asking(dtype, plain):
        activation = layer("LeakyReLU", negative_slope=0.1, dtype=policy(dtype))
        conv = layer("Conv2D", filters=10, name="c", dtype=policy(dtype), activation=activation)
        return sequential(layer("InputLayer", batch_shape=[None, 32, 32, 3], dtype=plain), conv)

    plain = name.removeprefix("mixed_")
    assert canonical(asking(name, plain)) == canonical(asking("float32", "float32"))
    assert canonical(asking("float32", "uint8"))["config"]["layers"][0]["config"]["dtype"] == "uint8"


@pytest.mark.parametrize("activation", [{"class_name": "__lambda__", "config": {"value": "4wEAAAAA" * 20}}, "4wEAAAAA/" * 20])
def test_byte_code_is_in_no_message(activation):
    with pytest.raises(RebuildRefused) as refusal:
        canonical(sequential(layer("Dense", activation=activation)))
    assert "4wEA" not in str(refusal.value)


def test_a_seed_is_as_large_as_keras_draws_it():
    result = canonical(sequential(layer("RandomCrop", height=28, width=28, seed=302621085), layer("Dropout", rate=0.1, seed=None)))
    assert [part["config"]["seed"] for part in result["config"]["layers"]] == [2621085, None]
    with pytest.raises(RebuildRefused, match="302621085"):
        canonical(sequential(layer("RandomCrop", height=302621085, width=28, seed=1)))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (layer("Lambda", function={"class_name": "__lambda__"}), "'Lambda'"),
        (layer("Conv2D", module="builtins"), "builtins"),
        (layer("StringLookup", vocabulary="/etc/passwd"), "'StringLookup'"),
        (layer("TextVectorization"), "'TextVectorization'"),
        (layer("TFSMLayer", filepath="/etc"), "'TFSMLayer'"),
        (layer("Dense", registered="Custom>Dense", units=1), "another name"),
        (layer("Dense", units=10**9), "1000000000"),
        (layer("Dense", units=float("inf")), "not finite"),
        (
            layer("Dense", activation={"class_name": "function", "module": "builtins", "config": "system", "registered_name": "function"}),
            "'function'",
        ),
        (layer("Dense", name="$(touch x)"), "text"),
        (layer("LSTM", units=3, unroll=True), "unrolled"),
        (layer("Embedding", vocabulary="x"), "'vocabulary'"),
    ],
)
def test_what_is_not_a_stock_part_is_refused_by_name(bad, words):
    with pytest.raises(RebuildRefused) as refusal:
        canonical(sequential(bad))
    assert words in str(refusal.value)


@pytest.mark.parametrize("bad", [None, 3, "x", [], {}, {"class_name": "Dense", "module": "keras.layers", "config": {}}])
def test_what_is_no_model_is_refused(bad):
    with pytest.raises(RebuildRefused):
        canonical(bad)


def test_size_caps():
    with pytest.raises(RebuildRefused, match="150 layers"):
        canonical(sequential(*[layer("ReLU") for _ in range(151)]))
    deep = GOOD
    for _ in range(50):
        deep = sequential(deep)
    with pytest.raises(RebuildRefused, match="too large"):
        canonical(deep)
