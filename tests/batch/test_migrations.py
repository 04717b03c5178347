"""Migrations: they make what the models say, carry data from every revision, and go through whole or not at all."""

import shutil
import textwrap
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from books import KEY, entry, graded
from kills import history

from grader.batch.gradebook import Gradebook, schema
from grader.batch.gradebook.connection import connect
from grader.batch.gradebook.models import Base
from grader.errors import UsageError


def config(connection=None, folder=schema.MIGRATIONS):
    made = Config()
    made.set_main_option("script_location", str(folder))
    made.attributes["connection"] = connection
    return made


REVISIONS = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]


def test_the_newest_revision_is_known_without_alembic():
    assert ScriptDirectory.from_config(config()).get_heads() == [schema.NEWEST]


def tables_of_the_first_revision(connection):
    """Make the tables as the first version made them, whatever the models say by now."""
    text = Path(__file__).with_name("tables_0001.sql").read_text()
    if connection.dialect.name == "postgresql":
        for sqlite, postgresql in POSTGRESQL.items():
            text = text.replace(f" {sqlite}", f" {postgresql}")
    for statement in text.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    command.stamp(config(connection), "0001")


POSTGRESQL = {
    "INTEGER NOT NULL, -- id": "SERIAL NOT NULL,",
    "DATETIME": "TIMESTAMP WITH TIME ZONE",
    "BLOB": "BYTEA",
    "DOUBLE": "DOUBLE PRECISION",
}


def test_the_migrations_make_what_the_models_say(where):
    database = connect(where, create=True)
    with database.writing() as connection:
        tables_of_the_first_revision(connection)
    database.engine.dispose()
    with Gradebook.open(where) as book, book._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE, "target_metadata": Base.metadata})
        assert compare_metadata(context, Base.metadata) == []


def test_a_new_database_is_what_the_models_say(book):
    with book._database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE, "target_metadata": Base.metadata})
        assert compare_metadata(context, Base.metadata) == []


def make(where, revision):
    """A database at a revision, with a row in each of its tables, parents first."""
    database = connect(where, create=True)
    with database.writing() as connection:
        tables_of_the_first_revision(connection)
        command.upgrade(config(connection), revision)
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name != schema.VERSION_TABLE:
                connection.execute(
                    table.insert().values(
                        {column.name: value(column) for column in table.columns if not column.primary_key or column.type.python_type is str}
                    )
                )
        rows = {table.name: [tuple(row) for row in connection.execute(table.select())] for table in tables.sorted_tables}
    database.engine.dispose()
    return rows


def value(column):
    if column.foreign_keys:
        return 1 if column.type.python_type is int else "text"
    if isinstance(column.type, sa.JSON):
        return {"budget": "short"}
    return {str: "text", int: 0, float: 1.5, bytes: b"bytes", sa.DateTime: None}.get(column.type.python_type, sa.func.now())


@pytest.mark.parametrize("revision", REVISIONS)
def test_data_from_every_revision_come_through(where, revision):
    before = make(where, revision)
    with Gradebook.open(where) as book, book._database.reading() as connection:
        assert connection.scalar(sa.text(f"SELECT version_num FROM {schema.VERSION_TABLE}")) == schema.NEWEST
        tables = sa.MetaData()
        tables.reflect(connection)
        after = {table.name: [tuple(row) for row in connection.execute(table.select())] for table in tables.sorted_tables}
        assert len(before) == 9
        for name in before.keys() - {schema.VERSION_TABLE}:
            assert len(after[name]) == len(before[name]) == 1


NEXT = """
    from alembic import op
    import sqlalchemy as sa

    revision = "0002"
    down_revision = "0001"

    def upgrade():
        with op.batch_alter_table("contents", recreate="always" if op.get_bind().dialect.name == "sqlite" else "auto") as table:
            table.add_column(sa.Column("language", sa.Text(), nullable=False, server_default="python"))
"""


@pytest.fixture
def tomorrow(tmp_path, monkeypatch):
    """Give the package a revision more, as its next version may have."""

    def add(text=NEXT):
        folder = tmp_path / "50 %" / "migrations"
        shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        (folder / "versions" / "r0002_next.py").write_text(textwrap.dedent(text))
        monkeypatch.setattr(schema, "MIGRATIONS", folder)
        monkeypatch.setattr(schema, "NEWEST", "0002")

    return add


def fill(where):
    with Gradebook.open(where) as book:
        book.enter([entry(), entry("sub_b", "c2")])
        key = book.key(KEY)
        assert book.record(key, graded())
        book.override("sub_a", "model.head", 5, reason="It is one.", author="staff")
        return history(book, "sub_a"), list(book.standings(key))


def test_a_table_made_anew_takes_nothing_along(where, tomorrow):
    before = fill(where)
    tomorrow()
    with Gradebook.open(where) as book:
        assert (history(book, "sub_a"), list(book.standings())) == before
        with book._database.reading() as connection:
            assert set(connection.scalars(sa.text("SELECT language FROM contents"))) == {"python"}
        with pytest.raises(Exception, match="FOREIGN|foreign"), book._database.engine.begin() as connection:  # they are on again
            connection.execute(
                sa.text("INSERT INTO regrades (key_id, content, round, opened_at) VALUES (1, 'none', 1, '2026-11-01 00:00:00.000000')")
            )


def test_a_migration_that_fails_leaves_everything_as_it_was(where, tomorrow, monkeypatch):
    before = fill(where)
    with monkeypatch.context():
        tomorrow(NEXT + "        op.create_table('half', sa.Column('id', sa.Integer()))\n        raise RuntimeError('in the middle')\n")
        with pytest.raises(RuntimeError, match="in the middle"):
            Gradebook.open(where)
    monkeypatch.undo()
    with Gradebook.open(where) as book:
        assert (history(book, "sub_a"), list(book.standings())) == before
        with book._database.reading() as connection:
            assert not sa.inspect(connection).has_table("half")


def test_a_gradebook_of_a_newer_version_is_left_alone(where, tomorrow, monkeypatch):
    fill(where)
    tomorrow()
    Gradebook.open(where).close()
    monkeypatch.undo()
    with pytest.raises(UsageError, match=r"made by a newer version of grade \(its revision is '0002', the newest known here '0001'\)"):
        Gradebook.open(where)
    tomorrow()
    with Gradebook.open(where) as book:
        assert len(list(book.standings())) == 2
