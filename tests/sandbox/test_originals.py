"""What a claim rests on is compared by identity, hooks lead nowhere, and no report names a folder of this machine."""

import functools
import gc
import inspect
import json
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import pytest
from harness import ROOT, grade_file, grade_notebook, small_store, store

from grader.decode import FrameReader, without_places
from grader.errors import FrameError
from grader.sandbox.inside.frames import Writer
from grader.sandbox.inside.originals import _RESTS, Originals, hidden


class Notes:
    def __init__(self):
        self.told = []

    def note(self, kind, text):
        self.told.append((kind, text))


@pytest.fixture
def kept(monkeypatch):
    """A module of Keras' name, with a class, kept."""
    module = types.ModuleType("keras.src.sample")
    exec(
        "class Base:\n    def inherited(self): return 1\nclass Layer(Base):\n    def call(self, x): return x\ndef loss(): return 0\nKNOWN = {'relu': loss}",
        vars(module),
    )
    for kind in (module.Base, module.Layer):
        kind.__module__ = module.__name__
    notes = Notes()
    found = Originals(notes)
    found._known = set(sys.modules)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found.sweep()
    return found, module, notes


class Same:
    __hash__ = None

    def __eq__(self, _):
        return True

    def __call__(self):
        return 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: setattr(m, "loss", lambda: 1), "keras.src.sample.loss"),
        (lambda m: setattr(m.Layer, "call", lambda _, x: x), "keras.src.sample.Layer.call"),
        (lambda m: setattr(m.Layer, "call", Same()), "keras.src.sample.Layer.call"),
        (lambda m: setattr(m.Layer, "inherited", lambda _: 2), "keras.src.sample.Layer.inherited"),
        (lambda m: setattr(m.Layer, "__bases__", (type("Other", (m.Base,), {}),)), "keras.src.sample.Layer"),
        (lambda m: m.KNOWN.update(relu=abs), "keras.src.sample.KNOWN.relu"),
        (lambda m: delattr(m, "loss"), "keras.src.sample.loss"),
        (lambda m: setattr(m, "isinstance", lambda *_: True), "keras.src.sample.isinstance"),
    ],
)
def test_what_is_replaced_is_named_once(kept, change, named):
    found, module, notes = kept
    found.look()
    assert notes.told == []
    change(module)
    found.look()
    found.look()
    assert notes.told == [("replaced", f"replaces {named}")]


def test_names_that_were_not_there_replace_nothing(kept):
    found, module, notes = kept
    module.more, module.Layer.more, module.number, module.KNOWN["mine"] = abs, abs, 3, abs
    found.look()
    assert notes.told == []


def test_a_hidden_function_shows_what_it_stands_in_for_and_leads_nowhere():
    secret = object()

    def original(self, x, y=1):
        """Its words."""

    def hook(self, *given):
        return secret, self, given

    class Owner:
        method = hidden(hook, original)

    owner = Owner()
    assert owner.method([1], {}) == (secret, owner, ([1], {}))
    assert (Owner.method.__doc__, Owner.method.__name__) == ("Its words.", "original")
    assert str(inspect.signature(owner.method)) == "(x, y=1)"
    assert inspect.unwrap(Owner.method) is original
    assert not hasattr(Owner.method, "__closure__")
    assert not hasattr(Owner.method, "__globals__")
    assert isinstance(Owner.method, functools._lru_cache_wrapper)
    gc.collect()


def test_a_frame_with_another_number_is_refused():
    frames = []
    writer = Writer(0, 1000)
    writer._write = lambda _, data: frames.append(bytes(data)) or len(data)
    writer.send("note", {})
    assert [kind for kind, _ in FrameReader(first=1000).feed(frames[0])] == ["note"]
    with pytest.raises(FrameError, match="frame 0 is out of order"):
        list(FrameReader(first=7).feed(frames[0]))


def test_places_of_this_machine_are_taken_out_at_their_borders():
    shown = without_places(["/home/ada", "/srv/grader", "/usr"])
    assert shown("at /home/ada/x.py, /home/adam, '/srv/grader' and /usr/lib") == "at /…/x.py, /home/adam, '/…' and /usr/lib"


