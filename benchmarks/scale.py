"""What a class costs as it grows: wall-clock time against hand-ins and against distinct models, the gradebook's size, the supervisor's memory.

Run `python benchmarks/scale.py` with the Python in which the grader is installed, on a machine that has nothing else to do. The default takes hours. It can be
broken off at any time: the same command goes on, a size that was begun from its own gradebook (that is what `grade batch` does), a size that is done from its
kept figures. `--fresh` measures everything anew.

* none: classes of `--sizes` hand-ins (`made_classes.py`), each with a gradebook of its own, `grade batch --budget none`. When a class is graded, the same
  command is given again (reopening), and then with exact copies of what is graded handed in by further students (the cost of a copy).
* trained: `--trained` hand-ins that have `--models` models between them, `--budget short`, on the made-up images and with a cache of its own. The trainings
  that were made must be as many as there are models.

Prints two tables, draws `--plot`, and prints one line of JSON last. Exit code 0 if every target is met, 1 if one is missed, 2 if something could not be
measured. Linux only (`/proc`).
"""

import argparse
import hashlib
import json
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import matplotlib as mpl
import platformdirs
from batches import Followed, as_installed, follow
from made_classes import HandIn, Maker, write_canvas
from none_budget import CannotMeasureError, environment, grade, hardware, versions

import grader
from grader import dataset
from grader.batch.content import content_of
from grader.batch.engine import default_jobs
from grader.batch.gradebook import Gradebook
from grader.training.cache import Cache

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "grader"
import matplotlib.pyplot as plt  # noqa: E402

