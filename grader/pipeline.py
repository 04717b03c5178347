"""One submission from reference to report, in the order of the design's section 2. Reading this file is following one notebook through.

reference -> Submission -> Notebook -> box 1 -> RunRecord -> box 2 -> Evidence -> checks -> Findings -> Score -> Report -> formats
"""

import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import grader
from grader import checks, dataset, evidence, notebook, reports, rubric, sandbox, scoring, sources
from grader import graph as graphs
from grader.checks._data import training_data
from grader.errors import GraderError, InfrastructureError, NotGradable, UsageError
from grader.machine import USUAL_MIB
from grader.progress import Watch, nobody
from grader.records import (
    Audit,
    Cause,
    CellRun,
    CriterionResult,
    Evidence,
    Executed,
    Finding,
    Flag,
    Model,
    Note,
    Notebook,
    Page,
    Report,
    ReportCell,
    ReportCurve,
    ReportLayer,
    ReportModel,
    ReportRubric,
    ReportSubmission,
    ReportTraining,
    RunRecord,
    RunStatus,
    Status,
    Submission,
    Training,
)
from grader.reports import as_notebook
from grader.sandbox import Job, Limits
from grader.sandbox.notebook_run import collect_notebook, start_notebook
from grader.training import sandboxed
from grader.training.audit import audit
from grader.training.box2 import Box2
from grader.training.cache import Cache, default_folder
from grader.training.course import BUDGETS
from grader.training.measure import Setting
from grader.training.session import Plan, check_device, train_roles
from grader.words import counted

DRAWING = Limits(wall_s=120.0, cpu_s=30, memory_mib=1024, data_mib=2048, disk_mib=16, files=100, output_mib=1, frames_mib=64)
"""For drawing a notebook with nbconvert: 2 s and 100 MiB for any honest one."""

_OWN_EXERCISE = 0.3
"""Fraction of the exercise's anchors from which a notebook counts as this exercise whatever its code mentions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for. `deadline_s`: seconds for the whole run, None for no bound."""

    rubric: str = "all_cnn_c"
    budget: str = "none"
    device: str = "auto"
    sandbox: str = "auto"
    out: Path = Path("report")
    formats: tuple[str, ...] = ("json", "html")
    deadline_s: float | None = None
    seed: int = 0
    allow_fetch: bool = False
    hosts: tuple[str, ...] = ()
    store: Path | None = None
    backend: str = "tensorflow"
    cache: Path | None = None
    use_cache: bool = True
    limits: Limits = Limits()  # noqa: RUF009 (frozen)
    watch: Watch = nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished run: what was written and its exit code. `staff` is for the terminal of the person who runs `grade`, `evidence` (None: no score) what was judged."""

    executed: Executed
    files: tuple[Path, ...]
    exit_code: int
    staff: str = ""
    evidence: Evidence | None = None

    @property
    def report(self) -> Report:
        """The report."""
        return self.executed.report


class Interrupted(Exception):
    """A signal asked for an end. `code` is the exit code, 128 + the signal's number."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(name)
        self.name, self.code = name, code


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """Boxes that are kept for more than one notebook. `box1` starts them (perhaps warm), `rebuilder` rebuilds models, `trainer` trains them.

    The two may be one and the same; apart, a rebuilding never waits for a training. `pages` starts boxes to draw notebooks in (None: `box1` does).
    """

    box1: sandbox.Sandbox
    rebuilder: Box2
    trainer: Box2
    pages: sandbox.Sandbox | None = None


def grade(reference: str | Submission, options: Options, stdin: BinaryIO | None = None, boxes: Boxes | None = None) -> Outcome:
    """Grade one submission, named or already read, and write its report. `boxes` are used and left running; by default it has its own.

    Raises UsageError (nothing is written then). Every other ending is a report: a student's result, not gradable, our defect, or the
    machine's lack, told apart by `Outcome.exit_code`.
    """
    written: list[Path] = []

    def begun(draft: _Draft) -> None:
        written[:] = reports.write_started(
            options.out, rubric=draft.rubric, submission=draft.submission, max_score=draft.max_score, formats=options.formats
        )

    try:
        done = execute(reference, options, stdin, boxes, begun)
    except UsageError:
        if written:
            written[-1].unlink(missing_ok=True)
        raise
    options.watch("phase", phase="report")
    return replace(done, files=tuple(reports.write(done.executed, options.out, options.formats)))


