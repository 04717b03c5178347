"""All trainings of one notebook: equal ones once, known ones from the cache, and what is missing said."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from test_specification import MODEL
from training_samples import Recorded

from grader import rubric
from grader.dataset import Dataset
from grader.errors import InfrastructureError
from grader.records import Evidence, Model, ModelClaim, Notebook, Role, RunRecord
from grader.training import session
from grader.training.box2 import OutOfTime
from grader.training.cache import Cache
from grader.training.session import Plan, check_device, train_roles

DATA = Dataset(name="cifar10", folder=Path("/nowhere"), state="ok", detail="", fingerprint="f" * 64)
ROLES = ("base", "dropout", "augmentation")


class Box(Recorded):
    def versions(self, deadline=None):
        return {"keras": "3.15.1"}

    def exclusive(self):
        return nullcontext()


def evidence(**roles):
    return Evidence(
        notebook=Notebook(cells=()), run=RunRecord(), roles={role: Role(model=model, reason="") for role, model in roles.items()}
    )


def plan(folder=None, **changes):
    return Plan(reference=rubric.reference(rubric.load("all_cnn_c")), budget="short", cache=Cache(folder) if folder else None, **changes)


def test_equal_models_train_once_and_the_next_notebook_not_at_all(tmp_path):
    box = Box(lambda *_: "learns")
    found = train_roles(box, evidence(base=MODEL, dropout=None), ROLES, plan(tmp_path), DATA)
    assert list(found) == ["base"]
    assert (found["base"].verdict, found["base"].cached, len(box.opened)) == ("learns", False, 1)
    again = train_roles(box, evidence(base=MODEL), ROLES, plan(tmp_path), DATA)
    assert (again["base"].cached, again["base"].verdict, len(box.opened)) == (True, "learns", 1)
    train_roles(box, evidence(base=MODEL), ROLES, plan(tmp_path, seed=7), DATA)
    assert box.opened[-1] == ("learns", 7)
    assert len(box.opened) == 2, "another first seed is another verdict"


def test_somebody_is_told_of_every_training_how_far_it_is_and_what_came_of_it(tmp_path):
    told = []

    def watch(event, /, **fields):
        told.append((event, fields))

    train_roles(Box(lambda *_: "learns"), evidence(base=MODEL, other=MODEL), ("base", "other"), plan(tmp_path, watch=watch), DATA)
    assert [event for event, _ in told if event != "checkpoint"] == ["training", "trained", "training", "trained"]
    assert told[0][1] == {"role": "base", "number": 1, "of": 2}
    images = [fields["images"] for event, fields in told if event == "checkpoint"]
    assert images == sorted(images)
    assert (images[0], images[-1]) == (0, 6400)
    last = [fields for event, fields in told if event == "checkpoint"][-1]
    assert last == {"role": "base", "seed": 0, "images": 6400, "most": 19_200, "accuracy": pytest.approx(0.164)}
    assert told[-1][1] | {"seconds": 0} == {
        "role": "other", "verdict": "learns", "accuracy": pytest.approx(0.164), "images": 6400, "seconds": 0, "cached": True,
    }  # fmt: skip


def test_somebody_is_told_which_change_is_tried_on_a_model_that_dies():
    told = []
    watch = plan(watch=lambda event, /, **fields: told.append((event, fields)))
    found = train_roles(Box(lambda *_: "dies"), evidence(base=MODEL), ROLES, watch, DATA)
    assert (
        [fields["change"] for event, fields in told if event == "trying"] == [tried.change for tried in found["base"].counterfactuals] != []
    )


def test_one_model_in_two_roles_with_one_band_trains_once():
    box = Box(lambda *_: "learns")
    found = train_roles(box, evidence(base=MODEL, other=MODEL), ("base", "other"), plan(), DATA)
    assert [training.role for training in found.values()] == ["base", "other"]
    assert len(box.opened) == 1


def test_no_training_without_a_budget_and_none_without_thresholds():
    box = Box(lambda *_: "learns")
    assert train_roles(box, evidence(base=MODEL), ROLES, Plan(reference=Path("/nowhere"), budget="none"), DATA) == {}
    found = train_roles(box, evidence(base=MODEL), ROLES, Plan(reference=Path("/nowhere"), budget="short"), DATA)
    assert found["base"].verdict == "not_measured"
    assert "no thresholds for the data set cifar10" in found["base"].reason
    assert box.opened == []


def test_what_cannot_be_repeated_and_what_comes_too_late_is_not_measured():
    class Late(Box):
        def versions(self, deadline=None):
            raise OutOfTime

    bare = Model(claim=ModelClaim(serial=0, version=0, cell=1, kind="Subclassed"), refusal="the layer Mine has weights of its own")
    found = train_roles(Box(lambda *_: "learns"), evidence(base=bare), ROLES, plan(), DATA)
    assert (found["base"].verdict, found["base"].reason) == (
        "not_measured",
        "The model was not trained again: the layer Mine has weights of its own.",
    )
    found = train_roles(Late(lambda *_: "learns"), evidence(base=MODEL), ROLES, plan(), DATA)
    assert (found["base"].verdict, found["base"].reason[:11]) == ("not_measured", "Out of time")


def test_devices(monkeypatch):
    assert check_device("cpu") == "cpu"
    monkeypatch.setattr(session.Path, "exists", lambda _: False)
    assert check_device("auto") == "cpu"
    with pytest.raises(InfrastructureError, match="no GPU was found"):
        check_device("gpu")
    monkeypatch.setattr(session.Path, "exists", lambda _: True)
    assert (check_device("auto"), check_device("gpu"), check_device("cpu")) == ("gpu", "gpu", "cpu")


def test_precision_is_bfloat16_where_the_processor_computes_in_it():
    words = set()
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        for line in file:
            if line.startswith("flags"):
                words = set(line.split())
    assert session.precision_for("cpu") == ("mixed_bfloat16" if words & {"avx512_bf16", "amx_bf16"} else "float32")
    assert session.precision_for("gpu") == "mixed_bfloat16"
