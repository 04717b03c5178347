"""What all tests share: options of the command line."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden`: write golden files anew instead of comparing with them."""
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing with them")
