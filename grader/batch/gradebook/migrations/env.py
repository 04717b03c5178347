"""Run by Alembic: migrates on the connection, and in the transaction, that `schema.py` hands over."""

from alembic import context

from grader.batch.gradebook.models import Base
from grader.batch.gradebook.schema import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, version_table=VERSION_TABLE, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
