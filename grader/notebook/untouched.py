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
    """The notebook without what unfilled cells set to `None` although a filled cell above has set it, and those cells' indices."""
    filled: set[str] = set()
    cells, copies = [], []
    for cell in notebook.cells:
        tree = syntax.parse(cell.source) if cell.kind == "code" else None
        body = tree.body if isinstance(tree, ast.Module) else []
        names = {name for statement in body for name in syntax.bound(statement)}
        again = cell.unfilled and bool(names) and names <= filled and all(_sets_none(statement) for statement in body)
        copies += [cell.index] if again else []
        cells.append(replace(cell, source="") if again else cell)
        filled |= set() if cell.unfilled else names
    return replace(notebook, cells=tuple(cells)), tuple(copies)


def _sets_none(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Assign | ast.Expr) and isinstance(value, ast.Constant))
