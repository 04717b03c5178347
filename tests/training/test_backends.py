"""Box 2 trains for real, in the sandbox, on both of Keras' backends: the same small specification, the same verdicts."""

from dataclasses import replace

import pytest
from harness import ROOT, grade_file, small_store
from training_samples import specification

from grader import dataset, sandbox
from grader.records import ModelClaim
from grader.sandbox import Limits
from grader.training import transform as t
from grader.training.box2 import Box2, TrainingRefused
from grader.training.proof import death
from grader.training.specification import specify

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SMALL = replace(specification(), batch_size=32)
STEPS = 30


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def box(request):
    data = dataset.ensure(small_store())
    with Box2(sandbox.choose(), Limits(), data=data.folder, backend=request.param) as found:
        yield found


def course(box, given, *, seed=0, precision="float32", steps=STEPS, **options):
    box.open(given, seed=seed, precision=precision, most_steps=200)
    return box.advance(steps, **options)


def everything():
    """Dropout, a random image layer, BatchNormalization and a penalty: what has states of its own."""
    layers = list(SMALL.config["config"]["layers"])
    layers.insert(1, t.stock("RandomFlip", name="flip", mode="horizontal"))
    layers.insert(3, t.stock("BatchNormalization", name="bn"))
    layers.insert(-1, t.stock("Dropout", name="drop", rate=0.2))
    made = replace(SMALL, config={**SMALL.config, "config": {**SMALL.config["config"], "layers": layers}})
    penalty = {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 1e-4}, "registered_name": None}
    return t.edited(made, lambda layer: layer["config"].update(kernel_regularizer=penalty), t.is_class("Dense"))


def test_a_healthy_model_learns_and_the_same_seed_gives_the_same_numbers(box):
    fast = t.with_rate(SMALL, 0.01)
    first = course(box, fast, evaluate=500, probe=True)
    assert first.finite
    assert first.held is not None
    assert first.held.accuracy > 0.14, "the made-up images' colours are learned within a few steps"
    assert not first.held.constant
    assert all(norm is not None and norm > 0 for _, norm in first.gradients)
    assert {name for name, _, _ in first.silent or ()} == {"a", "b"}
    assert death(first) is None
    other = course(box, fast, seed=1, evaluate=500)
    assert other.train_loss != first.train_loss
    again = course(box, fast, evaluate=500, probe=True)
    assert replace(again, seconds=first.seconds) == first, "begun anew without compiling again, it is the same run to the last digit"


def test_a_seed_begins_at_the_same_weights_on_both_and_so_goes_the_same_way():
    data, losses = dataset.ensure(small_store()), {}
    orthogonal, normal = t.initializer("Orthogonal", seed=None), t.initializer("HeNormal", seed=7)
    others = t.edited(SMALL, t.set_initializer(orthogonal), t.is_class("Conv2D"))
    others = t.edited(others, t.set_initializer(normal), t.is_class("Dense"))
    for backend in ("tensorflow", "jax"):
        with Box2(sandbox.choose(), Limits(), data=data.folder, backend=backend) as box:
            losses[backend] = [
                (course(box, given, seed=seed, steps=1, evaluate=500).held, box.advance(20).train_loss)
                for given in (SMALL, others, everything())
                for seed in (0, 1)
            ]
    for (held, loss), (held_too, loss_too) in zip(losses["tensorflow"][:4], losses["jax"][:4], strict=True):
        assert held is not None
        assert held_too is not None
        assert held_too.loss == pytest.approx(held.loss, rel=1e-4)
        assert loss_too == pytest.approx(loss, rel=1e-3)
    assert len({round(loss, 4) for _, loss in losses["jax"]}) == 6, "and each seed at others"


def test_a_model_that_starts_at_zero_is_proved_dead(box):
    zeros = t.edited(SMALL, t.set_initializer(t.initializer("Zeros")), t.is_class(*t.WEIGHTED))
    point = course(box, zeros, steps=4, probe=True)
    assert "units of the layer" in (death(point) or "")


