"""All training checks of one notebook: one box 2, one load of the data, equal trainings once, verdicts from the cache where they are known."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from grader import sandbox
from grader.dataset import Dataset
from grader.errors import InfrastructureError, RebuildRefused
from grader.progress import Watch, nobody
from grader.records import Evidence, Model, Training
from grader.training import bands as bands_of
from grader.training.box2 import Box2, OutOfTime
from grader.training.cache import Cache
from grader.training.course import BUDGETS, SCHEDULE
from grader.training.measure import Setting, judge, reasoned
from grader.training.specification import Specification, specify

_ROOMS = Path(__file__).resolve().parent, Path(sandbox.__file__).resolve().parent
_CODE = tuple(path for room in _ROOMS for path in sorted(room.rglob("*.py")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked for: where the reference's thresholds lie, which budget, device and cache. `seed` is the first of the seeds tried."""

    reference: Path
    budget: str
    device: str = "cpu"
    backend: str = "tensorflow"
    seed: int = 0
    cache: Cache | None = None
    watch: Watch = nobody


def precision_for(device: str) -> str:
    """bfloat16 where the device computes in it (a GPU; a CPU with AVX-512 BF16 or AMX, where it is twice as fast as float32)."""
    if device == "gpu":
        return "mixed_bfloat16"
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                words = set(line.split())
                return "mixed_bfloat16" if words & {"avx512_bf16", "amx_bf16"} else "float32"
    return "float32"


def setting_for(plan: Plan, data: Dataset) -> Setting | None:
    """Where and how the re-runs are made; None where the data set was never calibrated for this reference."""
    found = bands_of.load(plan.reference, data.name)
    if found is None:
        return None
    return Setting(
        bands=found,
        budget=BUDGETS[plan.budget],
        precision=precision_for(plan.device),
        device=plan.device,
        backend=plan.backend,
        dataset=f"{data.name}:{data.fingerprint[:16]}",
        first_seed=plan.seed,
        watch=plan.watch,
    )


Otherwise = Callable[[str, Model, Setting], Training]
"""The way for a model that cannot be repeated from data: (role, model, setting) -> verdict."""


def train_roles(
    box: Box2,
    evidence: Evidence,
    roles: tuple[str, ...],
    plan: Plan,
    data: Dataset,
    deadline: float | None = None,
    otherwise: Otherwise | None = None,
) -> Mapping[str, Training]:
    """The verdict for each role that has a model; by the way `otherwise` for those that cannot be repeated from data. Raises InfrastructureError where box 2 or the device fails."""
    if plan.budget == "none":
        return {}
    setting = setting_for(plan, data)
    found: dict[str, Training] = {}
    by_key: dict[str, Training] = {}

    def trained(role: str, model: Model) -> Training:
        if setting is None:
            reason = (
                f"The model was not trained again: this rubric has no thresholds for the data set {data.name} (grade calibrate makes them)."
            )
            return Training(role=role, verdict="not_measured", reason=reason, budget=plan.budget)
        try:
            specification = specify(model)
        except RebuildRefused as refusal:
            with box.exclusive():  # not in the box, but on its processors
                return _by_the_other_way(role, model, setting, plan, evidence, f"{refusal}", otherwise)
        try:
            return _one(box, role, specification, setting, plan, by_key, deadline)
        except OutOfTime:
            reason = "Out of time: the deadline came before the model could be trained again."
            return Training(role=role, verdict="not_measured", reason=reason, budget=plan.budget)

    models = {
        role: match.model
        for role in roles
        if (match := evidence.roles.get(role)) is not None and match.model is not None and not match.model.claim.unfinished
    }
    for number, (role, model) in enumerate(models.items(), 1):
        plan.watch("training", role=role, number=number, of=len(models))
        found[role] = done = trained(role, model)
        shown = {"accuracy": done.shown.accuracy if done.shown else None, "images": done.shown.images if done.shown else 0}
        plan.watch("trained", role=role, verdict=done.verdict, seconds=done.seconds, cached=done.cached, **shown)
    return found


def _by_the_other_way(
    role: str, model: Model, setting: Setting, plan: Plan, evidence: Evidence, refusal: str, otherwise: Otherwise | None
) -> Training:
    """Trained by the notebook's own code; kept under the hash of that code."""
    if otherwise is None or not model.fits:
        return Training(role=role, verdict="not_measured", reason=f"The model was not trained again: {refusal}.", budget=plan.budget)
    said = json.dumps(
        [
            [cell.source for cell in evidence.notebook.code],
            [
                role,
                model.fits[-1].index,
                plan.budget,
                setting.bands.sha256,
                setting.dataset,
                setting.first_seed,
                sorted(evidence.run.versions.items()),
            ],
            _code_digest(),
        ]
    )
    key = hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()
    known = plan.cache.get(key) if plan.cache else None
    if known is not None:
        return replace(known, role=role, key=key)
    result = replace(otherwise(role, model, setting), key=key)
    if result.verdict == "stuck":  # no cause was proved: at guessing after a short run is not yet a failure
        result = replace(result, verdict="slow", reason="")
        result = replace(result, reason=reasoned(result))
    if plan.cache is not None:
        plan.cache.put(key, result)
    return result


def _one(
    box: Box2, role: str, specification: Specification, setting: Setting, plan: Plan, by_key: dict[str, Training], deadline: float | None
) -> Training:
    specification = specification if setting.budget.whole else specification.within(setting.budget.images)
    band = setting.bands.roles.get(role) and role  # roles without a band of their own are judged as the base model is
    key = specification.key(
        budget=plan.budget,
        band=band or "base",
        thresholds=setting.bands.sha256,
        dataset=setting.dataset,
        precision=setting.precision,
        backend=setting.backend,
        device=setting.device,
        seed=setting.first_seed,
        schedule=SCHEDULE,
        versions=box.versions(deadline),
        code=_code_digest(),
    )
    known = by_key.get(key) or (plan.cache.get(key) if plan.cache else None)
    if known is None:
        with box.exclusive():
            known = plan.cache.get(key) if plan.cache else None  # somebody may have measured it while the box was theirs
            if known is None:
                by_key[key] = result = replace(judge(box, role, specification, setting, deadline), key=key)
                if plan.cache is not None:
                    plan.cache.put(key, result)
                return result
    return replace(known, role=role, cached=True, key=key)


@cache
def _code_digest() -> str:
    """Of the code that measures, the boxes' too: another way of measuring is another verdict."""
    whole = hashlib.sha256()
    for path in _CODE:
        whole.update(json.dumps([path.name, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return whole.hexdigest()[:16]


def check_device(device: str) -> str:
    """The device to use for "auto", "cpu" or "gpu". Raises InfrastructureError where a GPU was asked for and there is none."""
    there = Path("/dev/nvidiactl").exists()
    if device == "gpu" and not there:
        raise InfrastructureError("--device gpu: no GPU was found on this machine. Run `grade doctor`, or use --device auto.")
    return "gpu" if there and device != "cpu" else "cpu"
