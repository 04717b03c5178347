"""The short training check in words and rows, the same in every format. Nothing is escaped here.

All functions take records that went through `text.cleaned`.
"""

import math
from dataclasses import dataclass

from grader.records import Counterfactual, Json, ReportTraining, Rerun
from grader.reports.text import NOTHING, count_text
from grader.words import counted, one_line

GUESSING = 0.10
"""Accuracy of guessing among ten balanced classes."""

INTERVAL = "95 % interval: the true accuracy of this re-run lies in this range in 95 of 100 such measurements."
STORED = "Stored curve"
_MOST_NORMS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A verdict for people. `symbol` is always shown beside the words; `look` is a badge of the style sheet."""

    words: str
    symbol: str
    look: str


VERDICTS = {
    "learns": Phrase(words="Learns", symbol="✓", look="pass"),
    "fragile": Phrase(words="Learns on some random starts only (fragile)", symbol="◐", look="partial"),
    "slow": Phrase(words="Learns too slowly to tell", symbol="…", look="partial"),
    "dead": Phrase(words="Dead on every start", symbol="✗", look="fail"),
    "stuck": Phrase(words="Stays at chance level", symbol="=", look="fail"),
    "doubtful": Phrase(words="Inconclusive: manual review", symbol="✎", look="manual"),
    "not_measured": Phrase(words="Not measured", symbol=NOTHING, look="manual"),
}
ENDINGS = {
    "learns": "learns",
    "dead": "dead (proved)",
    "stuck": "stays at chance level",
    "doubtful": "between chance level and learning",
    "cut": "out of time",
}
_WAYS = {
    "rebuilt": "the model was rebuilt from its description and trained by the grader",
    "sandboxed": "the notebook's own code trained it in the sandbox; its predictions were scored outside",
}
_BAND = ("images", "low", "median", "high", "passes", "zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The reference band by columns, in order of images. `runs`: how many honest runs it was made from; None where that is not said."""

    images: tuple[int, ...]
    low: tuple[float, ...]
    median: tuple[float, ...]
    high: tuple[float, ...]
    passes: tuple[float, ...]
    runs: int | None


def phrase(training: ReportTraining) -> Phrase:
    """The verdict as a heading says it; a verdict of a later version in its own word."""
    return VERDICTS.get(training.verdict) or Phrase(words=one_line(training.verdict, 60), symbol="?", look="manual")


def shown(training: ReportTraining) -> Rerun | None:
    """The re-run that speaks for the verdict: the one whose points are the report's curve, else the first that learns, else the first."""
    runs = training.runs
    same = [run for run in runs if run.points == training.curve]
    return next(iter(same or [run for run in runs if run.ending == "learns"] or runs), None)


def band(training: ReportTraining) -> Band | None:
    """The reference band, as far as it can be drawn; None where there is none."""
    columns = [training.reference.get(name) for name in _BAND]
    if not all(isinstance(column, list | tuple) for column in columns):
        return None
    rows = sorted({tuple(row) for row in zip(*columns, strict=False) if all(_drawable(value) for value in row)})
    rows = [row for row in rows if row[0] >= 1 and all(0 <= value <= 1 for value in row[1:])]
    if not rows:
        return None
    images, low, median, high, passes, _ = zip(*rows, strict=True)
    runs = training.reference.get("dataset_runs")
    counted = runs if isinstance(runs, int) and not isinstance(runs, bool) and runs > 0 else None
    return Band(images=tuple(int(count) for count in images), low=low, median=median, high=high, passes=passes, runs=counted)


