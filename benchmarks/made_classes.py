"""A class that was never taught: hand-ins made from the corpus of test notebooks, in a zip as Canvas offers it for download.

Most of a class builds on the same few models: 60 % of the hand-ins have one of 40, written differently each time (names, comments, answers), so that their
contents differ and their models do not. The others have models of their own: filter counts that nobody else has. A few are exact copies of an earlier
hand-in, a few cannot be graded. Hand-in `n` is the same in a class of any size, so a smaller class is the beginning of a larger one.
"""

import itertools
import json
import random
import re
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from made_notebooks import filter_counts

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "notebooks"
KINDS = ("all", "augmentation", "dropout", "full", "honest", "messy", "old", "wrong")
"""Families of the corpus that students' work is made from: hostile notebooks wait for their time limit, which is no measure of a class."""
COPIES, UNGRADABLE, SHARING = 0.03, 0.02, 0.6
_RENAMED = {
    "x_train": ["X_train", "train_x", "xtr", "train_images"],
    "x_test": ["X_test", "test_x", "xte", "test_images"],
    "y_train": ["Y_train", "train_y", "ytr", "train_labels"],
    "y_test": ["Y_test", "test_y", "yte", "test_labels"],
    "history": ["hist", "h1", "training", "verlauf"],
}
_REMARKS = ["as in the lecture", "todo: try more epochs", "nach der Übung", "took 40 minutes on my laptop", "second try", "voir le cours"]
_ANSWERS = ["It overfits after a while.", "The dropout rate of 0.2 was best.", "Flipping helps a little.", "Die Testkurve bleibt stehen."]
_FIRST = [
    "Ana",
    "Bo",
    "Chloé",
    "Dmitri",
    "Elif",
    "Fatou",
    "Georg",
    "Hana",
    "Iñaki",
    "Jun",
    "Kofi",
    "Lucía",
    "Maya",
    "Nils",
    "Oya",
    "Pia",
    "Ravi",
    "Sofie",
]
_LAST = [
    "Abara",
    "Brandt",
    "Costa",
    "Dietz",
    "Eriksen",
    "Fontaine",
    "Garcia",
    "Haddad",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nowak",
]
_FILES = ["CNN on CIFAR 10.ipynb", "exercise_4.ipynb", "Untitled.ipynb", "cnn (1).ipynb", "Copy of CNN_on_CIFAR_10-2.ipynb"]
_MOMENT = (2026, 11, 20, 12, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandIn:
    """One file of one student. `model` numbers the models of a class (None where there is none); copies have their original's number."""

    student: int
    data: bytes
    model: int | None
    kind: str  # shared | own | copy | ungradable


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """How hand-ins are made. `shared`: models that many have; `bases`: corpus cases (None: all that fit); `plain`: no copies, nothing ungradable, no own models."""

    shared: int = 40
    bases: tuple[str, ...] | None = None
    plain: bool = False
    filters: tuple[int, int] = (96, 192)

    def hand_ins(self, count: int) -> list[HandIn]:
        """The first `count`."""
        found: list[HandIn] = []
        for number in range(count):
            found.append(self._hand_in(number, found))
        return found

    def _hand_in(self, number: int, before: Sequence[HandIn]) -> HandIn:
        draw = random.Random(f"hand-in {number}")  # noqa: S311 (no secret)
        kind = draw.random()
        if self.plain:
            return self._written("shared", number, number % self.shared, draw)
        if kind < COPIES and before:
            original = draw.choice(before)
            return HandIn(student=number, data=original.data, model=original.model, kind="copy")
        if kind < COPIES + UNGRADABLE:
            return HandIn(student=number, data=_respelled(draw.choice(ungradable()), number, draw, {}), model=None, kind="ungradable")
        if draw.random() < SHARING:
            return self._written("shared", number, draw.randrange(self.shared), draw)
        return self._written("own", number, self.shared + number, draw)

    def _written(self, kind: str, number: int, model: int, draw: random.Random) -> HandIn:
        """Model `model` as student `number` writes it: the case of the corpus hangs on the model, the spelling on the student."""
        cases = self.bases or bases()
        narrow, wide = _pair(model)
        literals = {"96": str(narrow - 96 + self.filters[0]), "192": str(wide - 192 + self.filters[1])}
        data = (CORPUS / cases[model % len(cases)] / "submission.ipynb").read_bytes()
        return HandIn(student=number, data=_respelled(data, number, draw, literals), model=model, kind=kind)


@cache
def bases() -> tuple[str, ...]:
    """The cases of the corpus whose filter counts can be exchanged."""
    return tuple(
        name
        for name, status, code in _cases()
        if status == "graded" and name.split("_")[0] in KINDS and _number("96").search(code) and _number("192").search(code)
    )


@cache
def ungradable() -> tuple[bytes, ...]:
    """The bytes of the cases that are not gradable."""
    return tuple((CORPUS / name / "submission.ipynb").read_bytes() for name, status, _ in _cases() if status == "ungradable")


def write_canvas(path: Path, hand_ins: Sequence[HandIn]) -> None:
    """A "Download Submissions" zip: one file a student, named `<name>[_LATE]_<user>_<attachment>_<file name>`. Equal hand-ins make equal bytes."""
    fresh = path.with_suffix(".new")
    with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        for hand_in in hand_ins:
            draw = random.Random(f"student {hand_in.student}")  # noqa: S311 (no secret)
            who = f"{draw.choice(_LAST)}{draw.choice(_FIRST)}".lower()
            late = "_LATE" if draw.random() < 0.05 else ""
            name = f"{who}{late}_{100_000 + hand_in.student}_{5_000_000 + hand_in.student}_{draw.choice(_FILES)}"
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, hand_in.data)
    fresh.replace(path)


