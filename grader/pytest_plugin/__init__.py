"""The pytest plugin: `pytest --submission=nb.ipynb` runs a notebook once, in the sandbox, and shows each criterion of the rubric as a test.

pytest loads this module in every run where the package is installed, so it imports nothing of the grader and only adds the option
`--submission`; everything else begins with that option. docs/pytest.md is for users; `grading` has the run and the hooks, `items` the
criteria as tests, `fixtures` what instructors' own tests are given.

The notebook's code runs in the sandbox only. What tests are given here is the data that came out of it (`grader.records`).
PYTEST_DONT_REWRITE (nothing is asserted here)
"""

from collections.abc import Iterator
from typing import Any

import pytest

OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rubric", {"default": "all_cnn_c", "metavar": "NAME|PATH", "help": "the rubric to grade by (default: all_cnn_c)"}),
    ("budget", {"default": "short", "choices": ("none", "short", "full"), "help": "how much training to measure (default: short)"}),
    ("device", {"default": "auto", "choices": ("auto", "cpu", "gpu"), "help": "where training is measured"}),
    ("sandbox", {"default": "auto", "metavar": "auto|NAME", "help": "the sandbox, as for `grade run`"}),
    ("backend", {"default": "tensorflow", "choices": ("tensorflow", "jax"), "help": "what Keras trains with"}),
    ("seed", {"default": 0, "type": int, "metavar": "N", "help": "seed of every random generator"}),
    ("memory", {"metavar": "SIZE", "help": "memory of the notebook, as for `grade run`"}),
    ("cell-timeout", {"type": float, "metavar": "SECONDS", "help": "time limit for each cell"}),
    ("timeout", {"type": float, "metavar": "SECONDS", "help": "time limit for the whole notebook"}),
    (
        "on-review",
        {"default": "pass", "choices": ("pass", "fail"), "help": "whether a result that needs manual review ends with exit code 1"},
    ),
    ("deadline", {"type": float, "metavar": "SECONDS", "help": "time limit for the run; what is not graded by then is skipped"}),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option that every run of pytest gets."""
    parser.getgroup("grade", "grading a notebook").addoption(
        "--submission",
        dest="grade_submission",
        metavar="NOTEBOOK",
        help="grade this notebook (a file, a folder, a member of an archive): each criterion of the rubric is a test. "
        "--submission=NOTEBOOK --help shows the options that go with it",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> Iterator[None]:
    """With `--submission`, add the other options: last, so that nobody else's option of the same name is in the way."""
    yield
    if early_config.known_args_namespace.grade_submission is not None:
        add_options(parser)


def add_options(parser: pytest.Parser) -> None:
    """Add the options that go with `--submission`. Where another plugin has `--NAME`, only `--grade-NAME` is added."""
    group = parser.getgroup("grade")
    for name, settings in OPTIONS:
        short = () if name == "timeout" or _taken(parser, f"--{name}") else (f"--{name}",)  # pytest-timeout's is each test's
        group.addoption(*short, f"--grade-{name}", dest=f"grade_{name.replace('-', '_')}", **settings)


def _taken(parser: pytest.Parser, name: str) -> bool:
    """Whether an option has this name; pytest 8 tells only when it parses."""
    try:
        return not parser.parse_known_and_unknown_args([f"{name}=x"])[1]
    except pytest.UsageError:  # it is there, and wants another value
        return True


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and with `--submission` everything else."""
    config.addinivalue_line("markers", "points(n): points of a test beside the rubric's (with --submission)")
    if config.getoption("grade_submission") is not None:
        from grader.pytest_plugin import fixtures, grading

        config.pluginmanager.register(grading.Grading(config), grading.NAME)
        config.pluginmanager.register(fixtures, fixtures.__name__)
