"""Student text stays text, wherever it stands and whatever it says."""

import base64
import io
import json
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from samples import bad, drawn, good, png, trained

from grader.records import Cell, CellOutput, CellRun, Executed, Notebook
from grader.reports import FORMATS, as_html, as_json, as_junit, as_notebook, as_page
from grader.reports.as_github import annotations
from grader.reports.escape_markdown import block, inline
from grader.reports.inside import page as drawing
from grader.reports.terminal import print_report
from grader.reports.text import clean

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</pre></code></textarea></title><iframe src=//evil.example>",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "[click](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example>",
    "https://evil.example www.evil.example mail@evil.example @everyone #1 GH-1",
    "| a | b |\n|---|---|\n# heading\n```\n</details>",
    "````\n```` \n~~~",
    "$\\href{https://evil.example}{x}$ $`x`$",
    "::error::forged\n::stop-commands::x\n::set-output name=score::100\n##[error]forged %0A::error::x",
    "\r::error::forged\r\n::add-mask::0",
    '=HYPERLINK("https://evil.example")',
    "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \x9b31m \x1b]0;title",
    "\x00\x01\x08\x0b\x0c\x1f\x7f\x85 \ud800 \ufffe \uffff \u202e\u2066\u061c",
    "]]> <!-- --> <?xml?> &amp; &#x3c;script&#x3e;",
    "[bold red]markup[/] [link=https://evil.example]x[/link] :smile:",
    "javascript:alert(1) data:text/html,<script>alert(1)</script>",
]


def _infected(value, text):
    """A copy of a record in which every free text ends with `text` (enumerations and literals stay)."""
    if isinstance(value, tuple):
        return tuple(_infected(item, text) for item in value)
    if isinstance(value, dict):
        return {f"{key}{text}" if isinstance(key, str) else key: _infected(item, text) for key, item in value.items()}
    if is_dataclass(value):
        kept = {"status", "kind", "role", "severity", "origin", "schema", "data", "ending", "basis", "reference"}
        changed = {f.name: _infected(getattr(value, f.name), text) for f in fields(value) if f.name not in kept}
        return replace(value, **changed)
    return f"{value}{text}" if type(value) is str else value


def _executed(text: str) -> Executed:
    executed = _infected(bad(), text)
    training = _infected((*good().report.training, *trained().report.training), text)
    training += (replace(training[0], role=f"other{text}", reference={f"images{text}": text, "low": [text]}),)
    outputs = tuple(CellOutput(kind=kind, data=text) for kind in ("stdout", "stderr", "text", "error", "png"))
    cells = tuple(Cell(index=i, kind=kind, source=text) for i, kind in enumerate(("code", "markdown", "raw")))
    runs = tuple(CellRun(index=i, status="ok", outputs=outputs) for i in range(3))
    return replace(executed, report=replace(executed.report, training=training), notebook=Notebook(cells=cells), cells=runs)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("text", HOSTILE)
def test_html_is_inert_and_shows_the_text(text):
    executed = drawn(_executed(text))
    for form in (as_html, as_page):
        page = form.render(executed)  # reads itself through inert.check
        reader = _Words()
        reader.feed(page)
        assert not {"script", "iframe", "object", "form", "textarea"} & reader.tags
        assert not re.search(r"<[^>]*\s(on\w+|style)\s*=", page)
        assert " ".join(clean(text).split()) in " ".join("".join(reader.text).split())
        page.encode()


def _texts(value) -> list[str]:
    if isinstance(value, tuple):
        return [text for item in value for text in _texts(item)]
    if is_dataclass(value):
        return [text for f in fields(value) if f.name not in {"cause", "cure", "ending"} for text in _texts(getattr(value, f.name))]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ["html", "md"])
