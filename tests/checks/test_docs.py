"""Every check documents itself under the fixed headings, names its parameters, and is used by a rubric."""

import inspect
import re

import pytest

from grader import checks, rubric

HEADINGS = ["What it checks", "Why it matters", "Inputs", "Units", "Tolerance and source", "Edge cases", "Errors", "Example"]


@pytest.mark.parametrize("name", checks.names())
def test_headings(name):
    check = checks.get(name)
    assert re.findall(r"^\*([A-Z][a-z ]+)\.\*", check.__doc__, re.MULTILINE) == HEADINGS
    assert list(inspect.signature(check.check).parameters) == ["evidence", "params"]
    assert isinstance(check.PARAMS, dict)


def test_every_check_is_used():
    used = {line.check for name in rubric.names() for line in rubric.load(name).criteria}
    assert used == set(checks.names())


def test_the_ids_are_the_contracts():
    ids = [
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
        "train.learns",
        "train.accuracy",
        "curves.plotted",
        "curves.answers",
        "dropout.placed",
        "dropout.rate",
        "dropout.learns",
        "dropout.answers",
        "augmentation.placed",
        "augmentation.learns",
        "augmentation.answers",
    ]
    assert [line.id for line in rubric.load("all_cnn_c").criteria] == ids
