"""What box 2 measures of a network, against what its one difference is known to do; and which criteria that costs."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from harness import ROOT, small_store

from grader import checks, dataset
from grader.decode import to_record
from grader.records import (
    CompileClaim,
    DataClaim,
    Evidence,
    FitClaim,
    Graph,
    LabelClaim,
    Model,
    ModelClaim,
    Notebook,
    Recipe,
    Role,
    RunRecord,
    Status,
)

pytestmark = pytest.mark.timeout(600)  # 150 networks: half a minute of processor time, in whichever test comes first
JUDGED = (
    *("model_no_pooling", "model_no_flatten", "model_strided_downsampling", "model_same_padding", "model_score_maps", "model_head"),
    *("model_nonlinear", "data_normalized", "train_loss"),
)
STRUCTURE = " ".join(JUDGED)
HEADLESS = "model_no_flatten model_head"
COSTS = {
    **dict.fromkeys(("leaky 1", "slope 1", "prelu of ones", "relu up to 0", "relu of an offset", "relu of a sum"), "model_nonlinear"),
    **dict.fromkeys(("log of exp", "relu less relu", "tanh of next to nothing", "linear", "never clipped"), "model_nonlinear"),
    **dict.fromkeys(("leaky 0.97", "leaky 0.9", "slope 1.1", "slope 0.95", "prelu of 0.93", "leaky 0.97, own"), "model_nonlinear"),
    **dict.fromkeys(
        ("a thousandth of relu", "a twentieth of relu", "a ripple", "log of exp and a little", "tanh, undone"), "model_nonlinear"
    ),
    **dict.fromkeys((f"{name} behind an average" for name in ("tanh", "elu")), "model_no_pooling"),
    **dict.fromkeys((f"{name} of raw pixels" for name in ("tanh", "elu")), "data_normalized"),
    **dict.fromkeys(("slope 1 of normalised rows", "normalised only", "noise only", "dropout only", "bias of 1000"), "model_nonlinear"),
    **dict.fromkeys(("max of one", "average of one", "slices", "largest of a block", "mean of a block", "resized"), "model_no_pooling"),
    **dict.fromkeys(("resized by leaving out", "max_pool", "average_pool", "largest of slices", "averaging kernel"), "model_no_pooling"),
    **dict.fromkeys(("pooled sequence", "turned, pooled, turned", "adaptive", "normalised, pooled"), "model_no_pooling"),
    "pooled before the last": "model_no_pooling",
    **dict.fromkeys(("flatten", "reshape", "reshape to one position", "permute and reshape", "reshape as an operation"), HEADLESS),
    "a dropped flatten": HEADLESS,
    "global maximum": "model_head",
    "the middle": "model_head model_no_pooling",
    "softmax of one": "model_head train_loss",
    "dropout of nothing": "dropout_rate",
    **dict.fromkeys(("dropout, never", "own dropout, never", "own dropout, called so"), "dropout_placed dropout_rate"),
    **dict.fromkeys(("dropout, always", "own dropout, always", "dropout by image", "dropout by batch"), "dropout_placed"),
    **dict.fromkeys(("flipped, never", "flipped, always", "nested, never", "own layer elsewhere"), "augmentation_placed"),
    **dict.fromkeys(
        ("softmax of raw pixels", "raw", "one channel only", "rescaled by 1", "rescaled and back", "normalised by nothing"),
        "data_normalized",
    ),
    **dict.fromkeys(
        ("no rotation", "no translation", "no zoom", "no contrast", "no brightness", "no shear", "no crop", "no grayscale"),
        "augmentation_placed",
    ),
    **dict.fromkeys(("no invert", "no erasing", "no perspective", "no blur"), "augmentation_placed"),
    "padded": "model_same_padding",
    **dict.fromkeys(("subclass, never", "set dropout, never"), "dropout_placed dropout_rate"),
    "subclass, always": "dropout_placed",
    **dict.fromkeys(("own pooling", "slices in a lambda", "one number in the kernel"), "model_no_pooling"),
    "identity by a function": "model_nonlinear",
    "next to no rotation": "augmentation_placed",
    **dict.fromkeys(("normalised in the batch", "scaled twice", "clipped to 1", "clipped by an operation"), "data_normalized"),
    **dict.fromkeys(("weighed by position", "weighed sequence", "weighed to a map"), HEADLESS),
    **dict.fromkeys(("nearly averaging kernel", "averaging in a wrapper"), "model_no_pooling"),
    **dict.fromkeys(("cancelled dropout", "dropout by 0"), "dropout_placed dropout_rate"),
    **dict.fromkeys(("cancelled flip", "flip by 0"), "augmentation_placed"),
    **dict.fromkeys(("wrapped network", "wrapped convolution", "recurrent cells"), STRUCTURE),
    **dict.fromkeys(("faint network", "faint, concatenated"), "model_no_flatten model_head"),
}
"""Network -> what it loses; all others lose nothing."""
DROPPED_ELSEWHERE = ("dropout only", "dropped before", "a dropped flatten", "own layer elsewhere")


def told(*names):
    """Name -> (whether the images are raw, graph) of networks in effects_in_keras.py, all of them without names, measured in this order by one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    program = Path(__file__).with_name("effects_in_keras.py")
    line = [sys.executable, str(program), str(dataset.ensure(small_store()).folder), *names]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert not {name: body for name, (_, body) in found.items() if isinstance(body, str)}
    return {name: (raw, to_record(Graph, body)) for name, (raw, body) in found.items()}


