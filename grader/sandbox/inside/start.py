"""The first thing that runs in every box: read the spec, harden, then hand over to the job's module.

Called as `start.py FRAMES PROGRAM MODULE`: the frame pipe's descriptor, the folder of the job's package and the module whose
`main(writer, spec)` is run. The packages get private names, so that no module of ours answers to a student's `import`.
`start.py SOCKET PROGRAM MODULE warm` prepares MODULE and forks a box for every request that comes over the socket (`zygote.py`).
"""

import _imp
import collections
import importlib
import importlib.machinery
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class _Neutral:
    """Finds and loads the modules of one package of ours, under file names that say nothing of where the host keeps them."""

    def __init__(self, alias, folder):
        self._alias, self._folder = alias, folder

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package != self._alias or (module and not (self._folder / f"{module}.py").is_file()):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=not module)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        file = f"{module.__name__.partition('.')[2] or '__init__'}.py"
        code = importlib.machinery.SourceFileLoader(module.__name__, str(self._folder / file)).get_code(module.__name__)
        if self._alias == "_box":  # box 2 runs no line of a student's, and TensorFlow reads its loops where they are written
            _imp._fix_co_filename(code, f"/{self._alias}/{file}")
        module.__file__ = code.co_filename
        exec(code, vars(module))  # noqa: S102 (ours)


def _package(alias, folder):
    sys.meta_path.insert(0, _Neutral(alias, folder))
    importlib.import_module(alias)


def _imported(program, module):
    alias = "_box" if program == HERE else "_work"
    if alias == "_work" and alias not in sys.modules:
        _package(alias, program)
    return importlib.import_module(f"{alias}.{module}")


def _begin(frames, program, module):
    """Be a box: what it runs step by step, if it does so, an iterator of C's."""
    spec = json.loads(sys.stdin.buffer.readline())
    harden = importlib.import_module("_box.harden")
    harden.harden({**spec["confinement"], "limits": spec["limits"]})
    writer = importlib.import_module("_box.frames").Writer(frames, spec.pop("first"))
    return _imported(program, module).main(writer, spec)


def main():
    """See the module's docstring."""
    descriptor, program, module = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    _package("_box", HERE)
    if sys.argv[4:] == ["warm"]:
        zygote = importlib.import_module("_box.zygote")
        descriptor = zygote.serve(descriptor, _imported(program, module))
    return _begin(descriptor, program, module)


def run(steps):
    """Run the cells, without a frame of ours below them but this one, which leads nowhere."""
    while True:
        try:
            collections.deque(steps, maxlen=0)
            break  # they end the process; a defect of ours ends them
        except BaseException as error:
            sys.last_value = error
    raise sys.last_value


if (found := main()) is not None:
    run(found)
os._exit(0)
