"""A class that is killed again and again: `python tests/kills.py --submissions 200 --kills 50 [--gradebook URL]`; a test makes a small one.

`grade batch` is started, killed with SIGKILL (the supervising process only, as the kernel's out-of-memory killer would) after a time drawn by chance, and started again with the same command,
until it has been killed `kills` times; then it is left to end. The gradebook is then compared with one of the same class that nobody disturbed: every
content graded exactly once, the same status and the same points in every criterion. Between two starts no box may be left.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import ROOT, small_store

from grader.batch.gradebook import Gradebook
from grader.batch.gradebook.book import _overrides, _places
from grader.batch.gradebook.models import Grading

MODEL = """
from tensorflow import keras
from tensorflow.keras import layers as L
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_train, x_test = x_train[:{rows}] / 255.0, x_test[:100] / 255.0
model = keras.Sequential([L.Input((32, 32, 3)), L.Conv2D({filters}, 3, activation="relu"), L.Conv2D(10, 1), L.GlobalAveragePooling2D(), L.Dense(10, activation="softmax")])
"""
FIT = """
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(x_train, y_train[:{rows}], epochs=2, validation_data=(x_test, y_test[:100]))
"""
ENDINGS = ["", "1 / 0", "import os; os.kill(os.getpid(), 9)", "b = 'x' * 10**9"]


def make_class(folder, submissions, seed=0):
    """A folder of `submissions` small notebooks: a fifth are duplicates, a few are no notebooks, some end badly."""
    order = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(submissions):
        path = folder / f"student{number:04}.ipynb"
        kind = order.random()
        if number and kind < 0.2:
            path.write_bytes((folder / f"student{order.randrange(number):04}.ipynb").read_bytes())
            continue
        if kind < 0.24:
            path.write_text("this is no notebook", encoding="utf-8")
            continue
        values = {"rows": order.choice([200, 300, 400]), "filters": 1 + number}
        sources = [
            MODEL.format(**values),
            order.choice(ENDINGS) if kind > 0.85 else "",
            FIT.format(**values) if kind > 0.3 else "model.summary()",
        ]
        cells = [
            {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in sources if source
        ]
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}), encoding="utf-8")


def start(folder, gradebook, out, *options):
    """`grade batch` on the small store, as a process of its own."""
    beside = Path(out).parent / "who.key"
    command = [
        *(sys.executable, "-m", "grader", "batch", str(folder), "--gradebook", str(gradebook), "--out", str(out), "--budget", "none"),
        *("--quiet", "--format", "json", "--key", str(beside), *options),
    ]
    environment = {**os.environ, "GRADER_DATA": str(small_store())}
    return subprocess.Popen(command, cwd=Path(out).parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def boxes():
    """Processes of boxes, of whichever run."""
    mark, found = str(ROOT / "grader" / "sandbox" / "inside" / "start.py").encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\\0")
            except OSError:
                continue
            if mark in words:
                found.append(int(entry.name))
    return found


@dataclass(frozen=True)
class Result:
    """What a gradebook holds: finished gradings for each content, and what everybody got."""

    times: dict[str, int]
    marks: dict[str, tuple]


def result(gradebook):
    """Read a gradebook."""
    with Gradebook.open(str(gradebook)) as book:
        key_id = next(iter(book.keys()))
        marks, times = {}, Counter()
        for standing in book.standings(key_id):
            lines = {line.id: (line.status.value, line.earned) for line in standing.report.criteria} if standing.report else {}
            marks[standing.student] = (standing.status, standing.score, lines)
            for attempt in history(book, standing.student):
                times[attempt.content] = sum(grading.round is not None for grading in attempt.gradings)
    return Result(times=dict(times), marks=marks)


def history(book, student):
    """Every attempt of a student in order, each with all its gradings (of every key and round) and overrides, in order of making."""
    with book._database.reading() as connection:
        found = [SimpleNamespace(**row._mapping) for row in _places(connection, student)]
        for attempt in found:
            columns = [column for column in Grading.__table__.columns if column.name != "report"]
            rows = connection.execute(select(*columns).where(Grading.content == attempt.content).order_by(Grading.id))
            attempt.gradings = [SimpleNamespace(**row._mapping) for row in rows]
            attempt.overrides = _overrides(connection).get(attempt.id, [])
    return found


def disturbed(folder, gradebook, out, kills, seed, longest, tell=lambda _line: None, between=lambda: None):
    """Kill and start again, then let it end. Returns (kills made, starts, what the last start printed)."""
    order = random.Random(seed)
    made = starts = 0
    while True:
        process = start(folder, gradebook, out)
        starts += 1
        if made < kills:
            after = order.uniform(0.2, longest)
            try:
                said, _ = process.communicate(timeout=after)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                made += 1
                between()
                tell(f"killed {made} of {kills} after {after:.1f} s")
                continue
            tell(f"ended by itself (exit code {process.returncode}) before it was killed; {made} kills")
            return made, starts, said
        said, _ = process.communicate()
        assert process.returncode in (0, 3, 6), said
        return made, starts, said


def main():
    """Read the arguments, kill, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=20.0, help="seconds until a kill at most (default: %(default)s)")
    parser.add_argument("--gradebook", help="where the disturbed class is kept (default: SQLite)")
    parser.add_argument("--folder", type=Path, help="work here, and keep it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.folder or Path(temporary)
        make_class(work / "class", given.submissions, given.seed)
        began = time.monotonic()
        if not (work / "calm.done").exists():
            calm = start(work / "class", work / "calm.db", work / "calm")
            said, _ = calm.communicate()
            assert calm.returncode in (0, 3, 6), said
            (work / "calm.done").touch()
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        gradebook = given.gradebook or work / "killed.db"
        made, starts, _ = disturbed(
            work / "class", gradebook, work / "killed", given.kills, given.seed, given.longest, lambda line: print(line, flush=True)
        )
        a, b = result(work / "calm.db"), result(gradebook)
        figures = {
            "submissions": given.submissions,
            "contents": len(b.times),
            "kills": made,
            "starts": starts,
            "graded_exactly_once": sum(count == 1 for count in b.times.values()),
            "same_marks": sum(a.marks.get(student) == mark for student, mark in b.marks.items()),
            "missing": len(a.marks.keys() - b.marks.keys()),
            "boxes_left": len(boxes()),
            "seconds": round(time.monotonic() - began),
        }
        print(json.dumps(figures))
        different = [student for student, mark in b.marks.items() if a.marks.get(student) != mark]
        for student in different[:5]:
            print(student, a.marks.get(student), b.marks[student])
        return 0 if figures["graded_exactly_once"] == figures["contents"] and not different and not figures["missing"] else 1


if __name__ == "__main__":
    sys.exit(main())
