"""`grade batch` as it is run: real notebooks, real boxes, a gradebook on each database; killed, resumed, regraded."""

import json
import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import kills
import pytest
from harness import grade_file, small_store
from test_endings import MODEL, notebook

from grader import pipeline
from grader.batch import session
from grader.batch.engine import Done, Local
from grader.batch.gradebook import Gradebook
from grader.batch.shelf import Shelf
from grader.batch.supervisor import Progress, Supervisor, Work
from grader.batch.worker import Item, Workshop
from grader.errors import InfrastructureError, NothingToGrade, UsageError

pytestmark = pytest.mark.slow


class Heard:
    """A watcher that keeps what it is told."""

    def __init__(self, progress=None):
        self.progress = progress
        self.results, self.said = [], []

    def recorded(self, students, answer, progress):
        self.results.append((students, answer.graded.status))

    def tick(self, progress):
        pass

    def tell(self, sentence):
        self.said.append(sentence)

    def close(self):
        pass


def put(folder, name, *sources):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(json.dumps(notebook(*sources)), encoding="utf-8")
    return path


def run(folder, gradebook, out, **changes):
    """One `grade batch`; what it ended with, and what it said."""
    options = pipeline.Options(budget="none", store=small_store(), formats=("html",))
    plan = session.Plan(paths=(folder,), gradebook=str(gradebook), options=options, out=out, key=out.parent / "who.key", jobs=2)
    heard, watch = watching()
    return session.grade_class(replace(plan, **changes), watch), heard[0]


def watching():
    """(a list that gets the watcher, what makes one)."""
    heard = []

    def watch(progress):
        heard.append(Heard(progress))
        return heard[0]

    return heard, watch


def standings(gradebook):
    with Gradebook.open(str(gradebook)) as book:
        return {standing.student: standing for standing in book.standings()}


def test_a_class_is_graded_once_and_told_by_pseudonym(where, tmp_path):
    folder, out = tmp_path / "class", tmp_path / "out"
    put(folder, "doe_jane", MODEL)
    put(folder, "roe_richard", MODEL, "1 / 0")
    shutil.copy(folder / "doe_jane.ipynb", folder / "poe_copy.ipynb")
    (folder / "moe_text.ipynb").write_text("no notebook", encoding="utf-8")
    put(folder, "loe_other", "print('hello')")
    ended, heard = run(folder, where, out)
    assert (ended.exit_code, ended.progress.done) == (0, 4), heard.said
    assert ended.counts == {"graded": 3, "ungradable": 2}
    found = standings(where)
    single = grade_file(folder / "doe_jane.ipynb", store=small_store()).report
    contents = Counter(standing.content for standing in found.values())
    shared = [standing for standing in found.values() if contents[standing.content] == 2]
    assert [standing.report.criteria == single.criteria for standing in shared] == [True, True]  # one grading for both
    assert {status for _, status in heard.results} == {"graded", "ungradable"}
    assert sorted(len(students) for students, _ in heard.results) == [1, 1, 1, 2]
    written = {path.parent.name: path for path in (out / "reports").glob("*/report.html")}
    assert written.keys() == found.keys()
    everything = [path for path in out.rglob("*") if path.is_file()] + ([Path(where)] if "://" not in str(where) else [])
    for path in everything:
        data = path.read_bytes()
        assert not [name for name in (b"jane", b"richard", b"poe_copy", b"moe_text") if name in data], path
    again, silent = run(folder, where, out)
    assert (again.progress.done, again.progress.already, silent.results) == (0, 4, [])
    assert standings(where).keys() == found.keys()


def test_a_later_attempt_replaces_and_a_regrade_adds(tmp_path):
    folder, out, book = tmp_path / "class", tmp_path / "out", tmp_path / "class.db"
    put(folder, "a", "x = 1", "from tensorflow.keras.datasets import cifar10")
    run(folder, book, out)
    (before,) = standings(book).values()
    put(folder, "a", MODEL)
    ended, _ = run(folder, book, out)
    (after,) = standings(book).values()
    assert (ended.progress.done, after.attempts, after.score > before.score) == (1, 2, True)
    shown = json.loads((out / "reports" / after.student / "report.json").read_text(encoding="utf-8"))
    assert shown["score"] == after.report.score
    for wanted, done in (("status=needs_review", 0), ("criterion=model.parameters", 1), (f"student={after.student}", 2), ("all", 2)):
        ended, _ = run(folder, book, out, regrade=(wanted,))
        assert ended.progress.done == min(done, 1), wanted  # the first attempt's notebook is no longer handed in
    with Gradebook.open(str(book)) as opened:
        gradings = {attempt.content: len(attempt.gradings) for attempt in kills.history(opened, after.student)}
    assert sorted(gradings.values()) == [1, 4]
    with pytest.raises(UsageError, match="--regrade"):
        run(folder, book, out, regrade=("everything",))


