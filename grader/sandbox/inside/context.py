"""What the parts of box 1 share: the current cell, the frame writer, and the notes about what was done in the student's stead.

Whose error is it? What the student's call asks for runs bare: its errors are the cell's. What we do beside it (looking, recording) runs
under `Context.ours`: its errors are defects of the grader, a note and a missing claim, never an error of the cell.
"""

import os

from .frames import cut, readable

MOST = {
    "model": 400, "compile": 1000, "fit": 500, "evaluate": 500, "variable": 200, "plot": 1000, "history": 1000, "load": 200,
    "predictions": 4,
}  # fmt: skip
"""How many frames of a kind the host takes (`decode.RunCollector`, held by a test); a loop of the student's may well make more."""

MOST_NAME, MOST_TEXT, MOST_ITEMS = 200, 1000, 256
"""Characters that the host takes of a name and of a sentence, and items of a list (`decode`, held by a test)."""

_HERE = os.path.dirname(os.path.abspath(__file__))


class Context:
    """One per box. `cell` is the index of the running cell (-1 before the first)."""

    def __init__(self, writer, spec):
        self.writer = writer
        self.spec = spec
        self.cell = -1
        self.namespace = {}
        self.outputs = None  # the running cell's, once the shell is made
        self.absent = None  # `absent.Absent`, once the imports are prepared
        self.files = None  # `files.Files`, likewise
        self.resume = None  # `resume.Resume`, once there is a shell
        self.originals = None  # `originals.Originals`, once the imports are prepared
        self.busy = 0  # > 0 while our own code calls into Keras: nothing is recorded then
        self._noted = set()
        self._sent = dict.fromkeys(MOST, 0)

    def send(self, kind, body):
        """Send a frame, or note that there are too many of its kind."""
        if kind in MOST:
            if self._sent[kind] >= MOST[kind]:
                lost = "grader" if kind in ("model", "compile", "fit") else "limit"
                self.note(lost, f"more than {MOST[kind]} records of kind {kind}: the later ones are missing")
                return
            self._sent[kind] += 1
            if kind in ("compile", "fit"):  # models and variables are sent with a training call, or before a cell's end is looked at
                self.compare()
        self.writer.send(kind, body if kind in ("cell", "predictions") else {key: _short(key, value) for key, value in body.items()})

    def compare(self, *, told=False):
        """Note what was replaced of that which a claim rests on; `told`: slips, too."""
        if self.originals is not None and not self.busy:
            self.originals.look(told=told)

    def note(self, kind, text):
        """Tell the report, once a cell, that something was done in the student's stead."""
        key = (self.cell, kind, text)
        if key not in self._noted and len(self._noted) < (900 if kind in ("grader", "replaced", "reached") else 500):
            self._noted.add(key)
            self.send("note", {"cell": self.cell, "kind": kind, "text": cut(text, 500)})

    def ours(self, doing):
        """Work that the student did not ask for: an exception in it becomes a note of kind "grader", and the student's call goes on."""
        return _Ours(self, doing)

    def __enter__(self):
        self.busy += 1
        return self

    def __exit__(self, *_):
        self.busy -= 1


class _Ours:
    """`contextlib` would hand the context to functions that a notebook can replace."""

    def __init__(self, context, doing):
        self._context, self._doing = context, doing

    def __enter__(self):
        pass

    def __exit__(self, kind, error, trace):
        if isinstance(error, Exception):
            what = f"{type(error).__name__}: {readable(error, 200)}{_place(error)}"
            self._context.note("grader", f"a defect in the grader while {self._doing}: {what}")
        return isinstance(error, Exception)


def _place(error):
    """The deepest line of ours in the traceback, for the staff."""
    place, trace = "", error.__traceback__
    while trace is not None:
        folder, name = os.path.split(os.path.abspath(trace.tb_frame.f_code.co_filename))
        if folder == _HERE and name != "context.py":
            place = f" ({name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _short(key, value):
    """A field of a record, cut to what the host takes; a name of the student's own (a class, a variable) may be of any length."""
    if isinstance(value, str):
        return cut(value, MOST_TEXT if key in ("text", "unbuildable", "unfinished") else MOST_NAME)
    if isinstance(value, dict) and key not in ("config", "optimizer_config"):
        return {name: _short(name, item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        nested = all(isinstance(item, (list, tuple, dict)) for item in value)
        return [_short("", item) for item in (value if nested else value[:MOST_ITEMS])]
    return value


def describe_error(error):
    """A `CellError` body of an exception: type, message (one line of at most 600 characters) and the line in the cell, if known."""
    line = error.lineno if isinstance(error, SyntaxError) else None  # `resume.failed` knows the lines of all others
    return {"type": type(error).__name__[:80], "message": readable(error), "line": line if isinstance(line, int) and line > 0 else None}
