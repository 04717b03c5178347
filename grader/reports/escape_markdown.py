"""Student text inside Markdown, such that no markup, link, mention, formula or HTML gets through.

Written for GitHub's Markdown, the strictest to please: it also links bare addresses, `@names`, `#numbers`, and reads `$…$` as a formula.
"""

import re
from collections.abc import Sequence

from grader.reports.text import shorten
from grader.words import one_line

_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
_JOINER = "\u2060"  # word joiner: invisible, and ends what GitHub would link
_LINKS = re.compile(r"(?<=[@#])(?=\w)|(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=\bGH)(?=-\d)|(?<=\bmailto)(?=:)|(?<=\bxmpp)(?=:)", re.IGNORECASE)
_LINE_START = re.compile(r"^(?:[-+=#!:]|\d{1,9}(?=[.)](?:\s|$)))")


def inline(text: str, limit: int = 1000) -> str:
    """`text` on one line, fit for a paragraph, a list item or a table cell, showing exactly its characters."""
    line = _LINKS.sub(_JOINER, one_line(text, limit))
    line = "".join(_ENTITIES.get(character, character) for character in line)
    line = _SPECIAL.sub(r"\\\1", line)
    return _LINE_START.sub(_guarded, line)


def _guarded(match: re.Match[str]) -> str:
    found = match.group()
    return f"{found}{_JOINER}" if found[0].isdigit() else f"\\{found}"


def bold(text: str) -> str:
    """`text` as `inline` makes it, in bold; empty where nothing is left (four stars on a line would be a rule)."""
    line = inline(text)
    return f"**{line}**" if line else ""


def code(text: str, limit: int = 200) -> str:
    """`text` as a code span: for names and ids. Fit for a table cell; a backtick inside becomes an apostrophe."""
    line = one_line(text, limit).replace("`", "'").replace("|", "¦")
    return f"`{line}`" if line else ""


def block(text: str, limit: int = 20_000) -> str:
    """`text` as a fenced code block, its fence longer than any run of backticks inside."""
    body = shorten(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{body}\n{fence}"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of cells that are already escaped."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
