"""Packages that are not provided: a cell that imports one and would end there goes on, and whoever uses the package gets the error.

One unneeded `import wandb` above the Keras imports would else take the whole notebook with it. A `try: import …` of the student's own sees the package
missing, as it is. What only watches a training (`TRACKERS`) does nothing; of everything else the first use is an error, in the cell that uses it.
"""

import ast
import importlib.util
import sys
import types

TRACKERS = frozenset({"clearml", "codecarbon", "comet_ml", "livelossplot", "mlflow", "neptune", "tensorboardX", "visualkeras", "wandb"})
"""Packages that watch, log or draw: without them the same model is trained."""


class Absent:
    """The packages that this notebook asked for and that are not there."""

    def __init__(self, context):
        self._context = context
        self._names = set()

    def answer(self, name):
        """For `imports.Made`: a stand-in for an absent package and its modules, or None."""
        top = name.partition(".")[0]
        if top not in self._names:
            return None
        module = _Module(name)
        module.__path__ = []
        return module

    def rest(self, error, line, source):
        """The cell from its failed import on (transformed `source`, its lines kept in their places), or None where that was not the cause."""
        if not isinstance(error, ModuleNotFoundError) or line is None:
            return None
        top = str(error.name or "").partition(".")[0]
        if not top or top in self._names or not _lacking(top):
            return None
        statement = _import_at(source, line, top)
        if statement is None:
            return None
        self._names.add(top)
        self._context.note("missing", f"the package {top[:60]} is not provided: the cell goes on without it")
        return "#\n" * (statement.lineno - 1) + "\n".join(source.splitlines()[statement.lineno - 1 :])


def _lacking(top):
    try:
        return importlib.util.find_spec(top) is None
    except (ImportError, ValueError):
        return False


def _import_at(source, line, top):
    """The import statement of the cell itself (not of a function, `try` or `with` in it) at `line` that asks for package `top`, or None."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    for statement in statements:
        if isinstance(statement, ast.Import | ast.ImportFrom) and statement.lineno <= line <= statement.end_lineno:
            names = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else [alias.name for alias in statement.names]
            if any(name.partition(".")[0] == top for name in names):
                return statement
    return None


class _Module(types.ModuleType):
    """A package that is not there, or one of its modules."""

    __version__ = "(not provided)"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        kind = _Nothing if self.__name__.partition(".")[0] in TRACKERS else _Missing
        found = type(name, (kind,), {"_package": self.__name__})()
        setattr(self, name, found)
        return found


def _refuse(self, *_, **__):
    top = self._package.partition(".")[0]
    raise ModuleNotFoundError(f"No module named {top!r}: this package is not provided while grading (is its name right?)", name=top)


class _Missing:
    """Something of a package that is not there: it can be imported, not used."""

    _package = ""

    __call__ = __iter__ = __len__ = __getitem__ = __setitem__ = __contains__ = __enter__ = __exit__ = __mro_entries__ = _refuse

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse(self)


class _Nothing:
    """Something of a package that only watches: whatever is done with it does nothing, but settings given to it (`wandb.config`) are kept."""

    _package = ""

    def __call__(self, *_, **settings):
        config = settings.get("config")
        if isinstance(config, dict):
            sys.modules[self._package.partition(".")[0]].config.__dict__.update(config)
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(sys.modules[self._package.partition(".")[0]], name) if name == "config" else self

    def __getitem__(self, key):
        return self.__dict__.get(key, self)

    def __setitem__(self, key, value):
        self.__dict__[str(key)] = value

    def __iter__(self):
        return iter(())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    __float__ = __int__ = __index__ = _refuse  # a number that nobody gave it
