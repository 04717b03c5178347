"""*What it checks.* Nothing by itself: a person reads the answers of one section and gives the points.

*Why it matters.* The questions ask for understanding, which no program judges here.

*Inputs.* The answers found in the section.

*Units.* None.

*Tolerance and source.* None.

*Edge cases.* Nothing written is still for a person to decide: answers may stand in comments or in another file.

*Errors.* None.

*Example.* Two answered questions: manual, "2 answers found".
"""

from grader.checks import Params
from grader.records import Evidence, Finding, Status
from grader.words import counted

PARAMS: Params = {"section": 0}


def check(evidence: Evidence, params: Params) -> Finding:
    """Hand the section's answers to a person."""
    count = sum(1 for answer in evidence.notebook.answers if answer.section == params["section"])
    message = "No written answer was found; manual review is needed."
    if count:
        message = f"{counted(count, 'written answer')} found; the points are given in manual review."
    return Finding(status=Status.MANUAL, fraction=None, message=message)
