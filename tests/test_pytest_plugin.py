"""`pytest --submission=…`: the rubric as tests, own tests beside it, one run of the notebook."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import ROOT, grade_file, small_store
from junitparser import Error, Failure, JUnitXml, Properties, Skipped
from test_endings import MODEL, write

from grader import rubric
from grader.pytest_plugin.grading import Graded
from grader.pytest_plugin.items import outcome
from grader.records import Audit, BandPoint, CurvePoint, Rerun, Training
from grader.reports.text import cleaned

pytest_plugins = ["pytester"]
REFERENCE = ROOT / "reference" / "all_cnn_c" / "solution.ipynb"
CRITERIA = [line.id for line in rubric.load("all_cnn_c").criteria]
EXAMPLE = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8"), re.DOTALL)[1]
COUNTING = """
from pathlib import Path
from grader import pipeline
real = pipeline.execute
def counted(*arguments):
    with Path(__file__).with_name("runs").open("a") as file:
        file.write("run\\n")
    return real(*arguments)
pipeline.execute = counted
"""


@pytest.fixture
def course(pytester, monkeypatch):
    """A folder of a course's own; call it with pytest's arguments."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GRADER_DATA", str(small_store()))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makepyfile(test_course=EXAMPLE)

    def run(*arguments, here=True):
        runs = pytester.runpytest_inprocess if here else pytester.runpytest_subprocess
        return runs("-p", "grader.pytest_plugin", "-W", "error", "-p", "no:cacheprovider", *arguments)

    return run


def cases(path):
    return {case.name: case for case in next(iter(JUnitXml.fromfile(str(path))))}


def facts(case):
    return {entry.name: entry.value for entry in case.child(Properties) or ()}


@pytest.fixture(scope="module")
def graded():
    """What `grade` says of the reference."""
    return grade_file(REFERENCE, store=small_store())


# ------------------------------------------------------------------ one real run each


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_reference_has_the_points_of_grade_from_one_run(course, pytester, graded, workers):
    pytester.makeconftest(COUNTING)
    done = course(f"--submission={REFERENCE}", "--budget=none", "-n", workers, "--junitxml=junit.xml", "test_course.py", here=False)
    assert done.ret == 0
    done.assert_outcomes(passed=20, skipped=5)
    text = done.stdout.str()
    assert ("3 manual" in text, "Score: 70 of 70 points (rubric 65/65, own tests 5/5), 45 not graded yet." in text) == (True, True)
    assert Path("runs").read_text() == "run\n"
    found = cases("junit.xml")
    assert list(found)[:25] == CRITERIA or workers != "0"
    assert sorted(found) == sorted([*CRITERIA, *re.findall(r"test_the\w+", EXAMPLE)])
    for line in graded.report.criteria:
        case, kept = found[line.id], facts(found[line.id])
        assert (kept["criterion"], int(kept["section"]), kept["status"]) == (line.id, line.section, line.status.value)
        assert (float(kept["points"]), kept.get("earned")) == (line.points, None if line.earned is None else f"{line.earned:g}")
        assert [type(result) for result in case.result] == ([] if line.earned is not None else [Skipped])
        assert all(result.message == line.message for result in case.result)
    assert sum(float(facts(case).get("earned", 0)) for case in found.values()) == graded.report.score + 5
    assert facts(found["test_the_base_model_learns"]) == {"points": "10", "status": "skip"}
    JUnitXml.fromfile("junit.xml").write("again.xml")
    assert {name: facts(case) for name, case in cases("again.xml").items()} == {name: facts(case) for name, case in found.items()}


