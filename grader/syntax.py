"""Python's own parser, for text that nobody has seen: what makes it take more memory than a file of that size may is cut out first.

Nothing is run, and nothing is parsed on the host but through here.
"""

import ast
import re
import warnings

MOST_NAMES = 50
"""Dotted names in a row that are parsed; `tf.keras.preprocessing.image.ImageDataGenerator` has five."""

_NAME = r"[A-Za-z0-9_\x80-\U0010ffff]"  # what the tokeniser takes into a name, and more
_GAP = r"(?:[ \t\f]|\\\r?\n)*+"
_CHAIN = re.compile(
    rf"(?<!{_NAME})((?:{_NAME}++{_GAP}\.{_GAP}){{{MOST_NAMES}}})(?:{_NAME}++{_GAP}\.{_GAP})*+({_NAME}*+)",
)


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
