"""What the page of a notebook costs: `notebook.html` of every notebook of the test corpus and of the attack suite, drawn by nbconvert in a warm box.

Every notebook is graded without training, as `grade batch` does it; every page is read by the inert check before it is written (a page that can act
is a fault). Prints the median and the largest of seconds and bytes, and the faults by name; exit code 1 if there is one. `--sample N` takes every Nth.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from statistics import median

from grader import pipeline, sandbox
from grader.batch.worker import Item, Workshop
from grader.records import Executed
from grader_attacks.notebooks import LIMITS, NOTEBOOKS, notebook

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "notebooks"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=1, metavar="N")
    sample = parser.parse_args().sample
    sources = {path.parent.name: path.read_bytes() for path in sorted(CORPUS.glob("*/submission.ipynb"))}
    sources |= {attack.attack.id: json.dumps(notebook(attack)).encode() for attack in NOTEBOOKS}
    seconds, sizes, faults = [], [], {}
    draw = pipeline.drawn

    def timed(executed: Executed, box: sandbox.Sandbox, left_s: float) -> Executed:
        begun = time.perf_counter()
        made = draw(executed, box, left_s)
        seconds.append(time.perf_counter() - begun)
        if made.page is not None and made.page.fault:
            faults[name] = made.page.fault
        return made

    pipeline.drawn = timed
    options = pipeline.Options(budget="none", formats=("notebook",), limits=LIMITS, use_cache=False)
    with Workshop(options, boxes=1) as workshop:
        for name, data in list(sources.items())[::sample]:
            try:
                files = workshop.grade(Item(content=name, sha256=hashlib.sha256(data).hexdigest(), data=data)).files
                sizes.append(len(files["notebook.html"].encode()))
            except Exception as error:  # noqa: BLE001 (the page that is looked for)
                faults[name] = f"{type(error).__name__}: {error}"
    print(f"{len(sizes)} notebooks, {len(seconds)} of them run and drawn")
    print(f"seconds: median {median(seconds[1:]):.2f}, largest {max(seconds[1:]):.2f}, the first (cold) {seconds[0]:.2f}")
    print(f"bytes: median {median(sizes):,.0f}, largest {max(sizes):,}")
    for name, fault in faults.items():
        print(f"{name}: {fault}")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
