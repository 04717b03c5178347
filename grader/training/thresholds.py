"""From the calibration's runs to the reference bands and their error rates. Pure functions of the rows of `runs.csv`.

*The band* of a role after so many images: the smallest, median and largest accuracy on held-back images of the solution's own runs. A run that was ended
because it was far over guessing counts with its last accuracy later on (a lower bound).

*Limits.* `zero` = 0.1 + 2.33 standard errors of guessing (one run in a hundred that guesses lies over it). `passes` = the larger of
0.1 + 4.5 standard errors, and the best accuracy of any visible defect's run at that point plus 2 standard errors; a defect that was
over guessing by luck alone (`bands.off_guessing`) does not count, as no accuracy lets it pass.

*Error rates* are counted on seeds that the limits were not computed from: limits from the even seeds judge the odd ones, and the other way
round. A run that the file holds only in part counts as what its last point says. `honest_undecided` are single seeds that were still at guessing when the
budget ended: another seed is tried then, and a model without a proved cause is never failed for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.records import BandPoint
from grader.training.bands import CHANCE, nearest, off_guessing, wilson

DEFAULT = {"backend": "tensorflow", "precision": "mixed_bfloat16"}
"""The setting whose runs the thresholds are computed from; others are compared with it."""

HONEST = frozenset({"reference", "honest"})
ZERO_Z, PASS_Z, DEFECT_Z = 2.33, 4.5, 2.0


@dataclass(slots=True)
class Recorded:
    """One run of the file. `held`: images -> (accuracy, held-back images measured); `off`: those where it was off guessing (`bands.off_guessing`).

    `died`: images at which death was proved.
    """

    variant: str
    seed: int
    held: dict[int, tuple[float, int]] = field(default_factory=dict)
    off: set[int] = field(default_factory=set)
    died: int | None = None
    revived: bool = False
    images: int = 0
    seconds: float = 0.0

    def at(self, images: int) -> tuple[float, int] | None:
        """Accuracy and images measured at a checkpoint: the last one before it where the run had ended by then."""
        before = [point for point in sorted(self.held) if point <= images]
        if images in self.held:
            return self.held[images]
        return self.held[before[-1]] if before and images > self.images else None


def recorded(rows: Iterable[Mapping[str, str]], *, dataset: str, backend: str, precision: str) -> list[Recorded]:
    """The runs of one setting. `dataset` is a data set's name without its fingerprint."""
    found: dict[tuple[str, int], Recorded] = {}
    for row in rows:
        if row["dataset"].partition(":")[0] != dataset or row["backend"] != backend or row["precision"] != precision:
            continue
        key = (row["variant"], int(row["seed"]))
        run = found.setdefault(key, Recorded(variant=row["variant"], seed=key[1]))
        window, run.images = int(row["images"]) - run.images, int(row["images"])
        run.seconds += float(row["seconds"] or 0)
        if row["held_accuracy"]:
            run.held[run.images] = float(row["held_accuracy"]), int(row["held_images"])
            if off_guessing(float(row["held_loss"]) if row["held_loss"] else None, float(row["train_accuracy"]), window):
                run.off.add(run.images)
        if row["dead"] == "yes" and run.died is None:
            run.died = run.images
        elif row["dead"] == "no" and run.died is not None:
            run.revived = True
    return list(found.values())