@pytest.mark.slow
def test_losses_defects_and_a_students_text(course, pytester):
    """A weak notebook, one check of ours broken, and own tests that ask for what is not there."""
    pytester.makeconftest(
        COUNTING + "from grader.checks import model_parameters\ndef check(*_): raise KeyError('ours')\nmodel_parameters.check = check\n"
    )
    write(Path("weak.ipynb"), MODEL.replace(", validation_data=(x_test, y_test)", ""), "raise ValueError('\\x1b[31m\\n::error::forged')")
    pytester.makepyfile(
        test_more="""
        import pytest
        @pytest.mark.points(2)
        def test_dropout(model): model("dropout")
        @pytest.mark.points(3)
        def test_typo(model): model("bse")
        @pytest.mark.points(4)
        class TestBase:
            @pytest.mark.parametrize("most", [1, 1e6])
            def test_size(self, model, most): assert model("base").graph.parameters <= most
        @pytest.fixture
        def broken(): raise OSError("own fixture")
        @pytest.mark.points(5)
        def test_broken(broken): pass
        def test_claims(evidence): assert evidence.run.cells[-1].error.type == "ValueError"
        """
    )
    done = course("--submission=weak.ipynb", "--budget=none", "--junitxml=junit.xml", "test_more.py", "-v", "-rA", here=False)
    text = done.stdout.str()
    assert done.ret == 1
    assert Path("runs").read_text() == "run\n"
    found = cases("junit.xml")
    status = {name: facts(case).get("status") for name, case in found.items()}
    assert status["model.parameters"] == "error"
    assert [type(result) for result in found["model.parameters"].result] == [Error]
    assert (status["train.protocol"], status["model.strided_downsampling"]) == ("partial", "fail")
    assert [type(result) for result in found["train.protocol"].result] == [Failure]
    assert re.search(r"weak.ipynb::train.protocol PARTIAL [\d.]+/5", text)
    assert "weak.ipynb::model.strided_downsampling FAILED 0/4" in text
    assert "weak.ipynb::curves.answers MANUAL" in text
    assert re.search(r"0 of 4 points\. .*\nExpected: .*(\n    .*)*\nFound: .*(\n    .*)*\nNext: ", text)
    assert "No dropout model was found." in text
    assert "ValueError: expected a role, one of base, dropout, augmentation; found 'bse'" in text
    assert not [line for line in text.splitlines() if "\x1b[31m" in line or line.startswith("::")]
    assert "pytest_plugin/items.py" not in text
    assert {name: status[name] for name in ("test_dropout", "test_typo", "test_size[1]", "test_size[1000000.0]", "test_broken")} == {
        "test_dropout": "fail", "test_typo": "fail", "test_size[1]": "fail", "test_size[1000000.0]": "pass", "test_broken": "error",
    }  # fmt: skip
    assert "own tests 4/13)" in text
    assert 0 < text.index("Cell 1 ") < text.index("= FAILURES =")  # what messages call "see above"
    suite = {entry.name: entry.value for entry in next(iter(JUnitXml.fromfile("junit.xml"))).properties()}
    assert (suite["status"], suite["cell.1"].split(":")[0]) == ("needs_review", re.search("(Cell 1 .*?):", text)[1])
    assert status["test_claims"] is None
    assert found["test_claims"].result == []


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "code"), [("pass", 0), ("fail", 1)])
def test_a_result_that_needs_review_passes_or_fails_as_asked(course, asked, code):
    """Only a criterion that is passed is chosen; the network itself cannot be judged."""
    notebook = ROOT / "tests/notebooks/hostile_hidden_get_config/submission.ipynb"
    done = course(f"--submission={notebook}", "--budget=none", "-k", "cifar10", f"--on-review={asked}", here=False)
    assert done.ret == code, done.stdout.str()


def test_points_that_rest_on_the_record_say_so():
    facts = {"earned": 6.0, "points": 6.0, "status": "pass", "basis": "recorded, not measured"}
    assert outcome(SimpleNamespace(outcome="passed"), facts)[2] == "PASSED 6/6 (recorded, not measured)"


@pytest.mark.slow
def test_evidence_arrives_whole_at_a_worker(graded):
    evidence = graded.evidence
    assert evidence.models
    assert evidence.run.cells
    point = CurvePoint(step=20, images=2560, loss=None, accuracy=0.31)
    rerun = Rerun(
        seed=0,
        ending="dead",
        points=(point,),
        images=2560,
        steps=20,
        interval=(0.1, 0.2),
        silent=(("relu", 1.0, 10),),
        norms=(("w", None),),
    )
    band = BandPoint(images=2560, low=0.1, median=0.2, high=0.3, passes=0.2, zero=0.1, runs=3)
    audit = Audit(outcome="contradicted", sentence="…", final=0.8, died=True)
    training = Training(role="base", verdict="dead", reruns=(rerun,), band=(band,), whole=(point,))
    evidence = replace(evidence, training={"base": training}, audits={"base": audit})
    kept = json.dumps(asdict(evidence))
    sent = Graded(report=cleaned(graded.report), exit_code=0, staff="", evidence=kept).sent()
    received = Graded.received(json.loads(json.dumps(sent)))
    assert received.decoded == evidence
    assert received.report == cleaned(graded.report)


# ------------------------------------------------------------------ collecting


