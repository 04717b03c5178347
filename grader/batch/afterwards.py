"""What a run leaves beside the gradebook: `class.html`, `marks.csv` (pseudonyms only) and the summary; made anew only where something changed."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import grader
from grader.batch import late
from grader.batch.content import content_of
from grader.batch.gradebook import Gradebook
from grader.batch.identities import Identities
from grader.batch.records import Standing
from grader.batch.summary import Said, lines
from grader.errors import InfrastructureError, UsageError, refused
from grader.reports import replace_file
from grader.words import one_line

_STATE = ".class.json"
_FINGERPRINTS = ".fingerprints.npz"


def tell(
    book: Gradebook,
    key_id: int,
    people: Identities,
    out: Path,
    *,
    standings: Sequence[Standing],
    title: str,
    template: Path | None = None,
    problems: int = 0,
) -> tuple[Said, ...]:
    """Write the class page and the marks below `out`, and give the summary's lines. What says the same as the last time is not made again.

    `standings`: of this key, without reports; `problems`: hand-ins that could not be placed. Raises InfrastructureError where `out` cannot be written, UsageError for a template that cannot be read.
    """
    state = _state(book, key_id, standings, template, problems)
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((out / _STATE).read_text(encoding="utf-8"))
        if kept["state"] == state and (out / "class.html").exists() and (out / "marks.csv").exists():
            return tuple(Said(**line) for line in kept["summary"])
    # what follows costs a second of imports, which a class that is only looked at again does not need
    from grader.batch import class_page, export, similarity  # noqa: PLC0415
    from grader.batch.tally import Tally  # noqa: PLC0415

    tally = Tally()

    def counted() -> Iterator[Standing]:
        """Every standing, once: reading the reports of a large class takes longer than everything that is made of them."""
        for standing in book.standings(key_id, with_code=True):
            tally.add(standing)
            yield standing

    fingerprints = similarity.Fingerprints(out / _FINGERPRINTS)
    found = similarity.similar(counted(), template=_code(template), fingerprints=fingerprints)
    page = class_page.render(title, tally, found, generated_at=datetime.now(UTC), problems=problems)
    marks = export.export("csv", book.standings(key_id), people.of, export.Options(include_review=True))
    said = lines(tally, pairs=len(found.pairs) + found.hidden)
    summary = [{"text": line.text, "look": line.look, "indent": line.indent} for line in said]
    advice = "The gradebook is complete; run the same command again."
    with refused(InfrastructureError, f"--out {out}: the class page could not be written", advice):
        out.mkdir(parents=True, exist_ok=True)
        replace_file(out / "class.html", page)
        for data in marks.files.values():
            replace_file(out / "marks.csv", data)
        fingerprints.keep()
        replace_file(out / _STATE, json.dumps({"state": state, "summary": summary}))
    return said


def _state(book: Gradebook, key_id: int, standings: Sequence[Standing], template: Path | None, problems: int) -> str:
    """What the page says hangs on this and nothing else."""
    rows = [
        (row.student, row.content, row.status, row.total, row.attempts, row.seconds_late, str(row.graded_at), len(row.overrides))
        for row in standings
    ]
    asked = [grader.__version__, key_id, str(template), problems, book.setting(late.SETTING)]
    return hashlib.sha256(json.dumps([asked, rows], sort_keys=True).encode()).hexdigest()


def _code(template: Path | None) -> str:
    if template is None:
        return ""
    try:
        data = template.read_bytes()
    except OSError as error:
        raise UsageError(f"--template {template}: expected the template notebook; it could not be read ({error.strerror}).") from error
    _, code = content_of(data)
    if not code:
        raise UsageError(
            f"--template {template}: expected a notebook with code cells; found {one_line(data[:40].decode('utf-8', 'replace'), 40)!r}."
        )
    return code
