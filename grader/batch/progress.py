"""How a run looks while it goes on: a live display on a terminal, plain lines elsewhere, one JSON object a line for machines."""

import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn
from rich.progress import Progress as Display
from rich.progress import Task as DisplayTask
from rich.text import Text

from grader import display
from grader.batch.supervisor import Progress
from grader.batch.worker import Answer
from grader.display import duration
from grader.reports.text import plain_lines
from grader.words import last_line

_TICK_S = 5.0


def _counts(progress: Progress) -> str:
    parts = [f"{count} {status.replace('_', ' ')}" for status, count in sorted(progress.statuses.items())]
    now = [f"{progress.running} running", *[f"{progress.training} training"] * bool(progress.training)]
    return ", ".join([*parts, *now, *[f"{progress.suspects} to try again"] * bool(progress.suspects)])


class _State(ProgressColumn):
    """Counts by ending, trainings made and saved, time left."""

    def __init__(self, state: Progress) -> None:
        super().__init__()
        self._state = state

    def render(self, task: DisplayTask) -> Text:
        """One line beside the bar."""
        del task
        state = self._state
        saved = f" · {state.trained} trained, {state.reused} from the cache" if state.trained or state.reused else ""
        return Text(f"{_counts(state)}{saved} · {duration(state.left_s)} left")


class Live:
    """For a terminal: a bar that stays in place; what a person should know scrolls by above it."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._progress = progress
        columns = (TextColumn("grading"), BarColumn(bar_width=24), MofNCompleteColumn(), _State(progress))
        self._display = Display(*columns, console=console, transient=False)
        self._bar = self._display.add_task("grading", total=progress.total, completed=progress.already)
        self._display.start()

    def recorded(self, students: Sequence[str], answer: Answer, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        if answer.graded.status not in ("graded", "needs_review"):
            self.tell(_line(students, answer))
        self._display.update(self._bar, completed=progress.already + progress.done)

    def tick(self, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        self._display.update(self._bar, completed=progress.already + progress.done)

    def tell(self, sentence: str) -> None:
        """See `supervisor.Watcher`."""
        self._display.console.print(plain_lines(sentence), markup=False, highlight=False)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._display.stop()


class Lines(display.InLines):
    """For a log: a line a result, and now and then how far it is."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        super().__init__(stream)
        self._quiet = quiet
        self._next = time.monotonic() + _TICK_S

    def recorded(self, students: Sequence[str], answer: Answer, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        if not self._quiet:
            self.tell(f"[{progress.already + progress.done}/{progress.total}] {_line(students, answer)}")

    def tick(self, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        if time.monotonic() >= self._next and not self._quiet:
            self._next = time.monotonic() + 12 * _TICK_S
            self.tell(f"{progress.already + progress.done} of {progress.total}: {_counts(progress)}; {duration(progress.left_s)} left")


class JsonLines(display.JsonLines):
    """For machines: `{"event": "recorded" | "progress" | "note", …}`, one a line; pseudonyms only."""

    _next = 0.0

    def recorded(self, students: Sequence[str], answer: Answer, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        graded = answer.graded
        self.write(
            "recorded",
            students=list(students),
            status=graded.status,
            score=answer.score,
            max_score=answer.max_score,
            seconds=round(graded.seconds, 3),
            trained=graded.trained,
            reused=graded.reused,
            worker=graded.worker,
        )
        self._progress(progress)

    def tick(self, progress: Progress) -> None:
        """See `supervisor.Watcher`."""
        if time.monotonic() >= self._next:
            self._progress(progress)

    def tell(self, sentence: str) -> None:
        """See `supervisor.Watcher`."""
        self.write("note", text=plain_lines(sentence))

    def _progress(self, progress: Progress) -> None:
        self._next = time.monotonic() + _TICK_S
        left = progress.left_s
        self.write(
            "progress",
            total=progress.total,
            done=progress.already + progress.done,
            running=progress.running,
            training=progress.training,
            statuses=dict(progress.statuses),
            trained=progress.trained,
            reused=progress.reused,
            left_s=None if left is None else round(left, 1),
        )


Watching = Live | Lines | JsonLines


def watcher(console: Console, progress: Progress, *, json_lines: bool, quiet: bool) -> Watching:
    """The display that fits: JSON where asked for, a bar on a terminal, lines elsewhere."""
    if json_lines:
        return JsonLines(sys.stdout)
    if console.is_terminal and not quiet:
        return Live(console, progress)
    return Lines(sys.stdout, quiet=quiet)


def _line(students: Sequence[str], answer: Answer) -> str:
    more = f" and {len(students) - 1} with equal work" if len(students) > 1 else ""
    score = f"{answer.score:g} of {answer.max_score:g}" if answer.score is not None else "no score"
    graded = answer.graded
    trained = f", {graded.trained} trained" if graded.trained else ""
    why = f": {last_line(graded.staff)}" if graded.staff.strip() else ""
    return f"{students[0]}{more}: {graded.status.replace('_', ' ')}, {score} ({graded.seconds:.1f} s{trained}){why}"
