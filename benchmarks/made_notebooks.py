"""Notebooks as a class would write them, made from parts: each is distinct code for the same exercise, and the same number makes the same notebook.

Every notebook loads all of CIFAR-10 through `keras.datasets`, brings it to [0, 1], builds, compiles and fits three models (plain, with dropout, with
augmentation) and plots each history. What is drawn is how it is written: imports, names, the way a model is put together, spellings of layers,
optimizers and losses, plots, comments, the order of the sections; and the filter counts, which no two notebooks share.
"""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MODELS = 3
"""Models that each notebook fits."""

Cell = tuple[str, str]
"""(markdown | code, source)"""

_LAYERS = (
    "Input, Conv2D, Activation, BatchNormalization, Dropout, Dense, GlobalAveragePooling2D, "
    "RandomFlip, RandomRotation, RandomTranslation, RandomZoom"
)
_IMPORTS = [  # lines, prefix of keras' parts, prefix of layers
    ("from tensorflow import keras\nfrom tensorflow.keras import layers", "keras.", "layers."),
    ("import tensorflow as tf", "tf.keras.", "tf.keras.layers."),
    ("import keras\nfrom keras import layers as L", "keras.", "L."),
    (f"from tensorflow import keras\nfrom tensorflow.keras.layers import ({_LAYERS})", "keras.", ""),
    ("from tensorflow import keras\n\nK = keras", "K.", "K.layers."),
]
_DATA_NAMES = [
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_tr", "Y_tr", "X_te", "Y_te"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("trainX", "trainY", "testX", "testY"),
    ("bilder", "klassen", "test_bilder", "test_klassen"),
]
_COMMENTS = ["halve the map", "stride instead of pooling", "kleiner machen", "réduire", "32 -> 16 -> 8", ""]
_ANSWERS = [
    "The training accuracy rises nearly all the time; the test accuracy stops at some point and its loss climbs again, so the model overfits.",
    "Beide Kurven steigen am Anfang gleich schnell. Später geht nur noch die Trainingskurve nach oben: Overfitting.",
    "La précision de test reste stable après une douzaine d'époques, alors que la perte augmente.",
    "With a large rate most of the evidence is missing at every step. Between 0.1 and 0.3 the gap gets smaller.",
    "Turning pictures upside down does not help, since no ship in the test set stands on its head.",
    "Test images stay as they are, otherwise the number says nothing about real pictures.",
]

