"""`grade batch`, `grade export` and `grade override` at the command line."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from harness import ROOT, small_store
from kills import history
from test_endings import MODEL, notebook

from grader import cli
from grader.batch.gradebook import Gradebook

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class as Canvas gives it, graded once by the command itself: (folder, what it printed)."""
    import zipfile

    folder = tmp_path_factory.mktemp("class")
    with zipfile.ZipFile(folder / "hw submissions.zip", "w") as archive:
        archive.writestr("doejane_1001_501_hw.ipynb", json.dumps(notebook(MODEL)))
        archive.writestr("roerichard_LATE_1002_502_hw.ipynb", json.dumps(notebook("print('another exercise')")))
        archive.writestr("poeedgar_1003_503_hw.ipynb.json", "{'cells': []}")
        archive.writestr("loemary_1004_504_hw.tar.gz", b"\x1f\x8b\x08")
        archive.writestr("moejoe_1005_505_hw.py", "import keras\n")
        archive.writestr("moejoe_1005_506_data.csv", "a,b\n")
        archive.writestr("zoeann_1006_507_hw.ipynb.txt", json.dumps(notebook(MODEL)))
    done = grade(folder, "batch", "hw submissions.zip", "--gradebook", "class.db", "--budget", "none", "--json-lines")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def grade(folder, *arguments):
    environment = {**os.environ, "GRADER_DATA": str(small_store())}
    command = [sys.executable, "-m", "grader", *arguments]
    return subprocess.run(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)


def marks(folder):
    """The standings by status; of the two that are graded Doe's, whichever pseudonym the key gave to whom."""
    students = json.loads((folder / "class.db.names").read_text(encoding="utf-8"))["students"]
    doe = next(student["pseudonym"] for student in students if "1001" in student["ids"].values())
    with Gradebook.open(folder / "class.db") as book:
        return {standing.status: standing for standing in sorted(book.standings(), key=lambda standing: standing.student == doe)}


def test_machines_are_told_line_by_line(graded):
    events = [json.loads(line) for line in graded[1].splitlines()]
    assert {event["event"] for event in events} >= {"recorded", "progress"}
    told = [event for event in events if event["event"] == "recorded"]
    assert sorted((event["status"], len(event["students"])) for event in told) == [("graded", 2), *[("ungradable", 1)] * 4]
    assert events[-1]["done"] == events[-1]["total"] == 5
    assert max(event["running"] for event in events if event["event"] == "progress") <= len(os.sched_getaffinity(0))
    said = "\n".join(line for line in graded[1].splitlines() if '"note"' not in line)  # notes name files, for the instructor's eyes
    assert not any(name in said for name in ("jane", "poe", "loe", "moe", "zoe"))


def test_what_is_no_notebook_is_in_the_gradebook_and_in_every_exports_list(graded):
    folder, _ = graded
    with Gradebook.open(folder / "class.db") as book:
        standings = list(book.standings())
    assert len(standings) == 6
    for to, more in (("csv", ()), ("canvas-csv", ("--assignment", "HW 1 (77)"))):
        done = grade(folder, "export", "class.db", "--to", to, "--out", "listed", *more)
        assert "2 marks written, 4 left out" in done.stdout, done.stderr
        for words in (
            "he file is not valid JSON, which a notebook is: at line 1, column 2, a name in double quotes was expected",
            "he file is a gzip archive (perhaps .tar.gz). Unpack it",
            "A notebook (.ipynb) was expected; 2 other files were submitted.",
        ):
            assert words in done.stderr


def test_the_second_run_says_the_same_and_grades_nothing(graded):
    folder, _ = graded
    done = grade(folder, "batch", "hw submissions.zip", "--gradebook", "class.db", "--budget", "none")
    assert done.returncode == 0, done.stderr
    assert "class.html" in done.stdout
    assert "[1/" not in done.stdout
    page = (folder / "class-report" / "class.html").read_text(encoding="utf-8")
    assert "jane" not in page
    assert marks(folder)["graded"].student in (folder / "class-report" / "marks.csv").read_text(encoding="utf-8")


