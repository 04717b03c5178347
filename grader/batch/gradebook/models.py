"""The gradebook's tables. What they hold is added to, never rewritten; only an attempt's facts follow what the platform says (`Attempt`).

A change here needs a revision in `migrations/versions` (see `migrations/__init__.py`); a test compares the two.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, ForeignKey, LargeBinary, MetaData, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment: aware going in, aware and UTC coming out. SQLite keeps it as text without a zone, PostgreSQL as `timestamptz`."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Raises ValueError for a time that does not know its zone."""
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("a time without a zone is no moment; give one that is aware of it")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's signature)
        """The moment, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names of constraints are fixed, so that a migration can name what it changes."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own name)
        str: Text(),
        float: Double(),
        bytes: LargeBinary(),
        datetime: UtcTime(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class Content(Base):
    """What is graded, once a content. `code` is the text of the code cells, zlib-compressed UTF-8 (lone surrogates passed through)."""

    __tablename__ = "contents"
    content: Mapped[str] = mapped_column(primary_key=True)
    entered_at: Mapped[datetime]
    code: Mapped[bytes]


class Attempt(Base):
    """One content that one student handed in; ids rise in order of arrival.

    Where the same content is handed in again, `number` and `last_submitted_at` (which order the attempts) are the largest that were told;
    `submitted_at` and `seconds_late` are those of the earliest hand-in, for a content that was in on time is not late by being sent twice.
    """

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("student", "content"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    student: Mapped[str]
    content: Mapped[str] = mapped_column(ForeignKey("contents.content"))
    sha256: Mapped[str]
    platform: Mapped[str]
    members: Mapped[list[str]]
    number: Mapped[int | None]
    submitted_at: Mapped[datetime | None]
    last_submitted_at: Mapped[datetime | None]
    seconds_late: Mapped[float | None]
    arrived_at: Mapped[datetime]


class Key(Base):
    """A grading key. `digest` is the SHA-256 of its fields as canonical JSON."""

    __tablename__ = "keys"
    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    rubric: Mapped[str]
    rubric_version: Mapped[str]
    rubric_sha256: Mapped[str]
    tool: Mapped[str]
    settings: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]


class Run(Base):
    """A batch run that used a key. `finished_at` is empty while it runs, and where it was killed."""

    __tablename__ = "runs"
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id"))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    arguments: Mapped[dict[str, Any]]


class Grading(Base):
    """One result. `round` counts a content's finished gradings under a key from 0; it is empty for an `infra_error`, which blocks nothing.

    `report` is the text of `report.json`, zlib-compressed UTF-8; it comes last, so that SQLite reads the other columns without it.
    """

    __tablename__ = "gradings"
    __table_args__ = (UniqueConstraint("key_id", "content", "round"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id"))
    content: Mapped[str] = mapped_column(ForeignKey("contents.content"), index=True)
    round: Mapped[int | None]
    status: Mapped[str]
    score: Mapped[float]
    max_score: Mapped[float]
    auto_score: Mapped[float]
    auto_max: Mapped[float]
    pending_points: Mapped[float]
    seconds: Mapped[float]
    phases: Mapped[dict[str, Any]]
    trained: Mapped[int]
    reused: Mapped[int]
    worker: Mapped[str]
    staff: Mapped[str]
    graded_at: Mapped[datetime]
    report: Mapped[bytes]


class Regrade(Base):
    """A round above 0 that was opened for a content; it is due until a grading of that round is there."""

    __tablename__ = "regrades"
    __table_args__ = (UniqueConstraint("key_id", "content", "round"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(ForeignKey("keys.id"))
    content: Mapped[str] = mapped_column(ForeignKey("contents.content"))
    round: Mapped[int]
    opened_at: Mapped[datetime]


class Decision(Base):
    """A person's override of one criterion of an attempt; `points` empty withdraws. The newest of a criterion counts."""

    __tablename__ = "overrides"
    id: Mapped[int] = mapped_column(primary_key=True)
    attempt_id: Mapped[int] = mapped_column(ForeignKey("attempts.id"), index=True)
    criterion: Mapped[str]
    points: Mapped[float | None]
    reason: Mapped[str]
    author: Mapped[str]
    made_at: Mapped[datetime]


class Setting(Base):
    """A value that a setting was given; the newest of a name counts."""

    __tablename__ = "settings"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    value: Mapped[Any] = mapped_column(JSON())
    set_at: Mapped[datetime]
