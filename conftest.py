"""`pytest --submission=…` in a clone that is not installed. Where the package is installed, its entry point has loaded the plugin before."""

import pytest


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the plugin, unless it is there."""
    if not pluginmanager.has_plugin("grader.pytest_plugin"):
        from grader import pytest_plugin  # noqa: PLC0415

        pluginmanager.register(pytest_plugin, "grader.pytest_plugin")
        pytest_plugin.add_options(parser)