def _drawable(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e12


def band_sentence(training: ReportTraining) -> str:
    """What the band is; that there is none where there is none."""
    found = band(training)
    if found is None:
        return "There is no reference band to compare with."
    who = "the runs of the solution itself"
    if found.runs is not None:
        who = f"{counted(found.runs, 'run')} of the solution itself"
    return f"The band holds the accuracies of {who} after the same number of images."


def sentences(training: ReportTraining) -> tuple[tuple[str, str], ...]:
    """What was found, as (word, sentences): why this verdict, the cause with its proof, the stored curve, why a person should look."""
    found = (
        ("Result", training.reason),
        ("Diagnosis", training.diagnosis),
        (STORED, training.recorded),
        ("Manual review", training.review),
    )
    return tuple((word, text) for word, text in found if text)


def cured(training: ReportTraining) -> tuple[str, ...]:
    """A line for each change that cured."""
    return tuple(
        f"Cured with {found.change}: {accuracy_text(found.rerun)} after {found.rerun.images:,} images."
        for found in training.counterfactuals
        if found.cures
    )


def accuracy_text(run: Rerun) -> str:
    """For a sentence: "accuracy 0.343 (95 % interval 0.322 to 0.364)"."""
    if not _known(run.accuracy):
        return "accuracy not measured"
    interval = interval_text(run)
    return f"accuracy {run.accuracy:.3f}" + (f" (95 % interval {interval})" if interval != NOTHING else "")


def interval_text(run: Rerun) -> str:
    """The interval for a table: "0.322 to 0.364"."""
    if run.interval is None or not all(_known(end) for end in run.interval):
        return NOTHING
    return f"{run.interval[0]:.3f} to {run.interval[1]:.3f}"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None and math.isfinite(value) and abs(value) < 1e6 else NOTHING


RUN_HEADER = ("Seed", "Outcome", "Images", "Accuracy", "95 % interval", "Training loss")


def run_rows(training: ReportTraining) -> tuple[tuple[str, ...], ...]:
    """One row a seed, under `RUN_HEADER`."""
    return tuple((*_cells(run), _number(run.train_loss)) for run in training.runs)


def _cells(run: Rerun) -> tuple[str, ...]:
    return (str(run.seed), ENDINGS[run.ending], count_text(run.images), _number(run.accuracy), interval_text(run))


TRIED_HEADER = ("Change", "Seed", "Result", "Images", "Accuracy", "95 % interval", "Cured")


def tried(training: ReportTraining) -> tuple[tuple[Counterfactual, tuple[str, ...]], ...]:
    """Each change that was tried, with the cells of its row after the first, under `TRIED_HEADER`."""

    def cured(found: Counterfactual) -> str:
        return "✓ yes" if found.cures else "not dead, but slow" if found.lives else "not known" if found.rerun.ending == "cut" else "no"

    return tuple((found, (*_cells(found.rerun), cured(found))) for found in training.counterfactuals)


def evidence(training: ReportTraining) -> tuple[str, ...]:
    """For each re-run that died, the proof and the silent layers, as sentences."""
    return tuple(" ".join(_evidence(run)) for run in training.runs if run.ending == "dead" and (run.proof or run.silent))


def _evidence(run: Rerun) -> list[str]:
    found = [f"Seed {run.seed}: {run.proof.rstrip('.')}."] if run.proof else [f"Seed {run.seed} died."]
    if run.silent:
        layers = ", ".join(f"{one_line(name, 80)} ({share:.0%} of its {count_text(units)} units)" for name, share, units in run.silent)
        found.append(f"Silent on all images that were tried: {layers}.")
    return found


def norms(training: ReportTraining) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of the gradient norms of the re-runs that did not learn, variable by variable."""
    runs = [run for run in training.runs if run.ending != "learns" and run.norms]
    names = list(dict.fromkeys(name for run in runs for name, _ in run.norms))[:_MOST_NORMS]
    values = [dict(run.norms) for run in runs]
    rows = tuple((one_line(name, 120), *(_norm(column[name]) if name in column else NOTHING for column in values)) for name in names)
    return ("Variable", *(f"Seed {run.seed}" for run in runs)), rows


def _norm(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.2e}"


def facts(training: ReportTraining) -> tuple[tuple[str, str], ...]:
    """How it was measured, as (word, value)."""
    name, _, fingerprint = training.dataset.partition(":")
    found = (
        ("Budget", training.budget),
        ("How", _WAYS.get(training.way, training.way)),
        ("Trained in total", f"{training.images:,} images" if training.images > 0 else ""),
        ("Seeds", ", ".join(str(seed) for seed in training.seeds)),
        ("Device", training.device),
        ("Backend", training.backend),
        ("Precision", training.precision),
        ("Data set", f"{name}, fingerprint {fingerprint}" if fingerprint else name),
        (
            "From",
            "the cache: an equal model was trained before" if training.cached else "a training for this report" if training.runs else "",
        ),
        ("Time", f"{training.seconds:.1f} s" if 0 < training.seconds < 1e9 else ""),
    )
    return tuple((word, value) for word, value in found if value)
