"""The reading side of the boundary: well-formed frames become records; anything else is a FrameError, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.decode import (
    FRAME_BYTES,
    MOST_ITEMS,
    MOST_NAME,
    MOST_TEXT,
    FrameReader,
    RunCollector,
    clean_text,
    strict_json,
    to_record,
    values_in,
)
from grader.errors import FrameError
from grader.records import FitClaim, Note


def frame(body, seq=0, kind="note"):
    data = json.dumps({"seq": seq, "kind": kind, "body": body}).encode()
    return len(data).to_bytes(4, "big") + data


NOTE = {"cell": 1, "kind": "shim", "text": "x"}
MODEL = {"serial": 0, "version": 0, "cell": 0, "kind": "Subclassed"}


def test_frames_cut_anywhere_arrive_whole():
    data, reader, collector = frame(NOTE) + frame(NOTE, 1), FrameReader(), RunCollector()
    for index in range(len(data)):
        for kind, body in reader.feed(data[index : index + 1]):
            collector.add(kind, body)
    assert collector.fields()["notes"] == (Note(cell=1, kind="shim", text="x"),) * 2
    assert reader.pending == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": ' + b"1" * 41 + b"}", "40 characters"),
        (rb'{"a": "\ud800"}', "surrogate"),
        (b"[" * 100_000, "nested"),
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_unusual_json_is_refused(data, message):
    with pytest.raises(FrameError, match=message):
        strict_json(data)


def test_a_frame_announced_too_large_is_refused_before_it_arrives():
    with pytest.raises(FrameError, match="announced"):
        list(FrameReader().feed((FRAME_BYTES + 1).to_bytes(4, "big")))


def _nodes(value):
    if isinstance(value, list):
        return 1 + sum(map(_nodes, value))
    return 1 + sum(1 + _nodes(item) for item in value.values()) if isinstance(value, dict) else 1


@given(
    st.recursive(
        st.none() | st.integers() | st.text(alphabet='ab,:[{]}"\\\n') | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='a,:[{"\\') | st.text(), inner),
    )
)
def test_values_are_counted_without_being_made(value):
    """Each value and key once; an empty list or object, which nothing separates, twice."""
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert _nodes(value) <= values_in(text.encode("utf-8", "replace")) <= 2 * _nodes(value)


def test_few_bytes_of_too_many_values_are_refused_before_they_are_made():
    reader = FrameReader(values=1000)
    assert len(list(reader.feed(frame(NOTE)))) == 1
    assert len(list(reader.feed(frame([[]] * 400, 1)))) == 1
    with pytest.raises(FrameError, match="more than 1,000 values"):  # together with those before
        list(reader.feed(frame([[]] * 400, 2)))
    with pytest.raises(FrameError, match="values"):
        list(FrameReader(values=1000).feed(frame([{}] * 1000)))
    assert len(list(FrameReader(values=1000).feed(frame("[,{:" * 1000)))) == 1


@pytest.mark.parametrize(
    ("kind", "most", "body"),
    [
        ("note", MOST_TEXT, lambda text: {**NOTE, "text": text}),
        ("note", MOST_NAME, lambda text: {**NOTE, "kind": text}),
        ("cell", MOST_TEXT, lambda text: {"index": 0, "status": "error", "error": {"type": "E", "message": text}}),
        ("cell", MOST_NAME, lambda text: {"index": 0, "status": "error", "error": {"type": text, "message": "m"}}),
        ("plot", MOST_NAME, lambda text: {"cell": 0, "curves": [[0, text]]}),
        ("history", MOST_NAME, lambda text: {"fit": 0, "kept_as": text}),
        ("model", MOST_NAME, lambda text: {**MODEL, "names": ["m", text]}),
        ("model", MOST_TEXT, lambda text: {**MODEL, "unbuildable": text}),
        ("model", MOST_NAME, lambda text: {**MODEL, "layers": [{"class_name": "Dense", "name": text}]}),
    ],
)
def test_a_text_that_would_fill_a_report_is_refused(kind, most, body):
    collector = RunCollector()
    collector.add(kind, body("x" * most))
    with pytest.raises(FrameError, match=f"{kind}.*: a text of {most + 1:,} characters; at most {most:,} are taken"):
        collector.add(kind, body("x" * (most + 1)))


def test_a_list_that_would_fill_a_report_is_refused():
    collector, layer = RunCollector(), {"class_name": "Dense", "name": "d"}
    collector.add("model", {**MODEL, "layers": [{**layer, "output_shape": [None] * MOST_ITEMS}] * 300})
    collector.add("plot", {"cell": 0, "curves": [[0, "loss"]] * 2000})
    collector.add(
        "predictions", {"fit": 0, "images": 1, "step": 1, "rows": list(range(1000)), "outputs": [[0.1] * 10] * 1000, "matched": True}
    )
    for body in ({"layers": [{**layer, "output_shape": [None] * (MOST_ITEMS + 1)}]}, {"names": ["x"] * (MOST_ITEMS + 1)}):
        with pytest.raises(FrameError, match="a list of 257 items; at most 256 are taken"):
            collector.add("model", {**MODEL, **body})


def test_outputs_and_configurations_are_bounded_elsewhere():
    collector, long = RunCollector(), "x" * 100_000
    collector.add("cell", {"index": 0, "status": "ok", "outputs": [{"kind": "text", "data": long}]})
    collector.add("model", {**MODEL, "config": {"name": long}})
    collector.add("compile", {"serial": 0, "cell": 0, "optimizer": "Adam", "optimizer_config": {"name": long}})
    assert [len(collector.so_far(field)) for field in ("cells", "models", "compiles")] == [1, 1, 1]


@pytest.mark.parametrize("seq", [1, -1, "0", None])
def test_frames_out_of_order_are_refused(seq):
    with pytest.raises(FrameError, match="out of order"):
        list(FrameReader().feed(frame(NOTE, seq)))


def test_unknown_kinds_fields_and_types_are_refused():
    collector = RunCollector()
    with pytest.raises(FrameError, match="unknown frame 'score'"):
        collector.add("score", {"points": 100})
    with pytest.raises(FrameError, match="Note.points"):
        collector.add("note", {**NOTE, "points": 100})
    with pytest.raises(FrameError, match="Note.cell"):
        collector.add("note", {**NOTE, "cell": "1"})


def test_too_many_frames_of_a_kind_are_refused():
    collector = RunCollector()
    for _ in range(1000):
        collector.add("note", NOTE)
    with pytest.raises(FrameError, match="more than 1000"):
        collector.add("note", NOTE)


def test_text_is_cleaned_of_what_a_terminal_or_reader_would_obey():
    assert clean_text("\x1b[31mred\x1b[0m\x07 \u202eabc\r\n\x1b]0;title\x07ok") == "red� �abc\nok"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ('File "/work/x/.venv/lib/python3.12/site-packages/keras/ops.py", line 2', 'File "site-packages/keras/ops.py", line 2'),
        ("at /home/me/g/grader/training/inside/box2.py:3, then /usr/lib/python3/dist-packages/numpy/core.py", "at grader/training/inside/box2.py:3, then dist-packages/numpy/core.py"),
        ("/a/si\x1b[0mte-packages/b", "site-packages/b"),
        ("No such file: '/content/drive/My Drive/weights.h5'", "No such file: '/content/drive/My Drive/weights.h5'"),
        ("https://x.org/site-packages/y and a/b/site-packages/c", "https://x.org/site-packages/y and a/b/site-packages/c"),
    ],
)  # fmt: skip
def test_where_this_machine_keeps_its_packages_is_left_out(said, read):
    assert clean_text(said) == read


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_record_or_a_frame_error_and_nothing_else(body):
    try:
        to_record(FitClaim, body)
    except FrameError:
        return


@given(st.binary(max_size=300))
def test_bytes_give_frames_or_a_frame_error_and_nothing_else(data):
    try:
        for kind, body in FrameReader().feed(data):
            RunCollector().add(kind, body)
    except FrameError:
        return
