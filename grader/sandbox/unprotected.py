"""`--sandbox none`: a plain process with rlimits. For trusted notebooks only (one's own solution); every report says so."""

import os

from grader.sandbox.base import Job, TierState, command, environment
from grader.sandbox.folders import make_folder
from grader.sandbox.launch import launch
from grader.sandbox.limits import Limits
from grader.sandbox.process import Running


class Unprotected:
    """See the module's docstring."""

    name = "none"

    def probe(self) -> TierState:
        """Works everywhere, protects nothing."""
        return TierState(name=self.name, works=True, reason="No protection; only when asked for by name.")

    def start(self, job: Job, limits: Limits) -> Running:
        """Start the program as a plain process in a temporary folder."""
        folder = make_folder()
        work, temporary = folder / "content", folder / "tmp"
        for path in (work, temporary):
            path.mkdir()
        return launch(
            lambda frames: command(job, frames),
            job=job,
            limits=limits,
            folder=folder,
            confinement={"tier": self.name, "parent": os.getpid(), "readable": [], "writable": []},
            environment=environment(job, str(work), str(temporary)),
            work=work,
        )
