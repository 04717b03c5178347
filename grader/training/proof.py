"""Proof that a training run is dead: it cannot learn any more, however long it goes on. A loss that stays at ln 10 alone is no proof."""

from grader.records import Checkpoint

ZERO = 1e-12
"""A gradient norm up to here is zero: living ones were 1e-3 to 10 on all calibration runs, dead ones exactly 0 (bfloat16 has float32's exponents)."""


def death(point: Checkpoint) -> str | None:
    """Why the run that stands at `point` can never learn again, as a sentence; None where that is not proved.

    Proved is: a loss or a weight that is not finite; no weight that has changed, at a learning rate that stays as it is; or a rectifying layer whose every unit was silent on 256 images while every gradient
    in and before that layer was zero in all steps of the window, and that stays silent on 1,024 images while the optimizer's momentum runs out
    (without that, one run in ten that looked dead woke up again: DECISIONS.md). A ReLU in a layer of its own counts as a part of the layer that feeds it.
    """
    if not point.finite:
        return f"after {point.step} steps the loss or the weights are no finite numbers any more"
    if point.still:
        return f"after {point.step} steps not one of the weights has changed, and nothing in what is asked for changes later"
    vanished = 0  # how many variables, in the order of the layers, have had no gradient in this window
    for _, norm in point.gradients:
        if norm is None or norm > ZERO:
            break
        vanished += 1
    if not vanished:
        return None
    names = [path.rsplit("/", 1)[0].rsplit("/", 1)[-1] for path, _ in point.gradients]
    feeding = dict(point.feeding)
    for layer, share, units in point.silent or ():
        if share < 1.0 or layer not in point.settled:
            continue
        own = [index for index, name in enumerate(names) if name == feeding.get(layer, layer)]
        if own and max(own) < vanished:
            return (
                f"after {point.step} steps all {units} units of the layer {layer!r} are zero for every image, "
                "and no gradient reaches it or any layer before it"
            )
    return None


def suspicious(point: Checkpoint) -> bool:
    """Whether it is worth looking for silent units: the first variable had no gradient in this window."""
    return bool(point.gradients) and (point.gradients[0][1] is None or point.gradients[0][1] <= ZERO)