@pytest.fixture(scope="module")
def measured():
    return told()


def test_what_is_found_does_not_depend_on_what_was_measured_before(measured):
    def said(graph):
        return [
            node.effect and (node.effect.values, node.effect.positions, node.effect.active, node.effect.nonlinear) for node in graph.nodes
        ]

    again = told(*[*measured][::-9])
    assert {name: said(graph) for name, (_, graph) in again.items()} == {name: said(measured[name][1]) for name in again}


def evidence(graph, *, raw):
    recipe = Recipe(kind="affine", scale=(1.0 if raw else 1 / 255,), offset=(0.0,))
    images = DataClaim(
        container="array", dataset="cifar10", split="train", rows=50_000, shape=(32, 32, 3), minimum=0.0, maximum=255.0 if raw else 1.0,
        recipe=recipe, labels=LabelClaim(encoding="integer"),
    )  # fmt: skip
    fit = FitClaim(
        index=0, cell=3, call="fit", serial=0, version=0, epochs=30, batch_size=128, train=images, validation=replace(images, split="test")
    )
    compiled = CompileClaim(serial=0, cell=2, optimizer="Adam", loss="sparse_categorical_crossentropy")
    claim = ModelClaim(serial=0, version=0, cell=1, kind="Functional")
    model = Model(claim=claim, graph=graph, compiled=compiled, fits=(fit,))
    roles = {name: Role(model=model, reason="the only one") for name in ("base", "dropout", "augmentation")}
    return Evidence(notebook=Notebook(cells=()), run=RunRecord(fits=(fit,), loads=("cifar10",)), models=(model,), roles=roles)


def judged(name, raw, graph):
    """Check -> finding, of the checks that ask for what this network has."""
    classes = {node.class_name for node in graph.nodes}
    asked = [
        *JUDGED,
        *(("dropout_placed", "dropout_rate") if any("Dropout" in each for each in classes) and name not in DROPPED_ELSEWHERE else ()),
        *(("augmentation_placed",) if any(each.startswith(("Random", "Rand", "Mix")) for each in classes) else ()),
    ]
    found = evidence(graph, raw=raw)
    return {each: checks.get(each).check(found, checks.get(each).PARAMS) for each in asked}


def test_every_network_loses_what_its_difference_costs_and_nothing_else(measured):
    wrong = {}
    for name, (raw, graph) in measured.items():
        findings = judged(name, raw, graph)
        lost = {each for each, finding in findings.items() if finding.status is not Status.PASS}
        if lost != set(COSTS.get(name, "").split()):
            wrong[name] = [finding.message for finding in findings.values() if finding.status is not Status.PASS] or "nothing lost"
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())
    assert set(COSTS) <= set(measured)


