"""What `grade --budget none` costs: against the bare notebook, against an empty Python, and in memory.

Run `python benchmarks/none_budget.py` with the Python in which the grader is installed. Four figures, all taken in one run so that they share the
machine's mood, with the two sides of a ratio alternating (A B A B …) after one round that is not counted:

* run: `grade run --budget none` on the reference solution, divided by the same cells run in an IPython shell with nothing of ours around them,
  training calls cut out (`fit` and `evaluate` answer at once; `load_data` answers from the same files). Whole processes, wall-clock seconds.
* sandbox: `grade run --budget none` on the reference solution in the best sandbox that this machine has, divided by the same with `--sandbox none`.
* help: `grade --help`, divided by `python -c pass`. Whole processes, wall-clock seconds.
* memory: the highest resident set of the grading process itself, without the boxes that it starts, in MiB (`VmHWM`, read every 5 ms).

Prints a table and, as the last line, one line of JSON with the figures, the hardware and the versions. Exit code 0 if every target is met, 1 if
one is missed, 2 if something could not be measured. Linux only (`/proc`).
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from grader import dataset

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "reference" / "all_cnn_c" / "solution.ipynb"
MAX_RUN_RATIO, MAX_SANDBOX_RATIO, MAX_HELP_RATIO, MAX_HOST_MIB = 1.5, 1.1, 8.0, 150.0
POLL_S = 0.005
LIMIT_S = 600.0
"""A process that takes longer ends the benchmark."""

BARE = """
import json, sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

cells = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
data = Path(sys.argv[2])

import numpy
from tensorflow import keras


def load_data():
    train_images, train_labels, test_images, test_labels = (
        numpy.load(data / name, mmap_mode="c") for name in ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")
    )
    return (train_images, train_labels), (test_images, test_labels)


def fit(self, *arguments, epochs=1, **settings):
    history = keras.callbacks.History()
    history.history = {key: [0.5] * epochs for key in ("accuracy", "loss", "val_accuracy", "val_loss")}
    history.epoch = list(range(epochs))
    return history


keras.datasets.cifar10.load_data = load_data
keras.Model.fit = fit
keras.Model.evaluate = lambda self, *arguments, **settings: [0.5, 0.5]
shell = InteractiveShell.instance()
for source in cells:
    shell.run_cell(source).raise_error()
"""
"""The other side of the run's ratio: `python -c BARE CELLS.json DATA`."""


class CannotMeasureError(Exception):
    """A process failed or hung; the message says which and what it printed last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One finished process: wall-clock seconds and the highest resident set seen of the process itself, without its children."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Two sides measured in turn. `ratio` divides the medians; `lowest` and `highest` are those of the single rounds."""

    grade_s: float
    other_s: float
    ratio: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, grade: Sequence[Sample], other: Sequence[Sample]) -> "Ratio":
        """From as many samples of either side, in the order of the rounds."""
        rounds = [ours.seconds / theirs.seconds for ours, theirs in zip(grade, other, strict=True)]
        ours, theirs = median(sample.seconds for sample in grade), median(sample.seconds for sample in other)
        return cls(grade_s=ours, other_s=theirs, ratio=ours / theirs, lowest=min(rounds), highest=max(rounds))


def peak_mib(pid: int) -> float:
    """The highest resident set of a process so far, in MiB; 0.0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)


def watch(process: "subprocess.Popen[bytes]", done: threading.Event, peaks: list[float]) -> None:
    """Read the process's peak every `POLL_S` seconds until `done`; kill it after `LIMIT_S`."""
    end = time.monotonic() + LIMIT_S
    while not done.wait(POLL_S):
        peaks.append(max(peaks.pop(), peak_mib(process.pid)))
        if time.monotonic() > end:
            process.kill()
            return


def measured(command: Sequence[str | Path], environment: Mapping[str, str]) -> Sample:
    """Run a command to its end. Raises CannotMeasureError if it fails, or takes longer than `LIMIT_S`."""
    done, peaks = threading.Event(), [0.0]
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)
        watcher = threading.Thread(target=watch, args=(process, done, peaks), daemon=True)
        watcher.start()
        try:
            code = process.wait()
            seconds = time.perf_counter() - start
        except BaseException:
            process.kill()
            raise
        finally:
            done.set()
            watcher.join()
        if code != 0:
            output.seek(0)
            last = output.read().decode("utf-8", "replace")[-2000:]
            what = " ".join(map(str, command))[:200]
            raise CannotMeasureError(f"{what}\nexpected exit code 0, got {code} after {seconds:.1f} s; it printed last:\n{last}")
    return Sample(seconds=seconds, peak_mib=peaks[0])


def in_turn(first: Callable[[], Sample], second: Callable[[], Sample], rounds: int, name: str) -> tuple[list[Sample], list[Sample]]:
    """A B A B …: one round that is not counted, then `rounds` that are."""
    firsts, seconds = [], []
    for number in range(rounds + 1):
        pair = first(), second()
        kind = f"round {number} of {rounds}" if number else "warming up"
        print(f"{name}, {kind}: {pair[0].seconds:.2f} s against {pair[1].seconds:.2f} s", file=sys.stderr)
        if number:
            firsts.append(pair[0])
            seconds.append(pair[1])
    return firsts, seconds


