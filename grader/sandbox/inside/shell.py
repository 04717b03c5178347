"""The notebook's shell: IPython's InteractiveShell in this very process, without kernel, sockets, history or subprocesses.

Outputs are captured as they come, capped per cell; a failing cell is recorded and the next one runs; a cell that takes too long gets a
`CellTimeout` (and the host ends the box where even that is not heard).
"""

import builtins
import contextlib
import io
import os
import re
import signal
import sys
import time
import types

from . import plots, resume
from .frames import cut, readable
from .originals import hidden, hide

_TEXT_CAP = 20_000  # characters a cell
_PICTURES = 4  # a cell
_PICTURES_TOTAL_BYTES = 3 << 20  # a notebook


class CellTimeout(BaseException):
    """Raised in a cell that used up its time. A BaseException, so that `except Exception` does not swallow it."""


class Outputs:
    """The outputs of the running cell, capped."""

    def __init__(self):
        self.items = []
        self.left = _TEXT_CAP
        self.pictures_left = _PICTURES_TOTAL_BYTES
        self._pictures = 0

    def begin(self):
        self.items, self.left, self._pictures = [], _TEXT_CAP, 0

    def add(self, kind, text):
        if not text or self.left <= 0:
            return
        if len(text) > self.left:
            text = text[: self.left] + "\n… (output cut here)"
        self.left -= len(text)
        if self.items and self.items[-1]["kind"] == kind and kind in ("stdout", "stderr"):
            self.items[-1]["data"] += text
        else:
            self.items.append({"kind": kind, "data": text})

    def picture(self, encoded):
        """A PNG in base64 text."""
        self._pictures += 1
        if self._pictures <= _PICTURES and len(encoded) <= self.pictures_left:
            self.pictures_left -= len(encoded)
            self.items.append({"kind": "png", "data": encoded})


class Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of the notebook."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, outputs, kind, descriptor):
        self._outputs, self._kind, self._descriptor = outputs, kind, descriptor

    def write(self, text):
        self._outputs.add(self._kind, str(text))
        return len(text)

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self._descriptor

    def flush(self):
        pass


def make(context):
    """The configured shell. Imports IPython (about 0.4 s)."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.error import UsageError
    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    outputs = Outputs()

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
            if isinstance(data, dict):
                outputs.add("text", _readable(data))

        def clear_output(self, wait=False):
            pass

    class Hook(DisplayHook):
        def write_output_prompt(self):
            pass

        def write_format_data(self, format_dict, md_dict=None):
            outputs.add("text", _readable(format_dict))

        def finish_displayhook(self):
            pass

        def quiet(self):
            return super().quiet()

    class Shell(InteractiveShell):
        displayhook_class = Hook
        display_pub_class = Publisher

        def _showtraceback(self, etype, evalue, stb):
            pass  # errors are taken from run_cell's result

        def showsyntaxerror(self, *args, **kwargs):
            pass

        def showtraceback(self, *args, **kwargs):
            pass

        def ask_exit(self):
            print("exit() does nothing in a notebook that is being graded")

        exit_now = False

        def system(self, command):
            _shell_line(context, command)
            self.user_ns["_exit_code"] = 0

        system_raw = system_piped = system

        def getoutput(self, command, split=True, depth=0):
            from IPython.utils.text import SList

            _shell_line(context, command)
            return SList([]) if split else ""

        def enable_gui(self, gui=None):
            pass

        def enable_matplotlib(self, gui=None):
            return "agg", "agg"

        def atexit_operations(self):
            pass

        def run_line_magic(self, magic_name, line, _stack_depth=1):
            if not magic_name:  # "% matplotlib inline"
                magic_name, _, line = line.strip().partition(" ")
            try:
                if magic_name == "run" and not os.path.exists(line.split(" ")[0].strip("\"'")):
                    return context.absent.star(f"%run {line}")
                return super().run_line_magic(magic_name, line, _stack_depth=_stack_depth + 1)
            except UsageError as error:
                context.note("shell", f"a magic was not run: {readable(error, 160)}")

        def run_cell_magic(self, magic_name, line, cell):
            try:
                return super().run_cell_magic(magic_name, line, cell)
            except UsageError as error:
                context.note("shell", f"a cell was not run: {readable(error, 160)}")

    for kind in (Publisher, Hook, Shell):
        hide(kind)
    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    settings.InteractiveShell.xmode = "Minimal"
    settings.InteractiveShell.history_length = 0
    HistoryManager.enabled = False
    main = types.ModuleType("__main__")
    shell = Shell.instance(config=settings, user_module=main, user_ns=main.__dict__)
    sys.modules["__main__"] = main
    main.__dict__.setdefault("__builtins__", builtins)
    _magics(shell, context)
    context.resume = resume.Resume(context)
    shell.ast_transformers.append(types.SimpleNamespace(visit=hidden(context.resume.visit)))

    def no_input(prompt="", *_, **__):
        context.note("input", "input() cannot ask for a value while grading")
        raise EOFError(f"input({str(prompt)[:60]!r}) cannot ask for a value while grading; set the value in the cell itself")

    import getpass

    builtins.input = getpass.getpass = hidden(no_input)
    return shell, outputs


def _readable(data):
    """The text of a MIME bundle; HTML, scripts and pictures made by the student's own code stay in the box."""
    text = data.get("text/plain") or data.get("text/markdown") or data.get("text/latex") or ""
    return text if isinstance(text, str) else ""


