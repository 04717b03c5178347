"""A model that cannot be repeated from data: trained by the notebook's own code in a box, scored outside (design, section 2.4).

Box 1 is started again on the cells up to the training call, which is made in earnest this time. The box gets a data folder of its own: the
training images as they are, the test images in an order that only the host knows and under labels drawn by lot. What the model then says
of its first test images is a claim that only a model, or labels brought along with the notebook, can make true; the second is why a
person is always asked to look.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from grader import dataset
from grader.decode import RunCollector
from grader.errors import RebuildRefused
from grader.records import BandPoint, Cell, Checkpoint, FitClaim, HeldOut, Model, PredictionsClaim, Rerun, RunRecord, Training
from grader.sandbox import Limits, Sandbox
from grader.sandbox.notebook_run import collect_notebook, start_notebook
from grader.training import course
from grader.training.bands import off_guessing
from grader.training.measure import Setting, fraction_of, reasoned, verdict_of
from grader.training.specification import DEFAULT_BATCH, MOST_BATCH, specify
from grader.words import cut

CHECKPOINTS = (6400, 12_800)
"""Images after which the model is scored; the last is the budget: two thirds of box 2's, as nothing here is as fast."""

HELD = 2000
"""Held-back images that are predicted: the first of the secret order."""

SLOWEST = 40.0
"""Images a second below which the training is given up; All-CNN-C makes 100 to 200 on two cores."""

LEAST_SHARE = 0.95
"""Of the held-back images so many must come back with a prediction; the others (duplicates that cannot be told apart) count as wrong."""

REVIEW = "The model was trained by the notebook's own code inside the sandbox; its predictions were scored outside."
_START_S = 60.0
"""Seconds for what is not training: tracing the model, predicting."""


def measure(
    cells: tuple[Cell, ...],
    box: Sandbox,
    limits: Limits,
    data: Path,
    role: str,
    model: Model,
    setting: Setting,
    *,
    seeds: int = 1,
    checkpoints: tuple[int, ...] = CHECKPOINTS,
    deadline: float | None = None,
) -> Training:
    """The verdict on a model that `specify` refuses. What cannot be scored is `not_measured`, with the reason.

    `cells` are the notebook's, `data` is the folder of the set's arrays, `limits` are those of an ordinary run. A model that does not learn
    is tried on up to `seeds` seeds. Raises InfrastructureError, and GraderError where the box dies before the first cell.
    """
    began = time.monotonic()
    head = Training(
        role=role,
        verdict="not_measured",
        way="sandboxed",
        budget=setting.budget.name,
        device="cpu",
        backend="tensorflow",
        precision="as the notebook sets it",
        dataset=setting.dataset,
        band=setting.bands.points(role),
        notes=(_note(model, seeds),),
    )
    reruns: list[Rerun] = []
    try:
        fit = _call(model)
        if fit.callbacks:
            head = replace(head, notes=(*head.notes, f"Callbacks are not repeated ({', '.join(fit.callbacks[:4])})."))
        for index in range(seeds):
            attempt = _Attempt(fit, lambda images: setting.bands.at(role, images), checkpoints)
            attempt.tell = partial(setting.watch, "checkpoint", role=role, seed=setting.first_seed + index, most=checkpoints[-1])
            attempt.tell(images=0, accuracy=None)
            reruns.append(attempt.make(cells, box, limits, data, setting.first_seed + index, deadline))
            if reruns[-1].ending in ("learns", "cut"):
                break
    except _NotScored as lack:
        if not reruns:
            return replace(head, reason=f"The model was not trained again: {lack}.", seconds=round(time.monotonic() - began, 2))
    result = replace(head, verdict=verdict_of(reruns), reruns=tuple(reruns), images=sum(rerun.images for rerun in reruns))
    if result.verdict == "not_measured":
        return replace(result, reason=reasoned(result), seconds=round(time.monotonic() - began, 2))
    result = replace(result, fraction=fraction_of(reruns, setting, role), review=REVIEW)
    return replace(result, reason=reasoned(result), seconds=round(time.monotonic() - began, 2))


