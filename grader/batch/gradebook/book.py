"""The gradebook as others use it: entering attempts, recording results once, telling where everyone stands.

Every method is one transaction, kept whole or not at all, and may be called from several processes at once. Errors of the database arrive as
UsageError (the same call would fail again) or InfrastructureError (it may be tried again); see `connection.told`. All times are UTC and aware.
"""

import hashlib
import json
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Executable, Row, Select, Text, case, cast, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from grader.batch import late
from grader.batch.gradebook import schema
from grader.batch.gradebook.connection import Database, connect, damaged
from grader.batch.gradebook.models import Attempt, Base, Content, Decision, Grading, Key, Regrade, Run, Setting
from grader.batch.points import in_force, overridden
from grader.batch.records import FINISHED, Entry, Graded, GradingKey, Override, Standing
from grader.closing import Closing
from grader.errors import GraderError, UsageError
from grader.records import Json, Report, RunStatus
from grader.reports import as_json
from grader.words import counted

WAITING = "waiting"
"""The status of an attempt that has no grading under the key."""
_CHUNK = 50
"""Reports, and codes, that are held compressed at a time while standings are told."""
_SCORED = frozenset({RunStatus.GRADED, RunStatus.NEEDS_REVIEW})
_T = TypeVar("_T", GradingKey, Override)
_Insert = sqlite.Insert | postgresql.Insert
_ORDER = (Attempt.number.nulls_first(), Attempt.last_submitted_at.nulls_first(), Attempt.id)
"""The order of a student's attempts: the platform's number, then the time of submission, then arrival; what is not known comes before what is."""


