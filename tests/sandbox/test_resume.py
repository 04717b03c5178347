"""A line that fails costs what depends on it: what of a cell and of a function still runs, told by what it writes into `ran`."""

import ast
import types

import pytest
from harness import grade_notebook, small_store, statuses

from grader.sandbox.inside.resume import Resume


class Context:
    cell, busy, absent = 0, 0, None

    def __init__(self):
        self.namespace = {"ran": [], "maths": types.ModuleType("maths"), "__builtins__": __builtins__}

    def ours(self, _doing):
        import contextlib

        return contextlib.nullcontext()


def run(*cells, **given):
    """Run cells as the shell does: what `ran` holds, and what is told of each failing line as (cell, line, type)."""
    context = Context()
    context.namespace |= given
    resume, told = Resume(context), []
    number = 0
    for context.cell, cell in enumerate(cells):
        resume.begin()
        source = cell
        while source is not None:
            number += 1
            resume.running(number)
            try:
                code = compile(resume.visit(ast.parse(source)), f"<ipython-input-{number}-x>", "exec")
                exec(code, context.namespace)
                break
            except Exception as error:
                resume.failed(error)
                source = resume.rest(error, source)
        told += [
            (context.cell if each["cell"] is None else each["cell"], each["line"], each["statement"], each["type"])
            for each in resume.failures
        ]
    return context.namespace["ran"], told


NETWORK = "class Net:\n    def __init__(self): self.layers = []\n    def add(self, layer): self.layers.append(layer)\n    def summary(self): return 1\n"


@pytest.mark.parametrize(
    ("source", "ran"),
    [
        ("1 / 0\nran.append(1)", [1]),
        ("@nothing\nclass Block: pass\nran.append(1)\nran.append(Block)\nran.append(2)", [1]),
        ("ran.append(1)\n@maths.nothing\ndef block(): pass\nnet = block()\nran.append(2)", [1, 2]),
        ("a = b\nran.append(1)\nran.append(a)\nran.append(2)", [1]),  # what appends what is not there leaves the list half-made
        ("a = b\na = 3\nran.append(a)", [3]),
        ("a = b\nc = a + 1\nd = 1\nran.append(d)", [1]),
        ("a = b; ran.append(1)", [1]),
        ("maths.nothing(ran); ran.append(1)", [1]),
        ("print(ran.nothing())\nran.append(1)", [1]),
        ("ran.nothing()\nran.append(1)", []),  # what it would have done to the list is not known
        ("def f():\n    return a\na = b\nf()\nran.append(1)", [1]),
        ("def f():\n    ran.append(a)\na = b\nf()\nran.append(1)", [1]),
        ("ran.append(1); a = b; ran.append(2)", [1, 2]),
        ("a = (1,\n     b); ran.append(2)", [2]),
        ("assert not ran, 'x'\nassert ran\nran.append(1)", [1]),
        ("if True:\n    raise SystemError('no GPU')\nran.append(1)", [1]),
        ("for i in range(3):\n    print(i.name)\n    ran.append(i)", [0, 1, 2]),
        ("for i in range(3):\n    a = i.name\n    ran.append(i)", []),
        (NETWORK + "net = Net()\nnet.add(1)\nnet.add(nothing)\nnet.add(3)\nprint(net)\nran.append(1)", [1]),
        ("from os import path, nothing\nran.append(1)\nran.append(nothing)", [1]),
        ("import maths.nothing\nran.append(1)", [1]),
        ("x = '''\n'''; y = é\nran.append(x)", ["\n"]),
    ],
)
def test_what_of_a_cell_goes_on(source, ran):
    assert run(source)[0] == ran


BUILDER = NETWORK + "def build():\n    net = Net()\n    {}\n    return net\nran.append(build())"


@pytest.mark.parametrize(
    ("line", "returns"),
    [
        ("print(net.dtype.name)", True),
        ("net.summary(1)", True),
        ("undefined", True),
        ("1 / 0", True),
        ("assert net.layers", True),
        ("size = net.size()\n    print(size, 'weights')", True),
        ("for layer in [1]:\n        print(layer.name)", True),
        ("if True: print(net.nothing)", True),
        ("net.load_weights('x.h5')", True),
        ("with open('nothing.txt') as file: text = file.read()", True),
        ("for layer in net.nothing: print(layer)", True),
        ("if net.nothing: print(net)", True),
        ("if not maths.gpus(): raise SystemError", True),
        ("if not net.layers: raise SystemError", False),
        ("for layer in net.nothing: net.add(layer)", False),
        ("if net.nothing: return None", False),
        ("net.add(nothing)", False),
        ("net.compile(nothing)", False),
        ("net = net.nothing", False),
        ("extend(net)", False),
        ("size = net.size(); net = net if size else None", False),
        ("raise ValueError", False),
    ],
)
def test_what_of_a_function_goes_on(line, returns):
    ran, told = run("def extend(net):\n    net.add(nothing)\n", BUILDER.format(line))
    assert bool(ran) == returns
    assert len(told) >= 1
    assert told[0][:2] == (1 if line != "extend(net)" else 0, 7 if line.count("\n") == 0 or "size" in line else 8) or line == "extend(net)"


