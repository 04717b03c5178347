"""The appendix of the HTML report: the student's notebook as it ran here.

Why not nbconvert: its default HTML carries scripts and names remote hosts; with `sanitize_html` its headings come out as visible tags;
and importing it costs 1.0 s and 58 MiB where this module's parts cost 0.1 s and 14 MiB (measured with nbconvert 7.17). So cells are drawn
by our own template: code through Pygments, Markdown through markdown-it with HTML, links and images turned off, text outputs escaped, PNG
images checked. `inert.check` then reads the finished page and refuses it if anything that can act got through.
"""

import base64
import binascii
import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markupsafe import Markup

from grader.records import Cell, CellOutput, CellRun, Notebook
from grader.reports.text import shorten

MOST_SOURCE = 20_000
"""Characters of a cell or answer that are highlighted or rendered; a longer one is shown plainly, up to ten times as many."""
_BLANK = re.compile(r"\s{500}")
"""Pygments looks through a run of blank lines from each of them; a cell with such a run is shown plainly."""
MOST_RENDERED = 500_000
"""Characters of all cells and answers of a report that are highlighted or rendered; an exercise has 50,000. The rest is shown plainly."""
MOST_MARKUP = 4_000_000
"""Characters of HTML that they may become: code has 5 for one, a table of empty fields 34, and takes 2 s for a million (measured)."""
MOST_PLAIN = 2_000_000
"""Characters of all cells and answers of a report that are shown plainly."""
MOST_OUTPUT = 10_000
"""Characters shown of one output."""
MOST_IMAGE = 2 * 2**20
"""Bytes of one PNG."""
MOST_IMAGES = 8 * 2**20
"""Bytes of all PNGs of a report."""
MOST_TEXT = 2_000_000
"""Characters shown of all outputs of a report."""
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 25_000_000
_LABELS = {"stdout": "Output", "stderr": "Messages", "text": "Result", "error": "Error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output to show: escaped by the template (`text`) or a checked image as a `data:` address (`image`)."""

    label: str
    text: str = ""
    image: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCell:
    """One cell to show. `body` is safe HTML; `state` says how a code cell ran, in words."""

    index: int
    kind: str
    state: str
    failed: bool
    body: Markup
    outputs: tuple[Output, ...]


class Room:
    """How much may still be shown, over a whole report: without it a notebook of 8 MiB takes minutes and makes a page of 200 MB."""

    def __init__(self) -> None:
        self.images = MOST_IMAGES
        self.text = MOST_TEXT
        self._rendered, self._markup, self._plain = MOST_RENDERED, MOST_MARKUP, MOST_PLAIN

    def rendered(self, source: str, render: Callable[[str], Markup]) -> Markup:
        """`source` by `render`, while there is room for it; then plainly."""
        if len(source) > min(MOST_SOURCE, self._rendered) or self._markup <= 0:
            return self.plain(source)
        body = render(source)
        self._rendered -= len(source)
        self._markup -= len(body)
        return body

    def plain(self, source: str) -> Markup:
        """`source` as it is written, while there is room for it; what is cut is said in words."""
        most = min(10 * MOST_SOURCE, self._plain)
        self._plain -= min(len(source), most)
        return Markup("<pre><code>{}</code></pre>").format(shorten(source, most))


def cells(notebook: Notebook, runs: Iterable[CellRun], room: Room) -> tuple[ShownCell, ...]:
    """Every cell of the notebook in order, with the outputs of the run here (never those stored in the file), as far as there is `room`."""
    by_index = {run.index: run for run in runs}
    return tuple(_cell(cell, by_index.get(cell.index), room) for cell in notebook.cells)


def _cell(cell: Cell, run: CellRun | None, room: Room) -> ShownCell:
    status = "skipped" if run is None else run.status
    state = {"ok": "ran", "error": "failed", "timeout": "stopped, out of time", "skipped": "not run"}[status]
    return ShownCell(
        index=cell.index,
        kind=cell.kind,
        state=state if cell.kind == "code" else "",
        failed=cell.kind == "code" and status in {"error", "timeout"},
        body=_body(cell, room),
        outputs=tuple(_output(output, room) for output in run.outputs) if run is not None and cell.kind == "code" else (),
    )


def _body(cell: Cell, room: Room) -> Markup:
    if cell.kind == "raw" or (cell.kind == "code" and _BLANK.search(cell.source)):
        return room.plain(cell.source)
    return room.rendered(cell.source, markdown if cell.kind == "markdown" else highlighted)


def highlighted(source: str) -> Markup:
    """Python source as HTML with Pygments' short class names; its text is escaped by Pygments."""
    from pygments import highlight  # type: ignore[import-untyped]  # noqa: PLC0415  heavy, only needed here
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]  # noqa: PLC0415
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]  # noqa: PLC0415

    body = highlight(source, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    return Markup('<pre class="code"><code>{}</code></pre>').format(Markup(body))  # noqa: S704  Pygments escapes what it is given


def markdown(source: str) -> Markup:
    """Markdown as HTML of paragraphs, headings (levels 5 and 6), lists, quotes, emphasis, code and tables; no links, images or HTML."""
    parser = _parser()
    tokens = parser.parse(source)
    for token in tokens:
        token.attrs = {}
        token.info = ""
        if token.type in {"heading_open", "heading_close"}:
            token.tag = "h5" if token.tag in {"h1", "h2"} else "h6"
    return Markup('<div class="prose">{}</div>').format(Markup(parser.renderer.render(tokens, parser.options, {})))  # noqa: S704  html is off


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": 20}).enable("table")
    return parser.disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])


def _output(output: CellOutput, room: Room) -> Output:
    if output.kind == "png":
        return _image(output.data, room)
    text = shorten(output.data, min(MOST_OUTPUT, room.text))
    room.text = max(0, room.text - len(text))
    return Output(label=_LABELS[output.kind], text=text)


def _image(data: str, room: Room) -> Output:
    png = checked_png(data)
    if png is None:
        return Output(label="Figure", text="[An image is left out: it is not a PNG of at most 2 MiB.]")
    if len(png) > room.images:
        return Output(label="Figure", text="[An image is left out: a report shows at most 8 MiB of them.]")
    room.images -= len(png)
    return Output(label="Figure", image="data:image/png;base64," + base64.b64encode(png).decode("ascii"))


def checked_png(data: str) -> bytes | None:
    """The bytes of a PNG in base64; None if it is not one, is larger than 2 MiB, or would unfold to more than 25 million pixels."""
    if len(data) > MOST_IMAGE * 3 // 2:
        return None
    try:
        png = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(png) < 45 or len(png) > MOST_IMAGE or not png.startswith(_PNG) or png[12:16] != b"IHDR" or png[-8:-4] != b"IEND":
        return None
    width, height = struct.unpack(">II", png[16:24])
    return png if 0 < width * height <= _MOST_PIXELS else None
