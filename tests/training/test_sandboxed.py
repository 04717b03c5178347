"""Way 4: the notebook's own code trains, labels that never enter the box score. Whole notebooks run twice here; the small store keeps that short."""

from functools import cache

import numpy as np
import pytest
from harness import small_store, warm_box2

from grader import dataset, sandbox
from grader.decode import FRAME_BYTES, RunCollector
from grader.errors import FrameError, RebuildRefused
from grader.records import BandPoint, Cell, CellError, DataClaim, FitClaim, Model, ModelClaim, PredictionsClaim
from grader.sandbox import Limits
from grader.sandbox.inside import really_train, recipe
from grader.sandbox.notebook_run import collect_notebook, start_notebook
from grader.training import course, sandboxed
from grader.training.bands import Bands
from grader.training.measure import Setting
from grader.training.specification import specify

LIMITS = Limits(cell_s=900, wall_s=1200)  # a busy machine is no failure
SOON = (1600, 4800)


def setting(passes=0.25, zero=0.14):
    points = tuple(BandPoint(images=images, low=0.2, median=0.3, high=0.4, passes=passes, zero=zero) for images in SOON)
    return Setting(bands=Bands(dataset="cifar10", roles={"base": points}, sha256="", rates={}))


LOAD = """
import numpy as np, keras
from keras import layers
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
"""
SCALED = "x_train, x_test = x_train.astype('float32') / 255, x_test.astype('float32') / 255"
SUBCLASSED = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(16, 3, strides=2, activation="relu")
        self.norm = layers.BatchNormalization()
        self.second = layers.Conv2D(32, 3, strides=2, activation="relu")
        self.scale = self.add_weight(shape=(32,), initializer="ones", name="scale")
        self.last = layers.Dense(10, activation="softmax")

    def call(self, x, training=False):
        maps = self.second(self.norm(self.first(x), training=training)) * self.scale
        edges = keras.ops.max(maps, axis=(1, 2))
        return self.last(keras.ops.concatenate([keras.ops.mean(maps, axis=(1, 2)), edges], axis=-1))

model = Net()
"""
SEQUENTIAL = """
model = keras.Sequential([
    keras.Input((32, 32, 3)),
    layers.Conv2D(16, 3, strides=2, activation="relu"),
    layers.BatchNormalization(),
    layers.Conv2D(32, 3, strides=2, activation="relu"),
    layers.GlobalMaxPooling2D(),
    layers.Dense(10, activation="softmax"),
])
"""
OWN_LOSS = """
def own_loss(y_true, y_pred):
    right = keras.ops.sum(keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), 10) * y_pred, axis=-1)
    return -keras.ops.log(right + 1e-6)
"""
COMPILE = "model.compile(optimizer=keras.optimizers.Adam(3e-3), loss={loss}, metrics=['accuracy'])"
FIT = "history = model.fit(x_train, y_train, batch_size=32, epochs=20, validation_data=(x_test, y_test))"
STOCK_LOSS = COMPILE.format(loss="'sparse_categorical_crossentropy'")


STREAMS = """
import tensorflow as tf
train = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(5000).batch(32).prefetch(1)
held = tf.data.Dataset.from_tensor_slices((x_test, y_test)).batch(100)
history = model.fit(train, epochs=20, validation_data=held)
"""
ROOTS = "x_train, x_test = (np.sqrt(part / 255.0) for part in (x_train, x_test))"
SHUFFLED = "order = np.random.permutation(len(x_test))\n" + FIT.replace("(x_test, y_test)", "(x_test[order], y_test[order])")
ORDINARY = (LOAD + SCALED, SEQUENTIAL, OWN_LOSS, COMPILE.format(loss="own_loss"), FIT)


def cells_of(*sources):
    return tuple(Cell(index=index, kind="code", source=source) for index, source in enumerate(sources))


@cache
def seen(*sources):
    """The notebook's last fitted model as an ordinary run shows it."""
    cells = cells_of(*sources)
    with start_notebook(cells, sandbox.choose(), LIMITS, dataset.ensure(small_store()).folder) as running:
        record = collect_notebook(running, cells, LIMITS)
    assert [cell.error for cell in record.cells] == [None] * len(cells)
    fit = record.fits[-1]
    claim = next(claim for claim in record.models if (claim.serial, claim.version) == (fit.serial, fit.version))
    graph, refusal = warm_box2().rebuild(claim)
    return Model(claim=claim, graph=graph, refusal=refusal, compiled=record.compiles[-1], fits=record.fits)


