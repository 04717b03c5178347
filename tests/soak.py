"""Many notebooks through one process, in random order: what the grader itself holds on to. `python tests/soak.py --count 200`; a test runs a few.

After every notebook the process is looked at from outside its own book-keeping: resident memory, open descriptors, children, mounts, and what lies
in the temporary folder. Each report is checked against the schema. The figures go to a file, a line a notebook, so that a run that was broken off is not lost.
"""

import argparse
import ctypes
import gc
import json
import os
import random
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).resolve().parent))
from harness import ROOT, grade_file, small_store, warm_box2

from grader.sandbox import Limits
from grader.sandbox.process import descendants
from grader_attacks.notebooks import NOTEBOOKS, notebook

SCHEMA = json.loads((ROOT / "grader/reports/report.v1.schema.json").read_text(encoding="utf-8"))
LIMITS = Limits(cell_s=20, wall_s=90)


def state():
    """{memory in MiB, descriptors, children, mounts, temporary files} of this process."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the C library keeps for later is no leak
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return {
        "mib": int(status.partition("VmRSS:")[2].split()[0]) / 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "children": len(descendants(os.getpid())),
        "mounts": len(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()),
        "temporary": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def notebooks(folder):
    """Every notebook of the corpus, and of the attack suite (written to `folder`)."""
    found = sorted((ROOT / "tests/notebooks").glob("*/submission.ipynb"))
    for hostile in NOTEBOOKS:
        path = folder / f"attack_{hostile.attack.id}" / "submission.ipynb"
        path.parent.mkdir()
        path.write_text(json.dumps(notebook(hostile)), encoding="utf-8")
        found.append(path)
    return found


@contextmanager
def own_temporary_folder(folder):
    """Boxes make their folders here, where no other process's are counted."""
    kept, tempfile.tempdir = tempfile.tempdir, str(folder)
    folder.chmod(0o755)
    try:
        yield
    finally:
        tempfile.tempdir = kept


def soak(count, seed=0, tell=lambda _line: None, out=None):
    """Grade `count` notebooks in random order; the states after each. The first three warm the process up (imports, caches of compiled patterns)."""
    order = random.Random(seed)
    store = small_store()
    states = []
    with tempfile.TemporaryDirectory() as reports, tempfile.TemporaryDirectory() as folder, own_temporary_folder(Path(folder)):
        chosen = notebooks(Path(reports))
        queue = [path for _ in range(-(-count // len(chosen))) for path in order.sample(chosen, len(chosen))][:count]
        warm_box2()
        for number, path in enumerate(queue):
            target = Path(reports) / "out"
            outcome = grade_file(
                path, out=target, limits=LIMITS, store=store, formats=("json", "html", "md", "junit", "gradescope", "github")
            )
            jsonschema.validate(json.loads((target / "report.json").read_text(encoding="utf-8")), SCHEMA)
            assert outcome.report.status.value in ("graded", "needs_review", "ungradable"), (path, outcome.report.reason)
            del outcome
            states.append({"notebook": path.parent.name, **state()})
            tell(f"{number + 1} {states[-1]}")
            if out is not None:
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(states[-1]) + "\n")
    return states


def growth(states, warm=3):
    """What grew from the `warm`-th state to the last, by name."""
    first, last = states[warm - 1], states[-1]
    return {name: round(last[name] - first[name], 1) for name in first if name != "notebook"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = soak(given.count, given.seed, lambda line: print(line, flush=True), given.out)
    print(json.dumps({"notebooks": len(found), "growth_after_the_third": growth(found)}))