TELLING = """import inspect, os, sys, traceback, warnings, numpy
print(sys.prefix, sys.executable, sys.base_prefix, numpy.__file__, sys.path, sys.orig_argv, os.getcwd())
print(inspect.getsource(keras.Model.fit)[:99], keras.Model.fit.__code__.co_filename, getattr(x_train.base, "filename", None))
print(open("/proc/self/cmdline").read(), open("/proc/self/mountinfo").read())
class Told(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        traceback.print_stack()
model.fit(x_train, y_train, callbacks=[Told()])
try:
    model.fit(x_train, y_train[:7])
except Exception:
    traceback.print_exc()
warnings.warn("x")
raise ValueError(sys.prefix + " " + keras.__file__)"""


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_no_report_names_a_folder_of_this_machine(tier):
    cells = json.loads((ROOT / "tests" / "notebooks" / "hostile_read_source" / "submission.ipynb").read_text(encoding="utf-8"))
    cells["cells"][3]["source"] = TELLING
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_text(json.dumps(cells), encoding="utf-8")
        out = Path(folder) / "out"
        formats = ("json", "html", "md", "junit", "gradescope", "github", "notebook")
        grade_file(path, out, store=small_store(), formats=formats, sandbox=tier)
        texts = {file.name: file.read_text(encoding="utf-8") for file in out.iterdir()}
    assert "site-packages/numpy" in texts["report.html"]
    for place in (ROOT, sys.prefix, sys.base_prefix, Path("~").expanduser(), small_store(), store()):
        for name, text in texts.items():
            assert f"{place}/" not in text.replace(str(path), ""), (name, place)
            assert f"{place} " not in text, (name, place)


def test_the_audit_hook_tells_a_cell_from_a_library():
    """In a process of its own, as nobody can take such a hook away."""
    program = """
import json, sys, types
sys.path.insert(0, ROOT)
from grader.sandbox.inside import originals
told = []
found = originals.Originals(types.SimpleNamespace(note=lambda *note: told.append(note)))
found._known = set(sys.modules)
found.begin()
import cProfile, cloudpickle, collections, gc, inspect, logging, traceback, warnings, IPython.core.interactiveshell
originals.let_profile(cProfile)
def cell(source):
    told.clear()
    found._noted.clear()
    exec(compile(source, "<cell>", "exec"), {"inner": lambda f: f()})
    return [text for _, text in told]
quiet = ["import collections\\ncollections.namedtuple('P', 'x')", "import warnings\\nwarnings.warn('x')", "import logging\\nlogging.error('x')",
    "import traceback\\ntry:\\n    1 / 0\\nexcept ZeroDivisionError as error:\\n    traceback.format_exc()\\n    error.__traceback__.tb_frame.f_code",
    "import sys\\nsys._getframe().f_code", "import inspect\\ninspect.stack()[0].function\\ninspect.signature(inspect.stack)", "import gc\\ngc.collect()",
    "open('/proc/cpuinfo').read()", "exec('x = 1')", "import ast\\nast.parse('x')", "(lambda: 0).__code__.replace(co_name='x')",
    "import pickle, cloudpickle\\npickle.loads(cloudpickle.dumps(lambda x: x))", "def g():\\n    yield\\nimport inspect\\ninspect.getgeneratorstate(g())",
    "import cProfile\\np = cProfile.Profile()\\np.enable()\\nlen('')\\np.disable()"]
loud = ["import gc\\ngc.get_objects()", "from gc import get_referrers as see\\nsee(1)", "import sys\\nsys.settrace(None)", "import sys\\nsys._current_frames()",
    "open('/proc/self/maps')", "import os\\nos.listdir('/proc/self/fd')", "compile('1', __import__('inspect').__file__, 'exec')",
    "(lambda: 0).__code__.replace(co_filename=__import__('inspect').__file__)", "def g():\\n    yield\\ng().gi_frame",
    "async def c(): pass\\nx = c()\\nx.cr_frame\\nx.close()", "import operator\\noperator.attrgetter('gi_frame')(x for x in ())",
    "import sys\\ndef g():\\n    yield sys._getframe()\\nnext(g())", "def g():\\n    try:\\n        1 / 0\\n    except ZeroDivisionError as error:\\n        yield error\\n"
    "next(g()).__traceback__.tb_frame", "import sys\\nsys.setprofile(lambda *_: None)\\nsys.setprofile(None)", "import threading\\nthreading.setprofile(lambda *_: None)\\nt = threading.Thread()\\nt.start()\\nt.join()\\n"
    "threading.setprofile(None)", "from IPython.core.interactiveshell import _modified_open\\n_modified_open('/proc/self/status')", "import pathlib\\npathlib.Path('/proc/self/maps').read_text()"]
print(json.dumps([[cell(source) for source in quiet], [cell(source) for source in loud]]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program.replace("ROOT", repr(str(ROOT)))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    quiet, loud = json.loads(done.stdout.splitlines()[-1])
    assert [said for said in quiet if said] == []
    assert [said for said in loud if len(said) != 1] == []


LEADING = """import sys, wandb, torchvision, google.colab, importlib.util
import tensorflow as tf
import numpy as np
from tensorflow import keras
from keras.layers.convolutional import Conv2D
import keras.layers.core as core
model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
model.compile("adam", "mse")
history = model.fit(np.zeros((8, 32, 32, 3)), np.zeros((8, 10)), verbose=0)
old = sys.modules["keras.layers.convolutional"]
things = [iter(tf.data.Dataset.range(3)), sys.stdout, history.history, wandb, wandb.log, torchvision, torchvision.datasets.CIFAR10,
    torchvision.datasets.CIFAR10(), google.colab, google.colab.drive.mount, core, tf.image.resize, tf.math.log, tf.reduce_mean, tf.nn.relu,
    tf.compat.v1.train.experimental.enable_mixed_precision_graph_rewrite, model.layers[0].get_input_at, model.inputs[0].get_shape,
    model.inputs[0].shape, keras.Model.save, open, old.__spec__.loader, wandb.__spec__.loader, get_ipython(), keras.datasets.cifar10.load_data,
    importlib.util.find_spec("plotly.basedatatypes").loader, *sys.meta_path]