def limits(runs: Sequence[Recorded], variants: Mapping[str, Any], role: str) -> tuple[BandPoint, ...]:
    """The band of one role. `variants`: name -> the calibration's Variant (role, visible)."""
    reference = [run for run in runs if variants[run.variant].kind == "reference" and variants[run.variant].role == role]
    defects = [run for run in runs if variants[run.variant].kind == "defect" and variants[run.variant].visible]
    places = sorted({images for run in runs for images in run.held})
    points = []
    for images in places:
        values = sorted(found[0] for run in reference if (found := run.at(images)) is not None)
        count = max((run.held[images][1] for run in runs if images in run.held), default=1000)
        if not values:
            continue
        error = math.sqrt(CHANCE * (1 - CHANCE) / count)
        worst = [
            found[0] + DEFECT_Z * math.sqrt(found[0] * (1 - found[0]) / found[1])
            for run in defects
            if images in run.off and (found := run.at(images)) is not None
        ]
        points.append(
            BandPoint(
                images=images,
                low=values[0],
                median=values[len(values) // 2],
                high=values[-1],
                passes=round(max(CHANCE + PASS_Z * error, *worst, 0.0), 4),
                zero=round(CHANCE + ZERO_Z * error, 4),
                runs=len(values),
            )
        )
    return tuple(points)


def decided(run: Recorded, band: Sequence[BandPoint]) -> tuple[str, int]:
    """What `course.follow` would have said of the run, learns | dead | doubtful | stuck, and after how many images that was certain."""
    said = "stuck"
    for images in sorted({*run.held, *([run.died] if run.died else [])}):
        if run.died is not None and run.died <= images:
            return "dead", run.died
        point, accuracy = nearest(band, images), run.held[images][0]
        if accuracy >= point.passes and images in run.off:
            return "learns", images
        said = "doubtful" if accuracy > point.zero else "stuck"
    return said, run.images


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`count` of `of`, with its 95 % interval."""

    count: int
    of: int

    def __str__(self) -> str:
        if not self.of:
            return "0 of 0"
        low, high = wilson(self.count, self.of)
        return f"{self.count} of {self.of} ({self.count / self.of:.1%}; 95 % interval {low:.1%} to {high:.1%})"


def held_out_endings(runs: Sequence[Recorded], variants: Mapping[str, Any]) -> list[tuple[Recorded, str]]:
    """Every run with its ending by limits from the seeds of the other parity."""
    result = []
    for parity in (0, 1):
        others = [run for run in runs if run.seed % 2 != parity]
        bands = {role: limits(others, variants, role) for role in ("base", "dropout", "augmentation")}
        for run in runs:
            band = bands.get(variants[run.variant].role) or bands["base"]
            if run.seed % 2 == parity and band:
                result.append((run, decided(run, band)[0]))
    return result


def rates(runs: Sequence[Recorded], variants: Mapping[str, Any]) -> dict[str, Rate]:
    """The counts that the README and the report quote."""
    judged = held_out_endings(runs, variants)
    honest = [said for run, said in judged if variants[run.variant].kind in HONEST]
    visible = [said for run, said in judged if variants[run.variant].kind == "defect" and variants[run.variant].visible]
    fragile = [said for run, said in judged if variants[run.variant].kind == "fragile"]
    return {
        "honest_failed": Rate(count=sum(said == "dead" for said in honest), of=len(honest)),
        "honest_undecided": Rate(count=sum(said in ("stuck", "doubtful") for said in honest), of=len(honest)),
        "defects_found": Rate(count=sum(said != "learns" for said in visible), of=len(visible)),
        "fragile_took_off": Rate(count=sum(said == "learns" for said in fragile), of=len(fragile)),
        "dead_revived": Rate(count=sum(run.revived for run in runs), of=sum(run.died is not None for run in runs)),
    }


def as_toml(parts: Mapping[str, tuple[Mapping[str, Sequence[BandPoint]], Mapping[str, Rate], Mapping[str, str]]], source: str) -> str:
    """The text of `thresholds.toml`. `parts`: data set -> (role -> band, rates, facts); `source` is the sha256 of `runs.csv`."""
    lines = [
        "# Computed from runs.csv by `grade calibrate`; do not edit. The formulas: grader/training/thresholds.py.",
        "",
        'schema = "grader/thresholds/v1"',
        f'runs_sha256 = "{source}"',
    ]
    for dataset, (bands, counted, facts) in parts.items():
        lines += ["", f"[dataset.{dataset}]", *(f'{key} = "{value}"' for key, value in facts.items())]
        lines += ["", f"[dataset.{dataset}.rates]", *(f'{key} = "{rate}"' for key, rate in counted.items())]
        for role, band in bands.items():
            for point in band:
                lines += ["", f"[[dataset.{dataset}.band.{role}]]", f"images = {point.images}", f"runs = {point.runs}"]
                lines += [f"{name} = {getattr(point, name):.4f}" for name in ("low", "median", "high", "passes", "zero")]
    return "\n".join(lines) + "\n"
