"""The boundary's reading side: bytes from a box become records, or a `FrameError`.

A frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON: `{"seq": n, "kind": "...", "body": {...}}`. Everything a
student's process can influence passes through here exactly once. Refused: frames over the cap, wrong sequence numbers, duplicate keys,
NaN and infinities, numbers of over 40 digits, nesting deeper than 100, more values than a run's records hold, surrogates, unknown kinds and
fields, wrong types. Terminal control sequences, invisible direction marks and this machine's paths are taken out of every string.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from grader import records
from grader.errors import FrameError
from grader.words import cut

FRAME_BYTES = 4 << 20
"""Largest frame, bytes: a 120-layer configuration is about 100 kB, a page of cell outputs is capped at 1 MiB in the box."""

TOTAL_FRAMES = 20_000
MAX_DEPTH = 100
"""Lists and objects inside each other in a frame's body: the box cuts at 60, and everything that walks over a body later may recurse."""

VALUES_A_MIB = 32_768
"""Values (keys, too) that a box may send for each MiB of frames that it may send: 4 million by the usual limits, as 400 models of 100 kB have, for which those are made; 16 notebooks of the
corpus sent 600 to 6,400. An empty list is two bytes on the way and 64 on the host, so a bound in bytes alone lets a box take twenty times as much of the host's memory."""

MOST_NAME, MOST_TEXT = 200, 1_000
"""Characters of a name and of a sentence in a claim, all of which go into reports; the box cuts there. Sentences are the fields of `_SENTENCES`."""
MOST_ITEMS = 256
"""Numbers or names in one list of a claim: a shape, the images' channels, the names of a model. Predictions have bounds of their own."""
_SENTENCES = ("text", "message", "unbuildable", "unfinished")
_FREE = ("data", "config", "optimizer_config")
"""Fields bounded elsewhere: outputs by the box's limits and the report's, a configuration by `training.canonical`."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,500}(?:\x07|\x1b\\)?|[@-Z\\-_])?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
_HOST_PATH = re.compile(
    r"(?<![\w./-])(?:/(?!(?:site|dist)-packages/|grader/(?:sandbox|training)/inside/)[^\s/:'\"<>|]++)++/(?=(?:site|dist)-packages/|grader/)"
)
"""What stands before the installed packages' and the grader's own part of a path: where this machine keeps them is nothing for a report."""
_SURROGATE_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u[dD][89a-fA-F]")  # a backslash that is itself escaped begins none

T = TypeVar("T")


def clean_text(text: str) -> str:
    """`text` without terminal control sequences, control characters (tab and newline stay), direction overrides and this machine's paths."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
    return _HOST_PATH.sub("", text) if "-packages/" in text or "/inside/" in text else text


def without_places(folders: Iterable[str]) -> Callable[[str], str]:
    """What puts `/…` in the place of this machine's `folders` (absolute paths) in a text."""
    named = sorted({folder for folder in folders if folder.count("/") > 1 or folder == "/root"}, key=len, reverse=True)
    if not named:
        return str
    found = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, named))})(?![\w-])")
    return lambda text: found.sub("/…", text) if "/" in text else text


def strict_json(data: bytes, limit: int = FRAME_BYTES) -> Any:
    """Decode JSON that a hostile process may have written. Raises FrameError, and nothing else, on anything unusual."""
    if len(data) > limit:
        raise FrameError(f"frame of {len(data)} bytes; at most {limit} are taken")
    if _SURROGATE_ESCAPE.search(data):
        raise FrameError("escaped surrogate in a frame")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_number, parse_int=_number)
    except FrameError:
        raise
    except RecursionError:
        raise FrameError("a frame is nested too deeply") from None
    except ValueError as error:
        raise FrameError(f"a frame is not JSON: {cut(str(error), 120)}") from None


def values_in(data: bytes) -> int:
    """How many values JSON text holds, counted before any of them takes memory: what separates or opens them, strings left out."""
    bare = _STRING.sub(b"", data)
    return 1 + sum(bare.count(mark) for mark in (b",", b":", b"[", b"{"))


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise FrameError("duplicate key in a frame")
    return result


def _constant(name: str) -> Any:
    raise FrameError(f"{name} in a frame")


def _number(text: str) -> int | float:
    if len(text) > 40:
        raise FrameError("a number of over 40 characters in a frame")
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise FrameError("a number out of range in a frame")
    return value


def clean(value: Any, depth: int = 0, places: Callable[[str], str] = str) -> Any:
    """Every string inside `value` cleaned by `clean_text`, then by `places`. Raises FrameError where it is nested too deeply, or where cleaning makes keys equal."""
    if isinstance(value, str):
        return places(clean_text(value))
    if isinstance(value, list | dict) and depth >= MAX_DEPTH:
        raise FrameError("a frame is nested too deeply")
    if isinstance(value, list):
        return [clean(item, depth + 1, places) for item in value]
    if isinstance(value, dict):
        return _pairs([(places(clean_text(key)), clean(item, depth + 1, places)) for key, item in value.items()])
    return value


@cache
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415  (80 ms that `grade --help` must not pay)

    return TypeAdapter(kind)