def measured(model, *sources, **options):
    data = dataset.ensure(small_store()).folder
    return sandboxed.measure(cells_of(*sources), sandbox.choose(), LIMITS, data, "base", model, setting(), checkpoints=SOON, **options)


# ------------------------------------------------------------------ verdicts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("refused", "sources"),
    [
        ("Net has weights of its own", (LOAD + SCALED, SUBCLASSED, STOCK_LOSS, FIT)),
        ("a loss of its own", (LOAD + SCALED, SEQUENTIAL, OWN_LOSS, COMPILE.format(loss="own_loss"), STREAMS)),
        ("preprocessing of its images fits no rule", (LOAD + ROOTS, SEQUENTIAL, STOCK_LOSS, SHUFFLED)),
    ],
    ids=["own_call", "own_loss_in_streams", "own_preprocessing_shuffled"],
)
def test_what_cannot_be_repeated_is_trained_in_the_box_and_learns(refused, sources):
    model = seen(*sources)
    with pytest.raises(RebuildRefused, match=refused):
        specify(model)
    found = measured(model, *sources)
    assert (found.verdict, found.way, found.fraction) == ("learns", "sandboxed", 1.0), found
    assert found.shown.accuracy >= 0.25
    assert found.shown.points[-1].images in SOON
    assert found.review == sandboxed.REVIEW
    assert refused in found.notes[0]
    assert "one random start" in found.notes[0]
    assert found.reason.startswith("Trained again, the network learns")


@pytest.mark.slow
def test_a_model_that_says_the_same_of_every_image_stays_at_guessing():
    sources = (LOAD + SCALED, SUBCLASSED.replace("* self.scale", "* self.scale * 0.0"), STOCK_LOSS, FIT)
    found = measured(seen(*sources), *sources)
    assert (found.verdict, found.fraction, found.review) == ("stuck", 0.0, sandboxed.REVIEW), found
    assert [point.images for point in found.shown.points] == list(SOON)


FORGED = """
import gc
writer = next(item for item in gc.get_objects() if type(item).__name__ == "Writer" and hasattr(item, "_descriptor"))
for images in (1600, 4800):
    rows, outputs = list(range(len(y_test))), np.eye(10)[y_test.reshape(-1)].tolist()
    writer.send("predictions", {"fit": 0, "images": images, "step": images // 32, "rows": rows, "outputs": outputs, "matched": True})
"""


@pytest.mark.slow
def test_predictions_forged_from_the_labels_in_the_box_are_guesses():
    found = measured(seen(*ORDINARY), ORDINARY[0] + FORGED, *ORDINARY[1:])
    assert found.verdict == "stuck", found
    assert found.shown.accuracy == pytest.approx(0.1, abs=0.04)
    assert found.shown.steps == 4800 // 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (FORGED.replace("np.eye(10)[y_test.reshape(-1)].tolist()", "[[1e999] * 10] * len(y_test)"), "sent something unreadable"),
        (FORGED.replace("list(range(len(y_test)))", "[0] * len(y_test)"), "sent something unreadable"),
    ],
    ids=["not_finite", "one_row_over_and_over"],
)
def test_malformed_predictions_are_not_measured(sent, reason):
    found = measured(seen(*ORDINARY), ORDINARY[0] + sent, *ORDINARY[1:])
    assert (found.verdict, found.reruns, found.review) == ("not_measured", (), "")
    assert reason in found.reason


# ------------------------------------------------------------------ which calls, how many seeds


def model_of(**fit):
    fields = {
        "call": "fit",
        "train": DataClaim(container="array"),
        "validation": DataClaim(container="array", dataset="cifar10", split="test"),
        **fit,
    }
    claim = ModelClaim(serial=0, version=0, cell=0, kind="Subclassed", unbuildable="its layers cannot be followed")
    return Model(claim=claim, refusal=claim.unbuildable, fits=(FitClaim(index=0, cell=1, serial=0, version=0, **fields),))


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        ({"train": None}, "no training call"),
        ({"call": "train_on_batch"}, "the notebook's own loop"),
        ({"error": CellError(type="ValueError", message="x")}, "fails (ValueError)"),
        ({"validation": None, "validation_split": 0.2}, "no validation images"),
        ({"validation": DataClaim(container="array", split="train")}, "not the test images"),
        ({"validation": DataClaim(container="array", split="mixed")}, "not the test images"),
    ],
)
def test_a_call_that_cannot_be_scored_starts_no_box(fit, reason):
    found = sandboxed.measure((), None, LIMITS, None, "base", model_of(**fit), setting())
    assert (found.verdict, found.way) == ("not_measured", "sandboxed")
    assert reason in found.reason


