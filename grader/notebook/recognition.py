"""Facts by which the exercise, other exercises and other frameworks are told apart: from code only, never from comments or Markdown."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grader.notebook.anchors import Anchors, code_prints, line_print
from grader.notebook.code import strings_and_names
from grader.records import Notebook
from grader.syntax import parse, python_of

_CIFAR10 = re.compile(r"cifar(?:[-_ ]?10(?![0-9])|(?![-_ ]?[0-9]))", re.IGNORECASE)
_TORCH = frozenset({"torch", "torchvision", "torchsummary", "pytorch_lightning", "lightning", "skorch"})
_KERAS = frozenset({"keras", "tf_keras"})
_DATASETS = {
    "fashion_mnist": r"fashion[-_]?mnist",
    "mnist": r"(?<!fashion_)(?<!fashion-)(?<!fashion)mnist",
    "cifar100": r"cifar[-_ ]?100",
    "imdb": r"imdb",
    "reuters": r"reuters",
    "boston_housing": r"boston(?:_housing)?",
    "california_housing": r"california_housing",
    "flowers": r"(?:tf_|oxford_)?flowers(?:102)?|flower_photos",
    "cats_vs_dogs": r"cats_(?:vs|and)_dogs(?:_filtered)?|dogs_vs_cats",
    "svhn": r"svhn(?:_cropped)?",
    "stl10": r"stl10",
    "iris": r"(?:load_)?iris",
    "digits": r"load_digits",
    "titanic": r"titanic",
    "csv file": r"read_csv",
    "image folder": r"flow_from_directory|image_dataset_from_directory|ImageFolder",
}
_OTHER_DATA = {name: re.compile(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", re.IGNORECASE) for name, pattern in _DATASETS.items()}
_SHOWN = frozenset(
    {"print", "title", "suptitle", "set_title", "xlabel", "ylabel", "set_xlabel", "set_ylabel", "text", "format", "display", "input"}
)
_IMPORT = re.compile(r"^[ \t]*+(?:import|from)[ \t]++([A-Za-z_][\w.]*+)(?:[ \t]++import[ \t]++([\w, ]++))?", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What the code of a notebook says about itself; facts, no verdict.

    `other_datasets` are sorted names. `code_cells` counts code cells that are not blank. `template_score` is the fraction, 0 to 1, of the exercise's
    template lines (text and code) that were found in the notebook.
    """

    imports_keras: bool = False
    imports_torch: bool = False
    mentions_cifar10: bool = False
    other_datasets: tuple[str, ...] = ()
    code_cells: int = 0
    template_score: float = 0.0


def recognise(notebook: Notebook, anchors: Anchors) -> Recognition:
    """Collect the facts from a notebook's code cells; tolerant of magics, other languages and code that does not parse."""
    cells = [cell for cell in notebook.code if cell.source.strip()]
    modules: set[str] = set()
    names: set[str] = set()
    strings: set[str] = set()
    for cell in cells:
        tree = parse(cell.source)
        for kind, word in _from_tree(tree) if isinstance(tree, ast.Module) else _from_text(python_of(cell.source)):
            {"module": modules, "name": names, "string": strings}[kind].add(word)
    roots = {module.split(".")[0] for module in modules}
    said = names | {part for module in modules for part in module.split(".")} | {word for text in strings for word in _words(text)}
    return Recognition(
        imports_keras=bool(roots & _KERAS or "keras" in said or any(".keras" in module for module in modules)),
        imports_torch=bool(roots & _TORCH),
        mentions_cifar10=any(_CIFAR10.search(word) for word in said),
        other_datasets=tuple(name for name, pattern in sorted(_OTHER_DATA.items()) if any(pattern.search(word) for word in said)),
        code_cells=len(cells),
        template_score=_template_score(notebook, anchors),
    )


def _words(text: str) -> list[str]:
    """A string as one word; of one with blanks only the parts of a path that have none ("drive/My Drive/cifar"), for the rest is for a reader."""
    if not re.search(r"\s", text):
        return [text]
    parts = re.split(r"[/\\]", text)
    return [part for part in parts if not re.search(r"\s", part)] if len(parts) > 1 else []


def _from_tree(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Give (kind, word) for modules, names and strings that code uses; docstrings and text that is only shown do not count."""
    silent = {id(part) for node in ast.walk(tree) for part in _shown(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                yield from (("module", alias.name) for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases):
                yield "module", module or ""
                yield from (("module", f"{module or ''}.{alias.name}") for alias in aliases)
            case ast.Name(id=word) | ast.Attribute(attr=word):
                yield "name", word
            case ast.Constant(value=str(word)) if id(node) not in silent:
                yield "string", word[:200]
            case _:
                pass


def _shown(node: ast.AST) -> Iterable[ast.AST]:
    """Give the constants below a node that are docstrings or text for a reader."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node.value]
    if isinstance(node, ast.Call):
        callee = node.func
        name = callee.id if isinstance(callee, ast.Name) else callee.attr if isinstance(callee, ast.Attribute) else ""
        if name in _SHOWN:
            return [part for part in (*node.args, *(keyword.value for keyword in node.keywords)) if isinstance(part, ast.Constant)]
    return []


def _from_text(text: str) -> Iterator[tuple[str, str]]:
    """The same as `_from_tree` for code without a tree: coarser, by its tokens."""
    strings, names = strings_and_names(text)
    for match in _IMPORT.finditer(names):
        yield "module", match.group(1)
        yield from (("module", f"{match.group(1)}.{word.split()[0]}") for word in (match.group(2) or "").split(",") if word.strip())
    for match in _NAME.finditer(names):
        yield from (("name", word) for word in match.group().split("."))
    yield from (("string", string[:200]) for string in strings)


def _template_score(notebook: Notebook, anchors: Anchors) -> float:
    total = len(anchors.markdown_lines) + len(anchors.code_lines)
    text = {line_print(line[:5000]) for cell in notebook.cells if cell.kind != "code" for line in cell.source.split("\n")}
    code = {mark for cell in notebook.code for mark in code_prints(cell.source)}
    return (len(text & anchors.markdown_lines) + len(code & anchors.code_lines)) / total if total else 0.0
