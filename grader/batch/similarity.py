"""Pairs of students whose work agrees beyond chance: for a person to look at, never an accusation, and worth no points.

Four bases are looked at, each against the class itself:

*contents*  the same notebook, outputs and all.
*curve*     the same recorded numbers of a training, digit for digit: two independent trainings do not give the same digits.
*model*     the same layers, settings and compile, where few have them: the architecture that everybody is asked to build says nothing.
*code*      the same passages (winnowed fingerprints of a token text, as copydetect makes it, so names, comments, strings and layout do not matter), each worth
            the more the fewer have it. The template's passages, and what more than a tenth of the class has, count nothing.

Each pair's basis comes with `expected`: how many pairs this strong a class of this size would show by chance, under a model that is said in words
beside it. Pairs are listed where that is at most `LIMIT`. In a class that is too small for a distribution, only what needs none is listed.
Groups of equal works are compared once, by the first of them. Nothing here knows a name.
"""

import hashlib
import io
import json
import math
import re
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from pygments.lexers import PythonLexer
from pygments.token import Comment, Name, String, Text

from grader.batch.records import Standing
from grader.records import Report, ReportModel
from grader.reports import replace_file
from grader.words import counted

Basis = Literal["contents", "curve", "model", "code"]
LIMIT = 0.05
"""Listed is what would be seen by chance in fewer than one class in twenty, basis by basis."""
NOISE, GUARANTEE = 25, 30
"""Characters of token text: shorter agreements are noise, agreements of this length are always found (copydetect's defaults)."""
COMMON = 0.10
"""A passage that more than this share of the class has counts nothing."""
RARE_MODEL = 0.03
"""A model that more than this share of the class has (and more than three) says nothing; nor does one of fewer than `LEAST_LAYERS` layers."""
LEAST_LAYERS = 5
LEAST_CLASS = 12
"""Different works below which a class has no distribution to speak of."""
LEAST_RARE = 12
"""Rare fingerprints that two codes must share, about six lines."""
LEAST_DIGITS = 6
"""Different recorded numbers that two curves must share, epoch by epoch."""
MOST_PAIRS = 500
_SEEDED = re.compile(r"set_random_seed|random\.seed\s*\(|set_seed\s*\(")
_MOST_CODE = 300_000
_MOST_CURVES = 12
_MOST_EPOCHS = 400

