"""What the student's machine has and this one lacks: packages, helper modules, files, a network. Nobody loses points for it.

An import of the notebook's own that nobody can serve gives a stand-in (one in a `try` of the student's fails, as it would): whatever is done with it gives
`Unknown` again, up to where a value is needed. A statement of a cell that fails for something absent leaves its names unknown, and what reads them runs.

What is unknown may be what a criterion asks for: where it takes part in building or training, a note of kind "unknown" says so, and what is not seen is
then not decided. Any other absence is a note of kind "missing".
"""

import ast
import contextlib
import difflib
import importlib.util
import inspect
import linecache
import re
import sys
import types

from .context import describe_error
from .frames import cut
from .originals import hidden, hide

_TRACKERS = frozenset({"clearml", "codecarbon", "comet_ml", "mlflow", "neptune", "tensorboardX", "visualkeras", "wandb"})
"""Packages that watch, log or draw: without them the same model is trained."""
_PROVIDED = ("tensorflow", "keras", "numpy", "matplotlib", "pandas", "sklearn", "seaborn", "scipy", "PIL", "tqdm", *sys.stdlib_module_names)
_BUILDS = re.compile(r"\b(?:Sequential|Model|Input|model_from_json)\(|\blayers\.")
_TRAINS = re.compile(r"\b(?:fit\w*|compile|train\w*|load_data|load_model)\(")


class Absent:
    """The packages that this notebook asked for and that are not there, and what follows from what is not there."""

    def __init__(self, context):
        self._context = context
        self.told = types.SimpleNamespace(used=hidden(self.used), star=hidden(self.star))  # what stand-ins tell; they lead nowhere else
        self._given = {}  # package -> how its stand-in behaves: "unknown" or "quiet"
        self._star = False

    # ------------------------------------------------------------------ packages

    def answer(self, name):
        """For `imports.Made`: a stand-in for an absent package and its modules, or None."""
        top = name.partition(".")[0]
        if top not in self._given:
            if name not in (top, f"google.{name.rpartition('.')[2]}") or not _asked_by_the_notebook():
                return None
            if _misspelt(top):
                raise ModuleNotFoundError(f"No module named {top!r}: is its name right?", name=top)
            self._given[top] = "quiet" if top in _TRACKERS else "unknown"
            self._context.note("missing", f"the package {cut(top, 60)} is not available: the cell continues without it")
        return self._module(name, self._given[top])

    def _module(self, name, behaves):
        module, known = Module(name, self.told, behaves), self._context.files.modules()
        module.__dict__.update(known.get(name, {}))
        inner = [part for part in known if part.startswith(f"{name}.")]
        module.__dict__.update({part.rpartition(".")[2]: self._module(part, behaves) for part in inner})
        hide(module)
        return module

    def star(self, doing):
        """Names that nobody can list come from a module that is not there."""
        self._star = True
        self._context.note("missing", f"{cut(doing, 80)}: not available while grading, so what it defines is unknown")

    def used(self, thing, values):
        """Something unknown was called: noted where it trains as a model does, or was given a model or a history."""
        trains = re.search(r"\b(?:fit\w*|compile)$", thing._name)
        if trains or any(_is_telling(value) for value in values):
            self._context.note("unknown" if trains else "unseen", f"what {cut(thing._name, 80)}() does is unknown ({cut(thing._why, 200)})")

    # ------------------------------------------------------------------ statements

    def leave_unknown(self, error, statement):
        """Whether a statement of a cell failed for what is not there; the names that it would have bound are unknown then.

        The network that a function had built and would have returned is what its name means; one that is there already stays it. A note says what part
        the statement plays.
        """
        namespace, frames = self._context.namespace, _frames(error)
        if not isinstance(error, Exception) or not self._is_absence(error, statement, frames, namespace):
            return False
        own = [frame for frame in frames if _is_notebook(frame)]
        compound, names = hasattr(statement, "body") and not isinstance(statement, ast.ClassDef), _bound_by(statement)
        built = _built_by(own[0]) if own and len(names) == 1 and isinstance(statement, ast.Assign) else None
        lost = [name for name in names if not (_is_network(namespace.get(name)) or (compound and name in namespace))]
        said = describe_error(error)
        why = getattr(error, "_why", f"{said['type']}: {said['message']}")
        text = " ".join([ast.unparse(statement), *(_behind(frame) for frame in own)])
        if (
            _BUILDS.search(text)
            or (isinstance(error, NameError) and names)
            or ("load_model(" in text and not any(map(_is_network, namespace.values())))
        ):
            kind = "unknown"
        else:
            kind = "unseen" if _TRAINS.search(text) or isinstance(error, NameError) else "missing"
        left = (
            f"; {names[0]} is the network that was built by then"
            if built is not None
            else f"; unknown from here on: {cut(', '.join(lost), 120)}"
            if lost
            else ""
        )
        self._context.note(kind, f"line {statement.lineno} needs something that is not available while grading ({cut(why, 200)}){left}")
        namespace.update({names[0]: built} if built is not None else {name: Unknown(name, self.told, "unknown", why) for name in lost})
        return True

    def _is_absence(self, error, statement, frames, namespace):
        if isinstance(error, ModuleNotFoundError):
            top = str(error.name or "").partition(".")[0]
            return top in self._given or (_is_lacking(top) and not _misspelt(top))
        if (
            isinstance(error, OSError)
            or type(error).__name__ in ("NotFoundError", "PermissionDeniedError")
            or "URL fetch failure" in str(error)
        ):
            return True
        if isinstance(error, NameError) and self._star:
            return True
        named = [namespace.get(node.id) for node in ast.walk(statement) if isinstance(node, ast.Name)]
        return any(_holds_unknown(value) for value in [*named, *(value for frame in frames for value in frame.f_locals.values())])


