"""The first thing that runs in every box: read the spec, harden, then hand over to the job's module.

Called as `start.py FRAMES PROGRAM MODULE`: the frame pipe's descriptor, the folder of the job's package and the module whose
`main(writer, spec)` is run. The packages get private names, so that no module of ours answers to a student's `import`.
`start.py SOCKET PROGRAM MODULE warm` prepares MODULE and forks a box for every request that comes over the socket (`zygote.py`).
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def _package(alias, folder):
    spec = importlib.util.spec_from_file_location(alias, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)


def _imported(program, module):
    alias = "_box" if program == HERE else "_work"
    if alias == "_work" and alias not in sys.modules:
        _package(alias, program)
    return importlib.import_module(f"{alias}.{module}")


def _begin(frames, program, module):
    """Be a box."""
    spec = json.loads(sys.stdin.buffer.readline())
    harden = importlib.import_module("_box.harden")
    harden.harden({**spec["confinement"], "limits": spec["limits"]})
    writer = importlib.import_module("_box.frames").Writer(frames)
    _imported(program, module).main(writer, spec)


def main():
    """See the module's docstring."""
    descriptor, program, module = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    _package("_box", HERE)
    if sys.argv[4:] == ["warm"]:
        zygote = importlib.import_module("_box.zygote")
        zygote.serve(descriptor, _imported(program, module), lambda frames: _begin(frames, program, module))
    else:
        _begin(descriptor, program, module)


main()
