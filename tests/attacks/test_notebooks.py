"""The attacks that are whole notebooks, and those on whoever opens an archive: no point forged, nothing that acts in a report."""

from dataclasses import replace
from functools import cache

import pytest
from harness import store, warm_box1, warm_box2

from grader import dataset, pipeline, sandbox
from grader.records import Flag, RunStatus
from grader_attacks import archives, notebooks, session, suite
from grader_attacks.notebooks import NOTEBOOKS, Graded, judge


def graded_with(hostile):
    """In a box of a class, which is warm: `grade doctor --attack` makes each in a cold one."""
    return notebooks.grade(hostile, warm_box1(dataset.ensure(store()).folder), store(), warm_box2())


@cache
def before():
    return graded_with(None)


@pytest.mark.slow
@pytest.mark.parametrize("hostile", NOTEBOOKS, ids=lambda hostile: hostile.attack.id)
def test_a_notebook_forges_no_point_and_poisons_no_report(hostile):
    assert judge(hostile, before(), graded_with(hostile)) == ""


@pytest.mark.slow
def test_the_notebook_without_an_attack_has_points_to_forge_and_no_flag():
    earned = {line.id: line.earned for line in before().report.criteria}
    assert sum(value == 0.0 for value in earned.values()) >= 10
    assert before().report.flags == ()


def test_no_archive_is_taken_that_must_not_be():
    wrong = {outcome.attack.id: outcome.detail for outcome in archives.run() if outcome.state != "held"}
    assert wrong == {}


def test_an_archive_that_is_in_order_is_taken(tmp_path):
    """The control: what the archive attacks vary is readable as it is."""
    path = tmp_path / "a.zip"
    path.write_bytes(archives._zip(("a.ipynb", archives._FINE)))
    from grader import sources

    assert sources.resolve(str(path)).data == archives._FINE


# ------------------------------------------------------------------ the judge itself


def graded(points=0.0, **fields):
    from samples_of_attacks import report

    return Graded(report=report(points, **fields), exit_code=0, files={})


HOSTILE = replace(NOTEBOOKS[0], flags=())
ALERT = Flag(id="patches_library", severity="alert", message="The code replaces a part of keras.")


def test_a_higher_criterion_is_a_forged_point():
    assert judge(HOSTILE, graded(1.0), graded(2.0)) == "points were forged: model.built 1 to 2"
    assert judge(HOSTILE, graded(1.0), graded(1.0)) == ""
    assert judge(HOSTILE, graded(1.0), graded(0.0)) == ""


def test_a_person_who_is_asked_makes_no_forged_point_right():
    asks = graded(2.0, status=RunStatus.NEEDS_REVIEW, flags=(ALERT,))
    assert "forged" in judge(HOSTILE, graded(1.0), asks)


def test_a_missing_flag_and_a_wrong_ending_are_named():
    assert "patches_library was not raised" in judge(replace(HOSTILE, flags=("patches_library",)), graded(), graded())
    broken = replace(graded(), exit_code=3)
    assert "exit code 3" in judge(HOSTILE, graded(), broken)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("report.html", "<p>x</p><script>1</script>", "<script>"),
        ("report.html", "<img src='https://evil.example/x.png'>", "https://evil.example"),
        ("report.html", "<p onclick=alert(1)>", "onclick"),
        ("report.html", "<a href='javascript:alert(1)'>", "javascript:"),
        ("report.md", "[x](https://evil.example)", "https://evil.example"),
        ("report.md", "<svg onload=alert(1)>", "onload"),
        ("report.md", "a\x1b[2J", "control character"),
        ("report.html", "<p>fine</p>", ""),
        ("report.md", "fine `<script>`", ""),
    ],
)
def test_what_acts_in_a_report_is_seen(name, text, found):
    assert found in notebooks.acts(name, text)
    assert bool(found) == bool(notebooks.acts(name, text))


def test_the_suite_has_the_families_of_the_issue_and_more_than_eighty_attacks():
    attacks = [*suite.BOX_ATTACKS, *archives.ATTACKS, *(hostile.attack for hostile in NOTEBOOKS)]
    assert len(attacks) >= 80
    assert len({attack.id for attack in attacks}) == len(attacks)
    assert {attack.family for attack in attacks} == {
        suite.FORGE, suite.LIE, suite.READ, suite.WRITE, suite.PROCESS, suite.SURVIVE, suite.EXHAUST, suite.HANG, suite.NETWORK,
        suite.POISON, suite.DATA, suite.ARCHIVE, suite.SEMANTICS,
    }  # fmt: skip


def test_the_session_makes_every_attack_but_no_notebook_where_nothing_confines(monkeypatch):
    made = []
    monkeypatch.setattr(session.archives, "run", lambda: iter(()))
    monkeypatch.setattr(session.boxes, "run", lambda attacks, box: iter(made.append((box.name, len(attacks))) or ()))
    monkeypatch.setattr(session.notebooks, "run", lambda attacks, box, _store: iter(made.append((box.name, len(attacks))) or ()))
    for name in ("bubblewrap", "none"):
        list(session.run(next(box for box in sandbox.BACKENDS if box.name == name), store()))
    controls = sum(attack.control for attack in suite.BOX_ATTACKS)
    assert made == [("bubblewrap", len(suite.BOX_ATTACKS)), ("bubblewrap", len(NOTEBOOKS)), ("none", controls)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_labels_in_pixels_do_not_learn(tmp_path):
    """With training, on a model that sees nothing but its label: the labels that the box can write into the held-back images are drawn by lot."""
    import json

    hostile = next(hostile for hostile in NOTEBOOKS if hostile.attack.id == "notebook.labels_in_pixels")
    fit = "history = model.fit(x_train, y_train, epochs=2, validation_data=(x_test, y_test))"
    path = tmp_path / "submission.ipynb"
    blind = notebooks.MODEL.replace("layers.MaxPooling2D(4)", "layers.Rescaling(1 / 255)").replace(
        'layers.Conv2D(8, 3, activation="relu")', "layers.Cropping2D(((0, 31), (0, 22)))"
    )
    path.write_text(json.dumps(notebooks.notebook(replace(hostile, model=blind, fit=fit))), encoding="utf-8")
    options = pipeline.Options(out=tmp_path / "out", store=store(), budget="short", formats=("json",), use_cache=False)
    earned = []
    for _ in range(2):
        report = pipeline.grade(str(path), options).report
        (training,) = report.training
        assert training.way != "rebuilt", training
        assert training.accuracy < 0.14, training
        assert training.verdict != "learns", training
        earned.append(next(line for line in report.criteria if line.id == "train.learns").earned or 0.0)
        if not earned[-1]:
            return
    pytest.fail(f"one run in a hundred that guesses is over the limit for no points, not two in a row: {earned}")