@pytest.mark.parametrize(
    ("endings", "seeds", "verdict"),
    [
        (["learns"], 3, "learns"),
        (["stuck", "learns"], 3, "learns"),
        (["stuck", "stuck", "stuck"], 3, "stuck"),
        (["stuck"], 1, "stuck"),
        (["doubtful", "stuck"], 2, "doubtful"),
        (["cut"], 3, "not_measured"),
    ],
)
def test_what_does_not_learn_is_tried_on_more_seeds(monkeypatch, endings, seeds, verdict):
    tried = []

    def make(self, cells, box, limits, data, seed, deadline):
        held = sandboxed.scored(claim_of([[1.0] + [0.0] * 9] * 10), tuple(range(10)))
        tried.append(seed)
        point = course.Checkpoint(
            step=1, images=4800, train_loss=None, train_accuracy=0.0, finite=True, gradients=(), seconds=0.0, held=held
        )
        return course.rerun(seed, endings[len(tried) - 1], [point])

    monkeypatch.setattr(sandboxed._Attempt, "make", make)
    found = sandboxed.measure((), None, LIMITS, None, "base", model_of(), setting(), seeds=seeds)
    assert (found.verdict, tried) == (verdict, list(range(len(endings))))
    assert bool(found.review) == (verdict != "not_measured")


# ------------------------------------------------------------------ decoding and scoring


def body_of(outputs, **more):
    return {"fit": 0, "images": 1600, "step": 50, "rows": list(range(len(outputs))), "outputs": outputs, "matched": True, **more}


def claim_of(outputs, **more):
    collector = RunCollector()
    collector.add("predictions", body_of(outputs, **more))
    (claim,) = collector.fields()["predictions"]
    assert isinstance(claim, PredictionsClaim)
    return claim


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [0]},
        {"rows": [0, 0]},
        {"rows": [0, -1]},
        {"rows": [0, 10_000]},
        {"rows": [0, 1.5]},
        {"outputs": [[0.1] * 10, [0.1] * 9]},
        {"outputs": [[0.1] * 11, [0.1] * 11]},
        {"outputs": [[0.1] * 10, [None] * 10]},
        {"outputs": [[0.1] * 10, ["1"] * 10]},
        {"outputs": [0.1, 0.1]},
        {"rows": list(range(10_001)), "outputs": [[0.1]] * 10_001},
        {"images": 0},
        {"matched": 1},
        {"accuracy": 1.0},
    ],
)
def test_predictions_that_are_not_exact_are_refused(change):
    with pytest.raises(FrameError, match="PredictionsClaim"):
        RunCollector().add("predictions", {**body_of([[0.1] * 10] * 2), **change})


def test_predictions_of_the_whole_test_set_fit_a_frame_and_few_are_taken():
    outputs = [[-0.123457e-12] * 10] * 10_000
    assert len(str(body_of(outputs))) < FRAME_BYTES
    collector = RunCollector()
    for _ in range(4):
        collector.add("predictions", body_of([[0.1] * 10]))
    with pytest.raises(FrameError, match="more than 4"):
        collector.add("predictions", body_of([[0.1] * 10]))


def test_scores_and_probabilities_are_scored_alike():
    scores = np.random.default_rng(1).normal(size=(50, 10))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = tuple(int(label) for label in np.where(np.arange(50) % 2, scores.argmax(axis=1), scores.argmin(axis=1)))
    wanted = float(-np.log(probabilities[np.arange(50), labels]).mean())
    for outputs in (scores, probabilities):
        held = sandboxed.scored(claim_of(outputs.tolist()), labels)
        assert (held.accuracy, held.images, held.constant) == (0.5, 50, False)
        assert held.loss == pytest.approx(wanted, rel=1e-6)


def test_what_is_missing_or_says_nothing_is_wrong():
    right = [0.9] + [0.01] * 9
    assert sandboxed.scored(claim_of([right] * 4, rows=[0, 2, 3, 4]), (0,) * 5).accuracy == 0.8
    nothing = sandboxed.scored(claim_of([[0.0] * 10] * 5), (0,) * 5)
    assert (nothing.accuracy, nothing.constant) == (0.0, True)
    huge = sandboxed.scored(claim_of([[1e308, -1e308] + [1e308] * 8] * 5), (1,) * 5)
    assert (huge.accuracy, round(huge.loss, 1)) == (0.0, 16.1)