def test_too_large_a_rate_ends_in_numbers_that_are_not_finite_or_dead(box):
    point = course(box, t.with_optimizer(SMALL, "SGD", learning_rate=1e30), steps=8, probe=True)
    assert death(point) is not None


def test_layers_with_states_of_their_own_and_bfloat16(box):
    point = course(box, everything(), precision="mixed_bfloat16", evaluate=500)
    assert point.finite
    assert point.held is not None
    assert point.held.loss is not None
    assert point.held.loss < 3.0, "moving averages are freed of their start"


def test_a_model_with_nothing_to_train_is_measured_and_stays_as_it_is(box):
    frozen = t.edited(SMALL, lambda layer: layer["config"].update(trainable=False), t.is_class(*t.WEIGHTED))
    first = course(box, frozen, steps=2, evaluate=250)
    assert first.finite
    assert first.gradients == ()
    assert "not one of the weights has changed" in death(first)
    assert box.advance(2, evaluate=250).held == first.held


def test_the_rebuilt_graph_is_the_same_on_both(box):
    graph, refusal = box.rebuild(ModelClaim(serial=1, version=0, cell=0, kind="Sequential", config=everything().config))
    assert refusal is None
    assert (graph.parameters, graph.trainable_parameters) == (1040, 1024)
    assert [(node.class_name, node.output_shape) for node in graph.nodes] == [
        ("InputLayer", (32, 32, 3)),
        ("RandomFlip", (32, 32, 3)),
        ("Conv2D", (32, 32, 8)),
        ("BatchNormalization", (32, 32, 8)),
        ("Conv2D", (16, 16, 8)),
        ("Conv2D", (16, 16, 10)),
        ("GlobalAveragePooling2D", (10,)),
        ("Dropout", (10,)),
        ("Dense", (10,)),
    ]


def test_labels_of_every_encoding_and_another_loss(box):
    one_hot = replace(SMALL, labels={"encoding": "one_hot", "tail": [], "wrong": 0.0}, loss={"name": "categorical_crossentropy"})
    flat = replace(SMALL, labels={"encoding": "integer", "tail": [], "wrong": 0.5}, loss=SMALL.loss)
    for given in (one_hot, flat, replace(SMALL, loss={"name": "mean_squared_error"})):
        assert course(box, given, steps=2).finite


def test_what_is_too_large_is_refused_before_anything_is_allocated(box):
    wide = t.edited(SMALL, lambda layer: layer["config"].update(filters=100_000), lambda layer: layer["config"].get("name") == "a")
    with pytest.raises(TrainingRefused, match="MiB of memory|parameters|values an image"):
        box.open(wide, seed=0, precision="float32", most_steps=10)
    huge = t.edited(SMALL, lambda layer: layer["config"].update(units=10**8), t.is_class("Dense"))
    with pytest.raises(TrainingRefused):
        box.open(huge, seed=0, precision="float32", most_steps=10)
    assert course(box, SMALL, steps=1).finite, "and the box goes on"


def test_a_model_that_does_not_fit_the_images_is_refused_with_its_error(box):
    narrow = t.edited(SMALL, lambda layer: layer["config"].update(batch_shape=[None, 16, 16, 1]), t.is_class("InputLayer"))
    with pytest.raises(TrainingRefused, match="training it fails"):
        course(box, narrow, steps=1)


@pytest.mark.parametrize("box", ["tensorflow"], indirect=True)
@pytest.mark.parametrize("name", ["honest_mixed_float16", "honest_float16_policy"])
def test_a_model_under_a_policy_of_16_bits_is_trained_as_any_other(box, name):
    """The optimizer inside the one that scales losses is the notebook's; what is trained is the same network in float32."""
    found = grade_file(ROOT / "tests" / "notebooks" / name / "submission.ipynb", store=small_store()).evidence
    given = specify(found.roles["base"].model)
    assert given.optimizer["class_name"] == "Adam"
    assert any("float16" in note for note in given.notes)
    point = course(box, given, steps=2)
    assert point.finite
    assert 2.0 < point.train_loss < 2.7, "at the start a classifier of ten classes is near ln 10"
