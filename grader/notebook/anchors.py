"""The anchors of an exercise: what its template looks like, without its sentences.

`anchors.toml` holds fingerprints of the template's lines (the first 16 hex digits of the SHA-256 of the normalised line), heading key
words, and a name in our own words for each open question. From them come the sections, the unfilled cells and the students' own text.
"""

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.errors import UsageError
from grader.notebook.code import code_lines
from grader.records import Json

OPENING_WORDS = 5
"""A question is recognised by its first words, so that an answer may follow on the same line."""
_BULLET = re.compile(r"^[\s>]*(?:[*+\-•·\u2013]\s+|\d{1,2}[.)]\s+|\(?[a-h]\)\s+)?[\s>]*")
_MARKS = re.compile(r"<[^<>]{0,300}>|[*_`\\~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An open question. `label` names it in our words; `words` counts its own, `whole` and `opening` are fingerprints."""

    id: str
    section: int
    label: str
    words: int
    whole: str
    opening: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """All that recognises one exercise. Line and cell sets hold fingerprints; `keywords` are folded (`fold`), by section 1 to 6."""

    marker: str
    keywords: Mapping[int, tuple[str, ...]]
    questions: tuple[Question, ...]
    markdown_lines: frozenset[str]
    code_lines: frozenset[str]
    unfilled_cells: frozenset[str]


def load_anchors(path: Path) -> Anchors:
    """Read `anchors.toml`. Raises UsageError naming the file and the entry that is missing or of the wrong type."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        template, headings = raw["template"], raw["headings"]
        return Anchors(
            marker=_text(raw, "marker"),
            keywords={int(section): tuple(map(fold, _texts(headings, section))) for section in headings},
            questions=tuple(_question(entry) for entry in raw["question"]),
            markdown_lines=frozenset(_texts(template, "markdown_lines")),
            code_lines=frozenset(_texts(template, "code_lines")),
            unfilled_cells=frozenset(_texts(template, "unfilled_cells")),
        )
    except OSError as error:
        raise UsageError(f"{path}: the rubric's anchors could not be read ({error.strerror}). Check the rubric's folder.") from error
    except KeyError as error:
        raise UsageError(f"{path}: {error} was expected and is missing. See rubrics/all_cnn_c/anchors.toml for the form.") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path}: {error}. See rubrics/all_cnn_c/anchors.toml for the form.") from error


def fingerprint(normal: str) -> str:
    """Give the first 16 hex digits of the SHA-256 of an already normalised text."""
    return hashlib.sha256(normal.encode("utf-8", "replace")).hexdigest()[:16]


def words_of(line: str) -> list[str]:
    """Normalise a line of Markdown: bullet, emphasis and tags away, lower case, split at white space."""
    return _MARKS.sub("", _BULLET.sub("", line, count=1)).lower().split()


def line_print(line: str) -> str:
    """Give the fingerprint of a line of Markdown."""
    return fingerprint(" ".join(words_of(line)))


def code_prints(source: str) -> list[str]:
    """Give the fingerprint of each line of code, without comments, blank lines, magics and all white space."""
    return [fingerprint("".join(line.lower().split())) for line in code_lines(source)]


def cell_print(prints: list[str]) -> str:
    """Give the fingerprint of a whole code cell from its lines'."""
    return fingerprint("\n".join(prints))


def fold(text: str) -> str:
    """Lower-case text without diacritics, white space collapsed: `Régularisation` becomes `regularisation`."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(character for character in plain if not unicodedata.combining(character)).split())


def _text(table: Mapping[str, Json], key: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key}: a non-empty string was expected, {value!r} was found")
    return value


def _texts(table: Mapping[str, Json], key: str) -> list[str]:
    value = table[key]
    if not isinstance(value, list) or not all(isinstance(entry, str) and entry for entry in value):
        raise TypeError(f"{key}: a list of non-empty strings was expected, {value!r} was found")
    return value


def _question(entry: Mapping[str, Json]) -> Question:
    numbers = {key: entry[key] for key in ("section", "words")}
    if not all(type(value) is int and value > 0 for value in numbers.values()):
        raise TypeError(f"question: section and words must be positive whole numbers, {numbers} was found")
    return Question(
        id=_text(entry, "id"),
        label=_text(entry, "label"),
        whole=_text(entry, "whole"),
        opening=_text(entry, "opening"),
        section=numbers["section"],
        words=numbers["words"],
    )
