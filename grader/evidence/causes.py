"""Why something is missing: the cell whose lost statements would have made it, not simply the first cell that failed.

A statement is lost where it failed, where it was not run because it needs one that failed, or where its cell was never reached. What a statement would
have done is read from its text, with the functions of the notebook that it calls; whose fault it is goes back along the names that were not there. All
of it makes sentences, never points.
"""

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from grader import graph as graphs
from grader import syntax
from grader.records import Cause, CellError, CellRun, Model, ModelClaim, Notebook, Role, RunRecord

_LAYERS = (
    "Conv2D", "Convolution2D", "Dense", "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D", "MaxPooling2D", "Activation",
    "Sequential", "Model",
)  # fmt: skip
_CALLS: Mapping[str, tuple[str, ...]] = {
    "base": _LAYERS,
    "dropout": tuple(graphs.DROPOUTS),
    "augmentation": (*graphs.AUGMENTATION, "ImageDataGenerator"),
    "compile": ("compile",),
    "fit": ("fit", "fit_generator", "train_on_batch", "GradientTape", "apply_gradients"),
    "curves": ("plot",),
    "data": ("load_data",),
}
"""Calls by which a statement tells what it is there for; a misspelt one (`Dropot`) is told by its likeness."""
_SHORT, _LIKENESS = 5, 0.8
"""Shorter names are only themselves; what two names must have in common to be one."""
_SECTIONS = {"dropout": (5,), "augmentation": (6,)}
_WORDS = {
    "data": "no images were loaded",
    "base": "no model was built",
    "dropout": "no model with Dropout was built",
    "augmentation": "no model with augmentation layers was built",
    "compile": "the network was not compiled",
    "fit": "the network was not trained",
    "curves": "no training curve was plotted",
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth")
_FOLLOWS = {"base": ("compile", "fit", "curves"), "compile": ("fit", "curves"), "fit": ("curves",)}
"""What cannot be there where the first is missing for the same cause, and is not told twice."""
_NO_ERRORS = ("Stopped", "Timeout")
"""What the host and the box call a cell that was ended, in place of an exception's type."""
_LINE_STARTS = re.compile(r"^[ \t]*(?:(?:def|class|import|from \w+ import) )?(\w+)", re.MULTILINE)
_UNKNOWN_NAME = re.compile(r"name '(\w+)' is not defined|local variable '(\w+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lost:
    """A statement that did not run to its end. `called` holds what it and the notebook's functions that it uses call."""

    cell: int
    section: int
    error: CellError | None
    called: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    reached: bool = True


@dataclass(slots=True)
class _Text:
    """The notebook's functions and classes, by name."""

    bodies: dict[str, ast.AST] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)

    def called(self, node: ast.AST, depth: int = 3) -> frozenset[str]:
        """The names in a statement, in the functions that it names, and so on: each function is read once, however many name it."""
        found = new = _named(node)
        for _ in range(depth):
            inner = new & self.bodies.keys()
            self.named |= {name: _named(self.bodies[name]) for name in inner - self.named.keys()}
            new = set().union(*(self.named[name] for name in inner)) - found
            found = found | new
        return frozenset(found)


def _named(node: ast.AST) -> set[str]:
    return {part.id if isinstance(part, ast.Name) else part.attr for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)}


def causes(notebook: Notebook, record: RunRecord, roles: Mapping[str, Role]) -> Mapping[str, Cause]:
    """Thing that is missing -> its cause, for those that have one; "cell N" -> how cell N ended and what followed, for those that did not run through."""
    lost = tuple(_lost(notebook, record))
    found: dict[str, Cause] = {}
    followed: dict[int, list[tuple[str, CellError | None]]] = {}
    ended = max((run.index for run in record.cells if run.status != "skipped"), default=0)
    for what in _missing(record, roles):
        if (first := _first(what, lost)) is None:
            continue
        cell, sentence = ended, f"Not seen: cell {first.cell} was not reached, because cell {ended} ended the run (see above)."
        if first.reached:
            root = _root(first, lost)
            followed.setdefault(root.cell, []).append((what, root.error))
            stopped = "was stopped" if root.error is None or root.error.type in _NO_ERRORS else f"stopped with {root.error.type}"
            cell, sentence = root.cell, f"{_WORDS[what][0].upper()}{_WORDS[what][1:]}: cell {root.cell} {stopped} (see above)."
        found[what] = Cause(cell=cell, sentence=sentence)
    begun = roles["base"].model
    if begun is not None and begun.claim.unfinished:
        cause = found.get("base", Cause(cell=begun.claim.cell, sentence=""))
        adds = [each for each in lost if each.cell == cause.cell and "add" in each.called and set(begun.claim.names) & each.binds]
        found["base"] = replace(cause, sentence=_begun(begun.claim, len(adds) - 1, cause.cell))
    for run in record.cells:
        if run.status in ("error", "timeout"):
            made = followed.get(run.index, [])
            error = next((error for _, error in made if error is not None), run.error)
            sentence = _consequence(run, record, lost, [what for what, _ in made], unfinished=begun is not None)
            found[f"cell {run.index}"] = Cause(cell=run.index, sentence=sentence, error=error)
    return found


