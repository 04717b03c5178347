"""The first schema, where revisions begin: there is no older one to come from."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """A new database gets its tables from `models.py` (`schema.py`)."""
