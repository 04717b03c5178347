"""Fault injection: parts killed from outside, full and read-only disks, damaged stores and caches. Each ends clearly, and nothing that was written is lost."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import REQUIRE_ALL, ROOT, small_store, statuses
from test_endings import MODEL, write

from grader import pipeline, sandbox
from grader.sandbox.folders import make_folder, remove_folder, sweep
from grader.sandbox.process import descendants

pytestmark = pytest.mark.slow
ENDLESS = "import time\nwhile True: time.sleep(0.1)"


def start(path, out, *options, prefix=(), store=None):
    command = [*prefix, sys.executable, "-m", "grader", str(path), "--out", str(out), *options]
    environment = {**os.environ, "GRADER_DATA": str(store or small_store())}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def box_processes(pid, module):
    """The innermost processes that run `module` (box1, box2) below process `pid`."""
    found = []
    for child in descendants(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[-2:-1] == [module.encode()] and b"python" in words[0]:
            found.append(child)
    return found


def kill_when_up(process, module, after_s):
    """Wait until the box runs, then `after_s` more, and kill -9 it. False where it had ended before."""
    until = time.monotonic() + 60
    while time.monotonic() < until and not box_processes(process.pid, module):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    time.sleep(after_s)
    found = box_processes(process.pid, module)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return bool(found)


def report_of(out):
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("after_s", [0.0, 4.0])
def test_box_1_killed_from_outside_is_said_and_never_a_zero_without_a_person(after_s, tmp_path):
    process = start(write(tmp_path / "a.ipynb", MODEL, ENDLESS), tmp_path / "out", "--budget", "none")
    assert kill_when_up(process, "box1", after_s)
    said, _ = process.communicate(timeout=120)
    report = report_of(tmp_path / "out")
    if process.returncode == 6:  # before the first cell it is nobody's notebook that died
        assert (report["status"], report["criteria"]) == ("infra_error", [])
        assert "Run it again" in report["reason"]
        return
    assert process.returncode == 0, said
    assert "SIGKILL" in report["reason"] or report["status"] == "needs_review", report["reason"]
    if not any(model["role"] == "base" for model in report["models"]):  # nothing of the model had arrived
        assert report["status"] == "needs_review"
    else:
        assert report["score"] > 0


@pytest.mark.parametrize("after_s", [0.0, random.Random(0).uniform(1, 9)])
def test_box_2_killed_from_outside_costs_time_and_no_points(after_s, tmp_path):
    path = write(tmp_path / "a.ipynb", MODEL, "import time; time.sleep(3)")
    whole = pipeline.grade(str(path), pipeline.Options(out=tmp_path / "whole", formats=("json",), store=small_store())).report
    process = start(path, tmp_path / "out", "--budget", "none")
    kill_when_up(process, "box2", after_s)
    said, _ = process.communicate(timeout=120)
    report = report_of(tmp_path / "out")
    assert process.returncode == 0, said
    assert {line["id"]: line["status"] for line in report["criteria"]} == statuses(whole)


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_the_host_killed_takes_its_boxes_along_and_the_next_run_sweeps(name, tmp_path, monkeypatch):
    state = next(state for state in sandbox.tiers() if state.name == name)
    if not state.works:
        if REQUIRE_ALL:
            pytest.fail(state.reason)
        pytest.skip(state.reason)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spins = (
        "import ctypes, signal\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\nwhile True: pass"  # takes back its promise to die with its parent
    )
    process = start(
        write(tmp_path / "a.ipynb", "from tensorflow.keras.datasets import cifar10", spins),
        tmp_path / "out",
        "--budget",
        "none",
        "--sandbox",
        name,
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not box_processes(process.pid, "box1"):
        time.sleep(0.05)
    time.sleep(4)
    family = descendants(process.pid)
    assert family, process.communicate()[0]
    process.kill()
    process.communicate()
    until = time.monotonic() + 10
    while time.monotonic() < until and any(_alive(pid) for pid in family):
        time.sleep(0.1)
    assert {pid: _told(pid) for pid in family if _alive(pid)} == {}
    assert report_of(tmp_path / "out")["status"] == "started"
    left = sorted(tmp_path.glob("grade-*"))
    assert left  # nobody could remove them
    assert sweep() == left
    assert sorted(tmp_path.glob("grade-*")) == []


def _told(pid):
    """What a process is, for the message."""
    parts = {}
    for name in ("cmdline", "stat", "wchan"):
        try:
            parts[name] = Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:300]
        except OSError as error:
            parts[name] = str(error)
    return parts


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_living_runs_folders_are_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = make_folder()
    stranger = tmp_path / "grade-without-an-owner"
    stranger.mkdir()
    (tmp_path / "grade-link").symlink_to(ROOT)
    assert sweep() == []
    assert mine.is_dir()
    assert stranger.is_dir()
    remove_folder(mine)
    assert not mine.exists()


def full_disk(folder, size_kib):
    """A command prefix that runs the rest with a file system of `size_kib` (None: a read-only one) at `folder`; `kept` is its copy."""
    if not sandbox.BACKENDS[0].probe().works:
        if REQUIRE_ALL:
            pytest.fail("bubblewrap makes the small file system")
        pytest.skip("bubblewrap makes the small file system")
    keeps = folder.parent / "kept"
    copy = f'"$@"; code=$?; cp -r {folder} {keeps}; exit $code'
    mount = ["--ro-bind", str(folder), str(folder)] if size_kib is None else ["--size", str(size_kib << 10), "--tmpfs", str(folder)]
    return ["bwrap", "--dev-bind", "/", "/", *mount, "sh", "-c", copy, "sh"]


def test_a_full_disk_is_the_machines_and_the_started_report_stays_readable(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    process = start(write(tmp_path / "a.ipynb", MODEL), out, "--budget", "none", "--sandbox", "none", prefix=full_disk(out, 20))
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 6, said
    assert "No space left" in said
    assert "Usage:" not in said
    assert report_of(tmp_path / "kept")["status"] == "started"


def test_a_read_only_output_folder_is_refused_before_anything_is_run(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    process = start(write(tmp_path / "a.ipynb", MODEL), out, "--budget", "none", prefix=full_disk(out, None))
    began = time.monotonic()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "expected a folder that can be written" in said
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("damage", ["cut off", "another byte", "gone"])
def test_a_damaged_store_is_found_before_it_judges_anybody(damage, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(small_store(), store)
    victim = max(store.rglob("x_test.npy"), key=lambda path: path.stat().st_size)
    for path in (victim.parent, victim):
        path.chmod(0o755)
    data = bytearray(victim.read_bytes())
    if damage == "gone":
        victim.unlink()
    else:
        data[-1000] ^= 1
        victim.write_bytes(data[:-5000] if damage == "cut off" else data)
    process = start(write(tmp_path / "a.ipynb", MODEL), tmp_path / "out", "--budget", "none", store=store)
    said, _ = process.communicate(timeout=120)
    report = report_of(tmp_path / "out")
    if process.returncode == 0:  # made anew or replaced: then the report says which images were used
        assert any("stand-in" in notice for notice in report["notices"]), report["notices"]
    else:
        assert (process.returncode, report["status"]) == (6, "infra_error"), said
        assert "grade data" in report["reason"]


JUMPING = """
import random, sys, time
real = time.time
time.time = lambda: real() + random.uniform(-1, 1) * 86400
sys.argv = ["grade", *sys.argv[1:]]
from grader.cli import main
main()
"""


def test_a_clock_that_jumps_by_a_day_changes_nothing(tmp_path):
    path = write(tmp_path / "a.ipynb", MODEL)
    whole = pipeline.grade(str(path), pipeline.Options(out=tmp_path / "whole", formats=("json",), store=small_store())).report
    command = [sys.executable, "-c", JUMPING, str(path), "--out", str(tmp_path / "out"), "--budget", "none", "--deadline", "200"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "GRADER_DATA": str(small_store())}, capture_output=True, text=True, check=False
    )
    report = report_of(tmp_path / "out")
    assert (done.returncode, report["status"]) == (0, "graded"), done.stderr
    assert {line["id"]: line["status"] for line in report["criteria"]} == statuses(whole)
    assert 0 < report["timings"]["total"] < 300


def test_deadlines_do_not_follow_the_wall_clock():
    """A clock that jumps (NTP, suspend) must neither end a run nor keep it alive: every wait is measured with the monotonic clock."""
    allowed = {  # the age of leftovers, and dates that are written down
        "grader/dataset/writing.py",
        "grader/batch/shelf.py",
        "grader/batch/afterwards.py",
        "grader/batch/gradebook/book.py",
    }
    users = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "grader").rglob("*.py")
        if "time.time()" in path.read_text(encoding="utf-8") or "datetime.now" in path.read_text(encoding="utf-8")
    }
    assert users <= allowed
