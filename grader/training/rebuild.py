"""Box 2 from the host's side: started early (its imports overlap box 1's run), asked for rebuilt models when the claims are in."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from grader.decode import to_record
from grader.errors import FrameError, InfrastructureError, RebuildRefused
from grader.records import Graph, ModelClaim
from grader.sandbox import Job, Limits, Sandbox
from grader.training.canonical import canonical

PROGRAM = Path(__file__).resolve().parent / "inside"
CAPS = {"parameters": 500_000_000, "activation": 500_000_000, "nodes": 2000}
"""Largest model that is rebuilt: parameters, values of one activation per image, layer applications."""

PATIENCE_S = 60.0
"""Seconds that one rebuilding may take: All-CNN-C 65 ms, MobileNetV2 540 ms, 150 sequential layers about 5 s (measured)."""


class Box2:
    """A warm box 2. Use as a context manager."""

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        """Start the box; returns at once, its imports go on in the background."""
        job = Job(program=PROGRAM, module="box2", spec={"caps": CAPS})
        self._running = sandbox.start(job, limits)
        self._ready = False
        self._asked = 0
        self._known: dict[str, Graph | str] = {}

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

    def rebuild(self, claim: ModelClaim, deadline: float | None = None) -> tuple[Graph | None, str | None]:
        """The rebuilt model, or None and a sentence why not. `deadline`: a `time.monotonic()` value.

        Raises InfrastructureError where box 2 itself does not start or dies.
        """
        if claim.unbuildable:
            return None, claim.unbuildable
        try:
            config = canonical(claim.config)
        except RebuildRefused as refusal:
            return None, str(refusal)
        key = json.dumps([config, claim.input_shape], sort_keys=True)
        if key not in self._known:
            self._known[key] = self._ask(config, claim, deadline)
        answer = self._known[key]
        return (answer, None) if isinstance(answer, Graph) else (None, answer)

    def _ask(self, config: dict[str, Any], claim: ModelClaim, deadline: float | None) -> Graph | str:
        self._asked += 1
        request = {"id": self._asked, "ask": "rebuild", "config": config, "input_shape": claim.input_shape}
        self._running.send(json.dumps(request).encode() + b"\n")
        until = time.monotonic() + PATIENCE_S
        while (frames := self._running.read()) is not None:
            for kind, body in frames:
                if kind == "ready":
                    self._ready, until = True, time.monotonic() + PATIENCE_S
                elif kind == "graph" and isinstance(body, dict) and body.get("id") == self._asked:
                    return _graph(body)
            now = time.monotonic()
            if deadline is not None and now > deadline:
                return "time for grading was up before it could be rebuilt"
            if now > until and self._ready:
                self._running.stop("timeout", "Box 2 took too long to rebuild a model.")
                return f"rebuilding it took longer than {PATIENCE_S:g} s"
        said = bytes(self._running.output[-400:]).decode("utf-8", "replace").strip()
        detail = self._running.ending.detail if self._running.ending else ""
        raise InfrastructureError(
            f"Box 2 ended before it answered. {detail} Its last words: {said[-300:] or '(none)'}. Run `grade doctor`."
        )


def _graph(body: dict[str, Any]) -> Graph | str:
    if body.get("graph") is None:
        return str(body.get("refusal") or "it could not be rebuilt")
    try:
        return to_record(Graph, body["graph"])
    except FrameError as error:
        raise InfrastructureError(f"Box 2 answered with something unreadable: {error}") from None
