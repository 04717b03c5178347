"""How a run looks while it goes on: a line that stays in place on a terminal, a line a phase elsewhere, one JSON object a line for machines."""

import json
import sys
import time
import unicodedata
from contextlib import suppress
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from grader.records import Report
from grader.reports.text import clean, plain_lines
from grader.reports.view import ROLES, has_score
from grader.words import counted, one_line

_PHASES = {
    "read": "reading the notebook",
    "data": "preparing the images",
    "run": "starting the sandbox",
    "rebuild": "rebuilding the models",
    "judge": "judging",
    "report": "writing the report",
}
_SAID = ("read", "data", "rebuild", "report")
"""The phases that a log names; cells and trainings have lines of their own."""


def duration(seconds: float | None) -> str:
    """Seconds in words a person reads: 48 s, 12 min, 3 h 20 min; "unknown time" for None."""
    if seconds is None:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


class Pace:
    """The time that is left of the trainings, from the images a second so far; a model takes as many images as those before it, the first all that it may."""

    def __init__(self) -> None:
        self._ends: float | None = None
        self._at = self._seconds = 0.0
        self._run = self._timed = self._done = self._before = 0
        self._to_come = 0

    @property
    def left_s(self) -> float | None:
        """Seconds; None where nothing is trained, or not measured yet."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0.0)

    def take(self, event: str, fields: dict[str, Any]) -> None:
        """Note an event."""
        now = time.monotonic()
        if event in ("phase", "training"):
            self._ends = None
        if event == "training":
            self._before, self._to_come = self._done // max(fields["number"] - 1, 1), fields["of"] - fields["number"]
        elif event == "checkpoint":
            images, most = fields["images"], fields["most"]
            if images > self._run > 0:  # what a run needs to begin is no pace
                self._timed, self._seconds = self._timed + images - self._run, self._seconds + now - self._at
            self._done += max(images - self._run, 0)
            self._run, self._at = images, now
            if self._timed:
                goal = self._before if images < self._before < most else most
                self._ends = now + (max(goal - images, 0) + self._to_come * (self._before or most)) * self._seconds / self._timed


def _model(role: str) -> str:
    return ROLES.get(role, role)


def _even(text: str) -> str:
    """One line for a terminal: what commands it, has no width of its own, or one that terminals disagree on, is left out."""
    letters = unicodedata.normalize("NFC", one_line(clean(text)))
    return "".join(letter for letter in letters if letter.isprintable() and unicodedata.category(letter) not in ("Mn", "Me", "Cf", "Co"))


def _training(fields: dict[str, Any], change: str) -> str:
    reached = f", accuracy {fields['accuracy']:.2f}" if fields["accuracy"] is not None else ""
    seed = f" (seed {fields['seed']})" if fields["seed"] else ""
    changed = f", with a change: {change}" if change else ""
    return f"{_model(fields['role'])}{seed}: {fields['images']:,} of {fields['most']:,} images{reached}{changed}"


def _verdict(fields: dict[str, Any]) -> str:
    reached = f", accuracy {fields['accuracy']:.2f}" if fields["accuracy"] is not None else ""
    images = f" after {counted(fields['images'], 'image')}" if fields["images"] else ""
    how = "known from an earlier run" if fields["cached"] else duration(fields["seconds"])
    return f"{_model(fields['role'])}: {fields['verdict'].replace('_', ' ')}{reached}{images} ({how})"


class OnTerminal:
    """For a terminal: what is done now, and for how long, on one line that is never wrapped and is gone at the end."""

    def __init__(self, console: Console) -> None:
        self._pace, self._text, self._change, self._since = Pace(), "", "", time.monotonic()
        self._console = console
        self._utf = console.encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if self._utf else "line")
        self._live = Live(
            console=console,
            get_renderable=self._rendered,
            refresh_per_second=5,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def __call__(self, event: str, /, **fields: Any) -> None:
        """See `progress.Watch`."""
        self._pace.take(event, fields)
        if event == "phase" and fields["phase"] in _PHASES:
            self._now(_PHASES[fields["phase"]])
        elif event == "cell":
            self._now(f"cell {fields['number']} of {fields['of']}: {fields['code']}")
        elif event == "training":
            self._change = ""
            self._now(f"{_model(fields['role'])}: training it again ({fields['number']} of {fields['of']})")
        elif event == "trying":
            self._change = fields["change"]
        elif event == "checkpoint":
            self._text = _even(_training(fields, self._change))
        elif event == "trained":
            self._live.console.print(Text(_verdict(fields)), soft_wrap=True)

    def close(self) -> None:
        """Take the line away."""
        self._live.stop()

    def _now(self, text: str) -> None:
        self._text, self._since = _even(text), time.monotonic()

    def _rendered(self) -> Table:
        left = self._pace.left_s
        when = f"about {duration(left)} left" if left is not None else duration(time.monotonic() - self._since)
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.width = max(self._console.width - 3, 20)  # "^C" fits behind it
        grid.add_column(width=1)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis" if self._utf else "crop")
        grid.add_column(no_wrap=True, justify="right")
        text = self._text if self._utf else self._text.encode("ascii", "replace").decode()
        grid.add_row(self._spinner, Text(text), Text(when, style="dim"))
        return grid


class InLines:
    """For a log: a line a phase, a line a training and its verdict; nothing where there is no stream."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __call__(self, event: str, /, **fields: Any) -> None:
        """See `progress.Watch`."""
        if event == "phase" and fields["phase"] in _SAID:
            self.tell(f"{_PHASES[fields['phase']].capitalize()}.")
        elif event == "cell" and fields["number"] == 1:
            self.tell(f"Running {counted(fields['of'], 'cell')}.")
        elif event == "training":
            self.tell(f"{_model(fields['role'])}: training it again ({fields['number']} of {fields['of']}).")
        elif event == "trained":
            self.tell(f"{_verdict(fields)}.")

    def close(self) -> None:
        """Nothing is left open."""

    def tell(self, sentence: str) -> None:
        """Write a line."""
        with suppress(OSError, ValueError):  # nobody reads it any more: that changes no result
            if self._stream is not None:
                print(plain_lines(sentence), file=self._stream, flush=True)


