"""Warm boxes beside their contract (test_contract.py): when they are forked, when not, and what takes a dead zygote's place."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from harness import REQUIRE_ALL, ROOT, small_store, warm_box1

from grader import dataset, notebook, rubric
from grader.errors import InfrastructureError
from grader.records import Cell
from grader.sandbox import Job, Limits, warm
from grader.sandbox.base import threads_environment
from grader.sandbox.bubblewrap import Bubblewrap
from grader.sandbox.landlock import Landlock
from grader.sandbox.notebook_run import PROGRAM, collect_notebook, start_notebook
from grader.sandbox.warm import AllWarm, Warm, WarmPool

ATTEMPTS = Path(__file__).resolve().parent / "attempts"
THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
SMALL = Limits(wall_s=30, cell_s=10, memory_mib=512, files=2000, disk_mib=64, output_mib=2)


@pytest.fixture
def cold():
    state = Bubblewrap().probe()
    if not state.works:
        if REQUIRE_ALL:
            pytest.fail(state.reason)
        pytest.skip(state.reason)
    return Bubblewrap()


def job(*tries, readable=()):
    places = {"package": "/none", "repository": "/none", "outside": "/none", "secret": "/none", "port": 9}
    return Job(program=ATTEMPTS, module="tries", spec={"tries": tries, **places}, readable=readable)


def run(sandbox, *tries, readable=(), limits=SMALL):
    found = {}
    with sandbox.start(job(*tries, readable=readable), limits) as running:
        while (frames := running.read()) is not None:
            for kind, body in frames:
                if kind == "result":
                    found.update(body)
    return found, running.ending


def test_one_zygote_serves_many_boxes(cold):
    with Warm(cold, job()) as sandbox:
        for _ in range(3):
            found, ending = run(sandbox, "work", "thread")
            assert (found, ending.name) == ({"work": "own x", "thread": "threads 1"}, "ok")
        residents = sandbox.residents
        assert len(residents) >= 2
        assert (sandbox.replaced, sandbox.lack) == (0, "")
    until = time.monotonic() + 5  # the ones inside end a moment after bubblewrap
    while time.monotonic() < until and any(Path(f"/proc/{pid}").exists() for pid in residents):
        time.sleep(0.02)
    assert not [pid for pid in residents if Path(f"/proc/{pid}").exists()]


def test_a_killed_zygote_is_replaced(cold):
    with Warm(cold, job()) as sandbox:
        run(sandbox, "work")
        for pid in sandbox.residents:
            with contextlib.suppress(ProcessLookupError):  # the first one that is killed ends the others
                os.kill(pid, signal.SIGKILL)
        assert run(sandbox, "work")[1].name == "ok"
        assert (sandbox.replaced, sandbox.lack) == (1, "")


def test_after_so_many_boxes_the_zygote_is_replaced(cold):
    with Warm(cold, job(), most_boxes=2) as sandbox:
        first = None
        for number in range(3):
            run(sandbox, "work")
            first = first or sandbox.residents
            assert (set(sandbox.residents) == set(first)) == (number < 2)


def test_a_job_of_another_kind_is_started_cold(cold, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "a.txt").write_text("four", encoding="utf-8")
    with Warm(cold, job()) as sandbox:
        with sandbox.start(job("work", readable=(tmp_path,)), SMALL) as running:
            assert isinstance(running._process, subprocess.Popen)
            while running.read() is not None:
                pass
        with sandbox.start(job("work"), SMALL) as running:
            assert isinstance(running._process, warm.Forked)
            while running.read() is not None:
                pass


def test_where_it_cannot_be_forked_boxes_are_cold_and_it_is_said(cold, monkeypatch):
    def broken(*_arguments, **_options):
        return ["bwrap", "--no-such-option"]

    monkeypatch.setattr(warm.bubblewrap, "arguments", broken)
    with Warm(cold, job()) as sandbox:
        monkeypatch.setattr(Bubblewrap, "start", lambda self, job, limits: Landlock().start(job, limits))
        assert run(sandbox, "work")[1].name == "ok"
        assert "no-such-option" in sandbox.lack or "Unknown option" in sandbox.lack, sandbox.lack
        assert run(sandbox, "work")[1].name == "ok"
    with AllWarm(cold) as every, pytest.raises(InfrastructureError, match="cold"):
        every.start(job("work"), SMALL)


def test_where_user_namespaces_do_not_nest_boxes_are_cold_and_it_is_said(cold, monkeypatch):
    """The fork itself works there; the box must not be let loose without namespaces of its own, and the class must not fail."""
    real = warm.bubblewrap.arguments
    monkeypatch.setattr(warm.bubblewrap, "arguments", lambda *given: [*real(*given), "--disable-userns"])
    with Warm(cold, job()) as sandbox:
        monkeypatch.setattr(warm.bubblewrap.Bubblewrap, "start", lambda self, job, limits: Landlock().start(job, limits))
        assert run(sandbox, "work")[1].name == "ok"
        assert "unshare" in sandbox.lack, sandbox.lack


def test_a_pool_gives_each_thread_a_box_and_takes_it_back(cold):
    with WarmPool(cold, job(), 2) as pool:
        at_once, most, lock, results = 0, 0, threading.Lock(), []

        def work():
            nonlocal at_once, most
            with pool.start(job("work"), SMALL) as running:
                with lock:
                    at_once += 1
                    most = max(most, at_once)
                while running.read() is not None:
                    pass
                with lock:
                    at_once -= 1
                results.append(running.ending.name)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == ["ok"] * 6
        assert most == 2
        assert pool.lacks == ()


def test_a_pool_of_another_tier_says_that_it_forks_nothing():
    pool = WarmPool(Landlock(), job(), 1)
    assert "landlock forks none" in pool.lacks[0]


CASES = (
    "honest_functional", "full_german_functional_builder", "honest_subclassed_model", "old_sgd_lr_decay", "augmentation_image_data_generator",
    "wrong_not_normalised", "messy_name_error_late", "hostile_forges_frames",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_notebook_leaves_the_same_record_from_a_forked_box_as_from_a_cold_one(cold, case):
    """Frame by frame: models, calls, data, plots, histories, notes and outputs. What has a time in it is left out, and what was measured of rows that chance chose."""
    anchors = notebook.load_anchors(rubric.load("all_cnn_c").folder / "anchors.toml")
    read = notebook.read((ROOT / "tests" / "notebooks" / case / "submission.ipynb").read_bytes(), anchors)
    data = dataset.ensure(small_store()).folder

    def record(sandbox):
        with start_notebook(read.cells, sandbox, Limits(), data) as running:
            found = collect_notebook(running, read.cells, Limits())
        cells = tuple(replace(cell, seconds=0.0, outputs=tuple(out for out in cell.outputs if out.kind != "png")) for cell in found.cells)
        fits = tuple(replace(fit, train=steady(fit.train), validation=steady(fit.validation)) for fit in found.fits)
        evaluations = tuple(replace(call, data=steady(call.data)) for call in found.evaluations)
        variables = tuple(steady(variable) for variable in found.variables)
        return replace(found, cells=cells, seconds=0.0, peak_mib=0.0, fits=fits, evaluations=evaluations, variables=variables)

    def steady(data):
        if data is None or data.recipe is None:
            return data and replace(data, minimum=None, maximum=None, mean=None, std=None)
        numbers = {name: tuple(round(number, 4) for number in getattr(data.recipe, name)) for name in ("scale", "offset")}
        recipe = replace(data.recipe, **numbers, residual=0.0)
        return replace(data, minimum=None, maximum=None, mean=None, std=None, recipe=recipe)

    assert record(warm_box1(data)) == record(cold)


def test_a_box_computes_with_its_share_of_the_threads_and_a_training_with_all(cold):
    data = dataset.ensure(small_store()).folder
    cells = (Cell(index=0, kind="code", source="import os\nprint({os.environ[name] for name in NAMES})".replace("NAMES", str(THREADS))),)
    shared = Job(program=PROGRAM, module="box1", readable=(data,), threads=1)
    every = min(len(os.sched_getaffinity(0)), 8)
    for train, expected in ((None, 1), ({"fit": 0, "images": 64, "seconds": 1.0}, every)):
        with Warm(cold, shared) as sandbox, start_notebook(cells, sandbox, Limits(), data, train=train) as running:
            assert isinstance(running._process, warm.Forked)
            record = collect_notebook(running, cells, Limits())
        assert [output.data for output in record.cells[0].outputs] == [f"{{{str(expected)!r}}}\n"]
    assert threads_environment(None)["TF_NUM_INTRAOP_THREADS"] == str(every)
