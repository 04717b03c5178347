"""What the parts of box 1 share: the current cell, the frame writer, and the notes about what was done in the student's stead."""


class Context:
    """One per box. `cell` is the index of the running cell (-1 before the first)."""

    def __init__(self, writer, spec):
        self.writer = writer
        self.spec = spec
        self.cell = -1
        self.namespace = {}
        self.busy = 0  # > 0 while our own code calls into Keras: nothing is recorded then
        self._noted = set()

    def send(self, kind, body):
        self.writer.send(kind, body)

    def note(self, kind, text):
        """Tell the report, once a cell, that something was done in the student's stead."""
        key = (self.cell, kind, text)
        if key not in self._noted and len(self._noted) < 500:
            self._noted.add(key)
            self.send("note", {"cell": self.cell, "kind": kind, "text": text[:500]})

    def __enter__(self):
        self.busy += 1
        return self

    def __exit__(self, *_):
        self.busy -= 1


def describe_error(error):
    """A `CellError` body of an exception: type, message (at most 600 characters) and the line in the cell, if known."""
    line = None
    if isinstance(error, SyntaxError):
        line = error.lineno
    else:
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename.startswith("<cell "):
                line = trace.tb_lineno
            trace = trace.tb_next
    try:
        message = str(error)
    except Exception:
        message = "(the error's own message could not be read)"
    return {
        "type": type(error).__name__[:80],
        "message": message.strip()[:600],
        "line": line if isinstance(line, int) and line > 0 else None,
    }