def result(report: Report) -> dict[str, Any]:
    """What became of a submission, in a few words and numbers. `score`: None where there is none; `trained`, `reused`: models, now and from the cache."""
    return {
        "status": report.status.value,
        "score": report.score if has_score(report) else None,
        "max_score": report.max_score,
        "seconds": report.timings.get("total", 0.0),
        "trained": sum(not check.cached and check.verdict != "not_measured" for check in report.training),
        "reused": sum(check.cached for check in report.training),
    }


class JsonLines:
    """For machines: one JSON object a line, ASCII only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._pace = stream, Pace()

    def __call__(self, event: str, /, **fields: Any) -> None:
        """See `progress.Watch`."""
        self._pace.take(event, fields)
        if event == "checkpoint":
            fields["left_s"] = None if self._pace.left_s is None else round(self._pace.left_s, 1)
        self.write(event, **{name: plain_lines(value) if isinstance(value, str) else value for name, value in fields.items()})

    def write(self, event: str, **fields: object) -> None:
        """One object."""
        with suppress(OSError, ValueError):
            print(json.dumps({"event": event, **fields}, ensure_ascii=True), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is left open."""


def watcher(console: Console, *, json_lines: bool, quiet: bool) -> OnTerminal | InLines | JsonLines:
    """The display that fits: JSON where asked for, one line in place on a terminal (whatever the environment says of colours), lines elsewhere."""
    if json_lines:
        return JsonLines(sys.stdout)
    if not quiet and sys.stderr is not None and sys.stderr.isatty() and not console.is_dumb_terminal:
        return OnTerminal(console)
    return InLines(None if quiet else sys.stderr)
