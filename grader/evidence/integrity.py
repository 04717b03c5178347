"""What the notebook's text says about its intentions: code that reaches for the grader, libraries patched, text that addresses whoever grades.

Only the text is read; nothing is run. Whoever wants to hide can (`getattr(o, "_ex" + "it")`), so nothing here is a proof and the absence of a
flag says nothing: what holds without this is in `SECURITY.md`.
"""

import ast
import re
from collections.abc import Iterator

from grader import syntax
from grader.records import Evidence, Flag

_MACHINERY = {
    "_getframe": "looks at the frames of its callers",
    "_current_frames": "looks at the frames of all threads",
    "currentframe": "looks at the frames of its callers",
    "get_objects": "searches all objects of the process",
    "get_referrers": "searches all objects of the process",
    "cell_contents": "looks into the closures of functions",
    "settrace": "traces every call",
    "setprofile": "traces every call",
    "_box": "names a module of the grader",
    "__aside__": "names a function of the grader",
    "ctypes": "calls the C library or the kernel directly",
    "memfd_create": "calls the kernel directly",
}
"""Names that no exercise needs and that lead to the grader's own code in the box."""

SUSPICIOUS = frozenset({"touches_grader", "patches_library", "claim_differs"})
"""Flags after which a person looks before the points count: what such code says of the model need not be what the code does."""

_ENDS = ("_exit", "abort", "kill")
_PATCHED = frozenset({"keras", "tensorflow", "json", "builtins", "numpy", "sys", "os", "IPython"})
_HARMLESS = frozenset(
    {"float", "int", "bool", "object", "str", "typeDict", "contrib", "keras", "Session", "ConfigProto", "displayhook", "path", "argv"}
)
"""Old names that notebooks give back to a library so that old code runs (`np.bool = bool`)."""
_PROC = re.compile(r"/proc/(?:self|thread-self|\d+|\{|%|$)")
_DATA_CHARACTERS = 20_000
"""A text or bytes literal of this many characters is data: a base64 file of trained weights of the exercise's model has 7 million."""
_LOADS = ("set_weights", "load_weights", "load_model")
_ADDRESSED = re.compile(
    r"(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|every\s+)*(?:previous|prior|above|earlier|preceding|system|grading)\s+"
    r"(?:instructions?|prompts?|rules?|rubrics?|criteria)"
    r"|(?:dear|note\s+(?:to|for)|attention|message\s+(?:to|for)|hello|hey)[\s,:]+(?:the\s+|any\s+)?(?:auto(?:matic)?[\s-]?)?grad(?:er|ing)"
    r"|(?:give|award|assign|grant)\s+(?:me|this|it|us|the\s+student)?[^.\n]{0,40}\b(?:full|maximum|max|100|all)\s+(?:marks?|points?|scores?|credit)"
    r"|(?:you\s+are|act\s+as)\s+(?:now\s+)?(?:an?\s+|the\s+)?(?:helpful\s+)?(?:auto)?(?:grader|language\s+model|ai\b|assistant)"
    r"|<\|(?:im_start|system|endoftext)",
    re.IGNORECASE,
)


def integrity(evidence: Evidence) -> Iterator[Flag]:
    """The flags of the notebook's own text, at most one of a kind for each cell."""
    imported: dict[str, str] = {}
    for cell in evidence.notebook.cells:
        if _ADDRESSED.search(cell.source[:200_000]):
            yield Flag(
                id="addresses_grader",
                severity="alert",
                message="The text of this cell addresses the grader.",
                cell=cell.index,
            )
        if cell.kind != "code":
            continue
        tree = _tree(cell.source)
        if tree is None:
            continue
        imported |= _imports(tree)
        found = dict(_findings(tree, imported))
        if any(_PROC.search(text) for text in _texts(tree)):
            found.setdefault("touches_grader", "opens the process's own entries in /proc")
        for identifier, what in found.items():
            severe = identifier in ("touches_grader", "patches_library", "weights_smuggled")
            yield Flag(id=identifier, severity="alert" if severe else "warning", message=f"The code {what}.", cell=cell.index)


def _tree(source: str) -> ast.Module | None:
    text = re.sub(r"^([ \t]*)[%!?].*$", r"\1pass", source[:300_000], flags=re.MULTILINE)
    tree = syntax.tree(text)
    return tree if isinstance(tree, ast.Module) else None


def _imports(tree: ast.Module) -> dict[str, str]:
    """Name in the notebook -> top package that it comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = node.module.partition(".")[0]
    for node in ast.walk(tree):  # other names for parts of a package: `place = keras.saving`, `for place in (keras.saving, keras.utils)`
        if isinstance(node, (ast.Assign, ast.For)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            values = (
                [node.value] if isinstance(node, ast.Assign) else node.iter.elts if isinstance(node.iter, (ast.Tuple, ast.List)) else []
            )
            package = next((root for value in values if (root := _root(value, found))), "")
            if isinstance(target, ast.Name) and package:
                found[target.id] = package
    return found


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value[:2000]


def _findings(tree: ast.Module, imported: dict[str, str]) -> Iterator[tuple[str, str]]:
    large = any(
        isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and len(node.value) >= _DATA_CHARACTERS
        for node in ast.walk(tree)
    )
    for node in ast.walk(tree):
        name = _name(node)
        if name in _MACHINERY:
            yield "touches_grader", _MACHINERY[name]
        elif name in _ENDS and isinstance(node, ast.Attribute) and _root(node, imported) == "os":
            yield "ends_process", f"ends processes (os.{name})"
        elif (
            name == "write" and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and imported.get(node.value.id) == "os"
        ):
            yield "touches_grader", "writes to bare file descriptors (os.write)"
        elif name in _LOADS:
            yield ("weights_smuggled", f"holds data and calls {name}") if large else ("weights_loaded", f"loads weights ({name})")
        for target in _assigned(node):
            package = _root(target, imported)
            if package in _PATCHED and target.attr not in _HARMLESS:
                yield "patches_library", f"replaces a part of {package} ({ast.unparse(target)[:80]})"
        if isinstance(node, ast.ClassDef) and any(
            isinstance(item, ast.Assign) and any(_name(target) in ("__module__", "__name__", "__class__") for target in item.targets)
            for item in node.body
        ):
            yield "patches_library", f"disguises the class {node.name} as another one"
        if (
            isinstance(node, ast.Call)
            and _name(node.func) == "setattr"
            and node.args
            and isinstance(node.args[0], (ast.Name, ast.Attribute))
        ):
            package = imported.get(node.args[0].id, "") if isinstance(node.args[0], ast.Name) else _root(node.args[0], imported)
            if package in _PATCHED:
                yield "patches_library", f"replaces a part of {package} with setattr"


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.alias):
        return node.name.partition(".")[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("_box"):
        return "_box"
    return ""


def _root(node: ast.expr, imported: dict[str, str]) -> str:
    """The package that the attribute chain `node` begins in; empty where it begins in something that was not imported."""
    if not isinstance(node, ast.Attribute):
        return ""
    value: ast.expr = node
    while isinstance(value, ast.Attribute):
        value = value.value
    return imported.get(value.id, "") if isinstance(value, ast.Name) else ""


def _assigned(node: ast.AST) -> Iterator[ast.Attribute]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    elif isinstance(node, ast.Delete):
        targets = node.targets
    for target in targets:
        for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else (target,):
            holder = part.value if isinstance(part, ast.Subscript) else part
            if isinstance(holder, ast.Attribute) and (not isinstance(part, ast.Subscript) or holder.attr in ("modules", "__dict__")):
                yield holder
