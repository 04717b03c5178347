"""`main(writer, spec)`: make the attempts named in `spec["tries"]`, one after another, and send what each of them got.

Frames: `begin` {attempt}; then `did` {attempt, got} or `refused` {attempt, error} or `absent` {attempt, why}. An attempt that takes longer
than `spec["patience_s"]` is broken off where it can be. What an attempt says of itself is never the proof that it was held.
"""

import os
import signal

from . import endings, frames, network, processes, reading, writing
from .calls import NotHere

ROOMS = {"read": reading, "write": writing, "process": processes, "network": network, "ending": endings, "frames": frames}


def _alarm(*_):
    raise TimeoutError("the attempt took too long")


def main(writer, spec):
    """See the module's docstring; never returns."""
    signal.signal(signal.SIGALRM, _alarm)
    for name, bait in spec["tries"]:
        room, _, function = name.partition(".")
        writer.send("begin", {"attempt": name})
        bait = {**spec["bait"], **bait, "sequence": writer._sequence, "frames": writer._descriptor}
        try:
            signal.setitimer(signal.ITIMER_REAL, spec["patience_s"])
            got = ROOMS[room].TRIES[function](bait)
            kind, body = "did", {"attempt": name, "got": "" if got is None else str(got)[:100_000]}
        except NotHere as error:
            kind, body = "absent", {"attempt": name, "why": str(error)}
        except BaseException as error:
            kind, body = "refused", {"attempt": name, "error": f"{type(error).__name__}: {error}"[:300]}
        signal.setitimer(signal.ITIMER_REAL, 0)
        writer.send(kind, body)
    os._exit(0)
