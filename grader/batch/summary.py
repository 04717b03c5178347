"""What is said at the terminal after a batch: how it ended, how the class did, what a person has to look at, and what it cost.

Plain text where the output is no terminal; rich keeps `NO_COLOR` by itself. Pseudonyms only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from grader.batch.tally import Line, Tally
from grader.display import duration
from grader.reports.text import plain_lines, points_text
from grader.words import counted, one_line

ENDINGS = {
    "graded": ("graded", "graded"),
    "needs_review": ("provisional: manual review", "provisional: manual review"),
    "ungradable": ("not gradable", "not gradable"),
    "grader_error": ("grader bug", "grader bugs"),
    "infra_error": ("infrastructure failure", "infrastructure failures"),
    "waiting": ("waiting", "waiting"),
    "started": ("started, not finished", "started, not finished"),
}
_FIRST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line. `look` is how it is shown where colours are: bold, dim, green, yellow, red, or nothing."""

    text: str
    look: str = ""
    indent: int = 0


def lines(tally: Tally, pairs: int | None = None) -> tuple[Said, ...]:
    """The summary, line by line. `pairs`: how many pairs of similar works were found; None where nobody looked."""
    return (*_endings(tally), *_scores(tally), *_missed(tally), *_diagnoses(tally), *_person(tally, pairs), *_costs(tally))


def print_lines(said: Iterable[Said], console: Console) -> None:
    """Print lines of `lines`. What the console's encoding cannot hold becomes "?"."""
    encoding = console.encoding
    for line in said:
        text = plain_lines(line.text).encode(encoding, "replace").decode(encoding)
        console.print(Text(" " * line.indent + text, style=line.look), soft_wrap=True, highlight=False, emoji=False)


def percent(part: float, whole: float) -> str:
    """A share in whole per cent, for people: never 0 % of something, never 100 % of less than all."""
    if not whole:
        return "0 %"
    share = 100 * part / whole
    rounded = round(share)
    rounded = max(1, rounded) if part > 0 else rounded
    rounded = min(99, rounded) if 0 <= part < whole else rounded
    return f"{rounded} %"


def endings(tally: Tally) -> tuple[tuple[str, int, str], ...]:
    """How many submissions ended how: (status, count, words), in the order of `ENDINGS`."""
    known = [status for status in ENDINGS if tally.statuses[status]] + sorted(set(tally.statuses) - set(ENDINGS))
    counts = [(status, tally.statuses[status]) for status in known]
    return tuple((status, count, ENDINGS.get(status, (one_line(status, 40),) * 2)[count != 1]) for status, count in counts)


def quantiles(tally: Tally) -> tuple[tuple[str, str], ...]:
    """The totals' distribution as (word, points); empty where nobody has a total."""
    names = ("lowest", "lower quarter", "middle", "upper quarter", "highest")
    values = tally.quantiles(0, 0.25, 0.5, 0.75, 1)
    return tuple((name, points(value * tally.max_score)) for name, value in zip(names, values, strict=False))


def points(value: float) -> str:
    """Points as people write them."""
    return points_text(round(value * 100))


def _endings(tally: Tally) -> list[Said]:
    hand_ins = f", {counted(tally.standings, 'submission')}" if tally.standings != tally.students else ""
    said = [Said(text=f"{counted(tally.students, 'student')}{hand_ins}", look="bold")]
    for status, count, words in endings(tally):
        look = "" if status == "graded" else "yellow" if status in {"needs_review", "waiting", "ungradable"} else "red"
        said.append(Said(text=f"{count:>6,}  {words}", look=look))
    return said


def _scores(tally: Tally) -> list[Said]:
    if not tally.shares:
        return [Said(text="Nobody has a total yet.", look="dim")]
    said = [
        Said(text=""),
        Said(text=f"Totals of {counted(len(tally.shares), 'submission')}, of {points(tally.max_score)} points", look="bold"),
        Said(text=", ".join(f"{word} {value}" for word, value in quantiles(tally)), indent=2),
    ]
    if tally.pending.count:
        each, of = points(tally.pending_points / tally.pending.count), counted(tally.pending.count, "submission")
        text = f"Points from manual review are not included: up to {each} points on average, for {of}."
        said.append(Said(text=text, look="dim", indent=2))
    return said


def _missed(tally: Tally) -> list[Said]:
    missed = tally.most_missed[:_FIRST]
    if not missed:
        return []
    return [Said(text=""), Said(text="Most missed", look="bold"), *(Said(text=_missed_line(line), indent=2) for line in missed)]


def _missed_line(line: Line) -> str:
    share = percent(line.missed, line.students)
    return f"{line.missed:>5,} of {line.students:,} ({share})  {one_line(line.title, 80)} ({one_line(line.id, 60)})"


def _diagnoses(tally: Tally) -> list[Said]:
    if not tally.checked:
        return []
    said = [Said(text=""), Said(text=f"Training checks of {counted(tally.checked, 'submission')}", look="bold")]
    said.append(Said(text=f"{tally.learning:>5,}  every model learns", indent=2))
    return [*said, *(Said(text=f"{count:>5,}  {words}", indent=2) for words, count in tally.diagnoses.most_common(_FIRST))]


def _person(tally: Tally, pairs: int | None) -> list[Said]:
    needs = [
        (tally.listed["needs_review"].count, "to review before the points count", "yellow"),
        (tally.pending.count, "with written answers to grade", "yellow"),
        (tally.listed["grader_error"].count, "where the grader failed: please report it", "red"),
        (tally.listed["infra_error"].count, "where the machine failed: run the same command again", "red"),
        (tally.listed["ungradable"].count, "not gradable (no points lost): manual review", "yellow"),
        (pairs or 0, "pair of similar works to compare" if pairs == 1 else "pairs of similar works to compare", "yellow"),
    ]
    said = [Said(text=f"{count:>5,}  {words}", look=look, indent=2) for count, words, look in needs if count]
    said += [
        Said(text=f"{flagged.count:>5,}  flagged {name} ({flagged.severity})", look="yellow", indent=2)
        for name, flagged in sorted(tally.flags.items(), key=lambda item: -item[1].count)
        if flagged.severity != "info"
    ][:_FIRST]
    return [Said(text=""), Said(text="Manual review", look="bold"), *said] if said else []


def _costs(tally: Tally) -> list[Said]:
    asked = tally.trained + tally.reused
    saved = f", {tally.reused:,} taken from the cache ({percent(tally.reused, asked)} saved)" if asked else ""
    work = f"{counted(tally.trained, 'model')} trained{saved}; {duration(tally.seconds)} of work."
    return [Said(text=""), Said(text=work, look="dim")]
