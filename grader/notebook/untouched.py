"""Whether anything was done at all, and copies of the template that undo it."""

import ast
from dataclasses import replace

from grader import syntax
from grader.notebook.anchors import Anchors, code_prints
from grader.records import Notebook


def untouched(notebook: Notebook, anchors: Anchors) -> bool:
    """Whether every code cell is as it was handed out: unfilled, empty, or made of the exercise's own lines only."""
    return all(cell.unfilled or set(code_prints(cell.source)) <= anchors.code_lines for cell in notebook.code)


def without_copies(notebook: Notebook) -> tuple[Notebook, tuple[int, ...]]:
    """The notebook without the lines of unfilled cells that set to `None` what a filled cell above has made, and those cells' indices."""
    filled: set[str] = set()
    cells, copies = [], []
    for cell in notebook.cells:
        tree = syntax.parse(cell.source) if cell.kind == "code" else None
        body = tree.body if isinstance(tree, ast.Module) else []
        again = [statement for statement in body if cell.unfilled and _sets_none(statement) and syntax.bound(statement) <= filled]
        lines = cell.source.split("\n")
        for statement in again:
            lines[statement.lineno - 1] = "pass"
        copies += [cell.index] if again else []
        cells.append(replace(cell, source="\n".join(lines)) if again else cell)
        filled |= {name for statement in body if not cell.unfilled for name in syntax.bound(statement)}
    return replace(notebook, cells=tuple(cells)), tuple(copies)


def _sets_none(statement: ast.stmt) -> bool:
    """Whether a statement, one line, is `name = None`."""
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is None
        and statement.lineno == statement.end_lineno
    )
