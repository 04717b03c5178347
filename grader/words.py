"""How anything is worded, whoever says it: a count with its noun, one line of a text, a cut that shows."""

import difflib
from collections.abc import Iterable

_MANY = {"criterion": "criteria", "pass": "passes"}


def counted(count: float, one: str, many: str = "") -> str:
    """The count with its word, by default with an s where it is not 1: 1 student; 1,200 students; 2.5 points; 0 criteria."""
    number = f"{count:,}" if isinstance(count, int) else f"{count:,g}"
    return f"{number} {one if count == 1 else many or _MANY.get(one, f'{one}s')}"


def meant(word: str, known: Iterable[str]) -> str:
    """What a mistyped word may have been, as a sentence to add; empty where none of the known ones is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def cut(text: str, most: int) -> str:
    """`text`, at most `most` characters; a cut is shown by "…"."""
    return text if len(text) <= most else text[: most - 1] + "…"


def one_line(text: str, most: int = 1000) -> str:
    """`text` with every run of white space made one space, cut to `most` characters."""
    return cut(" ".join(text.split()), most)


def last_line(text: str, otherwise: str = "", most: int = 300) -> str:
    """The last line of a program's output or a traceback, where it says what was wrong; `otherwise` where there is none."""
    return cut((text.strip().splitlines() or [otherwise])[-1], most)
