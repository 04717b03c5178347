"""The frozen records that pass between the rooms: one notebook's way from bytes to report, in order.

Everything here is data without behaviour beyond small derived properties. Records named `…Claim` come out of the sandbox: they say what
the student's process *says* happened, and nothing in them is worth points by itself (design, section 2).

Units: seconds in `…_s`, mebibytes in `…_mib`, fractions from 0 to 1, pixel values as stored (0 to 255). Shapes leave the batch axis
out unless said; `None` in a shape is an unknown size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

Json = Any
"""A decoded JSON value (None, bool, int, float, str, list, dict with string keys)."""


class Status(StrEnum):
    """What became of one criterion."""

    PASS = "pass"  # noqa: S105 (a verdict)
    PARTIAL = "partial"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"
    MANUAL = "manual"


class RunStatus(StrEnum):
    """How grading one submission ended (design, section 2.5)."""

    STARTED = "started"
    GRADED = "graded"
    NEEDS_REVIEW = "needs_review"
    UNGRADABLE = "ungradable"
    GRADER_ERROR = "grader_error"
    INFRA_ERROR = "infra_error"


class FromJson:
    """What is read from JSON, strictly: out of a sandbox's frame, or out of a file that was written here."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=False)


# ------------------------------------------------------------------ the submission and its notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """The bytes handed in. `file` is a display name only: it is never used as a path."""

    id: str
    file: str
    source: str  # file | stdin | folder | archive | url | github | colab | gist
    sha256: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedIn:
    """One notebook among a class's hand-ins, as its platform names it; not read yet. It names people: nothing of it goes into reports or logs.

    `reference` is what `sources.resolve` reads. `student` identifies the student (or the group) on the platform and is never empty; `members` are the
    students of a group, in the same kind of identifier. `ids` holds every identifier that an export back to the platform needs. `attempt` counts
    from 1 where the platform tells; `submitted_at` is aware of its zone; `late` is what the platform says where it gives no time. `refusal`: why
    there is nothing to read, in words that name nobody.
    """

    platform: Literal["canvas", "moodle", "gradescope", "nbgrader", "repositories", "folder", "csv"]
    student: str
    reference: str
    file: str
    name: str = ""
    members: tuple[str, ...] = ()
    attempt: int | None = None
    submitted_at: datetime | None = None
    seconds_late: float | None = None
    late: bool | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """One output that the file carried in: evidence to audit, never worth points."""

    kind: Literal["stream", "result", "display", "error"]
    text: str = ""
    mime_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell as written. `section` is the rubric's section number (0: before the first)."""

    index: int
    kind: Literal["code", "markdown", "raw"]
    source: str
    section: int = 0
    unfilled: bool = False
    outputs: tuple[StoredOutput, ...] = ()
    execution_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notebook:
    """A readable notebook. `repairs` are sentences about what had to be mended to read it."""

    cells: tuple[Cell, ...]
    language: str = "python"
    nbformat: str = "4.5"
    repairs: tuple[str, ...] = ()
    answers: "tuple[Answer, ...]" = ()

    @property
    def code(self) -> "tuple[Cell, ...]":
        """The code cells."""
        return tuple(cell for cell in self.cells if cell.kind == "code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(FromJson):
    """A student's written answer to a section's open questions (Markdown as written; always escaped on output)."""

    section: int
    question: str
    text: str
    points: float | None = None
    cell: int | None = None


# ------------------------------------------------------------------ what box 1 says (claims)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellError(FromJson):
    """Why a cell failed, in the student's terms. `line` is 1-based within the cell, or within `cell` where a function of that one was running.

    `statement`: the line of the cell's own statement that failed.
    """

    type: str
    message: str
    line: int | None = None
    cell: int | None = None
    statement: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOutput(FromJson):
    """One output of a cell as it ran here: text, or a PNG in base64. Nothing else leaves the box."""

    kind: Literal["stdout", "stderr", "text", "png", "error"]
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRun(FromJson):
    """What happened when one code cell ran. `error` is the first; `more` are those of later lines, which ran all the same.

    `lost`: the lines of the cell's own statements that failed or, needing one that did, were not run.
    """

    index: int
    status: Literal["ok", "error", "timeout", "skipped"]
    error: CellError | None = None
    more: tuple[CellError, ...] = ()
    lost: tuple[int, ...] = ()
    outputs: tuple[CellOutput, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerClaim(FromJson):
    """One line of a model summary as the box printed it; only used to describe models that cannot be rebuilt."""

    class_name: str
    name: str
    output_shape: tuple[int | None, ...] | None = None
    parameters: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClaim(FromJson):
    """A model object as it was when last looked at. `(serial, version)` is unique; a changed configuration is a new version."""

    serial: int
    version: int
    cell: int
    kind: Literal["Sequential", "Functional", "Subclassed"]
    names: tuple[str, ...] = ()
    config: Json = field(default=None, repr=False)  # the Keras configuration, or None where there is none; `unbuildable` says why
    unbuildable: str | None = None
    traced: bool = False
    input_shape: tuple[int | None, ...] | None = None
    layers: tuple[LayerClaim, ...] = field(default=(), repr=False)
    pretrained: str | None = None
    frozen: tuple[str, ...] = ()
    parameters: int | None = None  # of the object itself, once it is built; the configuration's are those of the rebuilt graph
    unfinished: str | None = None  # what ended its building: the claim is of the layers that stood by then
    planned: int = 0  # layers that it was to have, as far as the box knows


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileClaim(FromJson):
    """One call of `compile`: `loss` and `optimizer` as Keras serialises them, or their `repr` as text in `custom`. `before`: index of the next training call."""

    serial: int
    cell: int
    before: int | None = None
    optimizer: str
    learning_rate: float | None = None
    optimizer_config: Json = None
    loss: str | None = None  # canonical snake_case name, e.g. "sparse_categorical_crossentropy"; None if custom
    from_logits: bool = False
    label_smoothing: float = 0.0
    custom_loss: str | None = None
    loss_weight: float = 1.0
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(FromJson):
    """How the images that reached a call were made from the stored ones: `value = scale * pixel + offset`.

    `kind`: identity (scale 1, offset 0) | affine (3 channel scales and offsets, or 1) | per_pixel (an affine map per pixel; the
    tuples hold the channel means) | per_image (each image standardised by its own mean and deviation) | unknown (no map fits).
    `residual`: root mean square of what the map leaves unexplained, as a fraction of the values' standard deviation, of the worst channel.
    """

    kind: Literal["identity", "affine", "per_pixel", "per_image", "unknown"]
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    residual: float = 0.0
    resized: tuple[int, int] | None = None
    channels_first: bool = False
    flattened: bool = False
    grayscale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelClaim(FromJson):
    """`agreement`: fraction of sampled labels equal to the stored label of the same image; None if the images were not recognised."""

    encoding: Literal["integer", "one_hot", "other"]
    shape: tuple[int | None, ...] = ()
    agreement: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataClaim(FromJson):
    """What reached a call as images and labels. `split` and `dataset` are found by comparing values, not names."""

    container: Literal["array", "tf.data", "generator", "unknown"]
    dataset: str | None = None  # cifar10 | cifar100 | mnist | fashion_mnist | None: not recognised
    split: Literal["train", "test", "mixed"] | None = None
    matched: float | None = None  # of the sampled images of no data set, the share that is like a stored one
    rows: int | None = None
    seen: int | None = None  # of data that comes in batches: the images of those that were looked at
    distinct: int | None = None  # about so many different images, where those that were looked at return
    shape: tuple[int | None, ...] = ()
    dtype: str = ""
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    recipe: Recipe | None = None
    labels: LabelClaim | None = None
    weights: tuple[float, ...] = ()  # of single images, where the container gives them: how they are distributed
    augmentation: tuple[str, ...] = ()  # ImageDataGenerator switches that were on, or "tf.data map"
    variable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitClaim(FromJson):
    """One training call, in order of calling. `serial`/`version` name the model as it was at the call.

    `optimizer`, `learning_rate`, `optimizer_config`: as in `CompileClaim`, when the first batch was trained; `rates`: the learning rate of each epoch, as far as the
    callbacks told. `class_weight`: (class, weight) pairs; `sample_weight`: how the weights are distributed, in equal parts. `unread`: arguments of a form that is not known.
    `own_steps`: methods by which the model trains itself, in place of Keras'. `stopped`: a callback stopped the training here after its first batch.
    `shared`: of the sampled validation images, the share that are rows of the training images; None: of different sets, or not known.
    """

    index: int
    cell: int
    call: str  # fit | fit_generator | train_on_batch | custom_loop
    serial: int
    version: int
    epochs: int | None = None
    batch_size: int | None = None
    steps: int | None = None  # batches of an epoch, where the call bounds them
    initial_epoch: int = 0
    optimizer: str | None = None
    learning_rate: float | None = None
    optimizer_config: Json = None
    rates: tuple[float | None, ...] = ()
    class_weight: tuple[tuple[int, float], ...] = ()
    sample_weight: tuple[float, ...] = ()
    unread: tuple[str, ...] = ()
    own_steps: tuple[str, ...] = ()
    stopped: bool = False
    train: DataClaim | None = None
    validation: DataClaim | None = None
    validation_split: float = 0.0
    shared: float | None = None
    callbacks: tuple[str, ...] = ()
    error: CellError | None = None

    @property
    def rows(self) -> int | None:
        """Images of one epoch; None where that is not known. Images without any contrast are none."""
        train = self.train
        if train is None:
            return None
        if train.std == 0:
            return 0
        asked = self.steps * self.batch_size if self.steps and self.batch_size else None
        return min((rows for rows in (train.rows, asked) if rows is not None), default=None)

    @property
    def images(self) -> int | None:
        """Images of all epochs together, each as often as it comes; None where that is not known."""
        return None if self.rows is None else self.rows * max((self.epochs or 1) - self.initial_epoch, 0)

    @property
    def validates_on_training(self) -> bool:
        """Whether the validation images are rows of the training images. A fifth of them may be: an honest split of CIFAR-10 has twins, about 1 in 1,000 images."""
        return self.shared is not None and self.shared > 0.2

    @property
    def validates_on_others(self) -> bool:
        """Whether the training images are the data set's and none of the validation images is: noise, or another set's."""
        train, validation = self.train, self.validation
        return (
            train is not None
            and train.dataset is not None
            and validation is not None
            and not validation.dataset
            and validation.matched == 0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateClaim(FromJson):
    """One call of `evaluate` or `predict`."""

    cell: int
    call: str
    serial: int
    data: DataClaim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotClaim(FromJson):
    """A figure that a cell drew. `curves` are the answered histories found in it: (fit index, history key)."""

    cell: int
    curves: tuple[tuple[int, str], ...] = ()
    lines: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryClaim(FromJson):
    """Sent at the end: the history of this fit was kept (a variable, `model.history`, …) when its cell ended."""

    fit: int
    kept_as: str


MOST_PREDICTED = 10_000
"""Images whose predictions one frame may carry: the whole test set."""

_Scores = Annotated[tuple[float, ...], Field(max_length=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsClaim(FromJson):
    """What a model answers for held-back images while the notebook's own code trains it: worth what our labels, outside, say of it.

    `outputs` has one row of scores for each stored row of `rows`; all are equally long, none holds a number that is not finite. `matched`:
    the rows were found by comparing images, not by counting.
    """

    fit: Annotated[int, Field(ge=0, le=100_000)]
    images: Annotated[int, Field(ge=1, le=10_000_000)]
    step: Annotated[int, Field(ge=1, le=10_000_000)]
    rows: Annotated[tuple[Annotated[int, Field(ge=0, lt=MOST_PREDICTED)], ...], Field(max_length=MOST_PREDICTED)]
    outputs: Annotated[tuple[_Scores, ...], Field(max_length=MOST_PREDICTED)]
    matched: bool

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not fit each other."""
        if len(self.rows) != len(self.outputs) or len(set(self.rows)) != len(self.rows):
            raise ValueError(f"{len(self.rows)} rows ({len(set(self.rows))} different ones) with {len(self.outputs)} outputs")
        if len({len(scores) for scores in self.outputs}) > 1:
            raise ValueError("outputs of different lengths")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(FromJson):
    """Something the box did in the student's stead: a shim, a stand-in, a shell line that was not run.

    `kind`: shim | colab | shell | pip | missing | data | input | network | limit | other; unknown or unseen: this machine lacks what
    a network, or only its training or curves, need; or grader: a defect of ours, which cost a claim. What may depend on the last three is not decided
    then, and a person looks at the report.
    """

    cell: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """All that came out of box 1. `ending` is the host's own observation, everything else is a claim.

    `ending`: ok | timeout | memory | disk | output | processes | killed | garbled | deadline | enough (no more was wanted). `detail` is a sentence for the student.
    """

    ending: str = "ok"
    detail: str = ""
    cells: tuple[CellRun, ...] = ()
    models: tuple[ModelClaim, ...] = ()
    compiles: tuple[CompileClaim, ...] = ()
    fits: tuple[FitClaim, ...] = ()
    evaluations: tuple[EvaluateClaim, ...] = ()
    variables: tuple[DataClaim, ...] = ()
    plots: tuple[PlotClaim, ...] = ()
    histories: tuple[HistoryClaim, ...] = ()
    predictions: tuple[PredictionsClaim, ...] = ()  # only where one was asked for (training.sandboxed)
    notes: tuple[Note, ...] = ()
    loads: tuple[str, ...] = ()  # data sets asked for, in order
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    peak_mib: float = 0.0


# ------------------------------------------------------------------ what box 2 says (ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(FromJson):
    """One layer application in the rebuilt model's graph, in topological order; nested models are flattened.

    `inputs` are indices of nodes. `output_shape` is without the batch axis. `config` is the layer's canonical configuration. `training` is what the notebook
    itself passes by that name, to the layer or to a model around it. `effect`: None where nothing was measured.
    """

    index: int
    class_name: str
    name: str
    config: dict[str, Json] = field(default_factory=dict)
    inputs: tuple[int, ...] = ()
    output_shape: tuple[int | None, ...] | None = None
    parameters: int = 0
    training: bool | None = None
    effect: "Effect | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(FromJson):
    """What one step of a model was measured to do (`training/inside/effects.py`); None where that could not be measured.

    `values`: what it makes of the values that come in, in inference (each: nonlinear, each value for itself; of a layer with a kernel, its own activation). `nonlinear`: whether what a layer with a kernel gives
    goes through something nonlinear before the next one. `positions`: what it makes of a map: mixes neighbours (pools), leaves out at least half of them (skips), is its average or maximum, flattens it for what follows.
    `active`: when a layer that may act in training does so. `dropped`: the share of values that it then sets to zero; `whole`: those of an image all together.
    `faint`: of the nodes that come in, those that move the result next to nothing by a scale that training does not change.
    """

    values: Literal["identity", "constant", "linear", "each", "nonlinear"] | None = None
    nonlinear: bool | None = None
    positions: Literal["kept", "pools", "skips", "average", "maximum", "flattens"] | None = None
    active: Literal["training", "always", "never"] | None = None
    dropped: float | None = None
    whole: bool = False
    faint: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaching(FromJson):
    """What reaches a model's first layers with a kernel on stored images: (smallest, largest, mean, standard deviation), of the input with the largest values. `bent`: the first step in front that changes stored images by more than a scale and an offset, each value for itself."""

    inference: tuple[float, float, float, float]
    training: tuple[float, float, float, float]
    bent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph(FromJson):
    """A model rebuilt symbolically from allow-listed parts: exact shapes and parameter counts, nothing allocated. `reaching`: None where that was not measured."""

    nodes: tuple[Node, ...] = field(repr=False)
    outputs: tuple[int, ...]
    parameters: int
    trainable_parameters: int
    input_shape: tuple[int | None, ...] | None = None
    reaching: Reaching | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut(FromJson):
    """How a model does on held-back images: `loss` is the crossentropy whatever the student's loss is (None: not finite).

    `constant`: every image gets the same output, to a millionth.
    """

    loss: float | None
    accuracy: float
    images: int
    constant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(FromJson):
    """A training run after `step` batches (`images` images). Everything since the checkpoint before is the window.

    `train_loss`, `train_accuracy`: means over the window, each batch measured before it was learned from. `gradients`: each variable's
    largest gradient norm in the window (None: not finite). `silent`: for each rectifying layer (name, share of its units that are zero on
    every one of 256 images, units). `feeding`: for each of them without weights of its own, (its name, the layer with weights before it). `settled`: those wholly silent that
    stay so on 1,024 images while the optimizer's momentum runs out. `still`: no weight has changed since the run began, and nothing changes the learning rate.
    """

    step: int
    images: int
    train_loss: float | None
    train_accuracy: float
    finite: bool
    gradients: tuple[tuple[str, float | None], ...]
    seconds: float
    held: HeldOut | None = None
    silent: tuple[tuple[str, float, int], ...] | None = None
    feeding: tuple[tuple[str, str], ...] = ()
    settled: tuple[str, ...] = ()
    still: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint(FromJson):
    """One evaluation point of a re-run: crossentropy and accuracy on held-back images after `images` training images."""

    step: int
    images: int
    loss: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun(FromJson):
    """One seed's re-run. `ending`: learns | dead | stuck (at chance to the end of the budget) | doubtful (between) | cut (out of time).

    `accuracy` and its `interval` (95 %) are of the last point; `proof` is the sentence that proves death; `norms` are the largest gradient
    norms of the last window, variable by variable.
    """

    seed: int
    ending: Literal["learns", "dead", "stuck", "doubtful", "cut"]
    points: tuple[CurvePoint, ...]
    images: int
    steps: int
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    train_loss: float | None = None
    proof: str = ""
    silent: tuple[tuple[str, float, int], ...] = ()
    norms: tuple[tuple[str, float | None], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactual(FromJson):
    """The same model with one thing changed. `change` reads on from "with "; `cause` is an id of the diagnosis' list.

    `because` names what in the model is suspected, `cure` is what the student is told to do. `cures`: the same seed learns. `lives`: the same
    seed, which had died, is alive at the end of the budget, but has not learned yet.
    """

    cause: str
    change: str
    because: str
    cure: str
    rerun: Rerun
    cures: bool
    lives: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BandPoint(FromJson):
    """The reference band after `images` training images: the smallest, median and largest accuracy on held-back images of the solution's runs.

    `runs`: how many they are. `passes`: from here on a run counts as learning; `zero`: up to here it is not told from guessing.
    """

    images: int
    low: float
    median: float
    high: float
    passes: float
    zero: float
    runs: int = 0


Verdict = Literal["learns", "fragile", "slow", "dead", "stuck", "doubtful", "not_measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(FromJson):
    """The measured verdict on one role's model.

    `verdict`: learns | fragile (lives on some seeds, dies on others) | slow (trains, but was at guessing when the budget ended) |
    dead (proved on every seed) | stuck (at guessing, for a cause that was proved) | doubtful | not_measured. `way`: rebuilt (in box 2, from data) | sandboxed (the student's own
    code, scored outside). `cause`, `because`, `diagnosis`, `cure`: id, suspected part, proof and advice of what an intervention cured. `whole`: the
    run over all epochs, where the budget is full (one point an epoch). `fraction`: 0 to 1 on the ramp between the band's limits. `review`: why a person should look.
    """

    role: str
    verdict: Verdict
    reason: str = ""
    way: Literal["rebuilt", "sandboxed"] = "rebuilt"
    fraction: float | None = None
    budget: str = "short"
    device: str = "cpu"
    backend: str = ""
    precision: str = ""
    dataset: str = ""
    reruns: tuple[Rerun, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    whole: tuple[CurvePoint, ...] = ()
    cause: str = ""
    because: str = ""
    diagnosis: str = ""
    cure: str = ""
    band: tuple[BandPoint, ...] = ()
    review: str = ""
    notes: tuple[str, ...] = ()
    images: int = 0
    seconds: float = 0.0
    cached: bool = False
    key: str = ""

    @property
    def shown(self) -> Rerun | None:
        """The re-run that speaks for the verdict: the furthest living one, else the first."""
        living = [rerun for rerun in self.reruns if rerun.ending == "learns"]
        return next(iter(living or self.reruns), None)

    @property
    def living(self) -> int:
        """On how many seeds it took off."""
        return sum(rerun.ending == "learns" for rerun in self.reruns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """How a notebook's stored training curve compares with the re-run of the same model.

    `outcome`: agrees | contradicted | undecided (the re-run was not made or decided nothing) | not_shown (nothing is stored). `final` is
    the stored curve's best validation accuracy, `epochs` its length; `sentence` says it in words. `died`: it stays at guessing, and the model
    does not live on every seed: the training that the notebook shows was one that did not.
    """

    outcome: Literal["agrees", "contradicted", "undecided", "not_shown"]
    sentence: str
    final: float | None = None
    epochs: int = 0
    cell: int | None = None
    died: bool = False


# ------------------------------------------------------------------ evidence, findings, score


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A claimed model with all that is known about it. `graph` is None where it could not be rebuilt; `refusal` says why."""

    claim: ModelClaim
    graph: Graph | None = None
    refusal: str | None = None
    compiled: CompileClaim | None = None
    fits: tuple[FitClaim, ...] = ()  # the one that is judged last
    section: int = 0
    images: int | None = None  # that all its training calls together ask for, each as often as it is repeated; None: not known
    shown: int = 0  # how the notebook follows its training: history kept, curves plotted, evaluated (one each)

    @property
    def fitted(self) -> bool:
        """Whether any training call reached it."""
        return bool(self.fits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Which model plays a role (base, dropout, augmentation) and why it was chosen, as a sentence."""

    model: Model | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why something is missing, or what followed from a cell's failure, as a sentence about `cell`; `error`: the failure that counts most in it."""

    cell: int
    sentence: str
    error: CellError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCurve:
    """A training curve read from stored outputs. `values` maps a history key to one value an epoch.

    `doubt` reads on from "the notebook records …; " and says what in the run of its cell here speaks against it; `refuted`: so much that it is no record.
    """

    cell: int
    epochs: int
    values: Mapping[str, tuple[float, ...]]
    doubt: str = ""
    refuted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that checks may look at."""

    notebook: Notebook
    run: RunRecord
    models: tuple[Model, ...] = ()
    roles: Mapping[str, Role] = field(default_factory=dict)
    causes: Mapping[str, Cause] = field(default_factory=dict)
    recorded: tuple[RecordedCurve, ...] = ()
    claimed_parameters: tuple[int, ...] = ()
    attempted: bool = True
    out_of_time: bool = False
    budget: str = "none"  # of training, as the run was asked for
    training: "Mapping[str, Training]" = field(default_factory=dict)
    audits: "Mapping[str, Audit]" = field(default_factory=dict)


Basis = Literal["measured", "recorded", "left_out"]
"""What a criterion's points rest on: what was run, rebuilt or trained here; what the notebook's stored outputs say; or nothing, as this run was asked to leave it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A check's answer. `fraction` of the points earned, 0 to 1; None where nothing was decided (skip, error, manual)."""

    status: Status
    fraction: float | None
    message: str
    hint: str = ""
    expected: str = ""
    actual: str = ""
    basis: Basis = "measured"


@dataclass(frozen=True, slots=True)
class Flag(FromJson):
    """For staff: something a person should look at. Never worth points by itself. `severity`: info | warning | alert."""

    id: str
    severity: Literal["info", "warning", "alert"]
    message: str
    cell: int | None = None


# ------------------------------------------------------------------ the report, `grader/report/v1`


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult(FromJson):
    """One line of the report. `earned` is null where nothing was decided."""

    id: str
    title: str
    section: int
    points: float
    earned: float | None
    status: Status
    message: str
    hint: str = ""
    expected: str = ""
    actual: str = ""
    why: str = ""
    basis: Basis = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLayer(FromJson):
    """One row of the layer table; `settings` are the few that matter, in words ("3x3, stride 2, same, relu")."""

    class_name: str
    name: str
    output_shape: tuple[int | None, ...] | None
    parameters: int | None
    settings: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportModel(FromJson):
    """A model of the notebook as judged. `origin`: rebuilt | described (could not be rebuilt; from the summary only)."""

    role: Literal["base", "dropout", "augmentation", "other"]
    cell: int
    parameters: int | None
    layers: tuple[ReportLayer, ...]
    optimizer: str | None
    loss: str | None
    input: str | None
    labels: str | None
    reason: str = ""
    name: str = ""
    origin: Literal["rebuilt", "described"] = "rebuilt"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTraining(FromJson):
    """One training check (empty list in a report: none was run). Fields as in `Training`.

    `curve` is the re-run shown, `reference` the band's columns over `images`; `runs` has one line a seed; `recorded` says in words how the
    notebook's stored curve compares with the re-run.
    """

    role: str
    budget: str
    device: str
    backend: str
    dataset: str
    seeds: tuple[int, ...]
    steps: int
    curve: tuple[CurvePoint, ...]
    reference: dict[str, Json]
    verdict: str
    diagnosis: str
    way: str = "rebuilt"
    reason: str = ""
    precision: str = ""
    images: int = 0
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    runs: tuple[Rerun, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    cause: str = ""
    recorded: str = ""
    review: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCurve(FromJson):
    """The curve that the notebook's stored outputs record, for the plot; a claim, shown as such."""

    role: str
    cell: int
    values: dict[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCell(FromJson):
    """How a cell of the notebook ran here. `error` is the failure that counts most, `more` are others; `consequence` says what followed ("so …")."""

    index: int
    status: Literal["ok", "error", "timeout", "skipped"]
    error: CellError | None = None
    more: tuple[CellError, ...] = ()
    consequence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRubric(FromJson):
    """The rubric that was used; `sha256` of its file."""

    id: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSubmission(FromJson):
    """The submission as reported; `file` is a display name."""

    id: str
    file: str
    sha256: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(FromJson):
    """`report.json`, field for field the published schema."""

    status: RunStatus
    reason: str
    rubric: ReportRubric
    submission: ReportSubmission
    score: float
    max_score: float
    auto_score: float
    auto_max: float
    pending_points: float
    notices: tuple[str, ...] = ()  # first lines of every format: stand-in data, no sandbox, …
    criteria: tuple[CriterionResult, ...] = ()
    models: tuple[ReportModel, ...] = ()
    training: tuple[ReportTraining, ...] = ()
    recorded: tuple[ReportCurve, ...] = ()
    answers: tuple[Answer, ...] = ()
    flags: tuple[Flag, ...] = ()
    cells: tuple[ReportCell, ...] = ()
    notes: tuple[Note, ...] = ()
    environment: dict[str, Json] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    schema: Literal["grader/report/v1"] = "grader/report/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The notebook as nbconvert draws it, checked to be inert: HTML of the cells and of each answer. `fault`: why there is none, as a sentence."""

    cells: str = ""
    answers: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A report with what only some formats show: the notebook, how each cell ran, and both drawn (None: nobody asked for it)."""

    report: Report
    notebook: Notebook | None = None
    cells: tuple[CellRun, ...] = ()
    page: Page | None = None