def execute(
    reference: str | Submission,
    options: Options,
    stdin: BinaryIO | None = None,
    boxes: Boxes | None = None,
    begun: "Callable[[_Draft], None]" = lambda _draft: None,
) -> Outcome:
    """As `grade`, but nothing is written: `Outcome.files` is empty. `begun` is called before anything is read, and once more when the notebook's bytes are known."""
    started = time.monotonic()
    lines = rubric.load(options.rubric)
    reports.check(options.formats)
    if options.budget not in ("none", *BUDGETS):
        raise UsageError(f"--budget {options.budget}: expected none, {' or '.join(BUDGETS)}.")
    head = ReportRubric(id=lines.id, version=lines.version, sha256=lines.sha256)
    name = reference.file if isinstance(reference, Submission) else Path(reference).name[:120]
    unknown = ReportSubmission(id="", file=name, sha256="", source="")
    draft = _Draft(rubric=head, submission=unknown, max_score=lines.max_points, started=started, begun=begun, watch=options.watch)
    begun(draft)
    try:
        executed, exit_code, staff = _graded(reference, options, stdin, lines, draft, boxes), 0, ""
        if reports.DRAWN.intersection(options.formats):
            left = DRAWING.wall_s if options.deadline_s is None else options.deadline_s - (time.monotonic() - started)
            executed = drawn(executed, sandbox.choose(options.sandbox) if boxes is None else boxes.pages or boxes.box1, left)
    except UsageError:
        raise
    except Interrupted as signal:
        executed, exit_code = draft.ended(RunStatus.INFRA_ERROR, f"Grading was interrupted by {signal.name}; run it again."), signal.code
        staff = f"Interrupted by {signal.name}."
    except GraderError as error:
        executed, exit_code, staff = draft.ended(RunStatus(error.status), str(error)), error.exit_code, str(error)
        if exit_code == GraderError.exit_code:
            staff = traceback.format_exc()
    except Exception as error:  # noqa: BLE001 (the one place where a defect of ours becomes a status)
        executed = draft.ended(
            RunStatus.GRADER_ERROR, f"A defect in the grader ({type(error).__name__}) stopped it; this submission needs manual review."
        )
        exit_code, staff = GraderError.exit_code, traceback.format_exc()
    return Outcome(executed=executed, files=(), exit_code=exit_code, staff=staff, evidence=None if exit_code else draft.found)


def drawn(executed: Executed, box: sandbox.Sandbox, left_s: float = DRAWING.wall_s) -> Executed:
    """`executed` with its notebook as a page, which nbconvert draws in a box: the input is a student's. Where that fails, the reason instead; it costs no points.

    `left_s`: seconds to the run's deadline; after it, five more are taken.
    """
    frames: list[tuple[str, Any]] = []
    limits = replace(DRAWING, wall_s=min(DRAWING.wall_s, max(left_s, 5.0)))
    try:
        with box.start(Job(program=as_notebook.PROGRAM, module="page", spec=as_notebook.request(executed)), limits) as running:
            while (more := running.read()) is not None:
                frames += more
        if running.ending is not None and running.ending.name != "ok":
            raise InfrastructureError(f"Drawing it was ended ({running.ending.name}).")  # noqa: TRY301
        page = as_notebook.page(frames)
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 (a defect of ours that changes no result)
        page = Page(fault=str(error) if isinstance(error, GraderError) else f"Drawing it failed ({type(error).__name__}).")
    return replace(executed, page=page)


def unreached(status: RunStatus, reason: str, options: Options, *, file: str, sha256: str) -> Outcome:
    """The outcome for a hand-in that never came to be graded: its bytes could not be had (not gradable), or the machine failed every try, or we did."""
    lines = rubric.load(options.rubric)
    draft = _Draft(
        rubric=ReportRubric(id=lines.id, version=lines.version, sha256=lines.sha256),
        submission=ReportSubmission(id="", file=file, sha256=sha256, source=""),
        max_score=lines.max_points,
        started=time.monotonic(),
        begun=lambda _draft: None,
        watch=options.watch,
    )
    code = {RunStatus.UNGRADABLE: NotGradable.exit_code, RunStatus.INFRA_ERROR: InfrastructureError.exit_code}.get(
        status, GraderError.exit_code
    )
    return Outcome(executed=draft.ended(status, reason), files=(), exit_code=code, staff=reason)


