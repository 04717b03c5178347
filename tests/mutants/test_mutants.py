"""Every defect costs its own criterion and nothing else; every harmless rewrite costs nothing. README.md tells how to run a few of them."""

import os
import tomllib
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from grader.records import CriterionResult, Report, RunStatus, Status
from tests.mutants.cases import MUTANTS, REFERENCE, REWRITES, Mutant, Rewrite, reference

RUBRIC = Path(__file__).parents[2] / "rubrics" / "all_cnn_c" / "rubric.toml"
CASES = (*MUTANTS, *REWRITES)
ALL = os.environ.get("GRADER_ALL_MUTANTS") == "1"
GRADED_MUTANTS = MUTANTS if ALL else MUTANTS[::2]
"""Those that are run: every second one, unless GRADER_ALL_MUTANTS=1 asks for all (a quarter of an hour more on two cores)."""
GRADED_REWRITES = REWRITES if ALL else REWRITES[::3]
JUDGED = frozenset(
    [
        "model.built",
        "model.no_pooling",
        "model.no_flatten",
        "model.strided_downsampling",
        "model.same_padding",
        "model.score_maps",
        "model.head",
        "model.parameters",
        "model.nonlinear",
        "data.cifar10",
        "data.normalized",
        "data.consistent",
        "train.loss",
        "train.protocol",
        "curves.plotted",
        "dropout.placed",
        "dropout.rate",
        "augmentation.placed",
    ]
)
"""The criteria that are decided without training and without a person; the reference passes all of them."""


def by_name(case: Mutant | Rewrite) -> str:
    return case.name


def lines(report: Report) -> dict[str, CriterionResult]:
    return {line.id: line for line in report.criteria}


def told(line: CriterionResult) -> str:
    """One criterion's outcome for an assertion message."""
    return f"{line.id}: {line.status} {line.earned}/{line.points}: {line.message} (found: {line.actual})"


@pytest.fixture(scope="session")
def expected() -> dict[str, CriterionResult]:
    """The reference solution's own results."""
    from harness import grade_notebook, small_store

    return lines(grade_notebook(reference(), store=small_store()))


# ------------------------------------------------------------------ the cases themselves (fast)


def test_there_are_enough() -> None:
    assert len(GRADED_MUTANTS) >= 60
    assert len(GRADED_REWRITES) >= 30


def test_names_are_unique() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_applies_and_is_python(case: Mutant | Rewrite) -> None:
    """The edited notebook is a valid one, differs from the reference, and each of its cells is Python (with IPython's magics)."""
    notebook = case.notebook()
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] != [cell.source for cell in reference().cells]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(TransformerManager().transform_cell(cell.source), f"{case.name}/{cell.id}", "exec")


def test_criteria_are_the_rubrics() -> None:
    rubric = tomllib.loads(RUBRIC.read_text(encoding="utf-8"))
    known = {criterion["id"] for criterion in rubric["criterion"]}
    named = set().union(*(mutant.loses | mutant.may_lose for mutant in MUTANTS))
    assert known >= JUDGED
    assert named <= JUDGED


def test_every_judged_criterion_is_attacked() -> None:
    attacked = set().union(*(mutant.loses for mutant in GRADED_MUTANTS))
    assert attacked == JUDGED - {"model.built"}, "a model that is not built is no edit of one line: the corpus of notebooks has those cases"


def test_each_mutant_has_a_certain_loss() -> None:
    for mutant in MUTANTS:
        assert mutant.loses, f"{mutant.name}: which criterion does this defect cost?"
        assert not mutant.loses & mutant.may_lose, f"{mutant.name}: a loss is either certain or possible"


def test_the_reference_is_kept_without_outputs() -> None:
    stored = nbformat.read(REFERENCE, as_version=nbformat.NO_CONVERT)
    assert (stored.nbformat, stored.nbformat_minor) == (4, 5)
    for cell in stored.cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None), f"cell {cell.id}: clear its outputs"


# ------------------------------------------------------------------ the grader's judgement (slow)


@pytest.mark.slow
def test_the_reference_passes_everything(expected: dict[str, CriterionResult]) -> None:
    failed = [
        told(line) for line in expected.values() if line.id in JUDGED and (line.status is not Status.PASS or line.earned != line.points)
    ]
    assert not failed, "\n".join(failed)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", GRADED_MUTANTS, ids=by_name)
def test_mutant(mutant: Mutant, expected: dict[str, CriterionResult]) -> None:
    from harness import grade_notebook, small_store

    report = grade_notebook(mutant.notebook(), store=small_store())
    assert report.status is RunStatus.GRADED, report.reason
    found = lines(report)
    wrong = [f"must lose points: {told(found[each])}" for each in sorted(mutant.loses) if not is_less(found[each], expected[each])]
    wrong += [
        f"must stay as it was: {told(line)}"
        for line in found.values()
        if line.id not in mutant.loses | mutant.may_lose and differs(line, expected[line.id])
    ]
    wrong += [f"gained points: {told(line)}" for line in found.values() if (line.earned or 0) > (expected[line.id].earned or 0)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("rewrite", GRADED_REWRITES, ids=by_name)
def test_rewrite(rewrite: Rewrite, expected: dict[str, CriterionResult]) -> None:
    from harness import grade_notebook, small_store

    report = grade_notebook(rewrite.notebook(), store=small_store())
    assert report.status is RunStatus.GRADED, report.reason
    wrong = [told(line) for line in lines(report).values() if differs(line, expected[line.id])]
    assert not wrong, "\n".join(wrong)


def is_less(line: CriterionResult, reference_line: CriterionResult) -> bool:
    """Whether fewer points were decided and given: a criterion that was not decided has lost nothing."""
    return line.earned is not None and reference_line.earned is not None and line.earned < reference_line.earned


def differs(line: CriterionResult, reference_line: CriterionResult) -> bool:
    return (line.status, line.earned, line.points) != (reference_line.status, reference_line.earned, reference_line.points)
