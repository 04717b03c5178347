"""What the run showed and what the notebook's text says of its intentions: libraries replaced, the grader looked for, text that addresses whoever grades.

What was replaced or looked at is seen where it happens (`sandbox/inside/originals.py`). The text is only read: whoever wants to hide can, so what is found
in it is information for staff, and its absence says nothing. What holds without either is in `SECURITY.md`.
"""

import ast
import re
from collections.abc import Iterator

from grader import syntax
from grader.records import Evidence, Flag

SUSPICIOUS = frozenset({"touches_grader", "patches_library", "claim_differs"})
"""Flags after which a person looks before the points count: what such code says of the model need not be what the code does."""

SEEN = {"replaced": "patches_library", "reached": "touches_grader", "overwritten": "overwritten"}
"""Kind of a note of the box -> the flag that it is."""
_MOST = 10
_UNUSUAL = re.compile(
    r"\b(?:ctypes|memfd_create|_getframe|settrace|setprofile|get_objects|get_referrers|cell_contents|_box|__aside__)\b|/proc/(?:self|thread-self)"
)
"""Names that no exercise needs and that lead to the grader's own code in the box, or past it."""
_DATA_CHARACTERS = 20_000
"""A text or bytes literal of this many characters is data: a base64 file of trained weights of the exercise's model has 7 million."""
_LOADS = ("set_weights", "load_weights", "load_model")
_ADDRESSED = re.compile(
    r"(?:ignore|disregard|forget|override)\s+(?:all\s+|any\s+|the\s+|your\s+|every\s+)*(?:previous|prior|above|earlier|preceding|system|grading)\s+"
    r"(?:instructions?|prompts?|rules?|rubrics?|criteria)"
    r"|(?:dear|note\s+(?:to|for)|attention|message\s+(?:to|for)|hello|hey)[\s,:]+(?:the\s+|any\s+)?(?:auto(?:matic)?[\s-]?)?grad(?:er|ing)"
    r"|(?:give|award|assign|grant)\s+(?:me|this|it|us|the\s+student)?[^.\n]{0,40}\b(?:full|maximum|max|100|all)\s+(?:marks?|points?|scores?|credit)"
    r"|(?:you\s+are|act\s+as)\s+(?:now\s+)?(?:an?\s+|the\s+)?(?:helpful\s+)?(?:auto)?(?:grader|language\s+model|ai\b|assistant)"
    r"|<\|(?:im_start|system|endoftext)",
    re.IGNORECASE,
)


def integrity(evidence: Evidence) -> Iterator[Flag]:
    """What the box saw, then what is in the notebook's own text, at most one flag of a kind for each cell."""
    seen = sorted((note for note in evidence.run.notes if note.kind in SEEN), key=lambda note: note.kind == "overwritten")
    for note in seen[:_MOST]:
        place = note.cell if note.cell >= 0 else None
        yield Flag(SEEN[note.kind], "info" if note.kind == "overwritten" else "alert", f"The code {note.text}.", place)
    if evidence.run.ending == "garbled":
        ended = next((run.index for run in evidence.run.cells if run.error is not None and run.error.type == "Stopped"), None)
        yield Flag("touches_grader", "alert", "The code writes to descriptors that are not its own.", ended)
    for cell in evidence.notebook.cells:
        if _ADDRESSED.search(cell.source[:200_000]):
            yield Flag("addresses_grader", "alert", "The text of this cell addresses the grader.", cell.index)
        if cell.kind != "code":
            continue
        if named := _UNUSUAL.search(cell.source[:300_000]):
            yield Flag("unusual_code", "info", f"The code names {named[0]}, which this exercise does not need.", cell.index)
        tree = syntax.parse(cell.source)
        if isinstance(tree, ast.Module):
            yield from _weights(tree, cell.index)


def _weights(tree: ast.Module, index: int) -> Iterator[Flag]:
    nodes = list(ast.walk(tree))
    names = {getattr(node, "attr", getattr(node, "id", "")) for node in nodes}
    loads = next((name for name in _LOADS if name in names), None)
    if loads is None:
        return
    if any(
        isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and len(node.value) >= _DATA_CHARACTERS for node in nodes
    ):
        yield Flag("weights_smuggled", "alert", f"The code holds data and calls {loads}.", index)
    else:
        yield Flag("weights_loaded", "warning", f"The code loads weights ({loads}).", index)
