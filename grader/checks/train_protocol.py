"""*What it checks.* The base model is trained by a call of `fit` (or a relative) with held-out data, and what it returns is kept.

*Why it matters.* Without held-out data nobody sees overfitting; without the history nobody sees anything.

*Inputs.* The recorded training calls, and the variables at the end of each cell.

*Units.* Shares of the points.

*Tolerance and source.* `fit` 0.4, held-out data 0.3, history kept 0.3 (the exercise's three demands; the first carries the others). Held-out data are at least `images` different
images, or `share` of the training images, whichever is less: an accuracy over 100 images has a standard error of up to 0.05.

*Edge cases.* Validation images that are rows of the training images are not held out (`FitClaim.validates_on_training`). A training loop of the student's own counts as training; its curves, if plotted, count as kept; what of it was not seen needs manual review: `error`. A call that ended in an error counts as called.
How many images a pipeline validates on may not be known: unless those that were seen are enough, `error`. What a defect of ours may have kept from being seen is not held against the student: `error`.

*Errors.* None.

*Example.* `model.fit(x, y)` with nothing else: 0.4 of the points.
"""

import math

from grader.checks import Params
from grader.checks._helpers import absent, defect, model_of, partial, passed, undecided, why_missing
from grader.records import Evidence, Finding, FitClaim
from grader.words import counted

PARAMS: Params = {"fit": 0.4, "held_out": 0.3, "history": 0.3, "images": 100, "share": 0.01}


def check(evidence: Evidence, params: Params) -> Finding:
    """Judge the training call of the base model."""
    model = model_of(evidence)
    fits = model.fits if model else evidence.run.fits
    expected = "fit, held-out data, history"
    if not fits:
        message = why_missing(evidence) if model is None else "The network is never trained: fit is not called on it."
        return absent(evidence, "fit", message, expected, "no training call")
    fit = fits[-1]
    others = len({other.cell for other in fits}) - 1
    judged = f" Training calls were found in {others + 1} cells; the one in cell {fit.cell} is judged." if model and others else ""
    rows = fit.train.rows if fit.train else None
    count, least = _different(fit), params["images"] if rows is None else min(params["images"], math.ceil(params["share"] * rows))
    few = count is not None and count < least
    held_out = _has_held_out(evidence, fit) and not few
    kept = fit.call in ("fit", "fit_generator") and _is_kept(evidence, fits)
    if fit.call not in ("fit", "fit_generator"):
        plots = [plot for plot in evidence.run.plots if plot.cell >= fit.cell]
        kept = any(plot.lines > sum(index != fit.index for index, _ in plot.curves) for plot in plots)
    given = "its validation data are rows of its training data" if fit.validates_on_training else "no held-out data is given"
    if few:
        given = f"it validates on {counted(count or 0, 'image')}, too few to show overfitting: hold out at least {counted(least, 'image')}"
    if fit.validates_on_others and not fit.validates_on_training:
        given = "its validation data are not images of the data set"
    missing = [words for there, words in ((held_out, given), (kept, "what fit returns is not kept")) if not there]
    if missing and fit.call == "custom_loop":
        words = "The network is trained by the notebook's own loop. Manual review: does it have held-out data, and is its history kept?"
        return undecided(words, actual=f"not seen: {' and '.join(missing)}")
    if (unknown := defect(evidence) if missing or fit.error is not None else None) is not None:
        return unknown
    actual = f"{fit.call}, {'held-out data' if held_out else 'no held-out data'}, {'history kept' if kept else 'history not kept'}, {counted(fit.epochs, 'epoch') if fit.epochs else '? epochs'}, batch {fit.batch_size or '?'}"
    if fit.error is not None:
        fraction = params["fit"] / 2 + (params["held_out"] if held_out else 0)
        cause = next((found for what in ("base", "compile") if (found := evidence.causes.get(what)) and found.cell != fit.cell), None)
        message = f"fit was called but stopped with {fit.error.type}: {fit.error.message.rstrip('.')}."
        hint = "Fix this error so that the cell runs to its end."
        if cause is not None:
            message, hint = f"{message} {cause.sentence}", f"Fix cell {cause.cell}, then run the notebook from the top."
        return partial(fraction, message, expected, actual, hint=hint)
    if held_out and fit.validation and count is None and (fit.validation.seen or 0) < least:
        return undecided(f"The number of validation images is not known. Manual review: are there at least {least}?", actual=actual)
    if missing:
        fraction = params["fit"] + (params["held_out"] if held_out else 0) + (params["history"] if kept else 0)
        return partial(fraction, f"The network is trained, but {' and '.join(missing)}.{judged}", expected, actual)
    return passed(f"The network is trained with held-out data, and its history is kept.{judged}", expected, actual)


def _has_held_out(evidence: Evidence, fit: FitClaim) -> bool:
    if fit.validation_split > 0 or fit.validation is not None:
        return not fit.validates_on_training and not fit.validates_on_others
    return fit.call not in ("fit", "fit_generator") and any(
        call.serial == fit.serial and call.data is not None and call.data.split == "test" for call in evidence.run.evaluations
    )


def _different(fit: FitClaim) -> int | None:
    """How many different images validate; None where that is not known."""
    data, split = fit.validation, fit.validation_split
    if data is not None:
        return min((count for count in (data.rows, data.distinct) if count is not None), default=None)
    rows = fit.train.rows if fit.train and split > 0 else None
    return None if rows is None else rows - math.floor(rows * (1 - split))


def _is_kept(evidence: Evidence, fits: tuple[FitClaim, ...]) -> bool:
    indices = {fit.index for fit in fits}
    plotted = {index for plot in evidence.run.plots for index, _ in plot.curves}
    return any(history.fit in indices for history in evidence.run.histories) or bool(indices & plotted)
