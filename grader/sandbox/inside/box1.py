"""Box 1: harden, then run the notebook's cells as a user would see them run, and send what happened as frames.

The spec: `limits`, `cells` [{index, source}], `data` (the folder of the four
.npy files), `dataset` (its name).
"""

import builtins
import contextlib
import functools
import importlib.util
import io
import os
import sys
import tarfile
import urllib.request
import warnings

from . import absent, colab, files, imports, keras_hooks, legacy, plots, shell
from .context import Context
from .originals import Originals, hidden, hide, let_profile

_WARM = (
    "tensorflow", "keras", "matplotlib.pyplot", "matplotlib.backends.backend_agg", "PIL.Image", "PIL.BmpImagePlugin", "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin", "PIL.PpmImagePlugin", "pandas", "rich._emoji_codes", "tensorflow.python.data.ops.from_tensors_op",
)  # fmt: skip
"""What a warm box has imported before it is told of a notebook: what most notebooks import. None of it computes anything by being imported."""

_prepared = None


def warm():
    """Do, once for many notebooks, what depends on none of them (`inside/zygote.py`). No TensorFlow operation may run here: it would not survive the fork."""
    global _prepared
    _prepared = _prepare()
    for name in _WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _prepared[0].originals.sweep()


def main(writer, spec):
    """What runs box 1: an iterator that ends the process with the last cell."""
    global _prepared
    context, recorder, interactive, outputs = _prepared or _prepare()
    _prepared = None
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.makedirs(os.environ["IPYTHONDIR"], exist_ok=True)
    context.writer, context.spec = writer, spec
    recorder.seed()
    end = os._exit
    os._exit = hidden(lambda status: (recorder.before_end(), end(status)), end)
    context.send("versions", _versions())  # from here on, whatever ends this process is the notebook's doing
    with contextlib.suppress(Exception):  # where memory is short the cell that asks for it is told
        importlib.import_module("keras")
    context.originals.begin(context, recorder, writer, context.resume, context.files, context.absent, recorder.store)
    for name in [name for name in sys.modules if name.partition(".")[0] == "_box"]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "_Neutral"]
    return map(functools.partial(interactive.run_cell, store_history=True), _cells(interactive, outputs, context, recorder, end))


def _cells(interactive, outputs, context, recorder, end):
    yield from shell.run_cells(interactive, outputs, context.spec["cells"], context, context.spec["limits"], recorder.after_cell)
    context.send("end", {})
    end(0)


def _prepare():
    """The hooks, which wait for imports, and the shell; neither knows of a notebook yet."""
    sys.path.insert(0, "")
    sys.argv = sys.orig_argv = ["notebook"]
    context = Context(None, {})
    os.makedirs(os.environ["IPYTHONDIR"], exist_ok=True)
    warnings.filterwarnings("ignore")
    context.originals = Originals(context)
    after = imports.AfterImport(context)
    recorder = keras_hooks.Recorder(context)
    for name in ("tensorflow", "keras"):
        after.hide(name, *keras_hooks.OPTIONAL)
    after.after("keras", recorder.install)
    for name in _applications():
        after.after(f"keras.src.applications.{name}", recorder.wrap_applications)
    after.after("pandas", recorder.give_pandas)
    after.after("keras.src.legacy.preprocessing.image", lambda module: context.resume.mind(module))  # noqa: PLW0108 (there is no shell yet)
    after.after("matplotlib", plots.keep_backend)
    after.after("matplotlib.figure", lambda figure: plots.watch(context, figure))
    after.after("plotly.basedatatypes", lambda base: plots.watch_plotly(context, base))
    after.after("matplotlib.pyplot", lambda pyplot: plots.install(context, pyplot))
    context.files = files.Files(context, recorder._loader("cifar10"))
    context.files.install()
    for module in (builtins, io, tarfile, urllib.request):
        hide(module)
    after.after("cProfile", let_profile)
    legacy.install(context, after)
    after.after("keras", lambda _: context.originals.sweep())
    sys.meta_path.insert(0, after.finder)
    context.absent = absent.Absent(context)
    sys.meta_path += [imports.Made(answer).finder for answer in (colab.answerer(context), legacy.answerer(context), context.absent.answer)]
    interactive, outputs = shell.make(context)
    context.outputs = outputs
    context.namespace = interactive.user_ns
    return context, recorder, interactive, outputs


def _applications():
    """The modules of Keras' published networks."""
    folder = os.path.join(*importlib.util.find_spec("keras").submodule_search_locations, "src", "applications")
    return sorted(name.removesuffix(".py") for name in os.listdir(folder) if name.endswith(".py") and name != "__init__.py")


def _versions():
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in ("tensorflow", "keras", "numpy", "ipython", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
