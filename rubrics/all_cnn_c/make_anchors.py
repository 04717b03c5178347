#!/usr/bin/env python3
"""Make the generated half of `anchors.toml` from the exercise's template, given as a text file.

    python rubrics/all_cnn_c/make_anchors.py TEMPLATE.md > part.toml

The template's text stays outside the project; only fingerprints of its lines are written, with our own names for its questions. In the
file, Markdown stands as it is, and a code cell begins after a line `In [None]:` and ends before the next numbered heading. The half written
by hand (marker, heading key words) stands above the line `# ---- made by make_anchors.py ----` of `anchors.toml` and stays.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from grader.notebook.anchors import OPENING_WORDS, cell_print, code_prints, fingerprint, line_print, words_of

MARKER = "YOUR IMPLEMENTATION HERE"
CELL = "In [None]:"
LABELS = {
    4: ("does training accuracy always rise, and the loss", "what do test accuracy and loss do", "underfitting or overfitting"),
    5: (
        "what does a large dropout probability do",
        "which probability helps on the test set",
        "dropout between convolutions: more sensitive, and why",
        "are more epochs needed",
        "extra: L1 or L2 regularisation compared",
    ),
    6: (
        "what do extreme transformations do",
        "why is the test set not augmented, and when might it be",
        "three transformations that would not help",
    ),
}
PREFIXES = {4: "curves", 5: "dropout", 6: "augmentation"}
_NUMBERED = re.compile(r"#+\s*(\d)\.")


def split(template: str) -> tuple[list[tuple[int, str]], list[str]]:
    """Split a template into its Markdown lines, each with its section, and the sources of its code cells."""
    markdown: list[tuple[int, str]] = []
    cells: list[list[str]] = []
    section, in_code = 0, False
    for line in template.splitlines():
        heading = _NUMBERED.match(line)
        if heading:
            section, in_code = int(heading.group(1)), False
        if line.strip() == CELL:
            cells.append([])
            in_code = True
        elif in_code:
            cells[-1].append(line)
        elif line.strip():
            markdown.append((section, line))
    return markdown, ["\n".join(cell) for cell in cells]


def questions(markdown: list[tuple[int, str]]) -> Iterator[str]:
    """Write a table for each bullet of a section with questions. Raises ValueError if their number is not that of `LABELS`."""
    for section, labels in LABELS.items():
        bullets = [line for place, line in markdown if place == section and line.lstrip().startswith("* ")]
        if len(bullets) != len(labels):
            raise ValueError(f"section {section}: {len(labels)} questions were expected, {len(bullets)} were found")
        for number, (line, label) in enumerate(zip(bullets, labels, strict=True), 1):
            words, name = words_of(line), f"{PREFIXES[section]}-{number}"
            yield (
                f'[[question]]\nid = "{name}"\nsection = {section}\nlabel = "{name}: {label}"\nwords = {len(words)}\n'
                f'whole = "{fingerprint(" ".join(words))}"\nopening = "{fingerprint(" ".join(words[:OPENING_WORDS]))}"\n'
            )


def generate(template: str) -> str:
    """Give the generated half of `anchors.toml` as text."""
    markdown, cells = split(template)
    to_fill = [code_prints(cell) for cell in cells if MARKER in cell]
    sets = {
        "markdown_lines": {line_print(line) for _, line in markdown},
        "code_lines": {mark for cell in cells for mark in code_prints(cell)},
        "unfilled_cells": {cell_print(prints) for prints in to_fill},
    }
    lists = (f"{name} = [\n" + "".join(f'    "{mark}",\n' for mark in sorted(marks)) + "]\n" for name, marks in sets.items())
    return "[template]\n" + "".join(lists) + "\n" + "\n".join(questions(markdown))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_anchors.py TEMPLATE.md > part.toml")
    sys.stdout.write(generate(Path(sys.argv[1]).read_text(encoding="utf-8")))
