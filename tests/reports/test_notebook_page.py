"""The notebook as it ran: `executed.ipynb`, and the page that nbconvert draws of it, whatever the notebook says."""

import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace

import nbformat
import pytest
from harness import REQUIRE_ALL
from samples import SAMPLES, bad, drawn, good, png

from grader import pipeline, sandbox
from grader.errors import GraderError
from grader.records import Cell, CellError, CellOutput, CellRun, Notebook, Page, StoredOutput
from grader.reports import as_html, as_notebook, as_page, check, files
from grader.reports.inside import page as drawing
from grader.sandbox.bubblewrap import Bubblewrap
from grader.sandbox.warm import Warm

CANARY = "CANARY"
"""Stands for the address of a server that must not be asked."""
MARKUP = [
    "<script>document.title='ran';fetch('CANARY/fetch')</script>",
    "<img src=CANARY/img.png onerror=\"document.title='ran'\">",
    "![x](CANARY/markdown.png) [x](CANARY/link) <CANARY/auto> [x](javascript:document.title='ran')",
    "![x](attachment:missing.png) ![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)",
    "<svg onload=\"document.title='ran'\"><image href='CANARY/svg.png'/><use href='CANARY/use.svg#x'/></svg>",
    "<style>@import url(CANARY/import.css); body{background:url(CANARY/style.png)}</style>",
    "<p style='background:url(CANARY/inline.png)'>x</p>",
    "<meta http-equiv=refresh content='0;url=CANARY/refresh'><base href='CANARY/'><link rel=stylesheet href=CANARY/link.css>",
    "<form action=CANARY/form><input name=a autofocus onfocus=\"document.title='ran'\"></form>",
    "<iframe src=CANARY/frame></iframe><iframe srcdoc=\"<script>parent.document.title='ran'</script>\"></iframe>",
    "<object data=CANARY/object></object><embed src=CANARY/embed><video src=CANARY/video poster=CANARY/poster></video>",
    "<a href=CANARY/ping ping=CANARY/ping>x</a><table background=CANARY/table.png><tr><td>x</td></tr></table>",
    "<math><mtext></table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=document.title='ran'&gt;\">",
    "</div></div></section></main></body></html><h1 id=result class=fail>100 of 100 points</h1>",
    "$\\require{html}\\href{javascript:document.title='ran'}{x}$ <script type=application/vnd.jupyter.widget-state+json>{}</script>",
    "<details open ontoggle=\"document.title='ran'\"><summary>x</summary></details><template><script>1</script></template>",
    "```html\n</pre><script>document.title='ran'</script>\n```",
    "<!-- <!-- --> <? ?> <![CDATA[ ]]> <plaintext><noscript><xmp>",
]


def notebook(sources=MARKUP, kinds=("markdown", "code", "raw")):
    """Every source as a cell of every kind; the code cells print it in every way, too."""
    outputs = [tuple(CellOutput(kind=kind, data=source) for kind in ("stdout", "stderr", "text", "error", "png")) for source in sources]
    cells = [(kind, source, shown) for source, shown in zip(sources, outputs, strict=True) for kind in kinds]
    read = Notebook(cells=tuple(Cell(index=index, kind=kind, source=source) for index, (kind, source, _) in enumerate(cells)))
    runs = tuple(
        CellRun(index=index, status="error", error=CellError(type=source, message=source), outputs=shown)
        for index, (kind, source, shown) in enumerate(cells)
        if kind == "code"
    )
    report = replace(good().report, answers=tuple(replace(good().report.answers[0], text=source) for source in sources))
    return replace(good(), report=report, notebook=read, cells=runs)


# ------------------------------------------------------------------ executed.ipynb


@pytest.mark.parametrize("make", [*SAMPLES.values(), notebook], ids=[*SAMPLES, "hostile"])
def test_the_executed_notebook_is_valid(make):
    text = as_notebook.render(make())
    nbformat.validate(json.loads(text))
    assert nbformat.reads(text, as_version=4).nbformat == 4


