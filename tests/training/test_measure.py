"""Verdicts from courses: how far a run goes, how many seeds are tried, which change is named as the cause."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from training_samples import Recorded, bands, specification, with_relu_scores

from grader.records import Training
from grader.training import transform as t
from grader.training.course import BUDGETS, SCHEDULE, SHORT, follow
from grader.training.measure import Setting, judge

SETTING = Setting(bands=bands(), budget=SHORT, dataset="cifar10:0")


def verdict(course, given=None, **changes):
    box = Recorded(course)
    return judge(box, "base", given or specification(), replace(SETTING, **changes)), box


def scores_activation(given):
    return next(t.activation(layer) for layer in t.layers(given.config) if layer["config"].get("name") == "scores")


def test_an_honest_model_ends_at_the_first_checkpoint_that_passes():
    found, box = verdict(lambda *_: "learns")
    assert (found.verdict, found.living, len(found.reruns), found.counterfactuals) == ("learns", 1, 1, ())
    assert found.images == box.images == 6400
    assert found.reason.startswith("Trained again, the network learns: 0.16 of the held-back images right after 6,400")


def test_a_late_one_gets_the_whole_budget_and_learns():
    found, box = verdict(lambda *_: "late")
    assert found.verdict == "learns"
    assert box.images == 16000


def test_accuracy_without_a_loss_below_guessing_is_luck_and_a_person_decides():
    found, _ = verdict(lambda *_: "lucky")
    assert (found.verdict, found.living, found.fraction) == ("doubtful", 0, None)
    assert found.reason.startswith(
        "Trained again, the network gets 0.30 of the held-back images right after 19,200 training images, but its loss stays"
    )
    assert found.review == "The accuracy, 0.300, is above the limit 0.150, but the loss is still at chance level: it may be luck."


def test_death_ends_within_a_quarter_of_the_budget_and_is_tried_on_every_seed():
    found, _ = verdict(lambda *_: "dies")
    assert found.verdict == "dead"
    assert [rerun.ending for rerun in found.reruns] == ["dead"] * SHORT.seeds
    assert all(rerun.images < SCHEDULE[-1] / 4 for rerun in found.reruns)
    assert found.fraction == 0.0
    assert "dies every time" in found.reason


def test_lives_on_some_seeds_and_dies_on_others_is_fragile_with_its_cure():
    given = with_relu_scores(specification())
    found, _ = verdict(lambda s, seed: "learns" if scores_activation(s) == "linear" or seed % 2 else "dies", given)
    assert (found.verdict, found.living, len(found.reruns)) == ("fragile", 2, 5)
    assert found.cause == "silent_score_maps"
    assert "With the ReLU on the 10-map convolution removed, the same model reaches an accuracy of" in found.diagnosis
    assert found.counterfactuals[-1].cures
    assert found.counterfactuals[-1].rerun.seed == 0, "the cure is tried on a seed that died"


def test_a_structure_that_is_known_to_die_is_tried_on_more_seeds_even_if_the_first_lives():
    found, _ = verdict(lambda *_: "learns", with_relu_scores(specification()))
    assert (found.verdict, len(found.reruns)) == ("learns", 3)
    found, _ = verdict(
        lambda s, seed: "dies" if seed == 2 and scores_activation(s) == "relu" else "learns", with_relu_scores(specification())
    )
    assert found.verdict == "fragile"


def test_a_seed_that_stays_at_guessing_is_no_death_where_another_learns():
    found, _ = verdict(lambda _, seed: "learns" if seed else "stuck")
    assert found.verdict == "learns"
    assert [rerun.ending for rerun in found.reruns] == ["stuck", "learns"]


def test_at_risk_a_seed_that_stays_at_guessing_counts_as_fragile_where_the_cure_of_the_risk_moves_it():
    given = with_relu_scores(specification())
    found, _ = verdict(lambda s, seed: "learns" if scores_activation(s) == "linear" or not seed else "stuck", given)
    assert (found.verdict, found.living, found.cause) == ("fragile", 1, "silent_score_maps")
    assert "learns on 1, and stays at chance level on 2." in found.reason
    found, _ = verdict(lambda _, seed: "stuck" if seed else "learns", given)
    assert (found.verdict, found.cause) == ("learns", ""), "where the cure changes nothing, it was only slow"
    suspect = t.with_rate(given, 0.02)  # the rate is suspected first, but it is not the known risk
    found, box = verdict(lambda s, seed: "learns" if scores_activation(s) == "linear" or not seed else "stuck", suspect)
    assert (found.verdict, found.cause, len(box.opened)) == ("fragile", "silent_score_maps", 4)


def test_between_the_limits_earns_a_share_and_a_person_looks():
    found, _ = verdict(lambda *_: "between")
    assert found.verdict == "doubtful"
    assert found.fraction == pytest.approx((0.13 - 0.12) / (0.15 - 0.12), abs=0.01)
    assert "contains the limit" in found.review


def test_at_guessing_without_a_proved_cause_is_slow_and_for_a_person_never_failed():
    found, box = verdict(lambda *_: "stuck")
    assert found.verdict == "slow"
    assert not found.cause
    assert "too slowly for a short check" in found.review
    assert found.diagnosis.startswith("No single change that was tried made it learn (")
    assert [seed for _, seed in box.opened[:3]] == [0, 1, 2], "two more seeds are tried"


def test_a_last_resort_that_helps_is_advice_and_no_reason_to_fail():
    found, _ = verdict(lambda s, _: "learns" if s.optimizer["config"]["learning_rate"] < 1e-3 else "stuck")
    assert (found.verdict, found.cause) == ("slow", "rate_too_high")
    assert "With a learning rate of 0.0003 instead of 0.001, the same model reaches" in found.diagnosis


def test_at_guessing_for_a_cause_that_is_proved_fails():
    given = t.edited(specification(), t.set_activation("sigmoid"), lambda layer: layer["config"].get("name") in ("a", "b"))
    found, box = verdict(lambda s, _: "learns" if t.activation(next(iter(list(t.layers(s.config))[1:]))) == "relu" else "stuck", given)
    assert (found.verdict, found.cause, len(found.reruns)) == ("stuck", "saturating", 2)
    assert not found.review
    assert len(box.opened) == 3


def test_a_usual_but_slow_optimizer_is_not_failed():
    given = t.with_optimizer(specification(), "SGD", learning_rate=0.01)
    found, _ = verdict(lambda s, _: "learns" if s.optimizer["class_name"] == "Adam" else "stuck", given)
    assert (found.verdict, found.cause) == ("slow", "optimizer")
    assert "too slowly for a short check" in found.review


def test_a_rate_that_cannot_arrive_in_all_the_epochs_is_stuck():
    given = t.with_rate(specification(), 1e-6)
    found, _ = verdict(lambda s, _: "learns" if s.optimizer["config"]["learning_rate"] == 1e-3 else "stuck", given)
    assert (found.verdict, found.cause) == ("stuck", "rate_too_low")
    assert not found.review


def test_a_change_that_keeps_it_alive_but_slow_is_the_cause_and_said_to_be_no_more():
    given = with_relu_scores(specification())
    found, box = verdict(lambda s, _: "dies" if scores_activation(s) == "relu" else "stuck", given)
    assert (found.verdict, found.cause) == ("dead", "silent_score_maps")
    assert [(each.lives, each.cures, each.rerun.seed) for each in found.counterfactuals] == [(True, False, 0), (True, False, 1)]
    assert "no longer dies from the same random start; yours was dead after 3,584 training images" in found.diagnosis
    assert len(box.opened) == SHORT.seeds + 2


def test_where_a_change_only_keeps_alive_it_is_tried_on_another_seed_that_died():
    given = with_relu_scores(specification())
    found, _ = verdict(lambda s, seed: "dies" if scores_activation(s) == "relu" else "learns" if seed else "stuck", given)
    assert [(each.lives, each.cures, each.rerun.seed) for each in found.counterfactuals] == [(True, False, 0), (False, True, 1)]
    assert (found.verdict, found.cause) == ("dead", "silent_score_maps")
    assert "the same model reaches an accuracy of" in found.diagnosis


def test_a_cure_has_to_be_clearly_better():
    found, _ = verdict(lambda *_: "between", with_relu_scores(specification()))
    assert not any(counterfactual.cures for counterfactual in found.counterfactuals)


def test_large_batches_see_the_same_images():
    box = Recorded(lambda *_: "stuck")
    found = follow(box, specification(batch_size=2048), lambda images: SETTING.bands.at("base", images), seed=0, precision="float32")
    assert abs(found.images - SCHEDULE[-1]) <= 2048
    assert [point.images for point in found.points] == sorted({point.images for point in found.points})


def test_a_deadline_in_the_middle_decides_nothing():
    from grader.training.box2 import OutOfTime

    class Late(Recorded):
        def advance(self, steps, **options):
            if self.images > 4000:
                raise OutOfTime
            return super().advance(steps, **options)

    found = judge(Late(lambda *_: "stuck"), "base", specification(), SETTING)
    assert found.verdict == "not_measured"
    assert found.reason.startswith("Out of time")


@pytest.mark.parametrize("course", ["dies", "stuck", "between"])
def test_the_check_of_one_model_is_bounded_in_time(course, monkeypatch):
    """Each image takes a second here. What is cut decides nothing, and says why: also after a seed that died, as others might live."""
    from grader.training.box2 import OutOfTime

    class Slow(Recorded):
        def advance(self, steps, *, deadline=None, **options):
            assert deadline is not None
            if self.images > deadline:
                raise OutOfTime
            return super().advance(steps, **options)

    box = Slow(lambda *_: course)
    monkeypatch.setattr("grader.training.measure.time", SimpleNamespace(monotonic=lambda: float(box.images)))
    found = judge(box, "base", specification(), replace(SETTING, budget=replace(SHORT, seconds=6000.0)))
    assert box.images < 6000 + 4000
    assert (found.verdict, found.fraction, found.review, found.counterfactuals) == ("not_measured", None, "", ())
    assert found.reason == "Out of time: the model trains so slowly that the training check had no verdict after 100 minutes."
    box = Slow(lambda *_: course)
    found = judge(box, "base", specification(), replace(SETTING, budget=replace(SHORT, seconds=6000.0)), deadline=5000.0)
    assert found.reason == "Out of time: the training check had no verdict before the deadline."


@pytest.mark.parametrize(("room", "tried"), [(100, ["cut"]), (-0.25, [])])
@pytest.mark.parametrize("cause", ["silent_score_maps", "saturating", "rate_too_high"])
def test_a_cure_for_which_time_was_up_is_said_to_have_been_cut(cause, room, tried, monkeypatch):
    from grader.training.box2 import OutOfTime

    class Slow(Recorded):
        def advance(self, steps, *, deadline=None, **options):
            if deadline is not None and self.images > deadline:
                raise OutOfTime
            return super().advance(steps, **options)

    given = {
        "silent_score_maps": with_relu_scores(specification()),
        "saturating": t.edited(specification(), t.set_activation("tanh"), lambda layer: layer["config"].get("name") in ("a", "b")),
        "rate_too_high": t.with_rate(specification(), 0.1),
    }[cause]
    whole, _ = verdict(lambda s, _: "dies" if s.as_request() == given.as_request() else "learns", given)
    (change,) = [found.change for found in whole.counterfactuals]
    assert (whole.cause, whole.counterfactuals[-1].cures) == (cause, True)
    box = Slow(lambda s, _: "dies" if s.as_request() == given.as_request() else "learns")
    monkeypatch.setattr("grader.training.measure.time", SimpleNamespace(monotonic=lambda: box.images + 0.5))
    spent = sum(rerun.images for rerun in whole.reruns)
    found = judge(box, "base", given, replace(SETTING, budget=replace(SHORT, seconds=float(spent + room))))
    assert (found.verdict, found.cause) == ("dead", "")
    assert [each.rerun.ending for each in found.counterfactuals] == tried
    assert found.diagnosis.startswith(f"Time was up before it was known whether it learns with {change}")
    assert "No single change" not in found.diagnosis


def test_the_time_of_a_check_does_not_bound_a_whole_training(monkeypatch):
    deadlines = []

    class Watched(Recorded):
        def advance(self, steps, *, deadline=None, **options):
            deadlines.append(deadline)
            return super().advance(steps, **options)

    box = Watched(lambda *_: "learns")
    monkeypatch.setattr("grader.training.measure.time", SimpleNamespace(monotonic=lambda: float(box.images)))
    found = judge(box, "base", specification(), replace(SETTING, budget=BUDGETS["full"]))
    assert found.verdict == "learns"
    assert len(found.whole) == specification().epochs
    assert deadlines[0] == BUDGETS["full"].seconds
    assert set(deadlines[-len(found.whole) :]) == {None}


def test_a_refusal_is_a_reason_not_a_verdict():
    from grader.training.box2 import TrainingRefused

    class Refuses(Recorded):
        def open(self, *_, **__):
            raise TrainingRefused("it has 10,000,000,000 parameters; at most 500,000,000 are rebuilt")

    found = judge(Refuses(lambda *_: "stuck"), "base", specification(), SETTING)
    assert isinstance(found, Training)
    assert found.verdict == "not_measured"
    assert found.reason == "The model was not trained again: it has 10,000,000,000 parameters; at most 500,000,000 are rebuilt."


# ------------------------------------------------------------------ fit as it was called


def as_asked(specification_, _seed):
    """Learns where fit was called on all images, without weights."""
    odd = specification_.images < 19_200 or specification_.class_weights or specification_.rates
    return "stuck" if odd else "learns"


def test_training_on_few_images_is_measured_there_and_is_for_a_person():
    box = Recorded(as_asked)
    found = judge(box, "base", specification(images=256, epochs=2), SETTING)
    assert {rerun.images for rerun in found.reruns} == {256}
    assert [point.images for point in found.reruns[0].points] == [256]
    assert (found.verdict, found.cause, found.fraction) == ("slow", "few_images", 0.0)
    assert found.because == "what fit was asked for: 256 images in all"
    assert found.review == "The notebook trains on too few images to tell how far the network gets."
    assert found.counterfactuals[-1].rerun.images > 3000


def test_few_images_that_are_enough_are_enough():
    found = judge(Recorded(lambda *_: "learns"), "base", specification(images=5500), SETTING)
    assert (found.verdict, found.cause) == ("learns", "")
    assert found.reruns[0].images == 43 * 128


def test_weights_that_keep_a_network_from_learning_fail_it():
    found = judge(Recorded(as_asked), "base", specification(class_weights=(0.0,) * 10), SETTING)
    assert (found.verdict, found.cause) == ("stuck", "fit_call")
    assert found.because == "what fit was asked for: class weights from 0 to 0"
    both = specification(class_weights=(0.0,) * 10, images=128, rates=(0.0, 0.001))
    found = judge(Recorded(as_asked), "base", both, SETTING)
    assert (found.verdict, found.cause, len(found.counterfactuals)) == ("stuck", "fit_call", 1)
    assert "at a learning rate of 0.001" in found.counterfactuals[0].change