_PLOTS = [
    """def show_curves(result):
    plt.figure()
    plt.plot(result.history['accuracy'], label='train')
    plt.plot(result.history['val_accuracy'], label='test')
    plt.title('TITLE')
    plt.legend()
    plt.show()""",
    """def show_curves(result):
    fig, axes = plt.subplots(1, 2, figsize=(11, 4))
    for axis, key in zip(axes, ('accuracy', 'loss')):
        axis.plot(result.history[key], label='train')
        axis.plot(result.history['val_' + key], label='test')
        axis.set_xlabel('epoch, BATCH images a step')
        axis.set_title(key)
        axis.legend()
    plt.show()""",
    """def show_curves(result):
    for key in ('accuracy', 'loss'):
        plt.plot(result.history[key])
        plt.plot(result.history['val_' + key])
        plt.legend(['train', 'test'])
        plt.ylabel(key)
        plt.xlabel('epoch')
        plt.show()""",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hand:
    """How one student writes: everything that is drawn once for a notebook."""

    imports: str
    keras: str
    layers: str
    data: tuple[str, str, str, str]
    model: str
    history: str
    filters: tuple[int, int]
    kernel: str
    stride: str
    activation: str  # inline | layer
    normalised: bool
    extra: str
    one_hot: bool
    form: str  # list | add | functional | builder
    optimizer: str
    epochs: int
    batch: int
    scale: str
    comment: str


def make(number: int) -> list[Cell]:
    """The cells of notebook `number` (from 0)."""
    draw = random.Random(f"notebook {number}")  # noqa: S311 (no secret)
    imports, keras, layers = draw.choice(_IMPORTS)
    hand = _Hand(
        imports=imports,
        keras=keras,
        layers=layers,
        data=draw.choice(_DATA_NAMES),
        model=draw.choice(["model", "net", "cnn", "netz", "my_model"]),
        history=draw.choice(["history", "hist", "h", "verlauf", "log"]),
        filters=next(itertools.islice(filter_counts(), number, None)),
        kernel=draw.choice(["3", "(3, 3)", "[3, 3]"]),
        stride=draw.choice(["2", "(2, 2)"]),
        activation=draw.choice(["inline", "inline", "layer"]),
        normalised=draw.random() < 0.25,
        extra=draw.choice(["", "", ", kernel_initializer='he_normal'", ", use_bias=True"]),
        one_hot=draw.random() < 0.4,
        form=draw.choice(["list", "add", "functional", "builder"]),
        optimizer=draw.choice(
            ["'adam'", f"{keras}optimizers.Adam()", f"{keras}optimizers.Adam(learning_rate=1e-3)", f"{keras}optimizers.Nadam(0.001)"]
        ),
        epochs=draw.choice([20, 25, 30, 40]),
        batch=draw.choice([64, 128, 256]),
        scale=draw.choice(["255", "255.0", "255."]),
        comment=draw.choice(_COMMENTS),
    )
    return _cells(hand, draw)


def filter_counts() -> "itertools.chain[tuple[int, int]]":
    """Endless distinct (first, second) filter counts, those near the exercise's own 96 and 192 first."""

    def ring(far: int) -> list[tuple[int, int]]:
        return sorted((96 + a, 192 + b) for a in range(-far, far + 1) for b in range(-far, far + 1) if max(abs(a), abs(b)) == far)

    return itertools.chain.from_iterable(ring(far) for far in range(91))


def as_notebook(cells: Sequence[Cell], metadata: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The nbformat 4.5 document; `metadata` are the cells' own, one each."""
    code = {"outputs": [], "execution_count": None}
    each = metadata or [{}] * len(cells)
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {"cell_type": kind, "id": f"cell-{number}", "metadata": own, "source": source, **(code if kind == "code" else {})}
            for number, ((kind, source), own) in enumerate(zip(cells, each, strict=True))
        ],
    }


def _cells(hand: _Hand, draw: random.Random) -> list[Cell]:
    x_train, y_train, x_test, y_test = hand.data
    load = [f"({x_train}, {y_train}), ({x_test}, {y_test}) = {hand.keras}datasets.cifar10.load_data()"]
    load += [f"{name} = {name}.astype('float32') / {hand.scale}" for name in (x_train, x_test)]
    if hand.one_hot:
        load += [f"{name} = {hand.keras}utils.to_categorical({name}, 10)" for name in (y_train, y_test)]
    load.append(draw.choice([f"print({x_train}.shape, {x_test}.shape)", f"{x_train}.shape", f"print('max', {x_train}[:100].max())"]))
    data = [("markdown", "## 2. Data loading"), ("code", "\n".join(load))]
    first = [("markdown", "## 1. AllConvolutional Network"), ("code", _definitions(hand) + _model(hand) + f"\n{hand.model}.summary()")]
    opening: list[Cell] = [("markdown", "# CNN on CIFAR 10"), ("code", hand.imports + "\nimport matplotlib.pyplot as plt")]
    dropout = f"{hand.layers}Dropout({draw.choice(['0.1', '0.2', '0.25', 'rate=0.3'])})"
    augmentation = draw.choice(
        [
            [f"{hand.layers}RandomFlip('horizontal')", f"{hand.layers}RandomTranslation(0.1, 0.1)"],
            [f"{hand.layers}RandomFlip(mode='horizontal')", f"{hand.layers}RandomRotation(0.05)"],
            [f"{hand.layers}RandomZoom(0.1)", f"{hand.layers}RandomFlip('horizontal')", f"{hand.layers}RandomRotation(factor=0.03)"],
        ]
    )
    plot = _plot(hand, draw)
    return [
        *opening,
        *(first + data if draw.random() < 0.5 else data + first),
        ("markdown", "# 3. Training the model"),
        ("code", _fit(hand)),
        ("markdown", f"# 4. Analyzing the accuracy curves\n\n- {draw.choice(_ANSWERS)}"),
        ("code", f"{plot}\n\nshow_curves({hand.history})"),
        ("markdown", f"# 5. Adding Dropout regularization\n\n- {draw.choice(_ANSWERS)}"),
        ("code", f"{_model(hand, after=[dropout])}\n{_fit(hand)}\nshow_curves({hand.history})"),
        ("markdown", f"# 6. Data Augmentation\n\n- {draw.choice(_ANSWERS)}\n- {draw.choice(_ANSWERS)}"),
        ("code", f"{_model(hand, before=augmentation)}\n{_fit(hand)}\nshow_curves({hand.history})"),
    ]


