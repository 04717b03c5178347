"""A notebook's cells as HTML, made by nbconvert: templates and preprocessors are its own, Markdown and code go through nh3.

The notebook is the student's, and this process does nothing but draw it: in a box, with limits. What takes long, nests deeply or is longer than any
exercise's is shown as it is written. What comes out is read once more outside (`grader/reports/inert.py`).
"""

import functools
import json
import re
import signal
import time
from html import escape

import nbformat
import nh3
from nbconvert.exporters.html import HTMLExporter
from nbconvert.filters.highlight import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.token import STANDARD_TYPES

TEMPLATE = __file__.replace("page.py", "cells.html.j2")
PIECE = 500_000
"""Characters of HTML in a frame."""
MOST_SOURCE = 20_000
"""Characters of a cell or answer that are highlighted or rendered; a longer one is shown plainly, up to ten times as many."""
MOST_MARKUP, MOST_PLAIN = 4_000_000, 2_000_000
"""Characters that all of them may become, and that are shown plainly; an exercise has 50,000."""
MOST_CELLS = 2_000
MOST_DEEP = 50
"""Elements inside each other that a cell's Markdown may become."""
PATIENCE_S, ALTOGETHER_S = 2.0, 10.0
"""Seconds of processor time for one cell, and after which nothing more is rendered."""

_TAGS = set(
    "p h1 h2 h3 h4 h5 h6 strong em b i s del sub sup code pre br hr ul ol li dl dt dd blockquote table thead tbody tr th td div span".split()  # noqa: SIM905
)
_CLASSES = {"div": {"highlight"}, "span": set(STANDARD_TYPES.values()) - {""}}
_TAG = re.compile(r"<(/?)([a-z0-9]+)[^>]*>")
_HEADING = re.compile(r"(</?h)([1-6])>")


class TooLong(BaseException):
    """A cell took its time to be rendered."""


class Renderer(IPythonRenderer):
    """nbconvert's, but for pictures and links: what lies elsewhere is named."""

    def image(self, text, url, title=None):
        return f"[picture: {text}]" if text else "[picture]"

    def link(self, text, url, title=None):
        return text if text == escape(url) or url.startswith("#") else f"{text} ({escape(url)})"


def clean(html):
    """`html` with text's elements and Pygments' classes alone: no address, no identifier, no style."""
    return nh3.clean(html, tags=_TAGS, attributes={}, allowed_classes=_CLASSES)


def depth(html):
    """How many elements stand inside each other in clean HTML."""
    deep = most = 0
    for close, name in _TAG.findall(html):
        if name not in ("br", "hr"):
            deep += -1 if close else 1
            most = max(most, deep)
    return most


class Room:
    """How much may still be shown, over a whole notebook and its answers: without it a notebook of 8 MiB takes minutes and makes a page of 200 MB."""

    def __init__(self):
        self._markup, self._plain, self._seconds = MOST_MARKUP, MOST_PLAIN, ALTOGETHER_S
        signal.signal(signal.SIGVTALRM, self._stop)

    def _stop(self, *_):
        raise TooLong

    def markdown(self, source):
        return self._shown(source, lambda: MarkdownWithMath(renderer=Renderer(escape=False, exclude_anchor_links=True)).render(source))

    def code(self, source, metadata=None):
        return self._shown(source, lambda: Highlight2HTML(pygments_lexer="ipython3")(source, metadata=metadata))

    def _shown(self, source, render):
        """`source` by `render`, while there is room for it; else plainly. Headings stand below those of the page."""
        if len(source) > MOST_SOURCE or self._markup <= 0 or self._seconds <= 0:
            return self.plain(source)
        began = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, min(PATIENCE_S, self._seconds), 0.2)  # again, should the first be swallowed
            html = clean(render())
        except (Exception, TooLong):
            html = None
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self._seconds -= time.process_time() - began
        if html is None or depth(html) > MOST_DEEP:
            return self.plain(source)
        self._markup -= len(html)
        return _HEADING.sub(lambda found: f"{found[1]}{min(6, int(found[2]) + 3)}>", html)

    def plain(self, source):
        """`source` as it is written, while there is room for it; what is cut is said in words."""
        most = min(10 * MOST_SOURCE, self._plain)
        self._plain -= min(len(source), most)
        cut = f"\n[… {len(source) - most:,} more characters are not shown]" if len(source) > most else ""
        return f"<pre><code>{escape(source[:most], quote=False)}{cut}</code></pre>"


@functools.cache
def _exporter():
    return HTMLExporter(
        template_name="basic", template_file=TEMPLATE, sanitize_html=True, exclude_input_prompt=True, exclude_output_prompt=True
    )


def warm():
    """Draw a notebook once for all: compiling the templates and Pygments' expressions takes longer than a notebook."""
    metadata = {"grader": {"cell": 0, "status": "ok"}}
    code = {"cell_type": "code", "source": "1 + 1  # two", "outputs": [], "execution_count": None, "metadata": metadata}
    text = {"cell_type": "markdown", "source": "**a** $b$ `c`", "metadata": metadata}
    drawn(json.dumps({"cells": [code | {"id": "a"}, text | {"id": "b"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), [])


def drawn(text, answers):
    """The cells of a notebook (JSON of nbformat 4) as HTML, and its answers (Markdown)."""
    room = Room()
    notebook = nbformat.from_dict(json.loads(text))
    more = len(notebook.cells) - MOST_CELLS
    del notebook.cells[MOST_CELLS:]
    notebook.nbformat_minor = 4  # without identifiers: the template gives each heading one
    for cell in notebook.cells:
        del cell["id"]
    exporter = _exporter()
    exporter.register_filter("markdown2html", room.markdown)
    exporter.register_filter("highlight_code", room.code)
    exporter.register_filter("clean_html", clean)
    exporter.register_filter("plain", room.plain)
    exporter.register_filter("strip_files_prefix", lambda html: html)  # its time grows with the square, too
    html = [room.markdown(answer) for answer in answers]
    page, _ = super(HTMLExporter, exporter).from_notebook_node(notebook)  # its own ends in BeautifulSoup, whose time grows with the square
    return page + (f"<p>{more:,} more cells are not shown.</p>" if more > 0 else ""), html


def main(writer, spec):
    """Draw `spec["notebook"]` and `spec["answers"]`; answer in frames `cells` (in pieces), `answer` and `done`."""
    cells, answers = drawn(spec["notebook"], spec["answers"])
    for start in range(0, len(cells), PIECE):
        writer.send("cells", cells[start : start + PIECE])
    for answer in answers:
        writer.send("answer", answer)
    writer.send("done", "")