# ------------------------------------------------------------------ the flow


@dataclass(kw_only=True)
class _Draft:
    """What is known of the report so far, for endings that come early."""

    rubric: ReportRubric
    submission: ReportSubmission
    max_score: float
    started: float
    begun: "Callable[[_Draft], None]"
    watch: Watch
    timings: dict[str, float] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(
        default_factory=lambda: {"grader": grader.__version__, "python": platform.python_version(), "hardware": _hardware()}
    )
    notebook: Notebook | None = None
    cells: tuple[CellRun, ...] = ()
    found: Evidence | None = None

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Tell of a phase, and add its seconds to the timings."""
        self.watch("phase", phase=phase)
        begun = time.monotonic()
        try:
            yield
        finally:
            self.timings[phase] = round(self.timings.get(phase, 0.0) + time.monotonic() - begun, 3)

    def ended(self, status: RunStatus, reason: str, **parts: Any) -> Executed:
        """The report with what is known, and `parts`."""
        self.timings["total"] = round(time.monotonic() - self.started, 3)
        fields: dict[str, Any] = {
            "score": 0.0,
            "max_score": self.max_score,
            "auto_score": 0.0,
            "auto_max": 0.0,
            "pending_points": 0.0,
            **parts,
        }
        report = Report(
            status=status,
            reason=reason,
            rubric=self.rubric,
            submission=self.submission,
            notices=tuple(self.notices),
            cells=tuple(_cell(run, self.found.causes.get(f"cell {run.index}") if self.found else None) for run in self.cells),
            environment=self.environment,
            timings=self.timings,
            **fields,
        )
        return Executed(report=report, notebook=self.notebook, cells=self.cells)


def _graded(
    reference: str | Submission, options: Options, stdin: BinaryIO | None, lines: rubric.Rubric, draft: _Draft, kept: Boxes | None
) -> Executed:
    deadline = None if options.deadline_s is None else draft.started + options.deadline_s
    with draft.timed("read"):
        submission = reference
        if isinstance(submission, str):
            submission = sources.resolve(submission, allow_fetch=options.allow_fetch, stdin=stdin, hosts=options.hosts)
        draft.submission = ReportSubmission(id=submission.id, file=submission.file, sha256=submission.sha256, source=submission.source)
        draft.begun(draft)
        anchors = notebook.load_anchors(lines.folder / "anchors.toml")
        draft.notebook = read = notebook.read(submission.data, anchors)
        recognition = notebook.recognise(read, anchors)
        _refuse_other_exercises(read, recognition)
    box = sandbox.choose(options.sandbox) if kept is None else kept.box1
    draft.environment["sandbox"] = box.name
    if box.name == "none":
        draft.notices.append("This notebook ran without a sandbox (--sandbox none).")
    if box.name == "container":
        draft.notices.append("The declared container (--sandbox container) isolated this notebook.")
    device = check_device(options.device)
    with draft.timed("data"):
        data = dataset.ensure(options.store or dataset.default_store())
    draft.environment["dataset"] = {"name": data.name, "fingerprint": data.fingerprint[:16]}
    if data.standin:
        draft.notices.insert(0, "Made-up stand-in images were used, not CIFAR-10 (run `grade data fetch`).")
    with nullcontext(kept) if kept is not None else _boxes(box, options, data.folder, device) as boxes:
        read, copies = notebook.without_copies(read)
        with draft.timed("run"):
            record = _run(read, box, options, data.folder, deadline)
        again = "the unfilled template cell again: the names that it sets to None keep their values from the filled cell above"
        record = replace(record, notes=(*record.notes, *(Note(cell=cell, kind="other", text=again) for cell in copies)))
        draft.cells = record.cells
        draft.environment["versions"] = dict(record.versions)
        draft.environment["peak_mib"] = round(record.peak_mib)
        with draft.timed("rebuild"):
            rebuilt = boxes.rebuilder.rebuild_all(evidence.candidates(record), deadline)
            attempted = bool(rebuilt) or not notebook.untouched(read, anchors)
            seen = record if attempted else RunRecord(ending=record.ending, detail=record.detail, cells=record.cells)
            found = evidence.build(read, seen, rebuilt, attempted=attempted, out_of_time=record.ending == "deadline")
            found = _measured(found, boxes.rebuilder, deadline)
        with draft.timed("train"):
            draft.found = found = _trained(found, lines, boxes, options, data, device, deadline)
    with draft.timed("judge"):
        results = tuple(_judge(line, found) for line in lines.criteria)
    return _report(draft, lines, found, results, record)


def _refuse_other_exercises(read: Notebook, found: notebook.Recognition) -> None:
    """Raise NotGradable for what is not an attempt at this exercise, with the reason."""
    if read.language != "python":
        raise NotGradable(f"The notebook is written for {read.language}; this exercise is graded in Python with Keras.")
    if found.code_cells == 0:
        raise NotGradable("The notebook has no code cells, so there is nothing to run. Submit the notebook with your code.")
    if found.imports_torch and not found.imports_keras:
        raise NotGradable(
            "The notebook uses PyTorch; this exercise is graded in Keras. Build the network with keras layers, or ask for another rubric."
        )
    if found.template_score >= _OWN_EXERCISE and not found.other_datasets:
        return
    if not found.mentions_cifar10:
        other = f"it works on {', '.join(found.other_datasets)}" if found.other_datasets else "its code never mentions CIFAR-10"
        raise NotGradable(f"This looks like another exercise: {other}. Submit the notebook of the exercise on CIFAR-10.")


def _run(read: Notebook, box: sandbox.Sandbox, options: Options, data: Path, deadline: float | None) -> RunRecord:
    limits = options.limits
    with start_notebook(read.cells, box, limits, data, options.seed) as running:
        return collect_notebook(running, read.cells, limits, deadline, watch=options.watch)


@contextmanager
def _boxes(box: sandbox.Sandbox, options: Options, data: Path, device: str) -> Iterator[Boxes]:
    """Boxes of this run's own: one box 2 for both its works, which is given the images only where it is to train."""
    with box2(box, options, data, device, trains=options.budget != "none") as both:
        yield Boxes(box1=box, rebuilder=both, trainer=both)


