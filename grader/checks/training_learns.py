"""*What it checks.* That the model learns as the reference does, by a short training run of our own.

*Why it matters.* A network can be built right and still not learn; only a measurement tells.

*Inputs.* The training verdict for the model in `role` (`evidence.training`), and how its stored curve compares with it (`evidence.audits`).

*Units.* Accuracies are fractions of held-back images, 0 to 1.

*Tolerance and source.* The bands of `reference/<rubric>/thresholds.toml`, computed from every run in `runs.csv`; error rates in the README.md there. `fragile`
is the rubric's fraction for models that live on some seeds only.

*Edge cases.* No run was made, or none could be, or the model trains too slowly for a short run to tell: skip, with the reason. Fragile, but the stored curve reaches `reached` and agrees: full,
the one case in which what the notebook says of its accuracy is worth points, and only since a re-run lived.

*Errors.* None.

*Example.* Dead on 5 of 5 seeds: fail, with the cause that was proved.
"""

from grader.checks import Params
from grader.checks._helpers import untrained
from grader.records import Basis, Evidence, Finding, Status, Training
from grader.words import counted

PARAMS: Params = {"role": "base", "fragile": 0.7, "reached": 0.75}


def check(evidence: Evidence, params: Params) -> Finding:
    """Turn the measured verdict into points."""
    if (lack := untrained(evidence, params["role"], "whether it learns")) is not None:
        return lack
    training = evidence.training[params["role"]]
    status, fraction, basis, more = _judged(evidence, training, params)
    suspected = f"The cause is {training.because}." if training.because else ""
    return Finding(
        status=status,
        fraction=fraction,
        message=" ".join(part for part in (training.reason, more, *training.notes) if part),
        hint=" ".join(part for part in (suspected, training.diagnosis, training.cure) if part),
        actual=_measured(training),
        basis=basis,
    )


def _judged(evidence: Evidence, training: Training, params: Params) -> tuple[Status, float | None, Basis, str]:
    match training.verdict:
        case "learns":
            return Status.PASS, 1.0, "measured", ""
        case "fragile":
            audit = evidence.audits.get(params["role"])
            if audit is not None and audit.outcome == "agrees" and audit.final is not None and audit.final >= params["reached"]:
                learned = f"{audit.sentence} So it did learn when you trained it, and the criterion gets full points."
                return Status.PASS, 1.0, "recorded", learned
            luck = audit.sentence if audit is not None and audit.died else ""
            return Status.PARTIAL, params["fragile"], "measured", luck or "Whether it learns depends on the random start."
        case "doubtful" if training.fraction is not None:
            return (Status.PARTIAL if training.fraction > 0 else Status.FAIL), training.fraction, "measured", ""
        case "dead" | "stuck":
            return Status.FAIL, 0.0, "measured", ""
    return Status.SKIP, None, "measured", ""


def _measured(training: Training) -> str:
    shown = training.shown
    if shown is None or shown.accuracy is None:
        return shown.proof if shown is not None else ""
    low, high = shown.interval or (0.0, 1.0)
    return f"accuracy {shown.accuracy:.3f} (95 % interval {low:.3f} to {high:.3f}) after {shown.images:,} training images; {training.living} of {counted(len(training.reruns), 'seed')} learned"
