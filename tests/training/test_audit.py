"""Stored curves beside re-runs: borne out, contradicted, not shown."""

from dataclasses import replace

import pytest
from training_samples import Recorded, bands, specification, with_relu_scores

from grader.checks import training_accuracy, training_learns
from grader.evidence import flags
from grader.records import Evidence, FitClaim, Model, ModelClaim, Notebook, RecordedCurve, Role, RunRecord, Status
from grader.training.audit import audit
from grader.training.course import SHORT
from grader.training.measure import Setting, judge

SETTING = Setting(bands=bands(), budget=SHORT)
LEARNS = judge(Recorded(lambda *_: "learns"), "base", specification(), SETTING)
DEAD = judge(Recorded(lambda *_: "dies"), "base", specification(), SETTING)
FRAGILE = judge(Recorded(lambda _, seed: "dies" if seed else "learns"), "base", with_relu_scores(specification()), SETTING)
GOOD = (0.38, 0.5, 0.6, 0.7, 0.79)


def evidence(values=None, training=LEARNS, key="val_accuracy"):
    model = Model(
        claim=ModelClaim(serial=0, version=0, cell=2, kind="Sequential"),
        fits=(FitClaim(index=0, cell=5, call="fit", serial=0, version=0),),
    )
    curves = () if values is None else (RecordedCurve(cell=5, epochs=len(values), values={key: values}),)
    found = Evidence(
        notebook=Notebook(cells=()),
        run=RunRecord(),
        models=(model,),
        roles={"base": Role(model=model, reason="the only one")},
        recorded=curves,
        training={} if training is None else {"base": training},
    )
    return replace(found, audits={"base": audit(found, "base", training)})


def judged(found):
    return training_accuracy.check(found, training_accuracy.PARAMS)


@pytest.mark.parametrize(
    ("values", "training", "outcome"),
    [
        (GOOD, LEARNS, "agrees"),
        (tuple(100 * value for value in GOOD), LEARNS, "agrees"),  # percent
        (GOOD, FRAGILE, "agrees"),
        (GOOD, DEAD, "contradicted"),
        ((0.1, 0.1, 0.1), DEAD, "agrees"),
        ((0.1, 0.1, 0.1), LEARNS, "contradicted"),
        ((0.85, 0.9, 0.93), LEARNS, "contradicted"),  # no first epoch
        ((float("nan"), float("nan")), LEARNS, "not_shown"),
        (None, LEARNS, "not_shown"),
        ((170.0, 500.0), LEARNS, "contradicted"),
        (GOOD, None, "undecided"),
    ],
)
def test_outcomes(values, training, outcome):
    assert evidence(values, training).audits["base"].outcome == outcome


def test_words():
    assert evidence(GOOD, DEAD).audits["base"].sentence == (
        "The notebook records 0.79 after 5 epochs; the same model trained again stays at 0.10 over 5 seeds."
    )


def test_a_fragile_model_whose_own_training_died_is_told_so():
    found = evidence((0.1, 0.1, 0.1), FRAGILE)
    finding = training_learns.check(found, training_learns.PARAMS)
    assert (finding.status, finding.fraction) == (Status.PARTIAL, 0.7)  # what a notebook records moves no points
    assert (
        "The notebook records 0.10 after 3 epochs, which is chance level: the recorded training was dead, as 4 of 5 re-runs of the same model are."
    ) in finding.message
    lived = training_learns.check(evidence((0.3, 0.5, 0.6), FRAGILE), training_learns.PARAMS)
    assert lived.fraction == 0.7
    assert "depends on the random start" in lived.message


def test_a_re_run_that_stayed_at_guessing_is_not_called_dead():
    """The dropout model of the published solution: learns on one seed, stays at guessing on two, cured without the ReLU."""
    courses = Recorded(
        lambda s, seed: "learns" if seed == 0 or s.config["config"]["layers"][3]["config"]["activation"] == "linear" else "stuck"
    )
    training = judge(courses, "base", with_relu_scores(specification()), SETTING)
    assert (training.verdict, [rerun.ending for rerun in training.reruns]) == ("fragile", ["learns", "stuck", "stuck"])
    assert evidence((0.1, 0.1, 0.1), training).audits["base"].sentence == (
        "The notebook records 0.10 after 3 epochs, which is chance level: the recorded training never left it, "
        "as 2 of 3 re-runs of the same model did not."
    )


def test_points_for_accuracy_need_a_curve_that_is_borne_out():
    assert judged(evidence(GOOD)).status is Status.PASS
    half = judged(evidence((0.3, 0.5, 0.675)))
    assert (half.status, half.fraction) == (Status.PARTIAL, pytest.approx(0.5))
    assert judged(evidence((0.3, 0.4))).status is Status.FAIL
    against = judged(evidence(GOOD, DEAD))
    assert (against.status, against.fraction) == (Status.FAIL, 0.0)
    for nothing in (evidence(None), evidence(GOOD, None)):
        assert (judged(nothing).status, judged(nothing).fraction) == (Status.SKIP, None)


def test_more_epochs_are_no_advice_where_the_cause_is_known():
    cured = judge(
        Recorded(lambda s, _: "learns" if s.config["config"]["layers"][3]["config"]["activation"] == "linear" else "dies"),
        "base",
        with_relu_scores(specification()),
        SETTING,
    )
    found = judged(evidence((0.1, 0.1, 0.1), cured))
    assert (found.status, found.hint) == (Status.FAIL, "Give the convolution to 10 maps no activation (activation=None).")
    assert judged(evidence((0.3, 0.4))).hint.startswith("Train for more epochs")


