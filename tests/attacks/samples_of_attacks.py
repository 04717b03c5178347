"""Small reports for the judge of the notebook attacks."""

from grader.records import CriterionResult, Report, ReportRubric, ReportSubmission, RunStatus, Status


def report(points, status=RunStatus.GRADED, flags=()):
    line = CriterionResult(id="model.built", title="Built", section=1, points=2.0, earned=points, status=Status.PARTIAL, message="")
    return Report(
        status=status,
        reason="",
        rubric=ReportRubric(id="r", version="1", sha256=""),
        submission=ReportSubmission(id="s", file="a.ipynb", sha256="", source="file"),
        score=points,
        max_score=2.0,
        auto_score=points,
        auto_max=2.0,
        pending_points=0.0,
        criteria=(line,),
        flags=flags,
    )
