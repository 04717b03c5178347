"""`grade calibrate`: run the reference's variants over many seeds and keep every run, one row a checkpoint, in `runs.csv`.

The runs go through the same box 2, in the same sandbox, as a student's. A calibration resumes: a run that is already in the file is not
made again, and a run is written only when it is complete.
"""

import csv
import fcntl
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from grader.errors import GraderError, UsageError
from grader.records import Checkpoint, Rerun
from grader.training import measure, thresholds
from grader.training.bands import CHANCE, Bands, wilson
from grader.training.box2 import TrainingRefused
from grader.training.course import SCHEDULE, SHORT, checkpoints
from grader.training.diagnosis import named_by
from grader.training.proof import death
from grader.training.resumed import Resumed
from grader.training.specification import Specification

COMMON = ("variant", "kind", "seed", "dataset", "backend", "precision")
"""What every row of every file begins with. All of it but the kind tells one run, diagnosis or verdict from another."""

COLUMNS = (
    *(*COMMON, "hardware", "keras", "batch", "step", "images"),
    *("train_loss", "train_accuracy", "held_loss", "held_accuracy", "held_images", "lowest_gradient", "silent", "dead", "seconds"),
)
DIAGNOSES = (*(*COMMON, "ending", "cause", "named", "change"), *("accuracy_without", "accuracy_with", "tried", "images"))
"""Columns of `diagnoses.csv`: the cause that a defect has, and the one whose change cured it."""

VERDICTS = (*COMMON, "hardware", "verdict", "endings", "cause", "named", "images", "seconds")
"""Columns of `verdicts.csv`: a variant judged whole, over all the seeds that a student's model gets. `seed` is the first of them, `seconds` what its training took."""

FAR = 0.17
"""An accuracy so far over guessing (ten standard errors) that a calibration run needs not go to the end of the budget."""

LEAST, MOST = 9600, 12800
"""Images that every run takes, and those that it takes where it is at chance by then and not dead."""

LONG = frozenset({"reference", "honest", "slow"})
"""Kinds that may take the whole budget; what a defect has not learned by `MOST` images it does not learn."""

AFTER_PROOF = 2
"""Checkpoints that a run goes on after its death was proved, to see whether a proof ever errs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where runs are made, and with which version of Keras: what every row says of it."""

    dataset: str
    backend: str
    precision: str
    hardware: str
    keras: str = ""

    def judging(self, bands: Bands, **more: Any) -> measure.Setting:
        """The same for judging a model by `bands`."""
        return measure.Setting(bands=bands, precision=self.precision, backend=self.backend, dataset=self.dataset, **more)


