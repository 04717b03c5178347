"""Running the real pipeline in tests: in the sandbox, on the made-up images (or CIFAR-10 where the test asks), without training."""

import json
import os
import tempfile
from pathlib import Path

from grader import pipeline
from grader.records import Report

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_ALL = os.environ.get("GRADER_REQUIRE_ALL") == "1"


def store() -> Path:
    """A data store shared by all tests of this machine and user; the stand-in is made in it on first use."""
    return Path(os.environ.get("GRADER_TEST_STORE") or Path(tempfile.gettempdir()) / f"grader-test-store-{os.getuid()}")


def grade_file(path: Path | str, out: Path | None = None, **options) -> pipeline.Outcome:
    """Grade one file with the given `pipeline.Options`."""
    if out is not None:
        return pipeline.grade(str(path), pipeline.Options(out=out, **{"store": store(), "formats": ("json",), **options}))
    with tempfile.TemporaryDirectory() as folder:
        return pipeline.grade(str(path), pipeline.Options(out=Path(folder), **{"store": store(), "formats": ("json",), **options}))


def grade_notebook(nb, **options) -> Report:
    """Grade a notebook given as an nbformat node (or a plain dictionary)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_text(json.dumps(nb), encoding="utf-8")
        return grade_file(path, **options).report


def statuses(report: Report) -> dict[str, str]:
    """Criterion id -> status."""
    return {line.id: line.status.value for line in report.criteria}
