"""*What it checks.* That the model learns as the reference does, by a short training run of our own.

*Why it matters.* A network can be built right and still not learn; only a measurement tells.

*Inputs.* The training verdict for the model in `role`.

*Units.* None.

*Tolerance and source.* The bands of `reference/<rubric>/thresholds.toml`, where a training run was made.

*Edge cases.* No training run was made: skip, with the reason. Nothing that the notebook itself says about its accuracy is ever worth points.

*Errors.* None.

*Example.* `--budget none`: skip, "training not run yet".
"""

from grader.checks import Params
from grader.checks._helpers import model_of, skipped
from grader.records import Evidence, Finding

PARAMS: Params = {"role": "base"}


def check(evidence: Evidence, params: Params) -> Finding:
    """Say that nothing was measured."""
    if model_of(evidence, params["role"]) is None:
        return skipped("Training not run: there is no model to train for this part.")
    return skipped("Training not run yet: this report does not measure whether it learns.")
