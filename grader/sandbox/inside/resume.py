"""A line that fails costs what depends on it, not the rest of its cell or function.

Of a cell's own statements those go on that read nothing which the failed one would have made or changed (`Resume.rest`). In a function, and in a loop or
branch of the cell, a statement that the rest does not need (it prints, shows, saves, asserts) is run so that its error is noted and the next one runs
(`Resume.visit`): a builder whose `print` fails still returns its network. A `try` of the student's own sees every error, as ever.
"""

import ast
import builtins
import contextlib
import re
import sys
import types

from .context import describe_error
from .originals import hidden

_MOST_FAILURES = 6  # told of one cell
_MOST_PASSED = 100  # failures of one cell that end nothing: a loop that waits for its error has to get it
_SHOWS = frozenset({"display", "plot_model", "pprint", *(name for name in dir(builtins) if name[:1].islower())}) - {
    "setattr",
    "delattr",
    "exec",
    "eval",
}
"""Functions that change nothing that they are given."""
_ASIDE = frozenset((
    "count_params", "copy", "describe", "evaluate", "format", "get_config", "get_layer", "get_weights", "head", "info", "join",
    "load_weights", "mean", "predict", "save", "save_weights", "savefig", "set_weights", "show", "summary", "tail", "to_csv", "to_json",
    "to_yaml", "write",
))  # fmt: skip
"""Methods that change nothing about what they are called on, where a statement is their call: weights count for nothing."""
_CHANGES = frozenset((
    "adapt", "add", "append", "build", "clear", "compile", "extend", "fit", "fit_generator", "insert", "pop", "remove", "set_weights",
    "shuffle", "sort", "train_on_batch", "update",
))  # fmt: skip
"""Methods that change what they are called on, wherever they are called."""
_NAMED = re.compile(r"<ipython-input-(\d+)-")


