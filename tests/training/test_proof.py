"""What proves death, and what does not."""

from dataclasses import replace

import pytest
from training_samples import LIVING, SILENT, VANISHED, checkpoint

from grader.training.proof import death, suspicious


def test_a_silent_layer_without_any_gradient_before_it_is_proof():
    found = death(checkpoint(3584, gradients=VANISHED, silent=SILENT))
    assert found is not None
    assert "all 10 units of the layer 'scores' are zero for every image" in found


def test_a_relu_in_a_layer_of_its_own_counts_as_part_of_the_layer_that_feeds_it():
    point = checkpoint(3584, gradients=VANISHED, silent=(("scores_relu", 1.0, 10),))
    found = death(replace(point, feeding=(("scores_relu", "scores"),)))
    assert found is not None
    assert "all 10 units of the layer 'scores_relu' are zero for every image" in found


def test_numbers_that_are_not_finite_are_proof():
    assert "no finite numbers" in (death(checkpoint(1024, finite=False)) or "")


@pytest.mark.parametrize(
    "point",
    [
        checkpoint(9600, 0.1),  # at chance, but gradients flow: perhaps only slow
        checkpoint(3584, gradients=VANISHED),  # no gradient, but nobody looked for silent units
        checkpoint(3584, gradients=LIVING, silent=SILENT),  # silent on these images, but gradients flowed in the window
        checkpoint(3584, gradients=VANISHED, silent=SILENT, settled=()),  # the optimizer's momentum wakes it up again
        checkpoint(3584, gradients=VANISHED, silent=(("scores", 0.9, 10),)),  # one unit still speaks
        checkpoint(3584, gradients=(("a/kernel", 0.0), ("scores/kernel", 1e-6)), silent=SILENT),  # small is not zero
        checkpoint(3584, gradients=(("a/kernel", 0.0), ("scores/kernel", None)), silent=SILENT),  # not finite is not zero
        checkpoint(3584, gradients=(), silent=SILENT),  # nothing is trained: silence proves nothing
        checkpoint(
            3584, gradients=VANISHED, silent=(("a_relu", 1.0, 8),)
        ),  # a layer without weights of its own, and nobody knows where it is
        replace(  # it is fed by a layer that still has a gradient
            checkpoint(3584, gradients=(("a/kernel", 0.0), ("scores/kernel", 0.1)), silent=(("scores_relu", 1.0, 10),)),
            feeding=(("scores_relu", "scores"),),
        ),
    ],
)
def test_less_is_no_proof(point):
    assert death(point) is None


def test_suspicion_is_a_first_variable_without_gradient():
    assert suspicious(checkpoint(1024, gradients=VANISHED))
    assert not suspicious(checkpoint(1024, gradients=LIVING))
    assert not suspicious(checkpoint(1024, gradients=()))


def test_weights_that_never_moved_never_will():
    said = death(replace(checkpoint(1024), still=True))
    assert said == "after 8 steps not one of the weights has changed, and nothing in what is asked for changes later"
    assert death(checkpoint(1024)) is None