def grade(*arguments: str | Path) -> list[str | Path]:
    """The command line of `grade` with this Python."""
    script = Path(sys.executable).parent / "grade"
    return [script, *arguments] if script.exists() else [sys.executable, "-m", "grader", *arguments]


def environment(store: Path) -> dict[str, str]:
    """What both sides run in: no display, no accelerator, the same store, and this source tree importable."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {"MPLBACKEND": "Agg", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "GRADER_DATA": str(store)}
    return {**os.environ, **ours, "PYTHONPATH": os.pathsep.join(paths)}


def code_cells(notebook: Path) -> list[str]:
    """The sources of a notebook's code cells, in order."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def check_graded(report: Path) -> str:
    """The name of the sandbox that the report names. Raises CannotMeasureError unless the notebook was graded and every cell ran."""
    found = json.loads(report.read_text(encoding="utf-8"))
    broken = [cell["index"] for cell in found["cells"] if cell["status"] != "ok"]
    if found["status"] != "graded" or broken:
        raise CannotMeasureError(
            f"{report}: expected a graded notebook whose cells all run, found {found['status']!r}, failed cells {broken}"
        )
    return str(found["environment"].get("sandbox", "unknown"))


def hardware() -> dict[str, object]:
    """The processor's name, the cores that this process may use, the memory in GiB, and the load average (1 minute) before measuring."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": name,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory, 1),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Of Python, the system and the packages that matter here."""
    packages = ("tensorflow", "keras", "numpy", "ipython", "matplotlib")
    return {"python": platform.python_version(), "system": platform.platform(), **{name: metadata.version(name) for name in packages}}


def table(run: Ratio, boxed: Ratio, help_: Ratio, host_mib: float) -> str:
    """The figures beside their targets."""
    rows = [
        ("figure", "grade", "other", "measured", "target"),
        ("run / bare notebook", f"{run.grade_s:.2f} s", f"{run.other_s:.2f} s", f"{run.ratio:.2f}", f"<= {MAX_RUN_RATIO:g}"),
        (
            "sandboxed / --sandbox none",
            f"{boxed.grade_s:.2f} s",
            f"{boxed.other_s:.2f} s",
            f"{boxed.ratio:.2f}",
            f"<= {MAX_SANDBOX_RATIO:g}",
        ),
        ("--help / python -c pass", f"{help_.grade_s:.3f} s", f"{help_.other_s:.3f} s", f"{help_.ratio:.2f}", f"<= {MAX_HELP_RATIO:g}"),
        ("peak memory of the host", "", "", f"{host_mib:.0f} MiB", f"< {MAX_HOST_MIB:g} MiB"),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def measure(notebook: Path, rounds: int) -> tuple[dict[str, object], bool]:
    """All four figures, printed as a table, and whether every target is met. Raises CannotMeasureError."""
    machine = hardware()
    store = dataset.default_store()
    images = dataset.ensure(store)
    settings = environment(store)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells, out = folder / "cells.json", folder / "report"
        cells.write_text(json.dumps(code_cells(notebook)), encoding="utf-8")
        graded, bare = in_turn(
            lambda: measured(grade("run", notebook, "--budget", "none", "--out", out, "--quiet"), settings),
            lambda: measured([sys.executable, "-c", BARE, cells, images.folder], settings),
            rounds,
            "run",
        )
        sandbox = check_graded(out / "report.json")
        inside, outside = in_turn(
            lambda: measured(grade("run", notebook, "--budget", "none", "--out", out, "--quiet"), settings),
            lambda: measured(grade("run", notebook, "--budget", "none", "--out", out, "--quiet", "--sandbox", "none"), settings),
            rounds,
            "sandbox",
        )
    helped, empty = in_turn(
        lambda: measured(grade("--help"), settings),
        lambda: measured([sys.executable, "-c", "pass"], settings),
        4 * rounds,  # these last a fraction of a second, so more of them are needed and can be had
        "help",
    )
    run, boxed, help_ = Ratio.of(graded, bare), Ratio.of(inside, outside), Ratio.of(helped, empty)
    host_mib = max(sample.peak_mib for sample in graded)
    print(table(run, boxed, help_, host_mib))
    met = run.ratio <= MAX_RUN_RATIO and boxed.ratio <= MAX_SANDBOX_RATIO and help_.ratio <= MAX_HELP_RATIO and host_mib < MAX_HOST_MIB
    figures: dict[str, object] = {
        "benchmark": "none_budget",
        "rounds": rounds,
        "run": asdict(run),
        "sandbox_overhead": asdict(boxed),
        "help": asdict(help_),
        "host_peak_mib": host_mib,
        "targets": {"run": MAX_RUN_RATIO, "sandbox_overhead": MAX_SANDBOX_RATIO, "help": MAX_HELP_RATIO, "host_peak_mib": MAX_HOST_MIB},
        "met": met,
        "sandbox": sandbox,
        "dataset": images.name,
        "hardware": machine,
        "versions": versions(),
    }
    return figures, met


def main() -> int:
    """Read the arguments, measure, print. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, at least 1 (default: %(default)s)")
    parser.add_argument("--notebook", type=Path, default=REFERENCE, help="the notebook to run (default: the reference solution)")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {given.rounds}")
    try:
        figures, met = measure(given.notebook.absolute(), given.rounds)
    except CannotMeasureError as error:
        print(f"none_budget: {error}", file=sys.stderr)
        return 2
    print(json.dumps(figures))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
