"""Kept verdicts: found again, never trusted when damaged, safe under concurrent writers."""

import json
import multiprocessing
import threading
from dataclasses import replace

import pytest
from click.testing import CliRunner
from training_samples import Recorded, bands, specification

from grader.cli import cli
from grader.records import Training
from grader.training.cache import Cache
from grader.training.course import SHORT
from grader.training.measure import Setting, judge

KEY = "ab" * 32
VERDICT = replace(judge(Recorded(lambda *_: "dies"), "base", specification(), Setting(bands=bands(), budget=SHORT)), seconds=12.5)


def test_what_was_put_is_got_and_marked(tmp_path):
    cache = Cache(tmp_path)
    assert cache.get(KEY) is None
    assert cache.put(KEY, VERDICT)
    assert cache.get(KEY) == replace(VERDICT, cached=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"dead"', '"learns"'),
        lambda text: text.replace(KEY, "cd" * 32),
        lambda text: text.replace("training-cache/v1", "training-cache/v9"),
        lambda _: "",
        lambda _: "null",
        lambda _: "\x00" * 100,
        lambda text: json.dumps({**json.loads(text), "training": {"role": "base"}}),
    ],
)
def test_a_damaged_entry_is_never_used(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.put(KEY, VERDICT)
    path = next(tmp_path.glob("??/*.json"))
    path.write_text(damage(path.read_text()))
    assert cache.get(KEY) is None
    assert [entry.state for entry in cache.entries()] == ["damaged"]
    assert cache.put(KEY, VERDICT), "it is mended by the next run"
    assert cache.get(KEY) is not None


def test_what_a_deadline_or_a_lack_cut_short_is_not_kept(tmp_path):
    cache = Cache(tmp_path)
    assert not cache.put(KEY, Training(role="base", verdict="not_measured"))
    cut = replace(VERDICT, reruns=(replace(VERDICT.reruns[0], ending="cut"), *VERDICT.reruns[1:]))
    assert not cache.put(KEY, cut)
    found = VERDICT.counterfactuals[0]
    assert not cache.put(KEY, replace(VERDICT, counterfactuals=(replace(found, rerun=replace(found.rerun, ending="cut")),)))
    assert list(cache.entries()) == []


def test_a_folder_that_cannot_be_written_costs_no_verdict(tmp_path):
    (tmp_path / "file").write_text("")
    assert not Cache(tmp_path / "file").put(KEY, VERDICT)


def _write(folder, times):
    for _ in range(times):
        assert Cache(folder).put(KEY, VERDICT)


def test_concurrent_writers_and_readers_see_whole_entries_only(tmp_path):
    _write(tmp_path, 1)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, 40)) for _ in range(2)]
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            seen.append(Cache(tmp_path).get(KEY) is not None)

    reader = threading.Thread(target=read)
    for writer in writers:
        writer.start()
    reader.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen
    assert all(seen)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{KEY}.json"], "no temporary file is left"


def test_the_command_shows_verifies_and_clears(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADER_CACHE", str(tmp_path))
    cache = Cache(tmp_path)
    cache.put(KEY, VERDICT)
    cache.put("cd" * 32, VERDICT)
    (tmp_path / "cd" / f"{'cd' * 32}.json").write_text("{}")
    run = CliRunner().invoke
    shown = run(cli, ["cache", "status"])
    assert "2 verdicts" in shown.output
    assert "1 damaged" in shown.output
    assert "dead: 1" in shown.output
    found = run(cli, ["cache", "verify"])
    assert found.exit_code == 6
    assert f"damaged: {'cd' * 32}" in found.output
    assert "1 removed" in run(cli, ["cache", "verify", "--remove"]).output
    assert run(cli, ["cache", "verify"]).exit_code == 0
    assert "1 verdict removed" in run(cli, ["cache", "clear"]).output
    assert list(cache.entries()) == []