def test_it_holds_the_outputs_of_this_run_in_order_and_none_that_were_stored():
    stored = (StoredOutput(kind="stream", text="stored 99 %"),)
    cells = [
        Cell(index=0, kind="markdown", source="# A"),
        *(Cell(index=i, kind="code", source=f"x = {i}", outputs=stored) for i in (1, 2, 3)),
    ]
    shown = tuple(CellOutput(kind=kind, data=data) for kind, data in (("stdout", "a\n"), ("png", png()), ("text", "7"), ("stderr", "b")))
    failed = CellRun(index=3, status="error", error=CellError(type="E", message="why"), outputs=(CellOutput(kind="error", data="E: why"),))
    runs = (CellRun(index=1, status="ok", outputs=shown), CellRun(index=2, status="skipped"), failed)
    made = json.loads(as_notebook.render(replace(good(), notebook=Notebook(cells=tuple(cells)), cells=runs)))["cells"]
    assert [cell.get("execution_count") for cell in made] == [None, 1, None, 2]
    assert [cell["source"] for cell in made] == ["# A", "x = 1", "x = 2", "x = 3"]
    assert [output["output_type"] for output in made[1]["outputs"]] == ["stream", "display_data", "display_data", "stream"]
    assert made[1]["outputs"][1]["data"] == {"image/png": png()}
    assert made[2]["outputs"] == []
    assert made[3]["outputs"] == [{"output_type": "error", "ename": "E", "evalue": "why", "traceback": ["E: why"]}]
    assert "stored" not in json.dumps(made)


def test_one_format_is_both_files():
    assert check(["notebook", "json"]) == ("notebook", "page", "json")
    assert list(files(good(), ["notebook"])) == ["executed.ipynb", "notebook.html", "report.json"]


# ------------------------------------------------------------------ the page


@pytest.mark.parametrize("source", MARKUP)
def test_no_markup_of_a_notebook_gets_into_its_page(source):
    executed = drawn(notebook([source]))
    for html in (executed.page.cells, *executed.page.answers):
        assert set(re.findall(r'\s([a-z-]+)="', re.sub(r">[^<]*<", "><", html))) <= {"class", "id", "aria-hidden"}
        assert not re.search(r"<(?!/?(div|p|span|pre|code|h3|h4|table|thead|tbody|tr|th|td|strong|em|br|hr)\b)", html)
    assert executed.page.cells.count('class="cell-head"') == 3
    as_html.render(executed)
    as_page.render(executed)


def test_markdown_keeps_what_is_text():
    source = "# A\n\n*b* **c** `d` [e](https://f.example) ![g](h.png)\n\n| i |\n|---|\n| j |\n\n<center>k</center> <font color=red>l</font>"
    html = drawn(notebook([source], ("markdown",))).page.cells
    for part in ("<h4>A</h4>", "<em>b</em> <strong>c</strong> <code>d</code> e (https://f.example) [picture: g]", "<td>j</td>", "k", "l"):
        assert part in html


@pytest.mark.parametrize(
    "source",
    ["<b>" * 3000, "> " * 3000 + "x", "\n".join("  " * depth + "- x" for depth in range(300)), "<table><tr><td>" * 200, "*a " * 6000],
    ids=["elements", "quotes", "lists", "tables", "stars"],
)
def test_what_nests_deeply_or_takes_long_is_shown_as_it_is_written(source):
    executed = drawn(notebook([source], ("markdown",)))
    assert drawing.depth(executed.page.cells) < 60
    assert source.split("\n")[0].replace("<", "&lt;").replace(">", "&gt;")[:200] in executed.page.cells.replace("</code>", "")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["[", "a.b", "\\begin{a}"])
def test_a_hostile_notebook_is_drawn_within_half_of_its_limits(source):
    """A whole notebook of it, of processor time: what the library has that grows with the square is cut off or left out."""
    began = time.process_time()
    cells = (source * 20_000)[:19_990]
    drawn(notebook([cells] * 12, ("markdown", "code")))
    assert time.process_time() - began < pipeline.DRAWING.cpu_s / 2


