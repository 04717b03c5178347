"""The last look at a finished page: it must hold nothing that can run, load, link out or restyle.

A safeguard behind the escaping, not instead of it: if this ever finds something, a template or a library is broken and no page is better.
"""

import re
from html.parser import HTMLParser

from grader.errors import GraderError

_TAGS = frozenset(
    """html head meta title style body header main footer nav section a h1 h2 caption details summary figure figcaption
    svg desc g line polyline polygon circle rect text""".split()  # noqa: SIM905  a list of words is read more easily
)
_PART = frozenset(
    """div p h3 h4 h5 h6 span strong em b i s del sub sup code pre br hr ul ol li dl dt dd table thead tbody tr th td img blockquote""".split()  # noqa: SIM905
)
"""Elements that may stand in a part of a page that was made elsewhere, too."""
_VOID = frozenset({"br", "hr", "img", "meta"})
_MOST_DEEP, _METAS = 100, 4
_ATTRIBUTES = frozenset(
    """class id lang charset name content http-equiv scope role tabindex href src alt width height open aria-label aria-labelledby
    aria-describedby aria-hidden viewbox x y x1 y1 x2 y2 cx cy r points text-anchor start""".split()  # noqa: SIM905
)
_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_FRAGMENT = re.compile(r"#[A-Za-z0-9_-]+")


class _Reader(HTMLParser):
    def __init__(self, tags: frozenset[str], ids: str | None = None) -> None:
        super().__init__(convert_charrefs=True)
        self.styles = 0
        self.metas = 0
        self.open: list[str] = []
        self._tags, self._id, self._ids = tags, ids, set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        _require(tag in self._tags, f"the element <{tag[:40]}>")
        if tag not in _VOID:
            self.open.append(tag)
            _require(len(self.open) <= _MOST_DEEP, "elements too deep inside each other")
        self.styles += tag == "style"
        self.metas += tag == "meta"
        for name, value in attrs:
            _require(name in _ATTRIBUTES, f"the attribute {name[:40]!r} of <{tag}>")
            if name == "id" and self._id is not None:
                _require(
                    re.fullmatch(self._id, value or "") is not None and value not in self._ids, "an identifier that is not the page's own"
                )
                self._ids.add(value or "")
            if name == "href":
                _require(_FRAGMENT.fullmatch(value or "") is not None, "a link that leads out of the page")
            if name == "src":
                _require(_IMAGE.fullmatch(value or "") is not None, "an image that is not part of the page")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            _require(bool(self.open) and self.open.pop() == tag, f"an end </{tag[:40]}> of nothing")

    def handle_comment(self, data: str) -> None:
        _require(not data, "a comment")

    def handle_pi(self, data: str) -> None:
        _require(not data, "a processing instruction")

    def unknown_decl(self, data: str) -> None:
        _require(not data, "a declaration")


def _require(fine: bool, found: str) -> None:
    if not fine:
        raise GraderError(f"An HTML page: expected one that can do nothing by itself; found {found}. Report this as a fault of the grader.")


def check(html: str) -> None:
    """Read the whole page, which must have one style sheet and the meta elements of `head.html.j2`.

    Raises:
        GraderError: the page holds an element or attribute not on the list, a link or an image from elsewhere, a comment, or an element that does not end.
    """
    reader = _read(html, _Reader(_TAGS | _PART))
    _require(reader.styles == 1, "more than one style sheet, or none")
    _require(reader.metas == _METAS, "a meta element that is not the template's")


def check_part(html: str) -> None:
    """Read what is to become part of a page: text and its pictures, whose only identifiers are those of cells. Raises GraderError as `check`."""
    _read(html, _Reader(_PART, r"cell-\d+"))


def _read(html: str, reader: _Reader) -> _Reader:
    reader.feed(html)
    reader.close()
    _require(not reader.open, "an element that does not end")
    return reader
