"""Fuzzing the sources: archives and names of any kind are a submission or a sentence; a name is shown and never used as a path."""

import io
import os
import stat
import string
import struct
import unicodedata
import warnings
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutation import HOSTILE_TEXT, corpus, damaged, fuzz, text

from grader import sources
from grader.errors import GraderError, NotGradable, NothingToGrade, UsageError
from grader.sources import archive
from grader.sources.common import MAX_NAME, display_name, display_path, is_notebook_name
from grader.sources.web import Link, translate

BYTES = b'{"cells": [], "nbformat": 4}'
CORPUS = corpus("archives")

NAMES = [
    "work.ipynb", "a/work.ipynb", "./work.ipynb", "a/./work.ipynb", "a//work.ipynb",
    "../work.ipynb", "a/../../work.ipynb", "a/..", "..", ".", "/", "//server/share/work.ipynb", "/etc/work.ipynb", "~/work.ipynb",
    "..\\work.ipynb", "a\\..\\work.ipynb", "\\\\server\\share\\work.ipynb", "\\work.ipynb", "C:\\work.ipynb", "C:work.ipynb", "c:/work.ipynb", "\\\\?\\C:\\work.ipynb",
    "CON.ipynb", "NUL", "aux.ipynb", "com1.ipynb", "work.ipynb:stream", "work.ipynb.", "work.ipynb ", " work.ipynb",
    "work.ipynb\0.png", "\0", "wo\nrk.ipynb", "wo\rrk.ipynb", "\x1b[31mwork.ipynb", "\x1b]0;title\x07.ipynb", "\x9b31m.ipynb", "\u202ebnypi.work", "\u2028.ipynb",
    "::error::work.ipynb", "##[error].ipynb", "-rf.ipynb", "--help.ipynb", "$(id).ipynb", "`id`.ipynb", "work;id.ipynb", "<script>.ipynb", "=cmd|' /C calc'!A0.ipynb",
    "e\u0301.ipynb", "\u00e9.ipynb", "WORK.IPYNB", "x" * 300 + ".ipynb", "a/" * 200 + "work.ipynb", "__MACOSX/work.ipynb", ".ipynb_checkpoints/work.ipynb", ".hidden.ipynb", ".ipynb",
]  # fmt: skip
names = (
    st.sampled_from(NAMES)
    | st.lists(st.sampled_from([*NAMES, "/", "\\", "..", ":"]), min_size=2, max_size=3).map("".join)
    | text.map(lambda words: words + ".ipynb")
)


def fits(name):
    """Whether a zip archive can hold the name."""
    return name.isprintable() or len(name.encode("utf-8", "replace")) < 60_000


def pack(members, path=None):
    """A zip archive of (name, data, mode) in memory."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # duplicate names
        with zipfile.ZipFile(buffer, "w") as file:
            for name, data, mode in members:
                info = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
                info.filename = info.orig_filename = name.encode("utf-8", "replace").decode()
                info.external_attr = mode << 16
                file.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder three floors deep, so that a name that climbs out of it is seen."""
    folder = tmp_path_factory.mktemp("sources") / "a" / "b"
    folder.mkdir(parents=True)
    return folder


def printable(words):
    """Whether text can go to a terminal as it is."""
    return not any(unicodedata.category(character).startswith("C") for character in words)


def tree(place):
    return sorted(str(path) for path in place.parents[1].rglob("*"))


def resolved(reference, **more):
    """A submission, or the sentence of a refusal; nothing else may be raised."""
    try:
        found = sources.resolve(reference, **more)
    except (UsageError, NothingToGrade, NotGradable) as refusal:
        assert printable(str(refusal).replace("\n", ""))  # noqa: PT017
        assert len(str(refusal)) < 4000  # noqa: PT017
        return None
    assert printable(found.file)
    assert 0 < len(found.file) <= MAX_NAME
    assert "/" not in found.file
    assert "\\" not in found.file
    assert found.id == "sub_" + found.sha256[:12]
    return found