def _convolutions(hand: _Hand) -> list[str]:
    """Layer expressions from the first convolution to the pooling."""
    narrow, wide = hand.filters
    found: list[str] = []
    for filters, kernel, stride in [
        *((narrow, hand.kernel, 1), (narrow, hand.kernel, 1), (narrow, hand.kernel, 2)),
        *((wide, hand.kernel, 1), (wide, hand.kernel, 1), (wide, hand.kernel, 2)),
        *((wide, hand.kernel, 1), (wide, "1", 1)),
    ]:
        strides = f", strides={hand.stride}" if stride == 2 else ""
        inline = ", activation='relu'" if hand.activation == "inline" and not hand.normalised else ""
        found.append(f"{hand.layers}Conv2D({filters}, {kernel}{strides}, padding='same'{inline}{hand.extra})")
        if hand.normalised:
            found.append(f"{hand.layers}BatchNormalization()")
        if not inline:
            found.append(f"{hand.layers}Activation('relu')")
    return [*found, f"{hand.layers}Conv2D(10, 1, padding='same')", f"{hand.layers}GlobalAveragePooling2D()"]


def _definitions(hand: _Hand) -> str:
    """What stands before the first model: the function that builds all of them, for whoever writes one."""
    if hand.form != "builder":
        return ""
    body = "".join(f"        {layer},\n" for layer in _convolutions(hand))
    return (
        f"def build(before=(), after=()):\n    # {hand.comment or 'one function for all three'}\n    return {hand.keras}Sequential([\n"
        f"        {hand.layers}Input(shape=(32, 32, 3)),\n        *before,\n{body}        *after,\n"
        f"        {hand.layers}Dense(10, activation='softmax'),\n    ])\n\n"
    )


def _model(hand: _Hand, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
    """The lines that put a model together. `before` and `after`: layer expressions behind the input and in front of the last layer."""
    if hand.form == "builder":
        return f"{hand.model} = build([{', '.join(before)}], [{', '.join(after)}])\n"
    layers = [*before, *_convolutions(hand), *after, f"{hand.layers}Dense(10, activation='softmax')"]
    note = f"  # {hand.comment}" if hand.comment else ""

    def line(text: str) -> str:
        return text + (note if "strides=" in text else "")

    if hand.form == "add":
        start = f"{hand.model} = {hand.keras}Sequential()\n{hand.model}.add({hand.layers}Input((32, 32, 3)))\n"
        return start + "".join(line(f"{hand.model}.add({layer})") + "\n" for layer in layers)
    if hand.form == "functional":
        chain = "".join(line(f"x = {layer}(x)") + "\n" for layer in layers)
        return f"start = {hand.layers}Input(shape=(32, 32, 3))\nx = start\n{chain}{hand.model} = {hand.keras}Model(start, x)\n"
    listed = "".join(line(f"    {layer},") + "\n" for layer in layers)
    return f"{hand.model} = {hand.keras}Sequential([\n    {hand.layers}Input(shape=(32, 32, 3)),\n{listed}])\n"


def _fit(hand: _Hand) -> str:
    loss = "categorical_crossentropy" if hand.one_hot else "sparse_categorical_crossentropy"
    x_train, y_train, x_test, y_test = hand.data
    return (
        f"{hand.model}.compile(optimizer={hand.optimizer}, loss='{loss}', metrics=['accuracy'])\n"
        f"{hand.history} = {hand.model}.fit({x_train}, {y_train}, validation_data=({x_test}, {y_test}), epochs={hand.epochs}, batch_size={hand.batch})"
    )


def _plot(hand: _Hand, draw: random.Random) -> str:
    """A function `show_curves`."""
    title = draw.choice(["accuracy", "Genauigkeit", "CIFAR-10"])
    return draw.choice(_PLOTS).replace("TITLE", title).replace("BATCH", str(hand.batch))
