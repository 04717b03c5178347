"""Notebooks a minute without training: `grade batch` against `grade run` in a loop, `nbgrader autograde` and `otter run`, on one machine in one run.

Run `python benchmarks/throughput.py` with the Python in which the grader is installed, on a machine that has nothing else to do. Thirty distinct notebooks
(`made_notebooks.py`) load CIFAR-10, build, compile and fit three models each and plot their histories. In each round, one after another:

* batch: `grade batch` of all of them, `--budget none`, the default jobs, a fresh gradebook; its start is counted;
* single: `grade run --budget none` on a sample of them, a process each;
* otter: `otter run` on the same sample, in turn with single (A B A B …);
* nbgrader: `nbgrader autograde` of all of them, or of `--nbgrader-sample`, in one command.

The peers get the same cells with the training calls cut out, which makes it as cheap for them as it can honestly be: a first cell lets `fit` answer at once,
without training a step, and `load_data` read the store's own files. Ours are run as they were handed in, in the sandbox, and rebuilt, judged and reported
on. Every notebook must have run to its end without an error on every side, and have fitted three models, or nothing was measured.

Prints two tables and, as the last line, one line of JSON. Exit code 0 if both targets are met, 1 if one is missed, 2 if something could not be measured.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import platformdirs
from batches import Followed, as_installed, follow
from made_notebooks import MODELS, Cell, as_notebook, make
from none_budget import CannotMeasureError, check_graded, environment, grade, hardware, versions

from grader import dataset
from grader.batch.engine import default_jobs

MIN_OVER_NBGRADER, MIN_OVER_SINGLE = 6.0, 3.0
NBGRADER, OTTER = "nbgrader==0.9.6", "otter-grader==7.0.0"
SAME = ("tensorflow", "keras", "numpy", "matplotlib")
"""What the peers' notebooks import, in the versions that are installed here."""
LIMIT_S = 3600.0
PHASES = {"read": "reading", "data": "the store", "run": "box 1", "rebuild": "rebuilding", "train": "evidence", "judge": "judging"}

