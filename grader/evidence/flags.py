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
    found = (*_models(evidence), *_data(evidence), *_curves(evidence), *_run(evidence), *integrity(evidence))
    return tuple(sorted(found, key=lambda flag: order[flag.severity]))


def _models(evidence: Evidence) -> Iterator[Flag]:
    roles = {role: found.model for role, found in evidence.roles.items() if found.model is not None}
    for role, model in roles.items():
        the_model, cell, held = f"The {role} model", model.claim.cell, model.claim.parameters
        if model.claim.pretrained:
            yield Flag("pretrained", "warning", f"{the_model} contains a published network ({model.claim.pretrained}).", cell)
        if model.claim.frozen:
            layers = counted(len(model.claim.frozen), "layer that is", "layers that are")
            yield Flag("frozen", "info", f"{the_model} has {layers} not trained.", cell)
        if model.graph is None:
            yield Flag("not_rebuilt", "warning", f"{the_model} could not be rebuilt: {model.refusal}.", cell)
        elif held is not None and held != model.graph.parameters:
            differ = f"holds {counted(held, 'parameter')}; rebuilt from its configuration it has {model.graph.parameters:,}"
            yield Flag("claim_differs", "alert", f"{the_model} {differ}: please check which of them is the model.", cell)
    base = roles.get("base")
    if base is not None and base.graph is not None and evidence.claimed_parameters:
        own = {model.graph.parameters for model in evidence.models if model.graph is not None}
        if not own & set(evidence.claimed_parameters) and not any(
            abs(count - 3 * size) < 10 or 0 <= count - size <= _STATISTICS for count in evidence.claimed_parameters for size in own
        ):
            claimed = ", ".join(f"{count:,}" for count in evidence.claimed_parameters[:3])
            differ = f"The stored summaries show {claimed} parameters; the code builds {base.graph.parameters:,}"
            yield Flag("parameters_differ", "info", f"{differ}: the outputs come from another version.")


def _data(evidence: Evidence) -> Iterator[Flag]:
    for fit in evidence.run.fits:
        if fit.train is None:
            continue
        if fit.train.split in ("test", "mixed"):
            yield Flag("test_images_in_training", "alert", "Images of the test set are used for training.", fit.cell)
        agreement = fit.train.labels.agreement if fit.train.labels else None
        if agreement is not None and agreement < _LABEL_AGREEMENT:
            yield Flag("labels_changed", "warning", f"Only {agreement:.0%} of the sampled training labels match their images.", fit.cell)
        if fit.validates_on_training:
            yield Flag("validation_is_training", "warning", "The validation data are rows of the training data.", fit.cell)


def _curves(evidence: Evidence) -> Iterator[Flag]:
    for role, compared in evidence.audits.items():
        if compared.outcome == "contradicted":
            message = f"The stored training curve of the {role} model is contradicted. {compared.sentence}"
            yield Flag("curve_contradicted", "warning", message, compared.cell)


def _run(evidence: Evidence) -> Iterator[Flag]:
    run = evidence.run
    if run.ending not in ("ok", "deadline"):
        yield Flag("run_cut_short", "warning", f"The notebook did not run to its end. {run.detail}")
    for note in [note for note in run.notes if note.kind in ("missing", "unknown", "unseen")][:3]:
        yield Flag("missing_package", "info", f"The sandbox noted: {note.text}.", note.cell if note.cell >= 0 else None)
    for note in [note for note in run.notes if note.kind == "grader"][:3]:
        yield Flag("grader_defect", "warning", f"The grader noted {note.text}.", note.cell if note.cell >= 0 else None)
    counts = [cell.execution_count for cell in evidence.notebook.code if cell.execution_count]
    if counts != sorted(counts):
        yield Flag("out_of_order", "info", "The cells were last run in a different order from the notebook's.")
    stored_errors = {cell.index for cell in evidence.notebook.code if any(output.kind == "error" for output in cell.outputs)}
    fine = {cell.index for cell in run.cells if cell.status == "ok" and cell.error is None}
    for index in sorted(stored_errors & fine)[:3]:
        yield Flag("stale_error", "info", "The stored output is an error, but the cell runs.", index)
