"""Box 2: waits for requests (one JSON line each on standard input) and answers each with one frame `answer` of the same `id`.

`hello` {} -> {}; `rebuild` {config, input_shape} -> {graph, refusal}; `measure` {config, input_shape, recipe} -> the same, with effects; `open` {run} -> {refusal}; `advance` {steps, evaluate, probe} -> {checkpoint, refusal}.
"""

import gc
import json
import os
import sys

from _box.frames import readable  # the box's own writer


def main(writer, spec):
    """Answer requests until standard input ends; never returns."""
    from . import rebuild  # imports Keras: a few seconds, while box 1 runs

    answers = _Answers(spec, rebuild)
    writer.send("ready", answers.about())
    for line in sys.stdin.buffer:
        request = json.loads(line)
        writer.send("answer", {"id": request["id"], **getattr(answers, request["ask"])(request)})
    os._exit(0)


class _Answers:
    """One method for each kind of request. What a model does wrong is a `refusal`, a sentence; what we do wrong ends the box."""

    def __init__(self, spec, rebuild):
        self._spec, self._rebuild = spec, rebuild
        self._pool = self._run = None

    def about(self):
        """Versions and devices, for the report and the cache's key."""
        import numpy

        keras = self._rebuild.keras
        backend = keras.backend.backend()
        if backend == "jax":
            import jax as library

            devices = [str(device) for device in library.devices()] if self._spec.get("data") else []
        else:
            import tensorflow as library

            devices = [device.device_type for device in library.config.list_physical_devices()] if self._spec.get("data") else []
        return {
            "keras": keras.__version__,
            "backend": backend,
            "tensor_library": library.__version__,
            "numpy": numpy.__version__,
            "devices": devices,
        }

    def hello(self, request):
        """Nothing: the answer says that the box is up."""
        return {}

    def measure(self, request):
        from . import effects

        return self.rebuild(request, effects.Measuring(self._spec.get("images"), request["recipe"], request["input_shape"]))

    def rebuild(self, request, measure=None):
        try:
            return {"graph": self._rebuild.graph(request["config"], request["input_shape"], self._spec["caps"], measure), "refusal": None}
        except self._rebuild.TooLarge as error:
            return {"graph": None, "refusal": str(error)}
        except Exception as error:
            return {"graph": None, "refusal": f"Keras cannot build it: {type(error).__name__}: {readable(error, 300)}"}

    def open(self, request):
        from . import pool, trainer

        if self._pool is None:
            self._pool = pool.Pool(self._spec["data"], *self._spec["rows"])
        asked = request["run"]
        same = self._run is not None and {**self._run.ask, "seed": None} == {**asked, "seed": None}
        try:
            if same:
                self._run.restart(asked["seed"])
                return {"refusal": None}
            self._run = None
            gc.collect()  # a compiled loop and its model hold each other: a class's worth of them would fill the memory
            self._run = trainer.Run(self._pool, request["run"], self._spec["caps"])
        except (trainer.Refused, self._rebuild.TooLarge) as error:
            return {"refusal": str(error)}
        except Exception as error:
            return {"refusal": f"Keras cannot build and compile it: {type(error).__name__}: {readable(error, 300)}"}
        return {"refusal": None}

    def advance(self, request):
        try:
            found = self._run.advance(request["steps"])
            found["held"] = self._run.evaluate(request["evaluate"]) if request["evaluate"] else None
            found["silent"] = self._run.probe() if request["probe"] else None
            found["feeding"] = self._run.feeding() if request["probe"] else []
            found["settled"] = self._run.settled(found["silent"]) if request["probe"] else []
        except Exception as error:
            return {"checkpoint": None, "refusal": f"training it fails: {type(error).__name__}: {readable(error, 300)}"}
        return {"checkpoint": found, "refusal": None}