def variants(folder: Path) -> ModuleType:
    """The module `calibrate.py` of a reference folder. Raises UsageError where there is none."""
    path = folder / "calibrate.py"
    if not path.is_file():
        raise UsageError(f"{path}: expected the calibration's variants there; found none. This rubric cannot be calibrated.")
    spec = importlib.util.spec_from_file_location("grader_reference_variants", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def rows(path: Path, columns: tuple[str, ...] = COLUMNS) -> list[dict[str, str]]:
    """Every row of a runs file; none where there is no file. Raises UsageError where its columns are others."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise UsageError(f"{path}: expected the columns {', '.join(columns)}; found {', '.join(reader.fieldnames or ('none',))}.")
        return list(reader)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What is calibrated: `bases` is the solution's specification of each role, `queue` holds (variant, seed) pairs, `tell` hears how it goes."""

    box: Resumed
    bases: Mapping[str, Specification]
    queue: Sequence[tuple[Any, int]]
    setting: Setting
    tell: Callable[[str], None] = lambda _: None

    def make(self, path: Path) -> None:
        """Make every run of `queue` that `path` does not hold yet.

        A run takes `LEAST` images; on to `MOST` goes what is at chance by then and not dead.
        """
        for variant, seed in self.queue:
            if not _claim(path, COLUMNS, _common(variant, seed, self.setting)):
                continue
            specification = variant.make(self.bases[variant.role])
            deaths: list[int] = []
            points: list[Checkpoint] = []
            most = SCHEDULE[-1] if variant.kind in LONG else MOST
            try:
                for point in checkpoints(self.box, specification, seed=seed, precision=self.setting.precision, most=most):
                    points.append(point)
                    if death(point):
                        deaths.append(point.step)
                    followed = variant.kind == "fragile" and seed % 2 == 0  # every second fragile run is followed further
                    if len(deaths) > AFTER_PROOF and not followed:
                        break
                    if point.images >= LEAST and (deaths or (point.held is not None and point.held.accuracy >= FAR)):
                        break
            except TrainingRefused as refusal:
                self.tell(f"{variant.name} seed {seed}: {refusal}")
                continue
            _write(path, [_row(variant, seed, self.setting, specification.batch_size, point) for point in points])
            last = points[-1]
            self.tell(
                f"{variant.name} seed {seed}: {last.images} images, accuracy {last.held.accuracy if last.held else float('nan'):.3f}, dead at {deaths[:1]}, {sum(point.seconds for point in points):.0f} s"
            )

    def diagnose(self, source: Path, path: Path, bands: Bands) -> None:
        """Diagnose every recorded run of `queue` that did not learn, and append one row for each to `path`; resumes as `make` does."""
        variants = {variant.name: variant for variant, _ in self.queue}
        recorded = thresholds.recorded(rows(source), dataset=bands.dataset, backend=self.setting.backend, precision=self.setting.precision)
        where = self.setting.judging(bands)
        for run in recorded:
            variant = variants.get(run.variant)
            said = thresholds.decided(run, bands.points(variant.role))[0] if variant else "learns"
            if variant is None or said == "learns" or not _claim(path, DIAGNOSES, common := _common(variant, run.seed, self.setting)):
                continue
            accuracy, of = list(run.held.values())[-1] if run.held else (CHANCE, 1000)
            failing = Rerun(
                seed=run.seed,
                ending=cast("Any", said),
                points=(),
                images=run.images,
                steps=0,
                accuracy=accuracy,
                interval=wilson(accuracy * of, of),
            )
            found = measure.diagnose(self.box, variant.role, variant.make(self.bases[variant.role]), failing, where)
            cured = named_by(found)
            line = {
                **common,
                "ending": said,
                "cause": variant.cause,
                "named": cured.cause if cured else "",
                "change": cured.change if cured else "",
                "accuracy_without": f"{accuracy:.4f}",
                "accuracy_with": f"{cured.rerun.accuracy:.4f}" if cured and cured.rerun.accuracy is not None else "",
                "tried": len(found),
                "images": sum(each.rerun.images for each in found),
            }
            _write(path, [line], DIAGNOSES)
            self.tell(
                f"{run.variant} seed {run.seed}: {said}; wanted {variant.cause}, named {line['named'] or 'nothing'} ({line['accuracy_with']})"
            )

    def judge(self, path: Path, bands: Bands) -> None:
        """Judge every variant of `queue` as a student's model is judged, and append one row for each to `path`; resumes as `make` does.

        A row's `cause` is the one that the variant has, `named` the one that the verdict names. The hour that a grading may take is not kept to: what else runs
        beside it on the machine would decide.
        """
        unhurried = replace(SHORT, seconds=math.inf)
        for variant, seed in self.queue:
            if not _claim(path, VERDICTS, common := _common(variant, seed, self.setting)):
                continue
            before = self.box.seconds
            where = self.setting.judging(bands, budget=unhurried, first_seed=seed)
            found = measure.judge(self.box, variant.role, variant.make(self.bases[variant.role]), where)
            if found.verdict == "not_measured":
                self.tell(f"{variant.name}: {found.reason}")
                continue
            line = {
                **common,
                "hardware": self.setting.hardware,
                "verdict": found.verdict,
                "endings": ";".join(rerun.ending for rerun in found.reruns),
                "cause": variant.cause,
                "named": found.cause,
                "images": found.images,
                "seconds": f"{self.box.seconds - before:.1f}",
            }
            _write(path, [line], VERDICTS)
            self.tell(f"{variant.name}: {found.verdict} ({line['endings']}), named {found.cause or 'nothing'}, {line['seconds']} s")


def _row(variant: Any, seed: int, setting: Setting, batch: int, point: Checkpoint) -> dict[str, Any]:
    def shown(value: float | None, digits: int = 5) -> str:
        return "" if value is None else f"{value:.{digits}g}"

    held = point.held
    return {
        **_common(variant, seed, setting),
        "hardware": setting.hardware,
        "keras": setting.keras,
        "batch": batch,
        "step": point.step,
        "images": point.images,
        "train_loss": shown(point.train_loss),
        "train_accuracy": shown(point.train_accuracy),
        "held_loss": shown(held.loss if held else None),
        "held_accuracy": shown(held.accuracy if held else None),
        "held_images": held.images if held else "",
        "lowest_gradient": shown(min((norm for _, norm in point.gradients if norm is not None), default=None), 3),
        "silent": ";".join(f"{name}:{share:.3g}" for name, share, _ in point.silent or () if share >= 0.5),
        "dead": "yes" if death(point) else "no",
        "seconds": shown(point.seconds, 4),
    }


def _common(variant: Any, seed: int, setting: Setting) -> dict[str, str]:
    return dict(zip(COMMON, (variant.name, variant.kind, str(seed), setting.dataset, setting.backend, setting.precision), strict=True))


def _claim(path: Path, columns: tuple[str, ...], common: Mapping[str, str]) -> bool:
    """Whether this process is to make a run, diagnosis or verdict: it is neither in the file nor being made by another process."""
    name = [common[column] for column in COMMON if column != "kind"]
    if any([row[column] for column in COMMON if column != "kind"] == name for row in rows(path, columns)):
        return False
    folder = path.parent / ".calibrating"
    folder.mkdir(exist_ok=True)
    lock = (folder / "-".join([path.stem, *name]).replace("/", "_")).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _LOCKS.append(lock)  # held until this process ends: the kernel lets go of it then, whatever happens
    return True


_LOCKS: list[Any] = []


def _write(path: Path, lines: list[dict[str, Any]], columns: tuple[str, ...] = COLUMNS) -> None:
    """Append a whole run under a lock."""
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            if path.stat().st_size == 0:
                writer.writeheader()
            writer.writerows(lines)
    except OSError as error:
        raise GraderError(f"{path}: the run could not be written: {error}.") from error
