"""Packages that are not provided: importing one ends no cell, using it does, and what only watches a training does nothing."""

import pytest
from harness import grade_notebook, small_store, statuses

pytestmark = pytest.mark.slow
MODEL = """
import keras
(x, y), _ = keras.datasets.cifar10.load_data()
model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
"""


def graded(*sources):
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None} for source in sources]
    return grade_notebook({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}, store=small_store())


def test_a_cell_goes_on_behind_the_import():
    report = graded(
        'print("once")\nimport cv2, os\nimport torch.nn as nn; import albumentations\nfrom torchvision import transforms as T\n1 / 0',
        "import wandb\nfrom wandb.integration.keras import WandbCallback\n"
        'with wandb.init(project="x") as run:\n    run.log({"a": 1})\nfor _ in wandb.Api().runs():\n    pass\nwandb.config.rate = 0.1',
        "cv2.imread('x')",
        "import cv2\nclass Net(nn.Module):\n    pass",
        "try:\n    import skimage\nexcept ImportError:\n    skimage = None\nassert skimage is None",
        "def load():\n    import pytesseract\n\nload()",
        MODEL,
    )
    told = [(cell.status, cell.error and (cell.error.type, cell.error.line)) for cell in report.cells]
    missing = "ModuleNotFoundError"
    assert told == [
        ("error", ("ZeroDivisionError", 5)),
        ("ok", None),
        ("error", (missing, 1)),
        ("error", (missing, 2)),
        ("ok", None),
        ("error", (missing, 2)),
        ("ok", None),
    ]
    noted = [flag.message for flag in report.flags if flag.id == "missing_package"]
    assert noted == [
        f"The sandbox noted that the package {name} is not provided: the cell goes on without it."
        for name in ("cv2", "torch", "albumentations")
    ]
    assert statuses(report)["model.built"] == "pass"


def test_a_model_lost_for_a_known_package_is_for_a_person_a_misspelt_one_is_not():
    found = graded("import cv2\nimport keras\nimages = cv2.resize(1, (2, 2))" + MODEL)
    assert statuses(found)["model.built"] == "pass"
    found = graded("import cv2\nimport keras\nshape = cv2.resize(1, (2, 2)).shape" + MODEL.replace("(32, 32, 3)", "shape"))
    line = next(line for line in found.criteria if line.id == "model.built")
    assert (line.status.value, found.status.value) == ("error", "needs_review")
    assert "cell 0 needs the package cv2" in line.message.lower()
    found = graded("import tensorfow as tf\ntf.keras.datasets.cifar10.load_data()\ntf.keras.Sequential()")
    assert statuses(found)["model.built"] == "fail"


def test_what_a_tracker_was_told_it_still_knows():
    report = graded(
        'import wandb\nprint(wandb.__version__)\nrun = wandb.init(project="x", config={"rate": 0.01, "epochs": 3})\nconfig = wandb.config\n'
        'config.batch = 64\nconfig["size"] = 2\n'
        'assert (config.rate, run.config["epochs"], wandb.config.batch, config["size"]) == (0.01, 3, 64, 2)\n'
        'wandb.log({"loss": 1.0})\nfor _ in wandb.sweep({}):\n    pass',
        "float(wandb.config.never_given)",
        MODEL,
    )
    assert [cell.error and (cell.error.type, cell.error.line) for cell in report.cells] == [None, ("ModuleNotFoundError", 1), None]