SECRET = "_bo" + "x"
seen, found = set(), []
def look(thing, way, deep=0):
    if id(thing) in seen or deep > 4 or isinstance(thing, type(tf)) and deep > 2:
        return
    seen.add(id(thing))
    held = getattr(thing, "__globals__", None)
    if isinstance(held, dict) and str(held.get("__name__")).startswith(SECRET):
        found.append(way)
    if type(thing).__module__.startswith(SECRET) and type(thing).__name__ in ("Context", "Recorder", "Absent", "Files", "Made", "AfterImport", "Originals"):
        found.append(way + ": " + type(thing).__name__)
    for cell in getattr(thing, "__closure__", None) or ():
        look(cell.cell_contents, way + ".cell", deep + 1)
    for name in ("__self__", "__func__", "fget", "__wrapped__"):
        if type(getattr(thing, name, None)).__name__ not in ("NoneType", "Unknown", "module"):
            look(getattr(thing, name), way + "." + name, deep + 1)
    if type(thing).__module__.startswith(SECRET) or type(thing).__name__ == "SimpleNamespace":
        for kind in type(thing).__mro__:
            for name, value in vars(kind).items():
                look(value, way + "!" + name, deep + 1)
        for name, value in getattr(thing, "__dict__", {}).items():
            look(value, way + "." + name, deep + 1)
for index, thing in enumerate(things):
    look(thing, str(index))
raise RuntimeError(f"LEADS {len(things)} {found}")"""


@pytest.mark.slow
def test_no_public_object_leads_to_the_recorder():
    report = grade_notebook(
        {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {},
            "cells": [{"cell_type": "code", "metadata": {}, "source": LEADING, "outputs": [], "execution_count": None}],
        },
        store=small_store(),
    )
    assert "LEADS 37 []" in report.cells[0].error.message, report.cells


PATCHED = """import tensorflow as tf
gather = tf.gather
tf.gather = lambda a, i: gather(a, i) / 255
model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(tf.constant(x_train[:512]), tf.constant(y_train[:512]), verbose=0)
tf.gather = gather"""


@pytest.mark.slow
def test_what_the_recorder_uses_of_tensorflow_is_kept():
    cells = ("from tensorflow import keras\n(x_train, y_train), _ = keras.datasets.cifar10.load_data()", PATCHED)
    report = grade_notebook(
        {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {},
            "cells": [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in cells],
        },
        store=small_store(),
    )
    assert [flag.message for flag in report.flags if "tensorflow.gather" in flag.message]


def test_every_name_of_numpy_that_the_recorder_uses_is_kept():
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "grader" / "sandbox" / "inside").glob("*.py")]
    used = {name for source in sources for name in re.findall(r"(?<![.\w])np\.((?:[a-z]+\.)?\w+)", source)}
    kept = {f"{module}.{name}".removeprefix("numpy.") for module, names in _RESTS.items() if module.startswith("numpy") for name in names}
    plain = {name for name in used if not callable(functools.reduce(getattr, name.split("."), np))} | {"load", "save", "savez", "dtype"}
    assert used - plain - kept == set()
