"""Which notebook of a hand-in is meant, and which attempt of a student it is: told from the others' hand-ins, or left to a person, never guessed."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from grader.errors import GraderError
from grader.records import HandedIn
from grader.sources.classes.layout import GIVEN, Piece, stem
from grader.sources.classes.nbgrader import TIMESTAMP
from grader.sources.common import listing
from grader.words import counted

BY_MAPPING = "name the one that counts in a mapping CSV (columns file, student)"
_SUFFIX = re.compile(r"(.+)-(\d{1,3})", re.ASCII | re.DOTALL)
_KNOWN_STUDENTS = frozenset({"canvas", "moodle", "gradescope", "nbgrader"})
"""Platforms that know their students: the same one in two archives is the same person, with two attempts."""

Group = list[Piece]
"""The files of one hand-in: of one student, one attempt, one given path."""


def groups(pieces: Iterable[Piece]) -> list[Group]:
    """The hand-ins that the pieces make, in the order of their first pieces."""
    found: dict[tuple[object, ...], Group] = {}
    for piece in pieces:
        found.setdefault(piece.hand_in, []).append(piece)
    return list(found.values())


def notebooks(hand_ins: Iterable[Group]) -> tuple[list[Group], list[Piece], list[str]]:
    """The notebooks of each hand-in: by name, else in its archives, else by content; the hand-ins without one, and a sentence on each of them.

    A hand-in without a notebook stays in the class, as one that cannot be graded: where the platform knows its students, or a file's name is one of
    work. A folder of other things is nobody's.
    """
    found: list[Group] = []
    without: list[Piece] = []
    problems: list[str] = []
    for group in hand_ins:
        direct = [piece for piece in group if piece.file.is_notebook or (piece.chosen and not piece.file.is_zip)]
        packed = [piece for piece in group if piece.file.is_zip and (piece.member or not direct)]
        other = [piece for piece in group if piece not in packed and piece.file.name != TIMESTAMP]
        problem = (
            f"{group[0].source.where}: a notebook (.ipynb) was expected; only {listing(piece.file.whole for piece in group)} was submitted. "
            "Ask for the notebook; where one of these is it, name it in a mapping CSV (columns file, student)."
        )
        try:
            inner = [unpacked for piece in packed for unpacked in _unpacked(piece)]
            work = direct + inner or [piece for piece in other if piece.source.holds_notebook(piece.file)]
            what = "the archive that was submitted holds none"
        except GraderError as error:
            work, problem = [], f"{error} No notebook was read from it."
            what = "the archive that was submitted could not be read"
        if work:
            found.append(work)
            continue
        problems.append(problem)
        if group[0].platform in _KNOWN_STUDENTS or any(piece.file.is_work for piece in group):
            what = what if packed else f"{counted(len(other), 'other file was', 'other files were')} submitted"
            alone = not packed and len(other) == 1  # its content says best what it is
            without.append(replace((other or group)[0], refusal="" if alone else f"A notebook (.ipynb) was expected; {what}."))
    return found, without, problems


def one_each(hand_ins: Sequence[Group]) -> tuple[list[Piece], list[str]]:
    """The notebook that counts of each hand-in.

    Of several, it is the one named as most other hand-ins' notebooks are, or the newest of those that differ from that name only by the suffix that a
    platform gives later uploads (`work.ipynb`, `work-1.ipynb`, `work-2.ipynb`). Where that leaves none or several, a sentence names the files, and the
    hand-in cannot be graded.
    """
    usual = _usual(hand_ins)
    pieces: list[Piece] = []
    told: list[str] = []
    problems: list[str] = []
    for group in hand_ins:
        chosen = [piece for piece in group if piece.chosen] or group
        piece = chosen[0] if len(chosen) == 1 else _newest(chosen, usual)
        if piece is None:
            where = chosen[0].source.where
            files = listing(piece.file.whole for piece in chosen)
            problems.append(
                f"{where}: one notebook was expected in a submission; there are {len(chosen)}: {files}. To grade one, {BY_MAPPING}."
            )
            if chosen[0].platform in _KNOWN_STUDENTS or where != GIVEN:  # the name of a file that was given by itself may be nobody's
                why = f"{len(chosen)} notebooks were submitted together, and it is unclear which one counts."
                pieces.append(replace(chosen[0], refusal=why))
            continue
        if len(chosen) > 1:
            told.append(piece.file.whole)
        pieces.append(piece)
    if told:
        problems.append(
            f"Where several notebooks were submitted together ({len(told)}), the one named like the others' was taken, the newest where it came "
            f"again: {listing(told)}. If another one is meant, {BY_MAPPING}."
        )
    return pieces, problems


def attempts(pieces: Sequence[Piece]) -> tuple[list[HandedIn], list[str]]:
    """The hand-ins, each student's in the order of the attempts; where that cannot be told, a sentence."""
    students: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        students.setdefault((piece.platform, piece.student), []).append(piece)
    found: list[HandedIn] = []
    problems: list[str] = []
    for own in students.values():
        ordered = _ordered(own)
        if ordered is None:
            files = listing(piece.file.whole for piece in own)
            problems.append(
                f"{own[0].source.where}: {len(own)} notebooks have the same student's name, and it is unclear which is newer: {files}. "
                "Give each its student (and attempt) in a mapping CSV (columns file, student, attempt)."
            )
        else:
            found += [piece.handed_in(number) for number, piece in ordered]
    return found, problems


