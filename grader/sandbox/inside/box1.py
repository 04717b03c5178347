"""Box 1: harden, then run the notebook's cells as a user would see them run, and send what happened as frames.

The spec (one JSON line on standard input): confinement and limits (see harden), `cells` [{index, source}], `data` (the folder of the four
.npy files), `dataset` (its name).
"""

import json
import os
import sys
import warnings


def main(descriptor):
    """Run box 1; never returns."""
    spec = json.loads(sys.stdin.buffer.readline())
    from . import harden

    harden.harden({**spec["confinement"], "limits": spec["limits"]})
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [path for path in sys.path if path != folder]
    sys.path.insert(0, "")
    sys.argv = ["notebook"]
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    from . import colab, imports, keras_hooks, legacy, plots, shell
    from .context import Context
    from .frames import Writer

    context = Context(Writer(descriptor), spec)
    os.makedirs(os.environ["IPYTHONDIR"], exist_ok=True)
    warnings.filterwarnings("ignore")
    after = imports.AfterImport()
    recorder = keras_hooks.Recorder(context)
    after.after("keras", recorder.install)
    after.after("matplotlib.pyplot", plots.install)
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
