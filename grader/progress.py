"""Who is told what a run does, while it does it."""

from typing import Any, Protocol


class Watch(Protocol):
    """Called with an event's name and what there is to say of it; must not raise.

    `phase` (phase: read | data | run | rebuild | train | judge | report), `cell` (number, of, cell, code), `training` (role, number, of),
    `trying` (role, change), `checkpoint` (role, seed, images, most, accuracy: None until one is measured),
    `trained` (role, verdict, images, accuracy, seconds, cached).
    """

    def __call__(self, event: str, /, **fields: Any) -> None:
        """Something begins, or has come further."""
        ...


def nobody(_event: str, /, **_fields: Any) -> None:
    """Nobody is told."""
