"""What an attack is and what became of it."""

from dataclasses import dataclass
from typing import Literal

Proof = Literal["secret", "said", "changed", "heard", "victim", "printed", "ended", "garbled", "survivor", "points"]
State = Literal["held", "open", "not_tried"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack. `id` is ROOM.NAME: the function NAME of `inside/ROOM`, or for a notebook `notebook.NAME`.

    `proof` says when it counts as open:
    secret: what came back holds something that only the secret holds. said: the forbidden call succeeded (there is no trace outside).
    changed: the attempt's own folder outside differs. heard: a listener outside was reached. victim: a process outside died or differs.
    printed: another program ran. ended: the box did not end by a limit, nor was the attempt refused. garbled: the host read on after a bad
    frame. survivor: a process of the box outlived it. points: a criterion earned more than in the same notebook without the attack.

    `alone`: needs a box of its own. `control`: succeeds where nothing confines it, harmlessly, and the tests show it; `root`: only as root.
    `secret`: for the proof "secret", which of the bait's secrets.
    """

    id: str
    family: str
    what: str
    proof: Proof
    alone: bool = False
    control: bool = True
    root: bool = False
    secret: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attack: `detail` says what was measured, in one sentence."""

    attack: Attack
    state: State
    detail: str
    seconds: float = 0.0