Prints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One way in which two works agree. `score`: the agreeing share, 0 to 1. `expected`: pairs as strong as this that chance would show; None: not known."""

    basis: Basis
    score: float
    words: str
    expected: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pseudonyms and what their works agree in, the strongest first."""

    students: tuple[str, str]
    found: tuple[Found, ...]

    @property
    def score(self) -> float:
        """The largest agreeing share."""
        return max(found.score for found in self.found)

    @property
    def expected(self) -> float | None:
        """Of the strongest basis: how many pairs like this chance would show."""
        return min((found.expected for found in self.found if found.expected is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """What was found among `works` works. `null` says what chance was taken to be; `hidden`: pairs beyond the `MOST_PAIRS` kept."""

    pairs: tuple[Pair, ...]
    works: int
    null: tuple[str, ...]
    hidden: int = 0


@dataclass(slots=True, kw_only=True)
class _Work:
    """One student's work, small: what is compared of it."""

    student: str
    members: frozenset[str]
    content: str
    prints: Prints
    curves: tuple[tuple[int, ...], ...] = ()
    seeded: bool = False
    model: tuple[str, ...] = ()
    built: bool = True


Agreement = tuple[int, int, Found]
"""Two works, by their places, and what they agree in."""


class Fingerprints:
    """The fingerprints of each content, kept in a file: making them is most of the comparison's cost (10 ms a work), and a class grows by a few works at a time."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what is kept. A file of another version, a damaged one or none is nothing kept."""
        self._path = path
        self._kept: dict[str, Prints] = {}
        self._used: dict[str, Prints] = {}
        if path is None:
            return
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                if str(file["made_by"]) == _made_by() and int(file["sizes"].sum()) == file["prints"].size:
                    parts = np.split(file["prints"].astype(np.int64), np.cumsum(file["sizes"])[:-1])
                    self._kept = dict(zip(file["contents"].tolist(), parts, strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            self._kept = {}

    def of(self, content: str, code: str) -> Prints:
        """The fingerprints of the code of a content."""
        if content not in self._used:
            kept = self._kept.get(content)
            self._used[content] = _prints(_token_text(code)) if kept is None else kept
        return self._used[content]

    def keep(self) -> None:
        """Write what was used, where it differs from what is kept. A disk that fails costs time the next time, no result."""
        if self._path is None or self._used.keys() == self._kept.keys() or not self._used:
            return
        data = io.BytesIO()
        np.savez(
            data,
            made_by=np.array(_made_by()),
            contents=np.array(list(self._used)),
            sizes=np.array([prints.size for prints in self._used.values()]),
            prints=np.concatenate(list(self._used.values())),
        )
        with suppress(OSError):
            replace_file(self._path, data.getvalue())


@cache
def _made_by() -> str:
    """What fingerprints hang on beside the code: this file, and the libraries that read Python."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return json.dumps([own, *(metadata.version(name) for name in ("pygments", "numpy"))])


def similar(standings: Iterable[Standing], *, template: str = "", fingerprints: Fingerprints | None = None) -> Similar:
    """Compare a class's works with each other, in one pass over the standings.

    Args:
        standings: one a student or group; those without code, and those that could not be graded, are not compared.
        template: the code of the exercise's template, where the instructor gives it.
        fingerprints: those of an earlier comparison; what is made anew is in them afterwards.
    """
    fingerprints = fingerprints or Fingerprints()
    taken_out = _prints(_token_text(template))
    works: list[_Work] = []
    known: dict[str, Prints] = {}
    for standing in standings:
        if standing.status == "ungradable" or not (standing.code.strip() or standing.report is not None):
            continue
        if standing.content not in known:
            known[standing.content] = np.setdiff1d(fingerprints.of(standing.content, standing.code), taken_out)
        works.append(_work(standing, known[standing.content]))
    equal: dict[str, list[int]] = defaultdict(list)
    for place, work in enumerate(works):
        equal[work.content].append(place)
    different = list(equal.values())
    places = [group[0] for group in different]
    firsts = [works[place] for place in places]
    null: list[str] = []
    pairs: dict[tuple[int, int], list[Found]] = defaultdict(list)
    for one, other, found in _contents(works, different, null):
        pairs[one, other].append(found)
    for agreements in (_curves(firsts, null), _models(firsts, null), _codes(firsts, null)):
        for one, other, found in agreements:
            pairs[places[min(one, other)], places[max(one, other)]].append(found)
    listed = [
        Pair(students=(works[a].student, works[b].student), found=tuple(sorted(found, key=_strength)))
        for (a, b), found in pairs.items()
        if works[a].members.isdisjoint(works[b].members)  # of those who are, or share, a group there is nothing to tell
    ]
    listed.sort(key=lambda pair: (_strength(pair.found[0]), -len(pair.found), pair.students))
    return Similar(pairs=tuple(listed[:MOST_PAIRS]), works=len(works), null=tuple(null), hidden=max(0, len(listed) - MOST_PAIRS))


def _strength(found: Found) -> tuple[float, float]:
    return (math.inf if found.expected is None else found.expected, -found.score)


def _work(standing: Standing, prints: Prints) -> _Work:
    report = standing.report
    return _Work(
        student=standing.student,
        members=frozenset((standing.student, *standing.members)),
        content=standing.content,
        prints=prints,
        curves=tuple(_recorded(report)),
        seeded=_SEEDED.search(standing.code) is not None,
        model=_model(report),
        built=report is None or bool(report.models),
    )


# ------------------------------------------------------------------ equal contents


def _contents(works: Sequence[_Work], different: Sequence[Sequence[int]], null: list[str]) -> Iterator[Agreement]:
    """Each equal work beside the first of its kind. The template handed in unchanged, and others that build no model, say nothing."""
    for group in different:
        if len(group) > 1 and works[group[0]].built and works[group[0]].prints.size >= LEAST_RARE:
            size = f", as {len(group)} students have it" if len(group) > 2 else ""
            for place in group[1:]:
                words = f"the same notebook, outputs and all{size}"
                yield group[0], place, Found(basis="contents", score=1.0, words=words, expected=0.0)
    if any(len(group) > 1 for group in different):
        null.append("Contents: two notebooks that were written apart are never equal to the letter, outputs and all.")


# ------------------------------------------------------------------ recorded curves


def _recorded(report: Report | None) -> Iterator[tuple[int, ...]]:
    """Each recorded history value as a number that stands for (key, epoch, value); what says nothing is left out.

    A network that stays at guessing records the same numbers as every other one (accuracy 0.1, loss ln 10): of equal values of a curve only the first
    counts, and numbers of fewer than four decimals do not.
    """
    for curve in (report.recorded if report is not None else ())[:_MOST_CURVES]:
        tokens = []
        for key, values in curve.values.items():
            seen: set[float] = set()
            for epoch, value in enumerate(values[:_MOST_EPOCHS]):
                if math.isfinite(value) and value not in seen and abs(value * 1000 - round(value * 1000)) > 1e-6:
                    tokens.append(_hash(f"{key}/{epoch}/{value!r}"))
                seen.add(value)
        if len(tokens) >= LEAST_DIGITS:
            yield tuple(sorted(set(tokens)))


def _curves(works: Sequence[_Work], null: list[str]) -> Iterator[Agreement]:
    """Curves of different students that share recorded numbers. Chance: each number is met with its share in the class, independently."""
    owners = [place for place, work in enumerate(works) for _ in work.curves]
    curves = [np.array(tokens, dtype=np.int64) for work in works for tokens in work.curves]
    if len(curves) < 2:
        return
    students = len(set(owners))
    most = max(3, round(COMMON * students))
    numbers = len(curves) * (len(curves) - 1) / 2
    best: dict[tuple[int, int], tuple[float, Found]] = {}
    alike = ((a, int(b), int(count)) for a, others, _, counts in _shared(curves, most) for b, count in zip(others, counts, strict=True))
    for a, b, shared in alike:
        one, other = owners[a], owners[b]
        if a > b or one == other or shared < LEAST_DIGITS:
            continue
        compared = min(curves[a].size, curves[b].size)
        expected = numbers * _tail(shared, compared, _MEETING)
        if expected > LIMIT:
            continue
        whole = shared == max(curves[a].size, curves[b].size)
        words = f"the same {shared} recorded numbers of a training, digit for digit" + (
            "" if whole else f", of {compared} that both record"
        )
        if works[one].seeded and works[other].seeded:
            words += " (both set a random seed, which can explain it on the same kind of machine)"
        key = (min(one, other), max(one, other))
        found = Found(basis="curve", score=shared / compared, words=words, expected=expected)
        if key not in best or found.score * shared > best[key][0]:
            best[key] = (found.score * shared, found)
    yield from ((one, other, found) for (one, other), (_, found) in best.items())
    null.append(
        f"Curves: {len(curves):,} recorded curves of {students:,} works. Chance: two independent trainings agree in any one of their different numbers of four digits "
        f"with probability {_MEETING:g}. Numbers that more than {most} works record count nothing."
    )


_MEETING = 0.005
"""Chance that two trainings record the same four digits in one epoch: runs of the reference spread over some 200 such numbers and more."""


def _tail(hits: int, tries: int, chance: float) -> float:
    """Probability of at least so many hits (binomial), as its largest term times a geometric bound."""
    if hits <= tries * chance:
        return 1.0
    log = (
        math.lgamma(tries + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(tries - hits + 1)
        + hits * math.log(chance)
        + (tries - hits) * math.log1p(-chance)
    )
    ratio = (tries - hits) / (hits + 1) * chance / (1 - chance)
    return min(1.0, math.exp(log) / (1 - ratio)) if ratio < 1 else 1.0


# ------------------------------------------------------------------ models


def _model(report: Report | None) -> tuple[str, ...]:
    """The base model (else the first) as (structure, compile, each layer with its settings); empty where there is none worth comparing."""
    models = report.models if report is not None else ()
    chosen: ReportModel | None = next((model for model in models if model.role == "base"), models[0] if models else None)
    layers = [layer for layer in chosen.layers if layer.class_name != "InputLayer"] if chosen is not None else []
    if chosen is None or len(layers) < LEAST_LAYERS:
        return ()
    structure = " ".join(layer.class_name for layer in layers)
    settings = [f"{layer.class_name} {layer.settings} {layer.output_shape}" for layer in layers]
    return (structure, f"{chosen.optimizer} {chosen.loss}", *settings)


def _models(works: Sequence[_Work], null: list[str]) -> Iterator[Agreement]:
    """Equal models that few have. Chance: structure, compile, and the rarest layer of that structure are chosen independently, with their shares in the class."""
    having = [place for place, work in enumerate(works) if work.model]
    if len(having) < LEAST_CLASS:
        return
    whole: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place in having:
        whole[works[place].model].append(place)
    structures = Counter(works[place].model[0] for place in having)
    compiles = Counter(works[place].model[1] for place in having)
    layers: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    for place in having:
        layers[works[place].model[0]].update(enumerate(works[place].model[2:]))
    numbers = len(having) * (len(having) - 1) / 2
    rare = max(3, round(RARE_MODEL * len(having)))
    for model, owners in whole.items():
        alike = len(owners)
        if alike < 2 or alike > rare:
            continue
        structure, compiled = structures[model[0]], compiles[model[1]]
        rarest = min((layers[model[0]][place, text] for place, text in enumerate(model[2:])), default=structure)
        chance = _share(structure, alike, len(having)) * _share(compiled, alike, len(having)) * _share(rarest, alike, structure)
        expected = numbers * chance**2
        if expected > LIMIT:
            continue
        words = (
            f"the same model of {counted(len(model) - 2, 'layer')}, with the same settings and compile; {alike} of {len(having):,} works have it "
            f"({structure:,} have its structure, {compiled:,} its optimizer and loss)"
        )
        for other in owners[1:]:
            yield owners[0], other, Found(basis="model", score=1.0, words=words, expected=expected)
    null.append(
        f"Models: {len(having):,} works with a model, {len(whole):,} different ones. Chance: structure, compile and the rarest layer of a structure are chosen "
        f"independently, each with the share that the others of the class give it. Models of more than {rare} works are not rare."
    )


def _share(count: int, alike: int, of: int) -> float:
    """How often the rest of the class chooses so: without those who are alike, and never zero."""
    return (count - alike + 1) / (of - alike + 1)


# ------------------------------------------------------------------ code


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What one work agrees in with all others: from weight `start` on, which the share `beyond` of them reaches, exponentially fewer with `scale`."""

    start: float
    scale: float
    beyond: float

    def chance(self, weight: float) -> float:
        """Probability that some other work agrees with this one so much."""
        return self.beyond * math.exp((self.start - weight) / self.scale) if weight > self.start else 1.0


def _codes(works: Sequence[_Work], null: list[str]) -> Iterator[Agreement]:
    """Codes that share rare passages. A pair weighs the bits of the passages shared, times the square of the agreeing share: much, and most of the work.

    Chance: the upper tenth of each work's own weights with the rest of the class; a pair must stand out of both works' rows.
    """
    having = [place for place, work in enumerate(works) if work.prints.size]
    count = len(having)
    if count < 2:
        return
    most = max(3, round(COMMON * count))
    prints = [works[place].prints for place in having]
    members, times = np.unique(np.concatenate(prints), return_counts=True)
    worth = np.where(times <= most, np.log2((count + 1) / times), 0.0)
    totals = np.array([worth[np.searchsorted(members, own)].sum() for own in prints])
    pairs = count * (count - 1) // 2
    known = count >= LEAST_CLASS
    rows: list[_Row | None] = [None] * count
    strong: list[tuple[int, int, float, float, int]] = []
    for place, others, shared, agreeing in _shared(prints, most, count):
        least = np.maximum(np.minimum(totals[place], totals[others]), np.maximum(totals[place], totals[others]) / 4)
        shares = np.minimum(1.0, shared / np.maximum(least, 1e-9))
        weights = shared * shares**2
        row = rows[place] = _row(weights, count)
        kept = (agreeing >= LEAST_RARE) & (shares >= (0.2 if known else 0.8))
        for other, share, weight, same in zip(others[kept], shares[kept], weights[kept], agreeing[kept], strict=True):
            if not known or pairs * row.chance(float(weight)) <= LIMIT:
                strong.append((place, int(other), float(share), float(weight), int(same)))
    for one, other, share, weight, same in strong:
        first, second = rows[one], rows[other]
        expected = pairs * max(first.chance(weight), second.chance(weight)) if known and first is not None and second is not None else None
        if one > other or (expected is not None and expected > LIMIT):
            continue
        words = (
            f"{share:.0%} of the rarer passages of one code are in the other ({same} fingerprints that at most {most} of {count:,} works have); "
            "names, comments and layout do not count"
        )
        yield having[one], having[other], Found(basis="code", score=share, words=words, expected=expected)
    said = (
        f"Code: {count:,} different works, {pairs:,} pairs; passages that more than {most} works have, and the template's, count nothing."
    )
    chance = (
        "Chance: what each work shares with the rest of the class; beyond the tenth that it shares most with, agreement becomes exponentially rarer, "
        "as fast as within that tenth. A pair must be exceptional for both works."
        if known
        else "Too few for a distribution: listed is agreement of 80 % and more, without a statement on chance."
    )
    null.append(f"{said} {chance}")


def _row(weights: npt.NDArray[np.float64], count: int) -> _Row:
    """Fit a work's row. The median of its upper tenth makes it robust against copies in it; one rare passage more or less is never a sign."""
    tail = max(5, round((count - 1) / 10))
    ordered = np.sort(np.concatenate([weights, np.zeros(max(0, tail + 1 - weights.size))]))
    start = float(ordered[-tail - 1])
    spread = (float(np.median(ordered[-tail:])) - start) / math.log(2)
    return _Row(start=start, scale=max(spread, math.log2(count + 1)), beyond=min(1.0, tail / max(1, count - 1)))


def _token_source(code: str) -> str:
    r"""Code without IPython's own lines, as far as it is compared.

    Nor with what Pygments looks through again from each place, so that 300,000 characters take it an hour: runs of blank lines, and open `\N{` in a line.
    """
    lines = (line for line in code[:_MOST_CODE].replace("\\N{", "\\N").splitlines() if line.strip())
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _token_text(code: str) -> str:
    """Code in which names are V, functions F, classes O and strings S, and comments and white space are gone, as copydetect normalises it."""
    plain = {Name: "V", Name.Variable: "V", Name.Attribute: "V"}
    kinds = ((Name.Function, "F"), (Name.Class, "O"), (Text, ""), (Comment, ""), (String, "S"))
    return "".join(
        plain.get(kind) or next((letter for each, letter in kinds if kind in each and text not in "'\""), text.replace("'", '"'))
        for kind, text in PythonLexer().get_tokens(_token_source(code))
    )


def _prints(text: str) -> Prints:
    """The winnowed fingerprints of a token text, sorted, each once. Own hashes: Python's differ from process to process, and with them the choice."""
    if len(text) < NOISE:
        return np.array([], dtype=np.int64)
    hashes = np.array([_hash(text[place : place + NOISE]) for place in range(len(text) - NOISE + 1)], dtype=np.int64)
    return np.unique(sliding_window_view(hashes, min(GUARANTEE - NOISE + 1, hashes.size)).min(axis=1))


def _hash(text: str) -> int:
    """52 bits, so that winnowing may compare them as floating-point numbers."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") >> 12


# ------------------------------------------------------------------ the inverted index


def _shared(sets: Sequence[Prints], most: int, of: int = 0) -> Iterator[tuple[int, Prints, npt.NDArray[np.float64], Prints]]:
    """For each set a, the other sets that share a member with it which at most `most` sets have: (a, those sets, shared weight, members shared).

    A member that n sets have weighs log2((of + 1) / n), or 1 where `of` is 0. Through an index from member to sets, one set at a time: pairs without a
    rare member in common cost nothing, and memory is that of the index.
    """
    if not sets:
        return
    members = np.concatenate(sets)
    owners = np.repeat(np.arange(len(sets)), [own.size for own in sets])
    order = np.argsort(members, kind="stable")
    _, starts, times = np.unique(members[order], return_index=True, return_counts=True)
    postings = owners[order]
    rank = np.empty(members.size, dtype=np.int64)
    rank[order] = np.repeat(np.arange(starts.size), times)
    worth = np.log2((of + 1) / times) if of else np.ones(times.size)
    useful = (times >= 2) & (times <= most)
    begin = 0
    for place, own in enumerate(sets):
        ranks = rank[begin : begin + own.size]
        begin += own.size
        ranks = ranks[useful[ranks]]
        if not ranks.size:
            continue
        lists = [postings[starts[each] : starts[each] + times[each]] for each in ranks]
        others = np.concatenate(lists)
        sums = np.bincount(others, np.repeat(worth[ranks], times[ranks])).astype(np.float64)
        counts = np.bincount(others).astype(np.int64)
        counts[place] = 0
        having = np.flatnonzero(counts).astype(np.int64)
        yield place, having, sums[having], counts[having]
