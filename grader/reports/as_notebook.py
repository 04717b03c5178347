"""`executed.ipynb`: the student's cells with the outputs of the run here, and none of those that were stored in the file.

It is also what the page of the notebook is drawn from (`notebook.html`, the appendix of `report.html`): `request` is what the box that runs nbconvert
(`inside/page.py`) is asked, `page` reads its answer.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grader.errors import FrameError
from grader.records import Cell, CellOutput, CellRun, Executed, Page
from grader.reports import inert, view
from grader.reports.text import cleaned, shorten

NAME = "notebook"
FILENAME = "executed.ipynb"
PROGRAM = Path(__file__).resolve().parent / "inside"
MOST_OUTPUT, MOST_TEXT = 20_000, 2_000_000
"""Characters kept of one output, and of all."""
MOST_IMAGE, MOST_IMAGES = 2 * 2**20, 8 * 2**20
"""Bytes of one PNG, and of all."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 25_000_000


def render(executed: Executed) -> str:
    """The notebook as JSON of nbformat 4.5; where none was read, a notebook of one cell that says so."""
    executed = cleaned(executed)
    if executed.notebook is None:
        words = "\n\n".join((f"# {view.headline(executed.report)}", *view.explanation(executed.report)))
        cells = [{"cell_type": "markdown", "id": "result", "metadata": {}, "source": words}]
    else:
        runs, room = {run.index: run for run in executed.cells}, _Room()
        cells = [room.cell(cell, runs.get(cell.index)) for cell in executed.notebook.cells]
    about: dict[str, Any] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    about |= {"grader": {"cells": [view.cell_sentence(cell) for cell in view.troubled(executed.report)]}}
    return json.dumps({"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"


class _Room:
    """How much of the outputs may still be kept, and how many cells have run."""

    def __init__(self) -> None:
        self._text, self._images, self._count = MOST_TEXT, MOST_IMAGES, 0

    def cell(self, cell: Cell, run: CellRun | None) -> dict[str, Any]:
        """A cell, with the outputs of its run."""
        made: dict[str, Any] = {"cell_type": cell.kind, "id": f"cell-{cell.index}", "metadata": {}, "source": cell.source}
        made["metadata"]["grader"] = {"cell": cell.index}
        if cell.kind == "code":
            ran = run is not None and run.status != "skipped"
            self._count += ran
            made["metadata"]["grader"]["status"] = run.status if run is not None else "skipped"
            made["execution_count"] = self._count if ran else None
            made["outputs"] = [self._output(output, cell.index, run) for output in run.outputs] if run is not None else []
        return made

    def _output(self, output: CellOutput, cell: int, run: CellRun) -> dict[str, Any]:
        if output.kind == "png":
            return self._picture(output.data, cell)
        text = shorten(output.data, min(MOST_OUTPUT, self._text))
        self._text = max(0, self._text - len(text))
        if output.kind in ("stdout", "stderr"):
            return {"output_type": "stream", "name": output.kind, "text": text}
        if output.kind == "error":
            name, message = (run.error.type, run.error.message) if run.error else ("", text)
            return {"output_type": "error", "ename": name, "evalue": shorten(message, MOST_OUTPUT), "traceback": [text]}
        return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}

    def _picture(self, data: str, cell: int) -> dict[str, Any]:
        png = checked_png(data)
        if png is None or len(png) > self._images:
            words = "not a PNG of at most 2 MiB" if png is None else "beyond the 8 MiB that are kept of a notebook's figures"
            return {"output_type": "display_data", "data": {"text/plain": f"[A figure is left out: it is {words}.]"}, "metadata": {}}
        self._images -= len(png)
        alt = f"Figure drawn by cell {cell} of the notebook (no description is available)."
        encoded = base64.b64encode(png).decode("ascii")
        return {"output_type": "display_data", "data": {"image/png": encoded}, "metadata": {"image/png": {"alt": alt}}}


def checked_png(data: str) -> bytes | None:
    """The bytes of a PNG in base64; None if it is not one, is larger than 2 MiB, or would unfold to more than 25 million pixels."""
    if len(data) > MOST_IMAGE * 3 // 2:
        return None
    try:
        png = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(png) < 45 or len(png) > MOST_IMAGE or not png.startswith(_PNG) or png[12:16] != b"IHDR" or png[-8:-4] != b"IEND":
        return None
    width, height = struct.unpack(">II", png[16:24])
    return png if 0 < width * height <= _MOST_PIXELS else None


def request(executed: Executed) -> dict[str, Any]:
    """What the box is asked: the notebook as it ran, and the student's answers, to be drawn."""
    return {"notebook": render(executed), "answers": [cleaned(answer.text) for answer in executed.report.answers]}


def page(frames: Iterable[tuple[str, Any]]) -> Page:
    """What the box answered, read as strictly as a claim.

    Raises:
        FrameError: the answer is not whole.
        GraderError: something that can act is in it.
    """
    parts: dict[str, list[str]] = {"cells": [], "answer": [], "done": []}
    for kind, body in frames:
        if kind not in parts or not isinstance(body, str):
            raise FrameError("the notebook's page has an unknown format")
        parts[kind].append(body)
    if len(parts["done"]) != 1:
        raise FrameError("the notebook's page is incomplete")
    made = Page(cells="".join(parts["cells"]), answers=tuple(parts["answer"]))
    for html in (made.cells, *made.answers):
        inert.check_part(html)
    return made
