"""What all tests share: options of the command line."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# verdicts kept by another checkout's tests, or by the user, must not answer for this one's
os.environ["GRADER_CACHE"] = str(Path(tempfile.gettempdir()) / f"grader-test-cache-{os.getpid()}")
# a busy machine is no failure; CI draws the same examples every time
settings.register_profile("grader", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
settings.load_profile("grader")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`: write golden files anew instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing with them")
