"""The initial weights that a seed stands for: on JAX the ones that TensorFlow draws from it.

Each library draws numbers of its own from a seed, and whether a fragile model lives hangs on its initial weights: the same notebook would pass on one
backend and not on the other. The order of the images is the same on both anyway (`pool`). Draws within training (Dropout, image layers)
stay each library's own.
"""

import contextlib

from . import rebuild

keras = rebuild.keras


@contextlib.contextmanager
def as_on_tensorflow():
    """While it holds, Keras' initialisers draw what they draw on TensorFlow. TensorFlow is imported for it, about 3 s once, and never sees a GPU."""
    if keras.backend.backend() == "tensorflow":
        yield
        return
    tensorflow = rebuild.tensorflow()
    numbers = keras.src.backend.random
    own = {name: getattr(numbers, name) for name in ("uniform", "normal", "truncated_normal")}

    def drawn(name):
        draw = getattr(tensorflow.random, f"stateless_{name}")

        def draws(shape, *args, dtype=None, seed=None, **kwargs):
            if not isinstance(seed, int):  # not an initialiser's: a layer's generator, which has a state
                return own[name](shape, *args, dtype=dtype, seed=seed, **kwargs)
            dtype = dtype or keras.config.floatx()
            return keras.ops.convert_to_tensor(draw(shape, (seed % (2**31 - 2), 0), *args, dtype=dtype, **kwargs).numpy(), dtype)

        return draws

    for name in own:
        setattr(numbers, name, drawn(name))
    try:
        yield
    finally:
        for name, draw in own.items():
            setattr(numbers, name, draw)
