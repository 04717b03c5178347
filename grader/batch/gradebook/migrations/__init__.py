"""Alembic's migrations, run by `Gradebook.open`; they travel in the package.

A new revision: change `models.py`, add `versions/r0002_….py` (revision "0002", its `down_revision` the last one; on SQLite a column is changed with
`op.batch_alter_table`), and set `schema.NEWEST`. It imports nothing of `models.py`, which will have moved on when it runs. There are no downgrades: go back to a copy.
A new database gets its tables from `models.py`; revisions bring those that are there up to date, and the tests hold the two ways together.
"""
