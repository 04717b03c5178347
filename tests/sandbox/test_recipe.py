"""The recipe solver: from images as they reached a call back to the arithmetic that made them."""

import numpy as np
import pytest
from recipe_samples import identify, store_of

GENERATOR = np.random.default_rng(0)
TRAIN = GENERATOR.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
TEST = GENERATOR.integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
LABELS, TEST_LABELS = GENERATOR.integers(0, 10, 2000), GENERATOR.integers(0, 10, 400)


@pytest.fixture(scope="module")
def store():
    return store_of(TRAIN, LABELS, TEST, TEST_LABELS)


MEAN, STD = TRAIN.mean(axis=(0, 1, 2)), TRAIN.std(axis=(0, 1, 2))


@pytest.mark.parametrize(
    ("images", "kind", "scale", "offset"),
    [
        (TRAIN, "identity", [1], [0]),
        (TRAIN.astype("float32") / 255, "affine", [1 / 255], [0]),
        ((TRAIN / 127.5 - 1).astype("float16"), "affine", [1 / 127.5], [-1]),
        ((TRAIN - MEAN) / STD, "affine", (1 / STD).tolist(), (-MEAN / STD).tolist()),
        (TRAIN / 255 - (TRAIN / 255).mean(axis=0), "per_pixel", [1 / 255] * 3, None),
        ((TRAIN - TRAIN.mean(axis=(1, 2, 3), keepdims=True)) / TRAIN.std(axis=(1, 2, 3), keepdims=True), "per_image", None, None),
        ((TRAIN / 255) ** 1.5, "unknown", None, None),
    ],
    ids=["raw", "/255", "[-1,1] in float16", "standardised", "mean image", "per image", "gamma"],
)
def test_recipes(images, kind, scale, offset, store):
    found = identify(images, LABELS, store)
    assert (found["dataset"], found["split"]) == ("cifar10", "train")
    assert found["recipe"]["kind"] == kind
    if scale:
        assert found["recipe"]["scale"] == pytest.approx(scale, rel=1e-3)
    if offset:
        assert found["recipe"]["offset"] == pytest.approx(offset, abs=1e-3)


def test_shuffled_and_subset_images_are_found_with_their_labels(store):
    order = GENERATOR.permutation(2000)[:700]
    found = identify(TRAIN[order] / 255, LABELS[order], store)
    assert (found["dataset"], found["split"], found["labels"]["agreement"]) == ("cifar10", "train", 1.0)


def test_shuffled_labels_show(store):
    found = identify(TRAIN / 255, GENERATOR.permutation(LABELS), store)
    assert found["labels"]["agreement"] < 0.5


def test_both_splits_together_are_mixed(store):
    both = np.concatenate([TRAIN, TEST])
    order = GENERATOR.permutation(len(both))
    assert identify(both[order], None, store)["split"] == "mixed"


@pytest.mark.parametrize(
    "change", [lambda x: x.transpose(0, 3, 1, 2), lambda x: x.reshape(len(x), -1), lambda x: x.repeat(2, axis=1).repeat(2, axis=2)]
)
def test_layouts(change, store):
    assert identify(change(TEST / 255), TEST_LABELS, store)["dataset"] == "cifar10"


def test_strangers_are_not_recognised(store):
    assert identify(GENERATOR.random((500, 32, 32, 3)), None, store)["dataset"] is None


@pytest.mark.parametrize("images", [np.zeros((50, 32, 32, 3)), np.full((50, 32, 32, 3), np.nan), np.zeros((50, 7)), np.array(["a"] * 50)])
def test_nothing_is_raised_for_nonsense(images, store):
    assert identify(images, None, store)["recipe"] is None


@pytest.mark.parametrize(
    ("labels", "encoding"),
    [
        (LABELS, "integer"),
        (LABELS.reshape(-1, 1), "integer"),
        (np.eye(10)[LABELS], "one_hot"),
        (np.zeros((2000, 4)), "other"),
        (LABELS + 0.5, "other"),
    ],
)
def test_label_encodings(labels, encoding, store):
    assert identify(TRAIN, labels, store)["labels"]["encoding"] == encoding