def test_nothing_runs_while_collecting_and_without_names_the_criteria_are_all(course, pytester):
    pytester.makeini("[pytest]\ntestpaths = .")
    done = course(f"--submission={REFERENCE}", "--collect-only", "-q")
    assert [line.partition("::")[2] for line in done.outlines if "::" in line] == CRITERIA
    both = course(f"--submission={REFERENCE}", "--collect-only", "-k", "solution or model.built or small", "test_course.py")
    both.stdout.fnmatch_lines(["*<Criterion model.built: *(2)>", "*test_the_base_model_is_small*", "*2/28 tests collected*"])
    assert "Running" not in both.stdout.str()


def test_a_clone_collects_the_criteria_and_not_its_own_tests():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--submission=reference/all_cnn_c/solution.ipynb", "--budget", "none", "--co", "-q"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line for line in done.stdout.splitlines() if "::" in line]
    assert found == [f"reference/all_cnn_c/solution.ipynb::{name}" for name in CRITERIA]


def test_points_are_one_number(course, pytester):
    wrong = ["", "()", "('3')", "(0)", "(float('nan'))", "(float('inf'))", "(1, 2)", "(True)", "(n=2)"]
    pytester.makepyfile(
        test_bad="import pytest\n" + "".join(f"@pytest.mark.points{n}\ndef test_{i}(): pass\n" for i, n in enumerate(wrong))
    )
    write(Path("torch.ipynb"), "import torch")
    done = course("--submission=torch.ipynb", "test_bad.py", "-k", "test_bad")
    done.assert_outcomes(errors=len(wrong), deselected=25)
    done.stdout.fnmatch_lines(["expected @pytest.mark.points(n) with one number over 0, found ('3',)"])


# ------------------------------------------------------------------ runs without a score


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--submission=torch.ipynb",), 4, "The notebook uses PyTorch"),
        (("--submission=nowhere.ipynb",), 5, "nowhere.ipynb"),
        pytest.param(
            (f"--submission={REFERENCE}", "--device=gpu"),
            6,
            "no GPU was found",
            marks=pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a GPU"),
        ),
    ],
)
def test_a_run_without_a_score_has_the_exit_code_of_grade(course, arguments, code, words):
    write(Path("torch.ipynb"), "import torch")
    done = course(*arguments, "--budget=none", "-rsE", "test_course.py")
    assert done.ret == code
    assert done.parseoutcomes() == {"errors": 28} if code == 6 else {"skipped": 28}
    text = done.stdout.str()
    assert text.count(words) >= 2
    assert code == 6 or "SKIPPED [25] " in text
    assert "Score:" not in text
    assert "Traceback" not in text


def test_a_bug_of_ours_is_an_error_with_its_traceback_for_staff(course, monkeypatch):
    def broken(*_):
        raise KeyError("ours")

    monkeypatch.setattr("grader.notebook.recognise", broken)
    write(Path("torch.ipynb"), "import torch")
    done = course("--submission=torch.ipynb", "-x")
    assert done.ret == 3
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["No score: the grader failed.*", "*in broken", "KeyError: 'ours'"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--submission=-",), "--submission=-: expected the path of a notebook"),
        ((f"--submission={REFERENCE}", "--rubric=all_cnn"), "all_cnn"),
        ((f"--submission={REFERENCE}", "--sandbox=bubble"), "bubble"),
        ((f"--submission={REFERENCE}", "--budget=long"), "--budget"),
        (("--budget=none",), "unrecognized arguments: --budget=none"),
    ],
)
def test_a_wrong_command_line_is_said_in_a_line(course, arguments, words):
    done = course(*arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert words in done.stderr.str()
    assert "Traceback" not in done.stderr.str()


# ------------------------------------------------------------------ other people's pytest


def test_without_a_submission_nothing_is_taken_from_others(course, pytester):
    pytester.makeconftest(
        "import pytest\n"
        "def pytest_addoption(parser):\n    for name in ('budget', 'device', 'rubric', 'seed'): parser.addoption(f'--{name}', default='theirs')\n"
        "@pytest.fixture\ndef theirs(request): return request.config.getoption('--budget')\n"
    )
    pytester.makepyfile(test_theirs="def test_it(theirs): assert theirs == 'mine'\ndef test_no_fixture(model): pass")
    done = course("--budget=mine", "test_theirs.py", "--strict-markers")
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*fixture 'model' not found*"])
    done = course(f"--submission={REFERENCE}", "--budget=mine", "--grade-budget=full", "--sandbox=none", "--co", "-q")
    assert done.ret == 0


def test_every_other_run_of_pytest_pays_nothing():
    code = "import sys; import pytest; before = set(sys.modules); import grader.pytest_plugin; print(sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.strip() == "['grader', 'grader.pytest_plugin']"
