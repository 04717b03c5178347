"""Writing frames: the only way anything leaves a box."""

import json
import math
import os
import re
import threading

MOST_BYTES = 4 << 20
"""The largest frame that the host takes (`decode.FRAME_BYTES`, held by a test); after a larger one it would read no further."""

_WRAPPED = re.compile(r"Exception encountered when calling (.+?)\.\n\n(.+?)(?:\n\nArguments received by .*)?", re.DOTALL)
_BESIDE = re.compile(
    r"\x1b\[[0-9;]*m"  # colours
    r"|\{\{function_node [^}\n]*\}\}|\[\[\{\{node [^\n]*\]\]|\[Op:[^\]\n]*\](?: name:[^\n]*)?"  # what TensorFlow calls its operations
    r'|^Detected at node .*|^ *File "[^"\n]*", line \d+.*|^Stack trace for op definition:.*|<stack traces unavailable>',
    re.MULTILINE,
)
_NUMBERS = re.compile(r"\[[][\d\s.,eE+-]{80,}+")


def cut(text, most):
    """`text`, at most `most` characters; a cut is shown by "…"."""
    return text if len(text) <= most else text[: most - 1] + "…"


def readable(error, most=600):
    """What an exception says on one line: without the frame that Keras and TensorFlow put around it, their stacks and printed arrays."""
    try:
        text = "".join((str(error), ""))  # plain, whatever of the student's it was
    except Exception:
        return "(the error's own message could not be read)"
    text = _BESIDE.sub("", text if len(text) <= 60_000 else f"{text[:30_000]} … {text[-30_000:]}").strip()
    wrapped = _WRAPPED.fullmatch(text)
    text = f"{wrapped[1]}: {wrapped[2]}" if wrapped else text
    return cut(" ".join(_NUMBERS.sub("[…] ", text).split()), most)


def plain(value, depth=0):
    """`value` as strict JSON data: numpy scalars and tuples become plain, non-finite numbers and strangers become None or text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 10**30 else None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth > 60:
        return None
    if isinstance(value, dict):
        return {str(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "item") and getattr(value, "size", 2) == 1:
        return plain(value.item(), depth + 1)
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    return cut(str(value), 200)


class Writer:
    """Numbers frames, from a number on that only the host and it know, and writes them to descriptor `descriptor`: whoever writes there without it writes garbage.

    `busy`: a frame is half written. Whoever breaks in then makes everything after it unreadable.
    """

    def __init__(self, descriptor, first=0):
        self._descriptor = descriptor
        self._sequence = first
        self._encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
        self._write = os.write
        self._lock = threading.Lock()

    @property
    def busy(self):
        return self._lock.locked()

    def send(self, kind, body):
        """Send one frame; blocks until the host has taken it. Raises ValueError for one that the host would not take."""
        body = plain(body)
        with self._lock:
            data = self._encode({"seq": self._sequence, "kind": kind, "body": body}).encode("utf-8", "replace")
            if len(data) > MOST_BYTES:
                raise ValueError(f"a record of kind {kind} has {len(data)} bytes, more than the {MOST_BYTES} of a frame")
            data = len(data).to_bytes(4, "big") + data
            self._sequence += 1
            while data:
                data = data[self._write(self._descriptor, data) :]
