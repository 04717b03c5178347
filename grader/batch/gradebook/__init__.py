"""The gradebook: every attempt, report, override and setting of a class, in one SQLite file or a PostgreSQL database.

`book.Gradebook` is what others use. Below it: `schema` (migrations), `connection` (engines, and errors as sentences), `models` (the tables).
"""

from grader.batch.gradebook.book import Gradebook

__all__ = ["Gradebook"]
