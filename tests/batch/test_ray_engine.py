"""The engine on real Ray clusters of this machine: several raylets, real notebooks in real boxes, and what dies on the way."""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from harness import REQUIRE_ALL, ROOT, small_store, store

import grader
from grader import dataset, pipeline, rubric
from grader.batch import ray_engine
from grader.batch.engine import Local
from grader.batch.ray_engine import Cluster, Opened, differs, room_of, share_of
from grader.batch.supervisor import Progress, Supervisor, Work
from grader.batch.worker import Item
from grader.errors import InfrastructureError, UsageError
from grader.sandbox.process import descendants

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None and not REQUIRE_ALL, reason="Ray is not installed")
pytestmark = [
    pytest.mark.timeout(600),  # on a busy machine a raylet alone takes half a minute to start
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # Ray's own processes and sockets
]
PATIENCE_S = 240.0
JOINS_S = 60.0
SLOW_S = 15


def options(**given):
    return pipeline.Options(**{"store": small_store(), "formats": ("json",), "budget": "none", **given})


def item(name, number=0):
    """A notebook of the corpus; as another content for every `number`."""
    data = (ROOT / "tests" / "notebooks" / name / "submission.ipynb").read_bytes()
    return Item(content=f"{name}-{number}", sha256=hashlib.sha256(data).hexdigest(), data=data)


def until(condition, engine=None):
    """Wait for a condition, and meanwhile let the engine do its work. Returns what it answered."""
    found, end = [], time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        found += engine.done(0.2) if engine else [time.sleep(0.2)]
    return found


def slow_item():
    """A notebook that takes over a quarter of a minute, so that what happens meanwhile happens while it runs."""
    notebook = nbformat.reads(item("wrong_last_layer_relu").data.decode(), as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import time\ntime.sleep({SLOW_S})"))
    data = nbformat.writes(notebook).encode()
    return Item(content="slow", sha256=hashlib.sha256(data).hexdigest(), data=data)


def answers(engine, items):
    """Content -> what came of it, each of them once."""
    for one in items:
        engine.submit(one)
    found = {}
    while len(found) < len(items):
        for done in engine.done(1.0):
            assert done.item.content not in found
            found[done.item.content] = done
    return found


def verdict(done):
    """What an answer says, without what differs between two runs of the same."""
    assert done.answer is not None, done.lost
    report = json.loads(done.answer.files["report.json"])
    assert report == json.loads(done.answer.graded.report)
    kept = {name: value for name, value in report.items() if name not in ("timings", "environment", "cells")}
    return {**kept, "cells": [(cell["index"], cell["status"]) for cell in report["cells"]]}, done.answer.score, done.answer.max_score


def alive(pids):
    """Those of the processes {pid: start time} that run still; a zombie does not."""
    return {pid: started for pid, started in pids.items() if _started(pid) == started}


def _started(pid):
    with contextlib.suppress(OSError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return None if state == "Z" else int(rest[18])
    return None


def family(pid):
    """The processes below `pid` (a worker's: its boxes and what runs in them), with their start times."""
    return {child: started for child in descendants(pid) if (started := _started(child)) is not None}


# ------------------------------------------------------------------ without a cluster


@pytest.mark.parametrize(
    ("memory", "card", "share"),
    [(None, 81559, 1.0), (20000, 0, 1.0), (20000, 81559, 0.2453), (100_000, 81559, 1.0), (81559, 81559, 1.0), (1, 81559, 0.0001)],
)
def test_the_share_of_a_gpu_is_the_declared_memory_over_the_cards(memory, card, share):
    assert share_of(memory, card) == share


@pytest.mark.parametrize(
    ("cpus", "gpus", "share", "room"),
    [
        (8, 0, 0.0, 8),
        (8, 1, 0.2453, 4),
        (8, 2, 0.2453, 8),
        (2, 1, 0.2453, 2),
        (8, 2, 1.0, 2),
        (8, 2, 0.5001, 2),
        (9, 1, 0.1, 9),
        (30, 3, 0.3333, 9),
    ],
)
def test_a_node_has_a_slot_a_processor_but_no_more_than_its_cards_hold(cpus, gpus, share, room):
    assert room_of(cpus, gpus, share) == room


def test_a_node_that_would_mark_otherwise_takes_no_part():
    ours = Opened(version="1", dataset="cifar10:aa", rubric="r")
    assert not differs(Opened(version="1", dataset="cifar10:aa", rubric="r", lacks=("slow",)), ours)
    assert "grader 2, this machine 1" in differs(Opened(version="2", dataset="cifar10:aa", rubric="r"), ours)
    assert "images standin:bb" in differs(Opened(version="1", dataset="standin:bb", rubric="r"), ours)
    assert "rubric" in differs(Opened(version="1", dataset="cifar10:aa", rubric="s"), ours)


def test_ray_is_an_extra(monkeypatch):
    lines = "import sys, grader.batch.ray_engine; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", lines], check=False).returncode == 0
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'grader\[ray\]'"):
        Cluster(options(), jobs=1, address=None, gpu_memory_mib=None)


