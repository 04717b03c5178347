"""One contract that every backend must pass: what a box may not do, what it may, and how each limit ends it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from harness import REQUIRE_ALL, ROOT

from grader import sandbox
from grader.errors import UsageError
from grader.sandbox import Job, Limits
from grader.sandbox.bubblewrap import Bubblewrap
from grader.sandbox.cgroups import Group
from grader.sandbox.process import descendants, private_inodes
from grader.sandbox.warm import AllWarm

ATTEMPTS = Path(__file__).resolve().parent / "attempts"
CONFINING = [backend for backend in sandbox.BACKENDS if backend.name != "none"]
SMALL = Limits(wall_s=30, cell_s=10, memory_mib=512, files=2000, disk_mib=64, output_mib=2)


@pytest.fixture(params=[*CONFINING, "warm"], ids=lambda backend: getattr(backend, "name", backend))
def box(request):
    """Every backend; and what is forked, which must keep the contract of what is started."""
    backend = Bubblewrap() if request.param == "warm" else request.param
    state = backend.probe()
    if not state.works:
        if REQUIRE_ALL:
            pytest.fail(state.reason)
        pytest.skip(state.reason)
    with AllWarm(backend) if request.param == "warm" else nullcontext(backend) as chosen:
        yield chosen


def attempt(box, *tries, limits=SMALL, readable=(), **spec):
    """Outcome of each attempt, and how the box ended."""
    places = {
        "package": str(ROOT / "grader"),
        "repository": str(ROOT),
        "outside": tempfile.gettempdir(),
        "secret": "/none",
        "port": 9,
        **spec,
    }
    job = Job(program=ATTEMPTS, module="tries", spec={"tries": tries, **places}, readable=readable)
    found = {}
    with box.start(job, limits) as running:
        while (frames := running.read()) is not None:
            for kind, body in frames:
                if kind == "result":
                    found.update(body)
        assert running.ending is not None
        return found, running.ending, running


def test_reads_nothing_it_was_not_given(box, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADER_SECRET", "key")
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    tries = ("package", "rubric", "secret", "shadow", "environ_of_parent", "import_grader")
    found, ending, _ = attempt(box, *tries, secret=str(secret))
    assert ending.name == "ok"
    assert {name: outcome.split(":")[0] for name, outcome in found.items()} == dict.fromkeys(tries, "refused")


def test_reads_what_it_was_given(box, tmp_path):
    tmp_path.chmod(0o755)
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.txt").write_text("four", encoding="utf-8")
    found, _, _ = attempt(box, "secret", secret=str(given / "a.txt"), readable=(given,))
    assert found == {"secret": "read 4"}


def test_inherits_no_environment(box, monkeypatch):
    monkeypatch.setenv("GRADER_SECRET", "key")
    assert attempt(box, "environment")[0] == {"environment": "absent"}


def test_writes_only_to_its_work_folder(box, tmp_path):
    found, _, _ = attempt(box, "write_outside", "write_usr", "work", outside=str(tmp_path))
    assert found["work"] == "own x"
    assert found["write_usr"].startswith("refused")
    assert found["write_outside"].startswith("refused")
    assert list(tmp_path.iterdir()) == []


def test_starts_and_signals_no_process_but_has_threads(box):
    found, _, _ = attempt(box, "spawn", "fork", "kill_parent", "thread", "path")
    assert found["thread"] == "threads 1"
    assert found["path"] == "clean"
    assert all(found[name].startswith("refused") for name in ("spawn", "fork", "kill_parent")), found


def test_reaches_no_network(box):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        found, _, _ = attempt(box, "connect", "udp", "abstract", port=listener.getsockname()[1])
    assert {name: outcome.split(":")[0] for name, outcome in found.items()} == dict.fromkeys(("connect", "udp", "abstract"), "refused")


@pytest.mark.parametrize(
    ("what", "limits", "ending", "words"),
    [
        ("memory", SMALL, "memory", "more than 0.5 GiB of memory"),
        ("many_files", SMALL, "disk", "more than 64 MiB or 2000 files"),
        ("output", SMALL, "output", "more than 2 MiB of output"),
        ("hang", replace(SMALL, wall_s=2), "timeout", "longer than 2 s"),
    ],
)
def test_a_limit_ends_the_box_with_its_name(box, what, limits, ending, words):
    _, found, _ = attempt(box, what, limits=limits)
    assert found.name == ending
    assert words in found.detail


def test_nothing_is_left_behind(box, tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _, _, running = attempt(box, "work", "hang", limits=replace(SMALL, wall_s=2))
    assert list(tmp_path.iterdir()) == []
    assert running.peak_mib >= 0
    left = [line for line in _processes() if str(tmp_path) in line]
    assert left == []


def test_the_kernel_holds_memory_where_control_groups_can_be_made(box, monkeypatch):
    monkeypatch.setattr("grader.sandbox.process._WATCH_EVERY_S", 1e9)  # nobody watches from outside
    group = Group.make(SMALL)
    if group is None:  # an ordinary user, most containers: the watch is all there is, and boxes run
        assert attempt(box, "work")[1].name == "ok"
        return
    group.remove()
    assert not any(folder.exists() for folder in group.folders)
    before = {path for folder in group.folders for path in folder.parent.glob("grade-*")}  # this process may keep a warm box 2
    _, ending, _ = attempt(box, "memory", limits=replace(SMALL, memory_mib=256, disk_mib=16, data_mib=4096, address_mib=8192))
    assert (ending.name, "more than 0.25 GiB of memory" in ending.detail) == ("memory", True), ending
    after = {path for folder in group.folders for path in folder.parent.glob("grade-*")}
    assert [path for path in after - before if _ours(path)] == []


@pytest.mark.parametrize(
    ("files", "starved"),
    [
        ({"memory.events": "max 3\noom 1\noom_kill 1\n"}, True),
        ({"memory.events": "max 0\noom 0\noom_kill 1\n"}, False),  # the whole machine was short of memory
        ({"memory.events": "max 9\noom 0\noom_kill 0\n"}, False),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory.failcnt": "55\n"}, True),
        ({"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", "memory.failcnt": "0\n"}, False),
        ({}, False),
    ],
)
def test_memory_that_the_machine_lacked_is_not_the_boxs_own_limit(files, starved, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="ascii")
    assert Group((tmp_path,), SMALL).out_of_memory() is starved


def _ours(group):
    """Whether a control group holds processes of this one (another test's box may have one beside it)."""
    with contextlib.suppress(OSError):
        return bool({int(word) for word in (group / "cgroup.procs").read_text().split()} & set(descendants(os.getpid())))
    return False


def _processes():
    return subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_auto_never_takes_the_unprotected_one():
    assert sandbox.choose("auto").name in ("bubblewrap", "landlock")


@pytest.mark.parametrize(
    "other_user", [pytest.param(True, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root has another")), False]
)
def test_a_container_is_a_sandbox_only_where_it_is_declared_and_without_landlock_only_for_another_user(other_user):
    """In a process for which the kernel has no Landlock, as under many container profiles."""
    lines = (
        "import json, harness, test_contract\n"
        "from grader import pipeline, sandbox\n"
        "from grader.batch.worker import Workshop\n"
        "from grader.errors import InfrastructureError\n"
        "from grader.sandbox import landlock\n"
        "from grader.sandbox.base import interpreter_folders\n"
        + ("harness.open_the_way(*interpreter_folders(), harness.ROOT)\n" if other_user else "landlock.os.geteuid = lambda: 1000\n")
        + "harness.refuse_landlock()\n"
        "def chosen(name):\n    try:\n        return sandbox.choose(name).name\n    except InfrastructureError as error:\n        return str(error)\n"
        "tries = ('spawn', 'fork', 'kill_parent', 'connect', 'udp', 'abstract', 'thread', 'work', 'rubric')\n"
        "container = chosen('container')\n"
        "box = sandbox.choose('container') if container == 'container' else None\n"
        "found = test_contract.attempt(box, *tries)[0] if box else {}\n"
        "try:\n    Workshop(pipeline.Options(sandbox='container', budget='none'), boxes=1)\n"
        "except InfrastructureError as error:\n    together = str(error)\n"
        "print(json.dumps([chosen('landlock'), container, box and box.probe().reason, together, found]))\n"
    )
    path = f"{ROOT}:{ROOT / 'tests'}:{Path(__file__).parent}"
    done = subprocess.run(
        [sys.executable, "-c", lines], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    landlock, container, reason, together, found = json.loads(done.stdout)
    assert "no Landlock" in landlock
    if not other_user:
        assert "a notebook could rewrite the grader and its report" in container
        return
    assert "the container alone keeps files apart, as user 65534" in reason
    assert "Grade one submission per container" in together
    assert (found["thread"], found["work"]) == ("threads 1", "own x")
    for name in ("spawn", "fork", "kill_parent", "connect", "udp", "abstract"):
        assert found[name].startswith("refused"), found
    assert found["rubric"].startswith("read")  # promised by nobody: SECURITY.md


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="bubblewrap, landlock, container, none"):
        sandbox.choose("jail")


def test_the_hosts_own_files_are_never_counted_against_a_box(box):
    """A box that is not yet through its set-up still sees the host's /tmp, which may hold any number of files."""
    assert private_inodes(os.getpid(), "/tmp") == 0
    assert attempt(box, "work", limits=replace(SMALL, files=200))[1].name == "ok"