def box2(box: sandbox.Sandbox, options: Options, data: Path, device: str, *, trains: bool) -> Box2:
    """A box 2 as the options ask for it, with the images in `data`; it only rebuilds and measures unless it `trains`."""
    folder, device = (data, device) if trains else (None, "cpu")
    return Box2(box, Limits(memory_mib=USUAL_MIB), data=folder, images=data, backend=options.backend, device=device)


def _measured(found: Evidence, box: Box2, deadline: float | None) -> Evidence:
    """The evidence with what the steps of the models that play a role were measured to do, on the images that reached each."""
    roles = {}
    for role, match in found.roles.items():
        model = match.model
        if model is not None and model.graph is not None:
            own = [fit.train for fit in model.fits if fit.train is not None]
            data = own[-1] if own else training_data(found)
            model = replace(model, graph=box.measure(model.claim, model.graph, data, deadline))
        roles[role] = replace(match, model=model)
    return replace(found, roles=roles)


def _trained(
    found: Evidence, lines: rubric.Rubric, boxes: Boxes, options: Options, data: dataset.Dataset, device: str, deadline: float | None
) -> Evidence:
    """The evidence with the training verdicts of the roles that the rubric asks for, and with what they say of the stored curves."""
    roles = tuple(dict.fromkeys(line.params["role"] for line in lines.criteria if line.check in ("training_learns", "training_accuracy")))
    found = replace(found, budget=options.budget)
    if options.budget == "none" or not roles or found.out_of_time:
        return found
    plan = Plan(
        reference=rubric.reference(lines),
        budget=options.budget,
        device=device,
        backend=options.backend,
        seed=options.seed,
        cache=Cache(options.cache or default_folder()) if options.use_cache else None,
        watch=options.watch,
    )

    def by_own_code(role: str, model: Model, setting: Setting) -> Training:
        return sandboxed.measure(found.notebook.cells, boxes.box1, options.limits, data.folder, role, model, setting, deadline=deadline)

    training = train_roles(boxes.trainer, found, roles, plan, data, deadline, by_own_code)
    return replace(found, training=training, audits={role: audit(found, role, training.get(role)) for role in roles})