@pytest.fixture(autouse=True)
def alone():
    """One cluster at a time on this machine, whichever worker of the suite starts it."""
    with (Path(tempfile.gettempdir()) / f"grader-ray-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@needs_ray
@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("ray://head:10001", UsageError, "expected HOST:PORT"),
        ("head", UsageError, "expected HOST:PORT"),
        ("127.0.0.1:9", InfrastructureError, "nothing answers there"),
    ],
)
def test_an_address_where_no_cluster_is(address, error, words):
    with pytest.raises(error, match=words):
        Cluster(options(), jobs=1, address=address, gpu_memory_mib=None)


# ------------------------------------------------------------------ on a cluster


def ports():
    """Free ports for a node's helpers: a raylet that has to be told theirs waits 15 s, which a busy machine does not keep."""
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as other:
        return {"metrics_agent_port": one.getsockname()[1], "runtime_env_agent_port": other.getsockname()[1]}


@pytest.fixture(scope="module")
def cluster():
    """A cluster on which this machine's node has no processors to give; every test adds the nodes that it wants."""
    ray_engine._ray()  # with its settings of the environment
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **ports()})
    yield nodes
    nodes.shutdown()


@pytest.fixture
def add(cluster):
    """Starts nodes and ends them after the test."""
    added = []

    def joined(node):
        patience = time.monotonic() + JOINS_S
        while time.monotonic() < patience:
            if node.node_id in cluster.global_state._live_node_ids():
                return True
            time.sleep(0.1)
        return False

    def add(cpus=1, gpus=0, **env):
        for _ in range(3):  # a port may be taken between `ports` and the node's start; it ends then
            node = cluster.add_node(num_cpus=cpus, num_gpus=gpus, env_vars=env, wait=False, **ports())
            if joined(node):
                added.append(node)
                return node
            cluster.remove_node(node, allow_graceful=False)
        raise AssertionError("no node could be started in three tries")

    yield add
    for node in added:
        if node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)


@pytest.fixture
def started(cluster):
    """Opens engines on the cluster once it has as many nodes; afterwards they are closed, and no box of theirs is left."""
    opened, seen = [], {}

    def started(nodes, jobs=None, **given):
        gpu_memory_mib = given.pop("gpu_memory_mib", None)
        opened.append(Cluster(options(**given), jobs=jobs, address=cluster.address, gpu_memory_mib=gpu_memory_mib))
        engine = opened[-1]
        until(lambda: engine.slots >= nodes, engine)
        seen.update({pid: _started(pid) for pid in pids(engine).values()})
        for pid in pids(engine).values():
            seen.update(family(pid))
        return engine

    yield started
    for engine in opened:
        try:
            for pid in pids(engine).values():
                seen.update(family(pid))
        finally:  # an engine that stays open would fail every test after this one, too
            engine.close()
            engine.close()
    until(lambda: not alive(seen))


def pids(engine):
    """Worker -> process of every idle slot that lives."""
    found = {}
    for slot in engine._slots:
        if slot.ready and slot.waits is None:
            with contextlib.suppress(engine._ray.exceptions.RayActorError):
                found[slot.name] = engine._ray.get(slot.actor.ping.remote(), timeout=60)
    return found


def kill(node):
    """End a node's raylet as a power failure would; it is reaped, because its workers look whether it is there."""
    process = node.all_processes["raylet"][0].process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@needs_ray
