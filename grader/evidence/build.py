"""Putting the evidence together: one `Model` for every model object of the notebook, its graph, its compile and training calls, its role."""

from collections.abc import Mapping

from grader.evidence.outputs import claimed_parameters, recorded_curves
from grader.evidence.roles import match
from grader.records import Evidence, Graph, Model, ModelClaim, Notebook, RunRecord

Rebuilt = Mapping[tuple[int, int], tuple[Graph | None, str | None]]
"""(serial, version) -> (graph, why there is none)."""


def candidates(record: RunRecord) -> tuple[ModelClaim, ...]:
    """The claims worth rebuilding: for every model object as it was at its last training call, else as it was last seen.

    Stock models without layers (an unfilled template builds one) are left out.
    """
    last: dict[int, ModelClaim] = {}
    by_version = {(claim.serial, claim.version): claim for claim in record.models}
    for claim in record.models:
        last[claim.serial] = claim
    for fit in record.fits:
        if (fit.serial, fit.version) in by_version:
            last[fit.serial] = by_version[fit.serial, fit.version]
    return tuple(
        claim for claim in last.values() if claim.kind == "Subclassed" or any(layer.class_name != "InputLayer" for layer in claim.layers)
    )


def build(notebook: Notebook, record: RunRecord, rebuilt: Rebuilt, *, attempted: bool, out_of_time: bool = False) -> Evidence:
    """The evidence of one run. `rebuilt` holds an entry for every claim of `candidates(record)`."""
    sections = {cell.index: cell.section for cell in notebook.cells}
    models = tuple(_model(claim, record, rebuilt, sections) for claim in candidates(record))
    return Evidence(
        notebook=notebook,
        run=record,
        models=models,
        roles=match(models, record),
        recorded=recorded_curves(notebook),
        claimed_parameters=claimed_parameters(notebook),
        attempted=attempted,
        out_of_time=out_of_time,
    )


def _model(claim: ModelClaim, record: RunRecord, rebuilt: Rebuilt, sections: Mapping[int, int]) -> Model:
    graph, refusal = rebuilt.get((claim.serial, claim.version), (None, "it was not rebuilt"))
    fits = tuple(fit for fit in record.fits if fit.serial == claim.serial)
    compiled = [call for call in record.compiles if call.serial == claim.serial]
    first_seen = min((other.cell for other in record.models if other.serial == claim.serial), default=claim.cell)
    cell = fits[0].cell if fits else first_seen
    return Model(
        claim=claim, graph=graph, refusal=refusal, compiled=compiled[-1] if compiled else None, fits=fits, section=sections.get(cell, 0)
    )
