"""Imports run one way, floor by floor (design, section 3), and what runs in a box imports nothing of the grader."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "grader"
ATTACKS = PACKAGE.with_name("grader_attacks")  # a package of its own: what a teacher imports carries no exploit
FLOORS = [
    {"__main__"},
    {"cli", "pytest_plugin"},
    {"review", "lms"},
    {"batch", "grader_attacks"},
    {"pipeline", "calibrate"},
    {"training", "rubric", "doctor", "display"},
    {"sandbox", "checks", "sources", "notebook", "scoring", "reports", "evidence", "dataset"},
    {"decode", "graph", "syntax"},
    {"closing", "errors", "records", "machine", "progress", "words"},
]
HEIGHT = {room: -index for index, floor in enumerate(FLOORS) for room in floor}
FILES = sorted([*PACKAGE.rglob("*.py"), *ATTACKS.rglob("*.py")])
FORBIDDEN = {"tensorflow", "keras", "pickle", "dill", "marshal", "shelve"}


def _room(path):
    if path.is_relative_to(ATTACKS):
        return "grader_attacks"
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts != ("__init__",) else None


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module, tuple(alias.name for alias in node.names)


def _rooms_imported(path):
    for module, names in _imports(path):
        if module == "grader":
            yield from names
        elif module.startswith("grader."):
            yield module.split(".")[1]
        elif module.split(".")[0] == "grader_attacks":
            yield "grader_attacks"


@pytest.mark.parametrize(
    "path", [path for path in FILES if "inside" not in path.parts], ids=lambda path: str(path.relative_to(PACKAGE.parent))
)
def test_imports_go_down_only(path):
    room = _room(path)
    if room is None:
        return
    assert room in HEIGHT, f"{room} has no floor: put it on one in this test and in CONTRIBUTING.md"
    for other in _rooms_imported(path):
        if other in ("__version__", room):
            continue
        assert other in HEIGHT, f"{path.name} imports grader.{other}, which has no floor"
        assert HEIGHT[other] < HEIGHT[room], f"{room} imports {other}, which is not on a lower floor"


@pytest.mark.parametrize("path", [path for path in FILES if "inside" in path.parts], ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_what_runs_in_a_box_imports_nothing_of_the_grader(path):
    assert not [module for module, _ in _imports(path) if module.split(".")[0] == "grader"]


@pytest.mark.parametrize(
    "path", [path for path in FILES if "inside" not in path.parts], ids=lambda path: str(path.relative_to(PACKAGE.parent))
)
def test_the_host_never_imports_tensorflow_or_a_pickle(path):
    assert not [module for module, _ in _imports(path) if module.split(".")[0] in FORBIDDEN]


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not {"inside", "syntax.py"} & set(path.parts)],
    ids=lambda path: str(path.relative_to(PACKAGE.parent)),
)
def test_the_host_parses_code_through_syntax_only(path):
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    assert not [ast.unparse(call.func) for call in calls if ast.unparse(call.func) in ("ast.parse", "compile", "eval", "exec")]
