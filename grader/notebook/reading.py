"""From a parsed document to a `Notebook`: every cell of every format version, leniently, with a sentence for each repair."""

import ast
import re
from collections import Counter
from typing import Literal

from grader.errors import NotGradable
from grader.notebook import answers
from grader.notebook.anchors import Anchors, cell_print, code_prints
from grader.notebook.document import load
from grader.notebook.sections import Tracker, headings
from grader.notebook.text import clean, middle_out, terminal
from grader.records import Cell, Json, Notebook, StoredOutput
from grader.syntax import parse

MAX_CELLS = 5_000
MAX_CODE = 8 * 2**20
"""Characters of code in all cells together."""
MAX_LINES = 100_000
"""Lines of all cells together. Each is looked at by itself, so it costs about 10 µs however short it is; long notebooks have 5,000."""
MAX_OUTPUTS = 2_000
"""Outputs read of one cell."""
MAX_OUTPUT_TEXT = 24 * 2**20
"""Characters of stored output text in the whole notebook."""
_KINDS: dict[str, Literal["stream", "result", "display", "error"]] = {
    "stream": "stream",
    "execute_result": "result",
    "pyout": "result",
    "display_data": "display",
    "error": "error",
    "pyerr": "error",
}
_CELL_KINDS: dict[str, Literal["code", "markdown", "raw"]] = {"code": "code", "markdown": "markdown", "raw": "raw"}
_OLD_MIME = {
    "text": "text/plain",
    "html": "text/html",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "svg": "image/svg+xml",
    "latex": "text/latex",
}


def read(data: bytes, anchors: Anchors) -> Notebook:
    """Read a notebook's bytes (nbformat 1 to 4, any common encoding) and mark its sections, unfilled cells and answers.

    Cells keep their position in the file as `index`, from 0. Of stored outputs the text is kept, as a reader saw it (`text.terminal`), and
    the names of the MIME types; images, widgets and attachments are dropped. A notebook without cells or without code is no error here.

    Raises:
        NotGradable: the bytes are no notebook; the message says what they are and what to do.

    """
    document, repairs = load(data)
    version = _version(document, repairs)
    key = "cells" if version == 4 else "worksheets"
    if not isinstance(document.get(key), list):
        raise NotGradable(
            f"A notebook has a list of cells; this file's `{key}` is not a list. Open it in Jupyter or Colab, save it, and submit it again."
        )
    if version < 4:
        document = _converted(document)
    raw = document["cells"]
    if len(raw) > MAX_CELLS:
        raise NotGradable(f"At most {MAX_CELLS} cells were expected; there are {len(raw)}. Submit the exercise's notebook only.")
    cells = _cells(raw, anchors, repairs)
    return Notebook(
        cells=cells,
        language=_language(document, cells),
        nbformat=f"{version}.{_minor(document)}",
        repairs=tuple(repairs),
        answers=answers.collect(cells, anchors),
    )


# ------------------------------------------------------------------ the document


def _version(document: dict[str, Json], repairs: list[str]) -> int:
    stated = document.get("nbformat")
    guess = 4 if "cells" in document else 3
    if type(stated) is not int:
        repairs.append(f"The notebook does not state its format version; it was read as version {guess}.")
        return guess
    if stated > 4:
        repairs.append(f"The notebook's format version {middle_out(str(stated), 20)} is unknown; it was read as version 4.")
        return 4
    if (stated == 4) != (guess == 4) or stated < 1:
        repairs.append(f"The notebook says format version {stated} but is built like version {guess}; it was read as that.")
        return guess
    return stated


def _minor(document: dict[str, Json]) -> int:
    minor = document.get("nbformat_minor")
    return minor if type(minor) is int and 0 <= minor < 100 else 0


def _converted(document: dict[str, Json]) -> dict[str, Json]:
    """A notebook of format 1, 2 or 3 as one of format 4: its cells lie in worksheets; other names in cells and outputs are known where they are read."""
    sheets = _objects(document.get("worksheets"))
    return {**document, "cells": [_old_cell(cell) for sheet in sheets for cell in _objects(sheet.get("cells"))]}


