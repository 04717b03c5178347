"""Submissions behind a link: GitHub, gists, Colab's links to either, and raw addresses on allowed hosts.

Fetching is a choice (`--allow-fetch`) and narrow: https, hosts on a list, public addresses, every redirect checked like the first link,
no cookies, no credentials, one size cap, one deadline. A Colab address is translated, never fetched: it serves a program, not the notebook.
"""

import ipaddress
import re
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urljoin, urlsplit

from grader.errors import InfrastructureError, NotGradable, NothingToGrade, UsageError
from grader.records import Submission
from grader.sources.common import display_path, holds_notebook, submission
from grader.words import counted

if TYPE_CHECKING:
    import httpx

HOSTS = frozenset({"github.com", "raw.githubusercontent.com", "gist.github.com", "gist.githubusercontent.com"})
COLAB = frozenset({"colab.research.google.com", "colab.sandbox.google.com", "githubtocolab.com"})
DRIVE = frozenset({"drive.google.com", "docs.google.com", "drive.usercontent.google.com"})
MAX_BYTES = 100_000_000
MAX_HOPS = 5
TIMEOUT_S = 20.0
"""For connecting and for each wait on the network."""
DEADLINE_S = 180.0
"""For one fetch, all hops together."""
_BY_HAND = "Download the notebook (in Colab: File, Download, Download .ipynb) and grade the file."


@dataclass(frozen=True, slots=True)
class Link:
    """A link translated to the address that serves the notebook's bytes."""

    url: str
    source: str  # url | github | gist | colab
    name: str


def is_link(reference: str) -> bool:
    """Whether a reference is an address (`scheme://…`) and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", reference) is not None


def fetch(reference: str, *, allow_fetch: bool, hosts: Sequence[str] = (), transport: "httpx.BaseTransport | None" = None) -> Submission:
    """Fetch the notebook behind a link; `hosts` as in `grader.sources.resolve`. `transport` replaces the network in tests.

    Raises: see `grader.sources.resolve`.
    """
    shown = display_path(reference)
    if not allow_fetch:
        raise UsageError(
            f"{shown}: this is a link, and nothing is fetched from the network unless asked. Add --allow-fetch, or give a file."
        )
    link = translate(reference)
    data = _download(link.url, hosts, transport)
    _check_body(data, shown)
    return submission(data, link.name, link.source)


def translate(reference: str) -> Link:
    """Turn a link as people copy it into the address of the notebook's bytes.

    Raises UsageError for what is no usable link, NothingToGrade for a link that leads to no single notebook (a repository's front page,
    a Google Drive file).
    """
    shown = display_path(reference)
    try:
        reference.encode()
        parts = urlsplit(reference)
        host = (parts.hostname or "").lower().removeprefix("www.")
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"{shown}: this is not a valid address ({error}). Copy the link again.") from error
    if parts.username is not None or parts.password is not None:
        raise UsageError("The link holds a user name or password; give it without them.")
    if parts.scheme.lower() not in {"http", "https"}:
        raise UsageError(f"{shown}: only https links are fetched; this one is {parts.scheme}. Give the https link, or download the file.")
    steps = [step for step in parts.path.split("/") if step]
    if host in DRIVE or (host in COLAB and steps[:1] == ["drive"]):
        raise NothingToGrade(f"{shown}: a Google Drive notebook can only be read by people it is shared with. {_BY_HAND}")
    if host in COLAB:
        return _colab(steps, parts.fragment, shown)
    if host == "github.com":
        return _github(steps, shown, "github")
    if host == "gist.github.com":
        return _gist(steps, parts.fragment, shown, "gist")
    source = {"raw.githubusercontent.com": "github", "gist.githubusercontent.com": "gist"}.get(host, "url")
    return Link(parts._replace(fragment="").geturl(), source, unquote(steps[-1]) if steps else host)


def _colab(steps: list[str], fragment: str, shown: str) -> Link:
    if steps[:1] == ["github"]:
        return _github(steps[1:], shown, "colab")
    if steps[:1] == ["gist"]:
        return _gist(steps[1:], "", shown, "colab")
    if len(steps) > 3 and steps[2] == "blob":  # githubtocolab.com mirrors GitHub's own paths
        return _github(steps, shown, "colab")
    inner = re.search(r"(?:^|&)fileId=(https?(?::|%3A)[^&]+)", fragment)
    if inner:
        link = translate(unquote(inner.group(1)))
        return Link(link.url, "colab", link.name)
    raise NothingToGrade(f"{shown}: this Colab link names no notebook on GitHub or in a gist. {_BY_HAND}")


def _github(steps: list[str], shown: str, source: str) -> Link:
    """`owner/repository/blob|raw/reference/path`."""
    if len(steps) < 5 or steps[2] not in {"blob", "raw", "blame", "edit"}:
        raise NothingToGrade(
            f"{shown}: a link to one notebook on GitHub was expected (…/blob/BRANCH/NAME.ipynb); this one leads elsewhere. "
            "Open the notebook there and copy its address."
        )
    owner, repository, _, *path = (quote(unquote(step), safe="") for step in steps)
    return Link(f"https://raw.githubusercontent.com/{owner}/{repository}/" + "/".join(path), source, unquote(steps[-1]))


def _gist(steps: list[str], fragment: str, shown: str, source: str) -> Link:
    """`user/id[/raw[/…]]`, `user/id/file` or `id`."""
    if fragment.startswith("file-"):
        raise NothingToGrade(
            f"{shown}: the link points at one file of a gist by an anchor, which names no address. "
            "Press that file's Raw button and give that link."
        )
    user, *rest = steps or [""]
    if not rest and re.fullmatch(r"[0-9a-f]{5,64}", user):
        return Link(f"https://gist.github.com/{user}/raw", source, f"gist-{user[:12]}.ipynb")
    if not rest or not re.fullmatch(r"[0-9a-f]{5,64}", rest[0]):
        raise NothingToGrade(
            f"{shown}: a link to one gist was expected (gist.github.com/USER/ID); this one leads elsewhere. "
            "Open the gist and copy its address."
        )
    path = [quote(unquote(step), safe="") for step in rest]
    if path[1:2] != ["raw"]:
        path.insert(1, "raw")
    name = unquote(path[-1]) if path[-1] != "raw" else f"gist-{rest[0][:12]}.ipynb"
    return Link(f"https://gist.githubusercontent.com/{quote(unquote(user), safe='')}/" + "/".join(path), source, name)


def _allow(url: str, hosts: Sequence[str]) -> bool:
    """Check an address against the allowed hosts; say whether private addresses are fine for it. Raises UsageError if it is not allowed."""
    shown = display_path(url)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise UsageError(f"{shown}: this is not a valid address ({error}). Copy the link again.") from error
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    if origin in {entry.lower().rstrip("/") for entry in hosts if "://" in entry}:
        return True
    if parts.scheme != "https":
        raise UsageError(f"{shown}: only https links are fetched; this one is {parts.scheme}. Give the https link, or download the file.")
    named = {entry.lower() for entry in hosts if "://" not in entry}
    if host not in HOSTS | named or port not in {None, 443}:
        raise UsageError(
            f"{shown}: links to {display_path(parts.netloc.rpartition('@')[2])} are not fetched "
            f"(allowed: {', '.join(sorted(HOSTS | named))}). {_BY_HAND}"
        )
    return False


def _download(url: str, hosts: Sequence[str], transport: "httpx.BaseTransport | None") -> bytes:
    """Follow redirects by hand, checking every hop, and read the last one's body."""
    import httpx  # noqa: PLC0415  (heavy; only a fetch pays for it)

    end = time.monotonic() + DEADLINE_S
    headers = {"User-Agent": "grade", "Accept": "application/x-ipynb+json, application/json, text/plain;q=0.9, */*;q=0.1"}
    try:
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, transport=transport, headers=headers) as client:
            for _ in range(MAX_HOPS + 1):
                private_ok = _allow(url, hosts)
                client.cookies.clear()
                with client.stream("GET", url) as response:
                    if not private_ok:
                        _check_peer(response, url)
                    if response.is_redirect:
                        url = urljoin(url, response.headers["location"])
                        continue
                    _check_status(response.status_code, url)
                    return _body(response, url, end)
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise InfrastructureError(f"{display_path(url)}: the network failed ({type(error).__name__}: {error}). Try again later.") from error
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{display_path(url)}: this is not a valid address ({error}). Copy the link again.") from error
    raise InfrastructureError(f"{display_path(url)}: more than {MAX_HOPS} redirects in a row. {_BY_HAND}")


