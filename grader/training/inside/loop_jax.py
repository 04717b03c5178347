"""Many training steps in JAX: the counterpart of `loop_tensorflow`. The weights are arrays while it trains, and Keras' variables again after.

On a GPU many steps are one program, whose bounds are arguments: one compilation serves every count. On a CPU each step is a program, started
without waiting for the one before: inside a loop XLA's convolutions are not its fast ones there (jax issue 12868; 3 instead of 40 steps a
second, measured). The pool's images are an argument, too, not a constant that XLA would compile in (147 MiB).
"""

import contextlib
import functools
import itertools

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from . import rebuild

keras = rebuild.keras
_FORGET_EVERY = 20
_runs = itertools.count(1)


def forget():
    """Let go of the programs of earlier runs: JAX keeps what it compiled, about 30 MiB a model. Not each time: what every run needs is then compiled again, 0.5 s of processor time."""
    if next(_runs) % _FORGET_EVERY == 0:
        jax.clear_caches()


@contextlib.contextmanager
def scores_behind(model):
    """While the model is called within it, notes by the activation's name ("softmax", "sigmoid") the scores that its outputs are made from.

    Keras' losses on TensorFlow go back from a last softmax to the scores before it. On JAX they take the logarithm of the outputs, cut off at 1e-7: a
    model that is surely wrong has a loss of 16.1 at most there, and no gradient.
    """
    last, found = model, {}
    while isinstance(last, keras.Model):
        last = last.outputs[0]._keras_history.operation
    attribute, name = "activation", getattr(getattr(last, "activation", None), "__name__", None)
    if type(last).__name__ == "Softmax" and last.axis in (-1, 1):
        attribute, name = "call", "softmax"
    if name not in ("softmax", "sigmoid"):
        yield found
        return
    whole = getattr(last, attribute)

    def noted(scores, *args, **kwargs):
        found[name] = scores
        return whole(scores, *args, **kwargs)

    setattr(last, attribute, noted)
    try:
        yield found
    finally:
        setattr(last, attribute, whole)


class Loop:
    """The compiled loop of one `trainer.Run`."""

    def __init__(self, run):
        self._run = run
        self._images = jnp.asarray(run.pool.images)
        model, optimizer, batch = run.model, run.optimizer, run.batch

        def losses(trained, others, x, y, weights):
            with scores_behind(model) as scores:
                outputs, others, added = model.stateless_call(trained, others, x, training=True, return_losses=True)
            loss = run.loss_of(y, outputs, weights, **scores)
            return loss + sum(added), (loss, outputs, others)

        def step(carried, images, order, labels, weights, index):
            trained, others, slots, loss_sum, right_sum, peaks = carried
            rows = lax.dynamic_slice_in_dim(order, index * batch, batch)
            truth = labels[rows]
            x, y = run.batch_of(images[rows], truth)
            gradients, (loss, outputs, others) = jax.grad(losses, has_aux=True)(
                trained, others, x, y, None if weights is None else weights[rows]
            )
            if trained:
                trained, slots = optimizer.stateless_apply(slots, gradients, trained)
                peaks = jnp.maximum(peaks, jnp.stack([jnp.linalg.norm(gradient.reshape(-1)) for gradient in gradients]))
            right = jnp.argmax(outputs, axis=-1).astype(truth.dtype) == truth
            return trained, others, slots, loss_sum + loss, right_sum + jnp.mean(right.astype(jnp.float32)), peaks

        one = jax.jit(step, donate_argnums=0)

        @functools.partial(jax.jit, donate_argnums=0)
        def many(carried, images, order, labels, weights, first, last):
            return lax.fori_loop(first, last, lambda index, carried: step(carried, images, order, labels, weights, index), carried)

        def one_by_one(carried, images, order, labels, weights, first, last):
            for index in range(first, last):
                carried = one(carried, images, order, labels, weights, index)
            return carried

        @jax.jit
        def predict(trained, others, rows):
            x = run.batch_of(rows, jnp.zeros([len(rows)], jnp.int32))[0]
            return model.stateless_call(trained, others, x, training=False)[0]

        self._advance = one_by_one if jax.default_backend() == "cpu" else many
        self._predict = predict

    def _variables(self):
        """Trained variables, the others (moving averages, random seeds), the optimizer's."""
        model = self._run.model
        return model.trainable_variables, model.non_trainable_variables, self._run.optimizer.variables

    def start(self, order, labels, weights=None):
        """Begin anew with these rows in this order, these labels (N,) and weights (N,)."""
        self._order, self._labels = jnp.asarray(order), jnp.asarray(labels)
        self._weights = None if weights is None else jnp.asarray(weights)

    def advance(self, first, count):
        """Mean loss and accuracy over steps `first` to `first + count`, and each variable's largest gradient norm among them."""
        variables = self._variables()
        state = ([variable.value for variable in part] for part in variables)
        sums = jnp.float32(0.0), jnp.float32(0.0), jnp.zeros([max(len(variables[0]), 1)], jnp.float32)
        *state, loss, right, peaks = self._advance(
            (*state, *sums), self._images, self._order, self._labels, self._weights, first, first + count
        )
        for part, values in zip(variables, state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(value)
        return float(loss) / max(count, 1), float(right) / max(count, 1), np.asarray(peaks)[: len(variables[0])]

    def predict(self, rows):
        """Outputs (n, 10) for stored rows."""
        trained, others, _ = ([variable.value for variable in part] for part in self._variables())
        return np.asarray(self._predict(trained, others, rows))