def test_who_is_not_in_this_download_is_no_failure_of_this_run(tmp_path):
    """Graded under another key, and not handed in again: waiting, but not for this run. (exit code 6 would say: run the same command again)"""
    for name in ("first", "second"):
        put(tmp_path / name, name, f"print('{name}')")
    run(tmp_path / "first", tmp_path / "class.db", tmp_path / "out")
    options = pipeline.Options(budget="none", store=small_store(), formats=("html",), seed=1)
    ended, _ = run(tmp_path / "second", tmp_path / "class.db", tmp_path / "out", options=options)
    assert (ended.exit_code, ended.left, ended.counts) == (0, 0, {"ungradable": 1, "waiting": 1})


def test_nothing_handed_in_says_so(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "roster.csv").write_bytes(b"a,b")
    with pytest.raises(NothingToGrade, match=r"roster\.csv"):
        run(tmp_path / "class", tmp_path / "class.db", tmp_path / "out")


@pytest.mark.timeout(600)
def test_kill_9_again_and_again_loses_and_doubles_nothing(where, tmp_path):
    kills.make_class(tmp_path / "class", 10, seed=3)
    calm = kills.start(tmp_path / "class", tmp_path / "calm.db", tmp_path / "calm")
    said, _ = calm.communicate(timeout=300)
    assert calm.returncode in (0, 3, 6), said
    left = []
    made, _, _ = kills.disturbed(
        tmp_path / "class", where, tmp_path / "killed", 3, 1, 14.0, between=lambda: (time.sleep(0.5), left.extend(mine(tmp_path)))
    )
    assert made
    undisturbed, found = kills.result(tmp_path / "calm.db"), kills.result(where)
    assert set(found.times.values()) == {1}
    assert found.marks == undisturbed.marks
    assert left == []


def mine(folder):
    """Processes that were given this test's folder."""
    mark, found = str(folder).encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found += [entry.name] if mark in (entry / "cmdline").read_bytes() else []
            except OSError:
                continue
    return found


def options():
    return pipeline.Options(budget="none", store=small_store(), formats=())


def item(name, *sources):
    data = json.dumps(notebook(*sources)).encode()
    return Item(content=name, sha256=name, data=data)


def residents(workshop):
    """The processes that stay between boxes."""
    return [pid for pool in (workshop._pool, workshop._pages) for warm in pool._all for pid in getattr(warm, "residents", ())]


def test_a_killed_zygote_costs_no_points_and_is_replaced():
    with Workshop(options(), boxes=1) as workshop:
        if workshop.lacks:
            pytest.fail(str(workshop.lacks)) if os.environ.get("GRADER_REQUIRE_ALL") == "1" else pytest.skip(str(workshop.lacks))
        plain = workshop.grade(item("a", MODEL))
        zygotes = residents(workshop)
        for pid in zygotes:
            os.kill(pid, signal.SIGKILL)
        again = workshop.grade(item("a", MODEL))
        assert again.score == plain.score
        assert not set(zygotes) & set(residents(workshop))


def test_a_zygote_that_dies_under_a_notebook_is_the_machines_failure():
    with Local(options(), jobs=1) as engine:
        engine.submit(item("a", MODEL))
        while not engine.done(1.0):
            pass
        engine.submit(item("b", MODEL, "import time\nwhile True: time.sleep(0.1)"))
        time.sleep(6)
        for pid in residents(engine._workshop):
            os.kill(pid, signal.SIGKILL)
        found = []
        while not found:
            found = engine.done(1.0)
        assert found[0].answer.graded.status == "infra_error", found[0]
        assert engine.lacks == ()


def test_siblings_see_nothing_of_each_other():
    """What one notebook leaves in files, modules, environment and memory is not there for the next one of the same zygote."""
    leave = (
        "import os, sys, builtins, tempfile, keras\n"
        "for place in ('/content', '/tmp', '/dev/shm', tempfile.gettempdir()):\n"
        "    open(os.path.join(place, 'left.txt'), 'w').write('secret')\n"
        "os.environ['LEFT'] = 'secret'; builtins.left = 'secret'; sys.modules['left'] = sys; keras.left = 'secret'\n"
        "keras.layers.Dense = None\n"
    )
    look = (
        "import os, sys, builtins, keras\n"
        "found = [p for p in ('/content/left.txt', '/tmp/left.txt', '/dev/shm/left.txt') if os.path.exists(p)]\n"
        "found += [os.environ.get('LEFT', ''), getattr(builtins, 'left', ''), 'left' if 'left' in sys.modules else '', getattr(keras, 'left', '')]\n"
        "assert not any(found), found\n"
        "assert keras.layers.Dense is not None\n"
        "assert sorted(os.listdir('/content')) == [], os.listdir('/content')\n"
        "print(len(os.listdir('/tmp')))\n"
    )
    with Workshop(options(), boxes=1) as workshop:
        first = json.loads(workshop.grade(item("a", MODEL, leave)).graded.report)
        second = json.loads(workshop.grade(item("b", look, MODEL)).graded.report)
        third = json.loads(workshop.grade(item("c", MODEL)).graded.report)
    assert [cell["status"] for cell in first["cells"]] == ["ok", "ok"], first["cells"]
    assert [cell["status"] for cell in second["cells"]] == ["ok", "ok"], second["cells"]
    assert second["score"] == third["score"]