class Gradebook(Closing):
    """A gradebook that is open. It is a context manager; `open` makes one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, where: str | Path, *, create: bool = True) -> Self:
        """Open the gradebook at a path or a `postgresql+psycopg://` URL, make it where there is none, and bring an older one up to date.

        Raises:
            UsageError: there is none and `create` is false; it is something else, read-only, damaged, or made by a newer version; the driver is missing.
            InfrastructureError: the server is out of reach, or the disk is full.
        """
        database = connect(where, create=create)
        try:
            schema.bring_up_to_date(database, create=create)
        except BaseException:
            database.engine.dispose()
            raise
        return cls(database)

    def close(self) -> None:
        """Let go of the file or the server."""
        self._database.engine.dispose()

    # ------------------------------------------------------------------ what was handed in

    def enter(self, entries: Iterable[Entry]) -> None:
        """Enter hand-ins, all or none. A student's content that is known already is no new attempt; see `models.Attempt` for what it may still change.

        Raises:
            ValueError: a `submitted_at` that does not know its zone.
        """
        codes: dict[str, str] = {}
        attempts = []
        now = _now()
        for entry in entries:
            attempt = asdict(entry) | {"members": list(entry.members), "last_submitted_at": entry.submitted_at, "arrived_at": now}
            codes.setdefault(entry.content, attempt.pop("code"))
            attempt["number"] = attempt.pop("attempt")
            attempts.append(attempt)
            if entry.submitted_at is not None and entry.submitted_at.utcoffset() is None:
                raise ValueError("Entry.submitted_at: expected a time that is aware of its zone")
        if not attempts:
            return
        with self._database.reading() as connection:
            known = set(connection.scalars(select(Content.content)))
        contents = [
            {"content": content, "entered_at": now, "code": _packed(code)} for content, code in codes.items() if content not in known
        ]
        with self._database.writing() as connection:
            if contents:
                connection.execute(self._insert(Content).on_conflict_do_nothing(), contents)
            connection.execute(self._attempts(), attempts)

    def known(self) -> dict[str, str]:
        """The content of every file that was ever entered, by the SHA-256 of its bytes."""
        with self._database.reading() as connection:
            return {row.sha256: row.content for row in connection.execute(select(Attempt.sha256, Attempt.content).distinct())}

    def _attempts(self) -> _Insert:
        """The statement that enters one attempt, or brings what is known of it up to date."""
        statement = self._insert(Attempt)
        new = statement.excluded
        earlier = or_(Attempt.submitted_at.is_(None), new.submitted_at <= Attempt.submitted_at)
        return statement.on_conflict_do_update(
            index_elements=["student", "content"],
            set_={
                "number": _larger(Attempt.number, new.number),
                "last_submitted_at": _larger(Attempt.last_submitted_at, new.last_submitted_at),
                "submitted_at": case(
                    (new.submitted_at.is_(None), Attempt.submitted_at), (earlier, new.submitted_at), else_=Attempt.submitted_at
                ),
                "seconds_late": case(
                    (new.submitted_at < Attempt.submitted_at, new.seconds_late),
                    (new.seconds_late.is_(None), Attempt.seconds_late),
                    (earlier, new.seconds_late),
                    else_=Attempt.seconds_late,
                ),
                "members": case((cast(new.members, Text) == "[]", Attempt.members), else_=new.members),
            },
        )

    # ------------------------------------------------------------------ keys and runs

    def key(self, key: GradingKey) -> int:
        """The id of a grading key; it is made where it is new."""
        parts = asdict(key)
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()
        with self._database.writing() as connection:
            connection.execute(
                self._insert(Key).values(**parts, digest=digest, made_at=_now()).on_conflict_do_nothing(index_elements=["digest"])
            )
            return connection.execute(select(Key.id).where(Key.digest == digest)).scalar_one()

    def keys(self) -> dict[int, GradingKey]:
        """Every key by its id: the newest used first, then those never used, the newest made first. The first is the default for `standings`."""
        with self._database.reading() as connection:
            rows = {row.id: row for row in connection.execute(select(*Key.__table__.columns))}
            return {number: _record(GradingKey, rows[number]) for number in _key_ids(connection)}

    def use(self, key_id: int, arguments: Mapping[str, Json] | None = None) -> int:
        """Note that a batch run begins that uses a key; returns the run's id for `finish`. `arguments` are JSON and name no student."""
        with self._database.writing() as connection:
            self._check_key(connection, key_id)
            row = {"key_id": key_id, "started_at": _now(), "arguments": dict(arguments or {})}
            return connection.execute(self._insert(Run).values(**row).returning(Run.id)).scalar_one()

    def finish(self, run_id: int) -> None:
        """Note that a run of `use` came to its end."""
        with self._database.writing() as connection:
            connection.execute(update(Run).where(Run.id == run_id, Run.finished_at.is_(None)).values(finished_at=_now()))

    # ------------------------------------------------------------------ results

    def unfinished(self, key_id: int, contents: Iterable[str]) -> set[str]:
        """Those of `contents` that wait for a grading under the key: never finished, or opened again by `begin_regrade`."""
        with self._database.reading() as connection:
            done, due = _finished_rounds(connection, key_id), _opened_rounds(connection, key_id)
        return {content for content in contents if done.get(content, -1) < due.get(content, 0)}

    def rounds(self, key_id: int, contents: Iterable[str]) -> dict[str, int]:
        """The newest round that was opened for each content, 0 where none was: what a worker that starts now should hand to `record` as `regrade`."""
        with self._database.reading() as connection:
            due = _opened_rounds(connection, key_id)
        return {content: due.get(content, 0) for content in contents}

    def begin_regrade(self, key_id: int, contents: Iterable[str]) -> None:
        """Open the next round for contents that are finished; one that still waits for its round gets no other, so that a regrade that was killed resumes."""
        with self._database.writing() as connection:
            self._check_key(connection, key_id)
            done, due = _finished_rounds(connection, key_id), _opened_rounds(connection, key_id)
            rows = [
                {"key_id": key_id, "content": content, "round": done[content] + 1, "opened_at": _now()}
                for content in dict.fromkeys(contents)
                if content in done and done[content] >= due.get(content, 0)
            ]
            if rows:
                connection.execute(self._insert(Regrade).on_conflict_do_nothing(index_elements=["key_id", "content", "round"]), rows)

    def record(self, key_id: int, graded: Graded, *, regrade: int | None = None) -> bool:
        """Add a grading; returns whether it was added. A finished grading is added once a round, whoever comes first; an `infra_error` always is.

        `regrade` is the round that the grading was made for (`rounds`); None: the newest one that is open.

        Raises:
            GraderError: the report is none, its status is not the one given, or the round was never opened.
            UsageError: no such key, or the content was not entered.
        """
        report = _checked(graded)
        row = asdict(graded) | {name: getattr(report, name) for name in ("score", "max_score", "auto_score", "auto_max", "pending_points")}
        row |= {"key_id": key_id, "worker": _clean(graded.worker), "staff": _clean(graded.staff), "report": _packed(graded.report)}
        with self._database.writing() as connection:
            self._check_key(connection, key_id)
            if connection.execute(select(Content.content).where(Content.content == graded.content)).first() is None:
                raise UsageError(f"{self._database.label}: a content of a submission was expected; this one was never entered.")
            row["round"] = None
            if graded.status in FINISHED:
                due = _opened_rounds(connection, key_id, graded.content).get(graded.content, 0)
                if regrade is not None and not 0 <= regrade <= due:
                    raise GraderError(f"Round {regrade} of a grading was to be recorded; the newest that was opened is {due}.")
                row["round"] = due if regrade is None else regrade
            row["graded_at"] = _now()
            statement = self._insert(Grading).values(**row).on_conflict_do_nothing(index_elements=["key_id", "content", "round"])
            return connection.execute(statement.returning(Grading.id)).first() is not None

    def report(self, key_id: int, content: str) -> Report | None:
        """The newest finished report of a content under a key, without overrides; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(_finished(content).where(Grading.key_id == key_id).order_by(Grading.round.desc())).first()
        return None if row is None else self._parsed(row.id, row.report)

    # ------------------------------------------------------------------ a person's decisions

    def override(self, student: str, criterion: str, points: float | None, *, reason: str, author: str) -> Override:
        """Set a criterion's points for the attempt that counts; `points` None withdraws an earlier decision.

        Raises:
            UsageError: no reason or author, an unknown student or criterion, an attempt without a report, or points that the criterion does not have.
        """
        if not reason.strip() or not author.strip():
            raise UsageError("An override needs a reason and the name of who makes it; one of the two is empty.")
        made = Override(criterion=criterion, points=points, reason=_clean(reason.strip()), author=_clean(author.strip()), made_at=_now())
        with self._database.writing() as connection:
            attempts = _places(connection, student)
            if not attempts:
                raise UsageError("No such student is in the gradebook. Give the pseudonym as the standings show it.")
            chosen = attempts[-1]
            if points is not None:
                made = _with_points(made, self._reported(connection, chosen.content))
            elif criterion not in set(connection.scalars(select(Decision.criterion).where(Decision.attempt_id == chosen.id))):
                raise UsageError(f"{criterion}: there is no override to withdraw.")
            connection.execute(self._insert(Decision).values(attempt_id=chosen.id, **asdict(made)))
        return made

    def _reported(self, connection: Connection, content: str) -> Report:
        """The newest finished report of a content, under the default key where it has one, else under any."""
        ids = _key_ids(connection)
        first = case((Grading.key_id == (ids[0] if ids else -1), 0), else_=1)
        row = connection.execute(_finished(content).order_by(first, Grading.id.desc())).first()
        if row is None:
            raise UsageError("This attempt is not graded yet, so it has no criteria to override. Grade it first.")
        return self._parsed(row.id, row.report)

    def set_setting(self, name: str, value: Json) -> None:
        """Keep a JSON value under a name; earlier values stay, each with its time. The value that it has already adds nothing.

        Raises:
            ValueError, TypeError: the value is not JSON.
        """
        value = json.loads(json.dumps(value, allow_nan=False))
        with self._database.writing() as connection:
            row = connection.execute(_setting(name)).first()
            if row is None or row.value != value:
                connection.execute(self._insert(Setting).values(name=name, value=value, set_at=_now()))

    def setting(self, name: str) -> Json:
        """The newest value of a setting; None where it was never set."""
        with self._database.reading() as connection:
            row = connection.execute(_setting(name)).first()
        return None if row is None else row.value

    # ------------------------------------------------------------------ what came of it

    def standings(
        self, key_id: int | None = None, *, all_attempts: bool = False, with_reports: bool = True, with_code: bool = False
    ) -> Iterator[Standing]:
        """Where everyone stands under a key (None: the newest used), in order of pseudonyms: the attempt that counts, or each one in its order.

        All tell of the moment of the call: what is recorded later is not in them. Reports are read as they are asked for, a few at a time.

        Raises:
            UsageError: no such key, or a late policy that cannot be read; while iterating: a report that cannot be read.
        """
        with self._database.reading() as connection:
            if key_id is None:
                key_id = next(iter(_key_ids(connection)), -1)
            else:
                self._check_key(connection, key_id)
            rows = _placed(connection, key_id, all_attempts=all_attempts)
            overrides = _overrides(connection)
            kept = connection.execute(_setting(late.SETTING)).first()
        policy = late.stored(None if kept is None else kept.value)
        return self._told(rows, overrides, policy, with_reports, with_code)

    def _told(
        self,
        rows: Sequence[SimpleNamespace],
        overrides: Mapping[int, Sequence[Override]],
        policy: late.LatePolicy,
        with_reports: bool,
        with_code: bool,
    ) -> Iterator[Standing]:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            with self._database.reading() as connection:
                wanted = [row.grading_id for row in chunk if row.grading_id is not None and (with_reports or row.id in overrides)]
                packed = _pairs(connection, select(Grading.id, Grading.report).where(Grading.id.in_(wanted)))
                contents = [row.content for row in chunk] if with_code else []
                codes = _pairs(connection, select(Content.content, Content.code).where(Content.content.in_(contents)))
            for row in chunk:
                with self._database.sound():
                    report = self._parsed(row.grading_id, packed[row.grading_id]) if row.grading_id in packed else None
                    code = self._unpacked(codes[row.content], "a submission's code") if with_code else ""
                    line = _standing(row, report, overrides.get(row.id, ()), policy, with_reports=with_reports, code=code)
                yield line

    def counts(self, key_id: int) -> dict[str, int]:
        """How many students' standings have each status under a key; no report is read."""
        with self._database.reading() as connection:
            self._check_key(connection, key_id)
            return dict(Counter(row.status or WAITING for row in _placed(connection, key_id, all_attempts=False)))

    # ------------------------------------------------------------------ below

    def _insert(self, model: type[Base]) -> _Insert:
        return sqlite.insert(model) if self._database.path else postgresql.insert(model)

    def _check_key(self, connection: Connection, key_id: int) -> None:
        if connection.execute(select(Key.id).where(Key.id == key_id)).first() is None:
            raise UsageError(f"{self._database.label}: the gradebook has no grading key {key_id}. Take one of those that it lists.")

    def _parsed(self, grading_id: int, packed: bytes) -> Report:
        try:
            return as_json.parse(self._unpacked(packed, f"report {grading_id}"))
        except UsageError as error:
            raise UsageError(f"{self._database.label}: report {grading_id}: {error}") from error

    def _unpacked(self, packed: bytes, what: str) -> str:
        try:
            return zlib.decompress(packed).decode("utf-8", "surrogatepass")
        except (zlib.error, UnicodeDecodeError) as error:
            raise damaged(self._database.label, f"{what} cannot be unpacked") from error


