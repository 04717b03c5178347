"""Grading one content after another with warm boxes: what a thread of this machine and an actor of a cluster both do."""

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from grader import dataset, pipeline, reports, sandbox
from grader.batch.records import Graded
from grader.closing import Closing
from grader.display import result
from grader.errors import InfrastructureError
from grader.records import RunStatus, Submission
from grader.reports import as_notebook
from grader.sandbox import Job
from grader.sandbox.notebook_run import PROGRAM
from grader.sandbox.warm import WarmPool
from grader.training.session import check_device

FILE = "submission.ipynb"
"""Every report's file name: what a student called the file may hold a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One content to grade. `refusal`: why its bytes could not be had, where `data` is empty."""

    content: str
    sha256: str
    data: bytes = field(repr=False)
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A `Graded`, and the report in every format that was asked for, file name -> text. `score` is None where there is none."""

    graded: Graded
    files: Mapping[str, str]
    score: float | None = None
    max_score: float = 0.0


class Workshop(Closing):
    """The boxes of one machine: as many warm boxes 1 as asked for, a box 2 that rebuilds, and (where models are trained) one that trains.

    `grade` may be called from several threads. Use as a context manager. `dataset`: name and fingerprint of the images.
    """

    def __init__(self, options: pipeline.Options, *, boxes: int, name: str = "", threads: int | None = None) -> None:
        """Start what takes time to start. `threads`: how many a box 1 computes with, None for all.

        Raises InfrastructureError where no sandbox works or keeps submissions apart, or the device is missing; UsageError for an unknown one.
        """
        self.name = name or f"{os.getpid()}"
        self.options = options
        self._tier = sandbox.choose(options.sandbox)
        if together := sandbox.keeps_together(self._tier):
            raise InfrastructureError(f"--sandbox {self._tier.name}: {together}")
        device = check_device(options.device)
        data = dataset.ensure(options.store or dataset.default_store())
        self.dataset = f"{data.name}:{data.fingerprint[:16]}"
        self._opened = ExitStack()
        job = Job(program=PROGRAM, module="box1", readable=(data.folder,), threads=threads)
        self._pool = self._opened.enter_context(WarmPool(self._tier, job, boxes))
        rebuilder = self._opened.enter_context(pipeline.box2(self._tier, options, data.folder, device, trains=False))
        trainer = rebuilder
        if options.budget != "none":
            trainer = self._opened.enter_context(pipeline.box2(self._tier, options, data.folder, device, trains=True))
        self._pages = self._opened.enter_context(WarmPool(self._tier, Job(program=as_notebook.PROGRAM, module="page"), boxes))
        self._boxes = pipeline.Boxes(box1=self._pool, rebuilder=rebuilder, trainer=trainer, pages=self._pages)
        self._closing = threading.Event()

    @property
    def at_work(self) -> tuple[int, int]:
        """How many notebooks are in a box now, and how many models are in training."""
        return self._pool.taken, int(self._boxes.trainer.training)

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why boxes are started cold, where they are."""
        return tuple(dict.fromkeys((*self._pool.lacks, *self._pages.lacks)))

    def close(self) -> None:
        """End every box. Whoever is in `grade` gets an infrastructure error."""
        self._closing.set()
        self._opened.close()

    def grade(self, item: Item) -> Answer:
        """Grade one content. A student's code, a defect of ours and a lack of this machine all come back as the report's status."""
        if item.refusal:
            outcome = pipeline.unreached(RunStatus.UNGRADABLE, item.refusal, self.options, file=FILE, sha256=item.sha256)
        else:
            submission = Submission(id=f"sub-{item.sha256[:12]}", file=FILE, source="file", sha256=item.sha256, data=item.data)
            outcome = pipeline.execute(submission, self.options, boxes=self._boxes)
        if self._closing.is_set():  # its boxes were taken from under it: whatever it says is not the notebook's doing
            outcome = pipeline.unreached(
                RunStatus.INFRA_ERROR, "Grading was interrupted; run it again.", self.options, file=FILE, sha256=""
            )
        return answer(item, outcome, self.options, self.name)


def answer(item: Item, outcome: pipeline.Outcome, options: pipeline.Options, worker: str) -> Answer:
    """The answer for an item, its report written out in the formats that the options name."""
    report = outcome.report
    files = reports.files(outcome.executed, options.formats)
    told = result(report)
    score = told.pop("score")
    del told["max_score"]
    graded = Graded(content=item.content, report=files["report.json"], phases=report.timings, worker=worker, staff=outcome.staff, **told)
    return Answer(graded=graded, files=files, score=score, max_score=report.max_score)


def failed(item: Item, status: RunStatus, reason: str, staff: str, options: pipeline.Options, worker: str) -> Answer:
    """The answer for an item that no worker could grade, so that nothing is silently missing."""
    outcome = pipeline.unreached(status, reason, options, file=FILE, sha256=item.sha256)
    return answer(item, replace(outcome, staff=staff), options, worker)