def _unpacked(piece: Piece) -> list[Piece]:
    """The notebooks in an archive that was handed in, or the one that a person named."""
    files = [file for file in piece.source.within(piece.file) if not piece.member or file.whole == f"{piece.file.whole}!{piece.member}"]
    return [replace(piece, file=file, shown=file.name) for file in files]


def _usual(hand_ins: Sequence[Group]) -> Counter[str]:
    """How many hand-ins hold a notebook of each name, later uploads counted with the name that they repeat; only names that most have."""
    exact = {_name(piece) for group in hand_ins for piece in group}
    counted: Counter[str] = Counter()
    for group in hand_ins:
        own = {_name(piece) for piece in group}
        counted.update(own | {base for name in own if (base := _base(name)) in exact})
    # most *other* hand-ins: a hand-in's own name is one of those counted
    return Counter({name: count for name, count in counted.items() if (count - 1) * 2 > len(hand_ins) - 1})


def _newest(group: Group, usual: Counter[str]) -> Piece | None:
    """The one notebook of the usual name, or its newest repetition; None where there is none, or no single one."""
    names = {_name(piece) for piece in group}
    families: dict[str, list[tuple[int, Piece]]] = {}
    for known, all_count in ((usual.keys(), False), (names, True)):
        for piece in group:
            name, base = _name(piece), _base(_name(piece))
            if base != name and base in known and (all_count or name not in known):
                families.setdefault(base, []).append((int(name[len(base) + 1 :]), piece))
            elif name in known:
                families.setdefault(name, []).append((0, piece))
        if families:
            break
    if len(families) != 1:
        return None
    (family,) = families.values()
    newest = max(number for number, _ in family)
    last = [piece for number, piece in family if number == newest]
    return last[0] if len(last) == 1 else None


def _name(piece: Piece) -> str:
    return stem(piece.shown).casefold()


def _base(name: str) -> str:
    """The name that a later upload's repeats; the name itself where it has no number."""
    match = _SUFFIX.fullmatch(name)
    return match[1] if match else name


def _ordered(own: list[Piece]) -> list[tuple[int | None, Piece]] | None:
    """A student's hand-ins with their attempts' numbers, in order; None where the order cannot be told."""
    if len(own) == 1:
        return [(own[0].attempt, own[0])]
    numbers = [piece.attempt for piece in own if piece.attempt is not None]
    if len(set(numbers)) == len(own):
        return [(piece.attempt, piece) for piece in sorted(own, key=lambda piece: piece.attempt or 0)]
    times = [piece.submitted_at for piece in own if piece.submitted_at is not None]
    if len(set(times)) == len(own):
        return list(enumerate((piece for _, piece in sorted(zip(times, own, strict=True), key=lambda pair: pair[0])), start=1))
    files = [int(piece.ids["fid"]) for piece in own if piece.ids.get("fid", "").isdigit()]
    if len(files) == len(own):  # Canvas numbers its files in the order of their coming
        distinct = dict(sorted(zip(files, own, strict=True), key=lambda pair: pair[0]))
        return [(None if len(distinct) == 1 else number, piece) for number, piece in enumerate(distinct.values(), start=1)]
    places = {id(piece.source) for piece in own}
    if own[0].platform in _KNOWN_STUDENTS and len(places) == len(own):
        return list(enumerate(own, start=1))  # in the order in which the paths were given
    return None