@pytest.mark.parametrize(
    ("name", "check", "words"),
    [
        ("leaky 1", "model_nonlinear", "LeakyReLU (leaky_re_lu) is linear or nearly linear on what reaches it"),
        ("relu up to 0", "model_nonlinear", "is constant on what reaches it"),
        ("max of one", "model_no_pooling", "MaxPooling2D (max_pooling2d, which leaves out positions)"),
        ("largest of a block", "model_no_pooling", "Max ("),
        ("reshape to one position", "model_no_flatten", "The layer Reshape (reshape) flattens a map of shape (8, 8, 10)"),
        ("softmax of one", "model_head", "the output activation is constant"),
        ("dropout, never", "dropout_placed", "is switched off: it is called with training=False"),
        ("dropout, always", "dropout_placed", "also drops values in prediction: it is called with training=True"),
        ("dropout by image", "dropout_placed", "drops all values of an image together"),
        ("dropout, never", "dropout_rate", "is switched off, so its rate counts as 0"),
        ("no rotation", "augmentation_placed", "RandomRotation changes no image: its factor is 0."),
        ("no crop", "augmentation_placed", "on stored images it changes nothing in training that reaches the first convolution"),
        ("flipped, never", "augmentation_placed", "it is switched off by training=False"),
        ("normalised by nothing", "data_normalized", "[0, 255]: the layer Normalization (normalization) in front changes nothing."),
        ("normalised in the batch", "data_normalized", "only the BatchNormalization in front evens them out"),
    ],
)
def test_the_words_say_what_was_measured(measured, name, check, words):
    message = re.sub(r"_\d+(?=[,)])", "", judged(name, *measured[name])[check].message)  # Keras counts its layers' names
    assert words in message


def of(measured, name, class_name):
    """The effect of the first node of a class."""
    return next(node.effect for node in measured[name][1].nodes if node.class_name == class_name)


def test_what_dropout_drops(measured):
    """0.2 of 409 rows of 10 values, twice: a deviation of 0.0044."""
    found = of(measured, "dropout", "Dropout")
    assert (found.active, found.whole, found.values) == ("training", False, "identity")
    assert found.dropped == pytest.approx(0.2, abs=0.03)
    assert of(measured, "dropout by image", "Dropout").whole
    assert of(measured, "dropout, never", "Dropout").dropped == 0.0
    assert of(measured, "gaussian dropout", "GaussianDropout").dropped == 0.0
    assert of(measured, "gaussian dropout", "GaussianDropout").active == "training"


def test_what_reaches_the_first_convolution(measured):
    """Pixels go from 0 to 255; 64 images hold both ends or come close."""

    def reaching(name):
        return measured[name][1].reaching

    assert reaching("raw").inference[:2] == pytest.approx((0, 255), abs=3)
    assert reaching("rescaled").inference[:2] == pytest.approx((0, 1), abs=0.02)
    assert reaching("rescaled by channel").inference[:2] == pytest.approx((-125 * 0.02, (255 - 125) * 0.02), abs=0.1)
    assert reaching("one channel only").inference[:2] == pytest.approx((0, 255), abs=3)
    assert reaching("scaled twice").inference[:2] == pytest.approx((0, 1 / 255), abs=1e-4)
    assert reaching("normalised in the batch").inference[1] == pytest.approx(255, abs=3)
    assert reaching("normalised in the batch").training[2:] == pytest.approx((0, 1), abs=0.02), "its mean is 0 and its deviation 1"


@pytest.mark.parametrize(
    ("name", "class_name", "values", "positions"),
    [
        ("as required", "GlobalAveragePooling2D", "linear", "average"),
        ("leaky 1", "LeakyReLU", "identity", "kept"),
        ("relu up to 0", "ReLU", "constant", "kept"),
        ("relu of an offset", "ReLU", "identity", "kept"),
        ("group normalised", "GroupNormalization", "nonlinear", "kept"),
        ("group normalised", "ReLU", "each", "kept"),
        ("max of one", "MaxPooling2D", "linear", "skips"),
        ("no pooling at all", "MaxPooling2D", "identity", "kept"),
        ("normalised, pooled", "MaxPooling2D", "nonlinear", "pools"),
        ("averaging kernel", "DepthwiseConv2D", "linear", "pools"),
        ("cut out", "Cropping2D", "linear", "kept"),
        ("enlarged", "UpSampling2D", "linear", "kept"),
        ("flatten", "Flatten", "linear", "flattens"),
        ("flatten, undone", "Flatten", "linear", "kept"),
        ("average of 8", "AveragePooling2D", "linear", "average"),
        ("softmax of one", "Softmax", "constant", None),
        ("softmax layer", "Softmax", "nonlinear", None),
    ],
)
def test_what_a_step_does(measured, name, class_name, values, positions):
    found = of(measured, name, class_name)
    assert (found.values, found.positions) == (values, positions)


def test_a_pooling_of_several_steps_is_named_where_positions_are_mixed(measured):
    steps = [
        (node.class_name, node.effect.positions)
        for node in measured["largest of a block"][1].nodes
        if node.effect.positions not in (None, "kept")
    ]
    assert steps == [("Max", "pools"), ("GlobalAveragePooling2D", "average")]
