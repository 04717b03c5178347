"""The reader: any bytes either become a `Notebook` or a sentence; sections, unfilled cells, answers and facts are found in them."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.errors import NotGradable, UsageError
from grader.notebook import Anchors, load_anchors, read, recognise, without_copies
from grader.notebook import document as document_module
from grader.notebook.code import without_comments
from grader.notebook.text import MAX_KEPT, terminal
from grader.records import Cell, Notebook
from grader.syntax import parse, python_of

RUBRIC = Path(__file__).parents[1] / "rubrics" / "all_cnn_c"

# a template of our own, in the form that make_anchors.py reads
TEMPLATE = """# A picture exercise

## 1. The first network
Build something that sees, with *few* weights.

In [None]:
from tensorflow import keras
model = None
# YOUR IMPLEMENTATION HERE (START)
# YOUR IMPLEMENTATION HERE (END)
model.summary()
## 2. Data loading
In [None]:
(x, y), (a, b) = keras.datasets.cifar10.load_data()
# YOUR IMPLEMENTATION HERE
# 3. Training the model
In [None]:
history = model.fit(x, y, epochs=30)
# YOUR IMPLEMENTATION HERE
#4. Looking at curves
* Does this line of ours rise for ever?
* And that one too, if one waits?
* Which of both is it?
In [None]:
plot(history)
show()
# 5. Adding Dropout
* Question five one is about a share?
* Question five two asks for a number?
* Question five three wants it elsewhere?
* Question five four is about time?
* Question five five is extra?
In [None]:
model = None
history = model.fit(x, y, epochs=30)  # YOUR IMPLEMENTATION HERE
plot(history)
# 6. Data Augmentation
Answer:
* Question six one is extreme?
* Question six two asks why?
* Question six three wants three of them?
"""


@pytest.fixture(scope="session")
def maker():
    spec = importlib.util.spec_from_file_location("make_anchors", RUBRIC / "make_anchors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def anchors(maker, tmp_path_factory) -> Anchors:
    hand = (RUBRIC / "anchors.toml").read_text(encoding="utf-8").split("# ---- made by")[0]
    path = tmp_path_factory.mktemp("anchors") / "anchors.toml"
    path.write_text(hand + maker.generate(TEMPLATE), encoding="utf-8")
    return load_anchors(path)


@pytest.fixture(scope="session")
def shipped() -> Anchors:
    return load_anchors(RUBRIC / "anchors.toml")


def code(source="", *outputs, **more) -> dict:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": list(outputs), "execution_count": None, **more}


def md(source) -> dict:
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def stream(text) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def pack(*cells, **more) -> bytes:
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}).encode()


def template_cells(maker) -> list[dict]:
    markdown, sources = maker.split(TEMPLATE)
    by_section = {section: [line for place, line in markdown if place == section] for section in range(7)}
    cells = [md("\n".join(by_section[0]))]
    for section in range(1, 7):
        cells.append(md("\n".join(by_section[section])))
        cells += [code(source) for source in sources[section - 1 : section]]
    return cells


# ------------------------------------------------------------------ bytes that are no notebook


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "The file is empty (0 bytes)"),
        (b" \n\0\0", "The file is empty (4 bytes)"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\x89PNG\r\n", "a PNG image"),
        (b"<!DOCTYPE html><html><body>Sign in</body>", "a web page (HTML)"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"import keras\nmodel = keras.Sequential()\n", "a Python script"),
        (b"print 'old'\nimport keras\n", "a Python script"),
        (b"# In[1]:\n\nx = !ls\n", "a Python script"),
        (b"just some words, no more", "other text, which begins with 'just some words, no more'"),
        (b"\x1f\x8b\x08", "a gzip archive (perhaps .tar.gz). Unpack it and submit the notebook (.ipynb) that is in it."),
        (b"hw.ipynb".ljust(257, b"\0") + b"ustar\x0000", "a tar archive. Unpack it"),
        (b"Rar!\x1a\x07", "a RAR archive. Unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive. Unpack it"),
        (b"[1, 2]", "holds a list"),
        (b"3", "holds a number"),
        (b"null", "holds null"),
        (b'{"a": 1, "b": 2}', "without one (its keys: a, b)"),
        (b'{"paragraphs": []}', "looks like a Zeppelin notebook"),
        (b'{"cells": 3}', "`cells` is not a list"),
        (b'{"cells": [], "cells": [', "cut off"),
        (b'{"cells": [{"source": "abc', "cut off: it begins as a notebook and ends in the middle of it, after 26 characters, in line 1"),
        (b'{\n "cells": [1 2]\n}', "line 2, column 14"),
        (
            b'{"cells": []} trailing',
            "at line 1, column 15, the notebook ends and more text follows. Correct this place in a text editor, or undo",
        ),
        (b'{"cells": [], }', "at line 1, column 15, there is one comma too many, before '}'. Correct"),
        (b'{"cells": [1,\n]}', "there is one comma too many, before ']'. Correct"),
        (b'{"cells": [], nbformat: 4}', "a name in double quotes was expected, and 'nbformat: 4}' was found."),
        (b"{'cells': []}", """a name in double quotes was expected, and "'cells': []}" was found."""),
        (b'{"cells" []}', "column 10, a colon is missing after a name."),
        (b'{"cells": [] "a": 1}', "a comma or a closing bracket is missing."),
        (b'{"cells": [}, "a": 1}', "a value was expected, and '}, \"a\": 1}' was found."),
        (b'{"cells": ["a\nb"]}', "a text in quotes has a line end or tab in it"),
        (b'{"cells": ["\\d"]}', "a backslash in a text has to be doubled"),
        (
            b'{"cells": [1],\n"a": "b}\n"c": 1 }',
            "a text in quotes has a line end or tab in it (written \\n or \\t there), or its closing quote is missing.",
        ),
        (b'{\n<<<<<<< HEAD\n "cells": []\n=======\n "cells": []\n>>>>>>> x\n}', "merge-conflict markers (first at line 2)"),
        (b'{"cells": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nests brackets deeper"),
        (b"\xff\xfe\x00\xd8", "does not decode"),
    ],
)
def test_says_what_a_file_is_that_is_no_notebook(data, words, anchors):
    with pytest.raises(NotGradable) as caught:
        read(data, anchors)
    assert words in str(caught.value)


def test_a_huge_number_is_no_reason_to_stop(anchors):
    data = pack(code("x = 1")).replace(b'"execution_count": null', b'"execution_count": ' + b"9" * 10_000)
    assert read(data, anchors).cells[0].execution_count is None


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_notebook_or_a_sentence(data):
    try:
        assert isinstance(read(data, EMPTY), Notebook)
    except NotGradable:
        return


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["source", "cell_type", "outputs", "input", "data", "text", "text/plain", "traceback", "output_type", "metadata", "level"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(cells=st.lists(JSON, max_size=4), metadata=JSON, version=st.sampled_from([None, 1, 2, 3, 4, 5, "4", -1]))
@settings(max_examples=300, deadline=None)
def test_any_json_in_a_notebooks_place_is_read(cells, metadata, version):
    for body in ({"cells": cells}, {"worksheets": [{"cells": cells}]}, {"worksheets": cells}):
        try:
            notebook = read(json.dumps({"nbformat": version, "metadata": metadata, **body}).encode(), EMPTY)
        except NotGradable:
            continue
        recognise(notebook, EMPTY)


EMPTY = Anchors(marker="FILL", keywords={}, questions=(), markdown_lines=frozenset(), code_lines=frozenset(), unfilled_cells=frozenset())

# ------------------------------------------------------------------ leniency, and saying so


def test_a_sound_notebook_needs_no_repair(anchors):
    notebook = read(pack(md("# T"), code("x = 1", stream("1\n"), execution_count=3)), anchors)
    assert notebook.repairs == ()
    assert [(cell.index, cell.kind, cell.source, cell.execution_count) for cell in notebook.cells] == [
        (0, "markdown", "# T", None),
        (1, "code", "x = 1", 3),
    ]
    assert (notebook.language, notebook.nbformat) == ("python", "4.5")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"\xef\xbb\xbf" + data, "byte order mark"),
        (lambda data: data.decode().encode("utf-16"), "UTF-16"),
        (lambda data: data.decode().encode("utf-16-le"), "UTF-16"),
        (lambda data: data.decode().encode("utf-32"), "UTF-32"),
        (lambda data: data + b"\0\0\0\x1a", "Stray bytes"),
        (lambda data: data.replace(b"x = 1", b"x = '\xe9'"), "not valid UTF-8 (near byte"),
        (lambda data: data.replace(b'"nbformat": 4', b'"nbformat": 9'), "format version 9 is unknown"),
        (lambda data: data.replace(b'"nbformat": 4, ', b""), "does not state its format version"),
        (lambda data: data.replace(b'"nbformat": 4, ', b'"nbformat": 3, '), "says format version 3 but is built like version 4"),
        (lambda data: data.replace(b', "outputs": []', b""), "its outputs were missing"),
        (lambda data: data.replace(b'"source": "x = 1", ', b""), "its source was missing"),
        (lambda data: data.replace(b'"x = 1"', b'["x = 1", "y = 2"]'), "stored without line ends"),
        (lambda data: data.replace(b'"x = 1"', b'["x = 1\\n", 7]'), "parts of its source were not text"),
        (lambda data: data.replace(b'"cell_type": "code", ', b""), "read as code, as it has outputs"),
        (lambda data: data.replace(b'"cells": [', b'"cells": [17, '), "was not an object"),
    ],
)
def test_every_repair_is_a_sentence(change, words, anchors):
    notebook = read(change(pack(code("x = 1"))), anchors)
    assert len(notebook.code) == 1
    assert any(words in repair and repair.endswith(".") for repair in notebook.repairs), notebook.repairs


def test_source_may_be_a_list_a_string_or_have_windows_line_ends(anchors):
    notebook = read(pack(code(["a = 1\n", "b = 2"]), code("a = 1\r\nb = 2")), anchors)
    assert {cell.source for cell in notebook.cells} == {"a = 1\nb = 2"}
    assert notebook.repairs == ()


def test_colab_fields_top_level_ids_and_widgets_are_no_trouble(anchors):
    widgets = {"application/vnd.jupyter.widget-state+json": {"abc": {}}}
    cell = code("x = 1", id="abc", metadata={"id": "abc", "colab": {"base_uri": "x"}, "cellView": "form"})
    notebook = read(
        pack(cell, nbformat_minor=0, metadata={"colab": {"name": "x"}, "widgets": widgets, "kernelspec": {"name": "python3"}}), anchors
    )
    assert notebook.repairs == ()
    assert notebook.nbformat == "4.0"


def test_no_cells_and_no_code_are_notebooks(anchors):
    assert read(pack(), anchors).cells == ()
    assert read(pack(md("words")), anchors).code == ()


def test_lone_surrogates_do_not_survive(anchors):
    notebook = read(pack(code("x = '\ud800'", stream("\udfff"))), anchors)
    assert json.dumps(notebook.cells[0].source, ensure_ascii=False).encode()
    assert notebook.cells[0].outputs[0].text == "\ufffd"


def test_old_notebooks_are_converted(anchors):
    cells = [
        {"cell_type": "heading", "level": 2, "source": "5. Dropout"},
        {"cell_type": "markdown", "source": ["a\n", "b"]},
        {
            "cell_type": "code",
            "input": ["x = 1\n", "x"],
            "prompt_number": 1,
            "outputs": [
                {"output_type": "pyout", "text": ["1"], "png": "QUJD"},
                {"output_type": "stream", "stream": "stdout", "text": "out"},
                {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["boom"]},
            ],
        },
    ]
    notebook = read(
        json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}).encode(), anchors
    )
    assert [cell.kind for cell in notebook.cells] == ["markdown", "markdown", "code"]
    assert notebook.code[0].source == "x = 1\nx"
    assert [(output.kind, output.text) for output in notebook.code[0].outputs] == [("result", "1"), ("stream", "out"), ("error", "boom")]
    assert "image/png" in notebook.code[0].outputs[0].mime_types
    assert notebook.nbformat.startswith("3.")


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"kernelspec": {"name": "ir", "language": "R"}}, "r"),
        ({"kernelspec": {"name": "ir"}}, "r"),
        ({"kernelspec": {"name": "julia-1.9"}}, "julia"),
        ({"language_info": {"name": "julia"}}, "julia"),
        ({"kernelspec": {"name": "my-env", "display_name": "x"}}, "python"),
        ({"kernelspec": {"name": "conda-env-tf-py", "language": "python"}}, "python"),
        ({"kernelspec": {"name": "java"}, "language_info": {}}, "java"),
        ({"kernelspec": 3}, "python"),
        ({}, "python"),
        (None, "python"),
    ],
)
def test_language(metadata, language, anchors):
    assert read(pack(code("x"), metadata=metadata), anchors).language == language


R_CODE = ["library(keras)\nmodel <- keras_model_sequential() %>% layer_dense(10)", "summary(model)"]
PYTHON_CODE = ["%matplotlib inline\nfrom tensorflow import keras", "model = keras.Sequential()", "def broken(:"]


@pytest.mark.parametrize("name", ["r-tf", "go-learn", "rust-dl", "bash_env", "julia-course", "ir"])
@pytest.mark.parametrize(
    ("cells", "python"), [(PYTHON_CODE, True), (R_CODE, False), (["import Pkg", "function f(x)\n  x\nend", "f(2) |> println"], False)]
)
def test_code_is_believed_over_a_kernels_name(name, cells, python, anchors):
    for metadata in ({"kernelspec": {"name": name, "display_name": "x"}}, {"kernelspec": {"name": name}, "language_info": {}}):
        assert (read(pack(*map(code, cells), metadata=metadata), anchors).language == "python") is python
    assert read(pack(*map(code, cells), metadata={"kernelspec": {"name": name, "language": "R"}}), anchors).language == "r"


def test_too_many_cells_and_too_much_code_are_refused(anchors):
    with pytest.raises(NotGradable, match="At most 5000 cells"):
        read(pack(*[md("")] * 5001), anchors)
    with pytest.raises(NotGradable, match="MiB of code"):
        read(pack(*[code("x" * 4_400_000)] * 2), anchors)


# ------------------------------------------------------------------ stored outputs


def test_outputs_keep_text_and_only_name_images(anchors):
    display = {"output_type": "display_data", "data": {"image/png": "A" * 1000, "text/plain": ["<Figure ", "1>"]}, "metadata": {}}
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["\x1b[0;31mValueError\x1b[0m: no"]}
    bare = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    outputs = read(pack(code("x", stream(["a\n", "b"]), display, error, bare)), anchors).cells[0].outputs
    assert [(output.kind, output.text) for output in outputs] == [
        ("stream", "a\nb"),
        ("display", "<Figure 1>"),
        ("error", "ValueError: no"),
        ("error", "ValueError: no"),
    ]
    assert outputs[1].mime_types == ("image/png", "text/plain")


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("\x1b[1mbold\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07", "bold link"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("long line\rshort", "shortline"),
        ("abc\x08\x08XY", "aXY"),
        ("\x08\x08\x08a", "a"),
        ("1/2\x08\x08\x08\r2/2 done\r\nnext", "2/2 done\nnext"),
        ("\r 9/10 [=>] - ETA: 10s - loss: 1.25\r10/10 [==] - 1s - loss: 1.0\n", "10/10 [==] - 1s - loss: 1.0\n"),
        ("plain", "plain"),
        ("\x1b[", ""),
    ],
)
def test_text_is_what_a_reader_saw(raw, seen):
    assert terminal(raw) == seen


def test_long_text_keeps_head_and_tail():
    text = terminal("H" + "x" * 3 * MAX_KEPT + "T")
    assert len(text) < MAX_KEPT + 100
    assert text.startswith("H")
    assert text.endswith("T")
    assert "characters left out" in text


def test_a_large_file_is_cut_down_before_it_is_parsed(anchors):
    figure = {"output_type": "display_data", "data": {"image/png": "A" * 6_000_000, "text/plain": "<Figure \u2501>"}, "metadata": {}}
    data = json.dumps(
        {
            "nbformat": 4,
            "metadata": {},
            "cells": [md("# \u2501"), code('print("[{")', figure, stream(["a\n", 'b "q" [ \\\n']), execution_count=7)],
        },
        ensure_ascii=False,
    ).encode()
    notebook = read(data + b" " * 4_000_000 + b"\n", anchors)
    small = read(
        pack(md("# \u2501"), code('print("[{")', figure, stream(["a\n", 'b "q" [ \\\n']), execution_count=7), nbformat_minor=0), anchors
    )
    big = read(data.replace(b"A" * 6_000_000, b"A" * 10_000_000), anchors)
    assert notebook.cells == small.cells == big.cells
    assert big.repairs == ("The file has 10 MiB; of its stored outputs only text was read.",)


def test_a_large_file_of_brackets_is_refused_early(anchors, monkeypatch):
    monkeypatch.setattr(document_module, "LARGE", 1000)
    walk = document_module._Walk
    monkeypatch.setattr(document_module, "_Walk", lambda data: walk(data, tokens=1000))
    with pytest.raises(NotGradable, match="values"):
        read(b'{"nbformat":4,"cells":[' + b"[]," * 5000 + b"[]]}", anchors)


@pytest.mark.parametrize("cut", [100, 4000, 11_999_000])
def test_a_large_file_that_is_cut_off_is_said_to_be(anchors, cut):
    data = pack(code("x", stream("y" * 12_000_000)))[: 12_000_000 - cut]
    with pytest.raises(NotGradable, match="cut off"):
        read(data, anchors)


# ------------------------------------------------------------------ sections


def sections(anchors, *sources) -> list[int]:
    return [cell.section for cell in read(pack(*(md(source) for source in sources)), anchors).cells]


def test_the_exercises_own_headings(anchors, maker):
    cells = read(pack(*template_cells(maker)), anchors).cells
    assert [cell.section for cell in cells] == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["# CNN with augmentation on CIFAR", "5 - Dropout", "## 5 - Dropout"], [0, 0, 5]),
        (["# Title", "# Dropout", "# Data augmentation"], [0, 5, 6]),
        (["# Titel", "## Modell", "## Daten laden", "## Auswertung der Lernkurven", "## Datenaugmentierung"], [0, 1, 2, 4, 6]),
        (["# Título", "## Carga de datos", "## Entrenamiento", "## Regularización con dropout", "## Aumento de datos"], [0, 2, 3, 5, 6]),
        (["# Título", "## Dados", "## Treinamento do modelo", "## Análise das curvas", "## Aumento de dados"], [0, 2, 3, 4, 6]),
        (["# Titre", "## Réseau", "## Entraînement", "## Courbes", "## Augmentation de données"], [0, 1, 3, 4, 6]),
        (["# Titolo", "## Caricamento dei dati", "## Addestramento", "## Regolarizzazione"], [0, 2, 3, 5]),
        (["# 标题", "## 加载数据", "## 训练模型", "## 训练曲线", "## 数据增强"], [0, 2, 3, 4, 6]),
        (["# Титул", "## Загрузка данных", "## Обучение модели", "## Графики", "## Аугментация данных"], [0, 2, 3, 4, 6]),
        (["# T", "# 5. Dropout", "### 1. first try", "### Training the model", "## Curves"], [0, 5, 5, 5, 5]),  # its own sub-steps
        (["# T", "# 6. Data Augmentation", "# 5. Dropout", "# 3. Training the model"], [0, 6, 5, 3]),  # clear words go back
        (["# T", "# Dropout", "## 2"], [0, 5, 5]),
        (["# T", "## 1. Load data", "## 2. Build the model", "## 3. Training", "## 5. Whatever"], [0, 2, 1, 3, 3]),  # numbers of its own
        (["# T", "## 4. Whatever", "## 2. Whatever"], [0, 4, 4]),
        (["# T", "## 10 epochs", "## 3D stuff"], [0, 0, 0]),
        (["# T", "Dropout\n=======", "<h2>Data Augmentation</h2>"], [0, 5, 6]),
        (["# T", "**Dropout**", "text **Data augmentation** text"], [0, 5, 5]),
        (["# T", "```\n# Dropout\n```", "words on dropout"], [0, 0, 0]),
        (["# T", "## Dropout and data augmentation"], [0, 0]),
        (["# T", "# Ejercicio 5: algo", "# Part 6"], [0, 5, 6]),
    ],
)
def test_headings_of_all_kinds(anchors, sources, expected):
    assert sections(anchors, *sources) == expected


def test_a_heading_in_a_code_comment_does_not_count(anchors):
    notebook = read(pack(md("# T"), code("# 5. Adding Dropout\nx = 1"), code("## Data Augmentation")), anchors)
    assert {cell.section for cell in notebook.cells} == {0}


# ------------------------------------------------------------------ unfilled cells


def test_the_untouched_template_is_unfilled_where_there_is_something_to_fill(anchors, maker):
    notebook = read(pack(*template_cells(maker)), anchors)
    assert [cell.unfilled for cell in notebook.code] == [True, True, True, False, True]
    facts = recognise(notebook, anchors)
    assert (facts.code_cells, facts.template_score) == (5, 1.0)
    assert notebook.answers == ()


@pytest.mark.parametrize(
    ("source", "unfilled"),
    [
        ("from tensorflow import keras\nmodel = None\nmodel.summary()", True),  # the markers deleted, nothing written
        ("%%time\nfrom tensorflow  import keras\nmodel=None\n# mine\n\nmodel.summary()", True),
        ("model.summary()", False),  # a cell of its own: people split cells
        ("history = model.fit(x, y, epochs=30)", False),
        ("# YOUR IMPLEMENTATION HERE (START)\n# your implementation here (end)", True),
        ("# YOUR IMPLEMENTATION HERE\nmodel = build()", False),
        ("# YOUR IMPLEMENTATION HERE\nmodel = None  # still", True),
        ("# YOUR IMPLEMENTATION HERE\n'''model = build()'''", False),
        ("", False),
    ],
)
def test_unfilled(source, unfilled, anchors):
    assert read(pack(code(source)), anchors).cells[0].unfilled is unfilled


# ------------------------------------------------------------------ answers


def answers(anchors, *cells) -> list[tuple[int, str, str]]:
    return [(answer.section, answer.question.split(":")[0], answer.text) for answer in read(pack(*cells), anchors).answers]


def test_text_under_a_question_is_its_answer(anchors):
    source = "#4. Looking at curves\n* Does this line of ours rise for ever?\n\n  **No**, it stops.\n  And falls.\n* And that one too, if one waits?\n* Which of both is it?\nThe *other*."
    assert answers(anchors, md("# T"), md(source)) == [(4, "curves-1", "**No**, it stops.\n  And falls."), (4, "curves-3", "The *other*.")]


def test_an_answer_may_follow_on_the_same_line(anchors):
    assert answers(anchors, md("- **Does this line of ours rise for ever?** Yes *it* does")) == [(4, "curves-1", "Yes *it* does")]


def test_a_question_with_changed_words_is_still_recognised(anchors):
    assert answers(anchors, md("* Does this line of ours rise? yes, and so on and on")) == [
        (4, "curves-1", "* Does this line of ours rise? yes, and so on and on")
    ]


def test_free_text_belongs_to_its_section(anchors):
    cells = [
        md("# T"),
        md("## 5. Dropout"),
        code("x = 1"),
        md("It got *worse*.\n\n### My runs\n0.2 was best"),
        {"cell_type": "raw", "source": "raw words", "metadata": {}},
    ]
    assert answers(anchors, *cells) == [(5, "", "It got *worse*.\n\n### My runs\n0.2 was best"), (5, "", "raw words")]


def test_text_elsewhere_is_no_answer(anchors):
    assert answers(anchors, md("# T"), md("## 1. Network\nI like networks"), md("## 2. Data\nand data")) == []


def test_template_text_lines_without_words_and_headings_are_no_answers(anchors):
    assert (
        answers(anchors, md("# T"), md("# 6. Data Augmentation\nAnswer:\n* Question six two asks why?\n\n---\n"), md("### Results")) == []
    )


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("# it overfits a little\n# x = model.add(Dropout(0.5))", "it overfits a little"),
        ('"""It overfits\na little."""', "It overfits\na little."),
        ("The model overfits, because dropout was never used in it", "The model overfits, because dropout was never used in it"),
    ],
)
def test_prose_in_a_code_cell_counts(source, text, anchors):
    assert answers(anchors, md("# T"), md("# 5. Dropout"), code(source)) == [(5, "", text)]


@pytest.mark.parametrize(
    "source", ["x = 1  # a long comment on this", "# YOUR IMPLEMENTATION HERE", "print 'a b c d e f g h'", "# model.fit(x,\n# y)", ""]
)
def test_code_is_no_answer(source, anchors):
    assert answers(anchors, md("# T"), md("# 5. Dropout"), code(source)) == []


# ------------------------------------------------------------------ recognising


def facts(anchors, *sources, markdown=""):
    return recognise(read(pack(md(markdown), *(code(source) for source in sources)), anchors), anchors)


@pytest.mark.parametrize(
    "source",
    [
        "import keras",
        "from keras.layers import Dense",
        "from tensorflow import keras",
        "import tensorflow as tf\ntf.keras.Sequential()",
        "import tensorflow.keras.layers as L",
        "import tf_keras",
        "%%time\nimport keras",
        "!pip install x\nimport keras\nprint 'x'",
        " import keras",
    ],
)
def test_keras_is_recognised(source, anchors):
    assert facts(anchors, source).imports_keras


@pytest.mark.parametrize(
    "source",
    ["# import keras", "'''import keras'''", "print('import keras')", "%%bash\nimport keras", "!pip install keras", "import torch"],
)
def test_keras_outside_code_is_not(source, anchors):
    assert not facts(anchors, source, markdown="import keras").imports_keras


@pytest.mark.parametrize(
    "source",
    [
        "keras.datasets.cifar10.load_data()",
        "from keras.datasets import cifar10",
        "import tensorflow_datasets as tfds\ntfds.load('cifar10')",
        "path = 'cifar-10-batches-py/'",
        "torchvision.datasets.CIFAR10()",
        "load_cifar_10()",
        "np.load('drive/cifar/x_train.npy')",
        "load_cifar()",
        "root = '/content/gdrive/My Drive/cifar/'",
        "np.load(f'{root}/My Drive/cifar-10/x_train.npy')",
        "open('C:\\\\My Files\\\\cifar10\\\\data.npy')",
        "cifar10.load_data(\nprint 3",
    ],
)
def test_cifar10_is_recognised(source, anchors):
    assert facts(anchors, source).mentions_cifar10


@pytest.mark.parametrize(
    "source",
    [
        "# cifar10",
        "x = 'the cifar10/cifar100 data sets'",
        "print('cifar10')",
        "'''cifar10'''",
        "plt.title('CIFAR-10')",
        "cifar100.load_data()",
        "load_cifar_100()",
        "x = 'the cifar10 data set'",
    ],
)
def test_cifar10_outside_code_is_not(source, anchors):
    assert not facts(anchors, source, markdown="cifar10").mentions_cifar10


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("keras.datasets.mnist.load_data()", ("mnist",)),
        ("from keras.datasets import fashion_mnist", ("fashion_mnist",)),
        ("keras.datasets.cifar100.load_data()", ("cifar100",)),
        ("tfds.load('tf_flowers')", ("flowers",)),
        ("pd.read_csv('x.csv')", ("csv file",)),
        ("from sklearn.datasets import load_iris", ("iris",)),
        ("ds = keras.utils.image_dataset_from_directory('d')", ("image folder",)),
        ("keras.datasets.cifar10.load_data()  # mnist", ()),
        ("miriam = 1; digits = 2", ()),
    ],
)
def test_other_data_sets(source, names, anchors):
    assert facts(anchors, source).other_datasets == names


def test_another_framework(anchors):
    assert facts(anchors, "import torch.nn as nn").imports_torch


def test_cells_that_do_not_parse_are_counted(anchors):
    found = facts(
        anchors,
        "x = 1",
        "x = (",
        "%matplotlib inline\n!ls\nx = !pwd\n?x\nx?\npip install y",
        "%%bash\nfor x in",
        "",
        " a = 1\n b = 2",
        "if True:\n    !ls \\\n  -l\n",
    )
    assert found.code_cells == 6


@pytest.mark.parametrize(
    "source",
    [
        "-" * 50_000 + "1",
        "(" * 50_000,
        "a" + ".b" * 50_000,
        "x\0y",
        " " * 200_000 + "x",
        '"""\\' * 50_000,
        "\t " * 100_000,
        "#" * 200_000,
        "ab " * 90_000,
    ],
)
def test_hostile_code_is_read_in_time(source, anchors):
    notebook = read(pack(md("# T"), md("# 5. Dropout"), code(source)), anchors)
    recognise(notebook, anchors)


