"""Feeding an engine with what is still to be graded, and recording what comes back: each content once, whatever dies on the way.

The gradebook is the only memory. A result is recorded the moment it comes, in one transaction; what is not recorded is graded again by the next run of the
same command. An item whose worker died, or whose machine failed it, is kept for the end and tried alone, so that it can take nobody along; if that fails, too, it is
recorded as the infrastructure's failure, which the next run tries again.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import fmean
from typing import Protocol

from grader import pipeline
from grader.batch.engine import Done, Engine
from grader.batch.records import Graded
from grader.batch.shelf import Shelf
from grader.batch.worker import Answer, Item, failed
from grader.records import RunStatus
from grader.words import last_line

_WAIT_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One content that is to be graded, and the students (pseudonyms) whose it is.

    `load` reads its bytes when its turn comes; what it gives instead, where they are not there any more, is why. `counts_for`: the students whose
    attempt that counts it is (None: all of them).
    """

    content: str
    students: tuple[str, ...]
    load: Callable[[], Item | str]
    counts_for: tuple[str, ...] | None = None


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run is; updated in place. Contents are counted, not students.

    `running`: notebooks that are in a box now, `training`: models. `took`: seconds of each result of this run from beginning to end, `began`: when
    each content that is at work now was begun.
    """

    total: int
    already: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    running: int = 0
    training: int = 0
    trained: int = 0
    reused: int = 0
    suspects: int = 0
    took: list[float] = field(default_factory=list)
    began: dict[str, float] = field(default_factory=dict)
    slots: int = 1

    @property
    def done(self) -> int:
        """Contents recorded in this run."""
        return sum(self.statuses.values())

    @property
    def left_s(self) -> float | None:
        """Seconds that are left, from what the results so far took: all the work shared by the slots, and no less than the longest at work now needs."""
        if not self.took:
            return None
        now = time.monotonic()
        at_work = [self._rest(now - began) for began in self.began.values()]
        waiting = max(self.total - self.already - self.done - len(at_work), 0)
        return max([(sum(at_work) + waiting * fmean(self.took)) / max(self.slots, 1), *at_work])

    def _rest(self, so_far: float) -> float:
        """What a content still needs that took `so_far` seconds: as those that took longer did; where none did, as long again."""
        longer = [took - so_far for took in self.took if took > so_far]
        return fmean(longer) if longer else so_far


class Watcher(Protocol):
    """Somebody who is told how it goes."""

    def recorded(self, students: Sequence[str], answer: Answer, progress: Progress) -> None:
        """A result was recorded, of the work of these students."""
        ...

    def tick(self, progress: Progress) -> None:
        """A moment went by."""
        ...

    def tell(self, sentence: str) -> None:
        """Something that a person should know."""
        ...


@dataclass(slots=True)
class Supervisor:
    """Feeds `engine`, and gives every result to `keep` (False: somebody else had kept one for this content) and, as files, to the `shelf`.

    Below: what is with the engine, what has to be tried alone, and what is tried for the last time.
    """

    engine: Engine
    keep: Callable[[Graded], bool]
    watcher: Watcher
    progress: Progress
    options: pipeline.Options
    shelf: Shelf | None = None
    _sent: dict[str, Work] = field(default_factory=dict)
    _suspects: list[tuple[Work, Done]] = field(default_factory=list)
    _last: set[str] = field(default_factory=set)

    def grade(self, works: Iterable[Work]) -> None:
        """Grade `works`. Raises InfrastructureError where the engine cannot go on; what is recorded by then stays recorded."""
        queue = deque(works)
        while queue or self._sent:
            while queue and len(self._sent) < self.engine.slots + 1:  # one more, so that no slot waits for this loop
                self._send(queue.popleft())
            self._take()
        for work, done in self._suspects:
            self._send(work, avoid=done.worker, last=True)
            while self._sent:
                self._take()

    def _send(self, work: Work, *, avoid: str = "", last: bool = False) -> None:
        item = work.load()
        if isinstance(item, str):
            self.progress.total -= 1
            self.watcher.tell(f"{_named(work)}: {item}")
            return
        self._sent[work.content] = work
        if last:
            self._last.add(work.content)
        self.engine.submit(item, avoid=avoid)
        self._look()

    def _look(self) -> None:
        """What is at work: as many as the engine has slots, in the order in which they were sent."""
        progress = self.progress
        progress.slots = self.engine.slots
        progress.running, progress.training = self.engine.at_work
        for content in islice(self._sent, progress.slots):
            progress.began.setdefault(content, time.monotonic())

    def _take(self) -> None:
        for done in self.engine.done(_WAIT_S):
            work = self._sent.pop(done.item.content)
            took = time.monotonic() - self.progress.began.pop(work.content, time.monotonic())
            failed_here = done.answer is None or done.answer.graded.status == RunStatus.INFRA_ERROR.value
            if failed_here and work.content not in self._last:
                self._suspects.append((work, done))
                self.progress.suspects += 1
                self.watcher.tell(f"{_named(work)}: {_reason(done)} It is tried again, alone, at the end.")
            else:
                self._record(work, done, took)
        self._look()
        self.watcher.tick(self.progress)

    def _record(self, work: Work, done: Done, took: float) -> None:
        reason = "The machine failed twice while grading this; it never counts against a student. Run the same command again."
        answer = done.answer or failed(done.item, RunStatus.INFRA_ERROR, reason, done.lost, self.options, done.worker)
        if self.shelf is not None:  # first: what is recorded is not graded again, so its report has to be there
            self.shelf.put(work.students if work.counts_for is None else work.counts_for, work.content, answer.files)
        self.keep(answer.graded)
        progress, graded = self.progress, answer.graded
        progress.statuses[graded.status] += 1
        progress.trained += graded.trained
        progress.reused += graded.reused
        progress.took.append(took)
        self.watcher.recorded(work.students, answer, progress)


def _named(work: Work) -> str:
    more = len(work.students) - 1
    return work.students[0] + (f" and {more} with equal work" if more else "")


def _reason(done: Done) -> str:
    if done.answer is None:
        return f"its worker was lost ({last_line(done.lost, 'no output')})."
    return last_line(done.answer.graded.staff, "the machine failed it.")