CUT = """
import numpy
import keras
from tensorflow import keras as tensorflow_keras

fitted = []


def load_data():
    parts = [numpy.load("{data}/" + name, mmap_mode="c") for name in ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")]
    return (parts[0], parts[1]), (parts[2], parts[3])


def fit(self, *arguments, epochs=1, **settings):
    fitted.append(self)
    history = keras.callbacks.History()
    history.history = {{key: [0.5] * epochs for key in ("accuracy", "loss", "val_accuracy", "val_loss")}}
    history.epoch = list(range(epochs))
    return history


keras.datasets.cifar10.load_data = tensorflow_keras.datasets.cifar10.load_data = load_data
keras.Model.fit = fit
"""
"""The peers' first cell."""
TEST = f"assert len(fitted) == {MODELS}"
OTTER_TEST = f"""
OK_FORMAT = True
test = {{
    "name": "fitted", "points": 1,
    "suites": [{{"type": "doctest", "scored": True, "setup": "", "teardown": "",
                "cases": [{{"code": ">>> len(fitted)\\n{MODELS}", "hidden": False, "locked": False}}]}}],
}}
"""
NBGRADER_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "throughput"
c.ExecutePreprocessor.timeout = 600
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """The notebooks as files: `ours` as handed in (one a student, in `folder`), `peers` with the training cut out. `data` holds the images."""

    folder: Path
    ours: tuple[Path, ...]
    peers: tuple[Path, ...]
    data: Path

    @classmethod
    def write(cls, work: Path, count: int, data: Path) -> "Class":
        """Write them. Raises CannotMeasureError if two are alike."""
        ours, peers = work / "class", work / "peers"
        ours.mkdir()
        peers.mkdir()
        made = [make(number) for number in range(count)]
        if len({"".join(source for kind, source in cells if kind == "code") for cells in made}) < count:
            raise CannotMeasureError("made_notebooks: expected distinct notebooks, two are alike")
        for number, cells in enumerate(made):
            name = f"student{number:03}.ipynb"
            (ours / name).write_text(json.dumps(as_notebook(cells)), encoding="utf-8")
            (peers / name).write_text(json.dumps(for_peers(cells, data)), encoding="utf-8")
        names = [f"student{number:03}.ipynb" for number in range(count)]
        return cls(folder=ours, ours=tuple(ours / name for name in names), peers=tuple(peers / name for name in names), data=data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What one side did in one round."""

    notebooks: int
    seconds: float

    @property
    def a_minute(self) -> float:
        """Notebooks a minute."""
        return 60 * self.notebooks / self.seconds


def for_peers(cells: Sequence[Cell], data: Path) -> dict[str, Any]:
    """The same notebook with the training cut out, and a last cell that is an nbgrader test."""
    test = {"grade": True, "grade_id": "fitted", "locked": True, "points": 1, "schema_version": 3, "solution": False, "task": False}
    whole = [("code", CUT.format(data=data)), *cells, ("code", TEST)]
    return as_notebook(whole, [*({} for _ in whole[1:]), {"nbgrader": test}])


# ------------------------------------------------------------------ the peers' environments


def installed(folder: Path, tool: str) -> Path:
    """The `bin` folder of an environment that holds `tool` and what the notebooks import; made on first use, found again by what is asked for.

    Raises CannotMeasureError where it cannot be installed.
    """
    wanted = [tool, "ipykernel", *(f"{name}=={metadata.version(name)}" for name in SAME)]
    mark = hashlib.sha256(" ".join([*wanted, sys.version]).encode()).hexdigest()[:12]
    place = folder / f"{tool.partition('==')[0]}-{mark}"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        print(f"installing {' '.join(wanted)} into {place}", file=sys.stderr)
        ran([sys.executable, "-m", "venv", place], dict(os.environ))
        ran([place / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted], dict(os.environ))
        (place / "complete").write_text("\n".join(wanted), encoding="utf-8")
    return place / "bin"


def peers_environment(binaries: Path, work: Path) -> dict[str, str]:
    """The peers' environment: their own programs first, no display and no accelerator as for ours, nobody's Jupyter or IPython settings."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JUPYTER_PATH")}
    own = {name: str(work / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    quiet = {"MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**kept, **own, **quiet, "PATH": f"{binaries}{os.pathsep}{kept.get('PATH', '')}"}


def ran(command: Sequence[str | Path], settings: Mapping[str, str], folder: Path | None = None) -> float:
    """Run a command to its end; wall-clock seconds. Raises CannotMeasureError if it fails, or takes longer than `LIMIT_S`."""
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=settings,
            cwd=folder,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotMeasureError(f"{' '.join(map(str, command))[:300]}\nexpected an end within {LIMIT_S:.0f} s") from None
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        last = done.stdout.decode("utf-8", "replace")[-2000:]
        raise CannotMeasureError(
            f"{' '.join(map(str, command))[:300]}\nexpected exit code 0, got {done.returncode} after {seconds:.1f} s; it printed last:\n{last}"
        )
    return seconds


# ------------------------------------------------------------------ the four sides


def batch(klass: Class, work: Path, settings: Mapping[str, str], jobs: int | None) -> tuple[Followed, list[dict[str, float]]]:
    """Grade all with a fresh gradebook. Returns what was seen of it, and each report's seconds by phase."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        out = Path(name)
        command = grade(
            "batch", klass.folder, "--gradebook", out / "class.db", "--budget", "none", "--out", out / "reports", "--json-lines"
        )
        found = follow([*command, *(["--jobs", str(jobs)] if jobs else [])], settings, limit_s=LIMIT_S)
        reports = sorted((out / "reports").glob("**/report.json"))
        if len(reports) != len(klass.ours):
            raise CannotMeasureError(f"grade batch: expected {len(klass.ours)} reports, found {len(reports)}")
        for report in reports:
            check_graded(report)
        return found, [json.loads(report.read_text(encoding="utf-8"))["timings"] for report in reports]


def single(notebook: Path, work: Path, settings: Mapping[str, str]) -> float:
    """Grade one by itself. Seconds."""
    out = work / "single"
    seconds = ran(grade("run", notebook, "--budget", "none", "--out", out, "--quiet"), settings)
    check_graded(out / "report.json")
    return seconds


class Nbgrader:
    """An nbgrader course with the assignment made from a source notebook."""

    def __init__(self, work: Path, binaries: Path) -> None:
        self._course, self._program = work / "course", binaries / "nbgrader"
        self._settings = peers_environment(binaries, work)
        source = self._course / "source" / "cnn"
        source.mkdir(parents=True)
        (self._course / "nbgrader_config.py").write_text(NBGRADER_CONFIG, encoding="utf-8")
        (source / "cnn.ipynb").write_text(json.dumps(for_peers([("code", "# your code")], Path())), encoding="utf-8")
        ran([self._program, "generate_assignment", "cnn"], self._settings, self._course)

    def autograde(self, notebooks: Iterable[Path]) -> Rate:
        """Autograde these in one command. Raises CannotMeasureError unless every cell of each ran."""
        for name in ("submitted", "autograded"):
            shutil.rmtree(self._course / name, ignore_errors=True)
        chosen = list(notebooks)
        for notebook in chosen:
            place = self._course / "submitted" / notebook.stem / "cnn"
            place.mkdir(parents=True)
            shutil.copy(notebook, place / "cnn.ipynb")
        seconds = ran([self._program, "autograde", "cnn", "--create", "--force"], self._settings, self._course)
        done = sorted((self._course / "autograded").glob("*/cnn/cnn.ipynb"))
        if len(done) != len(chosen):
            raise CannotMeasureError(f"nbgrader autograde: expected {len(chosen)} autograded notebooks, found {len(done)}")
        for path in done:
            check_executed(path)
        return Rate(notebooks=len(chosen), seconds=seconds)


def check_executed(path: Path) -> None:
    """Raises CannotMeasureError unless every code cell of the notebook was executed and none ended in an error (nbgrader goes on after one)."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and (
            cell["execution_count"] is None or any(output["output_type"] == "error" for output in cell["outputs"])
        ):
            raise CannotMeasureError(f"{path}: expected every cell to run, this did not:\n{''.join(cell['source'])[:500]}")


class Otter:
    """An otter assignment: the zip that `otter run` takes, made as it is documented (`otter_config.json` and `tests/` at its root)."""

    def __init__(self, work: Path, binaries: Path) -> None:
        self._work, self._program, self._settings = work, binaries / "otter", peers_environment(binaries, work)
        self._zip = work / "autograder.zip"
        with zipfile.ZipFile(self._zip, "w") as archive:
            archive.writestr("otter_config.json", json.dumps({"show_stdout": True}))
            archive.writestr("tests/fitted.py", OTTER_TEST)

    def run(self, notebook: Path) -> float:
        """Grade one. Seconds. Raises CannotMeasureError unless every cell ran (`--debug`: an error ends it) and the test was passed."""
        out = self._work / "otter"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        seconds = ran([self._program, "run", "-a", self._zip, "-o", out, "--no-logo", "--debug", notebook], self._settings, self._work)
        tests = json.loads((out / "results.json").read_text(encoding="utf-8"))["tests"]
        scored = [test for test in tests if test.get("max_score")]
        if not scored or any(test.get("score") != test["max_score"] for test in scored):
            raise CannotMeasureError(f"otter run {notebook}: expected the test to pass, found {json.dumps(tests)[:1000]}")
        return seconds


# ------------------------------------------------------------------ figures


def spread(ours: Sequence[Rate], theirs: Sequence[Rate]) -> dict[str, float]:
    """The ratio of the median rates, and the lowest and highest of the single rounds."""
    rounds = [one.a_minute / other.a_minute for one, other in zip(ours, theirs, strict=True)]
    middle = median(rate.a_minute for rate in ours) / median(rate.a_minute for rate in theirs)
    return {"ratio": round(middle, 2), "lowest": round(min(rounds), 2), "highest": round(max(rounds), 2)}


def where_it_goes(found: Followed, timings: Sequence[Mapping[str, float]], jobs: int) -> dict[str, float]:
    """Seconds of a batch's wall-clock time by what it went into; phases run side by side in `jobs` threads, so a phase's seconds are divided by them.

    The first notebooks wait for the libraries to be imported, once for all: "warming up" is by how much they took longer than the median of the others
    (nothing is told from fewer than three times the threads), and is taken out of box 1. Box 1 includes waiting for a warm one, rebuilding waiting for the box that all
    share. The last but one is what is left: rendering the reports, recording them, and slots that stand empty at the end.
    """
    first, others = found.results[:jobs], found.results[jobs:]
    usual = median(result.seconds for result in others) if len(others) >= 2 * jobs else None
    warming = 0.0 if usual is None else sum(max(result.seconds - usual, 0.0) for result in first) / jobs
    phases = {title: sum(timing.get(name, 0.0) for timing in timings) / jobs for name, title in PHASES.items()}
    phases[PHASES["run"]] -= warming
    rest = max(found.last_s - found.start_s - warming - sum(phases.values()), 0.0)
    parts = {"start-up": found.start_s, "warming up": warming, **phases, "reports, gradebook, empty slots": rest}
    return {name: round(seconds, 2) for name, seconds in {**parts, "closing the class": found.seconds - found.last_s}.items()}


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text, aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def measure(given: argparse.Namespace) -> tuple[dict[str, object], bool]:
    """All figures, printed as tables, and whether both targets are met. Raises CannotMeasureError."""
    machine, jobs = hardware(), given.jobs or default_jobs()
    images = dataset.ensure(dataset.default_store())
    settings = environment(dataset.default_store())
    tools = {} if given.skip_peers else {tool: installed(given.environments, tool) for tool in (NBGRADER, OTTER)}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        klass = Class.write(work, given.notebooks, images.folder)
        sample = range(0, given.notebooks, max(given.notebooks // given.sample, 1))[: given.sample]
        for_nbgrader = klass.peers[: given.nbgrader_sample or given.notebooks]
        nbgrader = Nbgrader(work, tools[NBGRADER]) if tools else None
        otter = Otter(work, tools[OTTER]) if tools else None
        sides: dict[str, list[Rate]] = {"grade batch": [], "grade run": []}
        if nbgrader and otter:
            sides |= {"nbgrader autograde": [], "otter run": []}
            nbgrader.autograde(klass.peers[:1])  # so that every file has been read once; not counted
            otter.run(klass.peers[0])
        single(klass.ours[0], work, settings)
        spent: list[dict[str, float]] = []
        for number in range(1, given.rounds + 1):
            found, timings = batch(klass, work, settings, given.jobs)
            spent.append(where_it_goes(found, timings, jobs))
            sides["grade batch"].append(Rate(notebooks=len(klass.ours), seconds=found.seconds))
            alone, others = [], []
            for index in sample:
                alone.append(single(klass.ours[index], work, settings))
                if otter:
                    others.append(otter.run(klass.peers[index]))
            sides["grade run"].append(Rate(notebooks=len(alone), seconds=sum(alone)))
            if nbgrader and others:
                sides["otter run"].append(Rate(notebooks=len(others), seconds=sum(others)))
                sides["nbgrader autograde"].append(nbgrader.autograde(for_nbgrader))
            rates = ", ".join(f"{side} {rates[-1].a_minute:.1f} a minute" for side, rates in sides.items())
            print(f"round {number} of {given.rounds}: {rates}", file=sys.stderr)
    ratios = {side: spread(sides["grade batch"], rates) for side, rates in sides.items() if side != "grade batch"}
    targets = {"grade run": MIN_OVER_SINGLE, "nbgrader autograde": MIN_OVER_NBGRADER}
    rows = [("side", "notebooks a round", "notebooks a minute", "batch is faster by", "target")]
    for side, rates in sides.items():
        of = "" if rates[0].notebooks == given.notebooks else f" of {given.notebooks}, scaled"
        by = f"{ratios[side]['ratio']:.2f}" if side in ratios else ""
        target = f">= {targets[side]:g}" if side in targets else ""
        rows.append((side, f"{rates[0].notebooks}{of}", f"{median(rate.a_minute for rate in rates):.1f}", by, target))
    print(columns(rows))
    part = {name: round(median(round_[name] for round_ in spent), 2) for name in spent[0]}
    whole = sum(part.values())
    print(f"\nwhere `grade batch` spends its {whole:.1f} s ({jobs} at a time):")
    print(columns([("what", "seconds", "share"), *((what, f"{seconds:.1f}", f"{seconds / whole:.0%}") for what, seconds in part.items())]))
    met = all(ratios[side]["ratio"] >= target for side, target in targets.items() if side in ratios)
    figures: dict[str, object] = {
        "benchmark": "throughput",
        "rounds": given.rounds,
        "notebooks": given.notebooks,
        "jobs": jobs,
        "sides": {side: [asdict(rate) for rate in rates] for side, rates in sides.items()},
        "notebooks_a_minute": {side: round(median(rate.a_minute for rate in rates), 2) for side, rates in sides.items()},
        "batch_faster_by": ratios,
        "batch_seconds": part,
        "targets": targets,
        "met": met,
        "dataset": f"{images.name}:{images.fingerprint[:16]}",
        "hardware": machine,
        "versions": {**versions(), **{tool.partition("==")[0]: tool.partition("==")[2] for tool in tools}},
    }
    return figures, met


def main() -> int:
    """Read the arguments, measure, print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--notebooks", type=int, default=30, help="distinct notebooks in the class (default: %(default)s)")
    parser.add_argument("--sample", type=int, default=6, help="how many of them `grade run` and `otter run` get (default: %(default)s)")
    parser.add_argument("--nbgrader-sample", type=int, default=0, help="how many of them nbgrader gets (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, at least 1 (default: %(default)s)")
    parser.add_argument("--jobs", type=int, help="for `grade batch` (default: its own)")
    parser.add_argument("--skip-peers", action="store_true", help="measure `grade` only; nothing is installed")
    parser.add_argument("--quick", action="store_true", help="4 notebooks, samples of 1, one round: does everything work here?")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(platformdirs.user_cache_dir("grader")) / "benchmark-environments",
        help="where the peers are installed, and found again (default: %(default)s)",
    )
    given = parser.parse_args()
    if given.quick:
        given.notebooks, given.sample, given.nbgrader_sample, given.rounds = 4, 1, 1, 1
    if min(given.notebooks, given.sample, given.rounds) < 1:
        parser.error("--notebooks, --sample and --rounds: expected at least 1")
    given.environments = given.environments.absolute()
    as_installed()
    try:
        figures, met = measure(given)
    except CannotMeasureError as error:
        print(f"throughput: {error}", file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
