"""What a claim rests on is what it was before the first cell, and nobody but us looks at our frames. What differs is noted with its cell, and a person looks.

Theory of operation. The functions and classes of Keras, of this box and of `_RESTS` are kept by identity once they are imported: what modules and classes hold
under their names, and what closures hold. They are compared before every claim that is sent, and after each cell (10,000 entries, 1 ms). Names that were not
there may be added. The content of functions, frames, and the collector's objects are watched by an audit hook, which nobody can take away.

What of ours stands in public places is hidden: a callable of C's that shows what it stands in for and leads neither to our code nor to what it closes over.
While a cell runs, no frame of ours is below it (`start.py`, `shell.run_cells`): whoever looks at frames then finds none of ours.
"""

import builtins
import contextlib
import functools
import gc
import inspect
import operator
import os
import re
import sys
import sysconfig
import threading
import types

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARIES = (
    _HERE,
    "<frozen ",
    "<__array_function__",
    *{os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)
_WATCHED = ("keras.src.", "_box.", "numpy._core.", "numpy.lib.", "numpy.linalg.")
_RESTS = {
    **dict.fromkeys(
        (
            "json", "json.decoder", "json.encoder", "json.scanner", "zlib", "inspect", "functools", "contextlib", "weakref", "collections",
            "bisect", "math", "tensorflow.python.data.ops.dataset_ops", "tensorflow.python.eager.context", "tensorflow.python.framework.ops",
            "tensorflow.python.framework.tensor", "tensorflow.python.ops.array_ops",
        )
    ),
    "tensorflow": frozenset(("data", "distribute", "gather", "is_tensor")),
    "tensorflow._api.v2.data": frozenset(("Dataset", "Options")),
    "tensorflow._api.v2.distribute": frozenset(("has_strategy",)),
    "keras": frozenset(("Input", "KerasTensor", "Model", "Operation", "Sequential", "activations", "layers", "losses", "ops", "saving", "utils")),
    "keras.activations": frozenset(("get", "linear")),
    "keras.layers": frozenset((
        "Activation", "Add", "AveragePooling2D", "Concatenate", "ELU", "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Identity", "Layer",
        "LeakyReLU", "MaxPooling2D", "Maximum", "Minimum", "Multiply", "Permute", "ReLU", "Rescaling", "Reshape", "Resizing", "Softmax", "Subtract",
        "ZeroPadding2D",
    )),
    "keras.losses": frozenset(("Loss", "get")),
    "keras.ops": frozenset(("convert_to_numpy", "convert_to_tensor")),
    "keras.optimizers": frozenset(("LossScaleOptimizer",)),
    "keras.saving": frozenset(("serialize_keras_object",)),
    "keras.utils": frozenset(("get_source_inputs",)),
    "numpy": frozenset((
        "abs", "all", "allclose", "arange", "array", "array_equal", "asarray", "ascontiguousarray", "clip", "concatenate", "corrcoef", "empty",
        "errstate", "flatnonzero", "float32", "float64", "full", "generic", "int64", "isfinite", "linspace", "max", "maximum", "mean", "median",
        "minimum", "nan_to_num", "ndarray", "ones", "partition", "polyfit", "prod", "ptp", "quantile", "repeat", "resize", "round", "shape", "sort",
        "sqrt", "stack", "uint8", "unique", "where", "zeros",
    )),
    "numpy.linalg": frozenset(("norm",)),
    "numpy.ma": frozenset(("getdata",)),
    "builtins": frozenset((
        "abs", "all", "any", "bool", "bytes", "callable", "dict", "enumerate", "filter", "float", "frozenset", "getattr", "hasattr", "hash", "id",
        "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min", "next", "object", "property", "repr", "reversed", "round",
        "set", "setattr", "sorted", "str", "sum", "super", "tuple", "type", "vars", "zip", "__import__", "__build_class__",
    )),
}  # fmt: skip
"""Modules whose functions and classes the recorder, Keras' serialisation and the comparing use, and which of their names (None: all)."""
_TOLD = re.compile(
    r"(?:tensorflow\.)?keras(?:\.(?!src).*)?|numpy(?:\.random)?|matplotlib\.pyplot|tensorflow(?:\._api\.v2\.random)?|random|time|warnings"
)
"""Modules of which an overwritten function or class is a slip that is told of: nothing that is claimed rests on their names."""
_INNER = re.compile(r"(?<=^keras\.)_tf_keras\.keras\.|(?<=^tensorflow\.)_api\.v2\.")
_OLD = ("fit_generator", "evaluate_generator", "predict_generator", "predict_proba", "predict_classes", "bool", "object", "str", "summary")
"""Names that notebooks give back to a library so that old code runs, and one by which it only shows: nothing rests on them."""

_HANDS_ON = re.compile(r"/(?:inspect|bdb|pdb|pathlib(?:/_\w+)?|codecs|threading)\.py$|files\.py$")
"""Modules that give frames and files to whoever calls them, but for what only tells of a state; of others only some functions do."""
_HANDING = ("walk_stack", "walk_tb", "currentframe", "<lambda>", "_modified_open")  # the last ones are logging's, and IPython's `open`
_PROCESS = re.compile(r"/proc/(?:self|thread-self|\d+)(?:/|$)")
_ASKED = {
    "sys._getframe": "looks at frames of the grader",
    "sys._current_frames": "looks at the frames of all threads",
    "gc.get_objects": "searches all objects of the process",
    "gc.get_referrers": "searches all objects of the process",
    "gc.get_referents": "searches all objects of the process",
    "sys.settrace": "traces every call",
    "sys.setprofile": "traces every call",
    "code.__new__": "passes its code off as a library's",
    "marshal.loads": "makes code of bytes",
    "compile": "passes its code off as a library's",
    "open": "opens the process's own entries in /proc",
    "os.listdir": "opens the process's own entries in /proc",
    "object.__getattr__": "looks at frames of the grader",
    "object.__setattr__": "",
}
"""What the audit hook hears -> what it means where a cell asks for it."""


def hidden(function, like=None):
    """`function` as a callable of C's, which binds as a method does and leads nowhere; it shows `like`, what it stands in for."""
    made = functools._lru_cache_wrapper(function, 0, False, functools._CacheInfo)
    made.__name__ = made.__qualname__ = function.__name__
    if like is not None:
        functools.update_wrapper(made, like)
        if hasattr(like, "__code__"):
            made.__code__ = like.__code__
    with contextlib.suppress(TypeError, ValueError):
        made.__signature__ = inspect.signature(like or function)
    return made


def hide(owner):
    """Hide every function of ours that a module or a class holds."""
    for name, value in list(vars(owner).items()):
        if isinstance(value, property) and _is_of_ours(value.fget):
            setattr(owner, name, property(*(part and hidden(part) for part in (value.fget, value.fset, value.fdel)), value.__doc__))
        elif isinstance(value, staticmethod | classmethod) and _is_of_ours(value.__func__):
            setattr(owner, name, type(value)(hidden(value.__func__, getattr(value.__func__, "__wrapped__", None))))
        elif _is_of_ours(value):
            setattr(owner, name, hidden(value, getattr(value, "__wrapped__", None)))


def let_profile(module):
    """After cProfile was imported: what it sees no function of a cell's sees, so that its profiles may be switched on and off."""
    enable, disable = module.Profile.enable, module.Profile.disable

    def enabled(*given, **named):
        return enable(*given, **named)

    def disabled(*given):
        return disable(*given)

    module.Profile.enable, module.Profile.disable = hidden(enabled, enable), hidden(disabled, disable)


def _is_of_ours(value):
    if isinstance(value, types.MethodType) and not hasattr(value, "__code__"):  # of a function that is hidden
        return type(value.__self__).__module__.startswith(f"{__package__}.")
    return isinstance(value, types.FunctionType | types.MethodType) and _is_ours(value.__code__)


def _is_ours(code):
    return code.co_filename.startswith(_HERE)  # `start.py`, below every cell, has another name and holds nothing


def _is_part(value):
    return callable(value) or hasattr(type(value), "__get__") or isinstance(value, types.ModuleType)


def _parts(held, get=None):
    """(what gives the present value of a name, the names, their values) of the functions, classes and modules that a dictionary holds."""
    parts = {name: value for name, value in held.items() if _is_part(value) and name not in _OLD}
    return get or held.get, tuple(parts), list(parts.values())


class Originals:
    """One per box."""

    def __init__(self, context):
        self._context = context
        self._kept, self._told = {}, {}  # name of a module or class -> (its get, names, what they held)
        self._names, self._classes, self._cells, self._objects = [], [], [], []
        self._functions, self._known, self._noted = set(), set(), set()

    # ------------------------------------------------------------------ keeping

    def begin(self, *objects):
        """Before the first cell: keep what is there by now, and listen. `objects`: ours, whose methods stay their classes'."""
        self.sweep()
        self._objects = [
            (item, type(item), frozenset(name for name in dir(item) if callable(getattr(type(item), name, None)))) for item in objects
        ]
        sys.addaudithook(self._hook())

    def sweep(self):
        """Keep what was imported since: what a claim rests on, and where a slip is told of."""
        for name in sys.modules.keys() - self._known:
            self._known.add(name)
            if sys.modules[name] is not None:
                self._imported(name, sys.modules[name])

    def _imported(self, name, module):
        if name in _RESTS or name.startswith(_WATCHED):
            self._keep(name, module, _RESTS.get(name))
            for holder, held in vars(module).items() if name.startswith("keras.") else ():
                if isinstance(held, dict) and holder != "__builtins__":
                    self._kept[f"{name}.{holder}"] = _parts(held)
            for cls in [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == name]:
                self._keep(f"{name}.{cls.__qualname__}", cls)
                self._classes.append((f"{name}.{cls.__qualname__}", cls, type(cls), cls.__bases__))
        if _TOLD.fullmatch(name):
            hide(module)
            rests = _RESTS.get(name) or ()
            kept = {key: value for key, value in vars(module).items() if key not in rests and not isinstance(value, types.ModuleType)}
            self._told[name] = _parts(kept, vars(module).get)

    def _keep(self, label, owner, names=None):
        if isinstance(owner, type) or not label.startswith("_box."):
            hide(owner)  # of a module of ours nobody has more than instances of its classes
        held = vars(owner)
        if isinstance(owner, type):
            (held,) = gc.get_referents(held)  # the dictionary itself: its proxy takes four times as long to answer
        self._kept[label] = kept = _parts({key: value for key, value in held.items() if names is None or key in names}, held.get)
        if owner is not builtins:
            self._names.append((label, owner, held, frozenset(held)))
        for value in kept[2]:
            for part in (value, *(getattr(value, name, None) for name in ("__func__", "fget", "fset"))):
                if isinstance(part, types.FunctionType):
                    self._functions.add(part)
                    self._cells += [(cell, cell.cell_contents) for cell in part.__closure__ or () if _is_part(_content(cell))]

    # ------------------------------------------------------------------ comparing

    def look(self, *, told=False):
        """Note what was replaced since it was kept, once. `told`: look for slips, too."""
        for name in self._replaced():
            self._note("replaced", "replaces a part of the grader" if name.startswith("_box") else f"replaces {name}")
        if told:
            for name in {_INNER.sub("", name) for name in _differing(self._told)}:
                self._note("overwritten", f"overwrites {name}: later calls by this name do something else")
            self.sweep()

    def _note(self, kind, text):
        if (kind, text) not in self._noted:
            self._noted.add((kind, text))
            self._context.note(kind, text)

    def _replaced(self, kind=type, vars=vars, any=any, map=map, hasattr=hasattr):
        yield from _differing(self._kept)
        for label, cls, made_by, bases in self._classes:
            if kind(cls) is not made_by or cls.__bases__ is not bases:
                yield label
        for label, owner, held, names in self._names:
            if held.keys() != names:  # what is added is found before what a class inherits, and before what is built in
                before = getattr(owner, "__bases__", None) or (builtins,)
                added = [name for name in held.keys() - names if _is_part(held[name]) and name not in _OLD]
                yield from (f"{label}.{name}" for name in added if any(map(hasattr, before, (name,) * len(before))))
        yield from ("the closure of a function of Keras" for cell, value in self._cells if _content(cell) is not value)
        yield from ("_box" for item, cls, methods in self._objects if kind(item) is not cls or methods & vars(item).keys())

    # ------------------------------------------------------------------ listening

    def heard(self, event, *given):
        """A cell asked for something that leads to the grader's own code or past it."""
        if event == "object.__setattr__":
            self._note("replaced", f"replaces the code of {getattr(given[0], '__qualname__', 'a function')}")
        else:
            self._note("reached", _ASKED[event])

    def _hook(self, asked=_ASKED, frame_of=sys._getframe, thread=threading.get_ident, set=set, isinstance=isinstance, str=str):
        hearing, functions = set(), self._functions

        def hook(event, given):
            if event not in asked or thread() in hearing:
                return
            if event == "object.__getattr__" and given[1] not in _FRAMES:
                return
            if event == "object.__setattr__" and (given[1] not in _CONTENT or given[0] not in functions):
                return
            if event in ("compile", "code.__new__") and not (isinstance(given[1], str) and given[1].startswith(_LIBRARIES)):
                return
            if event in ("open", "os.listdir") and not _is_own_process(given[0]):
                return
            hearing.add(thread())
            try:
                asker = _asker(frame_of(1))
                if asker is None:  # nobody but a thread that begins: it is told to trace by `threading.setprofile`
                    if event in ("sys.settrace", "sys.setprofile"):
                        self.heard(event)
                elif not asker.f_code.co_filename.startswith(_LIBRARIES):
                    if event == "sys._getframe":
                        if not _leads_to_us(asker):
                            return
                    elif event == "object.__getattr__" and not _leads_to_us(getattr(*given)):
                        return
                    self.heard(event, *given)
            finally:
                hearing.discard(thread())

        return hook


_FRAMES = frozenset(("tb_frame", "gi_frame", "cr_frame", "ag_frame"))
_GOES_ON = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_CONTENT = frozenset(("__code__", "__defaults__", "__kwdefaults__"))


def _asker(frame):
    """The frame of whoever is given what was asked for."""
    while frame is not None:
        name = frame.f_code.co_filename
        called = frame.f_code.co_name
        hands_on = (_HANDS_ON.search(name) and called != "getgeneratorstate") or called in _HANDING
        if not (hands_on and name.startswith(_LIBRARIES)):
            return frame
        frame = frame.f_back
    return None


def _leads_to_us(frame):
    """Whether a frame of ours is below, or can be once a generator of the cell's goes on elsewhere."""
    given = frame
    while frame is not None:
        code = frame.f_code
        if _is_ours(code) or (code.co_flags & _GOES_ON and (frame is given or not code.co_filename.startswith(_LIBRARIES))):
            return True
        frame = frame.f_back
    return False


def _is_own_process(path):
    """Whether what is opened is an entry of the process."""
    return isinstance(path, (str, bytes)) and _PROCESS.match(os.fsdecode(path)) is not None


def _differing(kept, any=any, map=map, zip=zip, differs=operator.is_not):
    for label, (get, names, values) in kept.items():
        if any(map(differs, map(get, names), values)):
            yield from (f"{label}.{name}" for name, value in zip(names, values) if get(name) is not value)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None