def _bound_by(statement):
    """The names that a statement of a cell binds, in the cell itself."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    nodes = list(ast.walk(statement))
    inner = {id(name) for node in nodes if isinstance(node, ast.comprehension) for name in ast.walk(node.target)}
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in inner]
    names += [(node.asname or node.name).partition(".")[0] for node in nodes if isinstance(node, ast.alias)]
    return list(dict.fromkeys(names))


class Module(types.ModuleType):
    """A package that is not there, or one of its modules. `behaves`: "unknown"; "quiet", it does nothing."""

    __version__ = "(not provided)"
    __path__ = ()

    def __init__(self, name, maker, behaves):
        super().__init__(name)
        self.__dict__.update(_maker=maker, _behaves=behaves)

    def __getattr__(self, name):
        if name == "__all__" and self._behaves == "unknown":
            self._maker.star(f"from {self.__name__} import *")
        if name.startswith("__"):
            raise AttributeError(name)
        if name.endswith(("Error", "Exception", "Warning")):
            found = type(name, (Exception,), {})
        else:
            top = self.__name__.partition(".")[0]
            why = f"No module named {top!r}: this package is not provided while grading"
            found = Unknown(f"{self.__name__}.{name}", self._maker, self._behaves, why, top)
        setattr(self, name, found)
        return found


class Unknown:
    """Something that is not available while grading, or was made of it. It can be passed on, called and asked for its parts; a value it has none.

    What is set on it is kept (`wandb.config`).
    """

    def __init__(self, name, maker, behaves, why, top=None):
        self.__dict__.update(_name=name, _maker=maker, _behaves=behaves, _why=why, _top=top)

    def _refuse(self, *_, **__):
        if self._top is not None:
            raise ModuleNotFoundError(self._why, name=self._top)
        error = FileNotFoundError(f"{cut(self._name.partition('.')[0], 60)} is unknown ({cut(self._why, 300)})")
        error._why = self._why
        raise error

    def _more(self, name):
        return Unknown(name, self._maker, self._behaves, self._why, self._top)

    def __call__(self, *values, **settings):
        if self._behaves == "unknown":
            self._maker.used(self, (*values, *settings.values()))
        elif isinstance(settings.get("config"), dict):
            self.config.__dict__.update(settings["config"])
        only = values[0] if len(values) == 1 and not settings else None
        if isinstance(only, (types.FunctionType, type)) and sys._getframe(1).f_locals.get(only.__name__) is not only:
            return only  # as a decorator
        return self._more(self._name)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if self._behaves == "quiet" and name == "config" and self._name != f"{self._top}.config":
            return sys.modules[self._top].config
        return self._more(f"{self._name}.{name}")

    def __setattr__(self, name, value):
        self.__dict__[name] = value

    def __getitem__(self, key):
        return self.__dict__.get(key, self) if isinstance(key, str) else self

    def __setitem__(self, key, value):
        self.__dict__[str(key)] = value

    def __iter__(self):
        return iter(()) if self._behaves == "quiet" else self._refuse()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def __repr__(self):
        return f"({cut(self._name, 60)}: unknown while grading)"

    def __instancecheck__(self, _):
        return False

    def __subclasscheck__(self, _):
        return False

    __hash__ = object.__hash__
    __len__ = __bool__ = __int__ = __float__ = __index__ = __complex__ = __array__ = __contains__ = __mro_entries__ = _refuse


def _itself(self, *_, **__):
    return self


_OPERATIONS = (
    "add sub mul truediv floordiv mod pow matmul radd rsub rmul rtruediv rfloordiv rmod rpow rmatmul neg abs eq ne lt le gt ge and or invert round"
    " array_ufunc array_function"
)
for _operation in _OPERATIONS.split():
    setattr(Unknown, f"__{_operation}__", _itself)


def _asked_by_the_notebook():
    """Whether the import under way is a statement of the notebook's that stands in no `try`."""
    frame = sys._getframe(2)
    while frame is not None and ("importlib._bootstrap" in frame.f_code.co_filename or frame.f_code.co_filename.endswith("imports.py")):
        frame = frame.f_back
    if frame is None or not _is_notebook(frame):
        return False
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    tries = [node.body for node in ast.walk(tree) if isinstance(node, ast.Try)]
    return not any(body[0].lineno <= frame.f_lineno <= body[-1].end_lineno for body in tries)


