"""Packages that Keras would import only because they are there: left out of its import in box 1, and there for a notebook that wants them."""

import importlib.util

import pytest
from harness import REQUIRE_ALL, small_store

from grader import dataset, sandbox
from grader.records import Cell
from grader.sandbox import Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook

ASKS = """
import sys
import keras
before = [name for name in ("jax", "torch", "sklearn", "pandas") if name in sys.modules]
import jax
import pandas
twice = float(jax.jit(lambda x: 2 * x)(21.0))
print("ANSWER", before, twice, keras.backend.backend())
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None and not REQUIRE_ALL, reason="jax is not installed")
def test_a_notebook_may_import_itself_what_keras_is_not_given():
    cells = (Cell(index=0, kind="code", source=ASKS),)
    data = dataset.ensure(small_store()).folder
    with start_notebook(cells, sandbox.choose(), Limits(), data) as running:
        record = collect_notebook(running, cells, Limits())
    assert record.ending == "ok"
    assert "ANSWER [] 42.0 tensorflow" in str(record.cells)
