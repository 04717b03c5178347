"""Edits of the reference solution: defects that must cost exactly their own criterion, and rewrites that must cost nothing.

An edit is `(cell id, old, new)`: every occurrence of the exact text `old` in that cell's source becomes `new`. The cell ids of
`reference/all_cnn_c/solution.ipynb` are words (`model`, `data`, `train`, `plot`, `dropout`, `augmentation`), so an edit can be read by itself. Its
convolutions are numbered 1 to 9 in comments at the ends of their lines, which is how `conv` and `after` find them.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

REFERENCE = Path(__file__).parents[2] / "reference" / "all_cnn_c" / "solution.ipynb"

Edit = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One defect. Criteria in `loses` must earn less than the reference, those in `may_lose` may, all others must earn the same."""

    name: str
    edits: tuple[Edit, ...]
    loses: frozenset[str]
    may_lose: frozenset[str] = frozenset()

    def notebook(self) -> NotebookNode:
        """The reference with this defect. Raises AssertionError if an edit's text does not occur."""
        return edited(reference(), self.edits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """A harmless change: the edits, then `reshape` (which moves, splits, joins or adds cells in place)."""

    name: str
    edits: tuple[Edit, ...] = ()
    reshape: Callable[[NotebookNode], None] | None = None

    def notebook(self) -> NotebookNode:
        """The reference so rewritten. Raises AssertionError if an edit's text does not occur."""
        notebook = edited(reference(), self.edits)
        if self.reshape is not None:
            self.reshape(notebook)
        return notebook


# ------------------------------------------------------------------ applying edits


@cache
def _stored() -> NotebookNode:
    return nbformat.read(REFERENCE, as_version=4)


def reference() -> NotebookNode:
    """A fresh copy of the reference solution."""
    return deepcopy(_stored())


def find(notebook: NotebookNode, cell: str) -> NotebookNode:
    """The cell with the id `cell`. Raises AssertionError unless there is exactly one."""
    found = [each for each in notebook.cells if each.id == cell]
    assert len(found) == 1, f"expected one cell with the id {cell!r} in {REFERENCE.name}, found {len(found)}"
    return found[0]


def edited(notebook: NotebookNode, edits: tuple[Edit, ...]) -> NotebookNode:
    """`notebook`, changed in place by the edits in their order. Raises AssertionError if a text to replace does not occur."""
    for cell, old, new in edits:
        node = find(notebook, cell)
        assert old, f"cell {cell!r}: an edit must name the text that it replaces"
        assert old in node.source, f"cell {cell!r}: expected the text {old!r}, found none in:\n{node.source}"
        node.source = node.source.replace(old, new)
    return notebook


# ------------------------------------------------------------------ a vocabulary of edits

SOURCE: dict[str, str] = {cell.id: cell.source for cell in _stored().cells}
MODELS = ("model", "dropout", "augmentation")
COMPILING = ("train", "dropout", "augmentation")
CODE = ("model", "data", "train", "plot", "dropout", "augmentation")

IMPORT = "from tensorflow import keras"
INPUT = "    keras.Input(shape=(32, 32, 3)),"
GAP = "    keras.layers.GlobalAveragePooling2D(),"
DENSE = '    keras.layers.Dense(units=10, activation="softmax"),'
DROPOUT = "    keras.layers.Dropout(rate=0.2),"
RANDOM = (
    '    keras.layers.RandomFlip(mode="horizontal"),\n'
    "    keras.layers.RandomRotation(factor=0.05),\n"
    "    keras.layers.RandomTranslation(height_factor=0.1, width_factor=0.1),"
)
TRAIN_SCALED = 'x_train = x_train.astype("float32") / 255.0'
TEST_SCALED = 'x_test = x_test.astype("float32") / 255.0'
LOSS = 'loss="sparse_categorical_crossentropy"'
ADAM = "keras.optimizers.Adam(learning_rate=0.001)"
VALIDATION = "    validation_data=(x_test, y_test),\n"
FIT = SOURCE["train"][SOURCE["train"].index("history = ") :]
PLOTS = SOURCE["plot"][SOURCE["plot"].index("    plt.figure()") : SOURCE["plot"].index("\n\n\nplot_history(history)")]


def line_of(number: int, cell: str) -> str:
    """The line of convolution `number` (1 to 9) in one of the three model cells."""
    lines = [line for line in SOURCE[cell].splitlines() if f"  # {number}: " in line]
    assert len(lines) == 1, f"cell {cell!r}: expected one line marked '# {number}: ', found {len(lines)}"
    return lines[0]


def conv(number: int, old: str, new: str, *, cell: str = "model") -> Edit:
    """In the line of one convolution, replace `old` with `new`."""
    line = line_of(number, cell)
    assert old in line, f"convolution {number}: expected the text {old!r}, found {line!r}"
    return (cell, line, line.replace(old, new))


def after(number: int, *layers: str, cell: str = "model") -> Edit:
    """Behind one convolution, insert layers (expressions, without the comma)."""
    line = line_of(number, cell)
    return (cell, line, "\n".join([line, *(f"    {layer}," for layer in layers)]))


def instead(line: str, *layers: str, cell: str = "model") -> Edit:
    """In the place of one line of a model, put other layers (expressions, without the comma); none: the line goes."""
    return (cell, line + "\n", "".join(f"    {layer},\n" for layer in layers))


def convolution(filters: int, kernel_size: int = 3, strides: int = 1, *, padding: str = "same", activation: str | None = "relu") -> str:
    """A convolution as an expression."""
    name = f'"{activation}"' if activation else "None"
    return f'keras.layers.Conv2D(filters={filters}, kernel_size={kernel_size}, strides={strides}, padding="{padding}", activation={name})'


def swap(number: int, *layers: str, cell: str = "model") -> Edit:
    """In the place of one convolution, put other layers."""
    return instead(line_of(number, cell), *layers, cell=cell)


def before(line: str, *layers: str, cell: str = "model") -> Edit:
    """In front of one line of a model, insert layers."""
    return (cell, line, "\n".join([*(f"    {layer}," for layer in layers), line]))


def without(number: int, *, cell: str = "model") -> Edit:
    """Remove one convolution."""
    return instead(line_of(number, cell), cell=cell)


def whole(cell: str, source: str) -> Edit:
    """Replace all of a cell's source."""
    return (cell, SOURCE[cell], source)


def in_cells(cells: tuple[str, ...], old: str, new: str) -> tuple[Edit, ...]:
    """The same replacement in several cells."""
    return tuple((cell, old, new) for cell in cells)


def mutant(name: str, *edits: Edit, loses: str, may_lose: str = "") -> Mutant:
    """A mutant; criterion ids are separated by blanks."""
    return Mutant(name=name, edits=edits, loses=frozenset(loses.split()), may_lose=frozenset(may_lose.split()))


def rewrite(name: str, *edits: Edit, reshape: Callable[[NotebookNode], None] | None = None) -> Rewrite:
    """A rewrite."""
    return Rewrite(name=name, edits=edits, reshape=reshape)


# ------------------------------------------------------------------ defects in the base model

RELU, SAME, VALID = 'activation="relu"', 'padding="same"', 'padding="valid"'
NO_HISTORY = "train.protocol curves.plotted"
"""A training call that raises keeps no history, and what was not kept cannot be plotted."""

POOLING = (
    mutant("pooling_max_stride_1", after(2, 'keras.layers.MaxPooling2D(pool_size=3, strides=1, padding="same")'), loses="model.no_pooling"),
    mutant(
        "pooling_average_stride_1",
        after(5, 'keras.layers.AveragePooling2D(pool_size=3, strides=1, padding="same")'),
        loses="model.no_pooling",
    ),
    mutant("pooling_max_alias", after(7, 'keras.layers.MaxPool2D(3, strides=1, padding="same")'), loses="model.no_pooling"),
    mutant(
        "pooling_max_extra",
        after(7, "keras.layers.MaxPooling2D(pool_size=2)"),
        loses="model.no_pooling",
        may_lose="model.strided_downsampling",
    ),
    mutant(
        "pooling_average_before_the_global_one",
        before(GAP, "keras.layers.AveragePooling2D(pool_size=2)"),
        loses="model.no_pooling",
        may_lose="model.strided_downsampling",
    ),
    mutant(
        "pooling_max_for_the_first_stride",
        swap(3, convolution(96), "keras.layers.MaxPooling2D(pool_size=2)"),
        loses="model.no_pooling model.strided_downsampling",
    ),
    mutant(
        "pooling_average_for_the_second_stride",
        swap(6, convolution(192), "keras.layers.AveragePooling2D(pool_size=2)"),
        loses="model.no_pooling model.strided_downsampling",
    ),
    mutant(
        "pooling_max_for_both_strides",
        swap(3, convolution(96), "keras.layers.MaxPooling2D(pool_size=2)"),
        swap(6, convolution(192), "keras.layers.MaxPooling2D(pool_size=2)"),
        loses="model.no_pooling model.strided_downsampling",
    ),
)

FLATTENING = (
    mutant("flatten_for_the_global_pooling", instead(GAP, "keras.layers.Flatten()"), loses="model.no_flatten model.head"),
    mutant("reshape_for_the_global_pooling", instead(GAP, "keras.layers.Reshape((8 * 8 * 10,))"), loses="model.no_flatten model.head"),
    mutant("reshape_with_unknown_length", instead(GAP, "keras.layers.Reshape((-1,))"), loses="model.no_flatten model.head"),
    mutant(
        "flatten_and_hidden_dense",
        instead(GAP, "keras.layers.Flatten()", 'keras.layers.Dense(units=128, activation="relu")'),
        loses="model.no_flatten model.head",
    ),
)

STRIDES = (
    mutant("stride_missing_in_the_third", conv(3, "strides=2", "strides=1"), loses="model.strided_downsampling"),
    mutant("stride_missing_in_the_sixth", conv(6, "strides=2", "strides=1"), loses="model.strided_downsampling"),
    mutant(
        "stride_missing_in_both",
        conv(3, "strides=2", "strides=1"),
        conv(6, "strides=2", "strides=1"),
        loses="model.strided_downsampling",
    ),
    mutant("stride_argument_forgotten", conv(6, "strides=2, ", ""), loses="model.strided_downsampling"),
    mutant("strided_convolution_forgotten", without(6), loses="model.strided_downsampling"),
    mutant("stride_in_a_1x1_convolution", conv(3, "kernel_size=3", "kernel_size=1"), loses="model.strided_downsampling"),
    mutant(
        "stride_moved_to_the_1x1_convolution",
        conv(6, "strides=2", "strides=1"),
        conv(8, "strides=1", "strides=2"),
        loses="model.strided_downsampling",
    ),
    mutant(
        "stride_4_at_once",
        conv(3, "strides=2", "strides=4"),
        conv(6, "strides=2", "strides=1"),
        loses="model.strided_downsampling",
    ),
)

PADDING = (
    *(mutant(f"padding_valid_in_convolution_{number}", conv(number, SAME, VALID), loses="model.same_padding") for number in (1, 3, 5, 7)),
    mutant("padding_argument_forgotten", conv(2, f"{SAME}, ", ""), loses="model.same_padding"),
    mutant("padding_valid_in_both_strided", conv(3, SAME, VALID), conv(6, SAME, VALID), loses="model.same_padding"),
    mutant("padding_valid_everywhere", ("model", SAME, VALID), loses="model.same_padding"),
    mutant("padding_forgotten_everywhere", ("model", f"{SAME}, ", ""), loses="model.same_padding"),
)

SCORE_MAPS = (
    mutant("score_maps_3x3", swap(9, convolution(10, 3)), loses="model.score_maps"),
    mutant("score_maps_5x5", swap(9, convolution(10, 5)), loses="model.score_maps"),
    mutant("score_maps_20", swap(9, convolution(20, 1)), loses="model.score_maps"),
    mutant("score_maps_100", swap(9, convolution(100, 1)), loses="model.score_maps"),
    mutant("score_maps_1", swap(9, convolution(1, 1)), loses="model.score_maps"),
    mutant("score_maps_missing", without(9), loses="model.score_maps"),
    mutant("score_maps_192", swap(9, convolution(192, 1)), loses="model.score_maps"),
    mutant(
        "score_maps_before_the_last_convolution", without(8), swap(9, convolution(10, 1), convolution(192, 1)), loses="model.score_maps"
    ),
    mutant("score_maps_followed_by_3x3", swap(9, convolution(10, 1), convolution(64, 3)), loses="model.score_maps"),
)

HEAD = (
    mutant("head_without_dense", instead(DENSE, "keras.layers.Softmax()"), loses="model.head"),
    mutant("head_without_dense_activation_layer", instead(DENSE, 'keras.layers.Activation("softmax")'), loses="model.head"),
    mutant("head_with_hidden_dense", before(DENSE, 'keras.layers.Dense(units=64, activation="relu")'), loses="model.head"),
    mutant(
        "head_with_two_hidden_dense",
        before(DENSE, 'keras.layers.Dense(units=256, activation="relu")', 'keras.layers.Dense(units=128, activation="relu")'),
        loses="model.head",
    ),
    mutant("head_global_max_pooling", instead(GAP, "keras.layers.GlobalMaxPooling2D()"), loses="model.head"),
    mutant("head_linear", ("model", 'units=10, activation="softmax"', "units=10"), loses="model.head train.loss"),
    mutant("head_sigmoid", ("model", 'activation="softmax"', 'activation="sigmoid"'), loses="model.head", may_lose="train.loss"),
    mutant("head_relu", ("model", 'units=10, activation="softmax"', f"units=10, {RELU}"), loses="model.head", may_lose="train.loss"),
    mutant("head_two_softmaxes", ("model", DENSE, f"{DENSE}\n    keras.layers.Softmax(),"), loses="model.head", may_lose="train.loss"),
    mutant(
        "head_dense_before_the_global_pooling",
        ("model", f"{GAP}\n{DENSE}", f"{DENSE}\n{GAP}"),
        loses="model.head",
        may_lose="train.loss",
    ),
)

NARROW = (("model", "filters=96", "filters=32"), ("model", "filters=192", "filters=64"))
HALF = (("model", "filters=96", "filters=48"), ("model", "filters=192", "filters=96"))
WIDE = (("model", "filters=96", "filters=160"), ("model", "filters=192", "filters=320"))
DOUBLE = (("model", "filters=192", "filters=384"), ("model", "filters=96", "filters=192"))

PARAMETERS = (
    mutant("parameters_a_tenth", *NARROW, loses="model.parameters"),
    mutant("parameters_a_quarter", *HALF, loses="model.parameters"),
    mutant("parameters_threefold", *WIDE, loses="model.parameters"),
    mutant("parameters_fourfold", *DOUBLE, loses="model.parameters"),
    mutant("parameters_5x5_kernels", ("model", "kernel_size=3", "kernel_size=5"), loses="model.parameters"),
    mutant("parameters_wide_convolution_added", after(7, convolution(512)), loses="model.parameters"),
)

LINEAR = (
    *(
        mutant(f"nonlinearity_missing_in_convolution_{number}", conv(number, RELU, "activation=None"), loses="model.nonlinear")
        for number in (1, 3, 6, 8)
    ),
    mutant("nonlinearity_argument_forgotten", conv(4, f", {RELU}", ""), loses="model.nonlinear"),
    mutant("nonlinearity_linear_by_name", conv(5, RELU, 'activation="linear"'), loses="model.nonlinear"),
    mutant("nonlinearity_missing_everywhere", ("model", f", {RELU}", ""), loses="model.nonlinear"),
    mutant(
        "nonlinearity_replaced_by_normalisation",
        ("model", f", {RELU}),", "), keras.layers.BatchNormalization(),"),
        loses="model.nonlinear",
    ),
    mutant(
        "nonlinearity_linear_layers",
        ("model", f", {RELU}),", '), keras.layers.Activation("linear"),'),
        loses="model.nonlinear",
    ),
)

# ------------------------------------------------------------------ defects in the data

CAST = '.astype("float32")'
RAW = "data.normalized"
TRAIN_RAW, TEST_RAW = f"x_train = x_train{CAST}", f"x_test = x_test{CAST}"


def data(train: str, test: str) -> tuple[Edit, ...]:
    """The two scaling lines of the data cell, replaced."""
    return (("data", TRAIN_SCALED, train), ("data", TEST_SCALED, test))


NOISE = "numpy.random.default_rng(seed=0).random(size={name}.shape, dtype=numpy.float32)"
UNSEEN = "data.cifar10 data.normalized data.consistent"
"""Where no images reach the base model's training call, nothing may be known about them."""

DATA = (
    mutant(
        "data_is_noise",
        *data(f"import numpy\n\nx_train = {NOISE.format(name='x_train')}", f"x_test = {NOISE.format(name='x_test')}"),
        loses="data.cifar10",
        may_lose="data.normalized data.consistent train.protocol",  # one seed: the test images are rows of the training images
    ),
    mutant(
        "data_is_zero",
        *data(
            "import numpy\n\nx_train = numpy.zeros(x_train.shape, dtype=numpy.float32)",
            "x_test = numpy.zeros(x_test.shape, dtype=numpy.float32)",
        ),
        loses="data.cifar10",
        may_lose="data.normalized data.consistent",
    ),
    mutant("raw_untouched", *data("pass", "pass"), loses=RAW),
    mutant("raw_cast_only", *data(TRAIN_RAW, TEST_RAW), loses=RAW),
    mutant("scaled_to_100", *data(f"{TRAIN_RAW} / 2.55", f"{TEST_RAW} / 2.55"), loses=RAW),
    mutant("scaled_twice", *data(f"{TRAIN_RAW} / 255.0 / 255.0", f"{TEST_RAW} / 255.0 / 255.0"), loses=RAW),
    mutant("scaled_the_wrong_way", *data(f"{TRAIN_RAW} * 255.0", f"{TEST_RAW} * 255.0"), loses=RAW),
    mutant("centred_only", *data(f"{TRAIN_RAW} - 128.0", f"{TEST_RAW} - 128.0"), loses=RAW),
    mutant("scaled_copy_never_used", *data(f"train_images = x_train{CAST} / 255.0", f"test_images = x_test{CAST} / 255.0"), loses=RAW),
    mutant("scaled_result_thrown_away", *data(f"x_train{CAST} / 255.0", f"x_test{CAST} / 255.0"), loses=RAW),
    mutant("scaled_in_a_comment", *data(f"# {TRAIN_SCALED}", f"# {TEST_SCALED}"), loses=RAW),
    mutant(
        "scaled_in_a_function_never_called",
        *data(f"def scale(images):\n    return images{CAST} / 255.0\n", "x_test = x_test"),
        loses=RAW,
    ),
    mutant(
        "scaled_after_training",
        *data("pass", "pass"),
        ("train", FIT, f"{FIT}\n\n{TRAIN_SCALED}\n{TEST_SCALED}"),
        loses=RAW,
    ),
    mutant(
        "raw_with_normalisation_first",
        *data(TRAIN_RAW, TEST_RAW),
        ("model", INPUT, f"{INPUT}\n    keras.layers.BatchNormalization(),"),
        loses=RAW,
    ),
    mutant("test_left_raw", ("data", TEST_SCALED, "x_test = x_test"), loses="data.consistent"),
    mutant("test_cast_only", ("data", TEST_SCALED, TEST_RAW), loses="data.consistent"),
    mutant("test_divided_by_225", ("data", TEST_SCALED, f"{TEST_RAW} / 225.0"), loses="data.consistent"),
    mutant("test_divided_twice", ("data", TEST_SCALED, f"{TEST_SCALED} / 255.0"), loses="data.consistent"),
    mutant("test_shifted", ("data", TEST_SCALED, f"{TEST_SCALED} - 0.5"), loses="data.consistent"),
    mutant("train_from_minus_one_test_from_zero", ("data", TRAIN_SCALED, f"{TRAIN_RAW} / 127.5 - 1.0"), loses="data.consistent"),
    mutant(
        "train_standardised_test_scaled",
        ("data", TRAIN_SCALED, f"{TRAIN_RAW}\nx_train = (x_train - x_train.mean()) / x_train.std()"),
        loses="data.consistent",
    ),
    mutant("train_left_raw", ("data", TRAIN_SCALED, TRAIN_RAW), loses="data.normalized data.consistent"),
)

# ------------------------------------------------------------------ defects in compiling and training the base model

Y_TRAIN, Y_TEST = "keras.utils.to_categorical(y_train, 10)", "keras.utils.to_categorical(y_test, 10)"
ONE_HOT_FIT = (("train", "    y_train,\n", f"    {Y_TRAIN},\n"), ("train", "(x_test, y_test)", f"(x_test, {Y_TEST})"))
COMPILE = SOURCE["train"][: SOURCE["train"].index("\n\nhistory = ")]


def loss(expression: str) -> Edit:
    """Another loss for the base model."""
    return ("train", LOSS, f"loss={expression}")


COMPILED = (
    mutant("loss_categorical_for_integer_labels", loss('"categorical_crossentropy"'), loses="train.loss", may_lose=NO_HISTORY),
    mutant("loss_categorical_object", loss("keras.losses.CategoricalCrossentropy()"), loses="train.loss", may_lose=NO_HISTORY),
    mutant("loss_sparse_for_one_hot_labels", *ONE_HOT_FIT, loses="train.loss", may_lose=NO_HISTORY),
    mutant("loss_squared_error", loss('"mean_squared_error"'), loses="train.loss"),
    mutant("loss_squared_error_one_hot", *ONE_HOT_FIT, loss('"mse"'), loses="train.loss"),
    mutant("loss_absolute_error", loss('"mae"'), loses="train.loss"),
    mutant("loss_binary_crossentropy", loss('"binary_crossentropy"'), loses="train.loss", may_lose=NO_HISTORY),
    mutant("loss_binary_crossentropy_one_hot", *ONE_HOT_FIT, loss('"binary_crossentropy"'), loses="train.loss"),
    mutant("loss_divergence_for_integers", loss('"kl_divergence"'), loses="train.loss"),
    mutant("loss_hinge", *ONE_HOT_FIT, loss('"categorical_hinge"'), loses="train.loss"),
    mutant("loss_logits_after_softmax", loss("keras.losses.SparseCategoricalCrossentropy(from_logits=True)"), loses="train.loss"),
    mutant(
        "loss_logits_after_softmax_one_hot",
        *ONE_HOT_FIT,
        loss("keras.losses.CategoricalCrossentropy(from_logits=True)"),
        loses="train.loss",
    ),
    mutant("loss_forgotten", ("train", f"    {LOSS},\n", ""), loses="train.loss", may_lose=NO_HISTORY),
    mutant("compile_forgotten", ("train", COMPILE, ""), loses="train.loss", may_lose=NO_HISTORY),
    mutant(
        "compile_in_a_comment",
        ("train", COMPILE, COMPILE.replace("\n", "\n# ").replace("model.", "# model.")),
        loses="train.loss",
        may_lose=NO_HISTORY,
    ),
)

NOT_TRAINED = f"{UNSEEN} curves.plotted"
INDENTED_FIT = FIT.replace("\n", "\n    ")

TRAINED = (
    mutant("validation_forgotten", ("train", VALIDATION, ""), loses="train.protocol", may_lose="curves.plotted data.consistent"),
    mutant(
        "validation_none",
        ("train", VALIDATION, "    validation_data=None,\n"),
        loses="train.protocol",
        may_lose="curves.plotted data.consistent",
    ),
    mutant(
        "validation_in_a_comment",
        ("train", "    validation_data", "    # validation_data"),
        loses="train.protocol",
        may_lose="curves.plotted data.consistent",
    ),
    mutant(
        "validation_of_five_images",
        ("train", VALIDATION, "    validation_split=1e-4,\n"),
        loses="train.protocol",
        may_lose="data.consistent",
    ),
    mutant(
        "validation_mirrored",
        ("train", VALIDATION, "    validation_data=(x_train[:500, :, ::-1], y_train[:500]),\n"),
        loses="train.protocol",
        may_lose="data.consistent",
    ),
    mutant("fit_forgotten", ("train", FIT, ""), loses="train.protocol", may_lose=NOT_TRAINED),
    mutant("fit_in_a_comment", ("train", FIT, "# " + FIT.replace("\n", "\n# ")), loses="train.protocol", may_lose=NOT_TRAINED),
    mutant("fit_never_reached", ("train", FIT, f"if False:\n    {INDENTED_FIT}"), loses="train.protocol", may_lose=NOT_TRAINED),
    mutant(
        "fit_in_a_function_never_called",
        ("train", FIT, f"def train():\n    {INDENTED_FIT}\n    return history"),
        loses="train.protocol",
        may_lose=NOT_TRAINED,
    ),
    mutant(
        "history_thrown_away",
        ("train", "history = model.fit", "model.fit"),
        ("plot", "\n\n\nplot_history(history)", ""),
        loses="train.protocol",
        may_lose="curves.plotted",
    ),
)

# ------------------------------------------------------------------ defects in the curves

LOSS_LINES = PLOTS[PLOTS.index('    plt.plot(history.history["loss"]') : PLOTS.index('    plt.title("Loss")')]
ACCURACY_LINES = PLOTS[PLOTS.index('    plt.plot(history.history["accuracy"]') : PLOTS.index('    plt.title("Accuracy")')]
ACCURACY_LINE, VAL_ACCURACY_LINE = ACCURACY_LINES.splitlines(keepends=True)

CURVES = (
    mutant("curves_of_the_loss_only", ("plot", ACCURACY_LINES, ""), loses="curves.plotted"),
    mutant("curves_of_the_loss_named_accuracy", ("plot", ACCURACY_LINES, LOSS_LINES), loses="curves.plotted"),
    mutant("curves_training_only", ("plot", VAL_ACCURACY_LINE, ""), loses="curves.plotted"),
    mutant("curves_test_only", ("plot", ACCURACY_LINE, ""), loses="curves.plotted"),
    mutant("curves_training_drawn_twice", ("plot", '["val_accuracy"]', '["accuracy"]'), loses="curves.plotted"),
    mutant("curves_printed_instead", ("plot", PLOTS, "    print(history.history)"), loses="curves.plotted"),
    mutant("curves_empty_figures", ("plot", ACCURACY_LINES, ""), ("plot", LOSS_LINES, ""), loses="curves.plotted"),
    mutant(
        "curves_invented",
        ("plot", 'history.history["accuracy"]', "[0.3, 0.5, 0.6, 0.7, 0.8]"),
        ("plot", 'history.history["val_accuracy"]', "[0.3, 0.45, 0.55, 0.6, 0.65]"),
        loses="curves.plotted",
    ),
    mutant("curves_in_a_comment", ("plot", PLOTS, PLOTS.replace("    plt.", "    # plt.") + "\n    return"), loses="curves.plotted"),
    mutant(
        "curves_function_never_called",
        *in_cells(("plot", "dropout", "augmentation"), "\n\nplot_history(history)", ""),
        loses="curves.plotted",
    ),
    mutant("curves_without_accuracy_metric", *in_cells(COMPILING, '    metrics=["accuracy"],\n', ""), loses="curves.plotted"),
)

# ------------------------------------------------------------------ defects in the dropout model

NO_DROPOUT = "dropout.placed dropout.rate"


def rate(value: str) -> Edit:
    """Another rate for the dropout model."""
    return ("dropout", "rate=0.2", f"rate={value}")


def dropped(*layers: str) -> Edit:
    """Other layers in the place of the Dropout layer."""
    return instead(DROPOUT, *layers, cell="dropout")


DROPPED = (
    mutant("dropout_forgotten", dropped(), loses=NO_DROPOUT),
    mutant("dropout_in_a_comment", ("dropout", DROPOUT, f"    # {DROPOUT.strip()}"), loses=NO_DROPOUT),
    mutant(
        "dropout_made_but_not_used",
        dropped(),
        ("dropout", "model = keras", "dropout = keras.layers.Dropout(rate=0.2)\nmodel = keras"),
        loses=NO_DROPOUT,
    ),
    mutant("dropout_section_left_out", whole("dropout", "# nothing yet"), loses=NO_DROPOUT),
    mutant(
        "dropout_weight_decay_instead",
        dropped(),
        ("dropout", SAME, f"{SAME}, kernel_regularizer=keras.regularizers.L2(0.0001)"),
        loses=NO_DROPOUT,
    ),
    mutant("dropout_rate_in_percent", rate("20"), loses=NO_DROPOUT),
    mutant("dropout_after_dense", dropped(), ("dropout", DENSE, f"{DENSE}\n{DROPOUT}"), loses="dropout.placed"),
    mutant("dropout_before_the_global_pooling", ("dropout", f"{GAP}\n{DROPOUT}", f"{DROPOUT}\n{GAP}"), loses="dropout.placed"),
    mutant("dropout_after_the_first_convolution", dropped(), after(1, DROPOUT.strip().rstrip(","), cell="dropout"), loses="dropout.placed"),
    mutant(
        "dropout_between_convolutions_only",
        dropped(),
        after(3, DROPOUT.strip().rstrip(","), cell="dropout"),
        after(6, DROPOUT.strip().rstrip(","), cell="dropout"),
        loses="dropout.placed",
    ),
    mutant("dropout_on_the_input", dropped(), ("dropout", INPUT, f"{INPUT}\n{DROPOUT}"), loses="dropout.placed"),
    *(
        mutant(f"dropout_rate_{value.replace('.', '_')}", rate(value), loses="dropout.rate")
        for value in ("0.0", "0.01", "0.06", "0.4", "0.5", "0.6", "0.8", "0.95")
    ),
)

# ------------------------------------------------------------------ defects in the augmentation model

NO_AUGMENTATION = "augmentation.placed"
GENERATOR = "datagen = ImageDataGenerator(rotation_range=18, width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True)"
FIT_ARGUMENTS = "    x_train,\n    y_train,\n"


def augmented(*layers: str) -> Edit:
    """Other layers in the place of the three random ones."""
    return instead(RANDOM, *layers, cell="augmentation")


AUGMENTED = (
    mutant("augmentation_forgotten", augmented(), loses=NO_AUGMENTATION),
    mutant("augmentation_in_comments", ("augmentation", RANDOM, RANDOM.replace("    keras", "    # keras")), loses=NO_AUGMENTATION),
    mutant("augmentation_section_left_out", whole("augmentation", "# nothing yet"), loses=NO_AUGMENTATION),
    mutant(
        "augmentation_after_the_first_convolution",
        augmented(),
        ("augmentation", line_of(1, "augmentation"), f"{line_of(1, 'augmentation')}\n{RANDOM}"),
        loses=NO_AUGMENTATION,
    ),
    mutant("augmentation_after_the_last_convolution", augmented(), ("augmentation", GAP, f"{RANDOM}\n{GAP}"), loses=NO_AUGMENTATION),
    mutant(
        "augmentation_made_but_not_used",
        augmented(),
        ("augmentation", "model = keras", f"augment = keras.Sequential([\n{RANDOM}\n])\n\nmodel = keras"),
        loses=NO_AUGMENTATION,
    ),
    mutant("augmentation_not_random", augmented("keras.layers.CenterCrop(28, 28)", "keras.layers.Resizing(32, 32)"), loses=NO_AUGMENTATION),
    mutant("augmentation_rescaling_only", augmented("keras.layers.Rescaling(scale=1.0)"), loses=NO_AUGMENTATION),
    mutant(
        "augmentation_by_a_generator",
        augmented(),
        (
            "augmentation",
            "model = keras",
            f"from tensorflow.keras.preprocessing.image import ImageDataGenerator\n\n{GENERATOR}\n\nmodel = keras",
        ),
        ("augmentation", FIT_ARGUMENTS, "    datagen.flow(x_train, y_train, batch_size=128),\n"),
        ("augmentation", "    epochs=30,\n    batch_size=128,\n", "    epochs=30,\n"),
        loses=NO_AUGMENTATION,
    ),
    mutant(
        "augmentation_in_the_input_pipeline",
        augmented(),
        (
            "augmentation",
            "model = keras",
            (
                "import tensorflow as tf\n\n"
                "batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(1000).batch(128)\n"
                "batches = batches.map(lambda images, labels: (tf.image.random_flip_left_right(images), labels))\n\nmodel = keras"
            ),
        ),
        ("augmentation", FIT_ARGUMENTS, "    batches,\n"),
        ("augmentation", "    epochs=30,\n    batch_size=128,\n", "    epochs=30,\n"),
        loses=NO_AUGMENTATION,
    ),
)

# ------------------------------------------------------------------ defects of effect: the right names that do nothing, the wrong thing by other words


def body(cell: str) -> list[str]:
    """The layers of a model cell as expressions, the input first."""
    lines = SOURCE[cell].split("keras.Sequential([\n")[1].split("\n])")[0].splitlines()
    return [line.split("  # ")[0].strip().removesuffix(",") for line in lines]


def model_statement(cell: str) -> str:
    """The statement that makes the model of a cell."""
    start = SOURCE[cell].index("model = keras.Sequential([")
    return SOURCE[cell][start : SOURCE[cell].index("\n])") + 3]


def functional(layers: list[str]) -> str:
    """The functional way, with one name for all tensors."""
    calls = [f"x = {layer}({'inputs' if number == 0 else 'x'})" for number, layer in enumerate(layers[1:])]
    return "\n".join([f"inputs = {layers[0]}", *calls, "model = keras.Model(inputs, x)"])


def behind(*numbers: int, step: str, cell: str = "model") -> Edit:
    """The functional way, with a step (an expression that is called with a tensor) behind these layers; the input is 0, the first layer 1."""
    layers = [part for number, layer in enumerate(body(cell)) for part in (layer, *[step] * (number in numbers))]
    return (cell, model_statement(cell), functional(layers))


def replaced(number: int, *steps: str, cell: str = "model") -> Edit:
    """The functional way, with other steps in the place of a layer; -1 is the last."""
    layers = body(cell)
    layers[number : number + 1 or None] = steps
    return (cell, model_statement(cell), functional(layers))


def bent(number: int, *layers: str) -> Edit:
    """Other layers in the place of one convolution's ReLU."""
    return conv(number, f", {RELU}),", f"), {', '.join(layers)},")


AVERAGING = (
    "keras.layers.DepthwiseConv2D(2, strides=2, depthwise_initializer=keras.initializers.Constant(0.25), use_bias=False, trainable=False)"
)
LARGEST_OF_SLICES = "(lambda x: keras.ops.maximum(keras.ops.maximum(x[:, ::2, ::2], x[:, 1::2, ::2]), keras.ops.maximum(x[:, ::2, 1::2], x[:, 1::2, 1::2])))"
SMALLER = {
    "max_of_one": "keras.layers.MaxPooling2D(1, strides=2)",
    "average_of_one": 'keras.layers.AveragePooling2D(pool_size=1, strides=4, padding="same")',
    "slices": "(lambda x: x[:, ::2, ::2])",
    "slices_with_channels": "(lambda x: x[:, 1::2, 1::2, :])",
    "largest_of_a_block": "(lambda x: keras.ops.max(keras.layers.Reshape((16, 2, 16, 2, 96))(x), axis=(2, 4)))",
    "mean_of_a_block": "(lambda x: keras.ops.mean(keras.ops.reshape(x, (-1, 16, 2, 16, 2, 96)), axis=(2, 4)))",
    "largest_of_slices": LARGEST_OF_SLICES,
    "an_operation": "(lambda x: keras.ops.max_pool(x, 2))",
    "resizing": "keras.layers.Resizing(16, 16)",
    "resizing_to_the_nearest": 'keras.layers.Resizing(16, 16, interpolation="nearest")',
    "an_averaging_convolution": AVERAGING,
    "a_sequence": "(lambda x: keras.layers.Reshape((16, 16, 96))(keras.layers.MaxPooling1D(4)(keras.layers.Reshape((1024, 96))(x))))",
}
FLATTENED = {
    "to_one_position": ("keras.layers.Reshape((1, 1, 640))", "keras.layers.Flatten()"),
    "channels_first": ("keras.layers.Permute((3, 1, 2))", "keras.layers.Reshape((-1,))"),
    "by_an_operation": ("(lambda x: keras.ops.reshape(x, (-1, 640)))",),
    "by_a_lambda": ("keras.layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 640)))",),
}
UNBENT = {
    "leaky_slope_1": ("keras.layers.LeakyReLU(negative_slope=1.0)",),
    "slope_1": ("keras.layers.ReLU(negative_slope=1.0)",),
    "leaky_slope_097": ("keras.layers.LeakyReLU(negative_slope=0.97)",),
    "a_thousandth": ("keras.layers.Lambda(lambda x: x + 1e-3 * keras.ops.relu(x))",),
    "prelu_of_ones": ('keras.layers.PReLU(alpha_initializer="ones", shared_axes=[1, 2])',),
    "relu_up_to_0": ("keras.layers.ReLU(max_value=0.0)",),
    "relu_of_an_offset": ("keras.layers.Rescaling(scale=1.0, offset=1000.0)", "keras.layers.ReLU()"),
    "lambda": ("keras.layers.Lambda(lambda x: 1.0 * x)",),
    "never_clipped": ("keras.layers.Lambda(lambda x: keras.ops.clip(x, -1e6, 1e6))",),
}
IDLE_IN_FRONT = {
    "normalization": ("keras.layers.Normalization(mean=0.0, variance=1.0)",),
    "rescaling_by_1": ("keras.layers.Rescaling(scale=1.0)",),
    "rescaling_and_back": ("keras.layers.Rescaling(scale=1 / 255)", "keras.layers.Rescaling(scale=255.0)"),
    "rescaling_of_two_channels": ("keras.layers.Rescaling(scale=[1.0, 1 / 255, 1 / 255])",),
}
IDLE_RANDOM = {
    "rotation": "keras.layers.RandomRotation(factor=0.0)",
    "translation": "keras.layers.RandomTranslation(height_factor=0.0, width_factor=0.0)",
    "zoom": "keras.layers.RandomZoom(height_factor=0.0)",
    "contrast": "keras.layers.RandomContrast(factor=0.0)",
    "crop": "keras.layers.RandomCrop(32, 32)",
    "grayscale": "keras.layers.RandomGrayscale(factor=0.0)",
}
DROPOUT_LAYER, FLIP = "keras.layers.Dropout(rate=0.2)", 'keras.layers.RandomFlip(mode="horizontal")'
OWN_LAYERS = """class Thinned(keras.layers.Layer):
    def __init__(self, word=None):
        super().__init__()
        self.dropout, self.word = keras.layers.Dropout(0.2), word

    def call(self, x, training=None):
        return self.dropout(x, training=training if self.word is None else self.word)


class Halved(keras.layers.Layer):
    def call(self, x):
        return keras.ops.maximum(x, 0.3 * x)


class Averaged(keras.layers.Layer):
    def call(self, x):
        return keras.ops.mean(x, axis=(1, 2))
"""
WITH_OWN = ("model", f"{IMPORT}\n", f"{IMPORT}\n\n\n{OWN_LAYERS}")

EFFECTS = (
    *(
        mutant(f"effect_smaller_by_{name}", behind(2, step=step), loses="model.no_pooling", may_lose="model.strided_downsampling")
        for name, step in SMALLER.items()
    ),
    mutant(
        "effect_max_of_one_for_both_strides",
        swap(3, convolution(96), SMALLER["max_of_one"]),
        swap(6, convolution(192), SMALLER["max_of_one"]),
        loses="model.no_pooling model.strided_downsampling",
    ),
    *(mutant(f"effect_flattened_{name}", replaced(10, *steps), loses="model.no_flatten model.head") for name, steps in FLATTENED.items()),
    mutant("effect_the_middle_of_the_map", replaced(10, "(lambda x: x[:, 4, 4, :])"), loses="model.head", may_lose="model.no_pooling"),
    mutant(
        "effect_softmax_over_one_value",
        replaced(
            -1, "keras.layers.Dense(units=10)", "keras.layers.Reshape((1, 10))", "keras.layers.Softmax(axis=1)", "keras.layers.Flatten()"
        ),
        loses="model.head",
        may_lose="train.loss",
    ),
    *(mutant(f"effect_linear_{name}", bent(4, *layers), loses="model.nonlinear") for name, layers in UNBENT.items()),
    mutant(
        "effect_linear_by_a_bias_of_1000",
        conv(5, RELU, f"{RELU}, bias_initializer=keras.initializers.Constant(1000.0)"),
        loses="model.nonlinear",
    ),
    mutant("effect_linear_by_a_function", conv(6, RELU, "activation=lambda x: x"), loses="model.nonlinear"),
    *(
        mutant(
            f"effect_raw_with_{name}",
            *data(TRAIN_RAW, TEST_RAW),
            ("model", INPUT, "\n".join([INPUT, *(f"    {each}," for each in layers)])),
            loses=RAW,
        )
        for name, layers in IDLE_IN_FRONT.items()
    ),
    *(mutant(f"effect_augmentation_no_{name}", augmented(layer), loses=NO_AUGMENTATION) for name, layer in IDLE_RANDOM.items()),
    *(
        mutant(
            f"effect_augmentation_called_with_{word}",
            (
                "augmentation",
                model_statement("augmentation"),
                functional([body("augmentation")[0], f"(lambda x: {FLIP}(x, training={word}))", *body("augmentation")[4:]]),
            ),
            loses=NO_AUGMENTATION,
        )
        for word in ("False", "True")
    ),
    mutant(
        "effect_augmentation_model_called_with_False",
        (
            "augmentation",
            model_statement("augmentation"),
            functional([body("augmentation")[0], f"(lambda x: keras.Sequential([{FLIP}])(x, training=False))", *body("augmentation")[4:]]),
        ),
        loses=NO_AUGMENTATION,
    ),
    mutant(
        "effect_dropout_called_with_False",
        replaced(11, f"(lambda x: {DROPOUT_LAYER}(x, training=False))", cell="dropout"),
        loses=NO_DROPOUT,
    ),
    mutant(
        "effect_dropout_always_on", replaced(11, f"(lambda x: {DROPOUT_LAYER}(x, training=True))", cell="dropout"), loses="dropout.placed"
    ),
    mutant("effect_dropout_in_a_layer_that_never_drops", WITH_OWN, dropped("Thinned(word=False)"), loses=NO_DROPOUT),
    mutant("effect_dropout_of_whole_images", ("dropout", "rate=0.2", "rate=0.2, noise_shape=(None, 1)"), loses="dropout.placed"),
)

MUTANTS: tuple[Mutant, ...] = (
    *POOLING,
    *FLATTENING,
    *STRIDES,
    *PADDING,
    *SCORE_MAPS,
    *HEAD,
    *PARAMETERS,
    *LINEAR,
    *DATA,
    *COMPILED,
    *TRAINED,
    *CURVES,
    *DROPPED,
    *AUGMENTED,
    *EFFECTS,
)

# ------------------------------------------------------------------ rewrites that keep every point: whole models


def other_model(write: Callable[[list[str]], str]) -> tuple[Edit, ...]:
    """Write all three models anew: `write` gets the layers of `body` and returns statements that end with a `model`."""
    return tuple((cell, model_statement(cell), write(body(cell))) for cell in MODELS)


def by_adding(layers: list[str]) -> str:
    """One `add` for each layer."""
    return "\n".join(["model = keras.Sequential()", *(f"model.add({layer})" for layer in layers)])


def functional_by_keyword(layers: list[str]) -> str:
    """The functional way, with `inputs=` and `outputs=` and a name of its own for each tensor."""
    calls = [f"tensor_{number + 1} = {layer}(tensor_{number})" for number, layer in enumerate(layers[1:])]
    last = f"model = keras.models.Model(inputs=tensor_0, outputs=tensor_{len(calls)}, name='all_cnn')"
    return "\n".join([f"tensor_0 = {layers[0]}", *calls, last])


def nested(layers: list[str]) -> str:
    """Features and head as two models inside a third."""
    cut = next(number for number, layer in enumerate(layers) if "GlobalAverage" in layer)
    features, head = ("[" + ", ".join(part) + "]" for part in (layers[1:cut], layers[cut:]))
    return (
        f"features = keras.Sequential({features})\nhead = keras.Sequential({head})\nmodel = keras.Sequential([{layers[0]}, features, head])"
    )


def from_a_list(layers: list[str]) -> str:
    """A list that grows, given to Sequential at the end."""
    return "\n".join([f"layers = [{layers[0]}]", *(f"layers += [{layer}]" for layer in layers[1:]), "model = keras.Sequential(layers)"])


def from_a_function(layers: list[str]) -> str:
    """A function that builds the model."""
    inside = ",\n        ".join(layers)
    return f"def build_model():\n    return keras.Sequential([\n        {inside},\n    ])\n\n\nmodel = build_model()"


LOOP = """model = keras.Sequential()
model.add(keras.Input(shape=(32, 32, 3)))
for filters, kernel_size, strides in [(96, 3, 1), (96, 3, 1), (96, 3, 2), (192, 3, 1), (192, 3, 1), (192, 3, 2), (192, 3, 1), (192, 1, 1)]:
    model.add(keras.layers.Conv2D(filters, kernel_size, strides=strides, padding="same", activation="relu"))
model.add(keras.layers.Conv2D(10, 1))
model.add(keras.layers.GlobalAveragePooling2D())
model.add(keras.layers.Dense(10, activation="softmax"))"""
WHOLE_MODEL = SOURCE["model"][len(IMPORT) + 2 : SOURCE["model"].index("\n\nmodel.summary()")]

MODEL_STYLES = (
    rewrite("model_by_adding", *other_model(by_adding)),
    rewrite("model_functional", *other_model(functional)),
    rewrite("model_functional_by_keyword", *other_model(functional_by_keyword)),
    rewrite("model_nested", *other_model(nested)),
    rewrite("model_from_a_list", *other_model(from_a_list)),
    rewrite("model_from_a_function", *other_model(from_a_function)),
    rewrite("model_from_a_loop", ("model", WHOLE_MODEL, LOOP)),
    rewrite(
        "model_and_layers_named",
        *in_cells(MODELS, "\n])", '\n], name="all_cnn_c")'),
        conv(1, "filters", 'name="first", filters'),
        conv(9, "filters", 'name="score_maps", filters'),
    ),
)

# ------------------------------------------------------------------ rewrites: how layers are written


def in_models(old: str, new: str) -> tuple[Edit, ...]:
    """The same replacement in all three models."""
    return in_cells(MODELS, old, new)


SOFTMAX = ', activation="softmax"'

LAYERS = (
    rewrite(
        "layers_positional",
        *in_models("filters=", ""),
        *in_models("kernel_size=", ""),
        *in_models("strides=", ""),
        *in_models("units=", ""),
    ),
    rewrite("layers_in_another_keyword_order", *in_models(f"{SAME}, {RELU}", f"{RELU}, {SAME}")),
    rewrite("kernels_and_strides_as_tuples", *in_models("kernel_size=3", "kernel_size=(3, 3)"), *in_models("strides=2", "strides=(2, 2)")),
    rewrite("kernels_and_strides_as_lists", *in_models("kernel_size=3", "kernel_size=[3, 3]"), *in_models("strides=2", "strides=[2, 2]")),
    rewrite("padding_in_capitals", *in_models(SAME, 'padding="SAME"')),
    rewrite("padding_valid_in_1x1", *(conv(number, SAME, VALID, cell=cell) for cell in MODELS for number in (8, 9))),
    rewrite(
        "padding_by_its_own_layer",
        ("model", line_of(1, "model"), f"    keras.layers.ZeroPadding2D(padding=1),\n{line_of(1, 'model').replace(SAME, VALID)}"),
    ),
    rewrite("activation_layers", *in_models(f", {RELU}),", '), keras.layers.Activation("relu"),')),
    rewrite("relu_layers", *in_models(f", {RELU}),", "), keras.layers.ReLU(),")),
    rewrite("activation_as_a_function", *in_models(RELU, "activation=keras.activations.relu")),
    rewrite("activation_elu", *in_models(RELU, 'activation="elu"')),
    rewrite("activation_leaky_layers", *in_models(f", {RELU}),", "), keras.layers.LeakyReLU(negative_slope=0.1),")),
    rewrite(
        "normalisation_before_the_activation",
        *in_models(f", {RELU}),", '), keras.layers.BatchNormalization(), keras.layers.Activation("relu"),'),
    ),
    rewrite("normalisation_after_the_activation", *in_models(f"{RELU}),", f"{RELU}), keras.layers.BatchNormalization(),")),
    rewrite("score_maps_with_relu", *(conv(9, "activation=None", RELU, cell=cell) for cell in MODELS)),
    rewrite("initialiser_he_normal", *in_models(RELU, f'{RELU}, kernel_initializer="he_normal"')),
    rewrite("weight_decay", *in_models(RELU, f"{RELU}, kernel_regularizer=keras.regularizers.L2(0.0001)")),
    rewrite("layers_by_their_other_names", *in_models("Conv2D", "Convolution2D"), *in_models("GlobalAveragePooling2D", "GlobalAvgPool2D")),
    rewrite("input_shape_in_the_first_layer", instead(INPUT), conv(1, "filters", "input_shape=(32, 32, 3), filters")),
    rewrite("input_layer", *in_models("keras.Input(", "keras.layers.InputLayer(")),
    rewrite("input_from_layers", *in_models("keras.Input(shape=(32, 32, 3))", "keras.layers.Input((32, 32, 3))")),
    rewrite("softmax_layer", *in_models(f"{SOFTMAX}),", "),\n    keras.layers.Softmax(),")),
    rewrite("softmax_as_an_activation_layer", *in_models(f"{SOFTMAX}),", '),\n    keras.layers.Activation("softmax"),')),
    rewrite(
        "logits",
        *in_models(SOFTMAX, ""),
        *in_cells(COMPILING, LOSS, "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)"),
    ),
    rewrite("global_pooling_by_the_whole_map", instead(GAP, "keras.layers.AveragePooling2D(pool_size=8)", "keras.layers.Reshape((10,))")),
    rewrite(
        "global_pooling_by_the_whole_map_and_flatten",
        instead(GAP, "keras.layers.AveragePooling2D(pool_size=(8, 8))", "keras.layers.Flatten()"),
    ),
    rewrite(
        "global_pooling_keeping_dimensions", instead(GAP, "keras.layers.GlobalAveragePooling2D(keepdims=True)", "keras.layers.Flatten()")
    ),
    rewrite("somewhat_narrower", *in_models("filters=96", "filters=64"), *in_models("filters=192", "filters=128")),
)

# ------------------------------------------------------------------ rewrites: imports and names


def in_code(old: str, new: str) -> tuple[Edit, ...]:
    """The same replacement in every code cell in which `old` occurs."""
    return tuple((cell, old, new) for cell in CODE if old in SOURCE[cell])


LAYER_NAMES = "Conv2D, Dense, Dropout, GlobalAveragePooling2D, RandomFlip, RandomRotation, RandomTranslation"
FIRST_LINE = ("model", f"{IMPORT}\n", "")


def tensorflow_only(notebook: NotebookNode) -> None:
    """`tf.keras.…` everywhere."""
    for cell in CODE:
        node = find(notebook, cell)
        node.source = node.source.replace("keras.", "tf.keras.").replace(IMPORT, "import tensorflow as tf")


def renamed(*names: tuple[str, str]) -> tuple[Edit, ...]:
    """Other names for variables, in every cell."""
    return tuple(edit for old, new in names for edit in in_code(old, new))


IMPORTS = (
    rewrite("import_keras", ("model", IMPORT, "import keras")),
    rewrite("import_tensorflow", reshape=tensorflow_only),
    rewrite("import_tensorflow_keras_as", ("model", IMPORT, "import tensorflow.keras as keras")),
    rewrite("import_layers", ("model", IMPORT, f"{IMPORT}\nfrom tensorflow.keras import layers"), *in_models("keras.layers.", "layers.")),
    rewrite(
        "import_layers_by_name",
        ("model", IMPORT, f"{IMPORT}\nfrom tensorflow.keras.layers import {LAYER_NAMES}"),
        *in_models("keras.layers.", ""),
    ),
    rewrite("import_all_layers", ("model", IMPORT, f"{IMPORT}\nfrom keras.layers import *"), *in_models("keras.layers.", "")),
    rewrite(
        "import_the_data_set",
        ("data", "keras.datasets.cifar10.load_data()", "cifar10.load_data()"),
        ("data", "(x_train, y_train), (x_test", "from tensorflow.keras.datasets import cifar10\n\n(x_train, y_train), (x_test"),
    ),
    rewrite(
        "models_named_apart",
        *(
            edit
            for cell, name in (("dropout", "model_dropout"), ("augmentation", "model_augmented"))
            for edit in ((cell, "model.", f"{name}."), (cell, "model =", f"{name} ="))
        ),
        ("model", "model = keras", "all_cnn = keras"),
        ("model", "model.summary", "all_cnn.summary"),
        ("train", "model.", "all_cnn."),
    ),
    rewrite("data_renamed", *renamed(("x_train", "X_tr"), ("y_train", "Y_tr"), ("x_test", "X_te"), ("y_test", "Y_te"))),
    rewrite(
        "data_named_in_spanish",
        *renamed(("x_train", "imagenes"), ("y_train", "etiquetas"), ("x_test", "imagenes_prueba"), ("y_test", "etiquetas_prueba")),
    ),
    rewrite(
        "histories_renamed",
        *((cell, "history = model", f"{cell}_run = model") for cell in COMPILING),
        ("plot", "\n\n\nplot_history(history)", "\n\n\nplot_history(train_run)"),
        *((cell, "plot_history(history)", f"plot_history({cell}_run)") for cell in ("dropout", "augmentation")),
    ),
    rewrite(
        "history_dictionary_kept",
        ("train", FIT, FIT.replace("history = ", "curves = ") + ".history"),
        ("plot", "history.history", "history"),
        ("plot", "\n\n\nplot_history(history)", "\n\n\nplot_history(curves)"),
        *((cell, "plot_history(history)", "plot_history(history.history)") for cell in ("dropout", "augmentation")),
    ),
)

# ------------------------------------------------------------------ rewrites: data

MEAN, STD = "[0.4914, 0.4822, 0.4465]", "[0.247, 0.2435, 0.2616]"


def labels(train: str, test: str) -> Edit:
    """Another encoding of the labels, behind the scaling."""
    return ("data", TEST_SCALED, f"{TEST_SCALED}\n\ny_train = {train}\ny_test = {test}")


ONE_HOT_LOSS = in_cells(COMPILING, LOSS, 'loss="categorical_crossentropy"')

DATA_STYLES = (
    rewrite("data_from_minus_one_to_one", *data(f"{TRAIN_RAW} / 127.5 - 1.0", f"{TEST_RAW} / 127.5 - 1.0")),
    rewrite("data_divided_by_256", *data(f"{TRAIN_RAW} / 256.0", f"{TEST_RAW} / 256.0")),
    rewrite("data_in_double_precision", *data("x_train = x_train / 255.0", "x_test = x_test / 255.0")),
    rewrite("data_divided_in_place", *data(f"{TRAIN_RAW}\nx_train /= 255", f"{TEST_RAW}\nx_test /= 255")),
    rewrite(
        "data_cast_with_numpy",
        *data("import numpy as np\n\nx_train = np.float32(x_train) / 255", "x_test = np.array(x_test, dtype=np.float32) / 255"),
    ),
    rewrite("data_in_one_line", *data("x_train, x_test = x_train.astype('float32') / 255.0, x_test.astype('float32') / 255.0", "")),
    rewrite(
        "data_scaled_by_a_function",
        *data(f"def scale(images):\n    return images{CAST} / 255.0\n\n\nx_train = scale(x_train)", "x_test = scale(x_test)"),
    ),
    rewrite(
        "data_standardised",
        *data(
            f"{TRAIN_RAW}\nmean, std = x_train.mean(), x_train.std()\nx_train = (x_train - mean) / std",
            f"x_test = (x_test{CAST} - mean) / std",
        ),
    ),
    rewrite(
        "data_standardised_by_channel",
        *data(
            f"{TRAIN_RAW} / 255.0\nmean, std = x_train.mean(axis=(0, 1, 2)), x_train.std(axis=(0, 1, 2))\nx_train = (x_train - mean) / std",
            f"x_test = (x_test{CAST} / 255.0 - mean) / std",
        ),
    ),
    rewrite("data_scaled_in_the_model", *data(TRAIN_RAW, TEST_RAW), *in_models(INPUT, f"{INPUT}\n    keras.layers.Rescaling(1.0 / 255),")),
    rewrite(
        "data_normalised_in_the_model",
        *in_models(INPUT, f"{INPUT}\n    keras.layers.Normalization(mean={MEAN}, variance=[0.061, 0.0593, 0.0684]),"),
    ),
    rewrite("labels_one_hot", labels("keras.utils.to_categorical(y_train, 10)", "keras.utils.to_categorical(y_test, 10)"), *ONE_HOT_LOSS),
    rewrite(
        "labels_one_hot_by_numpy",
        labels("numpy.eye(10)[y_train.ravel()]", "numpy.eye(10)[y_test.ravel()]"),
        ("data", "(x_train, y_train), (x_test, y_test) =", "import numpy\n\n(x_train, y_train), (x_test, y_test) ="),
        *ONE_HOT_LOSS,
    ),
    rewrite("labels_squeezed", labels("y_train.squeeze()", "y_test.squeeze()")),
    rewrite("labels_cast", labels('y_train.astype("int64")', 'y_test.astype("int64")')),
    rewrite(
        "data_as_batches",
        (
            "train",
            "history = model.fit(\n    x_train,\n    y_train,\n    validation_data=(x_test, y_test),\n    epochs=30,\n    batch_size=128,\n)",
            (
                "import tensorflow as tf\n\n"
                "train_batches = tf.data.Dataset.from_tensor_slices((x_train, y_train)).shuffle(1000).batch(128).prefetch(2)\n"
                "test_batches = tf.data.Dataset.from_tensor_slices((x_test, y_test)).batch(128)\n"
                "history = model.fit(train_batches, validation_data=test_batches, epochs=30)"
            ),
        ),
    ),
)

# ------------------------------------------------------------------ rewrites: compiling and training

CALLBACKS = "callbacks=[keras.callbacks.EarlyStopping(patience=5), keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3)]"
FIT_LINE = "history = model.fit(x_train, y_train, 128, 30, validation_data=(x_test, y_test))"


def in_training(old: str, new: str) -> tuple[Edit, ...]:
    """The same replacement wherever a model is compiled and fitted."""
    return in_cells(COMPILING, old, new)


TRAINING_STYLES = (
    rewrite("optimizer_by_name", *in_training(ADAM, '"adam"')),
    rewrite("optimizer_sgd", *in_training(ADAM, "keras.optimizers.SGD(learning_rate=0.01, momentum=0.9, nesterov=True)")),
    rewrite("optimizer_adam_slower", *in_training("learning_rate=0.001", "learning_rate=0.0003")),
    rewrite("loss_as_an_object", *in_training(LOSS, "loss=keras.losses.SparseCategoricalCrossentropy()")),
    rewrite("loss_as_a_function", *in_training(LOSS, "loss=keras.losses.sparse_categorical_crossentropy")),
    rewrite(
        "metric_as_an_object", *in_training('metrics=["accuracy"]', 'metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")]')
    ),
    rewrite("compile_positional", *in_training(f"optimizer={ADAM},\n    loss=", f"{ADAM},\n    ")),
    rewrite(
        "compile_from_settings",
        (
            "train",
            COMPILE,
            'settings = {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}\nmodel.compile(**settings)',
        ),
    ),
    rewrite("fit_positional", ("train", FIT, FIT_LINE)),
    rewrite(
        "fit_in_another_keyword_order",
        *in_training(f"{VALIDATION}    epochs=30,\n    batch_size=128,\n", f"    batch_size=128,\n    epochs=30,\n{VALIDATION}"),
    ),
    rewrite("other_epochs_and_batch_size", *in_training("epochs=30", "epochs=45"), *in_training("batch_size=128", "batch_size=64")),
    rewrite("callbacks", *in_training("    batch_size=128,", f"    batch_size=128,\n    {CALLBACKS},")),
    rewrite("quiet", *in_training("    batch_size=128,", "    batch_size=128,\n    verbose=0,\n    shuffle=True,")),
    rewrite(
        "fit_in_a_function",
        (
            "train",
            SOURCE["train"],
            "def train(model):\n    "
            + SOURCE["train"].replace("\n", "\n    ").replace("    \n", "\n")
            + "\n    return history\n\n\nhistory = train(model)",
        ),
    ),
    rewrite(
        "history_of_the_model",
        ("train", "history = model.fit", "model.fit"),
        ("train", "    batch_size=128,\n)", "    batch_size=128,\n)\nhistory = model.history"),
    ),
    rewrite(
        "evaluated_afterwards",
        (
            "train",
            FIT,
            f'{FIT}\n\ntest_loss, test_accuracy = model.evaluate(x_test, y_test, verbose=0)\nprint("test accuracy", test_accuracy)',
        ),
    ),
    rewrite("seed_fixed", ("model", IMPORT, f"{IMPORT}\n\nkeras.utils.set_random_seed(7)")),
)

# ------------------------------------------------------------------ rewrites: plots, dropout, augmentation

SUBPLOTS = """    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, key in zip(axes, ("accuracy", "loss")):
        axis.plot(history.history[key], label="train")
        axis.plot(history.history["val_" + key], label="test")
        axis.set_title(key)
        axis.legend()
    plt.show()"""
PANDAS = """    import pandas as pd

    frame = pd.DataFrame(history.history)
    frame[["accuracy", "val_accuracy"]].plot()
    frame[["loss", "val_loss"]].plot()"""
EPOCHS = """    epochs = range(1, len(history.history["accuracy"]) + 1)
    for key, style in (("accuracy", "bo-"), ("val_accuracy", "r--")):
        plt.plot(epochs, history.history[key], style, label=key)
    plt.legend()"""
NESTED_AUGMENTATION = f"data_augmentation = keras.Sequential([\n{RANDOM}\n])\n\nmodel = keras"
MORE_RANDOM = f"{RANDOM}\n    keras.layers.RandomZoom(0.1),\n    keras.layers.RandomContrast(0.1),"
SMALL_DROPOUT = "keras.layers.Dropout(rate=0.05)"

LATER_SECTIONS = (
    rewrite("plots_side_by_side", ("plot", PLOTS, SUBPLOTS)),
    rewrite("plots_by_pandas", ("plot", PLOTS, PANDAS)),
    rewrite("plots_over_epochs", ("plot", PLOTS, EPOCHS)),
    rewrite(
        "plots_as_percent", ("plot", PLOTS, PLOTS.replace("    plt.ylim(0, 1)\n", '    plt.ylabel("accuracy (%)")\n    plt.grid(True)\n'))
    ),
    rewrite("dropout_rate_0_1", rate("0.1")),
    rewrite("dropout_rate_0_3", rate("0.3")),
    rewrite("dropout_positional", ("dropout", "rate=0.2", "0.25")),
    rewrite("dropout_also_between_convolutions", after(3, SMALL_DROPOUT, cell="dropout"), after(6, SMALL_DROPOUT, cell="dropout")),
    rewrite("dropout_kept_in_the_augmentation_model", ("augmentation", GAP, f"{GAP}\n{DROPOUT}")),
    rewrite(
        "augmentation_as_a_model",
        ("augmentation", "model = keras", NESTED_AUGMENTATION),
        ("augmentation", f"{INPUT}\n{RANDOM}", f"{INPUT}\n    data_augmentation,"),
    ),
    rewrite("augmentation_by_flips_only", instead(RANDOM, 'keras.layers.RandomFlip("horizontal")', cell="augmentation")),
    rewrite("augmentation_by_more_layers", ("augmentation", RANDOM, MORE_RANDOM)),
)

# ------------------------------------------------------------------ rewrites: cells, comments, idle code


def position(notebook: NotebookNode, cell: str) -> int:
    """Where the cell with this id stands."""
    return notebook.cells.index(find(notebook, cell))


def split(notebook: NotebookNode, cell: str, before_text: str) -> None:
    """Cut a code cell in two in front of `before_text`."""
    node = find(notebook, cell)
    start = node.source.index(before_text)
    second = new_code_cell(id=f"{cell}-from-{start}", source=node.source[start:])
    node.source = node.source[:start].rstrip()
    notebook.cells.insert(position(notebook, cell) + 1, second)


def insert_code(notebook: NotebookNode, behind: str, source: str) -> None:
    """A new code cell behind the cell with the id `behind`."""
    notebook.cells.insert(position(notebook, behind) + 1, new_code_cell(id=f"{behind}-extra", source=source))


def split_cells(notebook: NotebookNode) -> None:
    """Smaller cells: imports, models, compiling, fitting and plotting each in their own."""
    split(notebook, "model", "model.summary()")
    split(notebook, "model", "model = keras")
    for cell in COMPILING:
        split(notebook, cell, "history = model.fit")
    for cell in ("dropout", "augmentation"):
        split(notebook, cell, "model.compile")


def join_cells(notebook: NotebookNode) -> None:
    """Training and plotting in one cell, under the heading of section 3."""
    train, plot = find(notebook, "train"), find(notebook, "plot")
    train.source += "\n\n" + plot.source
    notebook.cells.remove(plot)


def data_first(notebook: NotebookNode) -> None:
    """The data before the model (each with its heading), the import in a cell at the top."""
    moved = [find(notebook, cell) for cell in ("section-2", "data")]
    notebook.cells = [cell for cell in notebook.cells if cell.id not in {"section-2", "data"}]
    notebook.cells[position(notebook, "section-1") : position(notebook, "section-1")] = moved
    insert_code(notebook, "title", IMPORT)


def plotting_first(notebook: NotebookNode) -> None:
    """The plotting function is defined in the first cell and only called in section 4."""
    plot = find(notebook, "plot")
    definition = plot.source.removesuffix("\n\n\nplot_history(history)")
    plot.source = "plot_history(history)"
    insert_code(notebook, "title", definition)


def no_prose(notebook: NotebookNode) -> None:
    """Headings only."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines = [line for line in cell.source.splitlines() if line.startswith("#")]
            cell.source = "\n".join(lines) or "..."


def more_prose(notebook: NotebookNode) -> None:
    """A preface that names everything that the exercise forbids."""
    text = "We shall use no MaxPooling2D and no Flatten here, unlike `model.add(MaxPooling2D())` of last week."
    notebook.cells.insert(1, new_markdown_cell(id="preface", source=text))


def printed(notebook: NotebookNode) -> None:
    """Cells that only look at things."""
    insert_code(notebook, "data", "print(x_train.dtype, x_train.min(), x_train.max())\ny_train[:5]")
    insert_code(notebook, "model", "for layer in model.layers:\n    print(layer.name, layer.output.shape)")
    insert_code(notebook, "train", 'print(max(history.history["val_accuracy"]))')


def magics(notebook: NotebookNode) -> None:
    """Lines that only a notebook understands."""
    insert_code(notebook, "title", "%matplotlib inline\n!pip install tensorflow")
    find(notebook, "train").source = "%%time\n" + find(notebook, "train").source


IDLE_FUNCTION = '''

def other_network():
    """Last week's network, for comparison."""
    return keras.Sequential([
        keras.Input(shape=(32, 32, 3)),
        keras.layers.Conv2D(32, 3),
        keras.layers.MaxPooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="sigmoid"),
    ])
