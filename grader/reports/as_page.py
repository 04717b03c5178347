"""`notebook.html`: the notebook as it ran here, drawn by nbconvert in a box of its own (`inside/page.py`) and put into a page that can do nothing."""

from grader.records import Executed
from grader.reports import inert, view
from grader.reports.as_html import environment
from grader.reports.text import cleaned

NAME = "page"
FILENAME = "notebook.html"


def render(executed: Executed) -> str:
    """The notebook as an HTML page, checked to be inert.

    Raises:
        GraderError: something that can act got into the page (a fault of the grader).
    """
    executed = cleaned(executed)
    page = environment().get_template("notebook.html.j2").render(report=executed.report, view=view, page=executed.page)
    inert.check(page)
    return page