# ------------------------------------------------------------------ the folder and the box's side


def test_a_veiled_folder_holds_no_true_test_label_and_is_removed():
    folder = dataset.ensure(small_store()).folder
    with dataset.veiled(folder) as (veiled, labels):
        parts = {name: (np.load(folder / name), np.load(veiled / name)) for name in dataset.FILES}
        assert sorted(path.name for path in veiled.iterdir()) == sorted(dataset.FILES)
    assert not veiled.exists()
    assert all(np.array_equal(*parts[name]) for name in ("x_train.npy", "y_train.npy"))
    true, false = np.array(labels), parts["y_test.npy"][1]
    assert (false.shape, false.dtype) == (parts["y_test.npy"][0].shape, np.uint8)
    assert np.mean(false.reshape(-1) == true) == pytest.approx(0.1, abs=0.05)
    kept = {image.tobytes(): label for image, label in zip(parts["x_test.npy"][0], parts["y_test.npy"][0].reshape(-1), strict=True)}
    images = parts["x_test.npy"][1]
    found = [(kept.get(image.tobytes()), kept.get(image[:, ::-1].tobytes())) for image in images]
    assert [a if b is None else b for a, b in found] == list(labels)
    assert 0.4 < np.mean([a is None for a, _ in found]) < 0.6
    assert np.mean(images[:, 0, 0, 0] == parts["x_test.npy"][0][:, 0, 0, 0]) < 0.2


IMAGES = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
SHUFFLE = np.random.default_rng(1).permutation(300)


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        (IMAGES[50:100] / 255, np.arange(50, 100)),
        (np.sqrt(IMAGES[50:100]), np.arange(50, 100)),
        (IMAGES[50:100].mean(axis=-1, keepdims=True), np.arange(50, 100)),
        (IMAGES[50:100].reshape(-1, 3072), np.arange(50, 100)),
        (IMAGES[SHUFFLE[50:100]] / 255.0 - 0.5, SHUFFLE[50:100]),
        (np.square(IMAGES[SHUFFLE[50:100]] / 255.0), SHUFFLE[50:100]),
        (IMAGES[SHUFFLE[:50]].repeat(2, axis=1).repeat(2, axis=2), SHUFFLE[:50]),
    ],
    ids=["scaled", "roots", "grey", "flat", "shuffled", "shuffled_squares", "shuffled_and_larger"],
)
def test_images_are_matched_with_their_rows(given, rows):
    store = recipe.Store()
    store.add("cifar10", "test", IMAGES, np.zeros(300))
    found = recipe.rows_of(given, 50, store, ("cifar10", "test"))
    assert np.array_equal(found, rows)


@pytest.mark.parametrize("given", [255 - IMAGES[:50][:, ::-1], np.zeros((50, 5)), np.zeros((0, 32, 32, 3)), np.array(["x"] * 50)])
def test_other_images_match_no_row(given):
    store = recipe.Store()
    store.add("cifar10", "test", IMAGES, np.zeros(300))
    assert recipe.rows_of(given, 0, store, ("cifar10", "test")) is None


def taken(*args, most=5, **options):
    batches = really_train._batches(*args, **options)
    return [(np.ravel(x).tolist(), None if y is None else np.ravel(y).tolist()) for _, (x, y, _) in zip(range(most), batches, strict=False)]


class Batches:
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.array([index]), np.array([index * 10])


def test_batches_of_whatever_fit_takes():
    x, y = np.arange(5), np.arange(5) * 10
    assert taken(x, y, None, 2, most=3) == [([0, 1], [0, 10]), ([2, 3], [20, 30]), ([0, 1], [0, 10])]
    assert taken(x, y, None, 2, once=True) == [([0, 1], [0, 10]), ([2, 3], [20, 30]), ([4], [40])]
    assert taken(x, None, None, 9, most=2) == [([0, 1, 2, 3, 4], None)] * 2
    assert taken([1, 2, 3], [4, 5, 6], None, 2, most=1) == [([1, 2], [4, 5])]
    assert taken(Batches(), None, None, 9, most=3) == [([0], [0]), ([1], [10]), ([0], [0])]
    assert taken(iter([(x, y)]), None, None, 9) == [(x.tolist(), y.tolist())]
    assert taken(np.zeros((0, 2)), None, None, 9) == []
    assert taken(None, None, None, 9) == []