@given(st.text(alphabet="'\"\\#%!\n ab=(", max_size=60))
@settings(max_examples=300, deadline=None)
def test_the_code_helpers_never_raise(source):
    parse(source)
    python_of(source)
    without_comments(source)


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("x = '#no' # yes", "x = '#no' "),
        ("'''a\n# in'''\n# out", "'''a\n# in'''\n"),
        ("'open # in\n# out", "'open # in\n"),
        ('"""# in', '"""# in'),
    ],
)
def test_comments_are_told_from_strings(source, left):
    assert without_comments(source) == left


# ------------------------------------------------------------------ the anchors file


def test_the_shipped_anchors(shipped):
    assert {question.section for question in shipped.questions} == {4, 5, 6}
    assert [question.id for question in shipped.questions if question.section == 5] == [f"dropout-{n}" for n in range(1, 6)]
    assert set(shipped.keywords) == set(range(1, 7))
    assert len(shipped.markdown_lines) > 30
    assert len(shipped.unfilled_cells) == 5


def test_the_shipped_anchors_hold_no_sentences(shipped):
    assert all(
        len(mark) == 16 and int(mark, 16) >= 0
        for marks in (shipped.markdown_lines, shipped.code_lines, shipped.unfilled_cells)
        for mark in marks
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = ", "anchors.toml"),
        ("marker = 3\n[template]\n[headings]", "marker: Input should be a valid string"),
        ('marker = "m"\n[headings]', "template: Field required"),
        (
            'marker = "m"\n[template]\nmarkdown_lines = [1]\ncode_lines = []\nunfilled_cells = []\n[headings]\n[[question]]\n',
            "template.markdown_lines.0",
        ),
    ],
)
def test_a_faulty_anchors_file_is_named(text, words, tmp_path):
    path = tmp_path / "anchors.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_anchors(path)
    assert words in str(caught.value)
    assert "anchors.toml" in str(caught.value)


def test_a_missing_anchors_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="could not be read"):
        load_anchors(tmp_path / "none.toml")


def test_the_maker_counts_the_questions(maker):
    with pytest.raises(ValueError, match="section 4: 3 questions were expected, 2 were found"):
        maker.generate(TEMPLATE.replace("* Which of both is it?\n", ""))


def test_an_unfilled_cell_that_stands_again_undoes_nothing():
    template = "model = None\n# FILL\nmodel.summary()"
    sources = ["model = 1", template, "# FILL\nhistory = None", "history = 2", "# FILL\nhistory = model = None", "model = None"]
    cells = tuple(Cell(index=index, kind="code", source=source, unfilled="FILL" in source) for index, source in enumerate(sources))
    kept, copies = without_copies(Notebook(cells=cells))
    assert copies == (1, 4)
    assert [cell.source for cell in kept.cells] == [
        *sources[:1],
        "pass\n# FILL\nmodel.summary()",
        *sources[2:4],
        "# FILL\npass",
        "model = None",  # the student's own doing
    ]
