"""The whole flow with the short training check, on the made-up images: real boxes, real training, the committed thresholds."""

import json

import pytest
from harness import ROOT, store

from grader import dataset, pipeline

REFERENCE = ROOT / "reference" / "all_cnn_c" / "solution.ipynb"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def graded(path, out, **options):
    dataset.ensure_standin(store())
    settings = pipeline.Options(out=out, budget="short", store=store(), formats=("json", "html", "md"), cache=out / "cache", **options)
    return pipeline.grade(str(path), settings)


def lines(report):
    return {line.id: line for line in report.criteria}


def test_the_reference_gets_every_automatic_point_and_the_second_time_from_the_cache(tmp_path):
    outcome = graded(REFERENCE, tmp_path)
    report = outcome.report
    assert (report.status.value, outcome.exit_code) == ("graded", 0), report.reason
    undecided = {line.id for line in report.criteria if line.earned is None}
    assert undecided == {"train.accuracy", "curves.answers", "dropout.answers", "augmentation.answers"}, "its outputs are cleared"
    assert report.auto_score == report.auto_max
    assert {training.role: training.verdict for training in report.training} == dict.fromkeys(("base", "dropout", "augmentation"), "learns")
    for training in report.training:
        assert training.images <= 20_000
        assert training.interval[0] <= training.accuracy <= training.interval[1]
        assert training.dataset.startswith("standin:")
        assert not training.cached
    assert report.notices[0].startswith("Made-up stand-in images were used")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Trained again, the network learns" in page

    again = graded(REFERENCE, tmp_path).report
    assert all(training.cached for training in again.training)
    assert [line.earned for line in again.criteria] == [line.earned for line in report.criteria]
    assert again.timings["train"] < report.timings["train"] / 4


def test_a_model_that_is_dead_on_every_start_is_told_why_and_shown_the_proof(tmp_path):
    """Weights that start at zero: dead on each of five seeds, and alive from the same seed with Keras' own initial values."""
    notebook = json.loads(REFERENCE.read_text(encoding="utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if "Dropout" not in "".join(cell["source"])][:7]
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        cell["source"] = source.replace('padding="same", activation=', 'padding="same", kernel_initializer="zeros", activation=')
    path = tmp_path / "submission.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    report = graded(path, tmp_path / "out").report
    found = lines(report)
    structure = [line for line in report.criteria if line.id.startswith(("model.", "data."))]
    assert all(line.earned == line.points for line in structure), "the structure is right"
    training = next(training for training in report.training if training.role == "base")
    assert (training.verdict, training.cause) == ("dead", "initialisation"), training.reason
    assert [run.ending for run in training.runs] == ["dead"] * 5
    assert all(run.images < 19_200 / 4 for run in training.runs)
    assert "are zero for every image" in training.runs[0].proof
    cure = training.counterfactuals[-1]
    assert cure.cures
    assert cure.rerun.seed == 0
    assert cure.rerun.accuracy > 0.14
    assert "With Keras' own initial values (glorot_uniform), the same model reaches an accuracy of" in training.diagnosis
    assert found["train.learns"].earned == 0
    assert "equal weights get equal gradients" in found["train.learns"].hint
    assert found["train.accuracy"].status.value == "skip", "no curve is stored"
    assert "dies every time" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_deadline_leaves_training_undecided_never_zero(tmp_path):
    report = graded(REFERENCE, tmp_path, deadline_s=25).report
    learns = [lines(report)[name] for name in ("train.learns", "augmentation.learns")]
    assert any(line.status.value == "skip" for line in learns)
    assert all(line.earned in (None, line.points) for line in learns)


def test_what_fit_was_asked_for_is_what_is_judged(tmp_path):
    """128 images, class weights of 0 and a rate of 0: nothing is learned, and with an ordinary call of fit the same network learns."""
    report = graded(ROOT / "tests/notebooks/hostile_trains_nothing/submission.ipynb", tmp_path).report
    found = lines(report)
    (training,) = report.training
    assert (training.verdict, training.cause) == ("dead", "fit_call"), training.reason
    assert "not one of the weights has changed" in training.reason
    assert "128 images in all, class weights from 0 to 0, a learning rate of 0" in training.diagnosis
    assert found["train.learns"].earned == found["train.accuracy"].earned == 0
    assert "the cell's own code prints such lines" in found["train.accuracy"].message
