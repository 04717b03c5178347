"""Who does the grading: an engine takes items and gives back answers, in whatever order they are ready."""

import os
import queue
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from grader import pipeline
from grader.batch.worker import Answer, Item, Workshop, failed
from grader.closing import Closing
from grader.errors import GraderError
from grader.records import RunStatus

_BESIDE_TRAINING = 2
"""Items that may wait for a training while the boxes 1 go on with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An item that left the engine: with an answer, or `lost` (one sentence why: its worker died, or could not grade at all)."""

    item: Item
    answer: Answer | None = None
    lost: str = ""
    worker: str = ""


class Engine(Protocol):
    """Grades items. Life cycle: `submit` and `done` in turn, then `close`. Used by one thread."""

    @property
    def slots(self) -> int:
        """How many items it works on at a time."""
        ...

    @property
    def at_work(self) -> tuple[int, int]:
        """How many notebooks are in a box now, and how many models are in training."""
        ...

    @property
    def dataset(self) -> str:
        """Name and fingerprint of the images that it grades on."""
        ...

    @property
    def lacks(self) -> Sequence[str]:
        """What is slower than it could be, and why: sentences for the person who runs it."""
        ...

    def submit(self, item: Item, *, avoid: str = "") -> None:
        """Take an item; `avoid` names a worker that lost it before, where another one can be had."""
        ...

    def done(self, wait_s: float) -> Sequence[Done]:
        """What became ready, after waiting at most `wait_s` for the first. Raises InfrastructureError where nothing can be graded any more."""
        ...

    def close(self) -> None:
        """End everything; what was not done is not done. Safe to call twice."""
        ...


class Local(Closing):
    """This machine: threads that share one `Workshop`."""

    def __init__(self, options: pipeline.Options, *, jobs: int) -> None:
        """`jobs` boxes 1 at a time. Raises InfrastructureError, UsageError as `Workshop`."""
        # two boxes of two threads each on two processors take a tenth more processor time than of one (measured, DECISIONS.md)
        share = max(default_jobs() // jobs, 1)
        self._workshop = Workshop(options, boxes=jobs, name="local", threads=share)
        self.slots = jobs + (_BESIDE_TRAINING if options.budget != "none" else 0)
        self.dataset = self._workshop.dataset
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"grade-{number}", daemon=True) for number in range(self.slots)]
        for thread in self._threads:
            thread.start()

    @property
    def at_work(self) -> tuple[int, int]:
        """See `Engine`."""
        return self._workshop.at_work

    @property
    def lacks(self) -> Sequence[str]:
        """See `Engine`."""
        return self._workshop.lacks

    def submit(self, item: Item, *, avoid: str = "") -> None:
        """See `Engine`; there is one worker only."""
        del avoid
        self._items.put(item)

    def done(self, wait_s: float) -> Sequence[Done]:
        """See `Engine`."""
        found = []
        try:
            found.append(self._done.get(timeout=wait_s))
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            return found

    def close(self) -> None:
        """End the boxes, then the threads."""
        for _ in self._threads:
            self._items.put(None)
        self._workshop.close()

    def _work(self) -> None:
        while (item := self._items.get()) is not None:
            self._done.put(attempt(self._workshop, item))


def attempt(workshop: Workshop, item: Item) -> Done:
    """The answer; where not even that can be had, why (never an exception: one item must not end a class)."""
    try:
        return Done(item=item, answer=workshop.grade(item), worker=workshop.name)
    except (GraderError, OSError, MemoryError) as error:
        return Done(item=item, lost=f"{type(error).__name__}: {error}", worker=workshop.name)
    except Exception as error:  # noqa: BLE001 (a defect of ours beside the pipeline, which has its own net)
        reason = f"A defect in the grader ({type(error).__name__}) stopped it; this submission needs manual review."
        staff = traceback.format_exc()
        return Done(
            item=item, answer=failed(item, RunStatus.GRADER_ERROR, reason, staff, workshop.options, workshop.name), worker=workshop.name
        )


def default_jobs() -> int:
    """As many boxes as this process has processors."""
    return len(os.sched_getaffinity(0))