def test_a_contradicted_curve_is_flagged_for_staff():
    assert [flag.id for flag in flags(evidence(GOOD, DEAD)) if flag.id == "curve_contradicted"] == ["curve_contradicted"]
    assert not [flag for flag in flags(evidence(GOOD)) if flag.id == "curve_contradicted"]


def test_a_measured_run_over_all_epochs_counts_whatever_is_recorded():
    point = replace(LEARNS.reruns[0].points[-1], accuracy=0.78, images=1_500_000)
    found = judged(evidence((0.1, 0.1), replace(LEARNS, budget="full", whole=(point,))))
    assert found.status is Status.PASS
    assert "reaches 0.780" in found.message
    assert (found.hint, found.expected) == ("", "a validation accuracy of 0.75 (up to 0.6: no points)")
    low = judged(evidence(None, replace(LEARNS, budget="full", whole=(replace(point, accuracy=0.405, images=50_048),))))
    assert (low.status, low.message) == (Status.FAIL, "Trained again for 1 epoch, the network reaches 0.405 (50,048 images).")
    assert low.hint.startswith("Train for more epochs")


def test_learning_in_points():
    def points(training, values=None):
        finding = training_learns.check(evidence(values, training), training_learns.PARAMS)
        return finding.status, finding.fraction

    assert points(LEARNS) == (Status.PASS, 1.0)
    assert points(DEAD) == (Status.FAIL, 0.0)
    lucky = judge(Recorded(lambda *_: "lucky"), "base", specification(), SETTING)
    assert points(lucky) == (Status.SKIP, None), "over the limit while the loss is that of guessing: a person decides"
    assert points(FRAGILE) == (Status.PARTIAL, 0.7)
    assert points(FRAGILE, GOOD) == (Status.PASS, 1.0), "it lived when the student trained it, and the curve is borne out"
    assert points(FRAGILE, (0.1, 0.1)) == (Status.PARTIAL, 0.7)
    assert points(replace(LEARNS, verdict="not_measured")) == (Status.SKIP, None)
    assert points(None) == (Status.SKIP, None)


def test_the_cause_and_the_cure_are_the_hint():
    cured = judge(
        Recorded(lambda s, _: "learns" if s.config["config"]["layers"][3]["config"]["activation"] == "linear" else "dies"),
        "base",
        with_relu_scores(specification()),
        SETTING,
    )
    hint = training_learns.check(evidence(None, cured), training_learns.PARAMS).hint
    assert "The cause is the ReLU on the convolution to 10 maps" in hint
    assert "With the ReLU on the 10-map convolution removed, the same model reaches" in hint
    assert hint.endswith("Give the convolution to 10 maps no activation (activation=None).")


@pytest.mark.parametrize(("refuted", "outcome", "status"), [(True, "contradicted", Status.FAIL), (False, "undecided", Status.SKIP)])
def test_a_doubted_curve_earns_nothing(refuted, outcome, status):
    found = evidence(GOOD)
    curve = replace(found.recorded[0], doubt="its output holds 30 epochs of training, and its code asks for 1", refuted=refuted)
    found = replace(found, recorded=(curve,))
    found = replace(found, audits={"base": audit(found, "base", LEARNS)})
    assert found.audits["base"].outcome == outcome
    assert judged(found).status is status
    assert "asks for 1" in judged(found).message
    assert judged(evidence(GOOD)).basis == "recorded"


def test_output_beside_code_that_trains_nothing_is_no_record():
    found = evidence(GOOD)
    found = replace(found, recorded=(replace(found.recorded[0], cell=7),))
    assert audit(found, "base", LEARNS).outcome == "not_shown"
    assert "cell 7 holds some, but its code trains nothing" in audit(found, "base", LEARNS).sentence


def several(*epochs, curves, own=0):
    """Calls of fit in one cell, of which number `own` trains the model, and stored curves of so many epochs."""
    fits = tuple(FitClaim(index=n, cell=5, call="fit", serial=n != own, version=0, epochs=count) for n, count in enumerate(epochs))
    found = evidence(GOOD)
    model = replace(found.models[0], fits=(fits[own],))
    stored = tuple(
        RecordedCurve(cell=5, epochs=count, values={"val_accuracy": (0.5,) * (count - 1) + (0.7 + n / 100,)})
        for n, count in enumerate(curves)
    )
    return replace(found, run=RunRecord(fits=fits), recorded=stored, roles={"base": Role(model=model, reason="")})


def test_a_cell_that_trains_several_models_has_a_curve_for_each():
    first, second = (audit(several(3, 9, curves=(3, 9), own=own), "base", LEARNS) for own in (0, 1))
    assert [(each.epochs, each.final, each.outcome) for each in (first, second)] == [(3, 0.7, "agrees"), (9, 0.71, "agrees")]


def test_another_models_epochs_are_not_the_models_own():
    """A decoy is trained for 29 epochs beside it."""
    assert audit(several(1, 29, curves=(30,)), "base", LEARNS).outcome == "undecided"
    assert audit(several(1, 29, curves=(29, 1)), "base", LEARNS).outcome == "contradicted"
    assert audit(several(1, curves=(30,)), "base", LEARNS).outcome == "contradicted"
    assert audit(several(2, 2, 2, curves=(2, 2, 2), own=2), "base", LEARNS).outcome == "agrees"
