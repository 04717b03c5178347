"""Fuzzing the report formats: student text may say anything anywhere, and every format stays what it is and shows it as text."""

import dataclasses
import io
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from enum import Enum
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mutation import HOSTILE_TEXT, fuzz, text
from rich.console import Console
from samples import SAMPLES, drawn, png

from grader.records import Cell, CellOutput, CellRun, Executed, Json, Notebook, Report, ReportCurve, RunStatus
from grader.reports import as_github, as_gradescope, as_html, as_json, as_junit, as_markdown, schema
from grader.reports.escape_markdown import block, code, inline
from grader.reports.terminal import print_report
from grader.reports.text import clean, plain_lines
from grader.words import one_line

SEEDS = [make() for make in SAMPLES.values()]
VALIDATOR = jsonschema.Draft202012Validator(schema.schema())
OURS = {
    "points",
    "score",
    "max_score",
    "auto_score",
    "auto_max",
    "pending_points",
    "earned",
    "timings",
    "seconds",
    "reference",
    "schema",
    "sha256",
    "data",
    "page",
}
"""Written by us, whatever the student does: numbers of points and seconds, the calibration's band."""

floats = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 0.1, 1.0, 1e-320, 1e12, -1e12, 1e300])
measured = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 0.1, 1.0, 1e-320, 1e300])
whole = st.integers(-5, 10**13) | st.sampled_from([0, 1, 2**63, -1])