def test_a_long_notebook_is_cut_and_says_so():
    cells = tuple(Cell(index=index, kind="raw", source="x") for index in range(2500))
    assert "500 more cells are not shown." in drawn(replace(good(), notebook=Notebook(cells=cells), cells=())).page.cells
    huge = Notebook(cells=(Cell(index=0, kind="code", source="y = 1\n" * (8 << 17)),))
    lines = (CellRun(index=0, status="ok", outputs=(CellOutput(kind="stdout", data="line\n" * 100_000),)),)
    html = as_page.render(drawn(replace(good(), notebook=huge, cells=lines)))
    assert len(html) < 1_000_000
    assert html.count("more characters are not shown]") == 2


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [("cells", "<p>x</p>")],
        [("cells", 7), ("done", "")],
        [("other", ""), ("done", "")],
        *(
            [("cells", html), ("done", "")]
            for html in ("<script>1</script>", "<p onclick=a>x</p>", "<a href='//a'>x</a>", "<p>x", "</section>")
        ),
        *([("answer", html), ("done", "")] for html in ("<h1>x</h1>", "<p id=result>x</p>", "<div>" * 200 + "</div>" * 200, "<!-- x -->")),
        [("cells", "<h3 id=cell-1>x</h3>" * 2), ("done", "")],
    ],
)
def test_an_answer_of_the_box_that_can_act_is_refused(frames):
    with pytest.raises(GraderError):
        as_notebook.page(frames)


# ------------------------------------------------------------------ in its box


@pytest.mark.slow
def test_in_the_box_the_same_is_drawn_and_in_a_warm_one():
    assert pipeline.drawn(bad(), sandbox.choose()).page == drawn(bad()).page
    if not isinstance(sandbox.choose(), Bubblewrap):
        pytest.skip("no bubblewrap")
    with Warm(sandbox.choose(), sandbox.Job(program=as_notebook.PROGRAM, module="page")) as warm:
        for executed in (good(), bad(), notebook()):
            assert pipeline.drawn(executed, warm).page == drawn(executed).page
        assert not warm.lack
        assert warm.replaced == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "ending"),
    [
        ({"wall_s": 0.3}, "timeout"),
        ({"memory_mib": 40}, "memory"),
        ({"cpu_s": 1}, "killed"),
        ({"frames_mib": 0}, "output"),
        ({"data_mib": 8}, "killed"),
    ],
    ids=["time", "memory", "processor", "records", "allocation"],
)
def test_a_page_that_cannot_be_drawn_costs_nothing_and_says_why(monkeypatch, limits, ending):
    monkeypatch.setattr(pipeline, "DRAWING", replace(pipeline.DRAWING, **limits))
    slow = notebook(["a.b" * 6000] * 2, ("code",))
    executed = pipeline.drawn(slow, sandbox.choose())
    assert executed.report == slow.report
    assert f"Drawing it was ended ({ending})" in executed.page.fault
    for html in (as_html.render(executed), as_page.render(executed)):
        assert f"The notebook cannot be shown. Drawing it was ended ({ending})" in html
        assert "This costs no points." in html
    nbformat.validate(json.loads(as_notebook.render(executed)))


def test_a_machine_without_a_box_costs_nothing_either():
    class Lacking:
        name = "lacking"

        def start(self, job, limits):
            raise OSError(12, "Cannot allocate memory")

    assert pipeline.drawn(good(), Lacking()).page == Page(fault="Drawing it failed (OSError).")


def test_the_grader_itself_imports_no_nbconvert():
    code = "import sys, grader.pipeline, grader.reports.as_notebook, grader.reports.as_page; print({'nbconvert', 'nbformat'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# ------------------------------------------------------------------ in a browser


@pytest.fixture
def canary():
    """A server that says who asked for what."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def opened(path):
    """The page's elements as Chromium has them after its scripts."""
    line = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={path.parent}/profile", "--timeout=3000"]
    done = subprocess.run([*line, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium") and not REQUIRE_ALL, reason="no Chromium")
def test_in_a_browser_nothing_runs_and_nothing_is_asked_for(tmp_path, canary):
    address, asked = canary
    hostile = [source.replace(CANARY, address) for source in MARKUP]
    control = tmp_path / "control.html"
    control.write_text("<!DOCTYPE html><title>still</title>" + "\n".join(hostile[:3]), encoding="utf-8")
    assert "<title>ran</title>" in opened(control)
    assert "/fetch" in asked
    assert "/img.png" in asked
    asked.clear()
    executed = pipeline.drawn(notebook(hostile), sandbox.choose())
    for module in (as_page, as_html):
        path = tmp_path / module.FILENAME
        path.write_text(module.render(executed), encoding="utf-8")
        shown = opened(path)
        assert "submission.ipynb" in re.search(r"<title>(.*?)</title>", shown)[1]
        assert shown.count('class="cell-head"') == 3 * len(MARKUP)
    assert asked == []
