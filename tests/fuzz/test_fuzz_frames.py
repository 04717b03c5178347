"""Fuzzing the reading side of the boundary: whatever a hostile box writes becomes records or a FrameError, and nothing is read two ways."""

import json
import math
import re
import sys

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mutation import HOSTILE_TEXT, corpus, damaged, fuzz, mutated, text, written

from grader import records
from grader.decode import FRAME_BYTES, MAX_DEPTH, TOTAL_FRAMES, FrameReader, RunCollector, clean, clean_text, strict_json, to_record
from grader.errors import FrameError
from grader.sandbox.inside.frames import plain

CORPUS = corpus("frames")
CLAIM = {
    "container": "array",
    "dataset": "cifar10",
    "split": "train",
    "rows": 50000,
    "shape": [32, 32, 3],
    "dtype": "float32",
    "minimum": 0.0,
    "maximum": 1.0,
}
RECIPE = {"kind": "affine", "scale": [0.00392], "offset": [0.0], "residual": 0.0, "resized": [64, 64]}
DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10, "activation": "softmax"}, "registered_name": None}
BODIES = [
    ("versions", {"python": "3.11.9", "keras": "3.15.0"}),
    ("start", {"index": 0}),
    ("load", {"name": "cifar10"}),
    ("cell", {"index": 0, "status": "error", "error": {"type": "NameError", "message": "name 'x'", "line": 3}, "outputs": [{"kind": "stdout", "data": "1\n"}], "seconds": 0.25}),
    ("model", {"serial": 1, "version": 1, "cell": 0, "kind": "Sequential", "names": ["model"], "config": DENSE, "input_shape": [32, 32, None], "layers": [{"class_name": "Dense", "name": "d", "output_shape": [10], "parameters": 5}]}),
    ("compile", {"serial": 1, "cell": 0, "optimizer": "Adam", "learning_rate": 0.001, "optimizer_config": {"beta_1": 0.9}, "loss": "mse", "metrics": ["accuracy"]}),
    ("fit", {"index": 0, "cell": 0, "call": "fit", "serial": 1, "version": 1, "epochs": 30, "batch_size": 128, "train": {**CLAIM, "recipe": RECIPE, "labels": {"encoding": "integer", "shape": [], "agreement": 1.0}}, "validation": CLAIM}),
    ("evaluate", {"cell": 0, "call": "evaluate", "serial": 1, "data": CLAIM}),
    ("variable", {**CLAIM, "variable": "x_train"}),
    ("plot", {"cell": 0, "curves": [[0, "loss"]], "lines": 2}),
    ("history", {"fit": 0, "kept_as": "history"}),
    ("predictions", {"fit": 0, "images": 128, "step": 1, "rows": [0, 1], "outputs": [[0.5, 0.5], [0.1, 0.9]], "matched": True}),
    ("note", {"cell": 0, "kind": "shim", "text": "x"}),
    ("end", {}),
]  # fmt: skip
FRAMES = [{"seq": 0, "kind": kind, "body": body} for kind, body in BODIES]


def cut(data):
    return len(data).to_bytes(4, "big") + data


STREAM = b"".join(cut(json.dumps({**frame, "seq": number}).encode()) for number, frame in enumerate(FRAMES))


def read(pieces):
    """What a reader makes of a stream's pieces: the frames, the error's text (None: none) and the bytes left over."""
    reader, found = FrameReader(), []
    try:
        for piece in pieces:
            found.extend(reader.feed(piece))
    except FrameError as error:
        return found, str(error), None
    return found, None, reader.pending


def plain_text(value):
    """Every string inside a decoded value."""
    if isinstance(value, dict):
        return [word for key, item in value.items() for word in (key, *plain_text(item))]
    if isinstance(value, list):
        return [word for item in value for word in plain_text(item)]
    return [value] if isinstance(value, str) else []


