"""Reports to render: a good one, a bad one, and one for every ending without a score. All made by hand, none of them a student's."""

import base64
import json
import math
import struct
import zlib
from dataclasses import replace

from grader.records import (
    Answer,
    Cell,
    CellError,
    CellOutput,
    CellRun,
    Counterfactual,
    CriterionResult,
    CurvePoint,
    Executed,
    Flag,
    Note,
    Notebook,
    Report,
    ReportCell,
    ReportCurve,
    ReportLayer,
    ReportModel,
    ReportRubric,
    ReportSubmission,
    ReportTraining,
    Rerun,
    RunStatus,
    Status,
)
from grader.reports import as_notebook
from grader.reports.inside import page

RUBRIC = ReportRubric(id="all_cnn_c", version="1.0", sha256="5b" * 32)
SUBMISSION = ReportSubmission(id="sub_3f9a1c07d2e4", file="submission.ipynb", sha256="c4" * 32, source="file")


def png(width: int = 4, height: int = 4, *, shade: int = 90) -> str:
    """A real PNG of one grey, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes([shade]) * width for _ in range(height)))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")).decode()


def criterion(
    id: str,  # noqa: A002
    section: int,
    points: float,
    earned: float | None,
    status: Status = Status.PASS,
    *,
    title: str = "",
    message: str = "As asked.",
    **more: str,
) -> CriterionResult:
    return CriterionResult(
        id=id,
        title=title or id.replace(".", ": ").replace("_", " ").capitalize(),
        section=section,
        points=points,
        earned=earned,
        status=status,
        message=message,
        **more,
    )


def report(status: RunStatus = RunStatus.GRADED, **fields: object) -> Report:
    """A report with nothing in it but what is named."""
    given = {
        "reason": "",
        "rubric": RUBRIC,
        "submission": SUBMISSION,
        "score": 0.0,
        "max_score": 0.0,
        "auto_score": 0.0,
        "auto_max": 0.0,
        "pending_points": 0.0,
    }
    return Report(status=status, **(given | fields))


def scored(criteria: tuple[CriterionResult, ...], status: RunStatus = RunStatus.GRADED, **fields: object) -> Report:
    """A report whose totals follow from its criteria."""
    earned = sum(result.earned or 0.0 for result in criteria)
    manual = sum(result.points for result in criteria if result.status is Status.MANUAL)
    most = sum(result.points for result in criteria)
    totals = {"score": earned, "max_score": most, "auto_score": earned, "auto_max": most - manual, "pending_points": float(manual)}
    return report(status, criteria=criteria, **(totals | fields))


def _conv(name: str, maps: int, size: int, parameters: int, settings: str) -> ReportLayer:
    return ReportLayer(class_name="Conv2D", name=name, output_shape=(size, size, maps), parameters=parameters, settings=settings)


_BASE_LAYERS = (
    ReportLayer(class_name="InputLayer", name="input_layer", output_shape=(32, 32, 3), parameters=0),
    _conv("conv2d", 96, 32, 2688, "3x3, stride 1, same, relu"),
    _conv("conv2d_1", 96, 32, 83040, "3x3, stride 1, same, relu"),
    _conv("conv2d_2", 96, 16, 83040, "3x3, stride 2, same, relu"),
    _conv("conv2d_3", 192, 16, 166080, "3x3, stride 1, same, relu"),
    _conv("conv2d_4", 192, 16, 331968, "3x3, stride 1, same, relu"),
    _conv("conv2d_5", 192, 8, 331968, "3x3, stride 2, same, relu"),
    _conv("conv2d_6", 192, 8, 331968, "3x3, stride 1, same, relu"),
    _conv("conv2d_7", 192, 8, 37056, "1x1, stride 1, relu"),
    _conv("conv2d_8", 10, 8, 1930, "1x1, stride 1, linear"),
    ReportLayer(class_name="GlobalAveragePooling2D", name="global_average_pooling2d", output_shape=(10,), parameters=0),
    ReportLayer(class_name="Dense", name="dense", output_shape=(10,), parameters=110, settings="softmax"),
)


def _model(role: str, cell: int, reason: str, layers: tuple[ReportLayer, ...] = _BASE_LAYERS) -> ReportModel:
    return ReportModel(
        role=role,
        cell=cell,
        parameters=1369848,
        layers=layers,
        optimizer="adam, rate 0.001",
        loss="sparse_categorical_crossentropy",
        input="(32, 32, 3), float32, pixel / 255",
        labels="integers",
        reason=reason,
        name="model",
    )


def _history(epochs: int, reach: float) -> dict[str, tuple[float, ...]]:
    grown = [1 - math.exp(-(epoch + 1) / 6) for epoch in range(epochs)]
    return {
        "accuracy": tuple(round(0.1 + (reach + 0.08) * part, 4) for part in grown),
        "loss": tuple(round(2.30 - 1.95 * part, 4) for part in grown),
        "val_accuracy": tuple(round(0.1 + reach * part, 4) for part in grown),
        "val_loss": tuple(round(2.30 - 1.6 * part + 0.02 * epoch * part, 4) for epoch, part in enumerate(grown)),
    }


REFERENCE = {
    "images": [3072, 6400, 9600, 12800, 16000, 19200],
    "low": [0.131, 0.152, 0.178, 0.206, 0.224, 0.241],
    "median": [0.187, 0.224, 0.263, 0.291, 0.312, 0.334],
    "high": [0.256, 0.302, 0.338, 0.371, 0.392, 0.414],
    "passes": [0.1427, 0.1427, 0.1302, 0.1302, 0.1302, 0.1302],
    "zero": [0.1221, 0.1221, 0.1156, 0.1156, 0.1156, 0.1156],
    "dataset_runs": 48,
}
_WEIGHTS = ("conv2d", "conv2d_1", "conv2d_2", "conv2d_3", "conv2d_4", "conv2d_5", "conv2d_6", "conv2d_7", "conv2d_8", "dense")


def points(*accuracies: float) -> tuple[CurvePoint, ...]:
    """Measured points at the reference's checkpoints, in batches of 128."""
    return tuple(
        CurvePoint(step=images // 128, images=images, loss=round(2.36 - 2 * accuracy, 4), accuracy=accuracy)
        for images, accuracy in zip(REFERENCE["images"], accuracies, strict=False)
    )


def rerun(seed: int, ending: str, *accuracies: float, images: int = 0, **more: object) -> Rerun:
    """One seed's re-run; one that died did so because of its score maps."""
    measured = points(*accuracies)
    last = accuracies[-1] if accuracies else None
    images = images or measured[-1].images
    given = {
        "accuracy": last,
        "interval": None if last is None else (round(last - 0.022, 4), round(last + 0.024, 4)),
        "train_loss": 2.3026 if ending == "dead" else round(2.31 - 1.5 * ((last or 0.1) - 0.1), 4),
        "norms": tuple(
            (f"model/{name}/{part}", 0.0 if ending == "dead" and name != "dense" else round(0.8 / (number + 1), 4))
            for number, name in enumerate(_WEIGHTS)
            for part in ("kernel", "bias")
        ),
        "seconds": round(images / 420, 2),
    }
    if ending == "dead":
        steps = images // 128
        given |= {
            "proof": f"after {steps} steps all 640 units of the layer 'conv2d_8' are zero for every image, and no gradient reaches it or any layer before it",
            "silent": (("conv2d_7", 0.71, 12288), ("conv2d_8", 1.0, 640)),
        }
    return Rerun(seed=seed, ending=ending, points=measured, images=images, steps=images // 128, **(given | more))


def training(role: str, verdict: str, runs: tuple[Rerun, ...], **fields: object) -> ReportTraining:
    """A training check whose totals follow from its re-runs."""
    own = next((run for run in runs if run.ending == "learns"), runs[0] if runs else None)
    given = {
        "budget": "short",
        "device": "cpu",
        "backend": "tensorflow",
        "precision": "mixed_bfloat16",
        "dataset": "cifar10:9d954b69a4f1b27d",
        "seeds": tuple(run.seed for run in runs),
        "steps": own.steps if own else 0,
        "curve": own.points if own else (),
        "reference": REFERENCE,
        "diagnosis": "",
        "images": sum(run.images for run in runs),
        "accuracy": own.accuracy if own else None,
        "interval": own.interval if own else None,
        "runs": runs,
        "seconds": round(sum((run.seconds for run in runs), 0.0), 2),
    }
    return ReportTraining(role=role, verdict=verdict, **(given | fields))


def score_maps(run: Rerun, *, cures: bool = True) -> Counterfactual:
    return Counterfactual(
        cause="silent_score_maps",
        change="the ReLU on the 10-map convolution removed",
        because="the ReLU on the convolution to 10 maps: once all ten maps are zero everywhere, no gradient passes any more",
        cure="Give the convolution to 10 maps no activation (activation=None).",
        rerun=run,
        cures=cures,
    )


def lower_rate(run: Rerun) -> Counterfactual:
    return Counterfactual(
        cause="rate_too_high",
        change="the learning rate 0.0003 instead of 0.001",
        because="the learning rate 0.001: it is too large for this model",
        cure="Compile with a learning rate of 0.0003.",
        rerun=run,
        cures=False,
    )


def learning() -> ReportTraining:
    return training(
        "base",
        "learns",
        (rerun(0, "learns", 0.138, 0.219),),
        reason="Trained again, the network learns: 0.22 of the held-back images right after 6,400 training images (chance level: 0.10).",
        recorded="The notebook records 0.80 after 30 epochs; the same model trained again is at 0.22 after 6,400 images, which supports it as far as a short run can.",
    )


def fragile() -> ReportTraining:
    dead = "Give the convolution to 10 maps no activation (activation=None)."
    return training(
        "base",
        "fragile",
        (rerun(0, "dead", images=2048), rerun(1, "learns", 0.121, 0.126, 0.197), rerun(2, "dead", 0.1, images=4096)),
        reason="Trained again from 3 different random starts, the network learns on 1 and dies on the others.",
        diagnosis=(
            "The cause is the ReLU on the convolution to 10 maps: once all ten maps are zero everywhere, no gradient passes any more. "
            "With the ReLU on the 10-map convolution removed, the same model reaches an accuracy of 0.34 where yours stays at 0.10 "
            f"(after 9,600 training images from the same random start). {dead}"
        ),
        cause="silent_score_maps",
        counterfactuals=(score_maps(rerun(0, "learns", 0.136, 0.252, 0.341)),),
        recorded="The notebook records 0.80 after 30 epochs; the same model trained again is at 0.20 after 9,600 images over 3 seeds, which supports it as far as a short run can.",
        notes=("The validation data of the notebook were not used: the grader measures on its own held-back images.",),
    )


def dead() -> ReportTraining:
    runs = tuple(rerun(seed, "dead", *(() if seed < 3 else (0.098,)), images=2048 + 1024 * (seed // 2)) for seed in range(5))
    return training(
        "dropout",
        "dead",
        runs,
        reason=f"Trained again from 5 different random starts, the network dies every time: {runs[0].proof}.",
        diagnosis="No single change that was tried made it learn (the ReLU on the 10-map convolution removed, the learning rate 0.0003 instead of 0.001).",
        counterfactuals=(
            score_maps(rerun(0, "stuck", 0.1, 0.099, 0.101, 0.1, 0.1, 0.102), cures=False),
            lower_rate(rerun(0, "dead", images=3584)),
        ),
        recorded="The notebook records 0.71 after 30 epochs; the same model trained again stays at 0.10 over 5 seeds.",
        cached=True,
    )


def not_measured() -> ReportTraining:
    return training(
        "augmentation",
        "not_measured",
        (),
        reason="Out of time: the deadline came before the model could be trained again.",
        device="",
        backend="",
        precision="",
        dataset="",
    )


_CELLS = (
    Cell(index=0, kind="markdown", source="# CNN on CIFAR 10\n\nA *first* network, see `model`.\n\n* one\n* two", section=0),
    Cell(
        index=1,
        kind="code",
        section=1,
        source=(
            "from tensorflow import keras\n\n# All-CNN-C\nmodel = keras.Sequential([\n    keras.layers.Conv2D(96, 3, padding='same'),\n])\n"
            'print(f"{model.count_params():,}")\n'
        ),
    ),
    Cell(index=2, kind="code", section=3, source="history = model.fit(x_train, y_train, epochs=30, batch_size=128)"),
    Cell(index=3, kind="code", section=4, source="plot_history(history)"),
)
_RUNS = (
    CellRun(index=1, status="ok", outputs=(CellOutput(kind="stdout", data="1,369,848\n"),), seconds=0.4),
    CellRun(index=2, status="ok", outputs=(CellOutput(kind="stdout", data="\x1b[1m391/391\x1b[0m - loss: 1.6\r391/391 - loss: 1.4\n"),)),
    CellRun(index=3, status="ok", outputs=(CellOutput(kind="png", data=png(320, 200)),)),
)


def drawn(executed: Executed) -> Executed:
    """With its notebook as a page, drawn by nbconvert here in this process; `pipeline.drawn` does it in a box."""
    frames: list[tuple[str, object]] = []

    class Writer:
        def send(self, kind: str, body: object) -> None:
            frames.append((kind, body))

    page.main(Writer(), json.loads(json.dumps(as_notebook.request(executed))))
    return replace(executed, page=as_notebook.page(frames))


def good() -> Executed:
    """Nearly everything right; three answers await a person."""
    why = "Pooling throws away where a feature was; a convolution with stride 2 learns how to make the map smaller."
    criteria = (
        criterion("model.built", 1, 5.0, 5.0, title="A model is built", message="Cell 1 builds a model with 9 convolutions."),
        criterion("model.no_pooling", 1, 5.0, 5.0, title="No pooling layers", message="There is no pooling before the head.", why=why),
        criterion(
            "model.head", 1, 5.0, 5.0, title="Global average pooling, then Dense softmax", message="The head is as the exercise asks."
        ),
        criterion("data.cifar10", 2, 10.0, 10.0, title="CIFAR-10 is loaded", message="The images that reached fit are CIFAR-10's."),
        criterion(
            "train.loss", 3, 10.0, 10.0, title="The loss fits labels and head", message="Integer labels with the sparse crossentropy."
        ),
        criterion(
            "train.learns",
            3,
            15.0,
            12.5,
            Status.PARTIAL,
            title="The model learns",
            message="The network learns on 1 of 3 random starts and dies on the others.",
            hint="Give the convolution to 10 maps no activation (activation=None).",
            expected="learns on every random start",
            actual="learns on 1 of 3",
            why="A network that dies on some random starts learns by luck.",
        ),
        criterion("curves.plotted", 4, 5.0, 5.0, title="The curves are plotted", message="Cell 3 draws accuracy and val_accuracy."),
        criterion("curves.answers", 4, 5.0, None, Status.MANUAL, title="The questions are answered", message="A person reads the answers."),
    )
    recorded = ReportCurve(role="base", cell=2, values=_history(30, 0.7))
    return Executed(
        report=scored(
            criteria,
            models=(_model("base", 1, "It is the first model that is fitted, and it stands in section 1."),),
            training=(fragile(),),
            recorded=(recorded,),
            answers=(
                Answer(
                    section=4, question="Is the training accuracy always increasing?", text="Yes, *nearly*: it dips at epoch 12.", cell=3
                ),
            ),
            cells=tuple(ReportCell(index=run.index, status=run.status) for run in _RUNS),
            notes=(Note(cell=2, kind="shim", text="SGD(lr=…) was read as SGD(learning_rate=…)."),),
            environment={"grader": "0.1.0", "versions": {"keras": "3.15.0", "tensorflow": "2.20.0"}, "sandbox": "namespaces", "cpus": 2},
            timings={"notebook": 14.21, "training": 61.9, "report": 0.12},
        ),
        notebook=Notebook(cells=_CELLS),
        cells=_RUNS,
    )


def bad() -> Executed:
    """Several kinds of failing, one of ours, one not decided; stand-in data; a person should look."""
    criteria = (
        criterion("model.built", 1, 5.0, 5.0, title="A model is built", message="Cell 1 builds a model with 3 convolutions."),
        criterion(
            "model.no_pooling",
            1,
            5.0,
            0.0,
            Status.FAIL,
            title="No pooling layers",
            message="The model has two MaxPooling2D layers (max_pooling2d, max_pooling2d_1).",
            hint="Take them out and give the convolution before each of them strides=(2, 2).",
            expected="no pooling before the head",
            actual="MaxPooling2D, twice",
            why="Pooling throws away where a feature was; a convolution with stride 2 learns how to make the map smaller.",
        ),
        criterion(
            "model.no_flatten", 1, 5.0, 0.0, Status.FAIL, title="No Flatten", message="There is a Flatten layer after the last convolution."
        ),
        criterion(
            "model.parameters",
            1,
            10.0,
            3.3333333333333335,
            Status.PARTIAL,
            title="About one million parameters",
            message="The model has 3,333,334 parameters.",
            hint="Replace Flatten by GlobalAveragePooling2D: the Dense layer after it then needs far fewer weights.",
            expected="0.5 to 2 million",
            actual="3,333,334",
        ),
        criterion("data.normalized", 2, 10.0, 6.666666666666667, Status.PARTIAL, title="Pixels are normalised", message="Only x_train is."),
        criterion("train.protocol", 3, 10.0, None, Status.ERROR, title="Trained as asked", message="The check broke down."),
        criterion("train.accuracy", 3, 10.0, None, Status.SKIP, title="Reaches the reference", message="Not shown: no curve is recorded."),
        criterion(
            "dropout.answers", 5, 5.0, None, Status.MANUAL, title="The questions are answered", message="A person reads the answers."
        ),
    )
    error = CellError(type="NameError", message="name 'x_trian' is not defined", line=1)
    runs = (
        CellRun(index=1, status="ok"),
        CellRun(index=2, status="error", error=error, outputs=(CellOutput(kind="error", data=f"NameError: {error.message}"),)),
        CellRun(index=3, status="timeout"),
    )
    return Executed(
        report=scored(
            criteria,
            RunStatus.NEEDS_REVIEW,
            reason="One criterion could not be judged because of a fault of the grader.",
            notices=("CIFAR-10 was not available here: a made-up stand-in of the same shapes was used.",),
            models=(
                _model("base", 1, "It is the only model that is fitted.", _BASE_LAYERS[:3]),
                ReportModel(
                    role="dropout",
                    cell=3,
                    parameters=None,
                    layers=(ReportLayer(class_name="MyBlock", name="my_block", output_shape=None, parameters=None),),
                    optimizer=None,
                    loss=None,
                    input=None,
                    labels=None,
                    reason="It stands in section 5.",
                    origin="described",
                ),
            ),
            recorded=(ReportCurve(role="base", cell=2, values={"loss": (2.3026, math.nan, 2.3026, 2.3026), "acc": (0.1, 0.1, 0.1, 0.1)}),),
            answers=(Answer(section=5, question="What happens if you increase it too much?", text="", points=2.5),),
            flags=(
                Flag(id="curve.contradicted", severity="alert", message="The recorded accuracy is 0.93; the re-run stays at 0.10.", cell=2),
                Flag(id="cells.order", severity="info", message="The cells were not run in order."),
            ),
            cells=tuple(ReportCell(index=run.index, status=run.status, error=run.error) for run in runs),
            timings={"notebook": 9.0},
        ),
        notebook=Notebook(cells=_CELLS),
        cells=runs,
    )


def trained() -> Executed:
    """The training check as it ends for three models: one learns, one is dead on every start, one was not measured."""
    criteria = (
        criterion("train.learns", 3, 15.0, 15.0, title="The model learns", message="It learns as the reference does."),
        criterion(
            "dropout.learns",
            5,
            5.0,
            0.0,
            Status.FAIL,
            title="The dropout model learns",
            message="The network dies on each of 5 random starts.",
            hint="Compare the last convolutions with those of your base model.",
        ),
        criterion("augmentation.learns", 6, 5.0, None, Status.SKIP, title="The augmented model learns", message="Out of time."),
    )
    return Executed(
        report=scored(
            criteria,
            training=(learning(), dead(), not_measured()),
            recorded=(
                ReportCurve(role="base", cell=2, values=_history(30, 0.7)),
                ReportCurve(role="other", cell=3, values={"val_accuracy": (0.41, 0.52)}),
            ),
            timings={"notebook": 14.2, "training": 140.1},
        )
    )


def ungradable() -> Executed:
    """Another exercise was handed in."""
    reason = "This notebook is another exercise of the course (Fashion-MNIST with a fully connected network). Submit the notebook CNN on CIFAR 10."
    return Executed(report=report(RunStatus.UNGRADABLE, reason=reason, max_score=100.0))


def grader_error() -> Executed:
    """A fault of ours."""
    return Executed(report=report(RunStatus.GRADER_ERROR, reason="The report of the run could not be read.", max_score=100.0))


def infra_error() -> Executed:
    """A fault of the machine."""
    return Executed(report=report(RunStatus.INFRA_ERROR, reason="No sandbox could be started on this machine.", max_score=100.0))


def started() -> Executed:
    """Nothing yet."""
    return Executed(report=report(RunStatus.STARTED, max_score=100.0))


SAMPLES = {
    "good": lambda: drawn(good()),
    "bad": lambda: drawn(bad()),
    "trained": trained,
    "ungradable": ungradable,
    "grader_error": grader_error,
    "infra_error": infra_error,
    "started": started,
}