class Losing:
    """An engine that loses what it is told to, as a worker that dies does; everything else it grades for real."""

    def __init__(self, engine, lost):
        self.engine, self.lost, self.seen, self.alone = engine, dict(lost), [], True
        self.out = 0
        self._waiting = []

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def submit(self, item, *, avoid=""):
        self.seen.append((item.content, avoid))
        self.out += 1
        if len(self.seen) > 3 and self.out > 1:
            self.alone = False
        if self.lost.get(item.content, 0):
            self.lost[item.content] -= 1
            self._waiting.append(Done(item=item, lost="WorkerDied: killed", worker="one"))
        else:
            self.engine.submit(item)

    def done(self, wait_s):
        found = [*self._waiting, *(self.engine.done(wait_s) if not self._waiting else [])]
        self._waiting = []
        self.out -= len(found)
        return found


def test_what_kills_its_worker_is_tried_alone_then_reported():
    kept, heard = {}, Heard()
    works = [Work(content=name, students=(f"sub_{name}",), load=lambda name=name: item(name, "x = 1")) for name in "abc"]
    progress = Progress(total=3)
    with Local(options(), jobs=1) as engine:
        losing = Losing(engine, {"a": 1, "b": 2})
        Supervisor(losing, lambda graded: kept.setdefault(graded.content, graded) is graded, heard, progress, options()).grade(works)
    assert {name: graded.status for name, graded in kept.items()} == {"a": "ungradable", "b": "infra_error", "c": "ungradable"}
    assert losing.seen[-2:] == [("a", "one"), ("b", "one")]
    assert losing.alone
    assert "never counts against a student" in json.loads(kept["b"].report)["reason"]
    assert len(heard.said) == 2
    assert progress.done == 3


class Counting(Heard):
    """Hears how many notebooks are said to run."""

    def __init__(self):
        super().__init__()
        self.running = set()

    def tick(self, progress):
        self.running.add(progress.running)


def test_as_many_are_said_to_run_as_run():
    heard = Counting()
    works = [
        Work(content=name, students=(name,), load=lambda name=name: item(name, MODEL, "import time; time.sleep(1)")) for name in "abcd"
    ]
    progress = Progress(total=4)
    with Local(options(), jobs=1) as engine:
        Supervisor(engine, lambda _: True, heard, progress, options()).grade(works)
        assert engine.at_work == (0, 0)
    assert heard.running == {0, 1}
    assert len(progress.took) == 4
    assert min(progress.took) > 1
    assert not progress.began


def test_a_hand_in_that_changes_meanwhile_is_told_of_and_takes_nobody_along():
    kept, heard = {}, Heard()
    works = [
        Work(content="a", students=("sub_a",), load=lambda: "the submission was changed"),
        Work(content="b", students=("sub_b",), load=lambda: item("b", "x = 1")),
    ]
    progress = Progress(total=2)
    with Local(options(), jobs=1) as engine:
        Supervisor(engine, lambda graded: kept.setdefault(graded.content, graded) is graded, heard, progress, options()).grade(works)
    assert (list(kept), heard.said, progress.total, progress.done) == (["b"], ["sub_a: the submission was changed"], 1, 1)


def test_the_reports_are_those_of_the_attempts_that_count(tmp_path):
    """With every attempt graded, an earlier one's report must not take the place of the latest one's, whichever ends last."""
    folder = tmp_path / "class"
    for name, source in (("a", "print('early')"), ("b", "print('late')")):
        put(folder, name, source)
    rows = "file,student,attempt\na.ipynb,jo,1\nb.ipynb,jo,2\n"
    (tmp_path / "map.csv").write_text(rows, encoding="utf-8")
    ended, _ = run(folder, tmp_path / "class.db", tmp_path / "out", mapping=tmp_path / "map.csv", all_attempts=True)
    (standing,) = standings(tmp_path / "class.db").values()
    assert (ended.progress.done, standing.attempt, standing.attempts) == (2, 2, 2)
    assert standing.content in (tmp_path / "out" / "reports" / standing.student / ".report-of").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_ends_the_class_as_the_machines_failure(tmp_path):
    shelf = Shelf(tmp_path / "reports", "key 1")
    shelf.put(("sub_a", "sub_b"), "content", {"report.json": "{}"})
    assert [shelf.has("sub_a", "content"), shelf.has("sub_b", "other"), shelf.has("sub_c", "content")] == [True, False, False]
    shutil.rmtree(tmp_path / "reports")
    with pytest.raises(InfrastructureError, match="run the same command again"):
        shelf.put(("sub_a",), "content", {"report.json": "{}"})
