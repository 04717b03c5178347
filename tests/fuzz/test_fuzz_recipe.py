"""Fuzzing the recipe solver: whatever was done to the images, it tells how, or says that it does not know; never something else.

Run as in box 1: NumPy only. The truth is known here, since the images are made here.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import fuzz
from recipe_samples import identify, store_of

from grader import records
from grader.decode import to_record
from grader.sandbox.inside import recipe
from grader.sandbox.inside.frames import plain

ROWS, HELD = 200, 60


def pictures(count, seed, side=32, channels=3):
    """Images with broad shapes and noise, as photographs have them, in the whole range of a byte."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((count, 5, 5, channels))
    at = np.linspace(0, 3.999, side)
    low, part = at.astype(int), at % 1
    rows = coarse[:, low] * (1 - part)[None, :, None, None] + coarse[:, low + 1] * part[None, :, None, None]
    smooth = rows[:, :, low] * (1 - part)[None, None, :, None] + rows[:, :, low + 1] * part[None, None, :, None]
    return np.clip(smooth * 300 - 20 + generator.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


TRAIN, TEST = pictures(ROWS, 1), pictures(HELD, 2)
LABELS, TEST_LABELS = np.arange(ROWS) * 7 % 10, np.arange(HELD) * 3 % 10


@pytest.fixture(scope="module")
def store():
    return store_of(TRAIN, LABELS, TEST, TEST_LABELS)


def valid(found):
    """What is found fits the record that the host fills from it. Give the record of the recipe."""
    sent = plain({"container": "array", **found})
    claim = to_record(records.DataClaim, sent)
    return claim.recipe


def applied(made, pixels):
    """What the recipe that was found makes of the stored pixels; None where it only names a kind."""
    x = pixels.astype(np.float64)
    if made.kind == "identity":
        return x
    if made.kind == "affine":
        return x * np.array(made.scale) + np.array(made.offset)
    if made.kind == "per_image":
        return (x - x.mean(axis=(1, 2, 3), keepdims=True)) / x.std(axis=(1, 2, 3), keepdims=True)
    return None


def says_the_truth(made, pixels, values):
    """Whether the recipe makes the values of the pixels, channel by channel, to a hundredth of each channel's spread."""
    again = applied(made, pixels)
    if again is None:
        return True
    error = np.sqrt(((again - values) ** 2).mean(axis=(0, 1, 2)))
    return bool((error <= 0.0101 * np.maximum(values.std(axis=(0, 1, 2)), 1e-9)).all())


scales = st.sampled_from([1.0, 1 / 255, 1 / 256, 2 / 255, 1 / 127.5, 1 / 128, -1 / 255, 1e-6, 1e6, 100.0]) | st.floats(1e-6, 1e4)
offsets = st.sampled_from([0.0, -1.0, -0.5, 1.0, -127.5, -128.0, 100.0, 1000.0, -1e6]) | st.floats(-1000, 1000)
kinds = st.sampled_from(["float64", "float32", "float16"])


@st.composite
def straight(draw):
    """A true affine map: one scale and offset, or one a channel."""
    size = draw(st.sampled_from([1, 3]))
    return np.array([draw(scales) for _ in range(size)]), np.array([draw(offsets) for _ in range(size)])


@given(straight(), st.sampled_from(["float64", "float32"]), st.sampled_from(["all", "subset", "shuffled", "both"]), st.integers(0, 99))
@fuzz(60)
def test_an_affine_map_is_found_as_it_is(store, made, dtype, order, seed):
    scale, offset = made
    whole, labels = (np.concatenate([TRAIN, TEST]), np.concatenate([LABELS, TEST_LABELS])) if order == "both" else (TRAIN, LABELS)
    rows = np.arange(len(whole)) if order == "all" else np.random.default_rng(seed).permutation(len(whole))
    rows = rows[:80] if order == "subset" else rows
    values = (whole[rows] * scale + offset).astype(dtype)
    found = identify(values, labels[rows], store)
    told = valid(found)
    rounding = np.finfo(dtype).eps * np.abs(values).max(axis=(0, 1, 2)) / (np.abs(scale) * 50)
    alike = scale.min() > 0 and scale.max() <= 1.5 * scale.min()  # negatives, and channels of very different width, may remain unknown
    if alike and (rounding < 1e-3).all():  # else the pixels drown in the offset
        assert found["dataset"] == "cifar10"
        assert found["labels"]["agreement"] == 1.0
        assert told.kind in ("identity", "affine")
    if told is not None and told.kind in ("identity", "affine"):
        assert says_the_truth(told, whole[rows], values.astype(np.float64))
        assert np.allclose(told.scale, scale, rtol=2e-3)


def bent(draw, x):
    """A map that is not affine, on pixels from 0 to 1."""
    channel = draw(st.sampled_from([slice(None), slice(0, 1), slice(2, 3)]))
    name = draw(st.sampled_from(["gamma", "clip", "steps", "threshold", "log", "tanh", "noise", "wrap", "holes"]))
    strength = draw(st.sampled_from([0.02, 0.1, 0.3, 0.5, 1.0]))
    part = x[..., channel]
    new = {
        "gamma": lambda: part ** (1 + strength),
        "clip": lambda: np.clip(part, strength / 2, 1 - strength / 3),
        "steps": lambda: np.round(part * (2 + 1 / strength)) / (2 + 1 / strength),
        "threshold": lambda: np.where(part > strength, part, 0),
        "log": lambda: np.log1p(strength * 9 * part),
        "tanh": lambda: np.tanh(strength * 4 * (part - 0.5)),
        "noise": lambda: part + np.random.default_rng(3).normal(0, strength / 4, part.shape),
        "wrap": lambda: (part + strength) % 1,
        "holes": lambda: part * (np.random.default_rng(4).random(part.shape) > strength / 5),
    }[name]()
    x = x.copy()
    x[..., channel] = new
    return x


@given(st.data(), straight(), kinds)
@fuzz(100)
def test_a_map_that_is_not_affine_is_never_called_so(store, data, made, dtype):
    """Whatever the other channels are: their spread must not hide what is wrong with one."""
    scale, offset = made
    with np.errstate(over="ignore"):
        values = (bent(data.draw, TRAIN / 255.0) * 255 * scale + offset).astype(dtype).astype(np.float64)
    if not np.isfinite(values).all():
        return
    told = valid(identify(values, LABELS, store))
    assert told is None or says_the_truth(told, TRAIN, values)


@given(st.sampled_from(["standard", "maximum", "range", "brightness", "contrast", "centred", "norm"]), st.floats(0.05, 0.9))
@fuzz(30)
def test_maps_of_each_image_by_itself(store, name, strength):
    """Only standardisation by the image's own mean and deviation is repeated in box 2, so only that may be called per image."""
    x = TRAIN.astype(np.float64)
    generator = np.random.default_rng(5)
    axes = (1, 2, 3)
    values = {
        "standard": lambda: (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True),
        "maximum": lambda: x / x.max(axes, keepdims=True),
        "range": lambda: (x - x.min(axes, keepdims=True)) / np.ptp(x, axis=axes, keepdims=True),
        "brightness": lambda: x / 255 + generator.uniform(-strength, strength, (len(x), 1, 1, 1)),
        "contrast": lambda: x / 255 * generator.uniform(1 - strength, 1 + strength, (len(x), 1, 1, 1)),
        "centred": lambda: (x - x.mean(axes, keepdims=True)) / 255,
        "norm": lambda: x / np.sqrt((x * x).sum(axes, keepdims=True)),
    }[name]()
    told = valid(identify(values, LABELS, store))
    assert told is not None
    assert says_the_truth(told, TRAIN, values)
    assert (told.kind == "per_image") == (name == "standard")


@given(straight(), st.sampled_from(["channels_first", "flattened", "enlarged", "squeezed_labels"]))
@fuzz(30)
def test_layouts(store, made, layout):
    scale, offset = made
    if (scale < 0).any() or np.finfo("float64").eps * np.abs(offset).max() > np.abs(scale).min() * 1e-6:
        return
    values = TRAIN * scale + offset
    changed = {
        "channels_first": lambda: values.transpose(0, 3, 1, 2),
        "flattened": lambda: values.reshape(len(values), -1),
        "enlarged": lambda: values.repeat(2, axis=1).repeat(2, axis=2),
        "squeezed_labels": lambda: values,
    }[layout]()
    told = valid(identify(changed, LABELS.reshape(-1, 1) if layout == "squeezed_labels" else LABELS, store))
    assert told.kind in ("identity", "affine")
    assert says_the_truth(told, TRAIN, values)
    assert (told.channels_first, told.flattened, told.resized) == (
        layout == "channels_first",
        layout == "flattened",
        (64, 64) if layout == "enlarged" else None,
    )


@given(st.data())
@fuzz(40)
def test_images_that_are_not_the_stored_ones_are_not_taken_for_them(store, data):
    generator = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    others = {
        "noise": lambda: generator.random((200, 32, 32, 3)),
        "others": lambda: pictures(200, 77) / 255,
        "constant": lambda: np.full((200, 32, 32, 3), generator.random()),
        "flipped": lambda: TRAIN[:, :, ::-1] / 255,
        "turned": lambda: TRAIN.transpose(0, 2, 1, 3) / 255,
        "upside down": lambda: TRAIN[:, ::-1] / 255,
        "mixed up": lambda: generator.permuted(TRAIN.reshape(ROWS, -1), axis=1).reshape(TRAIN.shape),
        "negative of others": lambda: 1 - pictures(200, 78) / 255,
    }[data.draw(st.sampled_from(["noise", "others", "constant", "flipped", "turned", "upside down", "mixed up", "negative of others"]))]()
    found = identify(others, None, store)
    assert found["recipe"] is None
    assert found["dataset"] is None


@given(st.data())
@fuzz(100)
def test_nothing_is_raised_for_any_array(store, data):
    shape = data.draw(st.sampled_from([(50, 32, 32, 3), (50, 32, 32, 1), (50, 3, 32, 32), (50, 32, 32), (50, 3072), (50, 784), (50, 28, 28), (50, 64, 64, 3), (50, 33, 47, 3), (50, 224, 224, 1), (2, 32, 32, 3), (1, 32, 32, 3), (0, 32, 32, 3), (50,), (50, 0), (50, 1, 1, 3), (50, 3, 3, 3), (50, 32, 0, 3)]))  # fmt: skip
    dtype = data.draw(
        st.sampled_from(
            ["uint8", "int8", "int64", "uint64", "float16", "float32", "float64", "bool", "complex64", "U3", "O", "datetime64[s]"]
        )
    )
    fill = data.draw(st.sampled_from([0, 1, 255, -1, 1e38, 1e300, -1e300, float("nan"), float("inf"), 1e-320, 2**63]))
    with np.errstate(all="ignore"):
        images = (
            np.random.default_rng(0).integers(0, 256, shape).astype(object if dtype == "O" else dtype)
            if dtype != "U3"
            else np.full(shape, "abc")
        )
        if dtype in ("float16", "float32", "float64") and images.size:
            images.reshape(-1)[:: data.draw(st.integers(1, 97))] = fill
    labels = data.draw(st.sampled_from([None, np.arange(len(images)), np.eye(10)[np.arange(len(images)) % 10], np.full(len(images), np.nan), np.array(["a"] * len(images)), np.zeros((len(images), 4, 4)), np.full(len(images), 1e300), np.full(len(images), -(2**63))]))  # fmt: skip
    positions = np.arange(len(images))
    with np.errstate(all="ignore"):
        found = recipe.identify(images, labels, positions, data.draw(st.sampled_from([len(images), ROWS, 10**9])), store)
        rows = recipe.rows_of(images, data.draw(st.sampled_from([0, ROWS - 50, 10**9])), store, ("cifar10", "train"))
    valid(found)
    assert rows is None or len(rows) == len(images)
