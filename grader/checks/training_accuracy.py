"""*What it checks.* That the model reaches the reference accuracy: measured, else recorded as far as our re-run bears it out.

*Why it matters.* With enough epochs this architecture classifies about four test images out of five; one that stays well below is held back by something.

*Inputs.* The training verdict for the model in `role`; the comparison of the stored curve with it (`evidence.audits`).

*Units.* Fraction of test images, 0 to 1.

*Tolerance and source.* `full` and `none`: full credit and none, linear between. The exercise names about 0.79; two standard deviations between seeds and a
noisy last epoch are allowed for.

*Edge cases.* No stored curve: skip, "not shown". A curve that the re-run contradicts earns nothing and is flagged. A curve that could not be
compared is not decided.

*Errors.* None.

*Example.* Records 0.79 after 30 epochs and learns when re-run: pass.
"""

from dataclasses import replace

from grader.checks import Params
from grader.checks._helpers import skipped, untrained
from grader.records import Evidence, Finding, Status, Training
from grader.words import counted

PARAMS: Params = {"role": "base", "full": 0.75, "none": 0.60}


def check(evidence: Evidence, params: Params) -> Finding:
    """Judge the measured accuracy, or the recorded one as far as it is borne out."""
    if (lack := untrained(evidence, params["role"], "the accuracy that it reaches")) is not None:
        return lack
    training, audit = evidence.training[params["role"]], evidence.audits.get(params["role"])
    if training.whole:
        reached = max((point.accuracy for point in training.whole if point.accuracy is not None), default=0.0)
        last = training.whole[-1]
        epochs = counted(len(training.whole), "epoch")
        message = f"Trained again for {epochs}, the network reaches {reached:.3f} ({last.images:,} images)."
        return _by_accuracy(reached, params, training, message)
    if training.budget == "full" and training.verdict in ("dead", "stuck"):
        return Finding(status=Status.FAIL, fraction=0.0, message=f"Trained again, the network does not learn. {training.reason}")
    if audit is None or audit.outcome == "not_shown" or audit.final is None:
        return skipped(f"Not shown: {audit.sentence if audit else 'the stored curve was not compared.'}")
    if audit.outcome == "undecided":
        return skipped(audit.sentence)
    if audit.outcome == "contradicted":
        return Finding(status=Status.FAIL, fraction=0.0, message=f"The recorded curve is contradicted. {audit.sentence}", hint=_HAND_IN)
    return replace(_by_accuracy(audit.final, params, training, audit.sentence), basis="recorded")


_FURTHER = "Train for more epochs, as long as the validation curve rises; if it stopped rising below, change the rate, the filters or the regularization."
_HAND_IN = "Submit the notebook as it ran, with the outputs of its current code: run all cells from the top and save."


def _by_accuracy(reached: float, params: Params, training: Training, message: str) -> Finding:
    full, none = params["full"], params["none"]
    fraction = min(max((reached - none) / (full - none), 0.0), 1.0) if reached == reached else 0.0  # noqa: PLR0124  (NaN)
    status = Status.PASS if fraction >= 1 else Status.PARTIAL if fraction > 0 else Status.FAIL
    return Finding(
        status=status,
        fraction=fraction,
        message=message,
        expected=f"a validation accuracy of {full:g} (up to {none:g}: no points)",
        actual=f"best validation accuracy {reached:.3f}",
        hint="" if status is Status.PASS else training.cure if status is Status.FAIL and training.cure else _FURTHER,
    )
