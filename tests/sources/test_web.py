"""Submissions behind a link: translation, the allow-list, every way that a fetch can end."""

import http.server
import threading

import httpx
import pytest

from grader.errors import InfrastructureError, NotGradable, NothingToGrade, UsageError
from grader.sources import resolve, web

BYTES = b'{"cells": [], "nbformat": 4}'
RAW = "https://raw.githubusercontent.com/o/r/main/a.ipynb"


def fetch(handler, reference=RAW, **more):
    return web.fetch(reference, allow_fetch=True, transport=httpx.MockTransport(handler), **more)


def answer(body=BYTES, status=200, **headers):
    return lambda request: httpx.Response(status, content=body, headers=headers)


@pytest.mark.parametrize(
    ("link", "url", "source", "name"),
    [
        (
            "https://github.com/o/r/blob/main/x/a%20b.ipynb",
            "https://raw.githubusercontent.com/o/r/main/x/a%20b.ipynb",
            "github",
            "a b.ipynb",
        ),
        (
            "https://www.github.com/o/r/blob/main/a.ipynb?raw=true#L1",
            "https://raw.githubusercontent.com/o/r/main/a.ipynb",
            "github",
            "a.ipynb",
        ),
        ("https://github.com/o/r/raw/main/a.ipynb", "https://raw.githubusercontent.com/o/r/main/a.ipynb", "github", "a.ipynb"),
        (RAW, RAW, "github", "a.ipynb"),
        (
            "https://colab.research.google.com/github/o/r/blob/main/a.ipynb#scrollTo=x",
            "https://raw.githubusercontent.com/o/r/main/a.ipynb",
            "colab",
            "a.ipynb",
        ),
        ("https://githubtocolab.com/o/r/blob/main/a.ipynb", "https://raw.githubusercontent.com/o/r/main/a.ipynb", "colab", "a.ipynb"),
        (
            "https://colab.research.google.com/gist/u/0123456789abcdef/a.ipynb",
            "https://gist.githubusercontent.com/u/0123456789abcdef/raw/a.ipynb",
            "colab",
            "a.ipynb",
        ),
        (
            "https://colab.research.google.com/#fileId=https%3A//github.com/o/r/blob/main/a.ipynb",
            "https://raw.githubusercontent.com/o/r/main/a.ipynb",
            "colab",
            "a.ipynb",
        ),
        (
            "https://gist.github.com/u/0123456789abcdef",
            "https://gist.githubusercontent.com/u/0123456789abcdef/raw",
            "gist",
            "gist-0123456789ab.ipynb",
        ),
        ("https://gist.github.com/0123456789abcdef", "https://gist.github.com/0123456789abcdef/raw", "gist", "gist-0123456789ab.ipynb"),
        (
            "https://gist.githubusercontent.com/u/0123/raw/c/a.ipynb",
            "https://gist.githubusercontent.com/u/0123/raw/c/a.ipynb",
            "gist",
            "a.ipynb",
        ),
        ("https://x.example/a.ipynb", "https://x.example/a.ipynb", "url", "a.ipynb"),
    ],
)
def test_links_as_people_copy_them(link, url, source, name):
    assert web.translate(link) == web.Link(url, source, name)


@pytest.mark.parametrize(
    "link",
    [
        "https://colab.research.google.com/drive/1abc?usp=sharing",
        "https://drive.google.com/file/d/1abc/view",
        "https://github.com/o/r",
        "https://github.com/o/r/tree/main/x",
        "https://gist.github.com/u",
        "https://gist.github.com/u/0123456789abcdef#file-a-ipynb",
        "https://colab.research.google.com/notebooks/intro.ipynb",
        "https://colab.research.google.com/#create=true",
    ],
)
def test_links_to_no_single_notebook(link):
    with pytest.raises(NothingToGrade) as caught:
        resolve(link, allow_fetch=True)
    assert "ownload" in str(caught.value) or "address" in str(caught.value)


def test_a_path_cannot_leave_the_repository():
    assert (
        web.translate("https://github.com/o/r/blob/main/a%2Fb%3Fc.ipynb").url
        == "https://raw.githubusercontent.com/o/r/main/a%2Fb%3Fc.ipynb"
    )


def test_nothing_is_fetched_unless_asked():
    with pytest.raises(UsageError, match="--allow-fetch"):
        resolve(RAW)


def test_a_notebook_arrives():
    found = fetch(answer())
    assert (found.data, found.file, found.source) == (BYTES, "a.ipynb", "github")


@pytest.mark.parametrize(
    "link",
    [
        "http://github.com/o/r/blob/main/a.ipynb",
        "https://u:p@github.com/o/r/blob/main/a.ipynb",
        "https://x.example/a.ipynb",
        "ftp://github.com/a",
        "file:///etc/passwd",
        "https://raw.githubusercontent.com:444/a",
        "https://[::1",
        "https://169.254.169.254/latest",
        "https://github.com@evil.example/a",
        "http://x.example/a",
    ],
)
def test_what_is_not_fetched(link):
    def never(request):
        raise AssertionError(request.url)

    if link.startswith("http://github.com"):
        assert fetch(answer(), link).source == "github"  # rewritten to https on the raw host
        return
    with pytest.raises(UsageError):
        fetch(never, link)