def check(place, data, member=None):
    """An archive of `data` at a fixed place: read or refused, and nothing is written beside it."""
    path = place / "class.zip"
    path.write_bytes(data)
    before = tree(place)
    found = resolved(str(path)) if member is None else resolved(f"{path}!{member}")
    assert tree(place) == before
    return found


@pytest.mark.parametrize("name", CORPUS)
def test_the_kept_inputs(name, place):
    """`good-…`: read. `bad-…`: refused. `any-…`: once broke something."""
    found = check(place, CORPUS[name])
    assert name.startswith("any") or (found is not None and found.source == "archive") == name.startswith("good")


modes = st.sampled_from([0, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO | 0o644, stat.S_IFCHR, 0o4755])


@given(
    st.lists(st.tuples(names.filter(fits), st.sampled_from([BYTES, b"", b"/etc/passwd", b"\0" * 3_000_000]), modes), max_size=4), st.data()
)
@fuzz(150)
def test_archives_of_any_names(place, members, data):
    whole = pack(members)
    found = check(place, whole)
    if found is not None and found.source == "archive":
        assert found.data in {data for _, data, _ in members}
    for name, _, mode in members:
        member = name.encode("utf-8", "replace").decode()
        if "\0" in member:
            continue
        found = check(place, whole, member)
        if found is not None:
            assert ".." not in PurePosixPath(member.replace("\\", "/")).parts
            assert not PurePosixPath(member).is_absolute()
            assert not PureWindowsPath(member).is_absolute()
            assert not PureWindowsPath(member).drive
            assert not stat.S_ISLNK(mode)
            assert [other for other, _, _ in members].count(name) == 1
    wild = data.draw(text).replace("\0", "")
    check(place, whole, wild)


@given(
    st.sampled_from(
        [pack([("work.ipynb", BYTES * 20, 0)]), pack([("a.ipynb", BYTES, 0), ("b.txt", b"x" * 500, 0)]), *CORPUS.values()]
    ).flatmap(lambda whole: damaged(whole, most=5))
)
@fuzz(250)
def test_damaged_archives(place, data):
    check(place, data)


FIELDS = [(b"PK\x03\x04", 4, 30), (b"PK\x01\x02", 4, 46), (b"PK\x05\x06", 4, 22)]


