"""Marks in nbgrader's own gradebook, read back through nbgrader."""

import gc
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from told import NO_SCORE, People, Person, override, report, standing

from grader.batch.export import Options, export
from grader.batch.export.as_nbgrader import _opened
from grader.batch.points import overridden
from grader.errors import UsageError
from grader.records import Status

api = pytest.importorskip("nbgrader.api")
PEOPLE = People(
    sub_a=Person("alice", platform="nbgrader", ids={"student": "alice", "assignment": "ps1"}, name="Alice B. Doe"),
    sub_b=Person("bob", platform="nbgrader", ids={"student": "bob"}),
)
CLASS = [standing("sub_a", penalty=3.0), standing("sub_b", "wrong_mlp")]


def run(path, standings=CLASS, **options):
    return export("nbgrader", standings, PEOPLE, Options(database=path, assignment="ps1", **options))


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def test_nbgrader_reads_the_marks_back(tmp_path):
    path = tmp_path / "gradebook.db"
    exported = run(path, with_names=True)
    assert (exported.written, exported.left_out, exported.files) == (2, (), {})
    found = report("full_spanish_stored_outputs")
    with api.Gradebook(f"sqlite:///{path}") as book:
        submission = book.find_submission("ps1", "alice")
        assert submission.score == pytest.approx(found.score)
        assert submission.max_score == pytest.approx(found.max_score)
        assert submission.late_submission_penalty == 3.0
        assert submission.needs_manual_grade, "answers are to be read"
        assert submission.timestamp.isoformat() == "2026-03-01T12:00:00"
        assert (submission.student.first_name, submission.student.last_name) == ("Alice B.", "Doe")
        for line in found.criteria:
            grade = book.find_grade(line.id.replace(".", "-"), "submission", "ps1", "alice")
            assert (grade.auto_score, grade.max_score) == (line.earned, line.points)
            assert grade.cell_type == ("markdown" if line.status is Status.MANUAL else "code")
        assert book.find_submission("ps1", "bob").score == pytest.approx(report("wrong_mlp").score)


def test_writing_twice_gives_what_writing_once_gives(tmp_path):
    path = tmp_path / "gradebook.db"
    run(path)
    once = dump(path)
    run(path)
    assert dump(path) == once


def test_overrides_are_manual_scores_and_withdrawn_ones_go(tmp_path):
    path = tmp_path / "gradebook.db"
    given = (override("curves.answers", 4.0, 1), override("model.built", 0.5, 2))
    run(path, [replace(CLASS[0], overrides=given)])
    with api.Gradebook(f"sqlite:///{path}") as book:
        answers = book.find_grade("curves-answers", "submission", "ps1", "alice")
        assert (answers.score, answers.needs_manual_grade) == (4.0, False)
        assert book.find_grade("model-built", "submission", "ps1", "alice").score == 0.5
    run(path, [replace(CLASS[0], overrides=(*given, override("model.built", None, 3)))])
    with api.Gradebook(f"sqlite:///{path}") as book:
        grade = book.find_grade("model-built", "submission", "ps1", "alice")
        assert grade.manual_score is None
        assert grade.score == grade.auto_score


def test_what_the_machine_gave_stays_beside_the_override(tmp_path):
    """As the gradebook tells it: the report has the override in its lines, `machine` what they had given."""
    path = tmp_path / "gradebook.db"
    made = (override("model.built", 0.5, 1),)
    before = {line.id: line.earned for line in CLASS[0].report.criteria}["model.built"]
    run(path, [replace(CLASS[0], overrides=made, report=overridden(CLASS[0].report, made), machine={"model.built": before})])
    with api.Gradebook(f"sqlite:///{path}") as book:
        grade = book.find_grade("model-built", "submission", "ps1", "alice")
        assert (grade.auto_score, grade.manual_score, before) == (before, 0.5, 2.0)


def test_points_that_a_person_gave_in_nbgrader_stay(tmp_path):
    path = tmp_path / "gradebook.db"
    run(path)
    with api.Gradebook(f"sqlite:///{path}") as book:
        grade = book.find_grade("curves-answers", "submission", "ps1", "alice")
        grade.manual_score, grade.needs_manual_grade = 5.0, False
        book.db.commit()
    run(path)
    with api.Gradebook(f"sqlite:///{path}") as book:
        grade = book.find_grade("curves-answers", "submission", "ps1", "alice")
        assert (grade.manual_score, grade.needs_manual_grade) == (5.0, False)


