"""Every way a run can end badly, by whose fault it is.

The command line turns the class of the error into the report's status and the exit code; nothing else decides it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class GraderError(Exception):
    """Base of every error that this package raises on purpose.

    `str(error)` is one message for a person: where, what was expected, what was found, what to do next.
    """

    exit_code: ClassVar[int] = 3
    status: ClassVar[str] = "grader_error"


class UsageError(GraderError):
    """The command line, the configuration or the rubric is wrong; nothing was graded. Exit code 2."""

    exit_code = 2


class NotGradable(GraderError):
    """The submission is not something that can be graded (not a notebook, another exercise). Exit code 4."""

    exit_code = 4
    status = "ungradable"


class NothingToGrade(GraderError):
    """No notebook was found where the submission was said to be. Exit code 5."""

    exit_code = 5
    status = "ungradable"


class InfrastructureError(GraderError):
    """The machine lacks something (a sandbox, a device, the network); retryable, never the student's. Exit code 6."""

    exit_code = 6
    status = "infra_error"


class FrameError(GraderError):
    """A sandbox sent something that is not a well-formed frame. What was received before it stays valid."""


class RebuildRefused(GraderError):
    """A claimed model is not made of allow-listed parts, or is too large to rebuild; the message says which part."""


@contextmanager
def refused(kind: type[GraderError], what: str, advice: str) -> Iterator[None]:
    """What the file system refuses becomes an error of ours: `what` could not be done, its reason, and `advice`."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what} ({error.strerror}). {advice}") from error