def half_built(notebook: Notebook, record: RunRecord, model: Model) -> Model:
    """The model; as one that was never finished where layers could not be added to it and no training call on it ran through."""
    first = min((claim.cell for claim in record.models if claim.serial == model.claim.serial), default=model.claim.cell)
    names, claim = set(model.claim.names), model.claim
    adds = [each for each in _lost(notebook, record) if each.cell == first and "add" in each.called and names & each.called]
    if claim.unfinished or any(fit.error is None for fit in model.fits) or not adds or adds[0].error is None:
        return model
    stands = sum(layer.class_name != "InputLayer" for layer in claim.layers)
    place, counted = f"in line {adds[0].error.line}, fails", all(names & each.binds for each in adds)
    unfinished, planned = (place, stands + 1) if counted else (f"the next one, {place}", 0)
    return replace(model, claim=replace(claim, unfinished=unfinished, planned=planned))


def training_lost(notebook: Notebook, record: RunRecord, names: tuple[str, ...]) -> bool:
    """Whether a model of these `names` that was never trained would have been, had every cell run: by a lost statement, or in a cell that was not reached."""
    return any(not each.reached or (_would("fit", each) and (not names or set(names) & each.called)) for each in _lost(notebook, record))


def _begun(claim: ModelClaim, more: int, cell: int) -> str:
    """What stands of a network that was never finished; `more`: layers that later lines would have added."""
    stands = sum(layer.class_name != "InputLayer" for layer in claim.layers)
    planned = claim.planned + max(more, 0)
    if not planned:
        return f"The network was not finished: {stands} layer{'s were' if stands != 1 else ' was'} applied, but {claim.unfinished} (see cell {cell} above)."
    failed = _ORDINALS[stands] if stands < len(_ORDINALS) else f"{stands + 1}th"
    added = f"{stands} of {planned} layers were added; the {failed}, {claim.unfinished}"
    return f"The network was not finished: {added} (see cell {cell} above)."


def _missing(record: RunRecord, roles: Mapping[str, Role]) -> Iterator[str]:
    base = roles["base"].model
    if "cifar10" not in record.loads and not record.variables and not any(fit.train for fit in record.fits):
        yield "data"
    if base is None or base.claim.unfinished:
        yield "base"
    yield from (role for role in ("dropout", "augmentation") if roles[role].model is None)
    if base is None or base.compiled is None:
        yield "compile"
    if base is None or not base.fits:
        yield "fit"
    own = {fit.index for fit in base.fits} if base else set()
    if not any(index in own for plot in record.plots for index, _ in plot.curves):
        yield "curves"


def _consequence(run: CellRun, record: RunRecord, lost: tuple[_Lost, ...], whats: list[str], *, unfinished: bool) -> str:
    """What followed from a cell that did not run through, to be read after how it ended; empty where nothing did."""
    unreached = [other.index for other in record.cells if other.status == "skipped" and record.ending != "ok"]
    last = max((other.index for other in record.cells if other.status != "skipped"), default=run.index)
    if unreached and run.index == last:
        return f"so {_listed('cell', unreached)} {'was' if len(unreached) == 1 else 'were'} not reached"
    hidden = {later for what in whats for later in _FOLLOWS.get(what, ())}
    words = _WORDS | ({"base": "the network was not finished"} if unfinished else {})
    told = [words[what] for what in whats if what not in hidden]
    if told:
        return "so " + " and ".join(told)
    own = [each for each in lost if each.cell == run.index]
    roots = {_root(each, lost).cell for each in own} - {run.index}
    return f"which follows from cell {min(roots)}" if roots else ""