def _respelled(data: bytes, number: int, draw: random.Random, literals: Mapping[str, str]) -> bytes:
    """The same notebook in other words, which no other `number` has: literals exchanged, names of variables, comments, answers."""
    try:
        document: dict[str, Any] = json.loads(data.decode("utf-8-sig"))
        cells = document["cells"]
    except (ValueError, TypeError, KeyError):
        return data + f"\n{number}".encode()
    names = {name: draw.choice(others) for name, others in _RENAMED.items() if draw.random() < 0.6}
    for cell in cells:
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        if cell["cell_type"] == "code":
            for old, new in literals.items():
                source = _number(old).sub(new, source)
            for old, new in names.items():
                source = re.sub(rf"(?<![\w.]){old}(?!\w)", new, source)
            if draw.random() < 0.5:
                source += f"\n# {draw.choice(_REMARKS)}"
        elif draw.random() < 0.7:
            source += f"\n\n{draw.choice(_ANSWERS)}"
        cell["source"] = source
    cells.append({"cell_type": "markdown", "metadata": {}, "source": f"{draw.choice(_ANSWERS)} (version {number})"})
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


@cache
def _pair(model: int) -> tuple[int, int]:
    """The filter counts of a model."""
    return next(itertools.islice(filter_counts(), model, None))


@cache
def _number(literal: str) -> "re.Pattern[str]":
    """Where a number stands by itself."""
    return re.compile(rf"(?<![\w.]){literal}(?![\w.])")


@cache
def _cases() -> tuple[tuple[str, str, str], ...]:
    """(name, expected status, code) of every case of the corpus."""
    found = []
    for folder in sorted(path.parent for path in CORPUS.glob("*/expect.toml")):
        status = tomllib.loads((folder / "expect.toml").read_text(encoding="utf-8"))["status"]
        try:
            cells = json.loads((folder / "submission.ipynb").read_text(encoding="utf-8-sig"))["cells"]
            code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        except (ValueError, TypeError, KeyError):
            code = ""
        found.append((folder.name, status, code))
    return tuple(found)
