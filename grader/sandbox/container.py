"""The tier for a container that keeps one submission from everything else already, where neither bubblewrap nor Landlock works: declared, never guessed.

`--sandbox container` says aloud that this machine is thrown away after the submission and holds nothing that the student may not read but what
comes with the grader. Inside it a box has seccomp, rlimits, no capabilities, Landlock if the kernel has it, and another user id where we are root.
Without Landlock it reads what its user may read, the rubric and the thresholds among it, and writes where its user may write.
"""

from grader.sandbox.base import TierState
from grader.sandbox.inside.harden import landlock_abi, seccomp_available
from grader.sandbox.landlock import Landlock


class Container(Landlock):
    """See the module's docstring."""

    name = "container"

    def probe(self) -> TierState:
        """Ask the kernel for seccomp."""
        if not seccomp_available():
            mend = (
                "Let the container's profile allow seccomp filters; without them nothing keeps a box from starting processes and sockets."
            )
            return TierState(name=self.name, works=False, reason="The kernel takes no seccomp filter.", mend=mend)
        abi = landlock_abi()
        files = f"Landlock ABI {abi}" if abi else "no Landlock, so the container alone keeps files apart"
        return TierState(name=self.name, works=True, reason=f"The container that was declared, with seccomp, rlimits and {files}.")