def _old_cell(cell: dict[str, Json]) -> dict[str, Json]:
    kind = str(cell.get("cell_type"))
    if kind == "code":
        return {"cell_type": kind, "source": _join(cell.get("input", cell.get("source"))), "outputs": _objects(cell.get("outputs"))}
    source, level = _join(cell.get("source")), cell.get("level")
    if kind == "heading":
        source = f"{'#' * (level if type(level) is int and 1 <= level <= 6 else 1)} {' '.join(source.splitlines())}"
    return {"cell_type": "markdown" if kind in {"markdown", "heading", "html"} else "raw", "source": source}


def _language(document: dict[str, Json], cells: tuple[Cell, ...]) -> str:
    """Read the kernel's language, lower case; `python` if the notebook does not say. A kernel's name says nothing where the code is Python."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return "python"
    info, kernel = (part if isinstance(part, dict) else {} for part in (metadata.get("language_info"), metadata.get("kernelspec")))
    for stated in (kernel.get("language"), info.get("name"), kernel.get("name"), metadata.get("language")):
        if isinstance(stated, str) and stated.strip():
            word = clean(stated).strip().lower()[:40]
            break
    else:
        return "python"
    only_a_name = stated == kernel.get("name") and (_FOREIGN.match(word) is None or _is_python(cells))
    if "python" in word or only_a_name:
        return "python"
    return {"ir": "r"}.get(word, re.sub(r"-[\d.]+$", "", word))


_FOREIGN = re.compile(
    r"(?:ir|r|julia|bash|scala|java|javascript|typescript|octave|matlab|sos|cpp|xcpp\d*|rust|go|ruby|kotlin)(?:[-_ \d.]|$)"
)
"""Another language's usual kernel, by its name; an environment of Python's may be named like that, too."""


def _is_python(cells: tuple[Cell, ...]) -> bool:
    """Whether at least half of the code cells are Python, and one of them imports something."""
    trees = [parse(cell.source) for cell in cells if cell.kind == "code" and cell.source.strip()]
    found = [tree for tree in trees if isinstance(tree, ast.Module)]
    return 2 * len(found) >= len(trees) and any(isinstance(node, ast.Import | ast.ImportFrom) for tree in found for node in tree.body)


# ------------------------------------------------------------------ the cells


def _cells(raw: list[Json], anchors: Anchors, repairs: list[str]) -> tuple[Cell, ...]:
    mended: Counter[str] = Counter()
    tracker = Tracker(anchors.keywords)
    budget = MAX_OUTPUT_TEXT
    code = lines = 0
    cells: list[Cell] = []
    for index, entry in enumerate(raw):
        if not isinstance(entry, dict):
            mended["was not an object and was read as an empty text cell"] += 1
            cells.append(Cell(index=index, kind="raw", source="", section=tracker.section))
            continue
        kind = _kind(entry, mended)
        source = _source(entry, mended)
        lines += source.count("\n") + 1
        if lines > MAX_LINES:
            raise NotGradable(f"The cells hold more than {MAX_LINES:,} lines. Remove pasted data and submit it again.")
        outputs: tuple[StoredOutput, ...] = ()
        if kind == "markdown":
            for heading in headings(source).values():
                tracker.see(heading)
        elif kind == "code":
            outputs, budget = _outputs(entry, budget, mended)
            code += len(source)
        cells.append(
            Cell(
                index=index,
                kind=kind,
                source=source,
                section=tracker.section,
                unfilled=kind == "code" and _unfilled(source, anchors),
                outputs=outputs,
                execution_count=_count(entry) if kind == "code" else None,
            )
        )
    if code > MAX_CODE:
        raise NotGradable(
            f"The code cells hold {code / 2**20:.0f} MiB of code; at most {MAX_CODE // 2**20} MiB were expected. "
            "Remove pasted data and submit it again."
        )
    repairs += [f"{times} cell{'s' if times > 1 else ''}: {what}." for what, times in mended.items()]
    return tuple(cells)


def _kind(entry: dict[str, Json], mended: Counter[str]) -> Literal["code", "markdown", "raw"]:
    stated = entry.get("cell_type")
    known = _CELL_KINDS.get(str(stated))
    if known is not None:
        return known
    if "outputs" in entry or "execution_count" in entry or "input" in entry:
        mended["its kind was missing or unknown and it was read as code, as it has outputs"] += 1
        return "code"
    mended["its kind was missing or unknown and it was read as text"] += 1
    return "markdown" if stated is None else "raw"


def _source(entry: dict[str, Json], mended: Counter[str]) -> str:
    source = entry.get("source", entry.get("input"))
    if source is None:
        mended["its source was missing and was read as empty"] += 1
    elif isinstance(source, list):
        if not all(isinstance(line, str) for line in source):
            mended["parts of its source were not text and were left out"] += 1
        lines = _strings(source)
        if len(lines) > 1 and not any(line.endswith("\n") for line in lines[:-1]):
            mended["its lines were stored without line ends, which were added"] += 1
            return clean("\n".join(lines))
    elif not isinstance(source, str):
        mended["its source was not text and was read as empty"] += 1
    return clean(_join(source))


def _unfilled(source: str, anchors: Anchors) -> bool:
    """Whether a code cell holds the template's code and nothing else, and is one that had something to fill in.

    Either the marker is still there, or the lines are exactly those of a template cell of two lines or more (a single template line
    in a cell of its own is how people split cells).
    """
    prints = code_prints(source)
    if not all(mark in anchors.code_lines for mark in prints):
        return False
    marked = anchors.marker.lower() in " ".join(source.lower().split())
    return marked or (len(prints) > 1 and cell_print(prints) in anchors.unfilled_cells)


def _count(entry: dict[str, Json]) -> int | None:
    count = entry.get("execution_count", entry.get("prompt_number"))
    return count if type(count) is int and 0 <= count < 2**31 else None


# ------------------------------------------------------------------ stored outputs


def _outputs(entry: dict[str, Json], budget: int, mended: Counter[str]) -> tuple[tuple[StoredOutput, ...], int]:
    """Read a cell's outputs while the budget of characters lasts; give them and what is left of it."""
    raw = entry.get("outputs")
    if not isinstance(raw, list):
        mended["its outputs were missing and were read as none"] += 1
        return (), budget
    found: list[StoredOutput] = []
    for output in raw[:MAX_OUTPUTS]:
        if not isinstance(output, dict):
            mended["an output was not an object and was left out"] += 1
            continue
        stored = _output(output)
        if len(stored.text) > budget:
            mended["text of its outputs was left out, as the notebook stores too much of it"] += 1
            stored = StoredOutput(kind=stored.kind, mime_types=stored.mime_types)
        budget -= len(stored.text)
        found.append(stored)
    return tuple(found), budget


def _output(output: dict[str, Json]) -> StoredOutput:
    kind = _KINDS.get(str(output.get("output_type")), "display")
    if kind == "stream":
        return StoredOutput(kind=kind, text=terminal(_join(output.get("text"))))
    if kind == "error":
        named = f"{output.get('ename', '')}: {output.get('evalue', '')}"
        return StoredOutput(kind=kind, text=terminal("\n".join(_strings(output.get("traceback"))) or named))
    data = output.get("data")
    if not isinstance(data, dict):
        data = {mime: output[old] for old, mime in _OLD_MIME.items() if old in output}
    text = terminal(_join(data.get("text/plain")))
    return StoredOutput(kind=kind, text=text, mime_types=tuple(sorted(clean(str(name))[:100] for name in list(data)[:20])))


def _objects(value: Json) -> list[dict[str, Json]]:
    """Read a list's objects; anything else in it is left out."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def _strings(value: Json) -> list[str]:
    """Read a string or a list of strings; anything else in it is left out."""
    if isinstance(value, str):
        return [value]
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []


def _join(value: Json) -> str:
    return "".join(_strings(value))