def test_every_text_of_a_training_check_is_shown_and_escaped(name):
    """All but the cause's id, and the cure, which the diagnosis says."""
    count = 0

    def marked(value):
        nonlocal count
        if isinstance(value, tuple):
            return tuple(marked(item) for item in value)
        if is_dataclass(value):
            return replace(
                value, **{f.name: marked(getattr(value, f.name)) for f in fields(value) if f.name not in {"ending", "reference"}}
            )
        if isinstance(value, str):
            count += 1
            return f"<b>{count}</b>"
        return value

    check = replace(marked(good().report.training[0]), dataset="<b>data</b>")
    text = FORMATS[name].render(replace(good(), report=replace(good().report, training=(check,), recorded=())))
    said = [*_texts(check.counterfactuals), *_texts(check.runs), *_texts(replace(check, counterfactuals=(), runs=()))]
    only_html = {found.because for found in check.counterfactuals} | {name for run in check.runs for name, _ in run.norms}
    not_shown = {run.proof for found in check.counterfactuals for run in (found.rerun,)} | set(
        _texts(tuple(found.rerun for found in check.counterfactuals))
    )
    living = {text for run in check.runs if run.ending == "learns" for text in _texts(run)}
    for each in said:
        if each in not_shown | living or (name == "md" and each in only_html):
            continue
        half = each.replace("<", "&lt;")  # Markdown needs the first sign escaped only
        assert half.replace(">", "&gt;") in text or (name == "md" and half in text)
    assert "<b>" not in text


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"low": 0.4, "high": 0.5},
        {"images": [], "low": [], "median": [], "high": [], "passes": [], "zero": []},
        {name: ["<b>"] for name in ("images", "low", "median", "high", "passes", "zero")},
        {name: [float("nan"), None, True, 1e300] for name in ("images", "low", "median", "high", "passes", "zero")},
        {name: {"<b>": 1} for name in ("images", "low", "median", "high", "passes", "zero")},
        {name: [3, -1, 0] for name in ("images", "low", "median", "high", "passes", "zero")},
    ],
)
def test_a_reference_that_is_none_is_said_to_be_none(reference):
    check = replace(good().report.training[0], reference=reference)
    page = as_html.render(replace(good(), report=replace(good().report, training=(check,))))
    assert "There is no reference band to compare with." in page
    assert "<polygon" not in page
    assert "<b>" not in page


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["md", "github"])
def test_markdown_has_only_our_markup(text, name):
    markdown = FORMATS[name].render(_executed(text))
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    ours, theirs = _kinds(parser.parse(FORMATS[name].render(_executed(".")))), _kinds(parser.parse(markdown))
    assert theirs <= ours | {"fence"}
    assert not theirs & {"link_open", "image", "html_inline", "html_block", "s_open"}
    outside = re.sub(r"^(`{3,})text\n.*?\n\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    outside = re.sub(r"`[^`\n]*`", "", outside.replace("\\`", "").replace("&#36;", ""))
    assert not re.search(r"://|\bwww\.|@\w|#\d|GH-\d|\$|<|(?<!\\)~~", outside)


def _kinds(tokens) -> set[str]:
    return {t.type for t in tokens} | {child.type for t in tokens for child in t.children or ()}


@pytest.mark.parametrize("text", [clean(text) for text in HOSTILE])
def test_markdown_shows_the_text(text):
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(f"- {inline(text)}")
    shown = "".join(child.content for t in tokens for child in t.children or ())
    assert shown.replace("\u2060", "") == " ".join(text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_fence_cannot_be_closed_from_inside(text):
    tokens = MarkdownIt("commonmark").parse(block(clean(text)))
    assert [t.type for t in tokens] == ["fence"]
    assert tokens[0].content == clean(text) + "\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_commands_cannot_be_forged(text):
    made = annotations(_executed(text).report)
    assert all(re.fullmatch(r"::(error|warning|notice) file=[^:,\r\n]*,title=[^:,\r\n]*::[^\r\n]*", line) for line in made)
    assert all("##[" not in line for line in made)


@pytest.mark.parametrize("text", HOSTILE)
def test_xml_is_well_formed_and_legal(text):
    xml = as_junit.render(_executed(text))
    ET.fromstring(xml.encode())
    assert not re.search("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", xml)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_formats_are_json(text):
    for name in ("json", "gradescope"):
        data = FORMATS[name].render(_executed(text)).encode()
        assert json.loads(data)
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)
    as_json.parse(as_json.render(_executed(text)))


@pytest.mark.parametrize("text", HOSTILE)
def test_terminal_shows_it_literally(text):
    shown = io.StringIO()
    print_report(_executed(text).report, Console(file=shown, width=200), verbose=True)
    assert "\x1b" not in shown.getvalue()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown.getvalue())
    assert " ".join(clean(text).split()) in shown.getvalue().replace("\u2060", "")
    assert "::" not in shown.getvalue()


