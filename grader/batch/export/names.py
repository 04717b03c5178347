"""Who is behind a pseudonym, as far as an export needs to know. The identities of a class (`batch.identities`) are such names."""

from collections.abc import Mapping
from typing import Protocol


class Identity(Protocol):
    """A student or a group. `student` and `members` are identifiers of the platform; `ids` holds what else it knows them by."""

    @property
    def name(self) -> str:
        """As the platform writes it; empty where it is not known."""
        ...

    @property
    def student(self) -> str:
        """The platform's identifier."""
        ...

    @property
    def platform(self) -> str:
        """Where they handed in: canvas, moodle, …."""
        ...

    @property
    def ids(self) -> Mapping[str, str]:
        """Identifiers by kind: `uid` (Canvas), `participant` (Moodle), `student` (nbgrader), `sid`, `email`, …."""
        ...

    @property
    def members(self) -> tuple[str, ...]:
        """A group's students; empty for a single one."""
        ...


class Names(Protocol):
    """A class' names."""

    def of(self, pseudonym: str) -> Identity | None:
        """Who is behind a pseudonym; None where it is not known."""
        ...