def to_record(kind: type[T], body: Any) -> T:
    """`body` (decoded JSON) as a record of type `kind`; FrameError names the first field that does not fit."""
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        result: T = _adapter(cast("Any", kind)).validate_json(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise FrameError(f"{kind.__name__}.{place}: {cut(first['msg'], 120)}") from None
    except RecursionError:
        raise FrameError("a frame is nested too deeply") from None
    return result


def short(kind: str, value: Any, key: str = "") -> Any:
    """`value`, part of the body of a frame of `kind`, unless a text or list in it is longer than a report should show. Raises FrameError."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name not in _FREE:
                short(kind, item, name)
    elif isinstance(value, list):
        if len(value) > MOST_ITEMS and kind != "predictions" and not all(isinstance(item, list | dict) for item in value):
            raise FrameError(f"{kind}.{key[:40]}: a list of {len(value):,} items; at most {MOST_ITEMS} are taken")
        for item in value:
            short(kind, item, key)
    elif isinstance(value, str) and len(value) > (most := MOST_TEXT if key in _SENTENCES else MOST_NAME):
        raise FrameError(f"{kind}.{key[:40]}: a text of {len(value):,} characters; at most {most:,} are taken")
    return value


class TooManyValues(FrameError):
    """All frames together hold more values than a box may send: a limit that was reached, like that in bytes."""


class FrameReader:
    """Cuts a byte stream into decoded frames and checks their sequence numbers, from `first` on. `values`: how many values all frames may hold together."""

    def __init__(self, limit: int = FRAME_BYTES, *, values: int = 128 * VALUES_A_MIB, first: int = 0) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._values, self._most_values = 0, values
        self._first = self._next = first
        self.places: Callable[[str], str] = str

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame; not zero at the end means that the sender was cut off."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[str, Any]]:
        """Yield `(kind, body)` for every frame that `data` completes. Raises FrameError at the first bad one, TooManyValues at the first too many."""
        self._buffer += data
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > self._limit:
                raise FrameError(f"frame of {size} bytes announced; at most {self._limit} are taken")
            if len(self._buffer) < 4 + size:
                return
            raw = bytes(self._buffer[4 : 4 + size])
            del self._buffer[: 4 + size]
            self._values += values_in(raw)
            if self._values > self._most_values:
                raise TooManyValues(f"more than {self._most_values:,} values")
            frame = strict_json(raw, self._limit)
            if (
                not isinstance(frame, dict)
                or set(frame) != {"seq", "kind", "body"}
                or type(frame["seq"]) is not int
                or frame["seq"] != self._next
                or self._next >= self._first + TOTAL_FRAMES
            ):
                raise FrameError(f"frame {self._next - self._first} is out of order or has the wrong parts")
            if not isinstance(frame["kind"], str):
                raise FrameError("a frame's kind is not text")
            self._next += 1
            yield frame["kind"], clean(frame["body"], places=self.places)


_KINDS: Mapping[str, tuple[str, type[Any], int]] = {
    # frame kind: (field of RunRecord, record, how many at most)
    "cell": ("cells", records.CellRun, 2000),
    "model": ("models", records.ModelClaim, 400),
    "compile": ("compiles", records.CompileClaim, 1000),
    "fit": ("fits", records.FitClaim, 500),
    "evaluate": ("evaluations", records.EvaluateClaim, 500),
    "variable": ("variables", records.DataClaim, 200),
    "plot": ("plots", records.PlotClaim, 1000),
    "history": ("histories", records.HistoryClaim, 1000),
    "predictions": ("predictions", records.PredictionsClaim, 4),
    "note": ("notes", records.Note, 1000),
}


class RunCollector:
    """Gathers box 1's frames into the fields of a RunRecord; what was gathered before a bad frame stays."""

    def __init__(self) -> None:
        self._fields: dict[str, list[Any]] = {field: [] for field, _, _ in _KINDS.values()}
        self._versions: dict[str, str] = {}
        self._loads: list[str] = []
        self.current_cell: int | None = None
        self.finished = False

    def add(self, kind: str, body: Any) -> None:
        """Take one frame. Raises FrameError if it is of no known kind, malformed, or one too many."""
        if kind in _KINDS:
            field, record, limit = _KINDS[kind]
            if len(self._fields[field]) >= limit:
                raise FrameError(f"more than {limit} frames of kind {kind}")
            self._fields[field].append(to_record(record, short(kind, body)))
            if kind == "cell":
                self.current_cell = None
        elif kind == "start" and isinstance(body, dict) and isinstance(body.get("index"), int):
            self.current_cell = body["index"]
        elif kind == "load" and isinstance(body, dict) and isinstance(body.get("name"), str) and len(self._loads) < 200:
            self._loads.append(body["name"][:40])
        elif kind == "versions" and isinstance(body, dict) and len(body) <= 20:
            self._versions = {str(key)[:40]: str(value)[:40] for key, value in body.items()}
        elif kind == "end":
            self.finished = True
        else:
            raise FrameError(f"unknown frame {kind[:40]!r}")

    def so_far(self, field: str) -> tuple[Any, ...]:
        """What was gathered until now for one field of a RunRecord."""
        return tuple(self._fields[field])

    def fields(self) -> dict[str, Any]:
        """The gathered fields, ready for `RunRecord(**fields, …)`."""
        gathered: dict[str, Any] = {name: tuple(items) for name, items in self._fields.items()}
        for name, key in (("variables", "variable"), ("fits", "index")):
            gathered[name] = tuple({getattr(claim, key): claim for claim in gathered[name]}.values())  # each as it was seen last
        return {**gathered, "loads": tuple(self._loads), "versions": dict(self._versions)}