@pytest.mark.parametrize(
    ("made", "typed", "overwrite", "points", "said"),
    [
        ((0.5,), 1.5, False, 1.5, "are kept: sub_a, model.built: 1.5, decided here: 0.5."),
        ((0.5,), 1.5, True, 0.5, "were replaced where the criterion is decided here: sub_a, model.built: 1.5, decided here: 0.5."),
        ((0.5, None), 1.5, False, 1.5, "are kept: sub_a, model.built: 1.5."),
        ((0.5, None), 1.5, True, None, "were replaced"),
        ((), 1.5, False, 1.5, "are kept: sub_a, model.built: 1.5."),
        ((), 1.5, True, 1.5, "model.built: 1.5."),
        ((0.5, 1.0), 0.5, False, 1.0, ""),  # an earlier decision of ours
        ((0.5, None), 0.5, False, None, ""),
    ],
)
def test_points_that_somebody_typed_are_never_replaced_silently(tmp_path, made, typed, overwrite, points, said):
    path = tmp_path / "gradebook.db"
    run(path)
    with api.Gradebook(f"sqlite:///{path}") as book:
        book.find_grade("model-built", "submission", "ps1", "alice").manual_score = typed
        book.db.commit()
    decisions = tuple(override("model.built", given, minute) for minute, given in enumerate(made))
    notes = run(path, [replace(CLASS[0], overrides=decisions)], overwrite=overwrite).notes
    with api.Gradebook(f"sqlite:///{path}") as book:
        assert book.find_grade("model-built", "submission", "ps1", "alice").manual_score == points
    assert any(said in note for note in notes) if said else not any("somebody" in note for note in notes)


def test_what_is_in_the_gradebook_already_stays_and_new_criteria_come_to_it(tmp_path):
    path = tmp_path / "gradebook.db"
    with _opened(Options(database=path)) as (_, book):
        book.add_assignment("ps0", duedate="2026-01-01")
        book.add_student("carol")
    found = report("wrong_mlp")
    run(path, [standing("sub_a", report=replace(found, criteria=found.criteria[:2]))])
    run(path, [standing("sub_a", "wrong_mlp")])
    with api.Gradebook(f"sqlite:///{path}") as book:
        assert {assignment.name for assignment in book.assignments} == {"ps0", "ps1"}
        assert {student.id for student in book.students} == {"carol", "alice"}
        assert book.find_submission("ps1", "alice").score == pytest.approx(found.score)


@pytest.mark.parametrize("case", NO_SCORE)
def test_no_score_is_no_submission(tmp_path, case):
    exported = run(tmp_path / "gradebook.db", [standing("sub_a", case), standing("sub_unknown")])
    assert exported.written == 0
    assert len(exported.left_out) == 2
    with api.Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        assert book.find_assignment("ps1").submissions == []


def test_a_missing_package_is_told_with_its_cure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbgrader", None)
    with pytest.raises(UsageError, match=r"pip install 'grader\[nbgrader\]'"):
        run(tmp_path / "gradebook.db")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_cannot_be_used_is_refused(tmp_path, caplog):
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database at all, but long enough to be taken for one" * 20)
    for path in (other, tmp_path / "nowhere" / "gradebook.db"):
        with pytest.raises(UsageError, match="a gradebook of nbgrader was expected"):
            run(path)
    with pytest.raises(UsageError, match="--assignment"):
        export("nbgrader", CLASS, PEOPLE, Options(database=tmp_path / "a.db"))
    with pytest.raises(UsageError, match="without \\+"):
        export("nbgrader", CLASS, PEOPLE, Options(database=tmp_path / "a.db", assignment="a+b"))
    with pytest.raises(UsageError, match="--database"):
        export("nbgrader", CLASS, PEOPLE, Options(assignment="ps1"))
    assert "alice" not in caplog.text
    gc.collect()  # nbgrader leaves a database open that it refuses, which Python 3.13 tells
