"""Fuzzing the notebook reader: any bytes are a notebook or a sentence, always the same one, for a bounded price."""

import contextlib
import dataclasses
import json
import re
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mutation import HOSTILE_TEXT, corpus, damaged, fuzz, mutated, text, written

from grader.errors import NotGradable
from grader.notebook import load_anchors, read, recognise, untouched
from grader.notebook.answers import ASKED_IN, MAX_ANSWERS, MAX_TEXT
from grader.notebook.document import MAX_TOKENS
from grader.notebook.reading import MAX_CELLS, MAX_CODE, MAX_LINES, MAX_OUTPUTS
from grader.notebook.text import MAX_KEPT, terminal

TESTS = Path(__file__).resolve().parents[1]
ANCHORS = load_anchors(TESTS.parent / "rubrics" / "all_cnn_c" / "anchors.toml")
CORPUS = corpus("notebook")
REAL = {path.parent.name: path.read_bytes() for path in sorted((TESTS / "notebooks").glob("*/submission.ipynb"))}
MADE = [
    json.loads(data)
    for name, data in REAL.items()
    if name in ("file_nbformat3", "file_bare_nbformat40", "full_reference", "messy_magics_and_shell", "messy_stale_error_outputs", "other_python2_keras", "file_no_cells")
]  # fmt: skip
assert len(MADE) == 7


def check(data):
    """What holds for any bytes; the notebook, or None for what is none."""
    begun = time.process_time()
    try:
        notebook = read(data, ANCHORS)
    except NotGradable as refusal:
        assert 20 < len(str(refusal)) < 700  # noqa: PT017
        str(refusal).encode()
        assert time.process_time() - begun < 2 + len(data) / 200_000
        return None
    recognition = recognise(notebook, ANCHORS)
    untouched(notebook, ANCHORS)
    assert time.process_time() - begun < 2 + len(data) / 200_000
    assert read(data, ANCHORS) == notebook, "reading is a function of the bytes"
    assert recognise(notebook, ANCHORS) == recognition
    assert [cell.index for cell in notebook.cells] == list(range(len(notebook.cells)))
    assert len(notebook.cells) <= MAX_CELLS
    assert sum(len(cell.source) for cell in notebook.code) <= MAX_CODE
    assert [cell.section for cell in notebook.cells if not 0 <= cell.section <= 6] == []
    for cell in notebook.cells:
        cell.source.encode()
        assert "\r\n" not in cell.source
        assert cell.kind == "code" or not (cell.outputs or cell.unfilled or cell.execution_count is not None)
        assert len(cell.outputs) <= MAX_OUTPUTS
        for output in cell.outputs:
            assert len(output.text) < MAX_KEPT + 100
            assert not re.search("[\x1b\r\x08\ud800-\udfff]", output.text)
            assert all(len(name) <= 100 for name in output.mime_types)
    assert len(notebook.answers) <= MAX_ANSWERS
    for answer in notebook.answers:
        assert answer.section in ASKED_IN
        assert 0 < len(answer.text) <= MAX_TEXT
        assert answer.question in {"", *(question.label for question in ANCHORS.questions)}
        assert notebook.cells[answer.cell].index == answer.cell
    assert all(sentence.endswith(".") and len(sentence) < 300 for sentence in notebook.repairs)
    assert re.fullmatch(r"[1-4]\.\d{1,2}", notebook.nbformat)
    assert 0 < len(notebook.language) <= 40
    assert 0 <= recognition.template_score <= 1
    return notebook


@pytest.mark.parametrize("name", CORPUS)
def test_the_kept_inputs(name):
    """`good-…`: read. `bad-…`: refused. `any-…`: once broke the reader."""
    notebook = check(CORPUS[name])
    assert name.startswith("any") or (notebook is not None) == name.startswith("good")


@pytest.mark.parametrize("name", REAL)
def test_the_real_notebooks_and_each_cut_in_the_middle(name):
    data = REAL[name]
    notebook = check(data)
    if notebook is not None and len(data) < 200_000:
        again = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": cell.kind, "source": cell.source, "metadata": {}, **({"outputs": [], "execution_count": None} if cell.kind == "code" else {})} for cell in notebook.cells]}  # fmt: skip
        second = read(json.dumps(again).encode(), ANCHORS)
        assert [dataclasses.replace(cell, outputs=(), execution_count=None) for cell in notebook.cells] == list(second.cells), (
            "what was read is read again"
        )
        assert second.repairs == ()
    check(data[: len(data) // 2])


@given(mutated(MADE))
@fuzz(120)
def test_changed_notebooks(value):
    check(written(value).encode())


@given(st.sampled_from([REAL["full_reference"], REAL["file_nbformat3"], *CORPUS.values()]).flatmap(damaged))
@fuzz(120)
def test_damaged_notebooks(data):
    check(data)


@given(
    mutated(MADE[:1], most=2),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "latin-1", "cp1252", "shift_jis"]),
)
@fuzz(50)
def test_changed_notebooks_in_any_encoding(value, encoding):
    check(json.dumps(value, ensure_ascii=False).encode(encoding, "replace"))


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda words: words.encode("utf-8", "surrogatepass")))
@fuzz(150)
@example(b"\xef\xbb\xbf\xef\xbb\xbf{}")
@example(b"{\x00\x00\x00")
@example(b"\x00{\x00")
def test_any_bytes(data):
    check(data)


def cell(source, kind="code"):
    return {"cell_type": kind, "source": source, "metadata": {}, **({"outputs": [], "execution_count": None} if kind == "code" else {})}


