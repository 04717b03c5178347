"""Bringing a database to the newest schema. Alembic is imported only where something is to be done."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from grader.batch.gradebook.connection import Database, damaged, told, use_wal
from grader.batch.gradebook.models import Base
from grader.errors import UsageError

NEWEST = "0001"
"""The newest revision in `migrations/versions`; a test holds the two together."""
VERSION_TABLE = "gradebook_version"
MIGRATIONS = Path(__file__).with_name("migrations")
_ADVISORY_LOCK = 0x67726164  # "grad": on PostgreSQL one process migrates at a time


def bring_up_to_date(database: Database, *, create: bool) -> None:
    """Make the tables, or migrate them, in one transaction; nothing is done where the schema is the newest.

    Raises:
        UsageError: the database holds something else, was made by a newer version, or is empty and `create` is false.
    """
    with database.reading() as connection:
        found = _found(database, connection, create=create)
    if database.path:
        use_wal(database)
    if found == NEWEST:
        return
    with told(database), database.engine.execution_options(writes=True).connect() as connection:
        raw = connection.connection.driver_connection
        if isinstance(raw, sqlite3.Connection):  # tables that are made anew must not take what refers to them along
            raw.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                if not database.path:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
                found = _found(database, connection, create=create)  # another process may have been faster
                if found != NEWEST:
                    _migrate(database, connection, found)
        finally:
            connection.invalidate()  # foreign keys are off on this one


def _found(database: Database, connection: Connection, *, create: bool) -> str | None:
    """The revision in the database; None for an empty one."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        rows = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars().all()  # noqa: S608 (a constant)
        if len(rows) != 1 or not isinstance(rows[0], str):
            raise damaged(database.label, "it does not say which version made it")
        return rows[0]
    if tables:
        raise UsageError(
            f"{database.label}: expected a gradebook or an empty database; found tables of something else. Give the gradebook a database of its own."
        )
    if not create:
        raise UsageError(
            f"{database.label}: expected a gradebook; the database is empty. Check the address; `grade batch` makes a gradebook."
        )
    return None


def _migrate(database: Database, connection: Connection, found: str | None) -> None:
    from alembic import command  # noqa: PLC0415  (takes half a second)
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found is not None and found not in {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}:
        raise UsageError(
            f"{database.label}: the gradebook was made by a newer version of grade (its revision is {found!r}, the newest known here {NEWEST!r}). "
            "Install that version or a later one."
        )
    if found is None:  # new tables are as the models say; revisions are for those that are there
        Base.metadata.create_all(connection)
        command.stamp(config, "head")
    else:
        command.upgrade(config, "head")
    if database.path and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        raise damaged(database.label, "rows refer to others that are missing")
