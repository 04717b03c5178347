"""Many training steps as one TensorFlow program: no Python between steps, images on the device once."""

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops

from . import rebuild

keras = rebuild.keras


def forget():
    """Let go of the programs of earlier runs.

    TensorFlow keeps the gradient of every call that has one of its own in a table, for ever, and with it the compiled function around it and all
    that it holds: the pool's 147 MiB and the weights, each time (measured). A class's box would end at its memory limit after some 35 models.
    """
    table = ops.gradient_registry._registry
    for name in [name for name in table if name.startswith("CustomGradient-")]:
        del table[name]


class Loop:
    """The compiled loop of one `trainer.Run`."""

    def __init__(self, run):
        self._run = run
        self._images = tf.constant(run.pool.images)
        model, optimizer, batch = run.model, run.optimizer, run.batch
        variables = model.trainable_variables

        @tf.function(reduce_retracing=True)
        def advance(images, order, labels, weights, first, count):
            loss_sum = tf.constant(0.0)
            right_sum = tf.constant(0.0)
            peaks = tf.zeros([max(len(variables), 1)])
            for step in tf.range(first, first + count):
                rows = tf.gather(order, tf.range(step * batch, (step + 1) * batch))
                truth = tf.gather(labels, rows)
                x, y = run.batch_of(tf.gather(images, rows), truth)
                with tf.GradientTape() as tape:
                    outputs = model(x, training=True)
                    loss = run.loss_of(y, outputs, None if weights is None else tf.gather(weights, rows))
                    whole = loss + tf.add_n(model.losses) if model.losses else loss
                gradients = tape.gradient(whole, [variable.value for variable in variables])
                gradients = [
                    tf.zeros_like(variable.value) if gradient is None else tf.convert_to_tensor(gradient)
                    for gradient, variable in zip(gradients, variables, strict=True)
                ]
                if gradients:
                    optimizer.apply(gradients, variables)
                    peaks = tf.maximum(peaks, tf.stack([tf.norm(gradient) for gradient in gradients]))
                loss_sum += loss
                right = tf.equal(tf.argmax(outputs, axis=-1, output_type=tf.int32), truth)
                right_sum += tf.reduce_mean(tf.cast(right, tf.float32))
            return loss_sum, right_sum, peaks

        @tf.function(reduce_retracing=True)
        def predict(rows):
            return model(run.batch_of(rows, tf.zeros([tf.shape(rows)[0]], tf.int32))[0], training=False)

        self._advance, self._predict = advance, predict

    def start(self, order, labels, weights=None):
        """Begin anew with these rows in this order, these labels (N,) and weights (N,)."""
        self._order, self._labels = tf.constant(order), tf.constant(labels)
        self._weights = None if weights is None else tf.constant(weights)

    def advance(self, first, count):
        """Mean loss and accuracy over steps `first` to `first + count`, and each variable's largest gradient norm among them."""
        loss, right, peaks = self._advance(self._images, self._order, self._labels, self._weights, tf.constant(first), tf.constant(count))
        return float(loss) / max(count, 1), float(right) / max(count, 1), np.asarray(peaks)[: len(self._run.model.trainable_variables)]

    def predict(self, rows):
        """Outputs (n, 10) for stored rows."""
        return np.asarray(self._predict(tf.constant(rows)))
