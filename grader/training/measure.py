"""The verdict on one model: re-run it, over several seeds where one dies; where it does not learn, find the cause by changing one thing at a time.

How sure the verdict is, is counted in `reference/<rubric>/README.md`.
"""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from grader.progress import Watch, nobody
from grader.records import BandPoint, Checkpoint, Counterfactual, CurvePoint, Rerun, Training, Verdict
from grader.training.bands import Bands
from grader.training.box2 import BoxDied, TrainingRefused
from grader.training.course import SHORT, Budget, Trainer, follow, whole
from grader.training.diagnosis import Intervention, last_resorts, named_by, risk, suspected, told
from grader.training.specification import Specification

if TYPE_CHECKING:
    from collections.abc import Callable

SEEDS_STUCK = 2
"""Seeds that have to stay at guessing before causes are tried; where none is found, one more seed."""

SEEDS_AT_RISK = 3
"""Seeds tried in any case where the structure is known to die by chance (a rectifier on the score maps)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how re-runs are made."""

    bands: Bands
    budget: Budget = SHORT
    precision: str = "float32"
    device: str = "cpu"
    backend: str = "tensorflow"
    dataset: str = ""
    first_seed: int = 0
    watch: Watch = nobody


def judge(box: Trainer, role: str, specification: Specification, setting: Setting, deadline: float | None = None) -> Training:
    """The verdict on a specification. Raises InfrastructureError where box 2 fails."""
    began = time.monotonic()
    box = Watched(box, role, setting.watch)
    head = Training(
        role=role,
        verdict="not_measured",
        budget=setting.budget.name,
        device=setting.device,
        backend=setting.backend,
        precision=setting.precision,
        dataset=setting.dataset,
        band=setting.bands.points(role),
        notes=specification.notes,
    )
    until = began + setting.budget.seconds
    one = _Follower(box, role, setting, until if deadline is None else min(until, deadline))
    known = risk(specification)
    reruns: list[Rerun] = []
    tried: list[Counterfactual] = []
    try:
        while _undecided(reruns, setting, at_risk=known is not None):
            reruns.append(one(specification, setting.first_seed + len(reruns)))
            if len(reruns) == SEEDS_STUCK and not {"dead", "learns", "cut"} & {rerun.ending for rerun in reruns}:
                tried = _intervene(one, reruns[0], suspected(specification)[: setting.budget.counterfactuals])
                if tried and tried[-1].cures:  # twice the whole budget at guessing, and the cause is proved: no third is needed
                    break
    except TrainingRefused as refusal:
        return replace(head, reason=f"The model was not trained again: {refusal}.", seconds=_since(began))
    verdict = verdict_of(reruns)
    still = next((rerun for rerun in reruns if rerun.ending == "stuck"), None)
    if verdict == "learns" and still is not None and known is not None:  # dead in all but the proof? The cure of its own risk tells
        tried = _intervene(one, still, [known])
        verdict = "fragile" if tried and tried[-1].cures else verdict
    result = replace(
        head, verdict=verdict, reruns=tuple(reruns), fraction=None if verdict == "not_measured" else fraction_of(reruns, setting, role)
    )
    if verdict in ("dead", "stuck", "fragile", "doubtful"):
        failing = [rerun for rerun in reruns if rerun.ending in ("dead", "stuck", "doubtful")]
        for rerun, candidates in _attempts(specification, failing, tried):
            if tried and tried[-1].cures:
                break
            causes, lived = candidates, next((found for found in tried if found.lives), None)
            if lived is not None:  # the cause is named; on one more seed that died the same change may show more than a life
                causes = [each for each in candidates if each.cause == lived.cause and rerun.seed != lived.rerun.seed]
            tried += _intervene(one, rerun, causes[: setting.budget.counterfactuals - len(tried)])
        named = named_by(tried)
        against = next((rerun for rerun in failing if named is not None and rerun.seed == named.rerun.seed), failing[0])
        result = told(replace(result, counterfactuals=tuple(tried)), specification, against, out_of_time=one.out_of_time)
    elif verdict == "learns" and setting.budget.whole:
        result = replace(result, whole=_whole(box, specification, reruns[0].seed, setting, deadline))
    spent = sum(rerun.images for rerun in (*reruns, *(found.rerun for found in result.counterfactuals)))
    spent += result.whole[-1].images if result.whole else 0
    if verdict == "not_measured" and (deadline is None or until < deadline):
        minutes = f"{setting.budget.seconds / 60:g} minutes"
        result = replace(result, reason=f"Out of time: the model trains so slowly that the training check had no verdict after {minutes}.")
    return replace(result, reason=result.reason or reasoned(result), review=_review(result), images=spent, seconds=_since(began))


