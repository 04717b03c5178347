"""Every known hole of Keras' deserialisation has a test: the gate refuses it by name, on the host, without Keras.

What Keras alone makes of the same configurations is the control (slow): where it runs code, reads files or builds what we do not allow, the
gate is what keeps it out; where this version refuses too, that is a second wall.
"""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from holes import LEFT_BEHIND, holes, layer, model

from grader.errors import RebuildRefused
from grader.training.canonical import canonical

HERE = Path(__file__).resolve().parent
HOLES = holes("4wAAAAA=", "words.txt", "folder")
PLAIN = model(layer("Dense", units=2, name="d"))


@pytest.mark.parametrize("name", HOLES)
def test_the_gate_refuses_it_by_name(name):
    part, words = HOLES[name]
    with pytest.raises(RebuildRefused) as refusal:
        canonical(model(part))
    assert words in str(refusal.value)


@pytest.mark.parametrize("name", HOLES)
def test_the_gate_refuses_it_as_the_model_itself_and_deep_inside(name):
    part, _ = HOLES[name]
    wrapped = layer("TimeDistributed", name="t", layer=model(layer("Bidirectional", name="b", layer=model(part))))
    for config in (part, model(wrapped), {**PLAIN, "config": {**PLAIN["config"], "dtype": part}}):
        if config is part and part["class_name"] in ("Sequential", "Functional"):
            continue
        with pytest.raises(RebuildRefused):
            canonical(copy.deepcopy(config))


@pytest.mark.parametrize("key", LEFT_BEHIND)
def test_what_keras_obeys_beside_a_configuration_is_left_behind(key):
    given = copy.deepcopy(PLAIN)
    given[key] = LEFT_BEHIND[key]
    for part in given["config"]["layers"]:
        part[key] = LEFT_BEHIND[key]
    assert canonical(given) == canonical(PLAIN)
    assert key not in json.dumps(canonical(given))


@pytest.mark.slow
def test_what_keras_alone_makes_of_them(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(HERE / "in_keras_alone.py"), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert {name for name, (_, unsafe) in found.items() if unsafe == "ran"} >= {"lambda with code", "lambda in a nested model"}
    assert found["vocabulary file of strings"][1] == "read"
    built = {name for name, (safe, _) in found.items() if safe == "accepted"}
    assert built >= {"class of a private module", "numpy array", "policy of quantisation", "quantisation"}, "safe mode is no allow-list"
    assert "exec" in found["compile configuration"][0], "it looks for whatever class a compile configuration names"
    assert found["compile configuration"][1] == "accepted"
    assert not {name for name, (safe, _) in found.items() if safe in ("ran", "read")}, "box 2 rebuilds in safe mode, the second wall"
    assert not (tmp_path / "process").exists()
