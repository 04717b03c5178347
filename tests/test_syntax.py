"""Python's parser for unseen text: an honest file gives its own tree, one made to fill memory gives one of its size."""

import ast
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from grader.syntax import MOST_NAMES, tree

PARTS = 100_000


def _dump(text):
    return ast.dump(tree(text))


@pytest.mark.parametrize(
    "text",
    [
        "import a.b.c as d\nfrom tensorflow.keras.layers import Dense\nx = a.b[0].c(1.5).d",
        "import " + ".".join(f"n{index}" for index in range(MOST_NAMES)),
        "x = 1.5e3\ny = ...\nz = '" + "a.b " * 500 + "'",
        "from ...a.b import (c,\n d)",
        "name = 'é.à.ñ'\nü.ß.ø = 1",
        "",
    ],
)
def test_an_honest_text_gives_its_own_tree(text):
    assert _dump(text) == ast.dump(ast.parse(text))


@pytest.mark.parametrize("gap", ["", " ", "\t", " \\\n", "\\\r\n  "])
@pytest.mark.parametrize("name", ["a", "naïve", "a\u0301", "a\u00b7"])
def test_a_long_name_is_cut_to_its_ends(name, gap):
    dot = f"{gap}.{gap}"
    cut = _dump("import first." + dot.join([name] * 200) + f"{dot}last as x\ny = 1")
    assert cut == _dump("import " + ".".join(["first", *[name] * (MOST_NAMES - 1), "last"]) + " as x\ny = 1")


def test_what_is_no_python_is_its_error_or_none():
    assert isinstance(tree("x = = 1"), SyntaxError)
    assert isinstance(tree("import " + "a." * 200), SyntaxError)
    assert tree("(" * 150 + ")" * 150) is not None
    assert not isinstance(tree("-" * 100_000 + "1"), ast.Module)


@pytest.mark.parametrize(
    "text", [f"import {'a.' * PARTS}a", f"from {'a . ' * PARTS}a import b", f"import {'a.' * (MOST_NAMES - 1)}a\n" * 2000]
)
def test_a_text_made_to_fill_memory_takes_memory_of_its_size(text):
    """In a process of its own, as memory that is taken is seldom given back. Unmended, the first took 10 GiB."""
    program = "import json, sys; from grader.syntax import tree; print(json.dumps(tree(json.load(sys.stdin)) is not None))"

    def bounded():
        resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(text),
        capture_output=True,
        text=True,
        preexec_fn=bounded,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "true"), done.stderr[-500:]


@pytest.mark.parametrize(
    "text",
    ["a" * 300_000, "a " * 150_000, "a.b " * 75_000, ("a." * (MOST_NAMES - 2) + "a ") * 3000, "a" + " " * 299_000 + ".", "a\\\n" * 100_000],
)
def test_the_cut_is_linear(text):
    """Text that the pattern could look through again from each place: by the quadratic way these take minutes."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from grader.syntax import _CHAIN; _CHAIN.sub('', sys.stdin.read())"],
        input=text,
        text=True,
        timeout=20,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 0
