"""Text that came from a student, made harmless, and numbers made readable.

Every format starts with `cleaned(executed)`: one choke point through which all text passes before any format escapes it in its own way.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")
TIMES = "\u00d7"
NOTHING = "\u2013"
"""Stands in a table where there is no value."""

_ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement
    r"|\x1b[\]PX^_][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)"  # OSC and its relatives: titles, hyperlinks
    r"|\x1b[ -/]*[0-~]"  # other two-character escapes
    r"|\x9b[0-?]*[ -/]*[@-~]"  # CSI in its one-character form
)
_BACKSPACES = re.compile(r"\x08{2,}")
# C0 (but for tab and newline), DEL and C1, bidirectional controls (they can make text read as other than it is), and what XML 1.0 forbids.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ILLEGAL = re.compile("[\ud800-\udfff\ufffe\uffff]")
_COMMANDS = re.compile(r":(?=:)|##(?=\[|vso\[|teamcity\[)", re.IGNORECASE)
_JOINER = "\u2060"  # word joiner: invisible


def clean(text: str) -> str:
    r"""`text` without terminal escapes, control characters (but for `\n` and `\t`), bidirectional controls and lone surrogates.

    A carriage return overwrites its line, as it does on a terminal, so a progress bar leaves its last state. Every result is legal in
    XML 1.0 and encodes as UTF-8. `clean(clean(text)) == clean(text)`.
    """
    text = text.replace("\r\n", "\n")
    if "\x08" in text:
        text = _BACKSPACES.sub("\r", text)
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _ILLEGAL.sub("\ufffd", _CONTROLS.sub("", _ANSI.sub("", text)))


def plain_lines(text: str) -> str:
    """`text` for a terminal or the log of a continuous integration: cleaned, and nothing in it is a workflow command.

    `::error::…` (GitHub, at the start of a line, and lines may be wrapped anywhere), `##[…]`, `##vso[…]` and `##teamcity[…]` (anywhere)
    are taken apart by an invisible word joiner.
    """
    return _COMMANDS.sub(rf"\g<0>{_JOINER}", clean(text))


def cleaned(value: T) -> T:
    """A copy of a record in which every piece of text, however deep, has gone through `clean`; everything else is unchanged."""
    return _cleaned(value)  # type: ignore[no-any-return]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, Enum) else clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_cleaned(item) for item in value)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{field.name: _cleaned(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value


def shorten(text: str, limit: int) -> str:
    """The first `limit` characters of `text`; a cut is said in words on a line of its own."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[… {len(text) - limit:,} more characters are not shown]"


def thinned(rows: Sequence[T], most: int) -> list[T]:
    """At most about `most` of the rows, evenly spread, the last one always among them."""
    step = max(1, -(-len(rows) // most))
    return [row for number, row in enumerate(rows) if number % step == 0 or number == len(rows) - 1]


def hundredths(value: float) -> int:
    """`value` points in hundredths of a point, halves rounded up (0.125 is 13)."""
    return int((Decimal(str(value)) * 100).to_integral_value(ROUND_HALF_UP))


def points_text(cents: int) -> str:
    """Hundredths of a point as people write points: "5", "2.5", "0.33"."""
    sign, cents = ("-", -cents) if cents < 0 else ("", cents)
    whole, rest = divmod(cents, 100)
    return f"{sign}{whole}.{rest:02d}".rstrip("0").rstrip(".")


def in_points(cents: int) -> str:
    """The same with its word: "5 points", "1 point"."""
    return f"{points_text(cents)} {'point' if cents == 100 else 'points'}"


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """An output shape without its batch axis: 32, 32, 96 with multiplication signs between; an unknown size is "?"."""
    if shape is None:
        return "unknown"
    return f" {TIMES} ".join("?" if size is None else str(size) for size in shape) or "scalar"


def count_text(count: int | None) -> str:
    """A whole number with thousands separated: "1,369,738"; None is "unknown"."""
    return "unknown" if count is None else f"{count:,}"