@given(st.data())
@fuzz(250)
def test_archives_with_lying_headers(place, data):
    """Sizes, offsets, methods, flags and counts are changed field by field, not byte by byte."""
    whole = bytearray(pack([("a.ipynb", BYTES * 9, 0), ("b.ipynb", b"x" * 400, 0)][: data.draw(st.integers(1, 2))]))
    for _ in range(data.draw(st.integers(1, 4))):
        mark, first, length = data.draw(st.sampled_from(FIELDS))
        begin = whole.rfind(mark) if data.draw(st.booleans()) else whole.find(mark)
        size = data.draw(st.sampled_from([2, 4]))
        at = begin + data.draw(st.integers(first, length - size))
        value = data.draw(
            st.sampled_from([0, 1, 8, 12, 14, 20, 45, 99, 0x800, 0x41, 0x7FFF, 0xFFFF, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
        )
        whole[at : at + size] = struct.pack("<I", value)[:size]
    check(place, bytes(whole))


@given(names)
@fuzz(200)
def test_names_are_shown_and_stay_names(name):
    shown = display_name(name)
    assert printable(shown)
    assert 0 < len(shown) <= MAX_NAME
    assert not set(shown) & set("/\\")
    assert display_name(shown) == shown
    assert printable(display_path(name))
    assert len(display_path(name)) <= 200
    assert is_notebook_name(name) in (True, False)


@given(names)
@fuzz(150)
def test_files_of_any_name_in_a_folder(tmp_path_factory, name):
    """The file system's own names, on this machine: shown cleaned, read in place."""
    folder = tmp_path_factory.mktemp("folder")
    name = name.replace("/", "_").replace("\0", "_")[:80].encode("utf-8", "surrogateescape" if name.isascii() else "replace")
    path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118  (a name in bytes)
    if name in (b"", b".", b"..") or len(name) > 250:
        return
    with open(path, "wb") as file:
        file.write(BYTES)
    for reference in (str(folder), os.fsdecode(path), f"{folder}/{os.fsdecode(name)}x", f"{os.fsdecode(path)}!a.ipynb"):
        found = resolved(reference)
        assert found is None or found.data == BYTES


@given(text | names | st.text(alphabet=string.printable, max_size=60))
@fuzz(300)
def test_any_reference_is_read_or_refused(place, reference):
    before = tree(place)
    here = Path.cwd()
    os.chdir(place)
    try:
        for given_reference in (reference, f"./{reference}", f"class.zip!{reference}", f"class.zip/{reference}"):
            if given_reference == "-" or Path(given_reference).is_absolute() or ".." in given_reference or given_reference.startswith("~"):
                continue
            resolved(given_reference)
    finally:
        os.chdir(here)
    assert tree(place) == before


LINKS = ["https://github.com/o/r/blob/main/a.ipynb", "https://colab.research.google.com/github/o/r/blob/main/a.ipynb", "https://colab.research.google.com/#fileId=https%3A//github.com/o/r/blob/main/a.ipynb", "https://gist.github.com/u/0123456789abcdef", "https://raw.githubusercontent.com/o/r/main/a.ipynb", "https://notebooks.example.edu/a%2Fb/..%2f..%2fetc%2Fpasswd"]  # fmt: skip


@given(
    st.sampled_from(LINKS),
    st.integers(8, 60),
    st.sampled_from(
        [
            "",
            "..",
            "%2e%2e",
            "%00",
            "%0d%0a",
            "%1b[31m",
            "@evil.example",
            ":80",
            "\\",
            "//",
            "#",
            "?",
            "[",
            "]",
            "\u2024",
            "evil.example/",
            "%",
            "\t",
            "\r\n",
            "0x7f.1",
            "\uff0e",
        ]
    )
    | text,
)
@fuzz(300)
def test_changed_links_are_translated_or_refused(link, at, words):
    try:
        found = translate(link[:at] + words + link[at:])
    except GraderError as refusal:
        assert printable(str(refusal).replace("\n", "")) or "not a valid address" in str(refusal)  # noqa: PT017
        return
    assert isinstance(found, Link)
    assert printable(display_name(found.name))
    assert not set(display_name(found.name)) & set("/\\")


@given(text)
@fuzz(150)
def test_links_are_not_fetched_unless_asked(words):
    with pytest.raises(UsageError, match="nothing is fetched"):
        sources.resolve("https://evil.example/" + words.replace("\0", ""))


@pytest.mark.parametrize("words", HOSTILE_TEXT, ids=range(len(HOSTILE_TEXT)))
def test_hostile_names_in_every_message(words, place):
    for member in (words, "a" + words, words + ".ipynb"):
        whole = pack([(member or "x", BYTES, 0), ("b.ipynb", b"", 0), ("c" + member, b"", 0)])
        check(place, whole)
        check(place, whole, member.replace("\0", ""))
        resolved(f"{place}/{member}".replace("\0", ""))


def test_a_span_over_several_disks_is_a_sentence(place):
    """zipfile raises on it while it only looks whether the file is an archive."""
    whole = CORPUS["bad-several-disks.zip"]
    assert b"PK\x06\x07" in whole
    (place / "disks.zip").write_bytes(whole)
    assert archive.is_zip(place / "disks.zip") in (True, False)
    with pytest.raises((NotGradable, NothingToGrade)):
        sources.resolve(str(place / "disks.zip") + "!a.ipynb")
