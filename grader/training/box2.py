"""Box 2 from the host's side: started early (its imports overlap box 1's run), asked for rebuilt models and training runs.

One request at a time, whichever thread asks; every answer is one frame. What is asked and answered is ours on both sides, but the models inside are the
students', so box 2 has limits of its own, and what it answers is decoded as strictly as a claim.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grader.decode import to_record
from grader.errors import FrameError, InfrastructureError, RebuildRefused
from grader.records import Checkpoint, DataClaim, Graph, ModelClaim
from grader.sandbox import Job, Limits, Sandbox
from grader.training.canonical import canonical
from grader.training.specification import Specification, recipe_of, without_names
from grader.words import cut, last_line

PROGRAM = Path(__file__).resolve().parent / "inside"
CAPS = {"parameters": 500_000_000, "activation": 500_000_000, "nodes": 2000, "memory_mib": 4096}
"""Largest model that is rebuilt: parameters, values of one activation per image, layer applications; and memory of one training step, MiB."""

PATIENCE_S = 60.0
"""Seconds that one rebuilding may take: All-CNN-C 65 ms, MobileNetV2 540 ms, 150 sequential layers about 5 s (measured)."""

TOGETHER_S = 180.0
"""Seconds that all models of one notebook may take to be rebuilt, the box's start among them; a class shares the box. Three to twenty models are usual."""

MOST_KNOWN = 500
"""Rebuilt models that are remembered, the latest; one of fifteen layers takes 16 KiB of the host's memory (measured)."""

OPEN_PATIENCE_S = 180.0
"""Seconds that building a model to train may take; the first on JAX compiles its initialisers: 4 s of processor time, 44 s on the clock once, two cores among six jobs."""

STEP_PATIENCE_S = 600.0
"""Seconds that one piece of a training run may take; the budget's own pieces take 5 to 30 s on two cores."""

TRAIN_ROWS, HELD_ROWS = 50_000, 10_000
"""Images in box 2's pool: all of both sets (176 MiB). Short runs are measured on the first 1,000 or 2,000 held-back ones."""


class TrainingRefused(RebuildRefused):
    """The model cannot be trained in box 2; the message is a sentence for the report."""


class BoxDied(TrainingRefused):
    """A box that was up ended in the middle of a request."""


class OutOfTime(Exception):
    """The deadline came before box 2 answered."""


