"""One run's course: train in pieces, look at growing checkpoints, and stop as soon as the verdict on this seed is certain.

Certain is *learns* (the accuracy on held-back images has reached the band's `passes`, and the loss says the same) and *dead* (a proof, see `proof`). Whatever is neither
at the end of the budget is *stuck* (not told from guessing) or *doubtful* (between).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from grader.records import BandPoint, Checkpoint, CurvePoint, HeldOut, Rerun
from grader.training.bands import off_guessing, wilson
from grader.training.proof import death, suspicious
from grader.training.specification import Specification

SCHEDULE = (1024, 2048, 2560, 3072, 3584, 4096, 4608, 5120, 6400, 9600, 12800, 16000, 19200)
"""Images after which a run is looked at; the last is the whole short budget. Death was proved within a quarter of it (see reference/)."""

HELD = {3072: 1000, 6400: 1000, 9600: 2000, 12800: 2000, 16000: 2000, 19200: 2000}
"""Held-back images that are measured after so many training images; none where there is no entry."""

PROBED = (2048,)
"""Where silent units are looked for in any case; elsewhere only once gradients have vanished."""


Ended = Literal["learns", "dead", "stuck", "doubtful", "cut"]


class Trainer(Protocol):
    """What a course drives: `Box2`, or another way of training."""

    def open(self, specification: Specification, *, seed: int, precision: str, most_steps: int, deadline: float | None = None) -> None:
        """Begin a run."""
        ...

    def advance(self, steps: int, *, evaluate: int = 0, probe: bool = False, deadline: float | None = None) -> Checkpoint:
        """Train further and measure."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How far runs go. `images`: the most a run takes; `seeds`: the most re-runs of one model; `counterfactuals`: the most interventions.

    `seconds`: what all of them may take together. The exercise's model takes half a minute a run on two cores; one of 500 million parameters, each of
    whose pieces stays within its own ten minutes, would take a day.
    `whole`: a model that learns is then trained as the notebook asks, epochs and all, which `seconds` does not bound.
    """

    name: str
    images: int = SCHEDULE[-1]
    seeds: int = 5
    counterfactuals: int = 5
    seconds: float = 3600.0
    whole: bool = False


SHORT = Budget(name="short")
BUDGETS = {"short": SHORT, "full": Budget(name="full", whole=True)}


def steps_of(batch: int, images: int) -> int:
    """Batches that make about `images` images, at least one."""
    return max(1, round(images / batch))


def checkpoints(
    box: Trainer, specification: Specification, *, seed: int, precision: str, most: int = SCHEDULE[-1], deadline: float | None = None
) -> Iterator[Checkpoint]:
    """Train one seed along the schedule, up to `most` images, and yield every checkpoint. The caller stops by taking no more.

    Raises what `Box2.open` and `Box2.advance` raise.
    """
    batch = specification.batch_size
    box.open(specification, seed=seed, precision=precision, most_steps=steps_of(batch, SCHEDULE[-1]), deadline=deadline)
    done, worry, owed = 0, False, 0
    places = [images for images in SCHEDULE if images <= min(most, specification.images)]
    if specification.images < min(most, SCHEDULE[-1]) and specification.images not in places:  # the notebook itself trains no further
        places.append(specification.images)
    for images in places:
        goal = steps_of(batch, images)
        owed = max(owed, HELD.get(images, min(HELD.values()) if images == specification.images else 0))
        if goal <= done:  # a batch so large that two checkpoints fall together
            continue
        point = box.advance(goal - done, evaluate=owed, probe=worry or images in PROBED, deadline=deadline)
        worry = suspicious(point)
        if worry and point.silent is None:
            looked = box.advance(0, probe=True, deadline=deadline)
            point = replace(point, silent=looked.silent, feeding=looked.feeding, settled=looked.settled)
        done, owed = goal, 0
        yield point


def follow(
    box: Trainer,
    specification: Specification,
    band: Callable[[int], BandPoint],
    *,
    seed: int,
    precision: str,
    budget: Budget = SHORT,
    deadline: float | None = None,
) -> Rerun:
    """Train one seed until its verdict is certain or the budget is spent. Raises what `Box2.open` and `Box2.advance` raise, but OutOfTime."""
    from grader.training.box2 import OutOfTime  # noqa: PLC0415

    began = time.monotonic()
    points: list[Checkpoint] = []
    ending: Ended = "stuck"
    proof = ""
    try:
        for point in checkpoints(box, specification, seed=seed, precision=precision, most=budget.images, deadline=deadline):
            points.append(point)
            ending = ended(points, band(point.images)) or ending
            if ending in ("dead", "learns"):
                proof = death(point) or ""
                break
    except OutOfTime:
        ending = "cut"
    return rerun(seed, ending, points, proof=proof, seconds=time.monotonic() - began)


def ended(points: Sequence[Checkpoint], limits: BandPoint) -> Literal["learns", "dead", "doubtful", "stuck"] | None:
    """What a run's last checkpoint says by the `limits` there; None where nothing was measured on it and no death was proved."""
    last = points[-1]
    if death(last):
        return "dead"
    if last.held is None:
        return None
    window = last.images - (points[-2].images if len(points) > 1 else 0)
    return standing(last.held, limits, off_guessing(last.held.loss, last.train_accuracy, window))


def standing(held: HeldOut, limits: BandPoint, off: bool) -> Literal["learns", "doubtful", "stuck"]:
    """What a checkpoint's held-back images say. `off`: `off_guessing` of the same checkpoint."""
    if held.accuracy >= limits.passes and off:
        return "learns"
    return "doubtful" if held.accuracy > limits.zero else "stuck"


def whole(
    box: Trainer, specification: Specification, *, seed: int, precision: str, deadline: float | None = None
) -> tuple[CurvePoint, ...]:
    """Train as the notebook asks, all its epochs, measured after each on every held-back image of the pool; cut short by the deadline.

    Raises what `Box2.open` and `Box2.advance` raise, but OutOfTime.
    """
    from grader.training.box2 import OutOfTime  # noqa: PLC0415

    steps = steps_of(specification.batch_size, specification.epoch_images)
    box.open(specification, seed=seed, precision=precision, most_steps=steps * specification.epochs, deadline=deadline)
    points: list[CurvePoint] = []
    with suppress(OutOfTime):
        for _ in range(specification.epochs):
            point = box.advance(steps, evaluate=1 << 20, deadline=deadline)
            points.append(_measured(point))
    return tuple(points)


def _measured(point: Checkpoint) -> CurvePoint:
    loss, accuracy = (point.held.loss, point.held.accuracy) if point.held is not None else (None, None)
    return CurvePoint(step=point.step, images=point.images, loss=loss, accuracy=accuracy)


def rerun(seed: int, ending: Ended, points: list[Checkpoint], *, proof: str = "", seconds: float = 0.0) -> Rerun:
    """The record of a course. A dead run's accuracy is that of its last measured point, or guessing's where none was."""
    held = [point for point in points if point.held is not None]
    last = held[-1].held if held else None
    silent = [point.silent for point in points if point.silent is not None]
    return Rerun(
        seed=seed,
        ending=ending,
        points=tuple(map(_measured, held)),
        images=points[-1].images if points else 0,
        steps=points[-1].step if points else 0,
        accuracy=last.accuracy if last else None,
        interval=wilson(last.accuracy * last.images, last.images) if last else None,
        train_loss=points[-1].train_loss if points else None,
        proof=proof,
        silent=tuple(item for item in silent[-1] if item[1] >= 0.5) if silent else (),
        norms=points[-1].gradients if points else (),
        seconds=round(seconds, 2),
    )