def _check_peer(response: "httpx.Response", url: str) -> None:
    """Refuse an answer that came from a private address (a name that resolves into this network)."""
    host = urlsplit(url).hostname or ""
    if urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # the peer is the proxy; where it may connect to is its own rule
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if peer and not ipaddress.ip_address(str(peer[0]).partition("%")[0]).is_global:
        raise UsageError(f"{display_path(url)}: the host's address is private, and links into this network are not fetched. {_BY_HAND}")


def _check_status(status: int, url: str) -> None:
    shown = display_path(url)
    if status in {404, 410}:
        raise NothingToGrade(
            f"{shown}: nothing is there (HTTP {status}). "
            "The link may be mistyped, deleted or private; check it in a private browser window."
        )
    if status in {401, 403}:
        raise NothingToGrade(
            f"{shown}: the host refuses access (HTTP {status}). Make the notebook public, or download it and grade the file."
        )
    if status == 429 or status >= 500:
        raise InfrastructureError(f"{shown}: the host could not answer (HTTP {status}). Try again later.")
    if status != 200:
        raise InfrastructureError(f"{shown}: HTTP 200 was expected, {status} was received. {_BY_HAND}")


def _body(response: "httpx.Response", url: str, end: float) -> bytes:
    """Read the body in pieces, within the size cap (counted unpacked) and the deadline."""
    pieces = bytearray()
    for piece in response.iter_bytes(65_536):
        pieces += piece
        if len(pieces) > MAX_BYTES:
            raise NotGradable(
                f"{display_path(url)}: more than {MAX_BYTES // 10**6} MB were received. Clear the notebook's outputs and submit it again."
            )
        if time.monotonic() > end:
            raise InfrastructureError(f"{display_path(url)}: the download took longer than {DEADLINE_S:.0f} s. Try again later.")
    return bytes(pieces)


def _check_body(data: bytes, shown: str) -> None:
    """Tell a notebook from the page around one."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<script")):
        page = "a login page" if re.search(rb"sign[ -]?in|log[ -]?in|password|accounts\.google", data[:200_000].lower()) else "a web page"
        raise NotGradable(
            f"{shown}: a notebook was expected; {page} (HTML) was received. Give the link behind the Raw button, or make the notebook public."
        )
    if start.startswith(b"version https://git-lfs"):
        raise NotGradable(
            f"{shown}: a notebook was expected; a Git LFS pointer was received. Download the notebook itself and grade the file."
        )
    if not holds_notebook(data):
        raise NotGradable(
            f"{shown}: a notebook was expected; the download ({counted(len(data), 'byte')}) is not one. Check where the link leads."
        )