def parts(value, at=()):
    """Every place in a record that a student can influence, as (names and indices that lead to it, its type)."""
    if dataclasses.is_dataclass(value):
        hints = typing.get_type_hints(type(value))
        for field in dataclasses.fields(value):
            if field.name not in OURS:
                item = getattr(value, field.name)
                yield (*at, field.name), hints[field.name]
                yield from parts(item, (*at, field.name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from parts(item, (*at, index))


PARTS = [list(parts(seed)) for seed in SEEDS]


def changed(value, place, new):
    """A record in which the part at `place` is replaced by `new(part)`."""
    if not place:
        return new(value)
    key, rest = place[0], place[1:]
    if isinstance(value, tuple):
        return (*value[:key], changed(value[key], rest, new), *value[key + 1 :])
    return dataclasses.replace(value, **{key: changed(getattr(value, key), rest, new)})


def of_type(draw, hint, value):
    """A hostile value of the type that a field has."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return of_type(draw, arguments[0], value)
    if origin in (typing.Union, types.UnionType):
        return None if type(None) in arguments and draw(st.integers(0, 3)) == 0 else of_type(draw, arguments[0], value)
    if origin is typing.Literal:
        return draw(st.sampled_from(arguments))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return draw(st.sampled_from(hint))
    if hint is str:
        return draw(st.sampled_from([value or "", ""])) + draw(text)
    if hint is bool:
        return draw(st.booleans())
    if hint is int:
        return draw(whole)
    if hint is float:
        return draw(measured)
    if origin in (dict, Mapping):
        inner = floats if arguments[1] != Json else text | floats | st.none() | whole | st.lists(text, max_size=2)
        inner = st.lists(floats, max_size=5).map(tuple) if typing.get_origin(arguments[1]) is tuple else inner
        return draw(st.dictionaries(text, inner, max_size=8))
    if origin is tuple and isinstance(value, tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            grown = value * draw(st.sampled_from([0, 1, 2, 30]))
            return grown + ((of_type(draw, arguments[0], None),) if arguments[0] in (str, int, float) else ())
        return tuple(of_type(draw, part, None) for part in arguments)
    return value


@st.composite
def reports(draw):
    """A sample report with hostile values in up to 12 places."""
    number = draw(st.integers(0, len(SEEDS) - 1))
    made = SEEDS[number]
    for _ in range(draw(st.integers(1, 12))):
        place, hint = PARTS[number][draw(st.integers(0, len(PARTS[number]) - 1))]
        try:
            made = changed(made, place, lambda value, hint=hint: of_type(draw, hint, value))
        except (IndexError, TypeError, AttributeError):
            continue  # an earlier change took this place away
    return made


def infected(value, words):
    """A record in which every text that a student can influence ends with `words`, keys too."""
    if isinstance(value, tuple):
        return tuple(infected(item, words) for item in value)
    if isinstance(value, Mapping):
        return {key + words: infected(item, words) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        fixed = {name for name, hint in typing.get_type_hints(type(value)).items() if typing.get_origin(hint) is typing.Literal}
        return dataclasses.replace(
            value, **{f.name: infected(getattr(value, f.name), words) for f in dataclasses.fields(value) if f.name not in OURS | fixed}
        )
    return value + words if type(value) is str else value


# ------------------------------------------------------------------ the formats


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.words, self.ids = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.words.append(data)


VOID = {"meta", "img", "br", "hr"}
ADDRESSES = {
    "src",
    "href",
    "action",
    "formaction",
    "srcset",
    "data",
    "poster",
    "background",
    "xlink:href",
    "ping",
    "cite",
    "style",
    "srcdoc",
}


def check_html(executed):
    page = as_html.render(executed)
    page.encode()
    reader = Page()
    reader.feed(page)
    reader.close()
    assert not {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "input",
        "textarea",
        "link",
        "base",
        "math",
        "template",
        "foreignobject",
    } & set(reader.tags)
    assert reader.tags.count("style") == 1
    assert reader.tags.count("meta") == 4
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ADDRESSES:
            assert re.fullmatch(r"#[\w-]+", value) or (tag == "img" and re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", value)), (
                tag,
                name,
                value[:80],
            )
        assert not (name in ("points", "cx", "cy", "x", "y", "x1", "x2", "y1", "y2") and re.search("nan|inf|e", value)), (
            tag,
            name,
            value[:80],
        )
    assert "Content-Security-Policy" in page
    assert not NEVER_SHOWN.search(page)


NEVER_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def kinds(markdown):
    tokens = PARSER.parse(markdown)
    return {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}


KNOWN = set().union(*(kinds(module.render(seed)) for seed in SEEDS for module in (as_markdown, as_github))) | {"fence"}


def check_markdown(markdown):
    markdown.encode()
    assert not NEVER_SHOWN.search(markdown)
    assert kinds(markdown) <= KNOWN
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"(?<!\\)`[^`\n]*`", "", outside)  # what stands in code may end in a backslash
    outside = outside.replace("\\`", "").replace("&#36;", "")
    found = re.search(r".{0,30}(?:://|\bwww\.|@\w|#\w|GH-\d|\$|<|(?<!\\)~~|\bmailto:|(?<!\\)!\[|(?<!\\)\]\().{0,30}", outside)
    assert found is None


ANNOTATION = re.compile(r"::(error|warning|notice) file=[^:,\r\n]*,title=[^:,\r\n]*::[^\r\n]*")
COMMAND = re.compile(r"(?m)^\s*::|##\[|##vso\[|##teamcity\[")


def check_json(made):
    written = as_json.render(made)
    data = json.loads(written, parse_constant=pytest.fail)
    VALIDATOR.validate(data)
    assert as_json.render(Executed(report=as_json.parse(written))) == written, "what is read back is written the same"
    assert not NEVER_SHOWN.search(written)


def check_junit(made):
    xml = as_junit.render(made)
    assert re.fullmatch("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*", xml)
    assert "<!" not in xml
    root = ET.fromstring(xml.encode())
    assert {element.tag for element in root.iter()} <= {
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
        "error",
        "skipped",
    }
    assert int(root.get("tests")) == len(root.findall(".//testcase"))


def check_gradescope(made):
    results = json.loads(as_gradescope.render(made), parse_constant=pytest.fail)
    for test in results["tests"]:
        assert ("score" in test) == ("status" in test)
        assert {type(test.get("score", 0.0)), type(test.get("max_score", 0.0))} == {float}
    assert {results[name] for name in ("output_format", "test_output_format", "test_name_format")} == {"text"}
    assert "score" not in results


def check_terminal(report):
    for width, verbose, quiet in ((200, True, False), (40, False, False), (80, True, True)):
        shown = io.StringIO()
        print_report(report, Console(file=shown, width=width), verbose=verbose, quiet=quiet)
        assert not NEVER_SHOWN.search(shown.getvalue().replace("\t", ""))
        assert not COMMAND.search(shown.getvalue())
        assert not quiet or shown.getvalue().count("\n") == 1
    shown = io.StringIO()
    print_report(
        report, Console(file=shown, force_terminal=True, width=60, color_system="standard", _environ={"TERM": "xterm"}), verbose=True
    )
    assert not re.search(r"\x1b(?!\[[0-9;]*m)|\x9b|\x07", shown.getvalue()), "colours, and nothing else"


def check_all(made):
    check_json(made)
    check_html(made)
    check_junit(made)
    check_gradescope(made)
    check_markdown(as_markdown.render(made))
    check_markdown(as_github.render(made))
    annotations = as_github.annotations(made.report)
    assert len(annotations) <= 2 * as_github.MOST_ANNOTATIONS + 1
    for line in annotations:
        assert ANNOTATION.fullmatch(line), line
        assert not COMMAND.search(line.removeprefix("::"))
    check_terminal(made.report)


@given(reports())
@fuzz(40)
def test_any_report_in_every_format(made):
    check_all(made)


@pytest.mark.parametrize("words", HOSTILE_TEXT, ids=range(len(HOSTILE_TEXT)))
def test_hostile_text_in_every_place_at_once(words):
    check_all(infected(SEEDS[0], words))
    check_all(infected(SEEDS[1], "\n" + words))


@pytest.mark.parametrize("words", HOSTILE_TEXT, ids=range(len(HOSTILE_TEXT)))
def test_hostile_text_alone_in_every_place(words):
    """Whole fields, so that a line of a format begins with the student's text."""

    def only(value):
        if isinstance(value, tuple):
            return tuple(only(item) for item in value)
        if dataclasses.is_dataclass(value):
            hints = typing.get_type_hints(type(value))
            return dataclasses.replace(
                value,
                **{
                    f.name: only(getattr(value, f.name)) if hints[f.name] is not str else words
                    for f in dataclasses.fields(value)
                    if f.name not in OURS and typing.get_origin(hints[f.name]) is not typing.Literal
                },
            )
        return value

    check_all(only(SEEDS[1]))


PIECES = st.lists(st.sampled_from([*list("\\`*_[]|~&<>$@#:/.-+=!(){}^\"'0123aw \n\t"), "http", "www", "GH", "mailto", "xmpp", "```", "<b>", "&#64;", "\u2060", "\u2028", "\x85", "é"]), max_size=14).map("".join)  # fmt: skip


@given(PIECES | text)
@fuzz(400)
@example("]: x")
@example("\u2060@a")
def test_markdown_shows_exactly_the_text(words):
    words = clean(words)
    for before, after in (("", ""), ("- ", ""), ("| ", " |\n|---|"), ("**", "**")):
        if not one_line(words):
            continue
        tokens = PARSER.parse(before + inline(words) + after)
        shown = "".join(child.content for token in tokens for child in token.children or ())
        assert shown.replace("\u2060", "") == one_line(words).replace("\u2060", "")
    assert [token.type for token in PARSER.parse(block(words))] == ["fence"]
    assert PARSER.parse(block(words))[0].content.rstrip("\n") == words.rstrip("\n")
    spans = [child.type for token in PARSER.parse(f"x {code(words)} y") for child in token.children or ()]
    assert spans in (["text", "code_inline", "text"], ["text"])
    outside = inline(words).replace("&#36;", "").replace("\\", "")
    assert not re.search(r"://|www\.|@\w|#\w|GH-\d|\$|<|mailto:", outside)


@given(text | PIECES)
@fuzz(300)
def test_cleaned_text_stays_clean(words):
    cleaned = clean(words)
    assert clean(cleaned) == cleaned
    assert not NEVER_SHOWN.search(cleaned)
    cleaned.encode()


@given(text | PIECES)
@fuzz(300)
@example("::set-env name=x::y")
@example("\n  ::error::x")
@example("##[error]##vso[x]##[[")
@example("\r\u2028::error::x")
def test_lines_for_a_log_hold_no_command(words):
    shown = plain_lines(words)
    assert not COMMAND.search(shown)
    assert not NEVER_SHOWN.search(shown)
    assert shown.replace("\u2060", "").split() == clean(words).replace("\u2060", "").split()
    assert plain_lines(shown) == shown


# ------------------------------------------------------------------ the appendix

outputs = st.lists(
    st.builds(
        CellOutput,
        kind=st.sampled_from(["stdout", "stderr", "text", "error", "png"]),
        data=text | st.sampled_from([png(), png()[:-9], "data:image/svg+xml,x"]),
    ),
    max_size=3,
).map(tuple)
NOTEBOOK_TEXT = (
    text
    | PIECES
    | st.sampled_from(
        ["def f(x):\n    return '</pre>' # <script>\n", "x = '''</code>\n", "# a\n\n* b\n  * c\n\n> d\n\n| a |\n|-|\n| <b> |\n"]
    )
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["code", "markdown", "raw"]), NOTEBOOK_TEXT, outputs, st.sampled_from(["ok", "error", "timeout", "skipped"])
        ),
        max_size=6,
    )
)
@fuzz(30)
def test_any_notebook_in_the_appendix(cells):
    notebook = Notebook(cells=tuple(Cell(index=i, kind=kind, source=source) for i, (kind, source, _, _) in enumerate(cells)))
    runs = tuple(CellRun(index=i, status=status, outputs=shown) for i, (_, _, shown, status) in enumerate(cells))
    made = drawn(dataclasses.replace(SEEDS[0], notebook=notebook, cells=runs))
    check_html(made)
    page = Page()
    page.feed(as_html.render(made))
    shown = "".join("".join(page.words).split())
    for kind, source, _, _ in cells:
        if kind == "raw":
            assert "".join(clean(source).split())[:2000] in shown


