"""The last look at a finished page: it must hold nothing that can run, load, link out or restyle.

A safeguard behind the escaping, not instead of it: if this ever finds something, a template or a library is broken and no page is better.
"""

import re
from html.parser import HTMLParser

from grader.errors import GraderError

_TAGS = frozenset(
    """html head meta title style body header main footer nav section article div p h1 h2 h3 h4 h5 h6 a span strong em b i s code pre br hr
    ul ol li dl dt dd table caption thead tbody tr th td details summary figure figcaption img blockquote
    svg desc g line polyline polygon circle rect text""".split(),  # noqa: SIM905  a list of words is read more easily
)
_ATTRIBUTES = frozenset(
    """class id lang charset name content http-equiv scope role tabindex href src alt width height open aria-label aria-labelledby
    aria-describedby aria-hidden viewbox x y x1 y1 x2 y2 cx cy r points text-anchor start""".split(),  # noqa: SIM905
)
_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_FRAGMENT = re.compile(r"#[A-Za-z0-9_-]+")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.styles = 0
        self.metas = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        _require(tag in _TAGS, f"the element <{tag[:40]}>")
        self.styles += tag == "style"
        self.metas += tag == "meta"
        for name, value in attrs:
            _require(name in _ATTRIBUTES, f"the attribute {name[:40]!r} of <{tag}>")
            if name == "href":
                _require(_FRAGMENT.fullmatch(value or "") is not None, "a link that leads out of the page")
            if name == "src":
                _require(_IMAGE.fullmatch(value or "") is not None, "an image that is not part of the page")

    def handle_comment(self, data: str) -> None:
        _require(not data, "a comment")

    def handle_pi(self, data: str) -> None:
        _require(not data, "a processing instruction")

    def unknown_decl(self, data: str) -> None:
        _require(not data, "a declaration")


def _require(fine: bool, found: str) -> None:
    if not fine:
        raise GraderError(
            f"report.html: expected a page that can do nothing by itself; found {found}. Report this as a fault of the grader."
        )


def check(html: str, metas: int) -> None:
    """Read the whole page, which must have one style sheet and exactly `metas` meta elements.

    Raises:
        GraderError: the page holds an element or attribute not on the list, a link or an image from elsewhere, or a comment.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    _require(reader.styles == 1, "more than one style sheet, or none")
    _require(reader.metas == metas, "a meta element that is not the template's")
