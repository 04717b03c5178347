"""Counts over a class, fed one standing at a time: what the summary at the terminal and the class page tell. Small, whatever the reports hold."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from grader.batch.points import has_total, in_force
from grader.batch.records import Standing
from grader.records import CriterionResult, ReportTraining, Status
from grader.reports import trained
from grader.reports.text import clean
from grader.words import one_line

MOST_LISTED = 1000
"""Students listed one by one under a heading; the counts beside are of all."""
BINS = 10
OUTCOMES = ("pass", "partial", "fail", "undecided", "manual")
"""What may become of a criterion: passed, partly, failed, not decided (skipped or not judged), to be read by a person."""
_CAUSES = {
    "fit_call": "What fit was asked for: weights, or a learning rate of zero",
    "few_images": "Training on few images",
    "silent_score_maps": "A ReLU on the 10 score maps: all maps went silent",
    "relu_before_softmax": "A ReLU between the last Dense layer and its softmax",
    "wrong_labels": "Labels that are not those of their images",
    "loss_does_not_fit": "A loss that does not fit the labels or the head",
    "two_softmaxes": "Two softmaxes in a row",
    "initialisation": "The kernels' initial values",
    "frozen": "Layers that are not trained (trainable=False)",
    "rate_too_high": "A learning rate that is too high",
    "rate_too_low": "A learning rate that is too low",
    "saturating": "Saturating activations between the convolutions",
    "dropout_too_high": "A dropout rate that is too high",
    "regularisation_too_strong": "A regularisation that is too strong",
    "raw_pixels": "Pixel values that are not normalised",
    "optimizer": "The optimizer",
    "no_nonlinearity": "No nonlinearity between the convolutions",
    "extreme_augmentation": "Augmentation that changes the images too much",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Somebody a person should look at, and why."""

    student: str
    reason: str


@dataclass(slots=True)
class Listed:
    """Cases of one kind: all counted, the first `MOST_LISTED` kept."""

    count: int = 0
    cases: list[Case] = field(default_factory=list)

    def add(self, student: str, reason: str = "") -> None:
        """Count one more."""
        self.count += 1
        if len(self.cases) < MOST_LISTED:
            self.cases.append(Case(student=student, reason=one_line(clean(reason), 400)))

    @property
    def hidden(self) -> int:
        """How many are counted and not kept."""
        return self.count - len(self.cases)


@dataclass(slots=True)
class Flagged(Listed):
    """The students with one flag; `severity` is the gravest it had."""

    severity: str = "info"


@dataclass(slots=True, kw_only=True)
class Line:
    """One criterion over the class: how many students it ended how for, and the points given of those decided on."""

    id: str
    title: str
    section: int
    points: float
    outcomes: Counter[str] = field(default_factory=Counter)
    overridden: int = 0
    recorded: int = 0
    given: float = 0.0
    possible: float = 0.0

    @property
    def missed(self) -> int:
        """Students who did not get all of its points."""
        return self.outcomes["partial"] + self.outcomes["fail"]

    @property
    def students(self) -> int:
        """Students whose report has it."""
        return sum(self.outcomes.values())


