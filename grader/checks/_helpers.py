"""What several checks share: the base model's graph, and the answers where something is not there.

Not a check (its name begins with an underscore).
"""

from collections.abc import Callable
from dataclasses import replace

from grader import graph as graphs
from grader.checks import Params
from grader.records import Evidence, Finding, Graph, Model, Status


def passed(message: str, expected: str = "", actual: str = "") -> Finding:
    """All points. As in the others below, what was expected and what was found follow the message."""
    return Finding(status=Status.PASS, fraction=1.0, message=message, expected=expected, actual=actual)


def partial(fraction: float, message: str, expected: str = "", actual: str = "", *, hint: str = "") -> Finding:
    """Some of the points; 0 < fraction < 1."""
    return Finding(status=Status.PARTIAL, fraction=fraction, message=message, hint=hint, expected=expected, actual=actual)


def failed(message: str, expected: str = "", actual: str = "", *, hint: str = "") -> Finding:
    """No points."""
    return Finding(status=Status.FAIL, fraction=0.0, message=message, hint=hint, expected=expected, actual=actual)


def undecided(message: str, *, hint: str = "", actual: str = "") -> Finding:
    """Nothing decided: a person needs to look (status `error`)."""
    return Finding(status=Status.ERROR, fraction=None, message=message, hint=hint, actual=actual)


def skipped(message: str, *, hint: str = "") -> Finding:
    """Not decided and not due."""
    return Finding(status=Status.SKIP, fraction=None, message=message, hint=hint)


def untrained(evidence: Evidence, role: str, what: str) -> Finding | None:
    """The finding where the model in `role` was not trained again, so that `what` is not known; None where it was."""
    if role in evidence.training:
        return None
    lack = "time was up, or the model was never finished"
    if model_of(evidence, role) is None:
        lack = "there is no model to train for this part"
    elif evidence.budget == "none":
        lack = f"this report does not measure {what} (--budget none)"
    return replace(skipped(f"Training not run: {lack}."), basis="left_out" if evidence.budget == "none" else "measured")


def model_of(evidence: Evidence, role: str = "base") -> Model | None:
    """The model that plays `role`."""
    found = evidence.roles.get(role)
    return found.model if found else None


def why_missing(evidence: Evidence, role: str = "base") -> str:
    """A sentence on why no model plays `role`: not attempted, a failing cell, or nothing like it."""
    if not evidence.attempted:
        return "Not attempted: the exercise's cells are unchanged from the template."
    found = evidence.roles.get(role)
    return found.reason if found else "No model was found for this part."


_AUGMENTED = 6
"""The section whose training call may make its images itself, with a package that is not there."""


def defect(evidence: Evidence, what: str = "") -> Finding | None:
    """The finding to give where something is missing that may be there all the same; None where nothing kept it back.

    Kept back by a defect of ours, or by what the student has and this machine lacks (a file, a package): that may hide a network, or only the training
    and the curves of one, so that a model (`what`) is missing all the same. The note is a claim: one that a student forges takes points from nobody and
    gives none, it calls a person.
    """
    own = {cell.index for cell in evidence.notebook.cells if cell.section == _AUGMENTED} if what == "augmentation" else set[int]()
    for kinds in (("grader",), ("unknown", *(() if what in ("base", "dropout", "augmentation") else ("unseen",)))):
        for note in evidence.run.notes:
            if note.kind in kinds or (kinds[0] == "unknown" and note.kind == "unseen" and note.cell in own):
                because = "because of a defect in the grader while it ran the notebook; manual review is needed"
                needs = f"here: cell {note.cell} needs something that is not available while grading; manual review is needed"
                message = f"This could not be judged {because if kinds == ('grader',) else needs}."
                return undecided(message, actual=f"cell {note.cell}: {note.text}")
    return None


def absent(evidence: Evidence, what: str, message: str, expected: str = "", actual: str = "", *, hint: str = "") -> Finding:
    """No points for what was not seen. Not decided where it may be there all the same (`defect`), or time was up.

    Where a cell that failed or was not reached would have made it (`what`, of `evidence.causes`), that is the message and the advice.
    """
    if evidence.out_of_time:
        return skipped("Out of time: the notebook had not reached this part before the deadline.")
    if not evidence.attempted:
        message = why_missing(evidence)
    cause = evidence.causes.get(what)
    if cause is not None:
        message, hint = cause.sentence, f"Fix cell {cause.cell}, then run the notebook from the top."
    return defect(evidence, what) or failed(message, expected, actual, hint=hint)


def graph_or_finding(evidence: Evidence, role: str = "base", *, stands: bool = False, whole: bool = True) -> Graph | Finding:
    """The graph of the model that plays `role`, or the finding to give where there is none, or (`whole`) where one of its layers hides others.

    `stands`: that of a network that was never finished will do.
    """
    model = model_of(evidence, role)
    if model is None or (model.claim.unfinished and not stands):
        return absent(evidence, role, why_missing(evidence, role))
    if model.graph is None:
        message = f"This model could not be rebuilt from its description in the notebook: {model.refusal}. Manual review is needed."
        return undecided(message, actual=", ".join(layer.class_name for layer in model.claim.layers[:20]))
    hiding = graphs.hiding(model.graph) if whole else None
    if hiding is not None:
        message = f"{hiding.class_name} ({hiding.name}) hides the layers inside it; manual review is needed."
        return undecided(message, actual=hiding.class_name)
    return model.graph


def of_graph(
    role: str = "base", *, stands: bool = False, whole: bool = True
) -> Callable[[Callable[[Graph, Params], Finding]], Callable[[Evidence, Params], Finding]]:
    """A check of nothing but the graph of the model that plays `role`, with `graph_or_finding`'s answer where there is none.

    `stands`: a check of single layers. Of a network that was never finished those that stand are judged, and what they lack is its failing cell's.
    """

    def decorated(judge: Callable[[Graph, Params], Finding]) -> Callable[[Evidence, Params], Finding]:
        def check(evidence: Evidence, params: Params) -> Finding:
            """Judge the graph, or say why there is none."""
            graph = graph_or_finding(evidence, role, stands=stands, whole=whole)
            finding = graph if isinstance(graph, Finding) else judge(graph, params)
            return _of_what_stands(evidence, finding) if stands else finding

        return check

    return decorated


def _of_what_stands(evidence: Evidence, finding: Finding) -> Finding:
    model = model_of(evidence)
    if model is None or model.graph is None or not model.claim.unfinished:
        return finding
    if finding.status is Status.PASS and graphs.convolutions(model.graph):
        cause = evidence.causes.get("base")  # the reason says how far it came where no failing cell is known
        why = cause.sentence if cause is not None else why_missing(evidence)
        return replace(finding, message=f"{finding.message} This covers only the layers that were built. {why}")
    return absent(evidence, "base", why_missing(evidence))
