"""Checks judged from plain evidence: a graph of a few nodes, a training call, a figure. No box, no Keras."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader import checks
from grader.records import (
    Cause,
    CellError,
    CellRun,
    CompileClaim,
    DataClaim,
    EvaluateClaim,
    Evidence,
    FitClaim,
    Graph,
    HistoryClaim,
    LabelClaim,
    LayerClaim,
    Model,
    ModelClaim,
    Node,
    Note,
    Notebook,
    PlotClaim,
    Reaching,
    Recipe,
    Role,
    RunRecord,
    Status,
)

SAME = {"padding": "same", "strides": [1, 1]}


def chain(*parts, size=(32, 32, 3), parameters=1_369_848):
    """A graph of layers one after another; a part is (class, output shape, config)."""
    nodes = [Node(index=0, class_name="InputLayer", name="input", output_shape=size)]
    for index, (name, shape, config) in enumerate(parts, start=1):
        nodes.append(
            Node(index=index, class_name=name, name=f"{name.lower()}_{index}", config=config, inputs=(index - 1,), output_shape=shape)
        )
    return Graph(nodes=tuple(nodes), outputs=(len(nodes) - 1,), parameters=parameters, trainable_parameters=parameters, input_shape=size)


def conv(shape, kernel=3, stride=1, padding="same", activation="relu"):
    return "Conv2D", shape, {"kernel_size": [kernel, kernel], "strides": [stride, stride], "padding": padding, "activation": activation}


BODY = [conv((32, 32, 96)), conv((16, 16, 96), stride=2), conv((16, 16, 192)), conv((8, 8, 192), stride=2), conv((8, 8, 192), kernel=1)]
SCORES = conv((8, 8, 10), kernel=1, activation="linear")
AVERAGE = ("GlobalAveragePooling2D", (10,), {})
DENSE = ("Dense", (10,), {"units": 10, "activation": "softmax"})
GOOD = chain(*BODY, SCORES, AVERAGE, DENSE)


def data(split="train", scale=1 / 255, offset=0.0, encoding="integer"):
    recipe = Recipe(kind="affine", scale=(scale,), offset=(offset,))
    return DataClaim(
        container="array", dataset="cifar10", split=split, rows=50_000, shape=(32, 32, 3), minimum=offset, maximum=255 * scale + offset, recipe=recipe,
        labels=LabelClaim(encoding=encoding),
    )  # fmt: skip


def evidence(graph=GOOD, role="base", compiled=True, fit=True, run=None, **compile_with):
    claim = ModelClaim(serial=0, version=0, cell=1, kind="Sequential", layers=(LayerClaim(class_name="Conv2D", name="c"),))
    call = CompileClaim(**{"serial": 0, "cell": 2, "optimizer": "Adam", "loss": "sparse_categorical_crossentropy", **compile_with})
    trained = FitClaim(index=0, cell=3, call="fit", serial=0, version=0, epochs=30, batch_size=128, train=data(), validation=data("test"))
    model = Model(
        claim=claim,
        graph=graph,
        refusal=None if graph else "it has a Lambda",
        compiled=call if compiled else None,
        fits=(trained,) if fit else (),
    )
    record = run or RunRecord(
        fits=model.fits,
        loads=("cifar10",),
        histories=(HistoryClaim(fit=0, kept_as="history"),),
        plots=(PlotClaim(cell=4, curves=((0, "accuracy"), (0, "val_accuracy")), lines=2),),
    )
    return Evidence(notebook=Notebook(cells=()), run=record, models=(model,), roles={role: Role(model=model, reason="the only one")})


def judge(name, found):
    check = checks.get(name)
    return check.check(found, check.PARAMS)


MODEL_CHECKS = [name for name in checks.names() if name.startswith("model_")]


@pytest.mark.parametrize(
    "name", [*MODEL_CHECKS, "data_cifar10", "data_normalized", "data_consistent", "train_loss", "train_protocol", "curves_plotted"]
)
def test_the_reference_passes(name):
    finding = judge(name, evidence())
    assert (finding.status, finding.fraction) == (Status.PASS, 1.0), finding


@pytest.mark.parametrize(
    ("name", "graph", "fraction"),
    [
        ("model_built", chain(*BODY, SCORES, AVERAGE, ("Dense", (100,), {"units": 100})), 0),
        ("model_built", chain(*BODY, SCORES, AVERAGE, DENSE, size=(64, 64, 3)), 0.5),
        ("model_no_pooling", chain(conv((32, 32, 96)), ("MaxPooling2D", (16, 16, 96), {"pool_size": [2, 2]}), SCORES, AVERAGE, DENSE), 0),
        (
            "model_no_pooling",
            chain(*BODY, SCORES, ("AveragePooling2D", (1, 1, 10), {"pool_size": [8, 8]}), ("Flatten", (10,), {}), DENSE),
            1,
        ),
        ("model_no_flatten", chain(*BODY, ("Flatten", (12288,), {}), DENSE), 0),
        (
            "model_no_flatten",
            chain(*BODY, SCORES, ("AveragePooling2D", (1, 1, 10), {"pool_size": [8, 8]}), ("Flatten", (10,), {}), DENSE),
            1,
        ),
        ("model_strided_downsampling", chain(conv((32, 32, 96)), SCORES, AVERAGE, DENSE), 0),
        ("model_strided_downsampling", chain(conv((16, 16, 96), stride=2), SCORES, AVERAGE, DENSE), 0.5),
        ("model_strided_downsampling", chain(*BODY, conv((4, 4, 10), kernel=1, stride=2), AVERAGE, DENSE), 0.5),
        ("model_same_padding", chain(conv((30, 30, 96), padding="valid"), conv((30, 30, 96)), SCORES, AVERAGE, DENSE), 0.5),
        ("model_same_padding", chain(("ZeroPadding2D", (34, 34, 3), {}), conv((32, 32, 96), padding="valid"), SCORES, AVERAGE, DENSE), 1),
        ("model_score_maps", chain(*BODY, AVERAGE, DENSE), 0),
        ("model_score_maps", chain(*BODY, conv((8, 8, 10)), AVERAGE, DENSE), 0.5),
        ("model_head", chain(*BODY, SCORES, AVERAGE, ("Softmax", (10,), {})), 0.5),
        ("model_head", chain(*BODY, SCORES, AVERAGE, ("Dropout", (10,), {"rate": 0.2}), DENSE), 1),
        ("model_head", chain(*BODY, SCORES, AVERAGE, ("Dense", (10,), {"units": 10}), ("Activation", (10,), {"activation": "softmax"})), 1),
        ("model_head", chain(*BODY, SCORES, AVERAGE, ("Dense", (10,), {"units": 10})), 0.5),
        ("model_head", chain(*BODY, SCORES, AVERAGE, DENSE, ("Softmax", (10,), {})), 0.5),
        ("model_head", chain(*BODY, ("Flatten", (12288,), {}), DENSE), 0),
        ("model_parameters", chain(*BODY, parameters=375_000), 0.5),
        ("model_parameters", chain(*BODY, parameters=3_000_000), 0.5),
        ("model_parameters", chain(*BODY, parameters=4_000_000), 0),
        ("model_parameters", chain(*BODY, parameters=0), 0),
        ("model_nonlinear", chain(conv((32, 32, 96), activation="linear"), conv((16, 16, 96), stride=2), SCORES, AVERAGE, DENSE), 0.5),
        (
            "model_nonlinear",
            chain(conv((32, 32, 96), activation="linear"), ("BatchNormalization", (32, 32, 96), {}), ("ReLU", (32, 32, 96), {}), SCORES),
            1,
        ),
        ("model_nonlinear", chain(conv((32, 32, 96), activation="linear"), SCORES, AVERAGE, DENSE), 0),
    ],
)
def test_structure(name, graph, fraction):
    finding = judge(name, evidence(graph))
    assert finding.fraction == pytest.approx(fraction), finding
    assert finding.status == {0: Status.FAIL, 1: Status.PASS}.get(fraction, Status.PARTIAL)


@pytest.mark.parametrize("name", [*MODEL_CHECKS, "data_normalized", "train_loss"])
def test_a_model_that_cannot_be_rebuilt_is_for_a_person(name):
    finding = judge(name, evidence(None))
    assert (finding.status, finding.fraction) == (Status.ERROR, None)
    assert "Lambda" in finding.message


@pytest.mark.parametrize(
    ("inference", "training", "status"),
    [
        (None, None, Status.ERROR),
        ((0.0, 1.0), (0.0, 1.0), Status.PASS),
        ((0.0, 255.0), (0.0, 255.0), Status.FAIL),
        ((0.0, 255.0), (-1.9, 2.1), Status.PARTIAL),
        ((0.0, 0.004), (0.0, 0.004), Status.FAIL),
        ((math.nan, math.nan), (math.nan, math.nan), Status.FAIL),
    ],
)
def test_what_was_measured_to_reach_the_first_convolution_decides(inference, training, status):
    layers = [("Rescaling", (32, 32, 3), {"scale": 1 / 255})]
    graph = chain(*layers, *BODY, SCORES, AVERAGE, DENSE)
    if inference is not None:
        graph = replace(graph, reaching=Reaching(inference=(*inference, 0.5, 0.2), training=(*training, 0.5, 0.2)))
    assert judge("data_normalized", with_fit(graph, train=data(scale=1.0))).status is status


def test_a_model_that_cannot_be_rebuilt_is_no_model_without_a_layer():
    assert judge("data_normalized", with_fit(None, train=data(scale=1.0))).status is Status.ERROR  # its Lambda may divide
    assert (
        judge("data_normalized", with_fit(None, train=replace(data(), dtype="int64", recipe=None, minimum=0.0, maximum=1.0))).status
        is Status.FAIL
    )
    assert judge("train_loss", evidence(None, from_logits=True)).status is Status.ERROR  # it may end in softmax
    assert judge("train_loss", evidence(None, loss="categorical_crossentropy")).status is Status.FAIL  # whatever it ends in


@pytest.mark.parametrize(
    ("graph", "status", "words"),
    [
        (chain(conv((16, 16, 96), kernel=1, stride=2), conv((8, 8, 96), kernel=1, stride=2), SCORES, AVERAGE, DENSE), Status.FAIL,
         "The 1x1 convolutions conv2d_1, conv2d_2 have stride 2: they skip three quarters of the map unseen."),
        (chain(conv((11, 11, 96), kernel=1, stride=3), SCORES, AVERAGE, DENSE), Status.FAIL, "it skips 8 of 9 pixels of the map unseen"),
        (chain(*BODY, conv((4, 4, 10), kernel=1, stride=2), AVERAGE, DENSE), Status.PARTIAL, "has stride 2: it skips three quarters"),
        (chain(conv((32, 32, 96)), SCORES, AVERAGE, DENSE), Status.FAIL, "No convolution with a stride"),
    ],
)  # fmt: skip
def test_strides_on_1x1_kernels_are_named(graph, status, words):
    finding = judge("model_strided_downsampling", evidence(graph))
    assert finding.status is status
    assert words in finding.message


@pytest.mark.parametrize("name", MODEL_CHECKS)
def test_no_model_at_all_fails_with_the_reason(name):
    found = Evidence(
        notebook=Notebook(cells=()), run=RunRecord(), roles={"base": Role(model=None, reason="No model was built: NameError in cell 2")}
    )
    assert "NameError in cell 2" in judge(name, found).message


def with_fit(graph=GOOD, **changes):
    found = evidence(graph)
    fit = replace(found.run.fits[0], **changes)
    model = replace(found.models[0], fits=(fit,))
    return replace(found, models=(model,), run=replace(found.run, fits=(fit,)), roles={"base": Role(model=model, reason="")})


def sampled(low, high, split="train"):
    """Images whose arithmetic was not recognised."""
    return replace(data(split), dtype="float64", recipe=None, minimum=low, maximum=high)


def evaluating(images, serial=0):
    """The reference, with a call of `evaluate` on other images than those `fit` was given."""
    found = evidence()
    call = EvaluateClaim(cell=5, call="evaluate", serial=serial, data=images)
    return replace(found, run=replace(found.run, evaluations=(call,)))


@pytest.mark.parametrize(
    ("name", "found", "status"),
    [
        ("data_normalized", with_fit(train=data(scale=1.0)), Status.FAIL),
        ("data_normalized", with_fit(train=data(scale=1 / 127.5, offset=-1)), Status.PASS),
        ("data_normalized", with_fit(train=data(scale=1 / 255**2)), Status.FAIL),
        ("data_consistent", with_fit(validation=data("test", scale=1 / 225)), Status.FAIL),
        ("data_consistent", with_fit(validation=data("test", scale=1 / 256)), Status.PASS),
        ("data_consistent", evaluating(data("test")), Status.PASS),
        ("data_consistent", evaluating(data("test", scale=1.0)), Status.FAIL),
        ("data_consistent", evaluating(data("test", scale=1.0), serial=1), Status.PASS),
        ("data_consistent", evaluating(replace(data("test"), recipe=None, maximum=255.0)), Status.PASS),
        ("data_consistent", with_fit(train=sampled(0.0, 0.2), validation=sampled(0.0, 0.24, "test")), Status.PASS),
        ("data_consistent", with_fit(train=sampled(0.0, 0.2), validation=sampled(0.0, 255.0, "test")), Status.FAIL),
        ("data_consistent", with_fit(train=sampled(0.0, 1.0), validation=sampled(-2.0, 2.0, "test")), Status.FAIL),
        ("data_normalized", with_fit(train=replace(sampled(0.0, 1.0), dtype="uint8")), Status.FAIL),
        ("data_normalized", with_fit(train=sampled(0.0, 1.0)), Status.PASS),
        ("train_protocol", with_fit(validation=data(), shared=1.0), Status.PARTIAL),
        ("train_protocol", with_fit(validation=data(), shared=0.3), Status.PARTIAL),
        ("train_protocol", with_fit(validation=data(), shared=0.02), Status.PASS),  # twins in an honest split
        ("train_protocol", with_fit(validation=data()), Status.PASS),
        ("train_protocol", with_fit(validation=None, validation_split=0.2, shared=0.8), Status.PARTIAL),
        ("train_protocol", with_fit(validation=None, validation_split=0.2), Status.PASS),
        ("train_protocol", with_fit(validation=None, validation_split=0.002), Status.PASS),
        ("train_protocol", with_fit(validation=None, validation_split=1e-4), Status.PARTIAL),
        ("train_protocol", with_fit(validation=replace(data("test"), rows=5)), Status.PARTIAL),
        ("train_protocol", with_fit(validation=replace(data("test"), rows=99)), Status.PARTIAL),
        ("train_protocol", with_fit(validation=replace(data("test"), rows=100)), Status.PASS),
        ("train_protocol", with_fit(validation=replace(data("test"), distinct=5)), Status.PARTIAL),
        ("train_protocol", with_fit(train=replace(data(), rows=1000), validation=replace(data("test"), rows=20)), Status.PASS),
        ("train_protocol", with_fit(train=replace(data(), rows=1000), validation=replace(data("test"), rows=5)), Status.PARTIAL),
        ("train_protocol", with_fit(train=replace(data(), rows=None), validation=replace(data("test"), rows=200)), Status.PASS),
        ("train_protocol", with_fit(validation=replace(data("test"), rows=None, seen=128)), Status.PASS),
        ("train_protocol", with_fit(validation=replace(data("test"), rows=None, seen=20)), Status.ERROR),
        ("data_normalized", with_fit(train=replace(data(), dtype="float64", minimum=None)), Status.FAIL),
        ("data_normalized", with_fit(train=replace(data(), dtype="float64", rows=0, recipe=None, minimum=None)), Status.FAIL),
        ("data_normalized", with_fit(train=replace(data(), dtype="uint4", recipe=None, minimum=None)), Status.ERROR),
        ("data_cifar10", with_fit(train=replace(data(), dataset="cifar100")), Status.FAIL),
        ("train_loss", evidence(loss="mean_squared_error"), Status.FAIL),
        ("train_loss", evidence(loss="categorical_crossentropy"), Status.FAIL),
        ("train_loss", evidence(loss="kl_divergence"), Status.FAIL),
        ("train_loss", evidence(from_logits=True), Status.PARTIAL),
        ("train_loss", evidence(compiled=False), Status.FAIL),
        ("train_loss", evidence(loss=None, custom_loss="mine"), Status.ERROR),
        ("train_loss", with_fit(own_steps=("train_step",)), Status.ERROR),
        ("train_loss", evidence(chain(*BODY, SCORES, AVERAGE, ("Dense", (10,), {"units": 10}))), Status.FAIL),
        ("train_loss", evidence(chain(*BODY, SCORES, AVERAGE, ("Dense", (10,), {"units": 10})), from_logits=True), Status.PASS),
        ("train_protocol", with_fit(validation=None), Status.PARTIAL),
        ("train_protocol", evidence(fit=False), Status.FAIL),
        ("curves_plotted", evidence(run=RunRecord(plots=(PlotClaim(cell=4, curves=((0, "loss"),), lines=1),))), Status.PARTIAL),
        ("curves_plotted", evidence(run=RunRecord()), Status.FAIL),
    ],
)
def test_data_training_and_curves(name, found, status):
    assert judge(name, found).status == status


def test_what_a_cell_that_failed_took_with_it_is_told_with_the_cell():
    wrong = CellError(type="KeyError", message="'val_acuracy'", line=2, statement=2)
    plots = (PlotClaim(cell=4, curves=((0, "accuracy"),), lines=1),)
    found = judge("curves_plotted", evidence(run=RunRecord(plots=plots, cells=(CellRun(index=4, status="error", error=wrong),))))
    assert "A line of cell 4 failed" in found.message
    assert "Fix cell 4" in found.hint
    cause = Cause(cell=2, sentence="The network was not compiled: cell 2 stopped with AttributeError (see above).")
    found = judge("train_protocol", replace(with_fit(error=wrong), causes={"compile": cause}))
    assert cause.sentence in found.message
    assert "Fix cell 2" in found.hint


@pytest.mark.parametrize("loss", ["kl_divergence", "categorical_crossentropy"])
def test_from_one_hot_labels_the_divergence_is_the_crossentropy(loss):
    found = with_fit(train=data(encoding="one_hot"))
    model = replace(found.models[0], compiled=replace(found.models[0].compiled, loss=loss))
    assert judge("train_loss", replace(found, roles={"base": Role(model=model, reason="")})).status is Status.PASS


DEFECT = (Note(cell=3, kind="grader", text="a defect in the grader while examining the data of a call: ZeroDivisionError: ours"),)


def noted(found):
    """The same evidence, in a run in which a defect of ours was noted."""
    return replace(found, run=replace(found.run, notes=DEFECT))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((name, with_fit(train=None)) for name in ("data_cifar10", "data_normalized", "data_consistent", "train_loss")),
        ("data_consistent", with_fit(validation=None)),
        ("train_protocol", with_fit(validation=None)),
        ("train_protocol", replace(evidence(), run=replace(evidence().run, histories=(), plots=()))),
        ("train_protocol", evidence(fit=False)),
        ("train_loss", evidence(compiled=False)),
        ("model_head", evidence(chain(*BODY, SCORES, AVERAGE, ("Dense", (10,), {"units": 10})), compiled=False)),
        ("curves_plotted", evidence(run=RunRecord(plots=(PlotClaim(cell=4, curves=((0, "loss"),), lines=1),)))),
        ("augmentation_placed", evidence(role="augmentation")),
    ],
)
def test_what_a_defect_of_ours_may_have_kept_back_is_for_a_person(name, found):
    finding = judge(name, noted(found))
    assert (finding.status, finding.fraction) == (Status.ERROR, None)
    assert "defect in the grader" in finding.message
    assert "ZeroDivisionError" in finding.actual
    assert judge(name, found).status is not Status.ERROR


@pytest.mark.parametrize("name", [name for name in checks.names() if not name.startswith("training_")])
def test_a_defect_of_ours_never_costs_points_where_nothing_was_seen(name):
    nothing = Evidence(notebook=Notebook(cells=()), run=RunRecord(notes=DEFECT, loads=("cifar10",)))
    assert judge(name, nothing).status in (Status.ERROR, Status.MANUAL)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("data_normalized", with_fit(train=data(scale=1.0))),
        ("data_consistent", with_fit(validation=data("test", scale=1 / 225))),
        ("train_loss", evidence(loss="mean_squared_error")),
        ("model_no_flatten", evidence(chain(*BODY, ("Flatten", (12288,), {}), DENSE))),
    ],
)
def test_what_was_seen_counts_whatever_else_a_defect_kept_back(name, found):
    assert judge(name, noted(found)).status is Status.FAIL


@pytest.mark.parametrize("name", [name for name in checks.names() if not name.startswith("training_")])
def test_a_defect_of_ours_takes_nothing_away_that_was_seen(name):
    parts = [("RandomFlip", (32, 32, 3), {}), *BODY, SCORES, AVERAGE, ("Dropout", (10,), {"rate": 0.2}), DENSE]
    found = evidence(chain(*parts))
    found = replace(found, roles=dict.fromkeys(("base", "dropout", "augmentation"), found.roles["base"]))
    assert judge(name, noted(found)) == judge(name, found)
    assert judge(name, found).status in (Status.PASS, Status.MANUAL)


@pytest.mark.parametrize(
    ("rate", "place", "placed", "rated"),
    [
        (0.2, -1, "pass", "pass"),
        (0.5, -1, "pass", "partial"),
        (0.8, -1, "pass", "fail"),
        (0.2, 2, "fail", "pass"),
        (0.0, -1, "pass", "fail"),
        (0.3, -1, "pass", "pass"),
    ],
)
def test_dropout(rate, place, placed, rated):
    parts = [*BODY, SCORES, AVERAGE, DENSE]
    where = len(parts) - 1 if place == -1 else place
    parts.insert(where, ("Dropout", parts[where - 1][1], {"rate": rate}))
    found = evidence(chain(*parts), role="dropout")
    assert (judge("dropout_placed", found).status, judge("dropout_rate", found).status) == (placed, rated)


@pytest.mark.parametrize(("place", "status"), [(0, "pass"), (2, "fail"), (None, "fail")])
def test_augmentation(place, status):
    parts = [*BODY, SCORES, AVERAGE, DENSE]
    if place is not None:
        parts.insert(place, ("RandomFlip", parts[place - 1][1] if place else (32, 32, 3), {"mode": "horizontal"}))
    assert judge("augmentation_placed", evidence(chain(*parts), role="augmentation")).status == status


@given(
    st.lists(
        st.sampled_from(
            [
                *BODY,
                SCORES,
                AVERAGE,
                DENSE,
                ("Flatten", (640,), {}),
                ("MaxPooling2D", (4, 4, 10), {}),
                ("Dropout", (10,), {"rate": math.nan}),
            ]
        ),
        max_size=8,
    ),
    st.integers(0, 10**9),
)
def test_every_answer_of_every_check_is_within_bounds(parts, parameters):
    found = evidence(chain(*parts, parameters=parameters))
    found = replace(found, roles=dict.fromkeys(("base", "dropout", "augmentation"), found.roles["base"]))
    for name in checks.names():
        finding = judge(name, found)
        assert finding.message
        if finding.fraction is not None:
            assert 0 <= finding.fraction <= 1
            assert {Status.PASS: finding.fraction == 1, Status.FAIL: finding.fraction == 0, Status.PARTIAL: 0 < finding.fraction < 1}[
                finding.status
            ]


def test_a_network_that_was_never_finished_is_judged_by_what_stands_also_where_no_cell_failed():
    found = evidence()
    role = found.roles["base"]
    model = replace(role.model, claim=replace(role.model.claim, unfinished="nothing was made of its layers"))
    found = replace(
        found, roles={**found.roles, "base": replace(role, model=model, reason="the only network that was started.")}, causes={}
    )
    finding = judge("model_no_pooling", found)
    assert finding.status is Status.PASS
    assert "only the layers that were built" in finding.message
    assert "the only network that was started" in finding.message


@pytest.mark.parametrize(
    ("plot", "images", "call", "status"),
    [
        (PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=2), 1, {}, Status.FAIL),  # another model's
        (PlotClaim(cell=4, curves=((7, "accuracy"), (0, "accuracy"), (0, "val_accuracy")), lines=3), 1, {}, Status.PASS),
        (PlotClaim(cell=4, curves=((7, "val_accuracy"), (0, "accuracy")), lines=2), 1, {}, Status.PARTIAL),
        (
            PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=2),
            None,
            {"error": CellError(type="E", message="")},
            Status.PASS,
        ),
        (
            PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=2),
            0,
            {"error": CellError(type="E", message="")},
            Status.FAIL,
        ),
        (PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=2), None, {"call": "custom_loop"}, Status.FAIL),
        (PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=4), None, {"call": "custom_loop"}, Status.ERROR),
    ],
)
def test_curves_count_for_the_training_of_the_model_that_is_judged(plot, images, call, status):
    found = with_fit(**call)
    model = replace(found.roles["base"].model, images=images)
    found = replace(found, roles={"base": Role(model=model, reason="")}, run=replace(found.run, plots=(plot,)))
    assert judge("curves_plotted", found).status is status


def test_an_own_loop_has_the_held_out_data_and_the_curves_of_its_own_model():
    found = with_fit(call="train_on_batch", validation=None)
    other = (EvaluateClaim(cell=4, call="evaluate", serial=7, data=data("test")),)
    curves = (PlotClaim(cell=4, curves=((7, "accuracy"), (7, "val_accuracy")), lines=2),)
    run = replace(found.run, evaluations=other, histories=(), plots=curves)
    assert judge("train_protocol", replace(found, run=run)).fraction == 0.4
    own = (replace(other[0], serial=0),)
    run = replace(run, evaluations=own, plots=(replace(curves[0], lines=3),))
    assert judge("train_protocol", replace(found, run=run)).status is Status.PASS
