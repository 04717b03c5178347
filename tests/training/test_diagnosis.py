"""Every cause is suspected where its defect is, not in the honest model, and its change touches that one thing."""

from dataclasses import replace

import pytest
from training_samples import convolution, sequential, specification, with_relu_scores

from grader.training import transform as t
from grader.training.diagnosis import last_resorts, risk, suspected, within_reach

HONEST = specification()


def layers_with(*names, edit):
    return t.edited(HONEST, edit, lambda layer: layer["config"].get("name") in names)


def appended(*extra):
    config = {**HONEST.config, "config": {**HONEST.config["config"], "layers": [*HONEST.config["config"]["layers"], *extra]}}
    return replace(HONEST, config=config)


def put(**changes):
    return lambda layer: layer["config"].update(changes)


def inserted(position, layer):
    layers = list(HONEST.config["config"]["layers"])
    layers.insert(position, layer)
    return replace(HONEST, config=sequential(*layers))


DEFECTS = {
    "silent_score_maps": with_relu_scores(HONEST),
    "relu_before_softmax": t.edited(
        appended(t.stock("Activation", name="last", activation="softmax")), t.set_activation("relu"), t.is_class("Dense")
    ),
    "wrong_labels": replace(HONEST, labels={**HONEST.labels, "wrong": 1.0}),
    "loss_does_not_fit": replace(HONEST, loss={"name": "mean_squared_error"}),
    "two_softmaxes": appended(t.stock("Softmax", name="again")),
    "initialisation": t.edited(HONEST, t.set_initializer(t.initializer("Zeros")), t.is_class(*t.WEIGHTED)),
    "frozen": layers_with("a", "b", edit=put(trainable=False)),
    "rate_too_high": t.with_rate(HONEST, 0.1),
    "saturating": layers_with("a", "b", edit=t.set_activation("sigmoid")),
    "dropout_too_high": inserted(5, t.stock("Dropout", name="drop", rate=0.9)),
    "regularisation_too_strong": layers_with(
        "a",
        edit=put(kernel_regularizer={"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 1.0}, "registered_name": None}),
    ),
    "raw_pixels": t.with_recipe(HONEST, "identity", [1.0], [0.0]),
    "rate_too_low": t.with_rate(HONEST, 1e-6),
    "optimizer": t.with_optimizer(HONEST, "SGD", learning_rate=0.01),
    "no_nonlinearity": t.edited(HONEST, t.set_activation("linear"), t.is_class("Conv2D")),
    "extreme_augmentation": inserted(1, t.stock("RandomRotation", name="turn", factor=1.0)),
}


def test_nothing_is_suspected_in_an_honest_model():
    assert [found.cause for found in suspected(HONEST)] == []
    assert risk(HONEST) is None
    assert [found.cause for found in last_resorts(HONEST)] == ["rate_too_high", "initialisation"]


def test_at_least_ten_causes():
    assert len(DEFECTS) >= 10


@pytest.mark.parametrize("cause", DEFECTS)
def test_the_defect_is_suspected_first_and_its_change_removes_the_suspicion(cause):
    defect = DEFECTS[cause]
    first = suspected(defect)[0]
    assert first.cause == cause
    assert first.because
    assert first.cure.endswith(".")
    changed = first.changed
    assert cause not in [found.cause for found in suspected(changed)]
    assert defect == DEFECTS[cause], "the given specification stays as it was"


@pytest.mark.parametrize("cause", DEFECTS)
def test_the_change_touches_one_part_only(cause):
    defect = DEFECTS[cause]
    changed = suspected(defect)[0].changed
    parts = ("config", "optimizer", "loss", "recipe", "labels", "batch_size", "input_shape")
    assert sum(getattr(defect, part) != getattr(changed, part) for part in parts) == 1
    before, after = list(t.layers(defect.config)), list(t.layers(changed.config))
    assert [layer["config"]["name"] for layer in before] == [layer["config"]["name"] for layer in after]


def test_the_score_maps_in_nested_and_functional_models_are_found():
    nested = sequential(sequential(*with_relu_scores(HONEST).config["config"]["layers"][:4]), *HONEST.config["config"]["layers"][4:])
    assert suspected(replace(HONEST, config=nested))[0].cause == "silent_score_maps"


def test_a_separate_relu_behind_the_score_maps_is_the_same_cause():
    given = inserted(4, t.stock("ReLU", name="cut"))
    assert risk(given) is not None
    first = suspected(given)[0]
    assert first.cause == "silent_score_maps"
    assert [layer["class_name"] for layer in t.layers(first.changed.config)].count("ReLU") == 0


def test_a_relu_in_the_middle_is_no_risk():
    config = sequential(*HONEST.config["config"]["layers"][:3], convolution(10, name="middle"), *HONEST.config["config"]["layers"][3:])
    assert risk(replace(HONEST, config=config)) is not None, "ten maps anywhere may be silenced"
    assert risk(layers_with("a", edit=put(filters=11))) is None


def test_reach():
    assert within_reach(HONEST)
    assert within_reach(t.with_rate(HONEST, 1e-5))
    assert not within_reach(t.with_rate(HONEST, 1e-6))
    assert within_reach(replace(HONEST, optimizer={"class_name": "Adam", "config": {}})), "an unknown rate is not held against anybody"