@pytest.mark.slow
def test_a_cluster_says_what_this_machine_says_and_leaves_out_a_node_with_other_images(add, started, tmp_path, monkeypatch):
    folder = tmp_path / "alice-sensitive"
    folder.mkdir()
    (folder / "nbformat.py").write_text("raise SystemExit('a file of a student was imported')\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    for _ in range(2):
        add(GRADER_DATA=str(small_store()))
    add(GRADER_DATA=str(store()))  # the made-up images, ten times as many
    monkeypatch.setenv("GRADER_DATA", str(small_store()))
    dataset.ensure(store())
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    mine = signal.getsignal(signal.SIGTERM)
    try:
        engine = started(2, store=None)
        assert signal.getsignal(signal.SIGTERM) is mine  # Ray has its own, which ends a run out of order
    finally:
        signal.signal(signal.SIGTERM, before)
    assert engine.slots == 2
    assert [lack for lack in engine.lacks if "It has the images standin:" in lack], engine.lacks
    items = [item("full_reference"), item("file_empty")]
    found = answers(engine, items)
    assert len({done.worker for done in found.values()}) == 2
    with Local(options(), jobs=1) as local:
        assert engine.dataset == local.dataset
        expected = answers(local, items)
    assert {name: verdict(done) for name, done in found.items()} == {name: verdict(done) for name, done in expected.items()}
    assert found["full_reference-0"].answer.graded.status == "graded"

    ray = engine._ray  # what the cluster was told of this process, and where its workers import from
    assert {job["Entrypoint"] for job in ray._private.state.jobs() if not job["IsDead"]} == {"grade batch"}
    folders = ray.get(ray.remote(lambda: sys.path).options(num_cpus=0).remote())
    assert str(folder) not in folders
    assert "" not in folders


class _Told:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.sentences = []

    def recorded(self, students, answer, progress):
        pass

    def tick(self, progress):
        pass

    def tell(self, sentence):
        self.sentences.append(sentence)


@needs_ray
@pytest.mark.slow
def test_a_node_is_killed_midway_another_joins_and_everything_is_answered_once(cluster, add, started, capfd):
    nodes = [add(), add()]
    engine = started(2)
    kept, told = Counter(), _Told()
    before = {pid: (engine._homes[name], _started(pid)) for name, pid in pids(engine).items()}
    assert {home for home, _ in before.values()} == {node.node_id for node in nodes}
    victims = []

    def record(graded):
        kept[graded.content] += 1
        assert graded.status in ("graded", "ungradable"), graded.staff
        if not victims:
            (at_work,) = (slot for slot in engine._slots if slot.item is not None and slot.item.content == "slow")
            victims.extend(node for node in nodes if node.node_id == at_work.node.id)
            kill(*victims)
            add()
        return True

    items = [slow_item(), item("file_empty"), item("wrong_last_layer_relu")]
    works = [Work(content=one.content, students=(f"sub_{one.content}",), load=lambda one=one: one) for one in items]
    Supervisor(engine, record, told, Progress(total=len(works)), options()).grade(works)
    assert kept == dict.fromkeys((one.content for one in items), 1)
    (victim,) = victims
    (sentence,) = told.sentences
    assert "sub_slow: its worker was lost" in sentence
    until(
        lambda: (
            {slot.node.id for slot in engine._slots if slot.ready} == {node.node_id for node in cluster.worker_nodes} - {victim.node_id}
        ),
        engine,
    )
    newcomers = {node.node_id for node in cluster.worker_nodes} - {node.node_id for node in nodes}
    assert newcomers <= {slot.node.id for slot in engine._slots}
    assert newcomers  # by now every node but the victim has a slot that is ready
    until(lambda: not alive({pid: start for pid, (home, start) in before.items() if home == victim.node_id}))
    assert "raylet" not in "".join(capfd.readouterr())  # what Ray has to say does not come between our lines


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_loses_its_item_takes_its_boxes_along_and_is_replaced(add, started):
    add(cpus=1)
    engine = started(1)
    (name, pid), *_ = pids(engine).items()
    idle = family(pid)
    assert idle, "box 2 is not there"
    engine.submit(item("full_reference"))
    until(lambda: len(family(pid)) > len(idle) + 2)  # box 1 runs
    boxes = {pid: _started(pid), **family(pid)}
    os.kill(pid, signal.SIGKILL)
    found = []
    until(lambda: found or found.extend(engine.done(0.2)))
    assert [(done.item.content, done.answer, done.worker) for done in found] == [("full_reference-0", None, name)]
    assert "ActorDiedError" in found[0].lost
    assert "\n" not in found[0].lost
    until(lambda: not alive(boxes))
    engine.submit(item("file_empty"), avoid=name)  # the only node there is, so its new worker
    done = until(lambda: engine._waiting == [] and engine.slots and not any(slot.item for slot in engine._slots), engine)
    assert [(one.answer.graded.status, one.answer.graded.worker != name) for one in done] == [("ungradable", True)]

    (second, pid), *_ = pids(engine).items()  # killed while it idles: nothing is lost
    os.kill(pid, signal.SIGKILL)
    time.sleep(ray_engine._FRESH_S + 0.5)
    done = answers(engine, [item("file_empty")])["file_empty-0"]
    assert done.answer is not None
    assert done.worker not in (name, second)


@needs_ray
@pytest.mark.slow
def test_a_head_that_is_gone_ends_the_run_in_order_and_keeps_what_was_recorded(monkeypatch):
    monkeypatch.setattr(ray_engine, "_HEADLESS_S", 3.0)
    ray_engine._ray()
    from ray.cluster_utils import Cluster as Nodes

    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **ports()})
    engine = None
    try:
        engine = Cluster(options(), jobs=1, address=nodes.address, gpu_memory_mib=None)
        kept, (pid,) = [], pids(engine).values()
        boxes = {pid: _started(pid), **family(pid)}

        def record(graded):
            kept.append(graded.content)
            if len(kept) == 1:
                server = nodes.head_node.all_processes["gcs_server"][0].process
                server.kill()
                server.wait()
            return True

        items = [item("file_empty"), slow_item()]
        works = [Work(content=one.content, students=(f"sub_{one.content}",), load=lambda one=one: one) for one in items]
        with pytest.raises(InfrastructureError, match="head .* has not answered for 3 s. What was graded by then is recorded"):
            Supervisor(engine, record, _Told(), Progress(total=len(works)), options()).grade(works)
        assert kept == ["file_empty-0"]
        boxes.update(family(pid))
        before = time.monotonic()
        engine.close()
        assert time.monotonic() - before < 45  # of Ray's own minute, after which this process would be gone
        assert not engine._ray.is_initialized()
    finally:
        if engine is not None:
            engine.close()
        nodes.shutdown()
    until(lambda: not alive(boxes))


