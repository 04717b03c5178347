"""The JSON Schema of `report.json`, made from the records, published beside this file.

`python -m grader.reports.schema` writes it anew after a change of the records; a test holds the two equal.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from grader.records import Report

PUBLISHED = Path(__file__).with_name("report.v1.schema.json")


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a report.

    One thing differs from the record: JSON has no NaN, so a recorded curve's value that is not finite is null.
    """
    made = TypeAdapter(Report).json_schema(mode="serialization")
    curve = made["$defs"]["ReportCurve"]["properties"]["values"]["additionalProperties"]
    curve["items"] = {"anyOf": [curve["items"], {"type": "null"}]}
    made["required"] = sorted(made["properties"])  # a written report leaves nothing out
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "grader/report/v1", **made}


def text() -> str:
    """The schema as it is published: what fits on a line of 140 characters stands on one."""
    return _written(schema()) + "\n"


def _written(value: Any, indent: str = "\n") -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or len(indent) + len(flat) <= 140:
        return flat
    inner = f"{indent}  "
    parts = [f"{inner}{json.dumps(key)}: {_written(part, inner)}" for key, part in value.items()]
    return f"{{{','.join(parts)}{indent}}}"


if __name__ == "__main__":
    PUBLISHED.write_text(text(), encoding="utf-8")
