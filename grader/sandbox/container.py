"""The tier for a container that keeps one submission from everything else already, where neither bubblewrap nor Landlock works: declared, never guessed.

`--sandbox container` says aloud that this machine is thrown away after the submission and holds nothing that the student may not read but what
comes with the grader. Inside it a box has seccomp, rlimits, no capabilities, Landlock if the kernel has it, and another user id where we are root.
Without Landlock it reads what its user may read, the rubric and the thresholds among it, and writes where its user may write. So that user has to be
another one than the grader's, or the notebook could rewrite the grader and its report; where there is no other, the tier does not work.
"""

from grader.sandbox.base import TierState
from grader.sandbox.inside.harden import landlock_abi, seccomp_available
from grader.sandbox.landlock import Landlock, other_user


class Container(Landlock):
    """See the module's docstring."""

    name = "container"

    def probe(self) -> TierState:
        """Ask the kernel for seccomp, and for Landlock; where it has none, whether boxes can be another user's."""
        if not seccomp_available():
            mend = (
                "Let the container's profile allow seccomp filters; without them nothing keeps a box from starting processes and sockets."
            )
            return TierState(name=self.name, works=False, reason="The kernel takes no seccomp filter.", mend=mend)
        abi, user = landlock_abi(), other_user()
        if not abi and user is None:
            reason = "The kernel has no Landlock, and boxes would run as the grader's own user: a notebook could rewrite the grader and its report."
            mend = (
                "Run grade as root with a Python that every user may run (not one below a private home such as /root), "
                "or let the container's profile pass Landlock's three system calls."
            )
            return TierState(name=self.name, works=False, reason=reason, mend=mend)
        files = f"Landlock ABI {abi}" if abi else "no Landlock, so the container alone keeps files apart"
        as_user = f"as user {user}" if user is not None else "as the same user"
        return TierState(
            name=self.name, works=True, reason=f"The container that was declared, with seccomp, rlimits and {files}, {as_user}."
        )