class Watched:
    """A trainer that tells how far each of its runs is."""

    def __init__(self, box: Trainer, role: str, watch: Watch) -> None:
        self._box, self._watch, self._role = box, watch, role
        self._run: dict[str, Any] = {}

    def open(self, specification: Specification, *, seed: int, precision: str, most_steps: int, deadline: float | None = None) -> None:
        """See `Trainer`."""
        self._run = {"role": self._role, "seed": seed, "images": 0, "most": most_steps * specification.batch_size, "accuracy": None}
        self._watch("checkpoint", **self._run)
        self._box.open(specification, seed=seed, precision=precision, most_steps=most_steps, deadline=deadline)

    def advance(self, steps: int, *, evaluate: int = 0, probe: bool = False, deadline: float | None = None) -> Checkpoint:
        """See `Trainer`."""
        point = self._box.advance(steps, evaluate=evaluate, probe=probe, deadline=deadline)
        self._run |= {"images": point.images, **({"accuracy": point.held.accuracy} if point.held else {})}
        self._watch("checkpoint", **self._run)
        return point


class _Follower:
    """`follow` with everything but the specification and the seed filled in."""

    def __init__(self, box: Trainer, role: str, setting: Setting, deadline: float | None) -> None:
        self._box, self._setting, self._deadline = box, setting, deadline
        self.role, self.watch = role, setting.watch
        self.band: Callable[[int], BandPoint] = lambda images: setting.bands.at(role, images)

    def __call__(self, specification: Specification, seed: int) -> Rerun:
        try:
            return self._follow(specification, seed)
        except BoxDied:  # perhaps by chance, or by somebody's kill -9: from the start once more, in a new box
            return self._follow(specification, seed)

    def _follow(self, specification: Specification, seed: int) -> Rerun:
        setting = self._setting
        return follow(
            self._box, specification, self.band, seed=seed, precision=setting.precision, budget=setting.budget, deadline=self._deadline
        )

    @property
    def out_of_time(self) -> bool:
        """Whether the deadline has come."""
        return self._deadline is not None and time.monotonic() > self._deadline


def _undecided(reruns: list[Rerun], setting: Setting, *, at_risk: bool) -> bool:
    """Whether another seed is needed.

    One death is tried on every seed of the budget, a run at guessing without a proof on two more; one that learns is enough, unless the
    structure is known to die by chance.
    """
    endings = [rerun.ending for rerun in reruns]
    if not endings:
        return True
    if "cut" in endings or len(endings) >= setting.budget.seeds:
        return False
    if "dead" in endings:
        return True
    if "learns" in endings:
        return len(endings) < (SEEDS_AT_RISK if at_risk else 1)
    return len(endings) <= SEEDS_STUCK


def verdict_of(reruns: list[Rerun]) -> Verdict:
    """The verdict on a model from its re-runs on one seed each."""
    endings = [rerun.ending for rerun in reruns]
    living, decided = endings.count("learns"), [ending for ending in endings if ending != "cut"]
    if not decided:
        return "not_measured"
    if living:  # a run that was still at guessing when the budget ended is no death
        return "fragile" if "dead" in decided else "learns"
    if "cut" in endings:  # the seeds that were to tell dead from fragile, and slow from stuck, were not tried
        return "not_measured"
    if all(ending == "dead" for ending in decided):
        return "dead"
    return "doubtful" if "doubtful" in decided else "stuck"


def fraction_of(reruns: list[Rerun], setting: Setting, role: str) -> float | None:
    """Where the runs stand on the ramp from the band's `zero` (0) to its `passes` (1), their mean; None where nothing was measured.

    A run that is over `passes` while its loss is that of guessing is left out: its accuracy may be luck.
    """
    shares = []
    for rerun in reruns:
        if rerun.accuracy is None or rerun.ending == "cut":
            continue
        limits = setting.bands.at(role, rerun.points[-1].images)
        if rerun.ending == "doubtful" and rerun.accuracy >= limits.passes:  # while the loss is that of guessing: perhaps luck
            continue
        share = (rerun.accuracy - limits.zero) / (limits.passes - limits.zero) if limits.passes > limits.zero else 0.0
        shares.append(0.0 if rerun.ending == "dead" else min(max(share, 0.0), 1.0))
    return round(sum(shares) / len(shares), 3) if shares else None


def _whole(box: Trainer, specification: Specification, seed: int, setting: Setting, deadline: float | None) -> tuple[CurvePoint, ...]:
    try:
        return whole(box, specification, seed=seed, precision=setting.precision, deadline=deadline)
    except TrainingRefused:
        return ()