def test_names_come_back_at_export(graded):
    folder, _ = graded
    done = grade(folder, "export", "class.db", "--to", "canvas-csv", "--assignment", "HW 1 (77)", "--out", "up")
    assert done.returncode == 0, done.stderr
    assert "2 marks written, 4 left out" in done.stdout
    rows = list(csv.reader(io.StringIO((folder / "up" / "canvas.csv").read_text(encoding="utf-8"))))
    assert rows[0][-1] == "HW 1 (77)"
    assert [(row[1], row[-1]) for row in rows if row[1] == "1001"] == [("1001", f"{marks(folder)['graded'].total:.2f}")]
    assert "1002" not in {row[1] for row in rows}
    assert "ungradable" in done.stderr
    before = (folder / "up" / "canvas.csv").read_bytes()
    done = grade(folder, "export", "class.db", "--to", "canvas-csv", "--assignment", "(77)", "--worksheet", "up/canvas.csv", "--out", "up")
    assert done.returncode == 2
    assert "canvas.csv there is the file of --worksheet, which would be overwritten." in done.stderr
    assert (folder / "up" / "canvas.csv").read_bytes() == before


def test_a_decision_counts_and_is_kept(graded):
    folder, _ = graded
    before = marks(folder)["graded"]
    done = grade(folder, "override", "class.db", before.student, "curves.answers", "3", "--reason", "both answered")
    assert done.returncode == 0, done.stderr
    after = marks(folder)["graded"]
    assert after.score == before.score + 3
    assert after.overrides[-1].reason == "both answered"
    there = f"Student,ID,SIS Login ID,Section,HW 1 (77)\nDoe,1001,,s,{before.total:.2f}\nZoe,1006,,s,1.00\n"  # ours, and somebody's
    (folder / "book.csv").write_text(there, encoding="utf-8")
    done = grade(folder, "export", "class.db", "--to", "canvas-csv", "--assignment", "(77)", "--worksheet", "book.csv", "--out", "again")
    rows = list(csv.reader(io.StringIO((folder / "again" / "canvas.csv").read_text(encoding="utf-8"))))
    assert [(row[1], row[-1]) for row in rows[1:]] == [("1001", f"{after.total:.2f}")], done.stderr
    assert f"1.00 is there already, the grader's mark is {before.total:.2f}; it is kept (--overwrite replaces it)" in done.stderr
    assert grade(folder, "override", "class.db", before.student, "curves.answers", "--withdraw", "--reason", "by mistake").returncode == 0
    assert marks(folder)["graded"].score == before.score
    with Gradebook.open(folder / "class.db") as book:
        assert len(history(book, before.student)[0].overrides) == 2


def test_without_its_key_nobody_is_named_and_none_is_made(graded, tmp_path):
    folder, _ = graded
    (tmp_path / "class.db").write_bytes((folder / "class.db").read_bytes())
    done = grade(tmp_path, "export", "class.db", "--to", "canvas-csv", "--assignment", "HW 1 (77)", "--out", "up")
    assert done.returncode == 0, done.stderr
    assert "0 marks written, 6 left out" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".key", ".names")) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("batch", "nowhere.zip", "--gradebook", "class.db"), 2, "nowhere.zip"),
        (("batch", ".", "--gradebook", "class.db", "--rubric", "no_such"), 2, "no_such"),
        (("batch", ".", "--gradebook", "class.db", "--format", "pdf"), 2, "pdf"),
        (("batch", ".", "--gradebook", "class.db", "--platform", "blackboard"), 2, "blackboard"),
        (("export", "nothing.db", "--to", "csv"), 2, "nothing.db"),
        (("override", "nothing.db", "sub_a", "model.built", "1", "--reason", "x"), 2, "nothing.db"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_done(arguments, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADER_DATA", str(small_store()))
    (tmp_path / "a.ipynb").write_text("{}", encoding="utf-8")
    done = CliRunner().invoke(cli.cli, list(arguments))
    assert done.exit_code == code, done.output
    assert words in done.output
    assert not (tmp_path / "class.db").exists()
    assert not (tmp_path / "nothing.db").exists()


def test_an_empty_class_is_nothing_to_grade(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADER_DATA", str(small_store()))
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "essay.txt").write_text("x", encoding="utf-8")
    done = CliRunner().invoke(cli.cli, ["batch", "class", "--gradebook", "class.db"])
    assert done.exit_code == 5, done.output
