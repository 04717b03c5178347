"""Python's own parser, for text that nobody has seen: what makes it take more memory than a file of that size may is cut out first.

Nothing is run, and nothing is parsed on the host but through here.
"""

import ast
import re
import textwrap
import warnings

MOST_NAMES = 50
"""Dotted names in a row that are parsed; `tf.keras.preprocessing.image.ImageDataGenerator` has five."""

_NAME = r"[A-Za-z0-9_\x80-\U0010ffff]"  # what the tokeniser takes into a name, and more
_GAP = r"(?:[ \t\f]|\\\r?\n)*+"
_CHAIN = re.compile(rf"(?<!{_NAME})((?:{_NAME}++{_GAP}\.{_GAP}){{{MOST_NAMES}}})(?:{_NAME}++{_GAP}\.{_GAP})*+({_NAME}*+)")


def tree(text: str) -> ast.Module | SyntaxError | None:
    """Parse Python: the tree, the error, or None where the parser gives up (nested too deeply, say).

    Of a dotted name of over 50 parts only the first and the last are parsed: CPython joins the name of an `import` part by part and keeps every
    step, so that one of 150,000 parts, a file of 300 kB, took 22 GiB (Python 3.11).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(_CHAIN.sub(r"\1\2", text))
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError):
        return None


# ------------------------------------------------------------------ cells

MAX_PARSED = 300_000
"""Characters of a cell that are given to the parser; a longer one is only tokenised."""
PYTHON_CELL_MAGICS = frozenset({"%%time", "%%timeit", "%%capture", "%%prun", "%%python", "%%python3", "%%tensorflow_version"})
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
        source = f"\n{rest}"
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
        found = tree(text)
        if not isinstance(found, SyntaxError):
            return found
        error = found
    return error


def bound(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement binds, inner ones included."""
    found = {getattr(statement, "name", "")}
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
    return frozenset(found - {""})
