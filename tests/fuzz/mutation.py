"""What all fuzzing shares: how many examples, hostile text and values, and changes to the structure of valid JSON.

Random bytes hardly ever get past the first check. So each target starts from something valid and changes it in one to a few places: parts
left out, doubled, moved, renamed, nested deeply, given another type, or text that some reader of it would obey.
"""

import copy
import json
import os
import re
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

SOAK = int(os.environ.get("GRADER_FUZZ", "1"))
"""How many times more examples than CI draws. Above 1 they are other ones on every run, and what fails is kept in .hypothesis."""

CORPUS = Path(__file__).resolve().parent / "corpus"


def fuzz(examples):
    """The settings of a fuzzed property: `examples` in CI, always the same ones."""
    return settings(
        max_examples=examples * SOAK,
        derandomize=SOAK == 1,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def corpus(target):
    """The kept inputs of a target, by file name."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}


HOSTILE_TEXT = [
    "",
    "<script>alert(1)</script>",
    "</script></style></title></textarea><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "&lt;script&gt; &#x3c;b&#x3e; &amp;amp;",
    "]]> <!-- --> <?xml version='1.0'?><!DOCTYPE x>",
    "{{7*7}} {% raw %} ${7*7} #{7*7}",
    "[x](javascript:alert(1)) ![x](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "[x]: https://evil.example 'y'\n\n[x] [^1]\n\n[^1]: z",
    "https://evil.example www.evil.example ftp://evil.example mailto:a@evil.example a@evil.example",
    "@everyone @user/team #1 GH-1 owner/repo#1",
    "# heading\n## heading\n---\n===\n> quote\n* item\n1. item\n    code\n\ttab",
    "| a | b |\n|---|---|\n| c | d |",
    "```\n````\n~~~\n`x` ``y``",
    "<details><summary>x</summary>\n\n<table>",
    "::set-env name=PATH::/tmp",
    "\n::error::forged\n::stop-commands::x\n::set-output name=score::100",
    "\r::add-mask::0\r\n  ::warning file=a,line=1::x",
    "##[error]forged ##[add-path]/tmp ##[set-env name=x]y",
    "##vso[task.setvariable variable=x]y ##teamcity[buildStatus status='SUCCESS']",
    "section_start:1:x\r\x1b[0Ksection_end:1:x",
    "=cmd|' /C calc'!A0",
    '+1+1 -1+1 @SUM(1) =HYPERLINK("https://evil.example")',
    "\t=1+1",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP1$r\x1b\\ \x1b_apc\x1b\\ \x1b^pm\x1b\\ \x1bX\x1b\\ \x1bc \x1b",
    "\x9b31m \x9d0;title\x9c \x90\x9f",
    "\x1b\x1b[0m[2J \x1b[\x1b[0m2J",
    "\x00\x01\x07\x08\x0b\x0c\x1f\x7f\x85",
    "a\x00b",
    "abc\x08\x08\x08xyz\rover",
    "\u202eevil\u202c \u2066x\u2069 \u061c \u200e\u200f",
    "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e",
    "\u2028line\u2029paragraph\x1c\x1d\x1e",
    "\ud800 \udfff \udc00\ud800",
    "\ufffe\uffff\U0001fffe\U0010ffff",
    "\U000e0041\U000e0042\ufe0f\u20e3",
    "a" + "\u0301" * 300,
    "\ufdfa" * 30,
    "x" * 5000,
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\win.ini",
    "file:///etc/passwd",
    "CON.ipynb",
    "%0A::error::x %25 %s %n {0}",
    "[bold red]markup[/] [link=https://evil.example]x[/link] :smile:",
    "__class__ __import__('os').system('id')",
    "NaN Infinity null true",
]

text = st.one_of(
    st.sampled_from(HOSTILE_TEXT),
    st.lists(st.sampled_from(HOSTILE_TEXT), min_size=2, max_size=4).map("".join),
    st.lists(st.sampled_from(list("\x1b\x9b[]0;m\\\r\n\x08:#<>&`*_|@!\"'(){}=+-/.~$% \u202e\u200b\u0661a1")), max_size=24).map("".join),
    st.text(max_size=40),
)

RAW = re.compile(r'"RAW<([^"<>]*)>"')
"""Placeholders for what Python's own writer does not write."""

RAW_TOKENS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 39, "9" * 60, "1" * 5000, "-0", "1e-999", "0.1e400", "tru", "01", ""]

