"""Box 1: harden, then run the notebook's cells as a user would see them run, and send what happened as frames.

The spec: `limits`, `cells` [{index, source}], `data` (the folder of the four
.npy files), `dataset` (its name).
"""

import os
import sys
import warnings

from . import colab, imports, keras_hooks, legacy, plots, shell
from .context import Context


def main(writer, spec):
    """Run box 1; never returns."""
    sys.path.insert(0, "")
    sys.argv = ["notebook"]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    context = Context(writer, spec)
    os.makedirs(os.environ["IPYTHONDIR"], exist_ok=True)
    warnings.filterwarnings("ignore")
    after = imports.AfterImport(context)
    recorder = keras_hooks.Recorder(context)
    for name in ("tensorflow", "keras"):
        after.hide(name, *keras_hooks.OPTIONAL)
    after.after("keras", recorder.install)
    after.after("pandas", recorder.give_pandas)
    after.after("matplotlib", plots.keep_backend)
    after.after("matplotlib.pyplot", lambda pyplot: plots.install(context, pyplot))
    legacy.install(context, after)
    sys.meta_path.insert(0, after)
    sys.meta_path.append(imports.Made(colab.answerer(context)))
    sys.meta_path.append(imports.Made(legacy.answerer(context)))
    interactive, outputs = shell.make(context)
    context.namespace = interactive.user_ns
    context.send("versions", _versions())  # from here on, whatever ends this process is the notebook's doing
    shell.run_cells(interactive, outputs, spec["cells"], context, spec["limits"], recorder.after_cell)
    recorder.finish()
    context.send("end", {})
    os._exit(0)


def _versions():
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": ".".join(str(part) for part in sys.version_info[:3])}
    for name in ("tensorflow", "keras", "numpy", "ipython", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
