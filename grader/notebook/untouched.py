"""Whether anything was done at all."""

from grader.notebook.anchors import Anchors, code_prints
from grader.records import Notebook


def untouched(notebook: Notebook, anchors: Anchors) -> bool:
    """Whether every code cell is as it was handed out: unfilled, empty, or made of the exercise's own lines only."""
    return all(cell.unfilled or set(code_prints(cell.source)) <= anchors.code_lines for cell in notebook.code)
