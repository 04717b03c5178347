"""Putting the evidence together: one `Model` for every model object of the notebook, its graph, its compile and training calls, its role."""

from collections.abc import Mapping
from dataclasses import replace

from grader.evidence.causes import causes, half_built, training_lost
from grader.evidence.outputs import claimed_parameters, recorded_curves
from grader.evidence.roles import match
from grader.records import CompileClaim, Evidence, FitClaim, Graph, Model, ModelClaim, Notebook, RunRecord

_RAW = 100
"""Images whose values go beyond are pixels as they were loaded."""

Rebuilt = Mapping[tuple[int, int], tuple[Graph | None, str | None]]
"""(serial, version) -> (graph, why there is none)."""


def candidates(record: RunRecord) -> tuple[ModelClaim, ...]:
    """The claims worth rebuilding: for every model object as it was at its last training call, else as it was last seen.

    An object that was trained, given other layers (`model.pop()`, `model.add(Dropout(0.2))`) and trained again is two models. Stock models without layers
    (an unfilled template builds one) are left out.
    """
    return tuple(claim for claim, _ in _trained(record))


def _trained(record: RunRecord) -> tuple[tuple[ModelClaim, tuple[FitClaim, ...]], ...]:
    """Every candidate with its training calls, the one that is judged last: that which meets most of what is asked, the later of equals."""
    by_call: dict[tuple[int, int], ModelClaim] = {}
    calls: dict[tuple[int, tuple[str, ...]], list[FitClaim]] = {}
    by_version = {(claim.serial, claim.version): claim for claim in record.models}
    seen = {claim.serial: claim for claim in record.models}
    for fit in record.fits:
        claim = by_version.get((fit.serial, fit.version), seen.get(fit.serial))
        if claim is not None:
            key = claim.serial, tuple(layer.class_name for layer in claim.layers)
            by_call[fit.serial, fit.index] = claim
            calls.setdefault(key, []).append(fit)
    kept = {history.fit for history in record.histories} | {index for plot in record.plots for index, _ in plot.curves}
    for made in calls.values():
        most = max(fit.images or 0 for fit in made)
        made.sort(key=lambda fit: (_meets(fit, most, kept=fit.index in kept), fit.index))
    fitted = {serial for serial, _ in calls}
    found: dict[int, list[tuple[ModelClaim, tuple[FitClaim, ...]]]] = {
        claim.serial: [(claim, ())] for claim in seen.values() if claim.serial not in fitted
    }
    for (serial, _), made in calls.items():
        found.setdefault(serial, []).append((by_call[serial, made[-1].index], tuple(made)))
    return tuple(
        (claim, fits)
        for serial in seen
        for claim, fits in found[serial]
        if claim.kind == "Subclassed" or any(layer.class_name != "InputLayer" for layer in claim.layers)
    )


def _meets(fit: FitClaim, most: int, *, kept: bool) -> int:
    """How much of what is asked of a training call this one shows; `most`: images times epochs of the longest call of its model."""
    train = fit.train
    return (
        4 * (fit.error is None)
        + 2 * (10 * (fit.images or 0) >= most)
        + (fit.validation is not None or fit.validation_split > 0)
        + kept
        + (train is not None and train.dataset == "cifar10")
        + (train is not None and train.maximum is not None and train.maximum < _RAW)
    )


def build(notebook: Notebook, record: RunRecord, rebuilt: Rebuilt, *, attempted: bool, out_of_time: bool = False) -> Evidence:
    """The evidence of one run. `rebuilt` holds an entry for every claim of `candidates(record)`."""
    models = tuple(_model(claim, fits, notebook, record, rebuilt) for claim, fits in _trained(record))
    roles = {
        name: replace(role, model=half_built(notebook, record, role.model)) if role.model is not None and name == "base" else role
        for name, role in match(models).items()
    }
    why = causes(notebook, record, roles)
    roles = {name: replace(role, reason=why[name].sentence) if role.model is None and name in why else role for name, role in roles.items()}
    return Evidence(
        notebook=notebook,
        run=record,
        models=models,
        roles=roles,
        causes=why,
        recorded=recorded_curves(notebook, record),
        claimed_parameters=claimed_parameters(notebook),
        attempted=attempted,
        out_of_time=out_of_time,
    )


def _model(claim: ModelClaim, fits: tuple[FitClaim, ...], notebook: Notebook, record: RunRecord, rebuilt: Rebuilt) -> Model:
    graph, refusal = rebuilt.get((claim.serial, claim.version), (None, "it was not rebuilt"))
    first_seen = min((other.cell for other in record.models if other.serial == claim.serial), default=claim.cell)
    cell = min(fit.cell for fit in fits) if fits else first_seen
    own = {fit.index for fit in fits}
    followed = (
        any(history.fit in own for history in record.histories),
        any(index in own for plot in record.plots for index, _ in plot.curves),
        any(call.serial == claim.serial for call in record.evaluations),
    )
    return Model(
        claim=claim,
        graph=graph,
        refusal=refusal,
        compiled=_compiled(claim, fits, record),
        fits=fits,
        section=next((each.section for each in notebook.cells if each.index == cell), 0),
        images=_trained_on(claim, fits, notebook, record),
        shown=sum(followed),
    )


def _trained_on(claim: ModelClaim, fits: tuple[FitClaim, ...], notebook: Notebook, record: RunRecord) -> int | None:
    """The images that the training calls of one model ask for. None where that is not known, or where a failure kept its training from being seen.

    A call that ended its cell with an error counts as it was asked for; one whose error the notebook caught trained nothing. Another data set's images
    are none, and so are arrays of which no image is like a stored one (noise) where another call's images are.
    """
    if not fits:
        return None if training_lost(notebook, record, claim.names) else 0
    failing = {run.index for run in record.cells if run.status != "ok"}
    known = any(fit.train is not None and fit.train.dataset == "cifar10" for fit in record.fits)
    images = 0
    for fit in fits:
        train, caught = fit.train, fit.error is not None and fit.cell not in failing
        other = train is not None and train.dataset not in (None, "cifar10")
        noise = train is not None and train.dataset is None and train.matched == 0 and train.container == "array" and known
        if caught or other or noise:
            continue
        if fit.images is None:
            return None
        images += fit.images
    return images


def _compiled(claim: ModelClaim, fits: tuple[FitClaim, ...], record: RunRecord) -> CompileClaim | None:
    """How a model is compiled: by its last call before the training that is judged (else its last one), with the optimizer as it was set when that training began."""
    call, fit = _call(claim, fits, record), fits[-1] if fits else None
    if call is None or fit is None or fit.optimizer is None or fit.optimizer_config is None:
        return call
    return replace(call, optimizer=fit.optimizer, learning_rate=fit.learning_rate, optimizer_config=fit.optimizer_config)


def _call(claim: ModelClaim, fits: tuple[FitClaim, ...], record: RunRecord) -> CompileClaim | None:
    calls = [call for call in record.compiles if call.serial == claim.serial]
    if fits and (before := [call for call in calls if call.before is not None and call.before <= fits[-1].index]):
        return before[-1]
    if not fits and (fitting := [call for call in calls if "crossentropy" in (call.loss or "")]):
        return fitting[-1]
    if fits and any(fit.serial == claim.serial and fit.index > fits[-1].index for fit in record.fits):
        calls = [call for call in calls if call.cell <= fits[-1].cell] or calls
    return calls[-1] if calls else None
