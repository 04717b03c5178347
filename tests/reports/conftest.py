"""Golden files: what a report looked like when a person last looked at it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the samples are shared by the tests of this folder

GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with `golden/<name>`, or write it there with `--update-golden`."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"golden/{name} is not there: look at the new text, then run pytest tests/reports --update-golden"
        assert text == path.read_text(encoding="utf-8"), (
            f"golden/{name} differs: look at the change, then run pytest tests/reports --update-golden"
        )

    return compare