def numbers(value):
    if isinstance(value, dict | list):
        return [number for item in (value.values() if isinstance(value, dict) else value) for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def depth(value):
    if isinstance(value, dict | list):
        return 1 + max((depth(item) for item in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


NEVER_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def check(data):
    """All that holds for any bytes, given as one stream."""
    found, said, _ = read([data])
    collector = RunCollector()
    for kind, body in found:
        assert depth(body) <= MAX_DEPTH
        assert all(math.isfinite(number) for number in numbers(body))
        assert not [word for word in plain_text(body) if NEVER_SHOWN.search(word)]
        assert clean(body) == body, "cleaning is done once and for all"
        try:
            collector.add(kind, body)
        except FrameError:
            continue
    records.RunRecord(**collector.fields())
    assert said is None or len(said) < 600
    return found, said


@pytest.mark.parametrize("name", CORPUS)
def test_the_kept_inputs(name):
    """`bad-…`: refused. `good-…`: read to the end."""
    _, said = check(CORPUS[name])
    assert (said is None) == name.startswith("good")


def test_the_seeds_are_valid():
    found, said, left = read([STREAM])
    assert (found, said, left) == (BODIES, None, 0)
    collector = RunCollector()
    for kind, body in found:
        collector.add(kind, body)
    assert collector.finished
    assert all(len(collector.so_far(field)) == 1 for field in ("cells", "models", "fits", "predictions", "notes"))


@given(st.data())
@fuzz(150)
def test_it_does_not_matter_how_the_bytes_are_cut(data):
    stream = data.draw(
        st.sampled_from([STREAM, *CORPUS.values()]).flatmap(lambda seed: damaged(seed) if data.draw(st.booleans()) else st.just(seed))
    )
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(pieces) == read([stream])


@given(st.integers(0, len(STREAM)))
@fuzz(60)
def test_a_stream_that_is_cut_off_is_seen_to_be(end):
    found, said, left = read([STREAM[:end]])
    assert said is None
    assert found == BODIES[: len(found)]
    whole = sum(4 + int.from_bytes(STREAM[at : at + 4], "big") for at in ends()[: len(found)])
    assert left == end - whole


def ends():
    at, found = 0, []
    while at < len(STREAM):
        found.append(at)
        at += 4 + int.from_bytes(STREAM[at : at + 4], "big")
    return found


@given(st.lists(mutated(FRAMES), min_size=1, max_size=3), st.booleans())
@fuzz(350)
@example([{"seq": 0, "kind": "note", "body": [[]]}], False)
def test_changed_frames_are_frames_or_refused(frames, renumbered):
    data = b""
    for number, frame in enumerate(frames):
        if renumbered and isinstance(frame, dict) and "seq" in frame:
            frame["seq"] = number
        data += cut(written(frame).encode())
    check(data)


@given(damaged(STREAM))
@fuzz(150)
def test_damaged_streams_are_frames_or_refused(data):
    check(data)


@given(st.binary(max_size=200) | st.text(max_size=80).map(lambda words: words.encode("utf-8", "surrogatepass")))
@fuzz(150)
def test_any_frame_is_read_as_python_reads_it_or_refused(data):
    try:
        found = strict_json(data)
    except FrameError:
        return
    assert json.loads(data) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text() | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=20,
    )
)
@fuzz(200)
def test_what_our_own_writer_sends_arrives(body):
    """The box's writer and the host's reader agree, but for what is cleaned out of text."""
    sent = plain(body)
    data = json.dumps({"seq": 0, "kind": "x", "body": sent}, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    assume(len(set(map(clean_text, plain_keys(sent)))) == len(set(plain_keys(sent))))
    found, said, left = read([cut(data)])
    assert (said, left) == (None, 0)
    assert found == [("x", clean(json.loads(data)["body"]))]


def plain_keys(value):
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in plain_keys(item))]
    return [key for item in value for key in plain_keys(item)] if isinstance(value, list) else []


