"""The calibration's loops on courses played back: what is made, what a second start makes, and what the tables say of it."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest
from harness import store
from training_samples import Recorded, bands, specification, with_relu_scores

from grader.calibrate import calibrate
from grader.errors import UsageError
from grader.training import results, runs
from grader.training.box2 import TrainingRefused
from grader.training.course import checkpoints
from grader.training.resumed import Resumed

SETTING = runs.Setting(dataset="cifar10:abc", backend="tensorflow", precision="mixed_bfloat16", hardware="1x test", keras="3.0")
BASES = {"base": specification()}


def variant(name, kind, make=lambda given: given, **more):
    return SimpleNamespace(**{"name": name, "kind": kind, "role": "base", "make": make, "seeds": 3, "visible": True, "cause": "", **more})


HONEST, FRAGILE = variant("plain", "honest"), variant("rectified", "fragile", with_relu_scores, cause="silent_score_maps")


def calibration(box, queue, setting=SETTING, **more):
    return runs.Calibration(box=box, bases=BASES, queue=queue, setting=setting, **more)


def judge_all(box, target, queue, setting=SETTING, **more):
    calibration(Resumed(box, target.parent / "kept", asdict(setting)), queue, setting, **more).judge(target, bands())


def rectified(given):
    return any(
        layer["config"].get("name") == "scores" and layer["config"].get("activation") == "relu"
        for layer in given.config["config"]["layers"]
    )


@pytest.fixture(autouse=True)
def unlocked():
    """A process keeps the locks of its runs; another test is another process."""
    yield
    for lock in runs._LOCKS:
        lock.close()
    runs._LOCKS.clear()


def test_runs_are_made_once_and_a_death_is_followed_beyond_its_proof(tmp_path):
    file, queue = tmp_path / "runs.csv", [(HONEST, 0), (FRAGILE, 1), (FRAGILE, 2)]
    box = Recorded(lambda given, seed: "dies" if rectified(given) else "learns")
    calibration(box, queue).make(file)
    rows = runs.rows(file)
    assert {(row["variant"], row["seed"], row["hardware"], row["keras"]) for row in rows} == {
        ("plain", "0", "1x test", "3.0"),
        ("rectified", "1", "1x test", "3.0"),
        ("rectified", "2", "1x test", "3.0"),
    }
    died = {seed: [row["dead"] for row in rows if row["variant"] == "rectified" and row["seed"] == seed] for seed in "12"}
    assert died["1"].count("yes") == 1 + runs.AFTER_PROOF
    assert died["2"].count("yes") > 1 + runs.AFTER_PROOF, "every second fragile run goes on"
    again = Recorded(lambda *_: "learns")
    calibration(again, queue).make(file)
    assert again.opened == []
    assert runs.rows(file) == rows
    elsewhere = runs.Setting(dataset="cifar10:abc", backend="jax", precision="float32", hardware="1x test")
    calibration(again, queue[:1], elsewhere).make(file)
    assert again.opened == [("learns", 0)]


def test_a_run_that_another_process_makes_is_left_to_it(tmp_path):
    file = tmp_path / "runs.csv"
    assert runs._claim(file, runs.COLUMNS, runs._common(HONEST, 0, SETTING))
    box = Recorded(lambda *_: "learns")
    calibration(box, [(HONEST, 0), (HONEST, 1)]).make(file)
    assert box.opened == [("learns", 1)]


def test_what_cannot_be_trained_is_told_and_the_others_are_made(tmp_path):
    class Refuses(Recorded):
        def open(self, given, *, seed, **more):
            if seed == 0:
                raise TrainingRefused("it is too large")
            super().open(given, seed=seed, **more)

    told = []
    calibration(Refuses(lambda *_: "learns"), [(HONEST, 0), (HONEST, 1)], tell=told.append).make(tmp_path / "runs.csv")
    assert told[0] == "plain seed 0: it is too large"
    assert {row["seed"] for row in runs.rows(tmp_path / "runs.csv")} == {"1"}


def test_recorded_runs_that_did_not_learn_are_diagnosed_once(tmp_path):
    file, target, queue = tmp_path / "runs.csv", tmp_path / "diagnoses.csv", [(HONEST, 0), (FRAGILE, 1)]
    box = Recorded(lambda given, seed: "dies" if rectified(given) else "learns")
    calibration(box, queue).make(file)
    calibration(box, queue).diagnose(file, target, bands())
    (row,) = runs.rows(target, runs.DIAGNOSES)
    assert (row["variant"], row["ending"], row["cause"], row["named"], row["tried"]) == (
        "rectified",
        "dead",
        "silent_score_maps",
        "silent_score_maps",
        "1",
    )
    again = Recorded(lambda *_: "learns")
    calibration(again, queue).diagnose(file, target, bands())
    assert again.opened == []


def test_variants_are_judged_whole_once_in_every_setting_and_compared(tmp_path):
    target, queue = tmp_path / "verdicts.csv", [(HONEST, 0), (FRAGILE, 0)]
    other = runs.Setting(dataset="cifar10:abc", backend="jax", precision="float32", hardware="1x test")
    judge_all(Recorded(lambda given, seed: "dies" if rectified(given) and seed % 2 else "learns"), target, queue)
    judge_all(Recorded(lambda given, seed: "dies" if rectified(given) else "learns"), target, queue, other)
    rows = runs.rows(target, runs.VERDICTS)
    assert [(row["variant"], row["backend"], row["verdict"], row["endings"], row["named"]) for row in rows] == [
        ("plain", "tensorflow", "learns", "learns", ""),
        ("rectified", "tensorflow", "fragile", "learns;dead;learns;dead;learns", "silent_score_maps"),
        ("plain", "jax", "learns", "learns", ""),
        ("rectified", "jax", "dead", ";".join(["dead"] * 5), "silent_score_maps"),
    ]
    again = Recorded(lambda *_: "learns")
    judge_all(again, target, queue)
    assert again.opened == []
    text = "\n".join(results.whole_verdicts(rows))
    assert (
        "| rectified | fragile (learns, dead, learns, dead, learns): silent_score_maps | dead (dead, dead, dead, dead, dead): silent_score_maps |"
        in text
    )
    assert "* jax float32: the same verdict 1 of 2 (50.0%" in text
    assert "the same cause named 2 of 2" in text
    assert "the first run ends the same 1 of 2" in text
    assert "tensorflow mixed_bfloat16: the same" not in text
    assert "| not judged |" in "\n".join(results.whole_verdicts(rows[:3]))


def test_runs_for_the_thresholds_are_made_in_one_setting():
    with pytest.raises(UsageError, match="--backend jax --precision float32: .*runs.csv holds .* Add --verdicts"):
        calibrate(
            "all_cnn_c",
            only=(),
            seeds=(0, 1),
            device="cpu",
            backend="jax",
            precision="float32",
            standin=False,
            path=None,
            making="runs",
            tell=print,
        )


def test_a_files_other_columns_are_refused(tmp_path):
    (tmp_path / "verdicts.csv").write_text("variant,seed\n", encoding="utf-8")
    with pytest.raises(UsageError, match="expected the columns variant, kind, seed"):
        judge_all(Recorded(lambda *_: "learns"), tmp_path / "verdicts.csv", [(HONEST, 0)])


def test_a_verdict_that_was_not_reached_is_told_and_tried_again(tmp_path):
    class Refuses(Recorded):
        def open(self, given, **_):
            raise TrainingRefused("it is too large")

    target, told = tmp_path / "verdicts.csv", []
    judge_all(Refuses(lambda *_: "learns"), target, [(HONEST, 0)], tell=told.append)
    assert told == ["plain: The model was not trained again: it is too large."]
    for lock in runs._LOCKS:
        lock.close()
    runs._LOCKS.clear()
    judge_all(Recorded(lambda *_: "learns"), target, [(HONEST, 0)])
    assert [row["verdict"] for row in runs.rows(target, runs.VERDICTS)] == ["learns"]


# ------------------------------------------------------------------ training that is never done twice


def course_of(trainer, seed=0):
    return list(checkpoints(trainer, specification(), seed=seed, precision="float32"))


def test_a_run_that_was_made_is_played_back(tmp_path):
    box = Recorded(lambda *_: "stuck")
    first = Resumed(box, tmp_path, {"backend": "jax"})
    made = course_of(first)
    again = Recorded(lambda *_: "learns")
    second = Resumed(again, tmp_path, {"backend": "jax"})
    assert course_of(second) == made
    assert again.opened == []
    assert second.seconds == first.seconds == pytest.approx(sum(point.seconds for point in made))
    course_of(second, seed=1)
    course_of(Resumed(again, tmp_path, {"backend": "tensorflow"}))
    assert again.opened == [("learns", 1), ("learns", 0)], "another seed or setting is another run"


def test_a_run_that_was_broken_off_goes_on(tmp_path):
    class Killed(Recorded):
        left = 5

        def advance(self, steps, **more):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().advance(steps, **more)

    whole = course_of(Recorded(lambda *_: "stuck"))
    with pytest.raises(KeyboardInterrupt):
        course_of(Resumed(Killed(lambda *_: "stuck"), tmp_path, {}))
    (file,) = tmp_path.iterdir()
    kept = file.read_text()
    assert kept.count("\n") == 5
    for damage in ("", kept.splitlines()[0] + "\n", '{"at": 5, "asked": [8, 0, fal'):
        file.write_text(kept + damage)
        box = Recorded(lambda *_: "stuck")
        assert course_of(Resumed(box, tmp_path, {})) == whole
        assert box.opened == [("stuck", 0)]
        assert box.images == whole[-1].images, "its earlier pieces are trained again, since no weights are kept"
        healed = Recorded(lambda *_: "stuck")
        course_of(Resumed(healed, tmp_path, {}))
        course_of(last := Resumed(Recorded(lambda *_: "learns"), tmp_path, {}))
        assert course_of(last) == whole


def test_what_is_asked_otherwise_is_trained(tmp_path):
    made = Resumed(Recorded(lambda *_: "stuck"), tmp_path, {})
    made.open(specification(), seed=0, precision="float32", most_steps=150)
    made.advance(8)
    made.advance(8)
    box = Recorded(lambda *_: "stuck")
    other = Resumed(box, tmp_path, {})
    other.open(specification(), seed=0, precision="float32", most_steps=150)
    assert other.advance(8).step == 8
    assert box.opened == []
    assert other.advance(4, evaluate=1000).held is not None
    assert (box.opened, other.advance(4).step) == ([("stuck", 0)], 16)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_judges_a_variant_and_plays_back_what_it_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADER_DATA", str(store()))
    told = []

    def verdicts():
        calibrate(
            "all_cnn_c",
            only=("batch_normalisation",),
            seeds=(0, 1),
            device="cpu",
            backend="tensorflow",
            precision="auto",
            standin=True,
            path=tmp_path / "runs.csv",
            making="verdicts",
            tell=told.append,
        )
        (row,) = runs.rows(tmp_path / "verdicts.csv", runs.VERDICTS)
        for lock in runs._LOCKS:
            lock.close()
        runs._LOCKS.clear()
        return row

    made = verdicts()
    assert (made["variant"], made["verdict"], made["endings"]) == ("batch_normalisation", "learns", "learns")
    (kept,) = (tmp_path / ".calibrating" / "runs").iterdir()
    trained = kept.read_bytes()
    assert verdicts() == made
    assert len(told) == 1, "a verdict that is in the file is not reached again"
    (tmp_path / "verdicts.csv").unlink()
    assert verdicts() == made, "the seconds, too, are those of the training"
    assert kept.read_bytes() == trained
