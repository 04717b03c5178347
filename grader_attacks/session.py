"""The whole suite on one tier, and what came of it in words: what `grade doctor --attack` runs and prints."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from grader.sandbox import Sandbox
from grader_attacks import archives, boxes, notebooks, suite
from grader_attacks.records import Outcome


def run(sandbox: Sandbox, store: Path) -> Iterator[Outcome]:
    """Make every attack on `sandbox`, the quick ones first; `store` holds the images for the notebooks.

    On the tier `none` only those attacks on a box are made that do no harm where nothing holds them, and no notebooks. Raises
    InfrastructureError where a box cannot be started.
    """
    yield from archives.run()
    yield from boxes.run([attack for attack in suite.BOX_ATTACKS if attack.control or sandbox.name != "none"], sandbox)
    if sandbox.name != "none":
        yield from notebooks.run(notebooks.NOTEBOOKS, sandbox, store)


def lines(outcomes: Sequence[Outcome], tier: str) -> Iterator[str]:
    """The report for a terminal: counts of each family, then every attack that is open or was not tried, with its sentence."""
    families = dict.fromkeys(outcome.attack.family for outcome in outcomes)
    for family in families:
        found = Counter(outcome.state for outcome in outcomes if outcome.attack.family == family)
        yield f"{family:24} {found['held']:4} held {found['open']:4} open {found['not_tried']:4} not tried"
    for outcome in outcomes:
        if outcome.state != "held":
            reason = suite.KNOWN_OPEN.get(tier, {}).get(outcome.attack.id, "") if outcome.state == "open" else ""
            words = f"{outcome.attack.what} {reason or outcome.detail}"
            yield f"{'open     ' if outcome.state == 'open' else 'not tried'} {outcome.attack.id}: {words}"
    found = Counter(outcome.state for outcome in outcomes)
    yield f"Tier {tier}: {found['held']} of {len(outcomes)} attacks held, {found['open']} open, {found['not_tried']} not tried."


def as_json(outcomes: Sequence[Outcome], tier: str) -> str:
    """The same as one JSON object: {tier, held, open, not_tried, attacks: [{id, family, what, state, detail, reason, seconds}]}."""
    found = Counter(outcome.state for outcome in outcomes)
    rows = [
        {key: value for key, value in asdict(outcome.attack).items() if key in ("id", "family", "what")}
        | {"state": outcome.state, "detail": outcome.detail, "seconds": outcome.seconds}
        | {"reason": suite.KNOWN_OPEN.get(tier, {}).get(outcome.attack.id, "")}
        for outcome in outcomes
    ]
    counts = {state: found[state] for state in ("held", "open", "not_tried")}
    return json.dumps({"tier": tier, **counts, "attacks": rows}, ensure_ascii=False, indent=1)
