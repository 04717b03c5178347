"""The attacks on a box: held on every confining tier but for the named ones, and shown to succeed where nothing confines them."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from as_another_user import NOT_HERE
from click.testing import CliRunner
from harness import REQUIRE_ALL, ROOT

from grader import cli, sandbox
from grader.sandbox import folders, process
from grader.sandbox.cgroups import Group
from grader.sandbox.warm import AllWarm
from grader_attacks import boxes, session, suite
from grader_attacks.records import Attack, Outcome

QUICK = [attack for attack in suite.BOX_ATTACKS if not attack.alone]
ALONE = [attack for attack in suite.BOX_ATTACKS if attack.alone]
TIERS = ("bubblewrap", "landlock", "warm")
ENDS_A_FORKED_BOX = (
    "memory",
    "disk",
    "inodes",
    "threads",
    "processor",
    "deep_folders",
    "shared_memory_folder",
    "double_fork",
    "half_a_frame",
    "stopped",
    "own_group",
)
"""Of the attacks that end their box, those on what a forked box holds by other means than a started one."""


@contextmanager
def tier(name):
    """The sandbox; `warm` is bubblewrap with boxes that are forked, all from one process."""
    if name == "warm":
        with tier("bubblewrap") as cold, AllWarm(cold) as forking:
            yield forking
        return
    found = next(backend for backend in sandbox.BACKENDS if backend.name == name)
    state = found.probe()
    if not state.works:
        if REQUIRE_ALL:
            pytest.fail(state.reason)
        pytest.skip(state.reason)
    yield found


@cache
def quick(name):
    with tier(name) as box:
        return {outcome.attack.id: outcome for outcome in boxes.run(QUICK, box)}


def one(identifier, name):
    attack = next(attack for attack in suite.BOX_ATTACKS if attack.id == identifier)
    with tier(name) as box:
        (outcome,) = boxes.run([attack], box)
    return outcome


def expected(name, attack):
    return "open" if attack.id in suite.KNOWN_OPEN.get(name, {}) else "held"


@pytest.mark.parametrize("name", TIERS)
@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: attack.id)
def test_a_quick_attack_is_held_or_known(attack, name):
    outcome = quick(name)[attack.id]
    if outcome.state == "not_tried":
        pytest.skip(outcome.detail)
    assert outcome.state == expected(name, attack), outcome.detail


@pytest.mark.parametrize(
    ("name", "attack"),
    [
        pytest.param(name, attack, id=f"{name}-{attack.id}")
        for name in TIERS
        for attack in ALONE
        if name != "warm" or attack.id.partition(".")[2] in ENDS_A_FORKED_BOX
    ],
)
def test_an_attack_that_ends_its_box_is_held(attack, name):
    outcome = one(attack.id, name)
    if outcome.state == "not_tried":
        pytest.skip(outcome.detail)
    assert outcome.state == "held", outcome.detail


@pytest.mark.parametrize("attack", [attack for attack in QUICK if attack.control], ids=lambda attack: attack.id)
def test_a_quick_attack_succeeds_where_nothing_confines_it(attack):
    if attack.root and os.geteuid() != 0:
        pytest.skip("only root can do this anywhere")
    outcome = controls()[attack.id]
    if outcome.state == "not_tried":
        pytest.skip(outcome.detail)
    assert outcome.state == "open", outcome.detail


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a box to another user.")
@pytest.mark.parametrize(("name", "more", "lacking"), [("landlock", [], set()), ("container", ["no-landlock"], {"read.host_home"})])
def test_where_boxes_are_another_users_each_quick_attack_is_held_or_known(name, more, lacking):
    """`lacking`: what may be held by how this machine is set up."""
    line = [sys.executable, str(Path(__file__).parent / "as_another_user.py"), name, *more]
    done = subprocess.run(line, env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, capture_output=True, text=True, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {attack.id for attack in QUICK}
    opened = {identifier: detail for identifier, (state, detail) in found.items() if state == "open"}
    known = suite.KNOWN_OPEN[name].keys() & found.keys()
    assert opened.keys() - known == set(), opened
    assert {identifier for identifier in known - opened.keys() if found[identifier][0] != "not_tried"} <= lacking


@cache
def controls():
    with tier("none") as box:
        return {outcome.attack.id: outcome for outcome in boxes.run([attack for attack in QUICK if attack.control], box)}


@pytest.mark.parametrize("attack", [attack for attack in ALONE if attack.control], ids=lambda attack: attack.id)
def test_an_attack_of_its_own_box_succeeds_where_nothing_confines_it(attack, monkeypatch):
    monkeypatch.setattr(Group, "make", lambda _limits: None)  # a control group kills every survivor, on this tier too
    assert one(attack.id, "none").state == "open"


def test_memory_is_ended_by_name_and_by_nothing_else():
    """The proof `ended` means that a limit ended the box: the same attempt under a limit that it does not reach is open."""
    attack = next(attack for attack in suite.BOX_ATTACKS if attack.id == "ending.memory")
    box = boxes._Box(begun=[attack.id], words={attack.id: ("did", "held 768 MiB")}, ending="ok")
    with boxes.Bait() as bait:
        assert boxes._judge(attack, box, bait, "").state == "open"
        box = boxes._Box(begun=[attack.id], ending="overtime")
        assert boxes._judge(attack, box, bait, "").state == "open"
        box = boxes._Box(begun=[attack.id], ending="memory")
        assert boxes._judge(attack, box, bait, "").state == "held"


@pytest.mark.parametrize("identifier", ["ending.disk_mapped", "ending.disk_deleted"])
def test_what_is_deleted_is_counted(identifier, monkeypatch):
    """Without the count of deleted files these attacks reach their goal: the limit is what holds them, not chance."""
    monkeypatch.setattr(process, "unlinked_size", lambda *_: 0.0)
    assert one(identifier, "landlock").state == "open"


def test_what_is_mapped_is_counted_by_its_limit_where_it_cannot_be_measured(monkeypatch):
    monkeypatch.setattr(process, "_mapped_mib", lambda _pid, _addresses, most_mib: most_mib)
    assert one("ending.disk_mapped", "landlock").state == "held"


def test_a_tree_deeper_than_a_path_counts_as_too_many_and_can_be_removed(tmp_path):
    here = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    Path("top").mkdir()
    os.chdir("top")
    for _ in range(2600):
        Path("d").mkdir()
        os.chdir("d")
    os.fchdir(here)
    os.close(here)
    try:
        assert process.folder_size(tmp_path / "top", 10_000)[1] > 10_000
    finally:  # pytest itself cannot remove it
        folders.remove_folder(tmp_path / "top")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_listed_is_opened_and_counted(tmp_path):
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "a").write_bytes(b"x" * 8192)
    (tmp_path / "closed").chmod(0o300)
    assert process.folder_size(tmp_path, 100)[1] == 2


def test_every_attack_has_one_id_and_a_function():
    ids = [attack.id for attack in suite.BOX_ATTACKS]
    assert len(ids) == len(set(ids))
    sources = {path.stem: path.read_text(encoding="utf-8") for path in boxes.INSIDE.glob("*.py")}
    rooms = {"read": "reading", "write": "writing", "process": "processes", "network": "network", "ending": "endings", "frames": "frames"}
    missing = [name for name in ids if not re.search(rf"\b{name.partition('.')[2]}\b", sources[rooms[name.partition(".")[0]]])]
    assert missing == []
    assert {name for known in suite.KNOWN_OPEN.values() for name in known} <= set(ids)


def test_the_command_prints_counts_and_open_attacks_and_ends_with_1(monkeypatch):
    held = Attack(id="read.secret", family="read", what="Read a file.", proof="secret")
    known = next(attack for attack in suite.BOX_ATTACKS if attack.id == "read.file_size")
    outcomes = [Outcome(attack=held, state="held", detail="refused"), Outcome(attack=known, state="open", detail="size 1")]
    monkeypatch.setattr(session, "run", lambda _box, _store: iter(outcomes))
    done = CliRunner().invoke(cli.cli, ["doctor", "--attack", "--sandbox", "none"])
    assert done.exit_code == 1
    assert "read.file_size: Learn the size of a file of the host by its name." in done.output
    assert "1 of 2 attacks held, 1 open, 0 not tried" in done.output
    done = CliRunner().invoke(cli.cli, ["doctor", "--attack", "--sandbox", "none", "--json"])
    assert json.loads(done.output)["open"] == 1
    monkeypatch.setattr(session, "run", lambda _box, _store: iter(outcomes[:1]))
    assert CliRunner().invoke(cli.cli, ["doctor", "--attack", "--sandbox", "none"]).exit_code == 0


def test_the_reason_of_an_open_attack_is_printed():
    attack = next(attack for attack in suite.BOX_ATTACKS if attack.id == "read.file_size")
    printed = "\n".join(session.lines([Outcome(attack=attack, state="open", detail="size 1")], "landlock"))
    assert suite.KNOWN_OPEN["landlock"]["read.file_size"] in printed


def test_the_folder_of_attempts_travels_in_the_package():
    assert boxes.INSIDE.is_relative_to(ROOT / "grader_attacks")
    assert (boxes.INSIDE / "tries.py").exists()
