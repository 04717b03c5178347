"""Reports to render: a good one, a bad one, and one for every ending without a score. All made by hand, none of them a student's."""

import base64
import math
import struct
import zlib

from grader.records import (
    Answer,
    Cell,
    CellError,
    CellOutput,
    CellRun,
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
    RunStatus,
    Status,
)

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
    totals = {"score": earned, "max_score": most, "auto_score": earned, "auto_max": most - manual, "pending_points": manual}
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
            message="After 1,200 steps it reaches an accuracy of 0.38; the reference lies between 0.40 and 0.52.",
            hint="Lower the learning rate to 0.0005: with it the same model reached 0.47.",
            expected="0.40 to 0.52",
            actual="0.38",
            why="A network that learns slowly at first often ends lower, for the same price.",
        ),
        criterion("curves.plotted", 4, 5.0, 5.0, title="The curves are plotted", message="Cell 3 draws accuracy and val_accuracy."),
        criterion("curves.answers", 4, 5.0, None, Status.MANUAL, title="The questions are answered", message="A person reads the answers."),
    )
    recorded = ReportCurve(role="base", cell=2, values=_history(30, 0.7))
    trained = ReportTraining(
        role="base",
        budget="short",
        device="cpu",
        backend="tensorflow",
        dataset="cifar10",
        seeds=(1, 2, 3),
        steps=1200,
        curve=tuple(CurvePoint(step=200 * i, loss=2.3 - 0.13 * i, accuracy=0.1 + 0.045 * i) for i in range(1, 7)),
        reference={"low": 0.4, "high": 0.52, "quantile": 0.05},
        verdict="slow",
        diagnosis="With the rate lowered to 0.0005, the same model reaches 0.47 where yours reaches 0.38.",
    )
    return Executed(
        report=scored(
            criteria,
            models=(_model("base", 1, "It is the first model that is fitted, and it stands in section 1."),),
            training=(trained,),
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


def ungradable() -> Executed:
    """Another exercise was handed in."""
    reason = "This notebook is another exercise of the course (Fashion-MNIST with a fully connected network). Hand in the notebook CNN on CIFAR 10."
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
    "good": good,
    "bad": bad,
    "ungradable": ungradable,
    "grader_error": grader_error,
    "infra_error": infra_error,
    "started": started,
}
