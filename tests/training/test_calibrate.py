"""The calibration's loops on courses played back: what is made, what a second start makes, and what the tables say of it."""

from types import SimpleNamespace

import pytest
from training_samples import Recorded, bands, specification, with_relu_scores

from grader.errors import UsageError
from grader.training import results, runs
from grader.training.box2 import TrainingRefused

SETTING = runs.Setting(dataset="cifar10:abc", backend="tensorflow", precision="mixed_bfloat16", hardware="1x test")
BASES = {"base": specification()}


def variant(name, kind, make=lambda given: given, **more):
    return SimpleNamespace(**{"name": name, "kind": kind, "role": "base", "make": make, "seeds": 3, "visible": True, "cause": "", **more})


HONEST, FRAGILE = variant("plain", "honest"), variant("rectified", "fragile", with_relu_scores, cause="silent_score_maps")


def trainer(course):
    box = Recorded(course)
    box.about = {"keras": "3.0"}
    return box


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
    box = trainer(lambda given, seed: "dies" if rectified(given) else "learns")
    runs.make(box, BASES, queue, file, SETTING)
    rows = runs.rows(file)
    assert {(row["variant"], row["seed"], row["hardware"], row["keras"]) for row in rows} == {
        ("plain", "0", "1x test", "3.0"),
        ("rectified", "1", "1x test", "3.0"),
        ("rectified", "2", "1x test", "3.0"),
    }
    died = {seed: [row["dead"] for row in rows if row["variant"] == "rectified" and row["seed"] == seed] for seed in "12"}
    assert died["1"].count("yes") == 1 + runs.AFTER_PROOF
    assert died["2"].count("yes") > 1 + runs.AFTER_PROOF, "every second fragile run goes on"
    again = trainer(lambda *_: "learns")
    runs.make(again, BASES, queue, file, SETTING)
    assert again.opened == []
    assert runs.rows(file) == rows
    elsewhere = runs.Setting(dataset="cifar10:abc", backend="jax", precision="float32", hardware="1x test")
    runs.make(again, BASES, queue[:1], file, elsewhere)
    assert again.opened == [("learns", 0)]


def test_a_run_that_another_process_makes_is_left_to_it(tmp_path):
    file = tmp_path / "runs.csv"
    assert runs._claim(file, runs.COLUMNS, runs._common(HONEST, 0, SETTING))
    box = trainer(lambda *_: "learns")
    runs.make(box, BASES, [(HONEST, 0), (HONEST, 1)], file, SETTING)
    assert box.opened == [("learns", 1)]


def test_what_cannot_be_trained_is_told_and_the_others_are_made(tmp_path):
    class Refuses(Recorded):
        about = {}

        def open(self, given, *, seed, **more):
            if seed == 0:
                raise TrainingRefused("it is too large")
            super().open(given, seed=seed, **more)

    told = []
    runs.make(Refuses(lambda *_: "learns"), BASES, [(HONEST, 0), (HONEST, 1)], tmp_path / "runs.csv", SETTING, tell=told.append)
    assert told[0] == "plain seed 0: it is too large"
    assert {row["seed"] for row in runs.rows(tmp_path / "runs.csv")} == {"1"}


def test_recorded_runs_that_did_not_learn_are_diagnosed_once(tmp_path):
    file, target, queue = tmp_path / "runs.csv", tmp_path / "diagnoses.csv", [(HONEST, 0), (FRAGILE, 1)]
    box = trainer(lambda given, seed: "dies" if rectified(given) else "learns")
    runs.make(box, BASES, queue, file, SETTING)
    runs.diagnose_all(box, BASES, queue, file, target, SETTING, bands())
    (row,) = runs.rows(target, runs.DIAGNOSES)
    assert (row["variant"], row["ending"], row["cause"], row["named"], row["tried"]) == (
        "rectified",
        "dead",
        "silent_score_maps",
        "silent_score_maps",
        "1",
    )
    again = trainer(lambda *_: "learns")
    runs.diagnose_all(again, BASES, queue, file, target, SETTING, bands())
    assert again.opened == []


def test_variants_are_judged_whole_once_in_every_setting_and_compared(tmp_path):
    target, queue = tmp_path / "verdicts.csv", [(HONEST, 0), (FRAGILE, 0)]
    other = runs.Setting(dataset="cifar10:abc", backend="jax", precision="float32", hardware="1x test")
    runs.judge_all(
        trainer(lambda given, seed: "dies" if rectified(given) and seed % 2 else "learns"), BASES, queue, target, SETTING, bands()
    )
    runs.judge_all(trainer(lambda given, seed: "dies" if rectified(given) else "learns"), BASES, queue, target, other, bands())
    rows = runs.rows(target, runs.VERDICTS)
    assert [(row["variant"], row["backend"], row["verdict"], row["endings"], row["named"]) for row in rows] == [
        ("plain", "tensorflow", "learns", "learns", ""),
        ("rectified", "tensorflow", "fragile", "learns;dead;learns;dead;learns", "silent_score_maps"),
        ("plain", "jax", "learns", "learns", ""),
        ("rectified", "jax", "dead", ";".join(["dead"] * 5), "silent_score_maps"),
    ]
    again = trainer(lambda *_: "learns")
    runs.judge_all(again, BASES, queue, target, SETTING, bands())
    assert again.opened == []
    text = "\n".join(results.whole_verdicts(rows))
    assert (
        "| rectified | fragile (learns, dead, learns, dead, learns): silent_score_maps | dead (dead, dead, dead, dead, dead): silent_score_maps |"
        in text
    )
    assert "* jax float32: the same verdict 1 of 2 (50.0%" in text
    assert "the same cause named 2 of 2" in text
    assert "tensorflow mixed_bfloat16: the same" not in text
    assert "| not judged |" in "\n".join(results.whole_verdicts(rows[:3]))


def test_a_files_other_columns_are_refused(tmp_path):
    (tmp_path / "verdicts.csv").write_text("variant,seed\n", encoding="utf-8")
    with pytest.raises(UsageError, match="expected the columns variant, kind, seed"):
        runs.judge_all(trainer(lambda *_: "learns"), BASES, [(HONEST, 0)], tmp_path / "verdicts.csv", SETTING, bands())


def test_a_verdict_that_was_not_reached_is_told_and_tried_again(tmp_path):
    class Refuses(Recorded):
        def open(self, given, **_):
            raise TrainingRefused("it is too large")

    target, told = tmp_path / "verdicts.csv", []
    runs.judge_all(Refuses(lambda *_: "learns"), BASES, [(HONEST, 0)], target, SETTING, bands(), tell=told.append)
    assert told == ["plain: The model was not trained again: it is too large."]
    for lock in runs._LOCKS:
        lock.close()
    runs._LOCKS.clear()
    runs.judge_all(trainer(lambda *_: "learns"), BASES, [(HONEST, 0)], target, SETTING, bands())
    assert [row["verdict"] for row in runs.rows(target, runs.VERDICTS)] == ["learns"]
