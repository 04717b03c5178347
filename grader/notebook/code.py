"""A tolerant look at code cells: IPython's own syntax taken out, comments removed, a syntax tree where there is one. Nothing is run."""

import ast
import re
import textwrap

from grader import syntax

MAX_PARSED = 300_000
"""Characters of a cell that are given to the parser; a longer one is only tokenised."""
PYTHON_CELL_MAGICS = frozenset({"%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3", "%%tensorflow_version"})

_TRIPLE = r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*+(?:\'\'\'|\Z)'
_SINGLE = r'"(?:[^"\\\n]|\\.)*+(?:"|(?=\n)|\Z)|\'(?:[^\'\\\n]|\\.)*+(?:\'|(?=\n)|\Z)'
_LEXEME = re.compile(rf"(?P<string>{_TRIPLE}|{_SINGLE})|(?P<comment>#[^\n]*+)", re.DOTALL)
_SHELL = re.compile(
    r"^([ \t]*+)(?:[%!?][^\n]*|(?:pip3?|conda|apt|apt-get|ls|cd|pwd|mkdir|wget|nvidia-smi)[ \t]+[\w./\-][^\n=(]*|[^\n#]*\w\?{1,2}[ \t]*)$",
    re.MULTILINE,
)
_CAPTURE = re.compile(r"^([ \t]*+[\w, ]++=[ \t]*+)[!%][^\n]*$", re.MULTILINE)
_CONTINUED = re.compile(r"^([ \t]*+[%!][^\n]*)\\\n", re.MULTILINE)


def python_of(source: str) -> str:
    """Take IPython's syntax out of a cell: magics and shell lines become `pass`, a cell in another language becomes empty."""
    if len(source) > MAX_PARSED:
        return source
    source = textwrap.dedent(source.lstrip("\n")) if source[:1] in " \t\n" else source
    first, _, rest = source.partition("\n")
    if first.startswith("%%"):
        if first.split()[0] not in PYTHON_CELL_MAGICS:
            return ""
        source = rest
    for _ in range(20):
        source, joined = _CONTINUED.subn(r"\1 ", source)
        if not joined:
            break
    return _SHELL.sub(r"\1pass", _CAPTURE.sub(r"\1None", source))


def parse(source: str) -> ast.Module | SyntaxError | None:
    """Parse a cell's Python: the tree, the error, or None if it is too large to be parsed safely."""
    error: SyntaxError | None = None
    for text in dict.fromkeys((source, python_of(source))):
        if len(text) > MAX_PARSED:
            return None
        found = syntax.tree(text)
        if not isinstance(found, SyntaxError):
            return found
        error = found
    return error


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
