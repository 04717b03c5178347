"""What stored outputs record: training curves from Keras' progress lines, parameter counts from `summary()` tables.

Both are claims of the file that was handed in: evidence to audit, never worth points. Whatever the text holds, the time is linear in it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from grader.records import Cell, Notebook, RecordedCurve

MAX_TEXT = 4_000_000
"""Characters of one cell's outputs that are read."""
MAX_CURVES = 200
MAX_EPOCHS = 5_000
MAX_KEYS = 24
MAX_TABLES = 200

_ESCAPE = re.compile(r"\x1b\[[0-?]*+[ -/]*+[@-~]?")
_BREAK = re.compile(r"[\r\n\x08]+")
_EPOCH = re.compile(r"\s*Epoch\s+(\d{1,6})\s*/\s*(\d{1,6})")
_RESTART = re.compile(r"\s*Train on \d")
_STEPS = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9}|Unknown)\b")
_VALUE = re.compile(r"\s*([A-Za-z_]\w{0,80})\s*:\s*([+-]?(?:\d{1,20}(?:\.\d{0,20})?(?:[eE][+-]?\d{1,3})?|nan|inf))\s*\Z")
_MEASURES = re.compile(r"(?:val_)?(?:loss|\w*acc\w*)\Z")
_NOT_HISTORY = frozenset({"ETA"})
_COUNT = re.compile(r"\b(Total|Trainable|Non-trainable|Optimizer) params:\s*(\d[\d,.']{0,30})")
_SAME = {"acc": "accuracy", "categorical_accuracy": "accuracy", "sparse_categorical_accuracy": "accuracy"}


def recorded_curves(notebook: Notebook) -> tuple[RecordedCurve, ...]:
    """Read one curve for each training run whose progress lines a cell stored, in order (Keras 1, 2 and 3, any verbosity).

    A value is what the epoch's last line says. Accuracies go by the keys `accuracy` and `val_accuracy`, whatever Keras called them;
    values may be NaN or infinite, as printed. Only keys that every epoch has are kept; an interrupted last epoch is left out, and so are
    the lines of `evaluate`. `epochs` counts the epochs that were recorded.
    """
    curves: list[RecordedCurve] = []
    for cell in notebook.code:
        for run in _runs(_text(cell)):
            values = run.values()
            if values and len(curves) < MAX_CURVES:
                curves.append(RecordedCurve(cell=cell.index, epochs=len(next(iter(values.values()))), values=values))
    return tuple(curves)


def claimed_parameters(notebook: Notebook) -> tuple[int, ...]:
    """Read the weights counted by each stored `summary()` table, in order: trainable and frozen ones, without an optimizer's slots.

    A newer Keras counts the optimizer's variables into the total of a compiled model, so the sum of the parts stands where the table
    gives them.
    """
    claims: list[int] = []
    for cell in notebook.code:
        tables: list[dict[str, int]] = []
        for match in _COUNT.finditer(_text(cell)):
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


def _text(cell: Cell) -> str:
    """Join a cell's outputs; what a stream wrote in pieces stays in one piece."""
    parts: list[str] = []
    for output in cell.outputs:
        if output.kind != "stream":
            parts.append("\n")
        parts.append(output.text)
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

    def values(self) -> dict[str, tuple[float, ...]]:
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
