"""`report.json`: the report itself, field for field the published schema. Everything else is made from the same record."""

import json
import math
from dataclasses import asdict
from pathlib import Path

from grader.decode import to_record
from grader.errors import FrameError, UsageError
from grader.records import Executed, Json, Report
from grader.reports.text import cleaned

NAME = "json"
FILENAME = "report.json"


def render(executed: Executed) -> str:
    """The report as JSON text: two spaces of indent, UTF-8 characters as they are, `schema` first, null for what is not finite."""
    fields = asdict(cleaned(executed.report))
    ordered = {"schema": fields.pop("schema"), **fields}
    return json.dumps(_finite(ordered), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Json) -> Json:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def parse(text: str) -> Report:
    """The report that `render` wrote. A null in a recorded curve comes back as NaN.

    Raises:
        UsageError: the text is not a report of this schema; the message names the first field that does not fit.
    """
    try:
        data = json.loads(text)
        if data.get("schema") != "grader/report/v1":
            raise UsageError(f"schema: expected 'grader/report/v1', found {data.get('schema')!r}. Read it with the version that wrote it.")
        for curve in data.get("recorded", ()):
            curve["values"] = {key: [math.nan if value is None else value for value in values] for key, values in curve["values"].items()}
        return to_record(Report, data)
    except FrameError as error:
        found = str(error).removeprefix("Report.")
        raise UsageError(f"{found}. Expected a report of schema grader/report/v1; grade the submission again.") from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise UsageError("The file is not a report: expected JSON of schema grader/report/v1. Grade the submission again.") from error


def load(path: Path) -> Report:
    """The report in a file.

    Raises:
        UsageError: the file cannot be read or is not a report.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: expected a readable report.json, found none ({type(error).__name__}). Check the path.") from error
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from error
