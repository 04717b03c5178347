"""A tolerant look at code cells: IPython's own syntax taken out, comments removed, a syntax tree where there is one. Nothing is run."""

import re

_TRIPLE = r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*+(?:\'\'\'|\Z)'
_SINGLE = r'"(?:[^"\\\n]|\\.)*+(?:"|(?=\n)|\Z)|\'(?:[^\'\\\n]|\\.)*+(?:\'|(?=\n)|\Z)'
_LEXEME = re.compile(rf"(?P<string>{_TRIPLE}|{_SINGLE})|(?P<comment>#[^\n]*+)", re.DOTALL)


def without_comments(source: str) -> str:
    """Remove `#` comments, minding strings; for code that may not parse. Linear in the length."""
    return _LEXEME.sub(lambda match: match.group("string") or "", source)


def strings_and_names(source: str) -> tuple[list[str], str]:
    """Split code that may not parse into its string literals and the rest (strings blanked, comments gone)."""
    strings: list[str] = []

    def blank(match: re.Match[str]) -> str:
        if match.group("string"):
            strings.append(match.group("string").strip("\"'"))
            return '""'
        return ""

    return strings, _LEXEME.sub(blank, source)


def comments(source: str) -> list[str]:
    """Give the text of each `#` comment, its mark taken off."""
    return [match.group("comment").lstrip("#").strip() for match in _LEXEME.finditer(source) if match.group("comment")]


def code_lines(source: str) -> list[str]:
    """Give the lines that hold code, stripped, without comments, blank lines and IPython's own lines."""
    lines = (line.strip() for line in without_comments(source).split("\n"))
    return [line for line in lines if line and not line.startswith(("%", "!"))]
