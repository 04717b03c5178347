"""Stored curves beside what their cells do when they run here: forged ones are no records, honest habits of printing are."""

import json

import pytest
from harness import grade_file, small_store

FIRST = (
    "import numpy as np\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n"
    "(x, y), (xt, yt) = keras.datasets.cifar10.load_data()\nx, xt = x / 255.0, xt / 255.0\n"
    "def made():\n    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(10, 3), layers.GlobalAveragePooling2D(),"
    " layers.Dense(10, activation='softmax')])\n    model.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
    "    return model\n"
    "def line(epoch, of, loss, accuracy):\n"
    "    print(f'Epoch {epoch}/{of}\\n391/391 - 29s - loss: {loss:.4f} - val_accuracy: {accuracy:.4f}')\n"
    "class Prints(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n"
    "        line(epoch + 1, self.params['epochs'], logs['loss'], logs['val_accuracy'])\n"
    "class Lies(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs=None):\n"
    "        line(epoch + 1, 5, 1.0, 0.8 - 0.4 * 0.7 ** epoch)\n"
    "val = {'validation_data': (xt, yt), 'verbose': 0}"
)
FORGED = {
    "more epochs than were fitted": "made().fit(x, y, epochs=2, **val)",
    "fitted often, on more epochs all the same": "for _ in range(2):\n    made().fit(x, y, epochs=1, **val)",
    "a loop": "made().fit(x, y, epochs=5, **val)\nfor n in range(1, 6):\n    line(n, 5, 1.0, 0.8 - 0.4 * 0.7 ** n)",
    "a text": "made().fit(x, y, epochs=5, **val)\nprint('Epoch 1/1\\n5/5 - loss: 0.5 - accuracy: 0.7912')",
    "a callback that does not print its logs": "made().fit(x, y, epochs=5, callbacks=[Lies()], **val)",
    "written to the stream": (
        "import sys\nmade().fit(x, y, epochs=5, **val)\nfor n in range(5):\n    sys.stderr.write(f'Epoch {n + 1}/5 - accuracy: 0.{60 + n}\\n')"
    ),
    "displayed": (
        "made().fit(x, y, epochs=5, **val)\nclass Text:\n    def __repr__(self):\n"
        "        return 'Epoch 1/5\\n1/1 - loss: 1.0 - val_accuracy: 0.79'\nText()"
    ),
}
HONEST = {
    "Keras' own": "made().fit(x, y, epochs=5, validation_data=(xt, yt), verbose=2)",
    "stopped early": "made().fit(x, y, epochs=30, callbacks=[keras.callbacks.EarlyStopping(patience=3)], **val)",
    "a callback that prints its logs": "made().fit(x, y, epochs=5, callbacks=[Prints()], **val)",
    "the history, printed": (
        "h = made().fit(x, y, epochs=5, **val).history\nfor n in range(5):\n    line(n + 1, 5, h['loss'][n], h['val_accuracy'][n])"
    ),
    "epoch by epoch": (
        "m = made()\nfor n in range(5):\n    h = m.fit(x, y, epochs=1, **val)\n    loss, accuracy = m.evaluate(xt, yt, verbose=0)\n"
        "    line(n + 1, 5, loss, accuracy)"
    ),
    "goes on": "m = made()\nm.fit(x, y, epochs=3, **val)\nm.fit(x, y, epochs=5, initial_epoch=3, **val)",
    "its own measure": (
        "m = made()\nh = m.fit(x, y, epochs=5, **val)\nfor n in range(5):\n"
        "    line(n + 1, 5, 1.0, np.mean(m.predict(xt, verbose=0).argmax(1) == yt.ravel()))"
    ),
    "the best so far": "h = made().fit(x, y, epochs=5, **val)\nprint('Epoch 5: best val_accuracy 0.79', max(h.history['val_accuracy']))",
}
STORED = "".join(f"Epoch {n}/5\n391/391 - 29s - loss: 1.0 - val_accuracy: {0.8 - 0.4 * 0.7**n:.4f}\n" for n in range(1, 6))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    cells = [FIRST, *FORGED.values(), *HONEST.values()]
    outputs = [{"output_type": "stream", "name": "stdout", "text": STORED}]
    cells = [
        {"cell_type": "code", "metadata": {}, "source": text, "outputs": outputs if n else [], "execution_count": n}
        for n, text in enumerate(cells, 1)
    ]
    path = tmp_path_factory.mktemp("recorded") / "a.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}), encoding="utf-8")
    outcome = grade_file(path, store=small_store())
    assert {cell.status for cell in outcome.report.cells} == {"ok"}
    return {curve.cell: curve for curve in outcome.evidence.recorded}


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, 1 + len(FORGED)), ids=FORGED)
def test_what_the_code_prints_or_never_trained_is_no_record(recorded, number):
    assert recorded[number].refuted


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1 + len(FORGED), 1 + len(FORGED) + len(HONEST)), ids=HONEST)
def test_honest_habits_of_printing_are_records(recorded, number):
    assert (recorded[number].doubt, recorded[number].refuted) == ("", False)