def _shell_line(context, command):
    command = " ".join(str(command).split())
    first = command.split(" ")[0] if command else ""
    kind = "pip" if "pip" in command.split("install")[0] or first in ("pip", "pip3", "conda") else "shell"
    context.note(kind, f"shell line not run: {cut(command, 160)}")
    context.files.shell_line(command)
    print(
        "(shell lines are not run while grading)"
        if kind == "shell"
        else "(packages are not installed while grading; the provided set is used)"
    )


def _magics(shell, context):
    """Magics that a notebook on Colab or Jupyter may use and that would fail, ask, or start processes here."""

    def nothing(line="", cell=None):
        if cell is not None:
            context.note("shell", "a cell of another language was not run")

    def register(function, kind, name):
        shell.magics_manager.magics[kind][name] = hidden(function)

    for name in ("matplotlib", "load_ext", "reload_ext", "config", "notebook"):
        register(nothing, "line", name)
    for name in ("bash", "sh", "script", "perl", "ruby", "python", "python2", "python3", "pypy", "svg"):
        register(nothing, "cell", name)

    def install(line=""):
        _shell_line(context, f"pip {line}")

    def shell_line(line=""):
        _shell_line(context, line)

    for name in ("pip", "conda", "mamba", "uv"):
        register(install, "line", name)
    for name in ("shell", "sx", "system", "cp", "ls", "mkdir", "mv", "rm", "rmdir", "cat", "wget"):
        register(shell_line, "line", name)

    def writefile(line="", cell=""):
        path = line.replace("-a", "").strip()
        with open(path, "a" if "-a" in line.split() else "w", encoding="utf-8") as file:
            file.write(cell)
        print(f"Writing {path}")

    register(writefile, "cell", "writefile")


def _interrupter(writer):
    """The alarm's handler: ends the cell, but never in the middle of a frame (the alarm comes again a second later)."""

    def interrupt(*_):
        if not writer.busy:
            raise CellTimeout

    return interrupt


def run_cells(shell, outputs, cells, context, limits, after_cell):
    """Run `cells` ({index, source}) in order and send a `cell` frame for each. `after_cell()` sends what the cell left behind.

    It yields what is to be run, and whoever runs it is not on the stack meanwhile: `shell.run_cell` tells of the result by an event.
    """
    told = {}
    shell.events.register("post_run_cell", hidden(lambda result: told.update(result=result)))
    signal.signal(signal.SIGALRM, hidden(_interrupter(context.writer)))
    kept = sys.stdout, sys.stderr
    descriptors = [stream.fileno() for stream in kept]
    for cell in cells:
        context.cell = cell["index"]
        context.send("start", {"index": cell["index"]})
        outputs.begin()
        sys.stdout = Stream(outputs, "stdout", descriptors[0])
        sys.stderr = Stream(outputs, "stderr", descriptors[1])
        started = time.perf_counter()
        problem = None
        context.resume.begin()
        try:
            signal.setitimer(signal.ITIMER_REAL, limits["cell_s"], 1.0)  # again every second, should the first be swallowed
            problem = yield from _run(shell, cell["source"], context, told)
        except BaseException as raised:
            problem = raised
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        seconds = time.perf_counter() - started
        failures = context.resume.failures
        if problem is not None:
            context.resume.failed(problem)
        if isinstance(problem, CellTimeout):
            said = f"the cell ran longer than {limits['cell_s']:g} s (--cell-timeout) and was interrupted{context.resume.slow(problem)}"
            failures.insert(0, failures.pop() | {"type": "Timeout", "message": said})
        with context.ours("looking at the cell's figures"):
            plots.collect(context, outputs)
        with context.ours("looking at what the cell left"):
            after_cell()
        for failure in failures:
            outputs.left = max(outputs.left, 1000)
            outputs.add("error", f"{failure['type']}: {failure['message']}")
        context.send(
            "cell",
            {
                "index": cell["index"],
                "status": "ok" if not failures else "timeout" if isinstance(problem, CellTimeout) else "error",
                "error": failures[0] if failures else None,
                "more": failures[1:],
                "lost": context.resume.lost[:100],
                "outputs": outputs.items,
                "seconds": round(seconds, 3),
            },
        )
    sys.stdout, sys.stderr = kept


def _run(shell, source, context, told):
    """Yield the pieces of a cell to be run as IPython does, going on behind what fails. The exception that ended it, or None."""
    first, _, rest = source.partition("\n")
    magic = re.match(r"%%[ \t]*(\w+)[ \t]*(.*)", first)
    if magic and magic[1] in ("time", "capture", "prun"):  # run as if it were not there
        source = f"{magic[2] if magic[1] == 'time' and magic[2] else '#'}\n{rest}"
    elif magic:
        source = f"%%{magic[1]} {magic[2]}\n{rest}"
    elif not first.strip() and rest.lstrip("\n")[:1].strip():
        source = f"#\n{rest}"  # lines are counted from the cell's own first one
    while True:
        context.resume.running(shell.execution_count)
        told["result"] = None
        yield source
        result = told["result"]
        problem = sys.last_value if result is None else result.error_before_exec or result.error_in_exec
        if problem is None:
            return None
        rest = None
        with context.ours("looking for what can be run behind an error"), contextlib.suppress(SyntaxError, ValueError, RecursionError):
            source = shell.transform_cell(source)
            rest = context.resume.rest(problem, source)
            if rest is not None:
                context.resume.failed(problem)
        if rest is None:
            return problem
        source = rest
