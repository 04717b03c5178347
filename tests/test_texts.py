"""No text of a notebook's ends the host: what Python's parser takes and what it refuses, in code and in prose, goes through everything that reads it."""

import json
import time

import pytest

from grader import evidence, notebook, rubric
from grader.errors import NotGradable
from grader.records import CellError, CellRun, RunRecord

DEEP = "(" * 20 + "np" + (".a" * 49 + ")") * 20
TEXTS = {
    "attributes of attributes": f"try:\n    {DEEP} = 1\nexcept AttributeError:\n    pass",
    "indices": "x" + "[0]" * 2900 + " = 1",
    "calls": "f" + "()" * 2900,
    "lambdas": "f = " + "lambda: " * 500 + "0",
    "brackets": "x = " + "[" * 90 + "1" + "]" * 90,
    "open brackets": "[" * 10**6,
    "equals": "a = " * 20_000 + "1",
    "sums": "x = 1" + "+1" * 2900,
    "powers": "2" + "**2" * 2000,
    "comparisons": "x" + "<x" * 20_000,
    "negations": "not " * 2000 + "x",
    "minus": "-" * 2000 + "1",
    "choices": "y = " + "x if y else " * 2000 + "z",
    "comprehensions": "[" * 50 + "x" + " for x in y]" * 50,
    "texts in texts": "x = f\"{f'{f'''{1}'''}'}\"",
    "branches": "".join(" " * depth + "if x:\n" for depth in range(95)) + " " * 95 + "pass",
    "other branches": "if x: pass\n" + "elif x: pass\n" * 2900,
    "decorators": "@a\n" * 10_000 + "def f(): pass",
    "functions that call each other": "".join(f"def f{i}():\n    " + ";".join(f"f{j}()" for j in range(100)) + "\n" for i in range(100)),
    "arguments": "f(" + "*a," * 20_000 + ")",
    "patterns": "match x:\n    case " + "[" * 90 + "]" * 90 + ": pass",
    "a long line": "x = '" + "a" * 10**6 + "'",
    "a long name": "a" * 10**6,
    "quotes": "'" * 10**6,
    "backslashes": "\\" * 10**6,
    "magics": "%%time\n" * 20_000,
    "percents": "%" * 10**6,
    "hashes": "#" * 10**6,
    "dots": "." * 10**6,
    "words": "a " * 200_000,
}


def _cell(kind, source):
    return {"cell_type": kind, "metadata": {}, "source": source, **({"outputs": [], "execution_count": None} if kind == "code" else {})}


@pytest.mark.parametrize("kind", ["code", "markdown"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_read_to_its_end(name, kind):
    anchors = notebook.load_anchors(rubric.load("all_cnn_c").folder / "anchors.toml")
    cells = [_cell("code", "from keras.datasets import cifar10"), _cell(kind, TEXTS[name])]
    data = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}).encode()
    began = time.process_time()
    try:
        read, _ = notebook.without_copies(notebook.read(data, anchors))
    except NotGradable:
        return
    notebook.recognise(read, anchors)
    notebook.untouched(read, anchors)
    failed = CellError(type="ValueError", message="x", line=1)
    runs = tuple(CellRun(index=cell.index, status="error", error=failed, lost=tuple(range(1, 99))) for cell in read.code)
    found = evidence.build(read, RunRecord(cells=runs, ending="ok"), {}, attempted=True)
    evidence.flags(found)
    assert time.process_time() - began < 60
