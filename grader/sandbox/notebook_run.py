"""Running a notebook's cells in box 1: the host's side. What comes back is a `RunRecord`, whatever the cells do."""

import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from grader.decode import RunCollector
from grader.errors import FrameError, GraderError, InfrastructureError
from grader.progress import Watch, nobody
from grader.records import Cell, CellError, CellRun, RunRecord
from grader.sandbox.base import Job, Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running
from grader.words import last_line

PROGRAM = Path(__file__).resolve().parent / "inside"
_GRACE_S = 5.0
"""Seconds a cell may go on after its own time limit (it is interrupted inside first) before the host ends the box."""

_NO_ROOM = ("MemoryError", "_ArrayMemoryError", "ResourceExhaustedError")
"""What Python, NumPy and TensorFlow raise where the box's limit gives them no more memory."""


def start_notebook(
    cells: tuple[Cell, ...], sandbox: Sandbox, limits: Limits, data: Path, seed: int = 0, *, train: Mapping[str, Any] | None = None
) -> Running:
    """Start box 1 on the code cells of a notebook; `data` is the folder of the CIFAR-10 arrays (`x_train.npy`, …); `seed` seeds every generator.

    `train`: which training call to make in earnest, and how far (see `inside/really_train.py`); None for none.
    """
    spec: dict[str, Any] = {
        "cells": [{"index": cell.index, "source": cell.source} for cell in cells if cell.kind == "code"],
        "data": str(data),
        "seed": seed,
    }
    if train is not None:
        spec["train"] = dict(train)
    return sandbox.start(Job(program=PROGRAM, module="box1", spec=spec, readable=(data,)), limits)


def collect_notebook(
    running: Running,
    cells: tuple[Cell, ...],
    limits: Limits,
    deadline: float | None = None,
    *,
    enough: Callable[[RunCollector], bool] | None = None,
    watch: Watch = nobody,
) -> RunRecord:
    """Take frames until the box ends. `deadline` is a `time.monotonic()` value at which the run is cut short (ending `deadline`).

    `enough` is asked after every read whether what came is all that is wanted; the box is ended then (ending `enough`). `watch` is told of each cell.

    Never raises for what the student's code does: a limit, a crash or a malformed frame is the record's `ending`. Raises GraderError
    where the box died before it ran the first cell, InfrastructureError where it was killed from outside by then.
    """
    collector = RunCollector()
    code = {cell.index: cell.source for cell in cells if cell.kind == "code"}
    numbers = {index: number for number, index in enumerate(code, 1)}
    cell_started, current = time.monotonic(), None
    while (frames := running.read()) is not None:
        for kind, body in frames:
            try:
                collector.add(kind, body)
            except FrameError as error:
                running.stop("garbled", f"The notebook's process sent something unreadable ({error}).")
                break
            if kind == "start" and collector.current_cell in code:
                cell = collector.current_cell
                first = next((line.strip() for line in code[cell].splitlines() if line.strip()), "")
                watch("cell", number=numbers[cell], of=len(code), cell=cell, code=first[:200])
        if enough is not None and enough(collector):
            running.stop("enough", "Everything that was wanted had come.")
        now = time.monotonic()
        if collector.current_cell != current:
            current, cell_started = collector.current_cell, now
        if current is not None and now - cell_started > limits.cell_s + _GRACE_S:
            running.stop("timeout", f"Cell {current} ran longer than {limits.cell_s:g} s (--cell-timeout) and could not be interrupted.")
        if deadline is not None and now > deadline:
            running.stop("deadline", "Time for grading (--deadline) was up before the notebook had run to its end.")
    ending = running.ending
    assert ending is not None
    if ending.lost:
        raise InfrastructureError(f"{ending.detail} It was killed from outside, or the machine is short of memory. Run it again.")
    fields = collector.fields()
    if not fields["versions"] and ending.name in ("ok", "killed"):  # it died before the first cell: not the student's doing
        if ending.signal == signal.SIGKILL:
            raise InfrastructureError(
                "Box 1 was killed before the first cell ran, by the kernel (is the machine short of memory?) or from outside. Run it again."
            )
        raise GraderError(
            f"Box 1 ended before the first cell ran. {ending.detail} Its last output: {last_line(running.output.decode('utf-8', 'replace'), '(none)')}"
        )
    record = RunRecord(ending=ending.name, detail=ending.detail, seconds=running.seconds, peak_mib=running.peak_mib, **fields)
    if ending.name == "ok" and not collector.finished:
        place = f" in cell {collector.current_cell}" if collector.current_cell is not None else ""
        record = replace(record, ending="killed", detail=f"The notebook ended its own process{place}.")
    return replace(record, cells=_complete(record, cells, collector.current_cell, limits))


def _complete(record: RunRecord, cells: tuple[Cell, ...], current: int | None, limits: Limits) -> tuple[CellRun, ...]:
    """One `CellRun` for every code cell: those that the box did not report were cut off (the current one) or never reached."""
    known = {run.index: run for run in record.cells}
    result = []
    for cell in cells:
        if cell.kind != "code":
            continue
        run = known.get(cell.index)
        if run is None and cell.index == current:
            error = CellError(type="Stopped", message=record.detail)
            run = CellRun(index=cell.index, status="timeout" if record.ending in ("timeout", "deadline") else "error", error=error)
        if run is not None and run.error is not None and run.error.type in _NO_ROOM:
            said = f"{run.error.message.rstrip('.')} (a notebook may use {limits.memory} of memory: --memory)".lstrip()
            run = replace(run, error=replace(run.error, message=said))
        result.append(run or CellRun(index=cell.index, status="skipped"))
    return tuple(result)