def _is_lacking(top):
    try:
        return importlib.util.find_spec(top) is None
    except (ImportError, ValueError):
        return False


def _misspelt(top):
    """Whether a name looks like that of a package that is provided, and is none."""
    close = difflib.get_close_matches(top, _PROVIDED, 1, 0.8)
    return bool(close) and not top.startswith(close[0]) and top not in close


def _is_notebook(frame):
    return "ipython-input" in frame.f_code.co_filename


def _frames(error):
    """The frames of an error's traceback below the cell's own code."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame)
        trace = trace.tb_next
    own = next((index for index, frame in enumerate(found) if _is_notebook(frame)), len(found))
    return found[own + 1 :]


def _behind(frame):
    """The lines of a notebook's function from the one on that was running, as far as they can be read."""
    with contextlib.suppress(OSError, TypeError, SyntaxError):
        lines, first = inspect.getsourcelines(frame.f_code)
        return "".join(lines[frame.f_lineno - first :])
    return ""


def _built_by(frame):
    """The network that a function of the notebook would have returned, had it run to its end; None where that cannot be told."""
    with contextlib.suppress(OSError, TypeError, SyntaxError):
        function = ast.parse(inspect.cleandoc("\n" + inspect.getsource(frame.f_code)))
        names = {node.value.id for node in ast.walk(function) if isinstance(node, ast.Return) and isinstance(node.value, ast.Name)}
        found = [frame.f_locals[name] for name in names if _is_network(frame.f_locals.get(name))]
        return found[0] if len(found) == 1 else None
    return None


def is_unknown(value):
    """Whether something is not available while grading, or was made of what is not."""
    return type(value) is Unknown and value._behaves == "unknown"


def refuse(*values):
    """Raise what an unknown value among `values` raises where it is needed."""
    for value in values:
        if is_unknown(value):
            value._refuse()


def known(context, items, kind):
    """`items` without the unknown ones, each of which is noted as of `kind`."""
    for item in filter(is_unknown, items):
        context.note(kind, f"{cut(item._name, 80)}() is left out: {cut(item._why, 200)}")
    return [item for item in items if not is_unknown(item)]


def _holds_unknown(value):
    inner = list(value.values()) if type(value) is dict else value if type(value) in (list, tuple) else ()
    return is_unknown(value) or any(is_unknown(item) for item in inner[:50])


def _is_telling(value):
    """Whether an argument is a model, a history or values of one."""
    if type(value) is list and value:
        return all(type(item) is float for item in value) or any(_is_telling(item) for item in value[:5] if type(item) is not list)
    return type(value).__name__ == "Keys" or type(value).__module__.startswith(("keras.src.", "pandas."))


def _is_network(value):
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)