class Box2:
    """A warm box 2. Use as a context manager."""

    def __init__(
        self,
        sandbox: Sandbox,
        limits: Limits,
        *,
        data: Path | None = None,
        images: Path | None = None,
        backend: str = "tensorflow",
        device: str = "cpu",
    ) -> None:
        """Start the box; returns at once, its imports go on in the background. `data`: the folder of the images to train on, `images`: of those to measure on, if any."""
        images = images or data
        spec = {"caps": CAPS, "data": data and str(data), "images": images and str(images), "rows": [TRAIN_ROWS, HELD_ROWS]}
        self._job = Job(
            program=PROGRAM, module="box2", spec=spec, readable=() if images is None else (images,), backend=backend, device=device
        )
        if data is not None:  # hours of training for a class; every piece has its own patience
            limits = replace(limits, wall_s=24 * 3600.0, cpu_s=200 * 3600)
        self._sandbox, self._limits = sandbox, replace(limits, frames_mib=24 * limits.frames_mib)  # it answers for a whole class
        self._known: dict[str, Graph | str] = {}
        self._versions: Mapping[str, str] = {}
        self._turn = threading.RLock()
        self.training = False
        self._mine = threading.local()  # what this thread's requests took, waiting for others' aside
        self._start()

    def _start(self) -> None:
        self._running = self._sandbox.start(self._job, self._limits)
        self._ready = False
        self._asked = 0
        self.about: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the box. Safe to call twice."""
        self._running.close()

    @property
    def peak_mib(self) -> float:
        """Largest resident size seen, MiB."""
        return self._running.peak_mib

    def versions(self, deadline: float | None = None) -> Mapping[str, str]:
        """Which software computes in the box; waits until it is up. Raises OutOfTime, InfrastructureError."""
        if not self._versions:
            self._ask({"ask": "hello"}, PATIENCE_S, deadline)
            self._versions = {key: str(self.about.get(key, "")) for key in ("keras", "backend", "tensor_library", "numpy")}
        return self._versions

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other threads' requests waiting: one training run is several requests, and the box holds one at a time."""
        with self._turn:
            self.training = True
            try:
                yield
            finally:
                self.training = False

    # ------------------------------------------------------------------ rebuilding

    def rebuild_all(
        self, claims: Iterable[ModelClaim], deadline: float | None = None, *, together_s: float = TOGETHER_S
    ) -> dict[tuple[int, int], tuple[Graph | None, str | None]]:
        """(serial, version) -> as `rebuild` has it. What is left when the models took `together_s` (waiting for other threads aside) is not rebuilt.

        Raises InfrastructureError as `rebuild`.
        """
        found: dict[tuple[int, int], tuple[Graph | None, str | None]] = {}
        self._mine.spent_s = 0.0
        for claim in claims:
            if self._mine.spent_s > together_s:
                reason = f"the notebook builds so many or so large models that {len(found)} of them took {together_s:g} s to rebuild"
                found[claim.serial, claim.version] = None, reason
                continue
            found[claim.serial, claim.version] = self.rebuild(claim, deadline)
        return found

    def rebuild(self, claim: ModelClaim, deadline: float | None = None) -> tuple[Graph | None, str | None]:
        """The rebuilt model, or None and a sentence why not. `deadline`: a `time.monotonic()` value.

        Raises InfrastructureError where box 2 itself does not start.
        """
        if claim.unbuildable:
            return None, claim.unbuildable
        try:
            config = canonical(claim.config)
        except RebuildRefused as refusal:
            return None, str(refusal)
        try:
            answer = self._kept({"ask": "rebuild", "config": config, "input_shape": claim.input_shape}, config, deadline)
        except OutOfTime:
            return None, "time for grading was up before it could be rebuilt"
        except TrainingRefused as refusal:
            return None, str(refusal)
        return (answer, None) if isinstance(answer, Graph) else (None, answer)

    def measure(self, claim: ModelClaim, graph: Graph, data: DataClaim | None, deadline: float | None = None) -> Graph:
        """`graph`, which is what `claim` was rebuilt to, with what its steps do to images that are made as `data` was; as it is where that cannot be measured.

        Raises InfrastructureError as `rebuild`.
        """
        shape = graph.input_shape or claim.input_shape
        if shape is not None and data is not None:
            shape = tuple(size if size is not None else known for size, known in zip(shape, data.shape or shape, strict=False))
        try:
            config = canonical(claim.config)
            request = {"ask": "measure", "config": config, "input_shape": shape, "recipe": _recipe(data)}
            measured = self._kept(request, without_names(config, {}), deadline)
        except (OutOfTime, RebuildRefused):
            return graph
        if not isinstance(measured, Graph) or len(measured.nodes) != len(graph.nodes):
            return graph
        nodes = tuple(replace(node, effect=other.effect) for node, other in zip(graph.nodes, measured.nodes, strict=True))
        return replace(graph, nodes=nodes, reaching=measured.reaching)

    def _kept(self, request: dict[str, Any], content: dict[str, Any], deadline: float | None) -> Graph | str:
        """What box 2 answers to a request, or has answered to one with the same `content` in place of its configuration."""
        key = hashlib.sha256(json.dumps({**request, "config": content}, sort_keys=True).encode()).hexdigest()
        answer = self._known.get(key)
        if answer is None:
            answer = self._rebuilt(request, deadline)
            while len(self._known) >= MOST_KNOWN:
                self._known.pop(next(iter(self._known)), None)
            self._known[key] = answer
        return answer

    def _rebuilt(self, request: dict[str, Any], deadline: float | None) -> Graph | str:
        """What box 2 answers. It is asked again, in a new box, where the first one died: that may have been chance, or somebody's kill -9."""
        try:
            return _graph(self._ask(request, PATIENCE_S, deadline))
        except BoxDied:
            return _graph(self._ask(request, PATIENCE_S, deadline))

    # ------------------------------------------------------------------ training

    def open(self, specification: Specification, *, seed: int, precision: str, most_steps: int, deadline: float | None = None) -> None:
        """Build and compile a model and make it the current training run; an earlier one is dropped.

        Raises TrainingRefused (too large, or Keras refuses the parts), OutOfTime, InfrastructureError.
        """
        request = {"ask": "open", "run": {**specification.as_request(), "seed": seed, "precision": precision, "most_steps": most_steps}}
        body = self._ask(request, OPEN_PATIENCE_S, deadline)
        if body.get("refusal"):
            raise TrainingRefused(cut(str(body["refusal"]), 500))

    def advance(self, steps: int, *, evaluate: int = 0, probe: bool = False, deadline: float | None = None) -> Checkpoint:
        """Train the current run `steps` batches further; measure it on `evaluate` held-back images, look for silent units if `probe`.

        Raises TrainingRefused (the student's model fails while it trains, or takes too long), OutOfTime, InfrastructureError.
        """
        body = self._ask({"ask": "advance", "steps": steps, "evaluate": evaluate, "probe": probe}, STEP_PATIENCE_S, deadline)
        if body.get("refusal"):
            raise TrainingRefused(cut(str(body["refusal"]), 500))
        try:
            return to_record(Checkpoint, body["checkpoint"])
        except FrameError as error:
            raise InfrastructureError(f"Box 2 answered with something unreadable: {error}") from None

    # ------------------------------------------------------------------ the conversation

    def _ask(self, request: dict[str, Any], patience_s: float, deadline: float | None) -> dict[str, Any]:
        """One request and its answer. A box that ended is started anew for the next request.

        Raises TrainingRefused where the box was up and the request took too long or too much memory, BoxDied where it ended in the middle of
        it (a crash in a library, a kill from outside), InfrastructureError where it did not come up twice, OutOfTime.
        """
        with self._turn:
            began = time.monotonic()
            try:
                return self._asked_alone(request, patience_s, deadline)
            finally:
                self._mine.spent_s = getattr(self._mine, "spent_s", 0.0) + time.monotonic() - began

    def _asked_alone(self, request: dict[str, Any], patience_s: float, deadline: float | None) -> dict[str, Any]:
        doing = {"rebuild": "rebuilding", "measure": "measuring"}.get(request["ask"], "training")
        if self._running.ending is not None:
            self._running.close()
            self._start()
        try:
            return self._answer(request, patience_s, deadline, doing)
        except InfrastructureError:
            if self._ready:
                raise
        self._running.close()  # it never came up; once that may be chance
        self._start()
        return self._answer(request, patience_s, deadline, doing)

    def _answer(self, request: dict[str, Any], patience_s: float, deadline: float | None, doing: str) -> dict[str, Any]:
        self._asked += 1
        self._running.send(json.dumps({"id": self._asked, **request}).encode() + b"\n")
        until = time.monotonic() + patience_s
        while (frames := self._running.read()) is not None:
            for kind, body in frames:
                if kind == "ready" and isinstance(body, dict):
                    self._ready, until, self.about = True, time.monotonic() + patience_s, body
                elif kind == "answer" and isinstance(body, dict) and body.get("id") == self._asked:
                    return body
            now = time.monotonic()
            if deadline is not None and now > deadline:
                self._running.stop("deadline", "Time for grading was up.")
                raise OutOfTime
            if now > until and self._ready:
                self._running.stop("timeout", "Box 2 took too long.")
                raise TrainingRefused(f"{doing} it took longer than {patience_s:g} s")
        ending = self._running.ending
        if self._ready and ending is not None and request["ask"] != "hello":
            if ending.name == "memory":
                raise TrainingRefused(f"{doing} it needs more memory than the limit allows")
            raise BoxDied(f"{doing} it ended the process that did it, which was tried twice")
        said = bytes(self._running.output[-400:]).decode("utf-8", "replace").strip()
        raise InfrastructureError(
            f"Box 2 ended before it answered. {ending.detail if ending else ''} Its last output: {last_line(said, '(none)')}. Run `grade doctor`."
        )


def _recipe(data: DataClaim | None) -> dict[str, Any]:
    """How the images to measure on are made: as the notebook's were; where no rule says it, as pixels in the range of its values."""
    if data is None:
        return {"kind": "identity"}
    try:
        return recipe_of(data, [])
    except RebuildRefused:
        low = 0.0 if data.minimum is None else data.minimum
        return {"kind": "affine", "scale": [((255.0 if data.maximum is None else data.maximum) - low) / 255.0], "offset": [low]}


def _graph(body: dict[str, Any]) -> Graph | str:
    if body.get("graph") is None:
        return str(body.get("refusal") or "it could not be rebuilt")
    try:
        return to_record(Graph, body["graph"])
    except FrameError as error:
        raise InfrastructureError(f"Box 2 answered with something unreadable: {error}") from None