def _attempts(specification: Specification, failing: list[Rerun], tried: list[Counterfactual]) -> list[tuple[Rerun, list[Intervention]]]:
    """Which changes to try on which seed, in order.

    What the model itself suggests, on two seeds that failed (a cured model, too, may be at guessing for a whole short run), then the last resorts.
    """
    known = {found.cause for found in tried}
    attempts = [(failing[0], [each for each in suspected(specification) if each.cause not in known])]
    attempts += [(rerun, suspected(specification)[:2]) for rerun in failing[1:2]]
    return [*attempts, (failing[0], last_resorts(specification))]


def diagnose(
    box: Trainer, role: str, specification: Specification, failing: Rerun, setting: Setting, deadline: float | None = None
) -> list[Counterfactual]:
    """The interventions that are tried for a run that does not learn, up to the first that cures. Raises InfrastructureError."""
    one = _Follower(box, role, setting, deadline)
    wanted = [*suspected(specification), *last_resorts(specification)][: setting.budget.counterfactuals]
    return _intervene(one, failing, wanted)


def _intervene(one: _Follower, failing: Rerun, interventions: list[Intervention]) -> list[Counterfactual]:
    """Change one thing at a time, most likely cause first, until the same seed learns, or no longer dies."""
    found: list[Counterfactual] = []
    for intervention in interventions:
        if one.out_of_time:
            break
        one.watch("trying", role=one.role, change=intervention.change)
        try:
            again = one(intervention.changed, failing.seed)
        except TrainingRefused:
            continue
        cures = again.ending == "learns" and _clearly_better(again, failing)
        found.append(
            Counterfactual(
                cause=intervention.cause,
                change=intervention.change,
                because=intervention.because,
                cure=intervention.cure,
                rerun=again,
                cures=cures,
                lives=failing.ending == "dead" and again.ending in ("stuck", "doubtful"),
            )
        )
        if cures or found[-1].lives:  # alive to the end of the budget where it had died: no other change is needed to name the cause
            break
    return found


def _clearly_better(again: Rerun, failing: Rerun) -> bool:
    """Whether the 95 % intervals of the two accuracies leave a gap; a dead run that was never measured guesses."""
    if again.interval is None:
        return False
    return failing.interval is None or again.interval[0] > failing.interval[1]


def reasoned(training: Training) -> str:
    """The verdict as sentences for the student."""
    shown = training.shown
    if training.verdict == "not_measured" or shown is None:
        return "Out of time: the training check had no verdict before the deadline."
    count = len(training.reruns)
    reached = (
        f"{shown.accuracy:.2f} of the held-back images right after {shown.images:,} training images" if shown.accuracy is not None else ""
    )
    match training.verdict:
        case "learns":
            more = (
                ""
                if count == 1
                else f" on each of {count} seeds"
                if training.living == count
                else f" on {training.living} of {count} seeds"
            )
            return f"Trained again, the network learns{more}: {reached} (chance level: 0.10)."
        case "fragile":
            died = sum(rerun.ending == "dead" for rerun in training.reruns)
            rest = count - training.living - died
            others = [f"dies on {died}"] * bool(died) + [f"stays at chance level on {rest}"] * bool(rest)
            return (
                f"Trained again from {count} different random starts, the network learns on {training.living}, and {' and '.join(others)}."
            )
        case "dead":
            proof = next((rerun.proof for rerun in training.reruns if rerun.proof), "")
            return f"Trained again from {count} different random starts, the network dies every time: {proof}."
        case "doubtful" if training.fraction is None:
            return f"Trained again, the network gets {reached}, but its loss stays at chance level: a short check cannot tell whether it learns."
        case "doubtful":
            return f"Trained again, the network learns less than the reference does in the same time: {reached}."
        case "slow":
            return f"Trained again from {count} different random starts, the network was still at chance level: {reached}. It is not dead."
    return f"Trained again, the network stays at chance level: {reached}."


def _review(training: Training) -> str:
    """Why a person should look at the verdict; empty where it is certain."""
    shown = training.shown
    if training.verdict == "doubtful" and shown is not None and shown.interval is not None and training.band:
        last = min(training.band, key=lambda point: abs(point.images - shown.images))
        low, high = shown.interval
        if shown.accuracy is not None and shown.accuracy >= last.passes:
            return f"The accuracy, {shown.accuracy:.3f}, is above the limit {last.passes:.3f}, but the loss is still at chance level: it may be luck."
        for limit in (last.zero, last.passes):
            if low <= limit <= high:
                return f"The accuracy's 95 % interval, {low:.3f} to {high:.3f}, contains the limit {limit:.3f}."
        return "The network learns more slowly than every reference run; a short check cannot tell how far it gets."
    if training.cause == "few_images":
        return "The notebook trains on too few images to tell how far the network gets."
    if training.verdict == "slow":
        return "The network trains too slowly for a short check to tell how far it gets."
    return ""


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)