@needs_ray
@pytest.mark.slow
def test_gpus_are_lent_in_fractions_and_a_lost_item_goes_to_another_node(add, started, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 81559\n", encoding="utf-8")
    tool.chmod(0o755)
    add(cpus=3, gpus=1, PATH=f"{tmp_path}:{os.environ['PATH']}")
    add(cpus=1)
    engine = started(3, gpu_memory_mib=40_000)
    homes = Counter(slot.node.id for slot in engine._slots)
    assert sorted(homes.values()) == [1, 2]  # two halves of the card, and the node without one
    ray = engine._ray
    assert ray.available_resources().get("GPU", 0.0) == pytest.approx(1 - 2 * 0.4905, abs=1e-3)
    with_card = next(slot.name for slot in engine._slots if homes[slot.node.id] == 2)
    for number in range(2):
        engine.submit(item("file_empty", number), avoid=with_card)
    found = []
    while len(found) < 2:
        found += engine.done(1.0)
    assert {homes[engine._homes[done.worker]] for done in found} == {1}


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"device": "gpu"}, "It has no GPU"),
        ({"sandbox": "no-such"}, "--sandbox no-such"),
    ],
)
def test_where_no_node_can_grade_it_says_why(add, started, given, words):
    add()
    with pytest.raises(InfrastructureError, match=words):
        started(1, **given)


@needs_ray
@pytest.mark.slow
def test_a_rubric_of_the_instructors_own_is_found_from_any_folder_and_a_cluster_of_ones_own_ends_with_the_engine(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    folder = tmp_path / "own"
    folder.mkdir()
    built_in = rubric.load("all_cnn_c").folder
    for path in built_in.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert not ray.is_initialized()
    before = set(family(os.getpid()))  # the suite's own children (a database server, say) live on
    with Cluster(options(rubric="own"), jobs=1, address=None, gpu_memory_mib=None) as engine:
        assert engine.slots == 1
        processes = {pid: started for pid, started in family(os.getpid()).items() if pid not in before}
        done = answers(engine, [item("file_empty")])["file_empty-0"]
        report = json.loads(done.answer.graded.report)
        assert (report["status"], report["rubric"]["sha256"]) == ("ungradable", rubric.load("own").sha256)
        assert report["environment"]["grader"] == grader.__version__
    assert not ray.is_initialized()
    assert processes
    until(lambda: not alive(processes))
