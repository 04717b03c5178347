"""What a student's exception says becomes one readable line; what is cut shows a sign."""

import pytest
from harness import grade_file
from test_endings import MODEL, write

from grader.sandbox.inside import context, frames
from grader.words import counted, cut, last_line, one_line

KERAS = (
    "Exception encountered when calling Conv2D.call().\n\n\x1b[1mNegative dimension size caused by subtracting 3 from 2\n for this op.\x1b[0m\n\n"
    "Arguments received by Conv2D.call():\n  • args=('<KerasTensor shape=(None, 2, 2, 96), dtype=float32>',)\n  • kwargs=<class 'inspect._empty'>"
)
GRAPH = (
    "Graph execution error:\n\nDetected at node compile_loss/Softmax defined at (most recent call last):\n"
    '  File "<cell 3>", line 4, in <module>\n\n  File "/opt/venv/lib/python3.11/site-packages/keras/src/trainers/trainer.py", line 399, in fit\n\n'
    "logits and labels must have the same first dimension, got logits shape [2,10] and labels shape [20]\n"
    "\t [[{{node compile_loss/SparseSoftmax}}]] [Op:__inference_multi_step_on_iterator_366]"
)
OPERATION = (
    "{{function_node __wrapped____MklMatMul_device_/job:localhost/device:CPU:0}} Matrix size-incompatible: In[0]: [2,3] [Op:MatMul] name: "
)
ARRAY = "Invalid input [[[0. 0.]\n  [0. 1.]]" + "\n [0. 1.5e-3]" * 500 + "] with name 'x'. Expected shape (None, 4)"


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError


class Liar(str):
    __slots__ = ()

    def __len__(self):
        return 0


class Lying(Exception):
    def __str__(self):
        return Liar("y" * 5_000)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(KERAS), "Conv2D.call(): Negative dimension size caused by subtracting 3 from 2 for this op."),
        (
            ValueError(GRAPH),
            "Graph execution error: logits and labels must have the same first dimension, got logits shape [2,10] and labels shape [20]",
        ),
        (ValueError(OPERATION), "Matrix size-incompatible: In[0]: [2,3]"),
        (ValueError(ARRAY), "Invalid input […] with name 'x'. Expected shape (None, 4)"),
        (ValueError("shapes [2, 3] and\n\t[4, 5] differ"), "shapes [2, 3] and [4, 5] differ"),
        (KeyError("val_acc"), "'val_acc'"),
        (ValueError(), ""),
        (Unspeakable(), "(the error's own message could not be read)"),
        (ValueError("x" * 700), "x" * 599 + "…"),
        (Lying(), "y" * 599 + "…"),
        (ValueError("x" * 600), "x" * 600),
        (ValueError("[" * 100_000), "[…] … […]"),
    ],
)
def test_an_exception_is_one_readable_line(error, words):
    assert frames.readable(error) == words
    assert context.describe_error(error)["message"] == words


@pytest.mark.parametrize("text", ["", "a", "ab", "abcdef"])
def test_a_cut_shows(text):
    for same in (cut, frames.cut):
        assert same(text, 3) == (text if len(text) <= 3 else "ab…")
    assert one_line(f" {text}\n b ", 100) == " ".join([*text.split(), "b"])


def test_words():
    assert [counted(count, "criterion") for count in (0, 1, 2)] == ["0 criteria", "1 criterion", "2 criteria"]
    assert [counted(count, "point") for count in (1.0, 2.5, 1000.0)] == ["1 point", "2.5 points", "1,000 points"]
    assert [counted(count, "mark counts", "marks count") for count in (1, 1234)] == ["1 mark counts", "1,234 marks count"]
    assert last_line("a\nb\n\n") == "b"
    assert last_line("\n", "nothing") == "nothing"


@pytest.mark.slow
def test_an_error_of_keras_is_told_on_one_line(tmp_path):
    bad = "import keras, numpy\nm = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])\nm(numpy.zeros((2, 5, 5, 4, 2)))"
    (cell, *_) = grade_file(write(tmp_path / "a.ipynb", bad, MODEL)).report.cells
    assert cell.error.message.startswith("Sequential.call(): Invalid input shape for input […] with name")
    assert cell.error.message.endswith("Expected shape (None, 4, 4, 3), but input has incompatible shape (2, 5, 5, 4, 2)")
