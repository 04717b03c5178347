"""What a person on the staff should look at. Flags are never worth points by themselves."""

from collections.abc import Iterator

from grader.evidence.integrity import integrity
from grader.records import Evidence, Flag
from grader.words import counted

_STATISTICS = 7
"""What an adapted Normalization counts as parameters beside the network: mean and variance of three channels, and how many images it saw."""
_LABEL_AGREEMENT = 0.95
"""Below this share of sampled labels equal to the stored ones, the labels were changed (48 samples: one odd one is allowed)."""


def flags(evidence: Evidence) -> tuple[Flag, ...]:
    """All flags of one run, most severe first."""
    order = {"alert": 0, "warning": 1, "info": 2}
    return tuple(
        sorted(
            (*_models(evidence), *_data(evidence), *_curves(evidence), *_run(evidence), *integrity(evidence)),
            key=lambda flag: order[flag.severity],
        )
    )


def _models(evidence: Evidence) -> Iterator[Flag]:
    roles = {role: found.model for role, found in evidence.roles.items() if found.model is not None}
    for role, model in roles.items():
        if model.claim.pretrained:
            yield Flag(
                id="pretrained",
                severity="warning",
                message=f"The {role} model contains a published network ({model.claim.pretrained}).",
                cell=model.claim.cell,
            )
        if model.claim.frozen:
            yield Flag(
                id="frozen",
                severity="info",
                message=f"The {role} model has {counted(len(model.claim.frozen), 'layer that is', 'layers that are')} not trained.",
                cell=model.claim.cell,
            )
        if model.graph is None:
            yield Flag(
                id="not_rebuilt",
                severity="warning",
                message=f"The {role} model could not be rebuilt: {model.refusal}.",
                cell=model.claim.cell,
            )
        held = model.claim.parameters
        if model.graph is not None and held is not None and held != model.graph.parameters:
            yield Flag(
                id="claim_differs",
                severity="alert",
                message=f"The {role} model holds {counted(held, 'parameter')}; rebuilt from its configuration it has {model.graph.parameters:,}: please check which of them is the model.",
                cell=model.claim.cell,
            )
    base = roles.get("base")
    if base is not None and base.graph is not None and evidence.claimed_parameters:
        own = {model.graph.parameters for model in evidence.models if model.graph is not None}
        if not own & set(evidence.claimed_parameters) and not any(
            abs(count - 3 * size) < 10 or 0 <= count - size <= _STATISTICS for count in evidence.claimed_parameters for size in own
        ):
            claimed = ", ".join(f"{count:,}" for count in evidence.claimed_parameters[:3])
            yield Flag(
                id="parameters_differ",
                severity="info",
                message=f"The stored summaries show {claimed} parameters; the code builds {base.graph.parameters:,}: the outputs come from another version.",
            )


def _data(evidence: Evidence) -> Iterator[Flag]:
    for fit in evidence.run.fits:
        if fit.train is None:
            continue
        if fit.train.split in ("test", "mixed"):
            yield Flag(
                id="test_images_in_training", severity="alert", message="Images of the test set are used for training.", cell=fit.cell
            )
        agreement = fit.train.labels.agreement if fit.train.labels else None
        if agreement is not None and agreement < _LABEL_AGREEMENT:
            yield Flag(
                id="labels_changed",
                severity="warning",
                message=f"Only {agreement:.0%} of the sampled training labels match their images.",
                cell=fit.cell,
            )
        if fit.validates_on_training:
            yield Flag(
                id="validation_is_training", severity="warning", message="The validation data are rows of the training data.", cell=fit.cell
            )


def _curves(evidence: Evidence) -> Iterator[Flag]:
    for role, compared in evidence.audits.items():
        if compared.outcome == "contradicted":
            yield Flag(
                id="curve_contradicted",
                severity="warning",
                message=f"The stored training curve of the {role} model is contradicted. {compared.sentence}",
                cell=compared.cell,
            )


def _run(evidence: Evidence) -> Iterator[Flag]:
    run = evidence.run
    if run.ending not in ("ok", "deadline"):
        yield Flag(id="run_cut_short", severity="warning", message=f"The notebook did not run to its end. {run.detail}")
    for note in [note for note in run.notes if note.kind in ("missing", "unknown", "unseen")][:3]:
        yield Flag(
            id="missing_package",
            severity="info",
            message=f"The sandbox noted: {note.text}.",
            cell=note.cell if note.cell >= 0 else None,
        )
    for note in [note for note in run.notes if note.kind == "grader"][:3]:
        yield Flag(
            id="grader_defect", severity="warning", message=f"The grader noted {note.text}.", cell=note.cell if note.cell >= 0 else None
        )
    counts = [cell.execution_count for cell in evidence.notebook.code if cell.execution_count]
    if counts != sorted(counts):
        yield Flag(id="out_of_order", severity="info", message="The cells were last run in a different order from the notebook's.")
    stored_errors = {cell.index for cell in evidence.notebook.code if any(output.kind == "error" for output in cell.outputs)}
    fine = {cell.index for cell in run.cells if cell.status == "ok" and cell.error is None}
    for index in sorted(stored_errors & fine)[:3]:
        yield Flag(id="stale_error", severity="info", message="The stored output is an error, but the cell runs.", cell=index)