'''
PERCEPTRON = """mlp = keras.Sequential([
    keras.Input(shape=(32, 32, 3)),
    keras.layers.Flatten(),
    keras.layers.Dense(256, activation="relu"),
    keras.layers.Dense(10, activation="softmax"),
])
mlp.summary()"""
BROKEN = 'print("the best accuracy so far:", best_accuracy)'


def perceptron_built(notebook: NotebookNode) -> None:
    """Another model, built and looked at, never trained."""
    insert_code(notebook, "section-1", f"{IMPORT}\n\n{PERCEPTRON}")


def failing_cell(notebook: NotebookNode) -> None:
    """A cell that fails and that nothing else needs."""
    insert_code(notebook, "train", BROKEN)


CELLS = (
    rewrite("cells_split", reshape=split_cells),
    rewrite("cells_joined", reshape=join_cells),
    rewrite("cells_data_first", FIRST_LINE, reshape=data_first),
    rewrite("cells_plotting_first", reshape=plotting_first),
    rewrite("cells_without_prose", reshape=no_prose),
    rewrite("cells_with_more_prose", reshape=more_prose),
    rewrite("cells_that_print", reshape=printed),
    rewrite("cells_with_magics", reshape=magics),
    rewrite("cell_that_fails", reshape=failing_cell),
    rewrite("comments_removed", *(conv(number, "  #" + line_of(number, "model").split("  #")[1], "") for number in range(1, 10))),
    rewrite(
        "comments_that_mislead",
        ("model", GAP, f"    # keras.layers.Flatten(), keras.layers.MaxPooling2D(2)\n{GAP}"),
        ("train", COMPILE, f'# loss="mse"\n{COMPILE}'),
    ),
    rewrite("strings_that_mislead", ("data", "print(", 'print("x_train = x_train * 255; MaxPooling2D(); Flatten()")\nprint(')),
    rewrite("idle_function", ("model", f"{IMPORT}\n", f"{IMPORT}\n{IDLE_FUNCTION}")),
    rewrite("idle_imports", ("model", IMPORT, f"{IMPORT}\nfrom tensorflow.keras.layers import Dropout, Flatten, MaxPooling2D")),
    rewrite("idle_layer", ("model", "model = keras", "pool = keras.layers.MaxPooling2D(2)\n\nmodel = keras")),
    rewrite("idle_model_built_before", reshape=perceptron_built),
)

# ------------------------------------------------------------------ rewrites: other words for the same effect


def instead_of_average(*steps: str) -> tuple[Edit, ...]:
    """All three models the functional way, with other steps in the place of the global average."""
    return tuple(
        (
            cell,
            model_statement(cell),
            functional([part for layer in body(cell) for part in (steps if "GlobalAverage" in layer else (layer,))]),
        )
        for cell in MODELS
    )


def instead_of_relu(step: str) -> tuple[Edit, ...]:
    """All three models the functional way, with another step in the place of each ReLU."""
    return tuple(
        (
            cell,
            model_statement(cell),
            functional([part for layer in body(cell) for part in ((layer.replace(f", {RELU}", ""), step) if RELU in layer else (layer,))]),
        )
        for cell in MODELS
    )


def in_front(*steps: str) -> tuple[Edit, ...]:
    """Images as they are stored, and all three models the functional way with steps behind the input."""
    return (
        *data(TRAIN_RAW, TEST_RAW),
        *((cell, model_statement(cell), functional([body(cell)[0], *steps, *body(cell)[1:]])) for cell in MODELS),
    )


SHORTCUT = """(lambda x: keras.layers.ReLU()(keras.layers.Add()([
    keras.layers.Conv2D(96, 1, strides=2)(x),
    keras.layers.Conv2D(96, 3, strides=2, padding="same")(x),
])))"""
EXCITED = '(lambda x: x * keras.layers.Dense(192, activation="sigmoid")(keras.layers.GlobalAveragePooling2D(keepdims=True)(x)))'
STATISTICS = "mean=[125.0, 123.0, 114.0], variance=[3970.0, 3890.0, 4450.0]"


def dropout_that_stays_on(notebook: NotebookNode) -> None:
    """A further model whose Dropout is also on in prediction, for an estimate of uncertainty; built only."""
    steps = [*body("dropout")[:-2], f"(lambda x: {DROPOUT_LAYER}(x, training=True))", body("dropout")[-1]]
    insert_code(notebook, "dropout", functional(steps).replace("model =", "uncertain ="))


SAME_EFFECT = (
    rewrite("same_average_by_an_operation", *instead_of_average("(lambda x: keras.ops.mean(x, axis=(1, 2)))")),
    rewrite("same_average_of_averages", *instead_of_average("(lambda x: keras.ops.mean(keras.ops.mean(x, axis=1), axis=1))")),
    rewrite("same_average_of_a_sequence", *instead_of_average("keras.layers.Reshape((64, 10))", "keras.layers.GlobalAveragePooling1D()")),
    rewrite("same_average_by_a_lambda", *instead_of_average("keras.layers.Lambda(lambda x: keras.ops.mean(x, axis=[1, 2]))")),
    rewrite("same_average_by_an_own_layer", WITH_OWN, *in_models("keras.layers.GlobalAveragePooling2D()", "Averaged()")),
    rewrite("same_average_of_8_and_flatten", *instead_of_average("keras.layers.AveragePooling2D(8)", "keras.layers.Flatten()")),
    rewrite(
        "same_average_keeping_dimensions",
        *instead_of_average("keras.layers.GlobalAveragePooling2D(keepdims=True)", "keras.layers.Reshape((10,))"),
    ),
    rewrite("same_shortcut_with_a_strided_1x1", replaced(3, SHORTCUT)),
    rewrite("same_squeezed_and_excited", behind(7, step=EXCITED)),
    rewrite("same_pooling_of_one", after(2, "keras.layers.MaxPooling2D(pool_size=1)")),
    rewrite("same_padded_and_cropped", after(5, "keras.layers.ZeroPadding2D(2)", "keras.layers.Cropping2D(2)")),
    rewrite("same_relu_by_an_operation", *instead_of_relu("keras.ops.relu")),
    rewrite("same_leaky_relu_by_an_own_layer", WITH_OWN, *instead_of_relu("Halved()")),
    rewrite("same_gated_by_itself", *instead_of_relu("(lambda x: x * keras.ops.sigmoid(x))")),
    rewrite("same_group_normalised_relu", *in_models(f", {RELU}),", "), keras.layers.GroupNormalization(8), keras.layers.ReLU(),")),
    rewrite("same_scale_by_a_layer", *in_front("keras.layers.Rescaling(scale=1 / 127.5, offset=-1.0)")),
    rewrite("same_scale_by_an_operation", *in_front("(lambda x: x / 255.0)")),
    rewrite("same_scale_by_a_lambda", *in_front("keras.layers.Lambda(lambda x: x / 255.0 - 0.5)")),
    rewrite("same_scale_by_statistics", *in_front(f"keras.layers.Normalization({STATISTICS})")),
    rewrite("same_noise_in_training", after(4, "keras.layers.GaussianNoise(0.1)")),
    rewrite("same_dropout_in_an_own_layer", WITH_OWN, dropped("Thinned()")),
    rewrite(
        "same_dropout_by_channel",
        (
            "dropout",
            f"{GAP}\n{DROPOUT}",
            "    keras.layers.GlobalAveragePooling2D(keepdims=True),\n    keras.layers.SpatialDropout2D(0.2),\n    keras.layers.Flatten(),",
        ),
    ),
    rewrite("same_dropout_in_a_further_model", reshape=dropout_that_stays_on),
    rewrite(
        "same_augmentation_nested",
        (
            "augmentation",
            model_statement("augmentation"),
            functional([body("augmentation")[0], f"keras.Sequential([{FLIP}, keras.layers.RandomZoom(0.1)])", *body("augmentation")[4:]]),
        ),
    ),
)

REWRITES: tuple[Rewrite, ...] = (
    *MODEL_STYLES,
    *LAYERS,
    *IMPORTS,
    *DATA_STYLES,
    *TRAINING_STYLES,
    *LATER_SECTIONS,
    *CELLS,
    *SAME_EFFECT,
)