class Resume(ast.NodeTransformer):
    """One per box: IPython's transformer of cells, and the book of what failed in the running one."""

    def __init__(self, context):
        self._context = context
        self._cells = {}  # IPython's number of a piece of code -> index of its cell
        self._tries = {}  # that number -> [(first, last line)] in which a `try` or `with` of the student's own minds errors
        self._loops = {}  # that number -> [(first, last line, its head)] of the loops that nothing in them leaves
        self._functions = {}  # name -> the last function so called, from any cell
        self.begin()
        builtins.__aside__ = hidden(self._aside)

    def begin(self):
        self.failures, self.errors, self.lost, self._passed = [], [], [], 0

    def running(self, number):
        """A piece of the current cell is about to run under this number."""
        self._cells[number] = self._context.cell
        self._number = number

    # ------------------------------------------------------------------ in functions

    def visit(self, tree):
        """IPython calls this with each parsed piece of a cell."""
        with self._context.ours("preparing a cell"), contextlib.suppress(RecursionError):
            self._know_modules(tree)
            self._tries[self._number] = [
                (node.body[0].lineno, node.body[-1].end_lineno)
                for node in ast.walk(tree)
                if (isinstance(node, ast.Try | ast.TryStar) and node.handlers) or _minds(node)
            ]
            self._loops[self._number] = [
                (node.lineno, node.end_lineno, _head(node))
                for node in ast.walk(tree)
                if isinstance(node, ast.For | ast.While) and not any(isinstance(inner, _EXITS) for inner in ast.walk(node))
            ]
            functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
            self._functions.update((function.name, function) for function in functions)
            wrapped = {id(part) for function in functions for part in self._unneeded(function)}
            wrapped |= {id(part) for part in _simple(tree.body) if isinstance(part, ast.Expr) and not self._effect(part)[1]}
            wrapped -= {id(part) for part in tree.body}
            ast.fix_missing_locations(_Wrap(wrapped).visit(tree))
        return tree

    def _unneeded(self, function):
        """The statements of a function that nothing else in it needs and that change nothing: those that may fail by themselves."""
        own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)} | _stores(function.body)
        parts = list(_simple(function.body, blocks=True))
        free = {id(part): self._effect(part) for part in parts if isinstance(part, _PLAIN + _BLOCKS) and not _leaves(part, own)}
        free = {key: made for key, (made, changed) in free.items() if not changed}
        while True:
            needed = _loads(function, free)
            needed |= {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
            kept = {key: made for key, made in free.items() if not made & needed}
            if len(kept) == len(free):
                return [part for part in parts if id(part) in kept]
            free = kept

    def _aside(self):
        """Whether the error being handled is noted and the next statement runs; the student's own `try` comes first."""
        error = sys.exc_info()[1]
        self._passed += 1
        if isinstance(error, StopIteration | StopAsyncIteration) or self._passed > _MOST_PASSED:
            return False
        frame, place = sys._getframe(1), None
        while frame is not None:
            named = _NAMED.match(frame.f_code.co_filename)
            if named:
                number = int(named[1])
                if any(first <= frame.f_lineno <= last for first, last in self._tries.get(number, ())):
                    return False
                place = frame.f_lineno if self._cells.get(number) == self._context.cell else place
            frame = frame.f_back
        if not self._context.busy and len(self.failures) < _MOST_FAILURES:
            self.failed(error, place)
        return True

    # ------------------------------------------------------------------ loops without end

    def endless(self, frame):
        """The loop around the running line of a frame of the notebook's that nothing in it leaves, in words; None where there is none."""
        named = _NAMED.match(frame.f_code.co_filename)
        loops = self._loops.get(int(named[1]), ()) if named else ()
        found = next(((first, head) for first, last, head in loops if first <= frame.f_lineno <= last), None)
        return found and f"the loop in line {found[0]} ({found[1]}), which has no break"

    def mind(self, module):
        """For `module`, Keras' old image generators: whoever runs over one begins it anew for ever."""
        plain, resume = module.Iterator.__next__, self

        def following(iterator):
            if iterator.total_batches_seen >= len(iterator) and not resume._context.busy:
                endless = resume.endless(sys._getframe(1))
                if endless:
                    raise EndlessLoop(f"{endless}, never ends: a generator of images starts again forever")
            return plain(iterator)

        module.Iterator.__next__ = hidden(following, plain)

    def slow(self, error):
        """What is known of why a cell came to the end of its time, to be read on; empty where nothing is."""
        found, trace = [], error.__traceback__
        while trace is not None:
            found += [self.endless(trace.tb_frame)]
            trace = trace.tb_next
        return next((f" in {words}" for words in found if words), "")

    # ------------------------------------------------------------------ in the cell itself

    def failed(self, error, statement=None):
        """Write a failure down, once. `statement`: the line of the cell's own statement, where the traceback does not begin there."""
        body, lines = describe_error(error), []
        if isinstance(error, SyntaxError) and error.msg:
            body["message"] = str(error.msg)[:600]  # without IPython's name for the cell
        trace = error.__traceback__
        while trace is not None:
            named = _NAMED.match(trace.tb_frame.f_code.co_filename)
            lines += [(self._cells.get(int(named[1])), trace.tb_lineno)] if named else []
            trace = trace.tb_next
        own = [line for cell, line in lines if cell == self._context.cell]
        body["cell"], body["statement"] = None, statement or (own[0] if own else body["line"])
        if lines:
            body["line"], cell = lines[-1][1], lines[-1][0]
            body["cell"] = cell if cell != self._context.cell else None
        if body in self.failures:
            self.failures.remove(body)
        else:
            self.errors.append(error)
        self.failures.append(body)

    def rest(self, error, source):
        """The transformed `source` without what ran, what failed, and what needs it; None where nothing is left to run."""
        place = _place(error)
        if isinstance(error, SyntaxError) or place is None:
            return None
        statements = ast.parse(source).body
        spans = [(_start(part), (part.end_lineno, part.end_col_offset)) for part in statements]
        line, place = place, next((number for number, (first, last) in enumerate(spans) if first <= place < last), None)
        if place is None:
            self.lost += [part.lineno for part in statements if part.end_lineno >= line[0]]
            return None
        self._know_modules(ast.Module(statements, []))
        unknown = self._context.absent is not None and self._context.absent.leave_unknown(error, statements[place])
        spoiled, out, left = set(), statements[:place], False
        for part in statements[place:]:
            made, changed = self._effect(part)
            needs = self._needs(part) | changed
            if part is statements[place] or needs & spoiled or not isinstance(error, Exception):
                spoiled |= set() if unknown else made | changed
                self.lost.append(part.lineno)
                out.append(part)
            else:
                spoiled -= made
                left = left or not isinstance(part, ast.Pass)
        return _without(source, out) if left else None

    def _needs(self, part, depth=3):
        """The names that a statement reads, those that the functions it calls read included."""
        found = _loads(part, bare=isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))
        if depth:
            for name in found & self._functions.keys():
                function = self._functions[name]
                own = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)} | _stores(function.body)
                for inner in function.body:
                    found |= self._needs(inner, depth - 1) - own
        return found

    def _know_modules(self, tree):
        """What is called on a module changes nothing but what it is given."""
        self._modules = {name for name, value in list(self._context.namespace.items()) if isinstance(value, types.ModuleType)}
        self._modules |= _stores([node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)])

    def _effect(self, part, depth=3):
        """The names that a statement binds, and those of the things that it may change."""
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return {part.name}, set()
        changed, whole = set(), {id(node.value) for node in ast.walk(part) if isinstance(node, ast.Expr)}
        for node in ast.walk(part):
            if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
                changed.add(_root(node))
            elif isinstance(node, ast.Call):
                called, method = _root(node.func), getattr(node.func, "attr", None)
                given = {_root(each) for each in (*node.args, *(keyword.value for keyword in node.keywords))}
                if called in self._modules:
                    changed |= given if method == "shuffle" else set()
                elif method is not None:
                    changed |= {called} if method in _CHANGES or (id(node) in whole and method not in _ASIDE) else set()
                elif called in self._functions:
                    function = self._functions[called]
                    inner = set().union(*(self._effect(each, depth - 1)[1] for each in function.body)) if depth else set()
                    changed |= given if inner & {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)} else set()
                elif id(node) in whole and called not in _SHOWS:
                    changed |= given
        return _stores([part]), changed - self._modules - {""}


