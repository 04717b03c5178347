"""What stored outputs record: training curves from Keras' progress lines, parameter counts from `summary()` tables.

Both are claims of the file that was handed in: evidence to audit, never worth points. Whatever the text holds, the time is linear in it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from grader.records import CellOutput, CellRun, FitClaim, Notebook, RecordedCurve, RunRecord, StoredOutput
from grader.words import counted

MAX_TEXT = 4_000_000
"""Characters of one cell's outputs that are read."""
MAX_CURVES = 200
MAX_EPOCHS = 5_000
MAX_KEYS = 24
MAX_TABLES = 200

Curve = dict[str, tuple[float, ...]]
"""One value an epoch for each key of a history; never empty."""

_ESCAPE = re.compile(r"\x1b\[[0-?]*+[ -/]*+[@-~]?")
_BREAK = re.compile(r"[\r\n\x08]+")
_EPOCH = re.compile(r"\s*Epoch\s+(\d{1,6})\s*/\s*(\d{1,6})")
_RESTART = re.compile(r"\s*Train on \d")
_STEPS = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9}|Unknown)\b")
_VALUE = re.compile(r"\s*([A-Za-z_]\w{0,80})\s*:\s*([+-]?(?:\d{1,20}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,3})?|nan|inf))\s*\Z")
_MEASURES = re.compile(r"(?:val_)?(?:loss|\w*acc\w*)\Z")
_NOT_HISTORY = frozenset({"ETA"})
_COUNT = re.compile(r"\b(Total|Trainable|Non-trainable|Optimizer) params:\s*(\d[\d,.']{0,30})")
ANSWERED, LEARNED = (0.0, 0.5, 1.0), 0.25
"""Accuracies that an answered call gives, of two images each (and up to 0.04 more, see plots.py; rounded); and from where on an accuracy says that something was learned."""
_SAME = {"acc": "accuracy", "categorical_accuracy": "accuracy", "sparse_categorical_accuracy": "accuracy"}


def recorded_curves(notebook: Notebook, run: RunRecord) -> tuple[RecordedCurve, ...]:
    """Read one curve for each training run whose progress lines a cell stored, in order (Keras 1, 2 and 3, any verbosity).

    A value is what the epoch's last line says. Accuracies go by the keys `accuracy` and `val_accuracy`, whatever Keras called them;
    values may be NaN or infinite, as printed. Only keys that every epoch has are kept; an interrupted last epoch is left out, and so are
    the lines of `evaluate`. `epochs` counts the epochs that were recorded. What the cell did here may speak against all that it stored (`_doubt`).
    """
    curves: list[RecordedCurve] = []
    for cell in notebook.code:
        stored = _curves(cell.outputs)
        here = next((each for each in run.cells if each.index == cell.index), None)
        doubt, refuted = _doubt(stored, here, [fit for fit in run.fits if fit.cell == cell.index]) if stored and here else ("", False)
        curves += [RecordedCurve(cell=cell.index, epochs=_epochs([each]), values=each, doubt=doubt, refuted=refuted) for each in stored]
    return tuple(curves[:MAX_CURVES])


def _doubt(stored: list[Curve], here: CellRun, fits: list[FitClaim]) -> tuple[str, bool]:
    """(what speaks against the curves that a cell stored, whether that refutes them); ("", False) where nothing does.

    While the notebook runs here, `fit` prints nothing: lines like Keras' are the cell's own then. They are honest where they show what the calls answered
    (a callback's, or a print of the history), and made up where they show that something was learned. And there are no more epochs than were asked
    for; what the cell itself prints of them may count twice.
    """
    printed, loops = _curves(here.outputs), any(fit.call not in ("fit", "fit_generator") for fit in fits)
    accuracies = [value for each in printed for key in ("accuracy", "val_accuracy") for value in each.get(key, ())]
    shares = [value / 100 if value > 1.5 else value for value in accuracies]
    if made := [share for share in shares if share >= LEARNED and not any(-0.006 < share - answer < 0.046 for answer in ANSWERED)]:
        printed_here = f"it printed an accuracy of {max(made):.2f} here, where nothing was trained"
        return f"the cell's own code prints such lines: {printed_here}", not loops
    asked = [fit.epochs or 0 for fit in fits]
    if fits and not loops and all(asked) and _epochs(stored) > sum(asked) + _epochs(printed):
        whole = here.status == "ok" and here.error is None and not here.lost
        return f"its output holds {counted(_epochs(stored), 'epoch')} of training, and its code asks for {sum(asked)}", whole
    return "", False


def _curves(outputs: Iterable[StoredOutput | CellOutput]) -> list[Curve]:
    return [values for run in _runs(_text(outputs)) if (values := run.values())]