def _judge(line: rubric.Criterion, found: Evidence) -> CriterionResult:
    """One criterion's result. A check that raises is a defect of ours: `error`, never points."""
    try:
        check = checks.get(line.check)
        finding = check.check(found, line.params)
    except Exception:  # noqa: BLE001
        finding = Finding(
            status=Status.ERROR,
            fraction=None,
            message="This criterion could not be judged because of a defect in the grader; manual review is needed.",
            actual=traceback.format_exc(limit=-1)[-300:],
        )
    if found.out_of_time and finding.status in (Status.FAIL, Status.PARTIAL):
        finding = Finding(status=Status.SKIP, fraction=None, message="Out of time: the notebook was still running at the deadline.")
    return scoring.result(line, finding)


# ------------------------------------------------------------------ the report


def _report(draft: _Draft, lines: rubric.Rubric, found: Evidence, results: tuple[CriterionResult, ...], record: RunRecord) -> Executed:
    status, reason = RunStatus.GRADED, ""
    raised = evidence.flags(found)
    suspicions = [flag for flag in raised if flag.id in evidence.SUSPICIOUS]
    if suspicions:
        results = tuple(_undecided(result, suspicions[0]) for result in results)
    sums = scoring.totals(results)
    broken = [result for result in results if result.status is Status.ERROR]
    if broken:
        status = RunStatus.NEEDS_REVIEW
        reason = f"Manual review: {counted(len(broken), 'criterion')} could not be judged ({', '.join(result.id for result in broken[:4])}{', …' * (len(broken) > 4)})."
    elif any(note.kind == "grader" for note in record.notes):
        status, reason = RunStatus.NEEDS_REVIEW, "Manual review: there was a defect in the grader while it ran the notebook."
    elif reviews := [f"{role} model: {training.review}" for role, training in found.training.items() if training.review]:
        status, reason = RunStatus.NEEDS_REVIEW, f"The training check needs manual review. {' '.join(reviews)}"
    elif suspicions:
        status = RunStatus.NEEDS_REVIEW
        reason = (
            f"These points count only after a manual review (cell {suspicions[0].cell}). {suspicions[0].message} {record.detail}".strip()
        )
    elif record.ending == "deadline":
        reason = "Time was up before everything was graded; what is not graded yet does not count."
    elif record.ending != "ok":
        reason = record.detail
        base = found.roles.get("base")
        if base is None or base.model is None:
            status = RunStatus.NEEDS_REVIEW
    elif not found.attempted:
        reason = "Not attempted: the exercise's cells are unchanged from the template."
    return draft.ended(
        status,
        reason,
        score=sums.score,
        max_score=lines.max_points,
        auto_score=sums.auto_score,
        auto_max=sums.auto_maximum,
        pending_points=sums.pending,
        criteria=results,
        models=_models(found),
        training=_training(found),
        recorded=_recorded(found),
        answers=found.notebook.answers,
        flags=raised,
        notes=tuple(note for note in record.notes if note.kind not in evidence.SEEN),
    )


def _cell(run: CellRun, cause: Cause | None) -> ReportCell:
    errors = ((run.error,) if run.error else ()) + run.more
    first = cause.error if cause is not None and cause.error in errors else run.error
    return ReportCell(
        index=run.index,
        status=run.status,
        error=first,
        more=tuple(error for error in errors if error != first),
        consequence=cause.sentence if cause is not None else "",
    )


def _undecided(result: CriterionResult, flag: Flag) -> CriterionResult:
    """A decided criterion of a notebook that reaches for the grader: nobody's points until a person has looked, and nobody's loss."""
    if result.status in (Status.SKIP, Status.MANUAL):
        return result
    message = f"What this code shows may not be what it does, so it needs manual review. {flag.message}"
    return replace(result, status=Status.SKIP, earned=None, message=message, hint="")


