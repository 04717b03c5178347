"""What is graded of a file: two hand-ins with equal content get equal reports, so the work is done once."""

import hashlib
import json
from typing import Any

_LANGUAGE = ("language_info", "kernelspec", "language")


def content_of(data: bytes) -> tuple[str, str]:
    """(content, code): a key that is equal for notebooks that are graded alike, and the text of the code cells.

    Left out of the key is what grading never looks at: cells' ids and metadata, and the file's beside its language (Colab writes the author there).
    It is parsed as `notebook` parses it (of a key that is there twice the last counts), so that no file takes another's key and is graded otherwise.
    Whatever is not plainly a notebook is its own bytes. `code` is for comparing students, nothing is decided by it.
    """
    whole = "bytes:" + hashlib.sha256(data).hexdigest()
    try:
        found = json.loads(data.decode("utf-8-sig"))
        cells = found["cells"]
        metadata = found.get("metadata") or {}
        kept: dict[str, Any] = {
            **{name: value for name, value in found.items() if name not in ("cells", "metadata")},
            "metadata": {name: metadata[name] for name in _LANGUAGE if name in metadata},
            "cells": [{name: value for name, value in cell.items() if name not in ("id", "metadata")} for cell in cells],
        }
        key = hashlib.sha256(json.dumps(kept, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
        code = "\n\n".join(_text(cell.get("source")) for cell in cells if cell.get("cell_type") == "code")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return whole, ""
    return key, code.encode("utf-8", "replace").decode("utf-8")


def _text(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source or ())
