"""Training that is never done twice: a calibration's runs take hours, are broken off, and many of them are the same (the cure of most defects is the reference)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from grader.decode import to_record
from grader.errors import FrameError
from grader.records import Checkpoint
from grader.training.course import Trainer
from grader.training.specification import Specification

_CODE = tuple(sorted((Path(__file__).parent / "inside").glob("*.py")))


class Resumed:
    """A `Trainer` that answers from `folder` what was measured before, and lets `box` train the rest.

    One file a run, one line a checkpoint; several processes may write at once. Where a run goes on beyond what is kept, its earlier pieces are trained again first, as
    weights are not kept: the same seed gives the same run (tests/training/test_backends.py). `setting`: what else makes a run another one.
    `seconds`: what the training of all that was answered took, now or then.
    """

    def __init__(self, box: Trainer, folder: Path, setting: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in _CODE)).hexdigest()
        self._box, self._folder, self._setting = box, folder, {**setting, "code": digest}
        self.seconds = 0.0

    def open(self, specification: Specification, *, seed: int, precision: str, most_steps: int, deadline: float | None = None) -> None:
        """Begin a run. Raises what `box` raises."""
        name = specification.key(**{**self._setting, "seed": seed, "precision": precision, "most_steps": most_steps})
        self._file = self._folder / f"{name}.jsonl"
        self._kept = _lines(self._file)
        self._asked: list[tuple[int, int, bool]] = []
        self._begin = partial(self._box.open, specification, seed=seed, precision=precision, most_steps=most_steps)
        self._training = not self._kept
        if self._training:
            self._begin(deadline=deadline)

    def advance(self, steps: int, *, evaluate: int = 0, probe: bool = False, deadline: float | None = None) -> Checkpoint:
        """The next checkpoint. Raises what `box` raises."""
        at, asked = len(self._asked), (steps, evaluate, probe)
        kept = self._kept[at] if at < len(self._kept) else None
        if kept is not None and kept[0] == asked and not self._training:
            point = kept[1]
        else:
            if not self._training:
                self._begin(deadline=deadline)
                for earlier in self._asked:
                    self._advance(earlier, deadline)
                self._training = True
            point = self._advance(asked, deadline)
            if kept is None:
                line = json.dumps({"at": at, "asked": asked, "checkpoint": asdict(point)})
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
        self._asked.append(asked)
        self.seconds += point.seconds
        return point

    def _advance(self, asked: tuple[int, int, bool], deadline: float | None) -> Checkpoint:
        steps, evaluate, probe = asked
        return self._box.advance(steps, evaluate=evaluate, probe=probe, deadline=deadline)


def _lines(file: Path) -> list[tuple[tuple[int, int, bool], Checkpoint]]:
    """What a file keeps of its run, without lines that cannot be read: a process may have ended while it wrote."""
    found: list[tuple[tuple[int, int, bool], Checkpoint]] = []
    if not file.is_file():
        return found
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            body = json.loads(line)
            steps, evaluate, probe = body["asked"]
            point = to_record(Checkpoint, body["checkpoint"])
        except (ValueError, KeyError, TypeError, FrameError):
            continue
        if body["at"] == len(found):  # another process may have written the same one
            found.append(((steps, evaluate, probe), point))
    return found
