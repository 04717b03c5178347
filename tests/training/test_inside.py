"""What runs in box 2, in pieces: the pool of images (NumPy only), and the trainer, in a process of its own on each of Keras' backends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from grader.training.inside.pool import BALANCED, Pool

HERE = Path(__file__).resolve().parent


def pool_of(folder, rows, held, *, classes=10, seed=0):
    """A pool of `rows` and `held` images, all of one value: that of their number in the store, modulo 256."""
    generator = np.random.default_rng(seed)
    for part, count in (("train", rows), ("test", held)):
        np.save(folder / f"x_{part}.npy", np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8))
        np.save(folder / f"y_{part}.npy", generator.integers(0, classes, (count, 1), np.uint8))
    return folder


def test_the_held_back_images_begin_with_as_many_of_each_class(tmp_path):
    pool = Pool(pool_of(tmp_path, 50, 3 * BALANCED), 50, 2 * BALANCED)
    assert np.bincount(pool.held_labels[:BALANCED]).tolist() == [BALANCED // 10] * 10
    assert len(pool.held_labels) == len(pool.held_images) == 2 * BALANCED


def test_every_image_keeps_its_label_and_comes_once(tmp_path):
    pool = Pool(pool_of(tmp_path, 200, 30), 200, 30)
    stored = np.load(tmp_path / "y_train.npy").reshape(-1)
    numbers = pool.images[:, 0, 0, 0]
    assert sorted(numbers.tolist()) == list(range(200))
    assert (stored[numbers] == pool.labels).all()
    assert numbers.tolist() != sorted(numbers.tolist()), "in random order"
    again = Pool(tmp_path, 200, 30)
    assert (again.images == pool.images).all(), "the same order every time"


def test_the_order_takes_each_image_once_a_pass_and_is_the_seeds_own(tmp_path):
    pool = Pool(pool_of(tmp_path, 40, 10), 40, 10)
    order = pool.order(100, 3, 50_000)
    assert order.dtype == np.int32
    assert len(order) == 100
    assert sorted(order[:40].tolist()) == sorted(order[40:80].tolist()) == list(range(40))
    assert (order[:40] != order[40:80]).any(), "shuffled anew for every pass"
    assert (pool.order(100, 3, 50_000) == order).all()
    assert (pool.order(100, 4, 50_000) != order).any()
    assert (pool.order(60, 3, 50_000) == order[:60]).all(), "a shorter run is the beginning of a longer one"


def test_wrong_labels_are_as_many_as_asked_for_and_the_right_ones_stay(tmp_path):
    pool = Pool(pool_of(tmp_path, 250, 10), 250, 10)
    right = pool.labels.copy()
    assert (pool.wrong_labels(0.0, 1) == right).all()
    assert 0.3 < (pool.wrong_labels(0.5, 1) != right).mean() < 0.6
    assert np.bincount(pool.wrong_labels(1.0, 1)).tolist() == np.bincount(right).tolist()
    assert (pool.labels == right).all()


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def said(request):
    environment = {**os.environ, "KERAS_BACKEND": request.param, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if request.param == "jax":
        environment["JAX_PLATFORMS"] = "cpu"
    done = subprocess.run(
        [sys.executable, str(HERE / "in_keras.py")], cwd=HERE.parent.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return request.param, json.loads(done.stdout)


@pytest.mark.slow
def test_recipes_are_what_numpy_makes_of_them(said):
    _, found = said
    for name, (kind, shape, error) in found["recipes"].items():
        assert kind == "float32", name
        assert shape == {
            "grayscale": [2, 32, 32, 1],
            "channels_first": [2, 3, 32, 32],
            "flattened": [2, 3072],
            "resized": [2, 64, 64, 3],
        }.get(name, [2, 32, 32, 3])
        assert error is None or error < 1e-3, name


@pytest.mark.slow
def test_moving_averages_are_freed_of_their_start_while_it_is_asked_for(said):
    _, found = said
    given = found["normalised"]
    assert given["steps"] == 3
    assert given["before"] == given["after"]
    rest = 0.9**3
    for column in range(3):
        assert given["freed"][0][column] == pytest.approx(given["before"][0][column] / (1 - rest), rel=1e-4)
        assert given["freed"][1][column] == pytest.approx((given["before"][1][column] - rest) / (1 - rest), rel=1e-3)
    assert given["freed"][0] == pytest.approx(given["mean"], abs=0.02), "what is left is the mean of the images that were seen"


@pytest.mark.slow
def test_units_that_are_never_above_zero_are_silent(said):
    _, found = said
    assert found["silent"] == {
        "found": [["all", 1.0, 4], ["none", 0.0, 4]],
        "feeding": [[["all", "feeds"]], []],  # past a layer that is not trained; not past a sum
        "restored": True,
    }


@pytest.mark.slow
def test_steps_in_pieces_are_the_same_run_however_they_are_compiled(said):
    backend, found = said
    runs = found["loops"]
    assert len(runs) == (4 if backend == "jax" else 2)
    assert [point[0] for point in runs[0]] == [1, 5, 5, 8, 12], "not further than the order of the images goes"
    assert runs[0] == runs[1], "begun anew, exactly"
    for run in runs[2:]:
        for point, wanted in zip(run, runs[0], strict=True):
            assert point == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_what_fit_was_asked_for_is_what_is_trained(said):
    """Every pair of pieces: before and after the third step."""
    found = said[1]["called"]
    loss, first, then, images, still = found["plain"]
    assert still == [False, False]
    assert (first > 1e-3, then > 1e-3, images) == (True, True, 64)
    for name in ("no class counts", "no image counts"):
        assert found[name] == [0, 0, 0, 64, [True, True]]
    for name in ("a rate of 0", "not trainable"):
        assert found[name] == [pytest.approx(loss), 0, 0, 64, [True, True]]
    assert found["half"][:2] == [pytest.approx(loss / 2), pytest.approx(first / 2, rel=0.05)]
    assert 0 < found["one class counts"][0] < loss / 3
    assert 0 < found["some images count"][0] < loss * 0.7
    assert found["then a rate of 0"][1:3] == [pytest.approx(first), 0]
    assert found["first a rate of 0"][1] == 0, "an epoch's last batch is begun"
    assert found["first a rate of 0"][2] > 1e-3
    assert found["five images"][3] == 5
    assert max(*found["clipped"][1:3], *found["clipped to 0"][1:3]) < 1e-7
    assert found["gathered"][1] == 0 < found["gathered"][2]
    for name in ("gathered", "first a rate of 0", "then a rate of 0", "decayed"):
        assert found[name][-1] == [False, False], "it moved, or will"
    assert found["decayed"][1] > 0.05


@pytest.mark.slow
def test_a_model_that_is_sure_and_wrong_has_its_whole_loss_and_a_gradient_on_either_backend(said):
    _, found = said
    assert len(found["sure"]) == 7
    for name, (loss, wanted, gradient) in found["sure"].items():
        assert wanted > 100, "far beyond 16.1, the logarithm of what is clipped at 1e-7"
        assert loss == pytest.approx(wanted, rel=1e-3), name
        assert gradient > 0.1, name


@pytest.mark.slow
def test_outputs_are_scored_as_probabilities_or_logits_and_what_is_not_finite_is_wrong(said):
    _, found = said
    given = found["scores"]
    surely = -(np.log(0.82) + np.log(0.02)) / 2
    assert given["probabilities"] == pytest.approx([surely, 0.5], abs=1e-6)
    assert given["logits"] == pytest.approx([surely, 0.5], abs=1e-6)
    assert given["one_row_nan"][1] == 0.5
    assert given["all_nan"] == [None, 0.0]


@pytest.mark.slow
def test_keras_brings_no_other_library_along(said):
    backend, found = said
    alone, trained = found["imported"]
    assert alone == [backend]
    assert trained == {"jax": ["jax", "tensorflow"], "tensorflow": ["tensorflow"]}[backend], "TensorFlow draws the initial weights"


def test_silence_is_settled_only_once_momentum_cannot_end_it(said):
    """Both layers are silent without a gradient now; the one whose bias is still being carried upwards is not settled."""
    up, down = said[1]["settling"]["up"], said[1]["settling"]["down"]
    assert up == {"silent": [["all", 1.0, 4]], "settled": [], "put back": True}
    assert down == {"silent": [["all", 1.0, 4]], "settled": ["all"], "put back": True}