def _models(found: Evidence) -> tuple[ReportModel, ...]:
    roles: dict[tuple[int, int], tuple[str, str]] = {}
    for role, match in found.roles.items():
        if match.model is not None:
            roles.setdefault(_object(match.model), (role, match.reason))
    order = {"base": 0, "dropout": 1, "augmentation": 2, "other": 3}
    shown = [_model(model, *roles.get(_object(model), ("other", ""))) for model in found.models]
    return tuple(sorted(shown, key=lambda model: (order[model.role], model.cell))[:12])


def _object(model: Model) -> tuple[int, int]:
    return model.claim.serial, model.claim.version


def _model(model: Model, role: Any, reason: str) -> ReportModel:
    claim, fit = model.claim, model.fits[-1] if model.fits else None
    if model.graph is not None:
        layers = tuple(
            ReportLayer(
                class_name=node.class_name,
                name=node.name,
                output_shape=node.output_shape,
                parameters=node.parameters,
                settings=graphs.settings(node),
            )
            for node in graphs.live(model.graph)
        )
    else:
        layers = tuple(
            ReportLayer(class_name=layer.class_name, name=layer.name, output_shape=layer.output_shape, parameters=layer.parameters)
            for layer in claim.layers
        )
    compiled, train = model.compiled, fit.train if fit else None
    rate = f" (rate {compiled.learning_rate:.3g})" if compiled and compiled.learning_rate is not None else ""
    return ReportModel(
        role=role,
        cell=claim.cell,
        parameters=model.graph.parameters if model.graph else None,
        layers=layers[:200],
        optimizer=f"{compiled.optimizer}{rate}" if compiled else None,
        loss=(compiled.loss or compiled.custom_loss) if compiled else None,
        input=f"{train.dataset or 'unknown images'}, {train.rows or '?'} images, values {train.minimum:.3g} to {train.maximum:.3g}"
        if train and train.minimum is not None and train.maximum is not None
        else None,
        labels=train.labels.encoding if train and train.labels else None,
        reason=reason,
        name=", ".join(claim.names[:2]),
        origin="rebuilt" if model.graph is not None else "described",
    )


def _training(found: Evidence) -> tuple[ReportTraining, ...]:
    """The training checks as reported: the re-run that speaks for the verdict, over the reference band."""
    return tuple(_training_of(training, found.audits.get(role)) for role, training in found.training.items())


def _training_of(training: Training, compared: Audit | None) -> ReportTraining:
    shown, names = training.shown, {each.name for each in fields(ReportTraining)}
    columns = ("images", "low", "median", "high", "passes", "zero")
    own: dict[str, Any] = {
        "seeds": tuple(rerun.seed for rerun in training.reruns),
        "steps": shown.steps if shown else 0,
        "curve": training.whole or (shown.points if shown else ()),
        "reference": {
            "dataset_runs": training.band[0].runs,
            **{name: [getattr(point, name) for point in training.band] for name in columns},
        }
        if training.band
        else {},
        "diagnosis": " ".join(
            part for part in (f"The cause is {training.because}." if training.because else "", training.diagnosis, training.cure) if part
        ),
        "accuracy": shown.accuracy if shown else None,
        "interval": shown.interval if shown else None,
        "runs": training.reruns,
        "recorded": compared.sentence if compared else "",
    }
    return ReportTraining(**{each.name: getattr(training, each.name) for each in fields(training) if each.name in names} | own)


def _recorded(found: Evidence) -> tuple[ReportCurve, ...]:
    """The stored curves, each under the role of the model that is trained in its cell."""
    by_cell = {fit.cell: role for role, match in found.roles.items() if match.model for fit in match.model.fits}
    return tuple(
        ReportCurve(
            role=by_cell.get(curve.cell, "other"), cell=curve.cell, values={key: tuple(values) for key, values in curve.values.items()}
        )
        for curve in found.recorded[:12]
    )


def _hardware() -> Mapping[str, Any]:
    model = ""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    return {"cpu": model, "cores": len(os.sched_getaffinity(0))}