class Tally:
    """The counts. `students` counts people (each member of a group), `standings` their hand-ins that count; `listed`: those that are not graded, by status.

    `trained`, `reused` (verdicts that the cache knew) and `seconds` are what these gradings cost; equal hand-ins were graded once.
    """

    def __init__(self, standings: Iterable[Standing] = ()) -> None:
        self.standings = 0
        self.students = 0
        self.max_score = 0.0
        self.statuses: Counter[str] = Counter()
        self.shares: list[float] = []
        self.lines: dict[str, Line] = {}
        self.diagnoses: Counter[str] = Counter()
        self.checked = 0
        self.learning = 0
        self.flags: dict[str, Flagged] = {}
        self.listed: defaultdict[str, Listed] = defaultdict(Listed)
        self.pending = Listed()
        self.pending_points = 0.0
        self.late = 0
        self.overridden = 0
        self.trained = 0
        self.reused = 0
        self.seconds = 0.0
        self._contents: set[str] = set()
        for standing in standings:
            self.add(standing)

    def add(self, standing: Standing) -> None:
        """Count one standing in. Nothing of it is kept but numbers, ids, and short reasons."""
        self.standings += 1
        self.students += max(1, len(standing.members))
        self.statuses[standing.status] += 1
        self.max_score = max(self.max_score, standing.max_score)
        self.late += bool(standing.penalty)
        self.overridden += bool(in_force(standing.overrides))
        if has_total(standing) and standing.max_score > 0:
            assert standing.total is not None
            self.shares.append(standing.total / standing.max_score)
        reason = standing.report.reason if standing.report is not None else ""
        if standing.status != "graded":
            self.listed[standing.status].add(standing.student, reason)
        if standing.pending_points > 0 and standing.status in {"graded", "needs_review"}:
            self.pending.add(standing.student)
            self.pending_points += standing.pending_points
        self._cost(standing)
        self._report(standing)

    @property
    def most_missed(self) -> tuple[Line, ...]:
        """The criteria that somebody missed, those that most missed first."""
        return tuple(sorted((line for line in self.lines.values() if line.missed), key=lambda line: (-line.missed, line.id)))

    def quantiles(self, *parts: float) -> tuple[float, ...]:
        """Quantiles of the totals as shares of the points possible, interpolated; empty where nobody has a total."""
        ordered = sorted(self.shares)
        return tuple(_quantile(ordered, part) for part in parts) if ordered else ()

    def histogram(self) -> tuple[int, ...]:
        """How many students' totals lie in each tenth of the points possible; more than all counts in the last."""
        counts = [0] * BINS
        for share in self.shares:
            counts[min(BINS - 1, max(0, math.floor(share * BINS + 1e-9)))] += 1
        return tuple(counts)

    def _cost(self, standing: Standing) -> None:
        if standing.content not in self._contents:
            self._contents.add(standing.content)
            self.trained += standing.trained
            self.reused += standing.reused
            self.seconds += standing.seconds

    def _report(self, standing: Standing) -> None:
        if standing.report is None or standing.status not in {"graded", "needs_review"}:
            return
        decided = in_force(standing.overrides)
        for result in standing.report.criteria:
            self._criterion(result, overridden=result.id in decided)
        for found in dict.fromkeys(diagnosis for training in standing.report.training if (diagnosis := _diagnosis(training))):
            self.diagnoses[found] += 1
        self.checked += bool(standing.report.training)
        self.learning += bool(standing.report.training) and all(training.verdict == "learns" for training in standing.report.training)
        order = ("info", "warning", "alert")
        for name in dict.fromkeys(flag.id for flag in standing.report.flags):
            flagged = self.flags.setdefault(one_line(clean(name), 80), Flagged())
            flagged.add(standing.student)
            gravest = max((flag.severity for flag in standing.report.flags if flag.id == name), key=order.index)
            flagged.severity = max(flagged.severity, gravest, key=order.index)

    def _criterion(self, result: CriterionResult, *, overridden: bool) -> None:
        line = self.lines.get(result.id)
        if line is None:
            line = Line(id=result.id, title=one_line(clean(result.title), 200), section=result.section, points=result.points)
            self.lines[result.id] = line
        line.overridden += overridden
        line.recorded += result.basis == "recorded" and result.earned is not None and not overridden
        line.outcomes["undecided" if result.status in {Status.SKIP, Status.ERROR} else result.status.value] += 1
        if result.earned is not None:
            line.given += result.earned
            line.possible += result.points


def _diagnosis(training: ReportTraining) -> str:
    """A training check's finding in words of ours; empty where the model learns."""
    if training.verdict == "learns":
        return ""
    unproved = ", no single cause proved" * (training.verdict in ("fragile", "dead", "stuck"))
    return _CAUSES.get(training.cause) or one_line(clean(trained.phrase(training).words), 80) + unproved


def _quantile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