HERE = Path(__file__).resolve().parent
MAX_GRADEBOOK_MIB, MAX_GROWTH_MIB, MAX_COPY_MS, MAX_REOPEN_S = 1.0, 30.0, 150.0, 2.0
LIMIT_S = 24 * 3600.0
REOPENED, COPIED = 3, 60
"""How often a finished class is opened again, and how many copies are handed in."""
ENOUGH = 300
"""Results of one process from which on the growth of its memory is told."""
TRAINED_BASES = ("honest_import_keras", "honest_divided_by_256", "honest_softmax_layer", "honest_tensorflow_keras_imports")
"""Corpus cases of one model each; they learn, so that a training ends early."""
SMALL_FILTERS = (24, 48)


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A class in a folder of its own, with everything that is known of it."""

    folder: Path
    hand_ins: Sequence[HandIn]
    budget: str
    jobs: int | None
    store: Path

    @property
    def gradebook(self) -> Path:
        """The gradebook's file."""
        return self.folder / "class.db"

    @property
    def zip(self) -> Path:
        """The download."""
        return self.folder / "class.zip"

    def prepare(self) -> None:
        """Write the zip. What was measured of another class, by another version or on other images is removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_canvas(self.zip, self.hand_ins)
        images = dataset.ensure(self.store)
        of = [hashlib.sha256(self.zip.read_bytes()).hexdigest(), grader.__version__, images.fingerprint, self.budget, str(self.jobs)]
        mark = self.folder / "of.json"
        if not mark.exists() or json.loads(mark.read_text(encoding="utf-8")) != of:
            for path in self.folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path != self.zip:
                    path.unlink()
            mark.write_text(json.dumps(of), encoding="utf-8")

    def grade(self, *more: Path, keep: Callable[[dict[str, Any]], None] = lambda _line: None) -> Followed:
        """`grade batch` of the class, and of what `more` holds."""
        command = grade("batch", self.zip, *more, "--gradebook", self.gradebook, "--budget", self.budget, "--out", self.folder / "out")
        jobs = ["--jobs", str(self.jobs)] if self.jobs else []
        cache = {"GRADER_CACHE": str(self.folder / "cache")}
        return follow([*command, "--json-lines", *jobs], {**environment(self.store), **cache}, limit_s=LIMIT_S, keep=keep)


class Course:
    """The course of a grading over as many starts as it took: a file of JSON lines that is added to while it goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, klass: Class) -> None:
        """Grade what is left, unless an earlier start came to the end."""
        if any(line["at"] == "end" for start in self.starts() for line in start):
            return
        with self._path.open("a", encoding="utf-8") as file:

            def keep(line: Mapping[str, Any]) -> None:
                file.write(json.dumps(line) + "\n")
                file.flush()

            keep({"at": "start"})
            keep({"at": "end", "after_s": klass.grade(keep=keep).seconds})

    def starts(self) -> list[list[dict[str, Any]]]:
        """The lines of each start. A line that was cut off is passed over."""
        found: list[list[dict[str, Any]]] = []
        for text in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if line["at"] == "start":
                found.append([])
            else:
                found[-1].append(line)
        return found

    @property
    def wall_s(self) -> float:
        """Seconds of all starts together; of one that was broken off, until the last that was heard of it."""
        return sum(max((line["after_s"] for line in start), default=0.0) for start in self.starts())

    @property
    def growth_mib(self) -> float | None:
        """By how much the resident set grew between the first hundred results and the last hundred; the most of any start, None where none was long enough."""
        grown = []
        for start in self.starts():
            readings = [(line["done"], line["mib"]) for line in start if line["at"] == "memory"]
            if readings and readings[-1][0] - readings[0][0] >= ENOUGH:
                first, last = readings[0][0], readings[-1][0]
                early = [mib for done, mib in readings if first < done <= first + 100]
                late = [
                    mib for done, mib in readings if last - 100 <= done < last
                ]  # after the last result the class is told of, which takes memory
                if early and late:
                    grown.append(median(late) - median(early))
        return max(grown, default=None)

    @property
    def peak_mib(self) -> float:
        """The largest resident set that was seen."""
        return max((line["mib"] for start in self.starts() for line in start if line["at"] == "memory"), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a gradebook holds of a class: contents by status, and trainings made and verdicts known, over all contents."""

    contents: int
    statuses: Mapping[str, int]
    box_s: float
    trained: int
    reused: int

    @classmethod
    def of(cls, klass: Class) -> "Kept":
        """Read the gradebook. Raises CannotMeasureError unless every content of the class was graded to an end of its own."""
        with Gradebook.open(klass.gradebook, create=False) as book:
            by_content = {standing.content: standing for standing in book.standings(next(iter(book.keys())), with_reports=False)}
        statuses = Counter(standing.status for standing in by_content.values())
        expected = len({content_of(hand_in.data)[0] for hand_in in klass.hand_ins})
        if len(by_content) != expected or statuses.keys() - {"graded", "needs_review", "ungradable"}:
            raise CannotMeasureError(f"{klass.gradebook}: expected {expected} contents, all graded or not gradable, found {dict(statuses)}")
        return cls(
            contents=expected,
            statuses=dict(statuses),
            box_s=sum(standing.seconds for standing in by_content.values()),
            trained=sum(standing.trained for standing in by_content.values()),
            reused=sum(standing.reused for standing in by_content.values()),
        )


def size_mib(path: Path) -> float:
    """A SQLite file with what belongs to it, in MiB."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.suffix not in (".key", ".names")) / 2**20


def copies(klass: Class) -> Followed:
    """Hand in exact copies as further students, and give the command again. Each try has students of its own, so that none finds its copies known."""
    number = len(list(klass.folder.glob("more-*.zip"))) + 1
    more = klass.folder / f"more-{number}.zip"
    originals = [hand_in for hand_in in klass.hand_ins if hand_in.kind in ("shared", "own")]
    first = 1_000_000 * number
    write_canvas(
        more,
        [
            HandIn(student=first + index, data=originals[index * len(originals) // COPIED].data, model=None, kind="copy")
            for index in range(COPIED)
        ],
    )
    return klass.grade(more)


def grown(klass: Class) -> dict[str, Any]:
    """Grade a class and everything that is measured of it. Figures that are kept from an earlier run are not measured again."""
    klass.prepare()
    figures = klass.folder / "figures.json"
    if figures.exists():
        found: dict[str, Any] = json.loads(figures.read_text(encoding="utf-8"))
        return found
    course = Course(klass.folder / "course.jsonl")
    course.run(klass)
    kept = Kept.of(klass)
    submissions = len(klass.hand_ins)
    models = len({hand_in.model for hand_in in klass.hand_ins if hand_in.model is not None})
    book_mib = size_mib(klass.gradebook)
    reopened = [klass.grade().seconds for _ in range(REOPENED)]
    found = {
        "submissions": submissions,
        "kinds": dict(Counter(hand_in.kind for hand_in in klass.hand_ins)),
        "contents": kept.contents,
        "models": models,
        "statuses": dict(kept.statuses),
        "starts": len(course.starts()),
        "wall_s": round(course.wall_s, 1),
        "box_s": round(kept.box_s, 1),
        "wall_s_a_submission": round(course.wall_s / submissions, 3),
        "wall_s_a_model": round(course.wall_s / models, 3),
        "gradebook_mib_per_10": round(10 * book_mib / submissions, 3),
        "growth_mib": course.growth_mib,
        "peak_mib": course.peak_mib,
        "reopen_s": round(median(reopened), 2),
        "copy_ms": round(1000 * (copies(klass).seconds - median(reopened)) / COPIED, 1),
        "hardware": hardware(),
    }
    figures.write_text(json.dumps(found), encoding="utf-8")
    return found


def trained(klass: Class) -> dict[str, Any]:
    """Grade a class with real trainings; how many were made, and whether that is as many as there are models."""
    klass.prepare()
    course = Course(klass.folder / "course.jsonl")
    course.run(klass)
    kept = Kept.of(klass)
    verdicts = len(list(Cache(klass.folder / "cache").entries()))
    models = len({hand_in.model for hand_in in klass.hand_ins})
    unbroken = (
        len(course.starts()) == 1
    )  # the verdict of a training that was made just before a break is found in the cache by the next start
    once = (
        verdicts == models
        and (kept.trained == models if unbroken else kept.trained <= models)
        and kept.trained + kept.reused == kept.contents
    )
    return {
        "submissions": len(klass.hand_ins),
        "contents": kept.contents,
        "models": models,
        "trained": kept.trained,
        "reused": kept.reused,
        "verdicts_in_cache": verdicts,
        "each_model_once": once,
        "statuses": dict(kept.statuses),
        "starts": len(course.starts()),
        "wall_s": round(course.wall_s, 1),
        "wall_s_a_submission": round(course.wall_s / len(klass.hand_ins), 2),
        "wall_s_a_model": round(course.wall_s / models, 1),
    }


# ------------------------------------------------------------------ telling


def draw(path: Path, found: Sequence[Mapping[str, Any]], training: Mapping[str, Any] | None) -> None:
    """The figure, an SVG with a title and a description in words for whoever does not see it."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for axes, what, label in zip(panels, ("submissions", "models"), ("hand-ins", "distinct models"), strict=True):
        axes.plot([one[what] for one in found], [one["wall_s"] / 60 for one in found], "o-", color="C0", label="--budget none")
        if training:
            axes.plot([training[what]], [training["wall_s"] / 60], "s", color="C3", label="--budget short, with trainings")
        axes.set(xlabel=label, xlim=(0, None), ylim=(0, None))
        axes.grid(visible=True, alpha=0.3)
    panels[0].set(ylabel="wall-clock minutes", title="Time against hand-ins")
    panels[1].set(title="Time against distinct models")
    panels[0].legend(loc="upper left", fontsize=8)
    figure.tight_layout()
    fresh = path.with_suffix(".new")
    figure.savefig(fresh, format="svg", metadata={"Date": None})
    plt.close(figure)
    said = [
        f"{one['submissions']:,} hand-ins with {one['models']:,} distinct models took {one['wall_s'] / 60:.1f} minutes" for one in found
    ]
    if training:
        said.append(
            f"with trainings, {training['submissions']} hand-ins with {training['models']} distinct models took {training['wall_s'] / 60:.1f} minutes"
        )
    words = f"<title>What a class costs as it grows</title>\n<desc>{'; '.join(said)}.</desc>\n"
    text = fresh.read_text(encoding="utf-8")
    at = text.index(">", text.index("<svg")) + 1
    path.write_text(f'{text[: at - 1]} role="img">\n{words}{text[at:]}', encoding="utf-8")
    fresh.unlink()


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text, aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def table(found: Sequence[Mapping[str, Any]], training: Mapping[str, Any] | None) -> str:
    """The figures beside their targets."""

    def mib(value: float | None) -> str:
        return "too few" if value is None else f"{value:+.1f} MiB"

    rows: list[tuple[str, ...]] = [
        ("hand-ins", *(f"{one['submissions']:,}" for one in found), "target"),
        ("distinct contents", *(f"{one['contents']:,}" for one in found), ""),
        ("distinct models", *(f"{one['models']:,}" for one in found), ""),
        ("wall-clock", *(f"{one['wall_s'] / 60:.1f} min" for one in found), ""),
        ("a hand-in", *(f"{one['wall_s_a_submission']:.2f} s" for one in found), ""),
        ("a distinct model", *(f"{one['wall_s_a_model']:.2f} s" for one in found), ""),
        ("gradebook, 10 hand-ins", *(f"{one['gradebook_mib_per_10']:.2f} MiB" for one in found), f"< {MAX_GRADEBOOK_MIB:g} MiB"),
        ("memory, first to last 100", *(mib(one["growth_mib"]) for one in found), f"< {MAX_GROWTH_MIB:g} MiB"),
        ("highest memory", *(f"{one['peak_mib']:.0f} MiB" for one in found), ""),
        ("an exact copy", *(f"{one['copy_ms']:.0f} ms" for one in found), f"< {MAX_COPY_MS:g} ms"),
        ("opened again", *(f"{one['reopen_s']:.2f} s" for one in found), f"< {MAX_REOPEN_S:g} s"),
    ]
    text = columns(rows) if found else ""
    if training:
        text += (
            f"\n\nwith trainings: {training['submissions']} hand-ins, {training['models']} distinct models: {training['trained']} trained, "
            f"{training['reused']} known, {training['verdicts_in_cache']} verdicts kept, in {training['wall_s'] / 60:.1f} min "
            f"({training['wall_s_a_model']:.0f} s a model, {training['wall_s_a_submission']:.1f} s a hand-in)"
        )
    return text.strip()


def misses(found: Iterable[Mapping[str, Any]], training: Mapping[str, Any] | None) -> list[str]:
    """What misses its target. The comparisons are written so that what is no number misses."""
    missed = []
    for one in found:
        for name, most in (("gradebook_mib_per_10", MAX_GRADEBOOK_MIB), ("copy_ms", MAX_COPY_MS), ("reopen_s", MAX_REOPEN_S)):
            if not one[name] < most:
                missed.append(f"{name} of {one['submissions']} hand-ins")
        if one["growth_mib"] is not None and not one["growth_mib"] < MAX_GROWTH_MIB:
            missed.append(f"growth_mib of {one['submissions']} hand-ins")
    if training and not training["each_model_once"]:
        missed.append("each model trained once")
    return missed


def measure(given: argparse.Namespace) -> int:
    """Everything, printed. Returns the exit code. Raises CannotMeasureError."""
    machine, store, standin = hardware(), dataset.default_store(), given.work / "standin"
    found = []
    for size in given.sizes:
        klass = Class(folder=given.work / f"none-{size}", hand_ins=Maker().hand_ins(size), budget="none", jobs=given.jobs, store=store)
        found.append(grown(klass))
        print(f"{size} hand-ins: {found[-1]['wall_s']:.0f} s", file=sys.stderr)
    training = None
    if given.trained:
        maker = Maker(shared=given.models, bases=TRAINED_BASES, plain=True, filters=SMALL_FILTERS if given.quick else (96, 192))
        training = trained(
            Class(
                folder=given.work / f"trained-{given.trained}-{given.models}{'-quick' if given.quick else ''}",
                hand_ins=maker.hand_ins(given.trained),
                budget="short",
                jobs=given.jobs,
                store=standin,
            )
        )
    print(table(found, training))
    if given.plot and found:
        draw(given.plot, found, training)
    missed = misses(found, training)
    untold = bool(found) and not given.quick and found[-1]["growth_mib"] is None
    figures = {
        "benchmark": "scale",
        "jobs": given.jobs or default_jobs(),
        "none": found,
        "trained": training,
        "targets": {
            "gradebook_mib_per_10": MAX_GRADEBOOK_MIB,
            "growth_mib": MAX_GROWTH_MIB,
            "copy_ms": MAX_COPY_MS,
            "reopen_s": MAX_REOPEN_S,
        },
        "missed": missed,
        "met": not missed and not untold,
        "dataset": {"none": _images(store), "trained": _images(standin) if training else None},
        "hardware": machine,
        "versions": versions(),
    }
    print(json.dumps(figures))
    return 1 if missed else 2 if untold else 0


def _images(store: Path) -> str:
    images = dataset.ensure(store)
    return f"{images.name}:{images.fingerprint[:16]}"


def _ended(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def main() -> int:
    """Read the arguments, measure, print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="300,1000,3000", help="hand-ins of the classes, rising (default: %(default)s; empty: none)")
    parser.add_argument("--trained", type=int, default=60, help="hand-ins of the class with trainings (default: %(default)s; 0: none)")
    parser.add_argument(
        "--models", type=int, default=8, help="its distinct models, a minute or two of computing each (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, help="for `grade batch` (default: its own)")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(platformdirs.user_cache_dir("grader")) / "benchmark-scale",
        help="where classes and gradebooks are kept, so that the same command goes on (default: %(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="measure anew what is kept there")
    parser.add_argument("--plot", type=Path, default=HERE / "scale.svg", help="where the figure is drawn (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="8 hand-ins, and 4 with 2 small models; no figure: does everything work here?")
    given = parser.parse_args()
    if given.quick:
        given.sizes, given.trained, given.models, given.plot = "8", 4, 2, None
    given.sizes = sorted({int(size) for size in given.sizes.split(",") if size.strip()})
    if (given.sizes and given.sizes[0] < 2) or given.trained < 0 or given.models < 1:
        parser.error("--sizes: expected 2 or more; --trained: 0 or more; --models: 1 or more")
    given.work = given.work.absolute()
    if given.fresh:
        for folder in (*given.work.glob("none-*"), *given.work.glob("trained-*")):
            shutil.rmtree(folder)
    signal.signal(signal.SIGTERM, _ended)  # so that `grade batch` is ended, too
    as_installed()
    try:
        return measure(given)
    except CannotMeasureError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("scale: broken off; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
