"""The first thing that runs in every box: read the spec, harden, then hand over to the job's module.

Called as `start.py FRAMES PROGRAM MODULE`: the frame pipe's descriptor, the folder of the job's package and the module whose
`main(writer, spec)` is run. The packages get private names, so that no module of ours answers to a student's `import`.
"""

import importlib
import importlib.util
import json
import sys
from pathlib import Path


def _package(alias, folder):
    spec = importlib.util.spec_from_file_location(alias, folder / "__init__.py", submodule_search_locations=[str(folder)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)


def main():
    """See the module's docstring."""
    frames, program, module = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    spec = json.loads(sys.stdin.buffer.readline())
    here = Path(__file__).resolve().parent
    _package("_box", here)
    harden = importlib.import_module("_box.harden")
    harden.harden({**spec["confinement"], "limits": spec["limits"]})
    writer = importlib.import_module("_box.frames").Writer(frames)
    alias = "_box" if program == here else "_work"
    if alias == "_work":
        _package(alias, program)
    importlib.import_module(f"{alias}.{module}").main(writer, spec)


main()
