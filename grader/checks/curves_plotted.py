"""*What it checks.* A figure shows the recorded training curves.

*Why it matters.* Over- and underfitting are seen in the two curves together.

*Inputs.* The curves found in the figures. Every answered history has values of its own, so a drawn line tells which history and key it shows.

*Units.* None.

*Tolerance and source.* All of `curves`: full points. Some of them, or only others (the loss): half. A training loop of the student's own has no
history to recognise: figures with at least two lines after it need manual review (`error`). Lines that are no history's (typed in) give nothing.

*Edge cases.* They are the base model's own; where a failure kept that from being trained, another model's show as much. The curves may be drawn by any means (lines, points, bars, steps, areas), in any cell, as fractions or percent, as accuracy or error, in
part or smoothed, collected from several calls of `fit` or `evaluate`; what becomes of the figure afterwards (`clf`, `close`) does not matter. What a
defect of ours may have kept from being seen: `error`.

*Errors.* None.

*Example.* Accuracy and validation accuracy of the base model's history: pass.
"""

from grader.checks import Params
from grader.checks._helpers import absent, defect, model_of, partial, passed, undecided
from grader.records import Evidence, Finding

PARAMS: Params = {"curves": ("accuracy", "val_accuracy")}


def check(evidence: Evidence, params: Params) -> Finding:
    """Look for the curves in the figures."""
    wanted = set(params["curves"])
    model = model_of(evidence)
    fits = model.fits if model else ()
    own = {fit.index for fit in fits}
    drawn = [(index, _same(key)) for plot in evidence.run.plots for index, key in plot.curves]
    hindered = model is None or (model.images != 0 and all(fit.error is not None for fit in fits))
    found = {key for index, key in drawn if index in own or hindered}
    expected, actual = " and ".join(sorted(wanted)), ", ".join(sorted(found)) or "none"
    if wanted <= found:
        return passed("The training and validation curves are plotted.", expected, actual)
    if (unknown := defect(evidence)) is not None:
        return unknown
    if found:
        lacking = ", ".join(sorted(wanted - found))
        cells = {plot.cell for plot in evidence.run.plots if plot.curves}
        failed = next((run for run in evidence.run.cells if run.index in cells and run.status == "error" and run.error), None)
        because = f" A line of cell {failed.index} failed (see above)." if failed else ""
        hint = f"Fix cell {failed.index}, then run the notebook from the top." if failed else ""
        return partial(0.5, f"A figure shows {actual}, but not {lacking}.{because}", expected, actual, hint=hint)
    own_loops = [fit.cell for fit in fits if fit.call in ("train_on_batch", "custom_loop")]
    after = [plot for plot in evidence.run.plots if own_loops and plot.cell >= min(own_loops)]
    lines = sum(plot.lines - len(plot.curves) for plot in after)  # all curves are other models' here
    if lines >= 2:
        message = "Figures are drawn after the notebook's own training loop. Manual review: do they show its curves?"
        return undecided(message, actual=f"{lines} lines")
    nothing = "No figure shows the training curves."
    if drawn:
        nothing = "The figures show the curves of other models, but not those of the network of section 1."
    elif any(plot.lines for plot in evidence.run.plots):
        nothing = "Figures are drawn, but none of them shows a curve that fit returned."
    return absent(evidence, "curves", nothing, expected, actual)


def _same(key: str) -> str:
    """A history's key as the rubric names it: `acc`, `val_sparse_categorical_accuracy` and the like are accuracies."""
    if "accuracy" in key or key.endswith("acc"):
        return "val_accuracy" if key.startswith("val_") else "accuracy"
    return key