class _NotScored(Exception):
    """Nothing to score came of it; the message reads on from "The model was not trained again: "."""


def _note(model: Model, seeds: int) -> str:
    try:
        specify(model)
        why = ""
    except RebuildRefused as refusal:
        why = f"It could not be repeated from data: {refusal}. "
    tried = "one random start" if seeds == 1 else f"up to {seeds} random starts"
    return f"{why}It was trained by the notebook's own code, from {tried}; no causes were sought by changing one thing at a time."


def _call(model: Model) -> FitClaim:
    """The training call to make in earnest. Raises _NotScored with what it lacks."""
    fits = [fit for fit in model.fits if fit.train is not None]
    if not fits:
        raise _NotScored("no training call with readable data reached it")
    fit = fits[-1]
    if fit.call not in ("fit", "fit_generator"):
        raise _NotScored("it is trained by the notebook's own loop")
    if fit.error is not None:
        raise _NotScored(f"its training call fails ({fit.error.type})")
    held = fit.validation
    if held is None:
        raise _NotScored("its training call is given no validation images, so its predictions cannot be scored")
    if held.split not in ("test", None):
        raise _NotScored("its validation images are not the test images, so its predictions cannot be scored")
    return fit


class _Attempt:
    """One run of box 1 with the training call made in earnest, scored as the predictions come."""

    def __init__(self, fit: FitClaim, band: Callable[[int], BandPoint], checkpoints: tuple[int, ...]) -> None:
        self._fit, self._band, self._checkpoints = fit, band, checkpoints
        self._labels: tuple[int, ...] = ()
        self._points: list[Checkpoint] = []
        self._ending: Literal["learns", "stuck", "doubtful", "cut"] = "cut"
        self._lack = ""
        self._sure = True
        self._taken = 0
        self.tell: Callable[..., None] = lambda **_: None

    def make(self, cells: tuple[Cell, ...], box: Sandbox, limits: Limits, data: Path, seed: int, deadline: float | None) -> Rerun:
        """Run it. Raises _NotScored where no verdict came of it."""
        began = time.monotonic()
        reached = tuple(cell for cell in cells if cell.index <= self._fit.cell)
        size = self._fit.batch_size if self._fit.batch_size and self._fit.batch_size > 0 else DEFAULT_BATCH
        train = {"fit": self._fit.index, "batch": min(size, MOST_BATCH), "checkpoints": list(self._checkpoints), "held": HELD}
        roomy = _roomy(limits, self._checkpoints[-1])
        with dataset.veiled(data) as (folder, labels):
            self._labels = labels[:HELD]
            with start_notebook(reached, box, roomy, folder, seed, train=train) as running:
                record = collect_notebook(running, reached, roomy, deadline, enough=self._enough)
        lack = self._lack or self._missing(record)
        if lack:
            raise _NotScored(lack)
        return course.rerun(seed, self._ending, self._points, seconds=time.monotonic() - began)

    def _enough(self, collector: RunCollector) -> bool:
        """Score what is new; whether the verdict is certain, or the call has ended."""
        predictions = collector.so_far("predictions")
        for claim in predictions[self._taken :]:
            self._taken += 1
            if not self._decided:
                self._take(claim)
        return self._decided or any(fit.index == self._fit.index for fit in collector.so_far("fits"))

    @property
    def _decided(self) -> bool:
        return bool(self._lack) or self._ending == "learns" or len(self._points) == len(self._checkpoints)

    def _take(self, claim: PredictionsClaim) -> None:
        images = self._checkpoints[len(self._points)]
        if claim.fit != self._fit.index or claim.images < images:
            self._lack = "what the sandbox sent as its predictions belongs to no training that was asked for"
            return
        if len(claim.rows) < LEAST_SHARE * len(self._labels) or len(claim.outputs[0]) != 10 or max(claim.rows) >= len(self._labels):
            self._lack = (
                "its validation images could not be matched with the test images one by one, or it does not give ten scores for each image"
            )
            return
        held = scored(claim, self._labels)
        limits = self._band(images)
        self._sure &= claim.matched
        self._points.append(
            Checkpoint(
                step=claim.step, images=images, train_loss=None, train_accuracy=0.0, finite=True, gradients=(), seconds=0.0, held=held
            )
        )
        self.tell(images=images, accuracy=held.accuracy)
        self._ending = course.standing(
            held, limits, off_guessing(held.loss, 0.0, 0)
        )  # how it did in training is a claim, and counts for nothing

    def _missing(self, record: RunRecord) -> str:
        """Why there is no verdict, in words that read on; empty where there is one (or the deadline cut it short)."""
        if record.ending == "garbled":
            return "the notebook's process sent something unreadable instead of its predictions"
        if len(self._points) < len(self._checkpoints) and self._ending != "learns":
            if record.ending == "deadline":
                self._ending = "cut"
                return ""
            return _reason(record, self._fit)
        if self._ending != "learns" and not self._sure:  # had they been in another order, a good model would look as bad
            return "its validation images could not be matched with the stored test images, so its predictions could not be scored"
        return ""