def test_a_try_of_the_students_own_sees_every_error():
    assert run("def f():\n    print(nothing)\n    return 1\ntry:\n    ran.append(f())\nexcept NameError:\n    ran.append('seen')") == (
        ["seen"],
        [],
    )
    assert run("import contextlib\nwith contextlib.suppress(NameError):\n    print(nothing)\n    ran.append(1)\nran.append(2)") == ([2], [])
    source = (
        "def f():\n    print(nothing)\n    return 1\n",
        "def g():\n    try:\n        return f()\n    except NameError:\n        return 2\nran.append(g())",
    )
    assert run(*source) == ([2], [])


def test_a_loop_that_waits_for_its_error_gets_it():
    assert run("def f(parts):\n    while True:\n        print(next(parts))\nf(iter([1]))")[1] == [(0, 3, 4, "StopIteration")]
    ran, told = run("def f(parts):\n    i = 0\n    while True:\n        print(parts[i])\n        i += 1\nf([1])\nran.append(1)")
    assert (ran, [each[3] for each in told]) == ([1], ["IndexError"])


def test_a_line_is_told_with_the_cell_it_stands_in():
    ran, told = run("def show():\n    print(nothing)\n\ndef fails():\n    return nothing", "x = 1\nshow()\nfails()\nran.append(x)")
    assert ran == [1]
    assert told == [(0, 2, 2, "NameError"), (0, 5, 3, "NameError")]


class Batches:
    """Like Keras' old generators of images: runs over its images again and again."""

    total_batches_seen = 0

    def __len__(self):
        return 3

    def __iter__(self):
        return self

    def __next__(self):
        self.total_batches_seen += 1
        return self.total_batches_seen, 0


@pytest.mark.parametrize(
    ("loop", "wanted"),
    [
        ("for x, y in parts:\n    ran.append(x)", ([1, 2, 3], "the loop in line 1 (for x, y in parts), which has no break, never ends")),
        ("for x, y in parts:\n    if x == 5: break\nran.append(x)", ([5], None)),
        ("def f():\n    for x, y in parts:\n        if x == 5: return x\nran.append(f())", ([5], None)),
        ("ran.append([next(parts)[0] for _ in range(5)])", ([[1, 2, 3, 4, 5]], None)),
        ("def f():\n    for x, y in parts:\n        pass\nf()\nran.append(1)", ([1], "the loop in line 2 (for x, y in parts)")),
    ],
)
def test_a_loop_over_images_without_end_is_named(monkeypatch, loop, wanted):
    module = types.SimpleNamespace(Iterator=type("Iterator", (Batches,), {}))
    monkeypatch.setattr(Resume, "__init__", minding(Resume.__init__, module))
    ran, told = run(loop, parts=module.Iterator())
    assert ran == wanted[0]
    assert [each[3] for each in told] == (["EndlessLoop"] if wanted[1] else [])
    assert wanted[1] is None or wanted[1] in RAISED[-1]


RAISED = []


def minding(begin, module):
    def init(self, context):
        begin(self, context)
        self.mind(module)
        failed = self.failed
        self.failed = lambda error, *rest: (RAISED.append(str(error)), failed(error, *rest))

    return init


def test_a_cell_that_ran_out_of_time_names_its_loop():
    context = Context()
    resume = Resume(context)
    resume.running(1)
    source = "def forever():\n    while True:\n        if late(): raise KeyboardInterrupt\nfor part in forever_more():\n    forever()\n"
    code = compile(resume.visit(ast.parse(source)), "<ipython-input-1-x>", "exec")
    with pytest.raises(KeyboardInterrupt) as raised:
        exec(code, {"late": lambda: True, "forever_more": lambda: iter([1])})
    assert resume.slow(raised.value) == " in the loop in line 4 (for part in forever_more()), which has no break"


@pytest.mark.slow
def test_networks_outlive_the_lines_beside_them():
    """In the box: a class that holds its network, a function that trains, a builder called in a later cell; each with lines that fail."""
    network = (
        "keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(96, 3, strides=2, padding='same', activation='relu'),"
        " layers.Conv2D(10, 1), layers.GlobalAveragePooling2D(), layers.Dense(10, activation='softmax')])"
    )
    compiled = "compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])"
    sources = (
        "import keras, matplotlib.pyplot as plt\nfrom keras import layers\n(x, y), (xt, yt) = keras.datasets.cifar10.load_data()\nx, xt = x / 255, xt / 255",
        (
            f"class Experiment:\n    def __init__(self):\n        self.model = {network}\n        print(self.model.nothing())\n        self.model.{compiled}\n"
            "    def run(self):\n        self.history = self.model.fit(x, y, validation_data=(xt, yt), epochs=3)\n        plt.plot(self.history.history['acuracy'])\n"
            "        return self.history\nhistory = Experiment().run()"
        ),
        "plt.plot(history.history['accuracy'])\nplt.plot(history.history['val_accuracy'])",
        f"def build():\n    model = {network}\n    model.summary(nothing=1)\n    return model",
        "other = build()\nother.missing_method()\nother.fit(x, y)",
    )
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in sources]
    report = grade_notebook({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}, store=small_store())
    found = statuses(report)
    assert {found[name] for name in ("model.built", "model.head", "train.loss", "train.protocol", "curves.plotted", "data.normalized")} == {
        "pass"
    }
    told = [[(error.type, error.cell, error.line) for error in (cell.error, *cell.more) if error] for cell in report.cells]
    assert told == [
        [],
        [("AttributeError", None, 4), ("KeyError", None, 8)],
        [],
        [],
        [("TypeError", 3, 3), ("AttributeError", None, 2)],
    ]