def _now() -> datetime:
    return datetime.now(UTC)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"))


def _clean(text: str) -> str:
    """A text that both databases can keep: PostgreSQL takes no NUL, neither takes half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _checked(graded: Graded) -> Report:
    """The report of a worker's answer. Raises GraderError where the answer does not hold together."""
    try:
        report = as_json.parse(graded.report)
    except UsageError as error:
        raise GraderError(f"A worker's report cannot be read: {error}") from error
    if report.status != graded.status or graded.status not in FINISHED | {RunStatus.INFRA_ERROR}:
        raise GraderError(f"A worker's outcome is {graded.status!r}, its report's {report.status.value!r}: expected the same outcome.")
    return report


def _larger(old: InstrumentedAttribute[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((new.is_(None), old), (old.is_(None), new), (new > old, new), else_=old)


def _pairs(connection: Connection, query: Executable) -> dict[Any, Any]:
    """First column -> second column."""
    return {row[0]: row[1] for row in connection.execute(query)}


def _record(kind: type[_T], row: Row[Any]) -> _T:
    """A row as the record whose fields are among its columns."""
    return kind(**{field.name: getattr(row, field.name) for field in fields(kind)})


def _finished(content: str) -> "Select[int, bytes]":
    """One finished grading of a content and its report, the first in an order that is still to be given."""
    return select(Grading.id, Grading.report).where(Grading.content == content, Grading.round.is_not(None)).limit(1)


def _setting(name: str) -> Executable:
    return select(Setting.value).where(Setting.name == name).order_by(Setting.id.desc()).limit(1)


def _key_ids(connection: Connection) -> list[int]:
    """The ids of the keys, in the order of `Gradebook.keys`."""
    used = select(Run.key_id, func.max(Run.id).label("newest")).group_by(Run.key_id).subquery()
    return list(
        connection.scalars(
            select(Key.id).outerjoin(used, used.c.key_id == Key.id).order_by(used.c.newest.desc().nulls_last(), Key.id.desc())
        )
    )


def _finished_rounds(connection: Connection, key_id: int) -> dict[str, int]:
    """Content -> the newest round that is finished, where one is."""
    newest = select(Grading.content, func.max(Grading.round)).where(Grading.key_id == key_id, Grading.round.is_not(None))
    return _pairs(connection, newest.group_by(Grading.content))


def _opened_rounds(connection: Connection, key_id: int, content: str | None = None) -> dict[str, int]:
    """Content -> the newest round above 0 that was opened, where one was."""
    newest = select(Regrade.content, func.max(Regrade.round)).where(Regrade.key_id == key_id)
    if content is not None:
        newest = newest.where(Regrade.content == content)
    return _pairs(connection, newest.group_by(Regrade.content))


def _places(connection: Connection, student: str) -> Sequence[Row[Any]]:
    """A student's attempts in their order."""
    return connection.execute(select(*Attempt.__table__.columns).where(Attempt.student == student).order_by(*_ORDER)).all()


def _overrides(connection: Connection) -> dict[int, list[Override]]:
    """Attempt's id -> its overrides in order of making."""
    found = defaultdict(list)
    for row in connection.execute(select(*Decision.__table__.columns).order_by(Decision.id)):
        found[row.attempt_id].append(_record(Override, row))
    return dict(found)


_COUNTING = (
    Grading.id.label("grading_id"),
    Grading.status,
    Grading.score,
    Grading.max_score,
    Grading.pending_points,
    Grading.seconds,
    Grading.trained,
    Grading.reused,
    Grading.graded_at,
)


def _placed(connection: Connection, key_id: int, *, all_attempts: bool) -> list[SimpleNamespace]:
    """Every attempt that is asked for, with its place and the grading that counts under the key (None: none), without report or code.

    Attempts and gradings are read apart and joined here: SQLite joins them by looking at every pair (6 s for 3,000 of each, measured; 30 ms so).
    """
    place = func.row_number().over(partition_by=Attempt.student, order_by=_ORDER).label("place")
    attempts = func.count().over(partition_by=Attempt.student).label("attempts")
    placed = select(*Attempt.__table__.columns, place, attempts).subquery()
    asked = select(placed) if all_attempts else select(placed).where(placed.c.place == placed.c.attempts)
    newest = (Grading.round.desc().nulls_last(), Grading.id.desc())  # a finished one before what only failed
    rank = func.row_number().over(partition_by=Grading.content, order_by=newest).label("rank")
    ranked = select(Grading.content, *_COUNTING, rank).where(Grading.key_id == key_id).subquery()
    graded = {row.content: dict(row._mapping) for row in connection.execute(select(ranked).where(ranked.c.rank == 1))}  # noqa: SLF001 (its public name)
    ungraded = {column.name: None for column in _COUNTING}
    rows = [SimpleNamespace(**(graded.get(row.content, ungraded) | dict(row._mapping))) for row in connection.execute(asked)]  # noqa: SLF001
    return sorted(rows, key=lambda row: (row.student, row.place))  # databases order texts by their own rules


def _with_points(made: Override, report: Report) -> Override:
    """The override with its points in hundredths. Raises UsageError where the report has no such criterion, or fewer points for it."""
    lines = {line.id: line for line in report.criteria}
    line = lines.get(made.criterion)
    if line is None:
        near = get_close_matches(made.criterion, lines, n=3, cutoff=0.5)
        known = f"Near it: {', '.join(near)}." if near else f"It has: {', '.join(lines) or 'none'}."
        raise UsageError(f"{made.criterion}: the report has no such criterion. {known}")
    assert made.points is not None
    if not 0 <= made.points <= line.points:  # false for NaN, too
        raise UsageError(f"{made.criterion}: expected 0 to {counted(line.points, 'point')}, found {made.points:g}.")
    return replace(made, points=math.floor(made.points * 100 + 0.5) / 100)


def _standing(
    row: SimpleNamespace, report: Report | None, overrides: Sequence[Override], policy: late.LatePolicy, *, with_reports: bool, code: str
) -> Standing:
    """One line of the standings. `report` is there where it is wanted, and where overrides need it."""
    score, pending, machine = row.score, row.pending_points, {}
    if report is not None and overrides:
        machine = {line.id: line.earned for line in report.criteria if line.id in in_force(overrides)}
        report = overridden(report, overrides)
        score, pending = report.score, report.pending_points
    penalty = total = None
    if row.status in _SCORED:
        penalty = late.penalty(
            policy, score=score, max_score=row.max_score, submitted_at=row.submitted_at, seconds_late=row.seconds_late, student=row.student
        )
        total = None if penalty is None else max(0, round(score * 100) - round(penalty * 100)) / 100
    else:
        score = None
    same = ("student", "attempts", "content", "platform", "submitted_at", "seconds_late", "graded_at")
    return Standing(
        **{name: getattr(row, name) for name in same},
        attempt=row.place,
        status=row.status or WAITING,
        members=tuple(row.members),
        report=report if with_reports else None,
        machine=machine,
        score=score,
        max_score=row.max_score or 0.0,
        pending_points=pending or 0.0,
        penalty=penalty,
        total=total,
        overrides=tuple(overrides),
        seconds=row.seconds or 0.0,
        trained=row.trained or 0,
        reused=row.reused or 0,
        code=code,
    )
