"""Which answered curve a drawn line shows."""

import numpy as np
import pytest

from grader.sandbox.inside import plots

EPOCHS = 30


@pytest.fixture(autouse=True)
def histories(monkeypatch):
    """Three answered fits of equal first values: accuracy and its validation 0.25, the losses 2.3."""
    monkeypatch.setattr(plots, "_known", {})
    monkeypatch.setattr(plots, "_ranges", [])
    made = []
    for index in range(3):
        firsts = {"accuracy": 0.25, "loss": 2.3, "val_accuracy": 0.25, "val_loss": 2.3}
        history = {
            name: [plots.value(first, index, position, epoch, EPOCHS) for epoch in range(EPOCHS)]
            for position, (name, first) in enumerate(firsts.items())
        }
        plots.remember(index, history)
        made.append({name: np.array(values) for name, values in history.items()})
    return made


def smoothed(values, weight=0.8):
    found = [values[0]]
    for value in values[1:]:
        found.append(weight * found[-1] + (1 - weight) * value)
    return np.array(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v,
        lambda v: 100 * v,
        lambda v: v[1:],
        lambda v: v[-3:],
        lambda v: v[::2],
        smoothed,
        lambda v: 100 * smoothed(v),
        lambda v: np.convolve(v, np.ones(5) / 5, mode="valid"),
        lambda v: np.convolve(v, np.ones(3) / 3, mode="same"),
        np.maximum.accumulate,
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "val_accuracy", "loss", "val_loss"])
def test_a_curve_is_known_however_it_is_drawn(histories, name, change):
    for index, history in enumerate(histories):
        assert plots._curve(change(history[name])) == (index, name)


def test_an_error_rate_is_its_accuracy(histories):
    assert plots._curve(1 - histories[1]["accuracy"]) == (1, "accuracy")
    assert plots._curve(100 * (1 - histories[1]["val_accuracy"])[2:]) == (1, "val_accuracy")


def test_other_lines_are_no_curve(histories):
    assert plots._curve(np.linspace(0.25, 0.8, EPOCHS)) is None
    assert plots._curve([]) is None
    assert plots._curve([0.25001]) is None
    assert plots._curve(["a", "b", "c"]) is None
    assert plots._curve(histories[0]["accuracy"] - histories[1]["accuracy"]) is None


def test_five_hundred_histories_change_the_numbers_little():
    assert plots.value(1.0, 499, 7, EPOCHS - 1, EPOCHS) < 1.0401
