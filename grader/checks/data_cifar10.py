"""*What it checks.* The images that reached training are CIFAR-10's.

*Why it matters.* What a network knows comes from the images that reach `fit`, whatever the variable is called.

*Inputs.* Up to 48 sampled images of the training call, shape (N, 32, 32, 3), any scale, compared in the sandbox with the stored ones by correlation.

*Units.* None.

*Tolerance and source.* At least 80 % of the sampled images must be found (correlation over 0.97, which survives any scale and offset).

*Edge cases.* No training call was reached: what the notebook loaded counts. Images that match nothing: fail where another data set was loaded, partial where
CIFAR-10 was loaded but changed beyond recognition. Images that a defect of ours kept from being examined: `error`.

*Errors.* None.

*Example.* Another data set loaded over the same variable half-way: fail.
"""

from grader.checks import Params
from grader.checks._data import base_fit, lost, training_data
from grader.checks._helpers import absent, failed, partial, passed
from grader.records import Evidence, Finding

PARAMS: Params = {"dataset": "cifar10"}


def check(evidence: Evidence, params: Params) -> Finding:
    """Name the data set that reached training."""
    if (unknown := lost(evidence)) is not None:
        return unknown
    wanted = params["dataset"]
    fit, data = base_fit(evidence), training_data(evidence)
    loaded = ", ".join(dict.fromkeys(evidence.run.loads)) or "none"
    if fit is None:
        if wanted in evidence.run.loads and evidence.attempted:
            return passed(f"The notebook loads {wanted}; no training call was reached.", wanted, f"loaded: {loaded}")
        return absent(evidence, "data", "No training call was reached and no images were loaded.", wanted, f"loaded: {loaded}")
    if data is not None and data.dataset == wanted:
        rows = f"{data.rows:,} " if data.rows else ""
        return passed(f"The network is trained on {rows}images of {wanted}.", wanted, wanted)
    if (
        data is not None
        and data.dataset is None
        and evidence.run.loads[-1:] == (wanted,)
        and (data.shape in ((32, 32, 3), (3, 32, 32)) or data.augmentation)
    ):
        if data.augmentation:
            return passed(f"The network is trained on augmented images; the notebook loads {wanted}.", wanted, f"loaded: {loaded}")
        message = f"The images that reach training match none of {wanted}: they were changed beyond recognition."
        return partial(0.5, message, wanted, f"not recognised; loaded: {loaded}")
    found = (data.dataset if data else None) or "images that match no known data set"
    return failed(f"The network is trained on {found}, not on {wanted}.", wanted, found)