# ------------------------------------------------------------------ reading a report back


@given(st.data())
@fuzz(120)
def test_a_report_that_is_read_is_a_report_or_a_usage_error(data):
    from mutation import mutated, written

    from grader.errors import UsageError

    value = data.draw(mutated([json.loads(as_json.render(SEEDS[0]))], most=3))
    try:
        made = as_json.parse(written(value))
    except UsageError:
        return
    assert isinstance(made, Report)
    as_json.render(Executed(report=made))


@pytest.mark.parametrize(
    "words",
    [
        "[" * 100_000,
        '{"schema": "grader/report/v1", "recorded": ' + "[" * 900 + "]" * 900 + "}",
        "{}",
        "[]",
        "null",
        "1",
        '"\\ud800"',
        '{"schema": "\\ud800"}',
    ],
    ids=range(8),
)
def test_what_is_no_report_is_a_usage_error(words):
    from grader.errors import UsageError

    with pytest.raises(UsageError):
        as_json.parse(words)


@pytest.mark.parametrize("status", RunStatus)
def test_a_hostile_file_name_with_every_ending(status):
    seed = SEEDS[0]
    for words in HOSTILE_TEXT:
        report = dataclasses.replace(
            seed.report, status=status, reason=words, submission=dataclasses.replace(seed.report.submission, file=words, id=words)
        )
        check_terminal(report)
        assert all(ANNOTATION.fullmatch(line) for line in as_github.annotations(report))


@given(st.dictionaries(text, st.lists(floats, max_size=40).map(tuple), max_size=8))
@fuzz(20)
def test_any_recorded_curve(values):
    report = dataclasses.replace(SEEDS[0].report, recorded=(ReportCurve(role="base", cell=0, values=values),))
    check_html(Executed(report=report))
    check_json(Executed(report=report))
    numbers = json.loads(as_json.render(Executed(report=report)))["recorded"][0]["values"]
    assert all(number is None or math.isfinite(number) for column in numbers.values() for number in column)
    assert set(numbers) == {clean(key) for key in values}
