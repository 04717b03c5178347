"""The checks: one file each, found by file name. Adding a check is adding a file (recipe in CONTRIBUTING.md).

A check module offers

* `PARAMS`: every parameter a rubric may set, with its default value;
* `check(evidence, params) -> Finding`: a pure function of plain records;
* a docstring under the fixed headings (*What it checks*, *Why it matters*, …), held by a test.

Modules whose names begin with an underscore, and `graph`-like helpers, are no checks.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from grader.records import Evidence, Finding

Params = Mapping[str, Any]


class Check(Protocol):
    """What every check module looks like."""

    PARAMS: Params

    def check(self, evidence: Evidence, params: Params) -> Finding:
        """Judge one criterion."""
        ...


def names() -> tuple[str, ...]:
    """The names of all checks, sorted, without importing any."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")))


def get(name: str) -> Check:
    """The check called `name`. Raises KeyError if there is none."""
    if name not in names():
        raise KeyError(name)
    return cast("Check", import_module(f"{__name__}.{name}"))