def _reason(record: RunRecord, fit: FitClaim) -> str:
    made = next((other for other in record.fits if other.index == fit.index), None)
    if made is not None and made.error is not None:
        return f"its training call fails when it is really run ({made.error.type}: {cut(made.error.message, 300).rstrip('. ')})"
    if any(note.kind == "grader" for note in record.notes):
        return "a defect in the grader kept its predictions from being read; manual review is needed"
    if record.ending in ("ok", "enough"):
        return (
            "run again, the notebook did not reach its training call"
            if made is None
            else "its data ended, or was not readable, before enough images had been seen"
        )
    cell = next((run for run in record.cells if run.index == fit.cell and run.status == "timeout"), None)
    said = (cell.error.message if cell and cell.error else record.detail).rstrip(".") or record.ending
    return f"when it was really trained, {said[:1].lower()}{said[1:]}"


def _roomy(limits: Limits, images: int) -> Limits:
    """The limits of an ordinary run, and the time for so many images on top."""
    more = _START_S + images / SLOWEST
    return replace(
        limits, cell_s=limits.cell_s + more, wall_s=limits.wall_s + more, cpu_s=limits.cpu_s + int(more * len(os.sched_getaffinity(0)))
    )


def scored(claim: PredictionsClaim, labels: tuple[int, ...]) -> HeldOut:
    """Crossentropy and accuracy of predictions for `labels`, whose positions are the claim's rows; images without a prediction are wrong.

    Outputs are probabilities where every row is one, else scores (as in box 2). A row of equal numbers decides nothing and is wrong.
    """
    telling = [max(row) > min(row) for row in claim.outputs]
    probabilities = all(
        min(row) >= -1e-6 and abs(sum(row) - 1.0) < 1e-2 for row, tells in zip(claim.outputs, telling, strict=True) if tells
    )
    right, loss = 0, 0.0
    for position, row, tells in zip(claim.rows, claim.outputs, telling, strict=True):
        label = labels[position]
        right += tells and row.index(max(row)) == label
        loss -= math.log(min(max(_probability(row, label, probabilities), 1e-7), 1.0))
    first = claim.outputs[0] if claim.outputs else ()
    constant = all(abs(value - wanted) < 1e-6 for row in claim.outputs for value, wanted in zip(row, first, strict=True))
    return HeldOut(
        loss=loss / len(claim.rows) if claim.rows else None,
        accuracy=right / len(labels) if labels else 0.0,
        images=len(labels),
        constant=constant,
    )


def _probability(row: tuple[float, ...], label: int, probabilities: bool) -> float:
    if not probabilities:
        top = max(row)
        row = tuple(math.exp(value - top) for value in row)
    return row[label] / max(sum(row), 1e-12)