@given(st.text(max_size=300))
@settings(max_examples=40, deadline=None)
def test_any_text_in_any_format(text):
    executed = _executed(text)
    for name, module in FORMATS.items():
        rendered = module.render(executed)
        rendered.encode()
        if name == "junit":
            ET.fromstring(rendered)


@given(st.text())
def test_clean_twice_is_clean_once(text):
    assert clean(clean(text)) == clean(text)


def test_progress_bars_leave_their_last_state():
    assert clean("1/3\r2/3\r3/3 done\nnext") == "3/3 done\nnext"
    assert clean("1/3" + "\x08" * 3 + "2/3\n") == "2/3\n"
    assert clean("a\r\nb\r\n") == "a\nb\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param("not base64!", id="not base64"),
        pytest.param("iVBORw0KGgo=", id="magic number only"),
        pytest.param(png()[:-8], id="cut off"),
        pytest.param("PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+PC9zdmc+", id="svg"),
        pytest.param("A" * 4_000_000, id="too long"),
        pytest.param(png(30_000, 1_000), id="too many pixels"),
        pytest.param(png(0, 5), id="no pixels"),
    ],
)
def test_what_is_no_picture_is_left_out(data):
    assert as_notebook.checked_png(data) is None


def test_a_picture_is_shown_as_it_is():
    assert as_notebook.checked_png(png() + "\n") == base64.b64decode(png())


def test_images_and_text_have_a_limit():
    outputs = tuple(CellOutput(kind="png", data=png(1500, 1200, shade=i)) for i in range(3))
    text = tuple(CellOutput(kind="stdout", data="x" * 50_000) for _ in range(300))
    notebook = Notebook(cells=(Cell(index=0, kind="code", source="y = 1\n" * 50_000),))
    page = as_html.render(drawn(replace(good(), notebook=notebook, cells=(CellRun(index=0, status="ok", outputs=outputs + text),))))
    assert page.count("data:image/png;base64,") == 3
    assert len(page) < 4_000_000
    assert "more characters are not shown" in page


def test_hostile_markdown_is_cheap():
    source = "[" * 5000 + ">" * 5000 + "*_" * 4000
    notebook = Notebook(cells=(Cell(index=0, kind="markdown", source=source),))
    assert "cell-0" in as_html.render(drawn(replace(good(), notebook=notebook, cells=())))


def _page(source, kind, count, answers=0):
    executed = good()
    texts = tuple(replace(executed.report.answers[0], text=source) for _ in range(answers))
    cells = tuple(Cell(index=index, kind=kind, source=source) for index in range(count))
    return as_html.render(
        drawn(replace(executed, report=replace(executed.report, answers=texts), notebook=Notebook(cells=cells), cells=()))
    )


EMPTY_TABLE = "a|" * 100 + "a\n" + "-|" * 100 + "-\n" + "|\n" * 9700


@pytest.mark.parametrize(
    ("source", "kind", "count", "answers"),
    [(";a" * 10_000, "code", 400, 0), ("<" * 20_000, "raw", 400, 0), (EMPTY_TABLE, "markdown", 20, 20)],
    ids=["marks", "escaped", "table"],
)
def test_a_page_is_bounded_whatever_the_notebook_holds(source, kind, count, answers):
    """Unbounded, the first would be a page of 183 MiB after three minutes."""
    page = _page(source, kind, count, answers)
    assert len(page) < 12_000_000
    assert ("more characters are not shown]" in page) == (kind != "markdown")


def test_an_honest_notebook_is_highlighted_whole():
    """Ten times the exercise's code, in cells as long as any is; its bound is of a report, so a report before it changes nothing."""
    source = "x = model.fit(images, labels, epochs=30)  # a line\n" * 100
    for _ in range(2):
        assert _page(source, "code", 80).count('class="highlight"') == 80


def test_room_is_shared_by_answers_and_cells(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_MARKUP", 100)
    page = _page("*stars* and more" + "." * 34, "markdown", 5, 1)
    assert page.count("<em>stars</em>") == 2
    assert page.count("<pre><code>*stars* and more") == 4
