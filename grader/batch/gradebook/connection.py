"""The database under a gradebook: an SQLite file or a PostgreSQL server, and what its errors mean to a person.

Transactions are begun by hand on SQLite: a writer takes the lock at once (`BEGIN IMMEDIATE`), so that it waits for others instead of failing halfway.
No message holds a password, a statement or a value: the drivers' own texts are cut to their first line.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, MultipleResultsFound, NoResultFound
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from grader.errors import GraderError, InfrastructureError, UsageError

BUSY_S = 30
"""Seconds that one process waits for another's transaction."""
CONNECT_S = 10
"""Seconds after which a PostgreSQL server counts as out of reach."""
_NEXT_POSTGRES = "Check the address, the name of the database and that the server runs."


@dataclass(frozen=True, slots=True)
class Database:
    """An engine with its two ways of use, and its name in messages. `path` is the file of an SQLite gradebook."""

    label: str
    engine: Engine
    path: Path | None
    password: str | None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one state of the database.

        Raises:
            UsageError, InfrastructureError: as `told` says; a value that cannot be read means a damaged gradebook.
        """
        level = {} if self.path else {"isolation_level": "REPEATABLE READ"}
        with self.sound(), told(self), self.engine.execution_options(**level).begin() as connection:
            yield connection

    @contextmanager
    def sound(self) -> Iterator[None]:
        """Around what is made of rows: SQLite gives a harmed row's values as they are, of whatever type. Raises UsageError."""
        try:
            yield
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise damaged(self.label, f"a value could not be read ({type(error).__name__})") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that is kept whole or not at all. Raises as `told` says."""
        with told(self), self.engine.execution_options(writes=True).begin() as connection:
            yield connection


def connect(where: str | Path, *, create: bool) -> Database:
    """The database at `where`, looked for but not yet looked into.

    Raises:
        UsageError: `where` is neither a path nor a PostgreSQL URL, the driver is missing, there is no such file and `create` is false, or it is no SQLite file.
    """
    if isinstance(where, str) and "://" in where:
        return _postgres(where)
    path = Path(where)
    label = str(where)
    try:
        size = path.stat().st_size if path.exists() else None
        if path.is_dir():
            raise UsageError(f"{label}: expected a gradebook, a file; found a folder. Name a file in it, such as {path / 'class.db'}.")
        if size:
            with path.open("rb") as file:
                head = file.read(16)
            if head != b"SQLite format 3\0":
                raise UsageError(f"{label}: expected a gradebook; the file is something else, and was left as it is. Check the path.")
        elif not create:
            found = "no such file" if size is None else "an empty file"
            raise UsageError(f"{label}: expected a gradebook; found {found}. Check the path; `grade batch` makes a gradebook.")
        elif not path.absolute().parent.is_dir():
            raise UsageError(f"{label}: expected an existing folder for the new gradebook; {path.parent} is not a folder. Create it first.")
        else:
            path.touch(mode=0o600)  # students' work and marks; SQLite gives its other files the same mode
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{label}: the gradebook cannot be opened ({type(error).__name__}). Check the path and its permissions."
        ) from error
    engine = create_engine(URL.create("sqlite", database=str(path.absolute())), hide_parameters=True, connect_args={"timeout": BUSY_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(label, engine, path, None)


def _postgres(where: str) -> Database:
    """The engine for a PostgreSQL URL; nothing is asked of the server yet."""
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as error:
        raise UsageError(
            "The gradebook's address cannot be read: expected a path or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE. "
            "Write special characters of a password as %XX."
        ) from error
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise UsageError(f"The gradebook's address begins with {url.drivername}://; expected a path or postgresql+psycopg://….")
    url = url.set(drivername="postgresql+psycopg")
    secret = url.query.get("password")
    password = str(url.password or (secret if isinstance(secret, str) else "")) or None
    label = url.set(query={}).render_as_string(hide_password=True)
    options: dict[str, Any] = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, connect_args=options)
    except ImportError as error:
        raise UsageError(f"{label}: PostgreSQL's driver is not installed. Install it: pip install 'grader[postgres]'") from error
    return Database(label, engine, None, password)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # no transaction is begun behind our back
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")  # what was committed outlives a power cut, too


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def use_wal(database: Database) -> None:
    """Turn an SQLite file's write-ahead log on, where it is not (a new file, a copy). SQLite does not wait for others here, so this does."""
    deadline = time.monotonic() + BUSY_S
    while True:
        with told(database), database.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            try:
                if raw.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    raw.execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            else:
                return
        time.sleep(0.02)


