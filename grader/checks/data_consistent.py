"""*What it checks.* Training and held-out images went through the same arithmetic.

*Why it matters.* Images on another scale are other images to the network.

*Inputs.* The recipes, or sampled ranges, of the training and of the validation or test images.

*Units.* Fraction of the training images' range.

*Tolerance and source.* The ends of the pixel range, mapped by both recipes, may differ by `tolerance` of the range: 0.04 lets images standardised by their own
split's mean and deviation through (they differ by under 0.02) and catches a division by 225 (0.13).

*Edge cases.* No held-out images anywhere: skip. Images that a defect of ours kept from being examined: `error`. Unknown recipes are compared by the range of the images, of data in batches
that of the batches that were looked at, whose ends are chance: they may differ by `sampled`. Test images that `fit` was not given count, too, where `evaluate` or `predict` was and their recipe is known.

*Errors.* None.

*Example.* Train `/ 255`, test raw: fail.
"""

from grader.checks import Params
from grader.checks._data import Span, evaluated_data, exact, held_out_data, lost, span, training_data
from grader.checks._helpers import defect, failed, passed, skipped
from grader.records import Evidence, Finding

PARAMS: Params = {"tolerance": 0.04, "sampled": 0.3}


def check(evidence: Evidence, params: Params) -> Finding:
    """Compare the ranges of training and held-out images, in training and in what is evaluated afterwards."""
    if (unknown := lost(evidence)) is not None:
        return unknown
    train, held_out = training_data(evidence), held_out_data(evidence)
    if train is None or held_out is None:
        return defect(evidence) or skipped("No held-out images were used, so there is nothing to compare.")
    given, seen = span(train), span(held_out)
    if given is None or seen is None:
        return skipped("The value ranges of the images could not be determined.")
    expected = f"held-out images in {given}, as in training"
    for other in (held_out, *evaluated_data(evidence)):
        found, tolerance = span(other), params["tolerance" if exact(train) and exact(other) else "sampled"]
        if found is not None and not _apart(given, found) <= tolerance:
            actual = f"held-out images in {found}"
            return failed(f"Training images have values in {given}, {actual}.", expected, actual)
    return passed(f"Training and held-out images have the same scale ({given}).", expected, f"held-out images in {seen}")


def _apart(train: Span, other: Span) -> float:
    """The larger distance of the ranges' ends, as a fraction of the training images' range."""
    return max(abs(train.low - other.low), abs(train.high - other.high)) / max(train.high - train.low, 1e-9)
