"""Writing to the frame pipe past its writer: garbage, floods, and frames that say what is not so."""

import json
import os
import time


def _frame(sequence, kind, body):
    data = json.dumps({"seq": sequence, "kind": kind, "body": body}).encode()
    return len(data).to_bytes(4, "big") + data


def _send(bait, *frames):
    for data in frames:
        view = memoryview(data)
        while view:
            view = view[os.write(bait["frames"], view) :]


def garbage(bait):
    _send(bait, os.urandom(1 << 16))


def huge_length(bait):
    _send(bait, b"\xff\xff\xff\xff{}")


def out_of_order(bait):
    _send(bait, _frame(7, "end", {}))


def unknown_kind(bait):
    _send(bait, _frame(bait["sequence"], "score", {"score": 100}))


def unknown_field(bait):
    _send(bait, _frame(bait["sequence"], "cell", {"index": 0, "status": "ok", "earned": 100}))


def duplicate_keys(bait):
    data = b'{"seq": %d, "kind": "end", "kind": "cell", "body": {}}' % bait["sequence"]
    _send(bait, len(data).to_bytes(4, "big") + data)


def not_a_number(bait):
    data = b'{"seq": %d, "kind": "cell", "body": {"index": 0, "status": "ok", "seconds": NaN}}' % bait["sequence"]
    _send(bait, len(data).to_bytes(4, "big") + data)


def deep_nesting(bait):
    data = b'{"seq": %d, "kind": "cell", "body": %s}' % (bait["sequence"], b"[" * 200000 + b"]" * 200000)
    _send(bait, len(data).to_bytes(4, "big") + data)


def huge_number(bait):
    data = b'{"seq": %d, "kind": "cell", "body": {"index": %s, "status": "ok"}}' % (bait["sequence"], b"9" * 100000)
    _send(bait, len(data).to_bytes(4, "big") + data)


def surrogates(bait):
    data = b'{"seq": %d, "kind": "note", "body": {"cell": 0, "kind": "x", "text": "\\ud800"}}' % bait["sequence"]
    _send(bait, len(data).to_bytes(4, "big") + data)


def flood(bait):
    """As many bytes as the host will take, every frame well-formed: what fills the host's memory instead of the box's."""
    text = "x" * 3_900_000
    for index in range(bait["goal_mib"] // 4):
        _send(bait, _frame(bait["sequence"] + index, "cell", {"index": index, "status": "ok", "outputs": [{"kind": "text", "data": text}]}))
    return "the host took every byte"


def flood_of_small(bait):
    """Very many small frames of one kind."""
    for index in range(30_000):
        _send(bait, _frame(bait["sequence"] + index, "load", {"name": "cifar10"}))
    return "the host took every frame"


def long_texts(bait):
    """Notes as long as frames may be: they would be in every report, escaped."""
    for index in range(3):
        _send(bait, _frame(bait["sequence"] + index, "note", {"cell": 0, "kind": "other", "text": "<" * 3_900_000}))
    time.sleep(60)  # nothing else may end the box as these should
    return "the host took every text"


def flood_of_values(bait):
    """Lists and objects that are two bytes each on the way and sixty on the host: few bytes that fill much of its memory."""
    config = [[{} for _ in range(1000)] for _ in range(1000)]
    for index in range(3):
        _send(
            bait,
            _frame(
                bait["sequence"] + index, "model", {"serial": index, "version": 1, "cell": 0, "kind": "Functional", "config": {"x": config}}
            ),
        )
    time.sleep(60)  # nothing else may end the box as these should
    return "the host took every value"


TRIES = {
    function.__name__: function
    for function in (
        garbage, huge_length, out_of_order, unknown_kind, unknown_field, duplicate_keys, not_a_number, deep_nesting, huge_number, surrogates,
        flood, flood_of_small, flood_of_values, long_texts,
    )
}  # fmt: skip