def _epochs(curves: list[Curve]) -> int:
    return sum(len(next(iter(values.values()))) for values in curves)


def claimed_parameters(notebook: Notebook) -> tuple[int, ...]:
    """Read the weights counted by each stored `summary()` table, in order: trainable and frozen ones, without an optimizer's slots.

    A newer Keras counts the optimizer's variables into the total of a compiled model, so the sum of the parts stands where the table
    gives them.
    """
    claims: list[int] = []
    for cell in notebook.code:
        tables: list[dict[str, int]] = []
        for match in _COUNT.finditer(_text(cell.outputs)):
            if match.group(1) == "Total":
                tables.append({})
            if tables:
                tables[-1].setdefault(match.group(1), int(re.sub(r"\D", "", match.group(2))))
        claims += [_weights(table) for table in tables]
    return tuple(claims[:MAX_TABLES])


def _weights(table: dict[str, int]) -> int:
    if "Trainable" in table and "Non-trainable" in table:
        return table["Trainable"] + table["Non-trainable"]
    return table["Total"] - table.get("Optimizer", 0)


def _text(outputs: Iterable[StoredOutput | CellOutput]) -> str:
    """Join a cell's outputs, as stored or of the run here; what a stream wrote in pieces stays in one piece."""
    parts: list[str] = []
    for output in outputs:
        if output.kind not in ("stream", "stdout"):
            parts.append("\n")
        parts.append(output.text if isinstance(output, StoredOutput) else output.data * (output.kind != "png"))
    return _ESCAPE.sub("", "".join(parts)[:MAX_TEXT])


@dataclass(slots=True)
class _Epoch:
    """One epoch being read. `done` once a line said that all its steps were taken."""

    values: dict[str, float] = field(default_factory=dict)
    steps: str | None = None
    done: bool = False

    def take(self, values: dict[str, float], steps: tuple[str, str] | None) -> None:
        """Take a line in: bars overwrite each other; after the last one only new keys count (validation comes late, `evaluate` too)."""
        total = steps[1] if steps else None
        if self.done and (
            total != self.steps or not values.keys() - self.values.keys() or not any(key.startswith("val_") for key in values)
        ):
            return
        self.values.update(values)
        self.steps = total
        self.done = self.done or steps is None or steps[0] == steps[1]


@dataclass(slots=True)
class _Run:
    """One training run being read."""

    last: int
    total: str
    epochs: list[_Epoch] = field(default_factory=lambda: [_Epoch()])

    def values(self) -> Curve:
        """Give one value an epoch for each key that all finished epochs have."""
        epochs = [epoch.values for epoch in self.epochs if epoch.values]
        if len(epochs) > 1 and epochs[0].keys() - epochs[-1].keys():
            epochs.pop()
        elif len(epochs) == 1 and not self.epochs[0].done:
            return {}
        if not epochs:
            return {}
        keys = [key for key in epochs[0] if all(key in epoch for epoch in epochs)]
        return {key: tuple(epoch[key] for epoch in epochs) for key in keys[:MAX_KEYS]}


def _runs(text: str) -> Iterable[_Run]:
    """Read the training runs of one cell's output text."""
    runs: list[_Run] = []
    fresh = True
    for line in _BREAK.split(text):
        if _RESTART.match(line):
            fresh = True
        epoch = _EPOCH.match(line)
        if epoch is not None:
            number, total = int(epoch.group(1)), epoch.group(2)
            if fresh or number != runs[-1].last + 1 or total != runs[-1].total:
                runs.append(_Run(number, total))
            elif len(runs[-1].epochs) < MAX_EPOCHS:
                runs[-1].epochs.append(_Epoch())
            runs[-1].last, fresh = number, False
            line = line[epoch.end() :]  # noqa: PLW2901  (some write the values behind it)
        if runs and not fresh:
            values = dict(_values(line))
            if any(_MEASURES.match(key) for key in values):
                steps = _STEPS.match(line)
                runs[-1].epochs[-1].take(values, (steps.group(1), steps.group(2)) if steps else None)
    return runs


def _values(line: str) -> Iterator[tuple[str, float]]:
    """Give the `name: number` parts of a progress line, which stand between ` - `."""
    if ": " not in line:
        return
    for part in line.split(" - ")[: 2 * MAX_KEYS]:
        match = _VALUE.match(part)
        if match is not None and match.group(1) not in _NOT_HISTORY:
            key = match.group(1)
            bare = key.removeprefix("val_")
            yield ("val_" if bare != key else "") + _SAME.get(bare, bare), float(match.group(2))