def notebook_of(*cells):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}).encode()


LINES = st.lists(st.sampled_from(["# 5. Dropout", "## 6 Augmentation", "4)", "<h2>5 x</h2>", "**6**", "===", "---", "```", "* ", "a b c", "x = 1", "#", "'''", '"""', "\\", "%%time", "!pip install x", "?x", "%", "def f(:", "print x", "\t", "import keras", "x = !ls \\", "# YOUR IMPLEMENTATION HERE"]) | text, max_size=12)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["code", "markdown", "raw"]), LINES), max_size=5))
@fuzz(100)
def test_any_text_in_any_cell(cells):
    notebook = check(notebook_of(*(cell("\n".join(lines), kind) for kind, lines in cells)))
    assert [found.kind for found in notebook.cells] == [kind for kind, _ in cells]
    plain = ["\n".join(lines).replace("\r\n", "\n") for _, lines in cells]
    assert [found.source for found in notebook.cells] == [re.sub("[\ud800-\udfff]", "\ufffd", words) for words in map(joined, plain)]


def joined(words):
    """Surrogates that JSON's escapes bring together become one character."""
    return (
        words.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        if not re.search("[\ud800-\udfff]", words)
        else json.loads(json.dumps(words))
    )


@given(text)
@fuzz(200)
def test_output_text_commands_no_terminal(words):
    shown = terminal(words)
    assert not re.search("[\x1b\r\x08\ud800-\udfff]", shown)
    assert len(shown) <= len(words)


# ------------------------------------------------------------------ the price


def large(pattern, size, kind="code"):
    return notebook_of(cell(pattern * (size // len(pattern)), kind))


SOURCES = ["a\n", "#a\n", "#a b\n# 5\n", "* a\n", "'", '"""\n', "(", "[\n", "<", "<h1>", "**a", "`", "\\", "%%x\n", "!\\\n", "x?\n", "-", "a ", " \n", "> ", "1. ", "é\n", "\ufdfa", "f(", "not ", "=[", "print x\n", "#", "_"]  # fmt: skip


@pytest.mark.parametrize("kind", ["code", "markdown"])
@pytest.mark.parametrize("pattern", SOURCES, ids=range(len(SOURCES)))
def test_the_time_grows_with_the_size_only(pattern, kind):
    check(large(pattern, 12_000, kind))
    check(notebook_of(*[cell(pattern * 40, kind)] * 15))


@pytest.mark.parametrize("kind", ["code", "markdown", "raw"])
def test_more_lines_than_any_notebook_has_are_refused(kind):
    """A line costs more than its characters: a file of line ends within the size limits would take minutes."""
    begun = time.process_time()
    with pytest.raises(NotGradable, match="lines"):
        read(large("a\n", 2 * MAX_LINES + 2, kind), ANCHORS)
    with pytest.raises(NotGradable, match="lines"):
        read(notebook_of(*[cell("a\n" * (MAX_LINES // 100), kind)] * 101), ANCHORS)
    assert time.process_time() - begun < 5


def test_the_memory_is_bounded():
    document = notebook_of(*[cell("x = 1\n" * 1000)] * 60)
    deep = b'{"cells": ' + b"[" * 500_000
    many = b'{"nbformat": 4, "cells": [' + b"{}," * 400_000 + b"{}]}"
    outputs = json.dumps(
        {"nbformat": 4, "cells": [{**cell("x"), "outputs": [{"output_type": "stream", "text": "\x1b[1m\r" * 300_000}] * 3}]}
    ).encode()
    assert len(many) < MAX_TOKENS
    for data in (document, deep, many, outputs):
        tracemalloc.start()
        with contextlib.suppress(NotGradable):
            read(data, ANCHORS)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 60 * len(data) + 2**25


@pytest.mark.parametrize("depth", [50, 200, 900, 960, 970, 975, 980, 985, 990, 1000, 100_000])
@pytest.mark.parametrize("place", ['"cell_type": %s', '"source": %s', '"outputs": %s', '"outputs": [{"output_type": %s}]', '"outputs": [{"output_type": "error", "ename": %s}]', '"outputs": [{"data": {"text/plain": %s}}]', '"metadata": %s'])  # fmt: skip
@pytest.mark.parametrize("brackets", ["[]", ('{"a":', "1}")], ids=["lists", "objects"])
def test_deep_nesting_is_read_or_refused(depth, place, brackets):
    opened, closed = brackets[0] * depth, ("]" if brackets[0] == "[" else "1" + "}") + brackets[1][-1] * (depth - 1)
    entry = "{%s}" % (place % (opened + closed))
    for document in ('{"nbformat": 4, "cells": [%s]}', '{"nbformat": 3, "worksheets": [{"cells": [%s]}]}', '{"cells": [], "metadata": %s}'):
        check((document % entry).encode())


@pytest.mark.parametrize("words", HOSTILE_TEXT, ids=range(len(HOSTILE_TEXT)))
def test_hostile_text_in_every_text_of_a_notebook(words):
    def infected(value):
        if isinstance(value, dict):
            return {key if key in KEYS else key + words: infected(item) for key, item in value.items()}
        if isinstance(value, list):
            return [infected(item) for item in value]
        return value if not isinstance(value, str) or value in ("code", "markdown", "raw") else value + words

    for value in MADE[:3]:
        assert check(json.dumps(infected(value)).encode()) is not None


KEYS = {"cells", "worksheets", "nbformat", "cell_type", "source", "outputs", "input"}