def test_further_hosts_and_origins():
    assert fetch(answer(), "https://x.example/a.ipynb", hosts=["x.example"]).source == "url"
    assert fetch(answer(), "http://x.example:81/a.ipynb", hosts=["http://x.example:81"]).source == "url"
    with pytest.raises(UsageError, match="only https"):
        fetch(answer(), "http://x.example/a.ipynb", hosts=["x.example"])
    with pytest.raises(UsageError, match="only https"):
        fetch(answer(), "http://x.example:82/a.ipynb", hosts=["http://x.example:81"])


def test_redirects_are_followed_and_checked_by_hand():
    def handler(request):
        if request.url.host == "gist.github.com":
            assert "cookie" not in request.headers
            return httpx.Response(302, headers={"location": "https://gist.githubusercontent.com/u/0123/raw/c/a.ipynb", "set-cookie": "a=b"})
        assert "cookie" not in request.headers
        return httpx.Response(200, content=BYTES)

    assert fetch(handler, "https://gist.github.com/0123456789").data == BYTES


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/a", "http://raw.githubusercontent.com/a", "http://127.0.0.1/a", "file:///etc/passwd", "//evil.example/"],
)
def test_redirects_lead_nowhere_else(target):
    def handler(request):
        assert request.url.host == "raw.githubusercontent.com"
        assert request.url.scheme == "https"
        return httpx.Response(302, headers={"location": target})

    with pytest.raises(UsageError):
        fetch(handler)


def test_redirects_end():
    with pytest.raises(InfrastructureError, match="more than 5 redirects"):
        fetch(lambda request: httpx.Response(302, headers={"location": "/again"}))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, NothingToGrade),
        (410, NothingToGrade),
        (403, NothingToGrade),
        (429, InfrastructureError),
        (500, InfrastructureError),
        (503, InfrastructureError),
        (204, InfrastructureError),
    ],
)
def test_status_codes(status, error):
    with pytest.raises(error, match=str(status)):
        fetch(answer(status=status))


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("odd")])
def test_a_failing_network_is_infrastructure(failure):
    def handler(request):
        raise failure

    with pytest.raises(InfrastructureError, match="the network failed"):
        fetch(handler)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>Sign in - Google Accounts</title>", "a login page"),
        (b"\n<html><body>hello</body>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"", r"the download \(0 bytes\) is not one"),
        (b"[]", "is not one"),
        (b'{"a": 1}', "is not one"),
        (b'{"cells": [', "is not one"),
        (b"{" * 100_000, "is not one"),
    ],
)
def test_what_comes_must_be_a_notebook(body, words):
    with pytest.raises(NotGradable, match=words):
        fetch(answer(body))


def test_too_large(monkeypatch):
    monkeypatch.setattr(web, "MAX_BYTES", 10)
    with pytest.raises(NotGradable, match="Clear the notebook's outputs"):
        fetch(answer())


def test_too_slow(monkeypatch):
    monkeypatch.setattr(web, "DEADLINE_S", -1.0)
    with pytest.raises(InfrastructureError, match="took longer"):
        fetch(answer())


# ------------------------------------------------------------------ over a real connection


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = {
            "/a.ipynb": (200, {}, BYTES),
            "/moved.ipynb": (302, {"Location": "/a.ipynb"}, b""),
            "/away.ipynb": (302, {"Location": "https://evil.example/a.ipynb"}, b""),
        }.get(self.path, (404, {}, b"no"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_real_server(server):
    found = resolve(f"{server}/a.ipynb", allow_fetch=True, hosts=[server])
    assert (found.data, found.source, found.file) == (BYTES, "url", "a.ipynb")
    assert resolve(f"{server}/moved.ipynb", allow_fetch=True, hosts=[server]).data == BYTES
    with pytest.raises(NothingToGrade, match="HTTP 404"):
        resolve(f"{server}/none.ipynb", allow_fetch=True, hosts=[server])
    with pytest.raises(UsageError, match=r"evil\.example"):
        resolve(f"{server}/away.ipynb", allow_fetch=True, hosts=[server])


def test_a_real_server_that_is_not_allowed(server):
    with pytest.raises(UsageError):
        resolve(f"{server}/a.ipynb", allow_fetch=True)
    with pytest.raises(UsageError):
        resolve(f"{server}/a.ipynb", allow_fetch=True, hosts=["127.0.0.1"])


def test_a_real_server_at_a_private_address(server, monkeypatch):
    monkeypatch.setattr(web, "_allow", lambda url, hosts: False)  # as if the name were allowed and resolved into this network
    with pytest.raises(UsageError, match="the host's address is private"):
        resolve(f"{server}/a.ipynb", allow_fetch=True)


def test_nobody_listens(server):
    port = int(server.rsplit(":", 1)[1])
    origin = f"http://127.0.0.1:{port + 1 if port < 65_000 else port - 1}"
    with pytest.raises(InfrastructureError, match="the network failed"):
        resolve(f"{origin}/a.ipynb", allow_fetch=True, hosts=[origin])
