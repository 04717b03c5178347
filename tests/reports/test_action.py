"""The GitHub action: what comes from outside is data in it, and what it runs is only ours."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from samples import bad

from grader.reports import write

ACTION = (Path(__file__).parents[2] / "action.yml").read_text(encoding="utf-8")
SCRIPTS = [textwrap.dedent(block) for block in re.findall(r"^      run: \|\n((?:        .*\n|\n)+)", ACTION, flags=re.MULTILINE)]
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def test_scripts_hold_no_expressions():
    assert len(SCRIPTS) == ACTION.count("run: |") == 2
    assert all("${{" not in script for script in SCRIPTS)


def test_python_never_imports_from_the_checkout():
    calls = re.findall(r'(?:python|PYTHON)"( -\S+)', ACTION)
    assert len(calls) == 5
    assert set(calls) == {" -I"}


@needs_bash
def test_scripts_are_bash():
    for script in SCRIPTS:
        assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""


@needs_bash
@pytest.mark.parametrize("code", [0, 1, 6])
def test_grade_step_with_hostile_inputs(tmp_path, code):
    """The real script, with a `grade` that only copies a report: inputs arrive whole, the exit code is kept, the summary is appended."""
    made = tmp_path / "made"
    write(bad(), made, ["github"])
    binaries = tmp_path / "temp" / "grade-venv" / "bin"
    binaries.mkdir(parents=True)
    fake = f'#!/bin/bash\nprintf "%s\\n" "$@" > "{tmp_path}/arguments"\necho "::error::from the notebook"\n'
    fake += f'mkdir -p "$OUT"; cp "{made}"/* "{tmp_path}/temp/grade-report/"; exit {code}\n'
    (binaries / "grade").write_text(fake.replace('mkdir -p "$OUT"', f'mkdir -p "{tmp_path}/temp/grade-report"'))
    (binaries / "python").write_text(f'#!/bin/bash\nshift; exec "{sys.executable}" "$@"\n')  # without -I: the project is not installed
    for name in ("grade", "python"):
        (binaries / name).chmod(0o755)
    submission = '$(touch pwned) `touch pwned` "; touch pwned; #.ipynb'
    inputs = {"SUBMISSION": submission, "RUBRIC": "all_cnn_c", "BUDGET": "none", "FAIL_UNDER": "50", "ON_REVIEW": "fail", "OUT": ""}
    files = {"RUNNER_TEMP": tmp_path / "temp", "GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
    environment = {
        **os.environ,
        **inputs,
        **{name: str(path) for name, path in files.items()},
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    ran = subprocess.run(["bash", "-c", SCRIPTS[1]], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False)
    assert ran.returncode == code, ran.stderr
    assert (tmp_path / "arguments").read_text().splitlines()[-2:] == ["--", submission]
    assert not (tmp_path / "pwned").exists()
    lines = ran.stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert lines.index("::error::from the notebook") < lines.index(f"::{token}::")
    assert any(line.startswith("::error file=submission.ipynb") for line in lines)
    assert (tmp_path / "summary").read_text().startswith("> **Note:**")
    assert "score=15\n" in (tmp_path / "output").read_text()
