"""Exports: one format, one file. Each format's module has `export(standings, names, options) -> Exported`.

No export writes a score where there is none: what could not be graded is left out and told of, with its reason, never written as zero. Who is not
known is left out too. To add a format: write its module with that function, and add its line to `MODULES`.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import cast

from grader.batch.export.common import Exported, Names, Options
from grader.batch.records import Standing
from grader.errors import UsageError
from grader.words import meant

__all__ = ["MODULES", "Exported", "Names", "Options", "export"]

MODULES = {"csv": "as_csv", "canvas-csv": "as_canvas_csv", "moodle": "as_moodle", "nbgrader": "as_nbgrader"}


def export(to: str, standings: Iterable[Standing], names: Names, options: Options) -> Exported:
    """Write a class's marks in a format.

    Raises:
        UsageError: no such format, an option that it needs is missing, or a file that it needs is not what it should be.
    """
    if to not in MODULES:
        raise UsageError(f"--to: expected one of {', '.join(MODULES)}; found {to!r}.{meant(to, MODULES)}")
    return cast("Exported", import_module(f"grader.batch.export.{MODULES[to]}").export(standings, names, options))
