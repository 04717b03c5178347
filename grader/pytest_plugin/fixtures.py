"""What instructors' own test functions are given: data from `grader.records`, the same that the checks judge.

They are fixtures with `--submission` only. Where the submission cannot be graded, a test that uses one is skipped.
"""

from collections.abc import Callable
from typing import cast

import pytest

from grader.pytest_plugin.grading import NAME, Grading
from grader.records import Evidence, Model, Notebook, Report, Training
from grader.reports.text import plain_lines

ROLES = ("base", "dropout", "augmentation")


@pytest.fixture(scope="session", name="report")
def fixture_report(pytestconfig: pytest.Config) -> Report:
    """The report, field for field report.json."""
    grading = cast("Grading", pytestconfig.pluginmanager.get_plugin(NAME))
    grading.require_score()
    return grading.run().report


@pytest.fixture(scope="session", name="evidence")
def fixture_evidence(report: Report, pytestconfig: pytest.Config) -> Evidence:  # noqa: ARG001 (it asks for a score)
    """All that the checks look at: notebook, run, models, roles, training."""
    return cast("Grading", pytestconfig.pluginmanager.get_plugin(NAME)).run().decoded


@pytest.fixture(scope="session", name="notebook")
def fixture_notebook(evidence: Evidence) -> Notebook:
    """The notebook as submitted: cells, sections, answers."""
    return evidence.notebook


@pytest.fixture(scope="session", name="model")
def fixture_model(evidence: Evidence) -> Callable[..., Model]:
    """`model(role)`: the model in the role base, dropout or augmentation, with its graph. The test fails where there is none.

    `model(role, rebuilt=False)` also gives a model that could not be rebuilt; its `graph` is None and `refusal` says why.
    """

    def model(role: str, *, rebuilt: bool = True) -> Model:
        __tracebackhide__ = True
        found = evidence.roles.get(_known(role))
        if found is None or found.model is None:
            pytest.fail(plain_lines(f"No {role} model was found. {found.reason if found else ''}".strip()), pytrace=False)
        if rebuilt and found.model.graph is None:
            pytest.fail(plain_lines(f"The {role} model could not be rebuilt: {found.model.refusal}"), pytrace=False)
        return found.model

    return model


@pytest.fixture(scope="session", name="training")
def fixture_training(evidence: Evidence, pytestconfig: pytest.Config) -> Callable[[str], Training]:
    """`training(role)`: the result of the training check, with its `verdict`. The test is skipped where none was made."""

    def training(role: str) -> Training:
        __tracebackhide__ = True
        found = evidence.training.get(_known(role))
        if found is None and pytestconfig.option.grade_budget == "none":
            pytest.skip("--budget none measures no training; use short or full.")
        if found is None:
            pytest.skip(f"There is no training check of the {role} model.")
        return found

    return training


def _known(role: str) -> str:
    __tracebackhide__ = True
    if role not in ROLES:
        raise ValueError(f"expected a role, one of {', '.join(ROLES)}; found {role!r}")
    return role
