"""What the data checks share: which images reached the training call, and the range that the network saw.

Not a check.
"""

from dataclasses import dataclass

from grader.checks._helpers import defect, model_of
from grader.records import DataClaim, Evidence, Finding, FitClaim

PIXELS = (0.0, 255.0)
"""Range of the stored images."""


def base_fit(evidence: Evidence) -> FitClaim | None:
    """The training call to judge: the base model's last one that had data, else any model's."""
    model = model_of(evidence)
    fits = [fit for fit in (model.fits if model else ()) if fit.train is not None] or [
        fit for fit in evidence.run.fits if fit.train is not None
    ]
    return fits[-1] if fits else None


def lost(evidence: Evidence) -> Finding | None:
    """The finding to give where a defect of ours kept back the data of the training calls to judge; None where they are known."""
    model = model_of(evidence)
    fits = [fit for fit in (model.fits if model and model.fits else evidence.run.fits) if fit.call != "custom_loop"]
    return None if fits and all(fit.train is not None for fit in fits) else defect(evidence)


def training_data(evidence: Evidence) -> DataClaim | None:
    """The images that reached training; where no call did, an array of training images left in the notebook."""
    fit = base_fit(evidence)
    if fit is not None:
        return fit.train
    left = [data for data in evidence.run.variables if data.split == "train"] or [data for data in evidence.run.variables if data.dataset]
    small = [data for data in left if data.recipe and data.recipe.kind != "identity"]
    return next(iter(small or left), None)


def held_out_data(evidence: Evidence) -> DataClaim | None:
    """The validation or test images: of the training call, of an evaluation, or an array left in the notebook."""
    fit = base_fit(evidence)
    if fit is not None and fit.validation is not None:
        return fit.validation
    model = model_of(evidence)
    serial = model.claim.serial if model else None
    used = [
        call.data for call in evidence.run.evaluations if call.data is not None and call.serial == serial and call.data.split != "train"
    ]
    if used:
        return used[-1]
    if fit is not None and fit.validation_split > 0:
        return fit.train
    if defect(evidence) is not None:  # the call may have had other images than those that are left
        return None
    left = [data for data in evidence.run.variables if data.split == "test"]
    small = [data for data in left if data.recipe and data.recipe.kind != "identity"]
    return next(iter(small or left), None)


def evaluated_data(evidence: Evidence) -> tuple[DataClaim, ...]:
    """The test images that `evaluate` and `predict` of the base model were given, where their arithmetic was recognised."""
    model = model_of(evidence)
    calls = [call.data for call in evidence.run.evaluations if model is not None and call.serial == model.claim.serial]
    return tuple(data for data in calls if data is not None and data.split == "test" and exact(data))


def exact(data: DataClaim) -> bool:
    """Whether the arithmetic that the images went through is known, so that their range is."""
    return data.recipe is not None and data.recipe.kind in ("identity", "affine", "per_pixel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Smallest and largest value that the images take, over all channels."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{_short(self.low)}, {_short(self.high)}]"


def _short(value: float) -> str:
    """Three digits; what rounding left of zero is zero."""
    return f"{0.0 if abs(value) < 1e-4 else value:.3g}"


def span(data: DataClaim) -> Span | None:
    """The range of the images as handed over: from the recipe where one was found, else from the sampled values."""
    recipe = data.recipe
    if recipe is not None and exact(data) and recipe.scale:
        ends = [scale * pixel + offset for scale, offset in zip(recipe.scale, recipe.offset, strict=True) for pixel in PIXELS]
        return Span(low=min(ends), high=max(ends))
    if data.minimum is None or data.maximum is None:
        return None
    return Span(low=data.minimum, high=data.maximum)
