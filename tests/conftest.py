"""What all tests share: options of the command line."""

import os

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no failure; CI draws the same examples every time
settings.register_profile("grader", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ)
settings.load_profile("grader")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`: write golden files anew instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing with them")
