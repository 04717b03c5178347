"""The notebook's stored training curve beside the re-run of the same model: borne out, contradicted, or not shown.

A stored curve is text that the student handed in. It is worth something only as far as the re-run bears it out.
"""

import math
from dataclasses import replace
from functools import partial

from grader.records import Audit, Evidence, RecordedCurve, Training
from grader.training.specification import EPOCH_IMAGES
from grader.words import counted

NEAR_GUESSING = 0.13
"""A stored validation accuracy up to here is guessing: three standard errors over 0.10 for 1,000 images, eleven for 10,000."""

LEARNED = 0.25
"""From this stored accuracy on the notebook says that its model learned."""

LEAP = 0.45
"""A first epoch of 390 steps took the reference from 0.10 to 0.38 (training-findings); a first value this far over the re-run's last is no first epoch."""


def curve_of(evidence: Evidence, role: str) -> RecordedCurve | None:
    """The last stored curve of the calls that train the role's model; where a cell's curves are not one for each of its calls, the last one there.

    A curve of more epochs than the model's own calls in its cell ask for is no record of their training.
    """
    found = evidence.roles.get(role)
    if found is None or found.model is None:
        return None
    own = {fit.index: fit for fit in found.model.fits}
    for cell in sorted({fit.cell for fit in own.values()}, reverse=True):
        curves = [curve for curve in evidence.recorded if curve.cell == cell]
        calls = [fit for fit in evidence.run.fits if fit.cell == cell]
        paired = len(curves) == len(calls)
        curves = [curve for curve, fit in zip(curves, calls, strict=True) if fit.index in own] if paired else curves
        if curves:
            asked = [fit.epochs or 0 for fit in own.values() if fit.cell == cell]
            if curves[-1].doubt or not all(asked) or curves[-1].epochs <= sum(asked):
                return curves[-1]
            return replace(curves[-1], doubt=f"the calls that train this model ask for {counted(sum(asked), 'epoch')}", refuted=paired)
    return None


def audit(evidence: Evidence, role: str, training: Training | None) -> Audit:
    """How the stored curve of a role's model compares with its re-run."""
    curve = curve_of(evidence, role)
    values = (
        [value for value in (curve.values.get("val_accuracy") or curve.values.get("accuracy") or ()) if math.isfinite(value)]
        if curve
        else []
    )
    if curve is None or not values:
        why = "cleared outputs?"
        if elsewhere := {curve.cell for curve in evidence.recorded} - {fit.cell for fit in evidence.run.fits}:
            why = f"cell {min(elsewhere)} holds some, but its code trains nothing"
        return Audit(
            outcome="not_shown",
            sentence=f"The notebook holds no stored training output for this model ({why}), so there is nothing to compare.",
        )
    scale = 0.01 if max(values) > 1.5 else 1.0
    values = [value * scale for value in values]
    final, last, epochs = max(values), values[-1], curve.epochs
    says = f"The notebook records {last:.2f} after {epochs} epoch{'s' if epochs != 1 else ''}"
    compared = partial(Audit, final=final, epochs=epochs, cell=curve.cell)
    if curve.doubt:
        return compared(outcome="contradicted" if curve.refuted else "undecided", sentence=f"{says}; {curve.doubt}.")
    if final > 1.0:
        return compared(outcome="contradicted", sentence=f"{says}; no accuracy is larger than 1.")
    if training is None or training.shown is None or training.verdict == "not_measured":
        return compared(outcome="undecided", sentence=f"{says}; the model was not trained again, so nothing confirms it.")
    shown = training.shown
    reached = f"{shown.accuracy:.2f}" if shown.accuracy is not None else "0.10"
    seeds = f" over {len(training.reruns)} seeds" if len(training.reruns) > 1 else ""
    dead = training.verdict in ("dead", "stuck")
    if dead and final >= LEARNED:
        text = f"{says}; the same model trained again stays at {reached}{seeds}."
        return compared(outcome="contradicted", sentence=text)
    if training.verdict == "learns" and final <= NEAR_GUESSING and epochs > 1:
        text = f"{says}, which is chance level; the same model trained again learns ({reached} after {shown.images:,} images{seeds})."
        return compared(outcome="contradicted", sentence=text)
    if not dead and shown.accuracy is not None and values[0] - shown.accuracy > LEAP and shown.images < EPOCH_IMAGES:
        text = f"{says} and {values[0]:.2f} already after the first; the same model trained again is at {reached} after {shown.images:,} images{seeds}."
        return compared(outcome="contradicted", sentence=text)
    if training.verdict == "fragile" and final <= NEAR_GUESSING and epochs > 1:
        died, tried = sum(rerun.ending == "dead" for rerun in training.reruns), len(training.reruns)
        shows = (
            f"was dead, as {died} of {tried} re-runs of the same model are"
            if died
            else f"never left it, as {tried - training.living} of {tried} re-runs of the same model did not"
        )
        text = f"{says}, which is chance level: the recorded training {shows}."
        return compared(outcome="agrees", sentence=text, died=True)
    if training.verdict in ("learns", "fragile") or (dead and final <= NEAR_GUESSING):
        text = f"{says}; the same model trained again is at {reached} after {shown.images:,} images{seeds}, which supports it as far as a short run can."
        return compared(outcome="agrees", sentence=text)
    text = f"{says}; the same model trained again is at {reached} after {shown.images:,} images{seeds}, too little to compare."
    return compared(outcome="undecided", sentence=text)
