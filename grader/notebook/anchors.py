"""The anchors of an exercise: what its template looks like, without its sentences.

`anchors.toml` holds fingerprints of the template's lines (the first 16 hex digits of the SHA-256 of the normalised line), heading key
words, and a name in our own words for each open question. From them come the sections, the unfilled cells and the students' own text.
"""

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from grader.decode import to_record
from grader.errors import FrameError, UsageError
from grader.notebook.code import code_lines

OPENING_WORDS = 5
"""A question is recognised by its first words, so that an answer may follow on the same line."""
_BULLET = re.compile(r"^[\s>]*(?:[*+\-•·\u2013]\s+|\d{1,2}[.)]\s+|\(?[a-h]\)\s+)?[\s>]*")
_MARKS = re.compile(r"<[^<>]{0,300}>|[*_`\\~]")


Text = Annotated[str, Field(min_length=1)]
Number = Annotated[int, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """An open question. `label` names it in our words; `words` counts its own, `whole` and `opening` are fingerprints."""

    id: Text
    section: Number
    label: Text
    words: Number
    whole: Text
    opening: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The fingerprints of the template's lines and of its cells with something to fill in."""

    markdown_lines: frozenset[Text]
    code_lines: frozenset[Text]
    unfilled_cells: frozenset[Text]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors(Template):
    """All that recognises one exercise. `keywords` are folded (`fold`), by section 1 to 6."""

    marker: str
    keywords: Mapping[int, tuple[str, ...]]
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """`anchors.toml`, key for key."""

    marker: Text
    headings: Mapping[int, tuple[Text, ...]]
    template: Template
    question: tuple[Question, ...]


def load_anchors(path: Path) -> Anchors:
    """Read `anchors.toml`. Raises UsageError naming the file and the entry that is missing or of the wrong type."""
    try:
        file = to_record(_File, tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: the rubric's anchors could not be read ({error.strerror}). Check the rubric's folder.") from error
    except (ValueError, FrameError) as error:
        told = str(error).removeprefix("_File.")
        raise UsageError(f"{path}: {told}. See rubrics/all_cnn_c/anchors.toml for the form.") from error
    keywords = {section: tuple(map(fold, words)) for section, words in file.headings.items()}
    return Anchors(marker=file.marker, keywords=keywords, questions=file.question, **asdict(file.template))


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
