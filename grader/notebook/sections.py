"""Which section of the exercise a line belongs to, by headings in Markdown cells (never by comments in code)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from grader.notebook.anchors import fold

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]*(?=[^\s#])(.*)$")
_HTML = re.compile(r"^\s*<h([1-6])\b[^<>]{0,300}>(.{1,300}?)(?:</h\1>|$)", re.IGNORECASE)
_BOLD = re.compile(r"^\s*(?:\*\*|__)([^*_]{2,80})(?:\*\*|__)\s*:?\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(?:=+|-{3,})\s*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_PART = (
    "section|part|step|task|exercise|question|problem|ejercicio|seccion|parte|paso|tarea|secao|exercicio|passo|etapa|aufgabe|abschnitt|teil|"
    "schritt|partie|etape|exercice|sezione|esercizio|punto|задание|задача|часть|раздел|шаг|第"
)
_NUMBER = re.compile(rf"^\W{{0,3}}(?P<part>(?:{_PART})\s*)?(?P<n>\d{{1,2}})(?:(?P<mark>\s*[.):,\-\u2013\u2014、章节部步]|\.\d)|(?=\s)|$)")
_MAX_LINE = 500


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading as written; `level` 1 is the highest."""

    level: int
    text: str


def headings(source: str) -> dict[int, Heading]:
    """Find the headings of a Markdown cell by line number (from 0); fenced code does not count."""
    found: dict[int, Heading] = {}
    lines = source.split("\n")
    fenced = False
    for number, line in enumerate(lines):
        if _FENCE.match(line):
            fenced = not fenced
        if fenced or len(line) > _MAX_LINE:
            continue
        heading = _heading(line, lines[number + 1] if number + 1 < len(lines) else "")
        if heading is not None:
            found[number] = heading
    return found


def _heading(line: str, below: str) -> Heading | None:
    match = _HEADING.match(line)
    if match:
        return Heading(len(match.group(1)), match.group(2).rstrip("# \t"))
    match = _HTML.match(line)
    if match:
        return Heading(int(match.group(1)), re.sub(r"<[^<>]*>", "", match.group(2)))
    match = _BOLD.match(line)
    if match:
        return Heading(6, match.group(1))
    if _UNDERLINE.match(below) and re.match(r"\s*\w", line) and len(below) < _MAX_LINE:
        return Heading(1 if "=" in below else 2, line.strip())
    return None


@dataclass(slots=True)
class Tracker:
    """Walks the headings in order and keeps the section.

    A heading's key words decide before its number; a number alone may only lead forward, and only while the notebook's numbers have agreed
    with the exercise's. Going back takes clear words: words and number agree, or the words name one of the two last sections, or an equal
    or higher heading returns to the model, the data or the training before section 5 began.
    """

    keywords: Mapping[int, tuple[str, ...]]
    section: int = 0
    _level: int = 7
    _own_numbers: bool = False
    _headings: int = 0
    _patterns: list[tuple[re.Pattern[str], int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        pairs = sorted(((word, section) for section, words in self.keywords.items() for word in words), key=lambda pair: -len(pair[0]))
        self._patterns = [(re.compile(("" if word[0] > "\u2e80" else r"(?<!\w)") + re.escape(word)), section) for word, section in pairs]

    def see(self, heading: Heading) -> bool:
        """Take a heading in; True if it names a section (this one or another)."""
        self._headings += 1
        text = fold(heading.text)
        number, firm = _number(text)
        named = self._named(text)
        if self._headings == 1 and number is None:
            return False  # the notebook's own title
        if named and number is not None and 1 <= number <= 6 and firm and number != named:
            self._own_numbers = True
        if named is None:
            if number is None or not firm or self._own_numbers or not self.section < number <= 6:
                return False
            named = number
        elif named < self.section and not self._may_return(named, number, heading.level):
            return False
        if named != self.section:
            self._level = heading.level
        self.section = named
        return True

    def _may_return(self, named: int, number: int | None, level: int) -> bool:
        return number == named or named >= 5 or (self.section <= 4 and level <= self._level)

    def _named(self, text: str) -> int | None:
        """Find the section that the words name: the last sections' words are the most telling; 5 and 6 together are none."""
        hits: set[int] = set()
        for pattern, section in self._patterns:  # longest first; what matched is taken out
            text, count = pattern.subn(" \u00b7 ", text)
            if count:
                hits.add(section)
        if {5, 6} <= hits:
            return None
        return max(hits, default=None)


def _number(text: str) -> tuple[int | None, bool]:
    """Read a heading's number, and whether its form makes it one for sure (`5.`, `Part 5`; not `10 epochs`)."""
    match = _NUMBER.match(text)
    if match is None:
        return None, False
    return int(match.group("n")), bool(match.group("part") or match.group("mark"))
