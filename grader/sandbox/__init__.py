"""Running a program so that it can read, write, reach and outlive nothing that it was not given.

`tiers()` lists the backends from best to worst, `choose(name)` picks one. A box is started with a `Job` and `Limits` and talks in frames.
"""

from grader.errors import InfrastructureError, UsageError
from grader.sandbox.base import Job, Sandbox, TierState
from grader.sandbox.bubblewrap import Bubblewrap
from grader.sandbox.container import Container
from grader.sandbox.inside.harden import landlock_abi
from grader.sandbox.landlock import Landlock
from grader.sandbox.limits import Limits
from grader.sandbox.process import Ending, Running
from grader.sandbox.unprotected import Unprotected

__all__ = ["BACKENDS", "Ending", "Job", "Limits", "Running", "Sandbox", "TierState", "choose", "keeps_together", "tiers"]

_AUTOMATIC: tuple[Sandbox, ...] = (Bubblewrap(), Landlock())
BACKENDS: tuple[Sandbox, ...] = (*_AUTOMATIC, Container(), Unprotected())


def tiers() -> tuple[TierState, ...]:
    """The state on this machine, best first, of every backend that `auto` may take, and of `none`."""
    return tuple(backend.probe() for backend in (*_AUTOMATIC, BACKENDS[-1]))


def choose(name: str = "auto") -> Sandbox:
    """The backend called `name`; `auto` takes the best that works, and never `container` or `none`, which have to be said aloud.

    Raises UsageError for an unknown name, InfrastructureError where nothing (or not the named one) works.
    """
    if name == "auto":
        for backend in _AUTOMATIC:
            if backend.probe().works:
                return backend
        lacks = " ".join(f"{state.name}: {state.reason}" for state in tiers()[:-1])
        raise InfrastructureError(
            f"No sandbox works on this machine, so the student's code was not run. {lacks} Run `grade doctor` to see how to fix it. "
            "`--sandbox container` uses a container that is discarded after the submission; "
            "`--sandbox none` runs the notebook without protection, for notebooks you trust."
        )
    for backend in BACKENDS:
        if backend.name == name:
            backend.probe().require()
            return backend
    raise UsageError(f"--sandbox {name}: no such sandbox; choose one of auto, {', '.join(backend.name for backend in BACKENDS)}.")


def keeps_together(tier: Sandbox) -> str:
    """Why boxes of several submissions must not run on `tier` of one machine; empty where they are kept apart (or, with `none`, nothing is promised)."""
    if isinstance(tier, Container) and not landlock_abi():
        return (
            "The kernel has no Landlock, so the declared container alone keeps files apart, and it holds several submissions here: "
            "each could read and change what another one leaves. Grade one submission per container, or use a machine with bubblewrap or Landlock."
        )
    return ""