_EXITS = (ast.Break, ast.Return, ast.Raise, ast.Yield)
_BLOCKS = (ast.For, ast.While, ast.If, ast.With)
_PLAIN = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Assert)


class EndlessLoop(RuntimeError):
    """A loop of the notebook's over what has no end."""


def _head(loop):
    """The first line of a loop, as it was meant."""
    text = ast.unparse(loop.test if isinstance(loop, ast.While) else loop.iter)
    text = f"while {text}" if isinstance(loop, ast.While) else f"for {ast.unparse(loop.target).strip('()')} in {text}"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _place(error):
    """(line, column) in the cell's own code at which an error arose, or None."""
    trace = error.__traceback__
    while trace is not None and not _NAMED.match(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    if trace is None:
        return None
    line, _, column, _ = list(trace.tb_frame.f_code.co_positions())[trace.tb_lasti // 2]
    return line or trace.tb_lineno, column or 0


def _start(part):
    """(line, column) at which a statement begins, its decorators included."""
    first = min([part.lineno, *(item.lineno for item in getattr(part, "decorator_list", []))])
    return first, part.col_offset if first == part.lineno else 0


def _minds(node):
    return isinstance(node, ast.With) and any(
        isinstance(inner, ast.Name | ast.Attribute) and getattr(inner, "attr", getattr(inner, "id", "")) in ("suppress", "raises")
        for item in node.items
        for inner in ast.walk(item.context_expr)
    )


def _leaves(part, own=frozenset()):
    """Whether a statement does more than run through (`return`, `yield`, `:=`), or cannot fail (a text). A `raise` is no leaving where its `if` is about the machine, not about `own` names."""
    leaving = (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.Break, ast.Continue, ast.Raise)
    if isinstance(part, ast.If) and not _loads(part.test) & own and isinstance(part.body[-1], ast.Raise):
        leaving = leaving[:-1]
    return (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)) or any(
        isinstance(node, leaving) for node in ast.walk(part)
    )


def _simple(body, *, blocks=False):
    """The statements of a block and of the loops and branches in it, without those of functions, classes and `try`; loops and branches themselves, too, with `blocks`."""
    for part in body:
        if isinstance(part, _BLOCKS) and not _minds(part):
            yield from [part] if blocks else []
            yield from _simple(part.body, blocks=blocks)
            yield from _simple(getattr(part, "orelse", []), blocks=blocks)
        elif not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Try | ast.TryStar):
            yield part


def _loads(node, without=(), *, bare=False):
    """The names that are read below `node`, the statements in `without` (by id) left out; of a `bare` function only what its head reads."""
    if id(node) in without:
        return set()
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        return {node.target.id} | _loads(node.value, without)
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    inner = [*node.decorator_list, *node.args.defaults] if bare else ast.iter_child_nodes(node)
    return set().union(*(_loads(child, without) for child in inner))


def _stores(body):
    """The names that statements bind."""
    found = set()
    for part in body:
        for node in ast.walk(part):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
                found.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.alias):
                found.add((node.asname or node.name).partition(".")[0])
    return found


def _root(node):
    """The name that a chain of attributes, indices and calls begins in; empty where it begins in something else."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


class _Wrap(ast.NodeTransformer):
    """Puts each of some statements into a `try` whose handler asks whether to go on."""

    def __init__(self, wrapped):
        self._wrapped = wrapped

    def visit(self, node):
        self.generic_visit(node)
        if id(node) not in self._wrapped:
            return node
        ask = ast.Call(func=ast.Name(id="__aside__", ctx=ast.Load()), args=[], keywords=[])
        refuse = ast.If(test=ast.UnaryOp(op=ast.Not(), operand=ask), body=[ast.Raise()], orelse=[])
        handler = ast.ExceptHandler(type=ast.Name(id="Exception", ctx=ast.Load()), name=None, body=[refuse])
        return ast.copy_location(ast.Try(body=[node], handlers=[handler], orelse=[], finalbody=[]), node)


def _without(source, statements):
    """`source` with some statements made `pass`, every line kept in its place."""
    lines = [line.encode() for line in source.split("\n")]
    for part in sorted(statements, key=lambda part: (part.lineno, part.col_offset), reverse=True):
        first, start = _start(part)
        tail = lines[part.end_lineno - 1][part.end_col_offset :]
        lines[first - 1] = lines[first - 1][:start] + b"pass" + tail
        lines[first : part.end_lineno] = [b""] * (part.end_lineno - first)
    return b"\n".join(lines).decode()