def _listed(noun: str, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    return f"{noun}s {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _first(what: str, lost: tuple[_Lost, ...]) -> _Lost | None:
    """The lost statement that would have made `what`: of its section if there is one, else the first."""
    others = {section for role, sections in _SECTIONS.items() if role != what for section in sections}
    able = [each for each in lost if each.section not in others and _would(what, each)]
    able = [each for each in able if each.section in _SECTIONS.get(what, ())] or able
    return next((each for each in able if each.reached), next(iter(able), None))


def _would(what: str, lost: _Lost) -> bool:
    if not lost.reached:
        return True
    if lost.section in _SECTIONS.get(what, ()) and lost.called & set(_CALLS["base"]):
        return True
    if what == "curves" and not any("history" in name.lower() or name in ("plt", "ax", "axes") for name in lost.called):
        return False
    return any(_alike(name, call) for name in lost.called for call in _CALLS[what])


def _alike(name: str, call: str) -> bool:
    """Whether a name is that of a call, or one that is misspelt; `model` is no `Model`."""
    if name == call or len(call) < _SHORT or name[0].isupper() != call[0].isupper() or abs(len(name) - len(call)) > 2:
        return name == call
    return difflib.SequenceMatcher(None, name, call).ratio() >= _LIKENESS


def _root(each: _Lost, lost: tuple[_Lost, ...]) -> _Lost:
    """Where it began: back from a name that was not there to the statement that would have bound it."""
    for _ in range(20):
        unknown = _UNKNOWN_NAME.search(each.error.message) if each.error and each.error.type == "NameError" else None
        name = (unknown[1] or unknown[2]) if unknown else None
        uncompiled = each.error is not None and "must call `compile()`" in each.error.message
        makers = [other for other in lost if name in other.binds or (uncompiled and "compile" in other.called)]
        before = [other for other in makers if other.cell < each.cell and other.reached]
        if not before:
            break
        each = before[-1]
    return each


# ------------------------------------------------------------------ what was lost


def _lost(notebook: Notebook, record: RunRecord) -> Iterator[_Lost]:
    runs = {run.index: run for run in record.cells}
    trees = {cell.index: syntax.parse(cell.source) for cell in notebook.code}
    text = _Text()
    for tree in trees.values():
        if isinstance(tree, ast.Module):
            text.bodies |= {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    ended = next((run for run in reversed(record.cells) if run.status != "skipped"), None)
    for cell in notebook.code:
        run, tree = runs.get(cell.index), trees[cell.index]
        if run is None or run.status == "ok" or (run.status == "skipped" and record.ending == "ok"):
            continue
        if run.status == "skipped":
            if ended is not None:
                yield _Lost(cell=cell.index, section=cell.section, error=None, reached=False)
            continue
        body = tree.body if isinstance(tree, ast.Module) else []
        errors = {error.statement: error for error in reversed((*((run.error,) if run.error else ()), *run.more))}
        if not body or (run.error is not None and run.error.type == "SyntaxError"):  # no tree: the whole cell, by its words
            words = re.sub(r"#.*", "", cell.source[: syntax.MAX_PARSED])
            called, binds = frozenset(re.findall(r"\w+", words)), frozenset(_LINE_STARTS.findall(words))
            yield _Lost(cell=cell.index, section=cell.section, error=run.error, called=called, binds=binds)
            continue
        failed: list[tuple[frozenset[str], CellError]] = []
        for statement in body:
            above = [decorator.lineno for decorator in getattr(statement, "decorator_list", ())]
            lines = range(min([statement.lineno, *above]), (statement.end_lineno or statement.lineno) + 1)
            own = next((errors[line] for line in lines if line in errors), None)
            if not any(line in lines for line in run.lost) and (run.lost or run.error is None or run.error.type not in _NO_ERRORS):
                continue
            called, binds = text.called(statement), _binds(statement)
            if own is not None:
                failed.append((binds, own))
            because = own or next((error for made, error in reversed(failed) if made & called), failed[-1][1] if failed else run.error)
            yield _Lost(cell=cell.index, section=cell.section, error=because, called=called, binds=binds)


def _binds(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement binds, and the one whose method it calls."""
    value: ast.AST | None = statement.value if isinstance(statement, ast.Expr) else None
    while isinstance(value, ast.Call | ast.Attribute | ast.Subscript):
        value = value.func if isinstance(value, ast.Call) else value.value
    return syntax.bound(statement) | ({value.id} if isinstance(value, ast.Name) else set())
