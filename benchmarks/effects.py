"""What measuring the effects of a model's steps costs beside rebuilding it: every distinct model with a role of the test corpus, in a warm box 2.

Every notebook is graded without training, as `grade batch` does it. A measuring finds the model that was rebuilt just before; each is asked for once more
by itself, in turn, and what is told is the difference. A model that is rebuilt and could not be measured is a fault. Exit code 1 if there is one, or
if a model takes more than MOST_S. `--sample N` takes every Nth notebook.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from grader import pipeline
from grader.batch.worker import Item, Workshop
from grader.records import DataClaim, Graph, ModelClaim
from grader.training.box2 import Box2

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "notebooks"
MOST_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=1, metavar="N")
    sources = {path.parent.name: path.read_bytes() for path in sorted(CORPUS.glob("*/submission.ipynb"))}
    sample = parser.parse_args().sample
    found: list[tuple[float, str, int]] = []
    faults: list[str] = []
    measure, rebuilt = Box2.measure, Box2._rebuilt  # noqa: SLF001

    def answered(box: Box2, request: dict[str, Any], deadline: float | None) -> Graph | str:
        if request["ask"] != "measure":
            return rebuilt(box, request, deadline)
        seconds = {}
        for ask in ("rebuild", "measure"):
            begun = time.perf_counter()
            answer = rebuilt(box, {**request, "ask": ask}, deadline)
            seconds[ask] = time.perf_counter() - begun
        found.append((seconds["measure"] - seconds["rebuild"], name, len(answer.nodes) if isinstance(answer, Graph) else 0))
        return answer

    def measured(box: Box2, claim: ModelClaim, graph: Graph, data: DataClaim | None, deadline: float | None = None) -> Graph:
        result = measure(box, claim, graph, data, deadline)
        if all(node.effect is None for node in result.nodes):
            faults.append(name)
        return result

    Box2._rebuilt, Box2.measure = answered, measured  # type: ignore[method-assign]  # noqa: SLF001
    options = pipeline.Options(budget="none", formats=("json",), use_cache=False)
    with Workshop(options, boxes=1) as workshop:
        for name, data in list(sources.items())[::sample]:
            workshop.grade(Item(content=name, sha256=hashlib.sha256(data).hexdigest(), data=data))
    later = sorted(found[1:])
    print(f"{len(found)} distinct models of {len(list(sources)[::sample])} notebooks measured")
    print(f"seconds beside rebuilding: median {median(each[0] for each in later):.3f}, the first (cold) {found[0][0]:.2f}; the largest:")
    for seconds, notebook, nodes in later[:-6:-1]:
        print(f"  {seconds:.3f}  {notebook} ({nodes} steps)")
    print(f"not measured: {', '.join(faults) or 'none'}")
    return int(bool(faults) or later[-1][0] > MOST_S)


if __name__ == "__main__":
    sys.exit(main())
