"""*What it checks.* Training and held-out images went through the same arithmetic.

*Why it matters.* Images on another scale are other images to the network.

*Inputs.* The recipes, or sampled ranges, of the training and of the validation or test images.

*Units.* Fraction of the training images' range.

*Tolerance and source.* The ends of the pixel range, mapped by both recipes, may differ by `tolerance` of the range: 0.04 lets images standardised by their own
split's mean and deviation through (they differ by under 0.02) and catches a division by 225 (0.13).

*Edge cases.* No held-out images anywhere: skip. Images that a defect of ours kept from being examined: `error`. Unknown recipes are compared by sampled range with three times the tolerance.

*Errors.* None.

*Example.* Train `/ 255`, test raw: fail.
"""

from grader.checks import Params
from grader.checks._data import held_out_data, lost, span, training_data
from grader.checks._helpers import defect, failed, passed, skipped
from grader.records import DataClaim, Evidence, Finding

PARAMS: Params = {"tolerance": 0.04}


def _text(data: DataClaim) -> str:
    found = span(data)
    return "unknown" if found is None else str(found)


def check(evidence: Evidence, params: Params) -> Finding:
    """Compare the ranges of training and held-out images."""
    unknown = lost(evidence)
    if unknown is not None:
        return unknown
    train, held_out = training_data(evidence), held_out_data(evidence)
    if train is None or held_out is None:
        return defect(evidence) or skipped("No held-out images were used, so there is nothing to compare.")
    a, b = span(train), span(held_out)
    if a is None or b is None:
        return skipped("The ranges of the images could not be found out.")
    exact = all(data.recipe is not None and data.recipe.kind in ("identity", "affine", "per_pixel") for data in (train, held_out))
    tolerance = params["tolerance"] * (1 if exact else 3)
    width = max(a.high - a.low, 1e-9)
    apart = max(abs(a.low - b.low), abs(a.high - b.high)) / width
    expected, actual = f"held-out images in {_text(train)}, as in training", f"held-out images in {_text(held_out)}"
    if apart <= tolerance:
        return passed(f"Training and held-out images have the same scale ({_text(train)}).", expected=expected, actual=actual)
    return failed(f"Training images have values in {_text(train)}, held-out images in {_text(held_out)}.", expected=expected, actual=actual)
