"""What every kind of source shares: the size cap, the display name, and how a `Submission` is made of bytes."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable

from grader.errors import NotGradable
from grader.records import Submission
from grader.words import cut

MAX_BYTES = 128 * 2**20
"""The largest notebook that is read, in bytes."""
MAX_NAME = 120
SUFFIX = ".ipynb"
_NAMES_SHOWN = 10
_PARSED_HERE = 8 * 2**20


def submission(data: bytes, name: str, source: str) -> Submission:
    """Wrap bytes: id, digest and display name. Raises NotGradable above `MAX_BYTES`."""
    if len(data) > MAX_BYTES:
        raise too_large(display_name(name))
    digest = hashlib.sha256(data).hexdigest()
    return Submission(id="sub_" + digest[:12], file=display_name(name), source=source, sha256=digest, data=data)


def display_name(name: str) -> str:
    """Give the base name of a path of either style, without control and format characters, at most 120 characters, its suffix kept."""
    base = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    base = "".join(character for character in base if not unicodedata.category(character).startswith("C")).strip()
    if len(base) > MAX_NAME:
        tail = SUFFIX if base.lower().endswith(SUFFIX) else ""
        base = cut(base, MAX_NAME - len(tail)) + tail
    return base or "notebook" + SUFFIX


def too_large(where: str, size: int | None = None) -> NotGradable:
    """Make the error for a notebook above the cap. `size` in bytes, None if unknown."""
    found = "is larger" if size is None else f"has {size / 2**20:.0f} MiB"
    return NotGradable(
        f"{where}: a notebook of at most {MAX_BYTES // 2**20} MiB was expected; this one {found}. "
        "Clear the outputs (in Colab: Edit, Clear all outputs), save, and submit it again."
    )


def is_notebook_name(path: str) -> bool:
    """Whether a path (with `/`) names a notebook that a person put there: no checkpoint, hidden or system copy."""
    parts = path.split("/")
    ours = all(part not in {"__MACOSX", "node_modules"} and not part.startswith(".") for part in parts)
    return ours and parts[-1].lower().endswith(SUFFIX)


def holds_notebook(data: bytes) -> bool:
    """Whether bytes are a JSON object with cells, whatever the file is called. A very large one is only looked at, not parsed: reading it comes later."""
    if not data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    if len(data) > _PARSED_HERE:
        return b'"cells"' in data or b'"worksheets"' in data
    try:
        value = json.loads(data.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and ("cells" in value or "worksheets" in value)


def listing(names: Iterable[str]) -> str:
    """Name at most ten things, sorted, for a message."""
    shown = sorted(names)
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(display_path(name) for name in shown[:_NAMES_SHOWN]) + more


def display_path(path: str) -> str:
    """Give a path without control and format characters, at most 200 characters, for a message."""
    clean = path  # printable says more than is asked, and is said without looking at each character from here
    if not path.isprintable():
        clean = "".join(character for character in path if not unicodedata.category(character).startswith("C"))
    return cut(clean, 200)
