"""The recipe solver: from images as they reached a call back to the arithmetic that made them."""

import numpy as np
import pytest
from harness import small_store
from recipe_samples import identify, store_of

from grader import dataset
from grader.sandbox.inside import recipe

GENERATOR = np.random.default_rng(0)
TRAIN = GENERATOR.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
TEST = GENERATOR.integers(0, 256, (400, 32, 32, 3), dtype=np.uint8)
LABELS, TEST_LABELS = GENERATOR.integers(0, 10, 2000), GENERATOR.integers(0, 10, 400)


@pytest.fixture(scope="module")
def store():
    return store_of(TRAIN, LABELS, TEST, TEST_LABELS)


@pytest.fixture(scope="module")
def pictures():
    """Images (5000, 32, 32, 3) that differ from one another in brightness and contrast as photographs do, and their store."""
    images = np.load(dataset.ensure(small_store()).folder / "x_train.npy")
    return images, store_of(images, np.zeros(len(images), int), TEST, TEST_LABELS)


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


@pytest.mark.parametrize(("known", "low", "high"), [(0, 0, 0), (250, 0.3, 0.7)])
def test_strangers_are_not_recognised(known, low, high, store):
    images = GENERATOR.random((500, 32, 32, 3))
    images[:known] = TRAIN[:known] / 255
    found = identify(images, None, store)
    assert found["dataset"] is None
    assert low <= found["matched"] <= high


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


def test_the_rows_that_are_looked_at_are_chosen_anew_without_numpys_generator():
    np.random.seed(1)  # noqa: NPY002 (the one whose state a notebook knows)
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, second = recipe.chosen(50_000), recipe.chosen(50_000)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert first.tolist() != second.tolist()
    assert len(set(first.tolist())) == recipe.SAMPLES
    assert (np.diff(first) > 0).all()
    assert recipe.chosen(5).tolist() == [0, 1, 2, 3, 4]
    assert recipe.chosen(0).tolist() == []


@pytest.mark.parametrize(("parts", "kind"), [([24, 24], "affine"), ((), "unknown")])
def test_batches_that_were_standardised_by_themselves_have_one_recipe(parts, kind, store):
    values = TRAIN[:48] / 255
    values = np.concatenate([values[:24] * 1.02, values[24:] * 0.99 + 0.01])
    found = recipe.identify(values, LABELS[:48], np.arange(48), 2000, store, parts)
    assert found["recipe"]["kind"] == kind


@pytest.mark.parametrize("size", [8, 32, 100])
def test_batches_that_were_standardised_by_themselves_have_one_recipe_whichever_are_looked_at(size, pictures):
    images, store = pictures
    kinds = set()
    for _ in range(100):
        batches, within = recipe.chosen(len(images) // size, 4), recipe.chosen(size, 12)
        rows = [batch * size + within for batch in batches]
        values = [(images[row] - images[part].mean()) / images[part].std() for row, part in zip(rows, _slices(batches, size), strict=True)]
        found = recipe.identify(np.concatenate(values), None, np.concatenate(rows), len(images), store, [len(within)] * 4)
        kinds.add(found["recipe"]["kind"])
    assert kinds == {"affine"}


def _slices(batches, size):
    return [slice(batch * size, (batch + 1) * size) for batch in batches]


def test_batches_of_which_one_is_on_another_scale_have_none(store):
    values = np.concatenate([TRAIN[:24] / 255, TRAIN[24:48]])
    assert recipe.identify(values, None, np.arange(48), 2000, store, [24, 24])["recipe"]["kind"] == "unknown"


def test_one_stranger_among_the_images_is_seen(store):
    images = TRAIN / 255
    images[7] = TEST[7] / 255
    positions = np.arange(0, 48)
    assert recipe.identify(images[positions], None, positions, 2000, store)["split"] == "mixed"


def test_a_twin_in_the_other_split_does_not_mix_them():
    twins = TEST.copy()
    twins[3] = TRAIN[20]
    order = np.r_[20, GENERATOR.permutation(2000)[:47]]
    found = recipe.identify(TRAIN[order] / 255, None, np.arange(48), 2000, store_of(TRAIN, LABELS, twins, TEST_LABELS))
    assert found["split"] == "train"


def test_all_labels_count_where_the_images_stand_in_their_order(store):
    labels = LABELS.copy()
    labels[:500] = (labels[:500] + 1) % 10
    positions = recipe.chosen(2000)
    assert recipe.identify(TRAIN[positions], labels, positions, 2000, store)["labels"]["agreement"] == 0.75


@pytest.mark.parametrize(
    ("sample", "share"),
    [
        (TRAIN[:40] / 255, 1.0),
        (TRAIN[:40], 1.0),
        (TEST[:40], 0.0),
        (np.concatenate([TRAIN[:10], TEST[:30]]), 0.25),
        (TRAIN[:40] * 2.0 - np.array([103.9, 116.8, 123.7]), 1.0),
        (TRAIN[:40, :, ::-1] / 255, 1.0),
        (1 - TRAIN[:40, :, ::-1] / 255, 1.0),
        (np.concatenate([TRAIN[:10, :, ::-1], TEST[:20], TRAIN[10:20]]), 0.5),
        (TEST[:40, :, ::-1], 0.0),
        (TRAIN[:40].reshape(40, -1), None),
        (TRAIN[:40, :16, :16], None),
        (TRAIN[:40].astype(str), None),
        (np.zeros((40, 32, 32, 3)), 0.0),
        (np.full((40, 32, 32, 3), np.nan), 0.0),
    ],
)
def test_the_share_of_images_that_are_rows_of_others(sample, share):
    assert recipe.shared(sample, TRAIN) == share