atoms = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, 1, 2, 3, 255, 10**8, 2**31, 2**63, -(2**64), 10**39, 0.0, -0.0, 0.5, 1e-308, 1e300, [], {}, [[]], ""]
    ),
    text,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)

json_values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4), max_leaves=12)


def places(value, at=()):
    """Every place in a JSON value, as the keys that lead to it, parents first."""
    yield at
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*at, index))


def at_place(value, place):
    """The part of a JSON value that stands at a place."""
    for key in place:
        value = value[key]
    return value


def put(value, place, new):
    """Set the part at a place; the whole, where the place is the root."""
    if not place:
        return new
    at_place(value, place[:-1])[place[-1]] = new
    return value


def nested(value, depth, kind):
    """`value` inside `depth` lists or objects."""
    for _ in range(depth):
        value = [value] if kind == "list" else {"x": value}
    return value


def mutated(seeds, *, most=4, depths=(2, 30, 45, 70, 120, 200), others=json_values):
    """One of the seeds (JSON values) with up to `most` changes to its structure."""
    keys = sorted({key for seed in seeds for place in places(seed) for key in place if isinstance(key, str)}) or ["x"]
    return _mutated(seeds, st.sampled_from(keys) | text, most, depths, others)


@st.composite
def _mutated(draw, seeds, keys, most, depths, others):
    value = copy.deepcopy(seeds[draw(st.integers(0, len(seeds) - 1))])
    for _ in range(draw(st.integers(0, most))):
        where = list(places(value))
        place = where[draw(st.integers(0, len(where) - 1))]
        part = at_place(value, place)
        parent = at_place(value, place[:-1]) if place else None
        change = draw(st.sampled_from(["replace", "drop", "double", "rename", "move", "nest", "append", "raw", "add"]))
        if change == "replace":
            value = put(value, place, draw(others))
        elif change == "drop" and place:
            del parent[place[-1]]
        elif change == "double" and isinstance(parent, list):
            parent[place[-1] : place[-1]] = [copy.deepcopy(part)] * draw(st.sampled_from([1, 2, 60]))
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(keys)] = parent.pop(place[-1])
        elif change == "move":
            value = put(value, place, copy.deepcopy(at_place(value, where[draw(st.integers(0, len(where) - 1))])))
        elif change == "nest":
            value = put(value, place, nested(part, draw(st.sampled_from(depths)), draw(st.sampled_from(["list", "dict"]))))
        elif change == "append" and isinstance(part, str):
            value = put(value, place, part + draw(text))
        elif change == "raw":
            value = put(value, place, f"RAW<{draw(st.sampled_from(RAW_TOKENS))}>")
        elif change == "add" and isinstance(part, dict):
            part[draw(keys)] = draw(others)
        elif change == "add" and isinstance(part, list):
            part.append(draw(others))
    return value


def written(value):
    """A mutated value as JSON text, its placeholders replaced by what they stand for. Lone surrogates stay, as escapes."""
    return RAW.sub(lambda match: match.group(1), json.dumps(value))


def unraw(value):
    """A mutated value as Python data: placeholders become the floats that Python reads them as, or stay text."""
    if isinstance(value, dict):
        return {key: unraw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unraw(item) for item in value]
    if isinstance(value, str) and value.startswith("RAW<"):
        token = value[4:-1]
        try:
            return int(token) if len(token) < 4000 else 10 ** len(token)
        except ValueError:
            pass
        try:
            return float(token)
        except ValueError:
            return token
    return value


@st.composite
def damaged(draw, data, *, most=3):
    """Bytes with up to `most` changes: flipped, cut off, left out, doubled, or put in."""
    data = bytearray(data)
    for _ in range(draw(st.integers(0, most))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.sampled_from([1, 2, 4, 30]))
        change = draw(st.sampled_from(["flip", "cut", "drop", "double", "insert"]))
        if change == "flip" and at < len(data):
            data[at] ^= draw(st.integers(1, 255))
        elif change == "cut":
            del data[at:]
        elif change == "drop":
            del data[at : at + size]
        elif change == "double":
            data[at:at] = data[at : at + size]
        elif change == "insert":
            data[at:at] = draw(
                st.sampled_from(
                    [
                        b"\x00",
                        b"\xff",
                        b'"',
                        b"{",
                        b"]",
                        b",",
                        b"\\u",
                        b"\\ud800",
                        b"\xed\xa0\x80",
                        b"\xef\xbb\xbf",
                        b"\xf4\x90\x80\x80",
                        b"NaN",
                        b"\n",
                    ]
                )
            )
    return bytes(data)
