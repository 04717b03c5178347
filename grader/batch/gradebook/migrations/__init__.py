"""Alembic's migrations, run by `Gradebook.open`; they travel in the package.

A new revision: change `models.py`, add `versions/r0002_….py` (revision "0002", its `down_revision` the last one; on SQLite a column is changed with
`op.batch_alter_table`), and set `schema.NEWEST`. It holds its own table definitions, for `models.py` will have moved on when it runs. There are no downgrades: go back to a copy.
"""
