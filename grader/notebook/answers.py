"""What students wrote themselves in the sections with open questions."""

import ast
import bisect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from grader.notebook.anchors import OPENING_WORDS, Anchors, Question, fingerprint, line_print, words_of
from grader.notebook.code import comments
from grader.notebook.sections import Tracker, headings
from grader.records import Answer, Cell
from grader.syntax import parse

ASKED_IN = frozenset({4, 5, 6})
MAX_ANSWERS = 200
MAX_TEXT = 20_000
_LOOKED_AT = 5_000
_BADGE = re.compile(r"colab-badge|colab\.research\.google\.com/assets", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a cell that a student may have written, with the section it stands in."""

    section: int
    text: str
    heading: bool = False


def collect(cells: Iterable[Cell], anchors: Anchors) -> tuple[Answer, ...]:
    """Collect the students' text of sections 4 to 6, one answer a cell and question.

    Text under a question of the exercise, or after it on its line, is attributed to it (`Answer.question` is its label); other text has the
    question "". Template lines, headings that open a section and lines without a letter or digit are left out. At most 200 answers.
    """
    tracker = Tracker(anchors.keywords)
    found: list[Answer] = []
    for cell in cells:
        for (section, question), lines in _by_question(_lines(cell, tracker), anchors).items():
            text = "\n".join(line.text for line in lines).strip()
            if any(not line.heading for line in lines) and any(character.isalnum() for character in text):
                found.append(Answer(section=section, question=question, text=text[:MAX_TEXT], cell=cell.index))
    return tuple(found[:MAX_ANSWERS])


def _lines(cell: Cell, tracker: Tracker) -> Iterator[Line]:
    if cell.kind == "code":
        for text in _prose_of_code(cell.source):
            yield Line(tracker.section, text)
        return
    marked = headings(cell.source) if cell.kind == "markdown" else {}
    for number, text in enumerate(cell.source.split("\n")):
        heading = marked.get(number)
        if heading is not None and tracker.see(heading):
            continue
        yield Line(tracker.section, text, heading=heading is not None)


def _by_question(lines: Iterable[Line], anchors: Anchors) -> Mapping[tuple[int, str], list[Line]]:
    """Sort a cell's lines by section and question; template lines only move the question on."""
    openings = {question.opening: question for question in anchors.questions}
    sorted_lines: dict[tuple[int, str], list[Line]] = {}
    label, last = "", 0
    for line in lines:
        if line.section != last or line.heading:
            label, last = "", line.section
        question, rest = _match(line.text, openings)
        if question is not None:
            label, last = question.label, question.section
            line = Line(question.section, rest)  # noqa: PLW2901  (what follows the question on its line is the answer)
        elif _is_template(line.text, anchors):
            continue
        section = line.section if line.section in ASKED_IN else last if label else 0
        if section in ASKED_IN and (line.text.strip() or (section, label) in sorted_lines):
            sorted_lines.setdefault((section, label), []).append(line)
    return sorted_lines


def _match(text: str, openings: Mapping[str, Question]) -> tuple[Question | None, str]:
    """Recognise a question at the start of a line; give what follows it there (all after the opening, if its words were changed)."""
    words = words_of(text[:_LOOKED_AT])
    question = openings.get(fingerprint(" ".join(words[:OPENING_WORDS])))
    if question is None:
        return None, ""
    unchanged = fingerprint(" ".join(words[: question.words])) == question.whole
    if unchanged:
        return question, _after_words(text, question.words)
    return question, "" if len(words) <= question.words else text.strip()


def _after_words(text: str, count: int) -> str:
    """Give the text after its first `count` normalised words, as written."""
    ends = [match.start() for match in re.finditer(r"\s+|$", text[:_LOOKED_AT])]
    place = bisect.bisect_left(ends, count, key=lambda end: len(words_of(text[:end])))
    return text[ends[place] :].strip(" \t*_") if place < len(ends) else ""


def _is_template(text: str, anchors: Anchors) -> bool:
    start = text[:_LOOKED_AT]
    return line_print(start) in anchors.markdown_lines or anchors.marker.lower() in start.lower() or _BADGE.search(start) is not None


def _prose_of_code(source: str) -> list[str]:
    """Give the prose of a code cell that holds nothing else: comments, bare strings, or a text left in the wrong kind of cell."""
    tree = parse(source)
    if isinstance(tree, ast.Module):
        if not all(
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) for node in tree.body
        ):
            return []
        strings = [line for node in tree.body if isinstance(node, ast.Expr) for line in str(ast.literal_eval(node.value)).split("\n")]
        lines = [*comments(source), *strings]
    elif isinstance(tree, SyntaxError) and _reads_as_prose(source):
        lines = source.split("\n")
    else:
        return []
    lines = [line for line in lines if not _is_code(line)]
    return lines if sum(len(line.split()) for line in lines) >= 2 else []


def _reads_as_prose(source: str) -> bool:
    """Whether text that is no Python reads as sentences: many words, no assignment, import or bracket at a line's end."""
    if len(source) > MAX_TEXT or re.search(r"[=\[\]{};]|^[ \t]*+(?:import|from|def|class|for|if|while|print|%|!)\b", source, re.MULTILINE):
        return False
    return len(re.findall(r"[^\W\d_]{2,}", source)) >= 6 and source.count("(") <= 3


def _is_code(line: str) -> bool:
    """Whether a comment's text is code that was commented out."""
    stripped = line.strip()
    if not stripped or len(stripped) > 300:
        return False
    tree = parse(stripped)
    if isinstance(tree, ast.Module):
        return any(isinstance(node, ast.Call | ast.Assign | ast.Import | ast.ImportFrom | ast.Attribute) for node in ast.walk(tree))
    return stripped.endswith(("(", "([", ",", "])")) and "(" in stripped + "("
