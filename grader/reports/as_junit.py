"""`junit.xml`: for continuous integration. One test case a criterion.

`failure` is the student's; `error` is what could not be evaluated, whoever's fault it is; `skipped` awaits a person or was not decided.
Points have no field in this format, so they are properties of the test case and part of the message.
Only what a student may see is in it: no flags.
"""

from xml.etree import ElementTree as ET

from grader.records import Executed, Report, Status
from grader.reports import view
from grader.reports.text import cleaned, points_text
from grader.reports.view import Line
from grader.words import one_line

NAME = "junit"
FILENAME = "junit.xml"
_HOST = "grader"  # a constant: a machine's name is nobody's business


def render(executed: Executed) -> str:
    """The report as JUnit XML. An ending without a score is one test case "grading" with an `error`."""
    report = cleaned(executed.report)
    suite = ET.Element("testsuite")
    if view.has_score(report):
        for line in view.lines(report):
            _case(suite, report, line)
    else:
        case = ET.SubElement(suite, "testcase", classname=report.rubric.id, name="grading", time="0")
        reason = " ".join(view.explanation(report))
        ET.SubElement(case, "error", type=report.status.value, message=one_line(f"{view.headline(report)}. {reason}"))
    seconds = f"{view.total_seconds(report):.3f}"
    counts = {"tests": len(suite), **{f"{kind}s": len(suite.findall(f".//{kind}")) for kind in ("failure", "error")}}
    counts["skipped"] = len(suite.findall(".//skipped"))
    totals = {"name": report.rubric.id, **{name: str(count) for name, count in counts.items()}, "time": seconds}
    for name, value in {**totals, "hostname": _HOST}.items():
        suite.set(name, value)
    root = ET.Element("testsuites", totals)
    root.append(suite)
    suite.insert(0, _properties(summary(report)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def summary(report: Report) -> dict[str, str]:
    """What the whole suite's properties say."""
    totals = {"status": report.status.value, "submission": report.submission.id, "rubric.version": report.rubric.version}
    if view.has_score(report):
        totals |= {"score": view.headline(report).split(" ", 1)[0], "headline": view.headline(report)}
    totals |= {f"cell.{cell.index}": view.cell_sentence(cell) for cell in view.troubled(report)}
    return totals | {f"notice.{number}": notice for number, notice in enumerate(report.notices, 1)}


def _properties(values: dict[str, str]) -> ET.Element:
    properties = ET.Element("properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", name=name, value=value)
    return properties


def _case(suite: ET.Element, report: Report, line: Line) -> None:
    result = line.result
    classname = f"{report.rubric.id}.section {result.section}"
    case = ET.SubElement(suite, "testcase", classname=classname, name=result.id, time="0")
    properties = {"title": result.title, "max_points": points_text(line.possible)}
    if line.earned is not None:
        properties |= {"points": points_text(line.earned)} | ({"basis": line.basis} if line.basis else {})
    case.append(_properties(properties))
    message = one_line(f"{line.worth}. {result.message}")
    if result.status in {Status.FAIL, Status.PARTIAL}:
        ET.SubElement(case, "failure", type=result.status.value, message=message).text = details(line)
    elif result.status is Status.ERROR:
        ET.SubElement(case, "error", type="grader_error", message=message).text = details(line)
    elif result.status in {Status.SKIP, Status.MANUAL} and line.earned is None:
        ET.SubElement(case, "skipped", message=message)


def details(line: Line) -> str:
    """Why a criterion lost points: the message, what was expected and found, and what to do next, a line each."""
    remarks = (f"{word}: {text}" for word, text in line.remarks())
    return "\n".join(filter(None, (line.result.message, *remarks)))