@contextmanager
def told(database: Database) -> Iterator[None]:
    """Turn the database's errors into sentences.

    Raises:
        UsageError: it cannot be opened, is read-only, no database, damaged, or access is denied: the same command fails again.
        InfrastructureError: the disk is full, the server or the lock out of reach: it may be tried again.
    """
    try:
        yield
    except DBAPIError as error:
        original = error.orig if error.orig is not None else error
        raise _meaning(database, original) from error
    except sqlite3.Error as error:
        raise _meaning(database, error) from error
    except (NoResultFound, MultipleResultsFound) as error:
        raise damaged(database.label, "rows are missing or twice there") from error
    except PoolTimeoutError as error:
        raise InfrastructureError(f"{database.label}: no connection became free. Use fewer threads, and try again.") from error


def damaged(label: str, found: str) -> UsageError:
    """The error for a gradebook whose contents do not hold together."""
    return UsageError(f"{label}: the gradebook is damaged: {found}. Go back to a copy of it; docs/gradebook.md says how copies are made.")


def _meaning(database: Database, error: BaseException) -> GraderError:
    return _sqlite_meaning(database.label, error) if isinstance(error, sqlite3.Error) else _postgres_meaning(database, error)


def _sqlite_meaning(label: str, error: sqlite3.Error) -> GraderError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the extended part
    if code == sqlite3.SQLITE_CANTOPEN:
        return UsageError(f"{label}: the gradebook cannot be opened. Check that its folder exists and may be written.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return UsageError(f"{label}: the gradebook is read-only. Make the file and its folder writable, or copy it elsewhere.")
    if code == sqlite3.SQLITE_NOTADB:
        return UsageError(
            f"{label}: expected a gradebook; the file is not an SQLite database, or its beginning is damaged. Check the path."
        )
    if code == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error):
        return damaged(label, "SQLite finds its pages in disorder")
    if code == sqlite3.SQLITE_FULL:
        return InfrastructureError(f"{label}: the disk is full; what was recorded before is kept. Make room and run the command again.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return InfrastructureError(f"{label}: another process has held the gradebook for {BUSY_S} seconds. Wait for it and try again.")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return InfrastructureError(
            f"{label}: the disk did not do as it was asked ({_first_line(error)}). A gradebook file belongs on a local disk with room."
        )
    if "no such table" in str(error) or "no such column" in str(error):
        return damaged(label, "a table or a column is missing")
    return GraderError(f"{label}: the gradebook answered: {_first_line(error)}. This is a defect of the grader; please report it.")


def _postgres_meaning(database: Database, error: BaseException) -> GraderError:
    state = getattr(error, "sqlstate", None) or ""
    said = _first_line(error)
    if database.password:
        said = said.replace(database.password, "***")
    label = database.label
    if state.startswith("28") or "authentication failed" in said or ("role" in said and "does not exist" in said):
        return UsageError(f"{label}: the server refused the user or the password. Check the address.")
    if state == "3D000" or ("database" in said and "does not exist" in said):
        return UsageError(f"{label}: the server has no such database. Make it: createdb NAME")
    if state == "42501":
        return UsageError(f"{label}: this user may not do that ({said}). Give it rights on the database and its schema.")
    if state == "25006":
        return UsageError(f"{label}: the database is read-only. Give the address of the primary server.")
    if state == "53100":
        return InfrastructureError(f"{label}: the server's disk is full; what was recorded before is kept. Make room and run it again.")
    if state in ("42P01", "42703"):
        return damaged(label, "a table or a column is missing")
    if not state or state[:2] in ("08", "53", "55", "57", "40"):
        return InfrastructureError(f"{label}: the server is out of reach ({said}). {_NEXT_POSTGRES}")
    return GraderError(f"{label}: the gradebook answered: {said}. This is a defect of the grader; please report it.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