BODY = b'{"seq": 0, "kind": "note", "body": %s}'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1, "a": 1}', "duplicate key"),
        (rb'{"a": 1, "\u0061": 1}', "duplicate key"),
        (b'{"x": {"a": 1, "b": [], "a": 2}}', "duplicate key"),
        (b'{"a": 1, "a\\u001b[0m": 2}', "duplicate key"),
        (b"[NaN]", "NaN"),
        (b"Infinity", "Infinity"),
        (b"1e999", "out of range"),
        (b"-1e999", "out of range"),
        (b"9" * 41, "40 characters"),
        (b"0." + b"1" * 60, "40 characters"),
        (rb'"\ud83d\ude00"', "surrogate"),
        (b'"\xed\xa0\x80"', "not JSON"),
        (b'"\x00"', "not JSON"),
        (b"\xef\xbb\xbf1", "not JSON"),
        (b"1 2", "not JSON"),
        (b"'a'", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested"),
        *((b"[" * depth + b"]" * depth, "nested") for depth in (450, 600, 900, 980, 5000, 100_000)),
        *((b'{"a":' * depth + b"1" + b"}" * depth, "nested") for depth in (150, 490, 900, 100_000)),
    ],
    ids=lambda value: value[:12].decode("utf-8", "replace") + f"…{len(value)}" if isinstance(value, bytes) else value,
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_refused(body, words):
    _, said, _ = read([cut(BODY % body)])
    assert said is not None
    assert words in said


def test_the_deepest_nesting_that_is_taken():
    body = [1]
    for _ in range(MAX_DEPTH - 1):
        body = [body]
    assert read([cut(BODY % json.dumps(body).encode())])[0] == [("note", body)]


@pytest.mark.parametrize(
    "frame", [{"seq": True, "kind": "x", "body": 1}, {"seq": 1.0, "kind": "x", "body": 1}, {"seq": "1", "kind": "x", "body": 1}]
)
def test_a_sequence_number_is_a_whole_number(frame):
    first = cut(json.dumps({"seq": 0, "kind": "x", "body": 0}).encode())
    found, said, _ = read([first + cut(json.dumps(frame).encode())])
    assert len(found) == 1
    assert "out of order" in said


def test_frames_of_every_size_up_to_the_limit_and_none_above():
    room = FRAME_BYTES - len(BODY) - 1
    assert read([cut(BODY % (b'"' + b"x" * (room - 1) + b'"'))])[1] is None
    assert "announced" in read([cut(BODY % (b'"' + b"x" * (room + 3) + b'"'))])[1]


def test_not_more_frames_than_the_limit():
    reader = FrameReader()
    for number in range(TOTAL_FRAMES):
        assert len(list(reader.feed(cut(b'{"seq":%d,"kind":"x","body":0}' % number)))) == 1
    with pytest.raises(FrameError):
        list(reader.feed(cut(b'{"seq":%d,"kind":"x","body":0}' % TOTAL_FRAMES)))


KINDS = [records.CellRun, records.ModelClaim, records.FitClaim, records.PredictionsClaim, records.Graph, records.Checkpoint]


@given(st.sampled_from(KINDS), mutated([body for _, body in BODIES]))
@fuzz(200)
def test_records_are_filled_strictly(kind, body):
    """No value changes its type on the way into a record: "1" is no number, 1 no text, true no number."""
    try:
        made = to_record(kind, body)
    except FrameError as error:
        assert kind.__name__ in str(error) or "nested" in str(error)  # noqa: PT017
        return
    for name, value in body.items():
        have = getattr(made, name)
        if isinstance(value, str):
            assert have == value.encode("utf-8", "replace").decode()
        elif isinstance(value, bool) or value is None:
            assert have is value
        elif isinstance(value, int | float):
            assert have == value
            assert not isinstance(have, bool)


@given(text)
@fuzz(300)
def test_cleaned_text_can_command_no_terminal_and_stays_clean(words):
    cleaned = clean_text(words)
    assert not NEVER_SHOWN.search(cleaned.encode("utf-8", "replace").decode())
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize("words", HOSTILE_TEXT)
def test_hostile_text_in_every_text_of_a_stream(words):
    def infected(value):
        if isinstance(value, dict):
            return {key: infected(item) for key, item in value.items()}
        if isinstance(value, list):
            return [infected(item) for item in value]
        return value + words if isinstance(value, str) else value

    for kind, body in BODIES:
        data = json.dumps({"seq": 0, "kind": kind, "body": infected(body)}, ensure_ascii=False).encode("utf-8", "replace")
        check(cut(data))


def test_the_interpreters_own_limit_is_far_above_ours():
    assert sys.getrecursionlimit() > 5 * MAX_DEPTH
