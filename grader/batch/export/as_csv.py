"""`marks.csv`, our own: one row a student, one column a criterion. Pseudonyms; names only where they are asked for.

A cell of points is empty where nothing is decided. `total` counts what is decided; `pending_points` is what a person still gives.
"""

import csv
import io
from collections.abc import Iterable

from grader.batch.export.common import UNKNOWN, Exported, Names, Options, Recipient, defused, reason, recipients, two_decimals
from grader.batch.records import Standing
from grader.reports import view

FILENAME = "marks.csv"
_NAMED = ("name", "platform", "platform_id")
_FIRST = ("student", "group", "status", "attempt", "attempts", "submitted_at", "seconds_late")
_LAST = ("score", "penalty", "total", "max_score", "pending_points", view.RECORDED, "flags")


def export(standings: Iterable[Standing], names: Names, options: Options) -> Exported:
    """Every student has a row; whoever has no mark has none in it, and is told of."""
    rows: list[dict[str, str]] = []
    criteria: dict[str, None] = {}
    left_out: list[str] = []
    written = 0
    for standing in standings:
        because = reason(standing, options)
        marks = {} if because else _marks(standing)
        criteria |= dict.fromkeys(name for name in marks if name.startswith("criterion "))
        for recipient in recipients(standing, names):
            if options.with_names and recipient.identity is None:
                left_out.append(f"{recipient.pseudonym}: {UNKNOWN}")
                continue
            if because:
                left_out.append(f"{recipient.pseudonym}: {because}")
            written += not because
            rows.append(_about(recipient, options) | marks)
    columns = (*_FIRST[:1], *(_NAMED if options.with_names else ()), *_FIRST[1:], *criteria, *_LAST)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([defused(column.removeprefix("criterion ")) for column in columns])
    writer.writerows([[row.get(column, "") for column in columns] for row in rows])
    return Exported(files={FILENAME: text.getvalue().encode("utf-8")}, written=written, left_out=tuple(left_out))


def _about(recipient: Recipient, options: Options) -> dict[str, str]:
    """Who, and how it ended; names where they are asked for."""
    standing = recipient.standing
    about = {
        "student": defused(recipient.pseudonym),
        "group": defused(recipient.group),
        "status": standing.status,
        "attempt": str(standing.attempt),
        "attempts": str(standing.attempts),
        "submitted_at": "" if standing.submitted_at is None else standing.submitted_at.isoformat(timespec="seconds"),
        "seconds_late": "" if standing.seconds_late is None else f"{standing.seconds_late:.0f}",
        "flags": defused(" ".join(dict.fromkeys(flag.id for flag in standing.report.flags))) if standing.report is not None else "",
    }
    identity = recipient.identity
    if options.with_names and identity is not None:
        about |= {"name": defused(identity.name), "platform": defused(identity.platform), "platform_id": defused(identity.student)}
    return about


def _marks(standing: Standing) -> dict[str, str]:
    """The points, by column, and the ids of the criteria whose points are recorded, not measured."""
    resting = view.recorded(standing.report) if standing.report is not None else ()
    numbers: dict[str, float | None] = {
        **{f"criterion {line.id}": line.earned for line in (standing.report.criteria if standing.report is not None else ())},
        "score": standing.score,
        "penalty": standing.penalty,
        "total": standing.total,
        "max_score": standing.max_score,
        "pending_points": standing.pending_points,
    }
    points = {name: "" if value is None else two_decimals(value) for name, value in numbers.items()}
    return points | {view.RECORDED: defused(" ".join(line.result.id for line in resting))}
