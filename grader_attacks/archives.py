"""Archives and files that attack whoever opens them: read by `sources.resolve` and `notebook.read` on the host, without a box.

Open is an attack after which something was accepted that must not be, a file appeared outside, an error other than ours was raised, or that took too long: reading
it, looking at its code, and showing it in a report; or that took too much memory.
"""

import io
import json
import stat
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from grader import notebook, pipeline, reports, rubric, sources
from grader.errors import GraderError
from grader.records import RunStatus
from grader_attacks.records import Attack, Outcome
from grader_attacks.suite import ARCHIVE

_CELL: dict[str, object] = {"cell_type": "code", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
_FINE = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [_CELL]}).encode()
_MOST_S = 20.0
"""Seconds within which the host must be through with any one file."""
_MOST_MIB = 400.0
"""Memory that any one file may take of the host; the reading of an honest notebook of 8 MiB takes a tenth."""


def _zip(*members: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def _link() -> bytes:
    info = zipfile.ZipInfo("a.ipynb")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _zip((info, b"/etc/passwd"))


def _lying_size() -> bytes:
    """A member that is larger than its header says."""
    data = bytearray(_zip(("a.ipynb", b" " * (64 << 20))))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    return bytes(data)


def _encrypted() -> bytes:
    data = bytearray(_zip(("a.ipynb", _FINE)))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def _blank_lines() -> bytes:
    """Code that is no Python behind 6 MiB of blank lines, which a pattern may look through from each of them; and cells of them to be shown."""
    broken = (" " * 150 + "\n") * 40_000 + "x = = 1"
    shown = " \n" * 9_900 + "x = 1"
    cells = [{**_CELL, "source": source} for source in (broken, *[shown] * 5)]
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}).encode()


def _long_name() -> bytes:
    """An import of a name of forty thousand parts, each step of whose joining Python keeps: 1.6 GB of memory from 80 kB."""
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{**_CELL, "source": "import a" + ".a" * 40_000}]}
    ).encode()


def _memory_mib(*, begin: bool = False) -> float:
    """The most memory that this process has held since `begin`, which forgets what came before (where /proc can be written; else since it was started)."""
    if begin:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


FILES: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "climbing": ("A member called ../../evil.ipynb.", "a.zip", lambda: _zip(("../../evil.ipynb", _FINE))),
    "absolute": ("A member with an absolute name.", "a.zip", lambda: _zip(("/tmp/evil.ipynb", _FINE))),  # noqa: S108
    "link": ("A member that is a link to a file of the host.", "a.zip", _link),
    "bomb": ("A member of 100 KiB that grows to 100 MiB.", "a.zip", lambda: _zip(("a.ipynb", b" " * (100 << 20)))),
    "lying_size": ("A member that is larger than it says.", "a.zip", _lying_size),
    "encrypted": ("A member that is encrypted.", "a.zip", _encrypted),
    "twice": ("A member that is there twice.", "a.zip", lambda: _zip(("a.ipynb", _FINE), ("a.ipynb", b"{}"))),
    "many_members": ("An archive of sixty thousand members.", "a.zip", lambda: _zip(*((f"{n}.txt", b"") for n in range(60_000)))),
    "nested_json": ("A notebook of a million nested lists.", "a.ipynb", lambda: b"[" * 10**6),
    "nested_cells": (
        "A notebook whose metadata are nested too deeply.",
        "a.ipynb",
        lambda: b'{"nbformat": 4, "nbformat_minor": 4, "cells": [], "metadata": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    ),
    "huge_integer": (
        "A notebook with a number of a million digits.",
        "a.ipynb",
        lambda: b'{"nbformat": ' + b"9" * 10**6 + b', "cells": []}',
    ),
    "blank_lines": ("A notebook of ninety thousand blank lines.", "a.ipynb", _blank_lines),
    "long_name": ("A notebook that imports a name of forty thousand parts.", "a.ipynb", _long_name),
    "pickle_file": ("A pickle that calls itself a notebook.", "a.ipynb", lambda: b"\x80\x04cos\nsystem\n(S'touch owned'\ntR."),
}

_TAKEN = frozenset({"blank_lines", "long_name"})
"""Files that are notebooks, and may be taken for one."""

ATTACKS: tuple[Attack, ...] = tuple(
    Attack(id=f"archive.{name}", family=ARCHIVE, what=what, proof="changed", alone=True, control=False)
    for name, (what, _, _) in FILES.items()
)


def run() -> Iterator[Outcome]:
    """Have every file read as a submission, and yield what became of it."""
    anchors = notebook.load_anchors(rubric.load("all_cnn_c").folder / "anchors.toml")
    nothing = pipeline.unreached(RunStatus.UNGRADABLE, "Only read.", pipeline.Options(), file="a.ipynb", sha256="").executed
    for attack, (_, name, make) in zip(ATTACKS, FILES.values(), strict=True):
        with tempfile.TemporaryDirectory(prefix="grade-attack-") as folder:
            path = Path(folder) / "inner" / "most" / name
            path.parent.mkdir(parents=True)
            path.write_bytes(make())
            held = _memory_mib(begin=True)
            began, detail, wrong = time.monotonic(), "read without harm", ""
            try:
                found = notebook.read(sources.resolve(str(path)).data, anchors)
                wrong = "its code was taken" if found.code and attack.id.partition(".")[2] not in _TAKEN else ""
                notebook.recognise(found, anchors)
                reports.files(replace(nothing, notebook=found), ("html", "notebook"))
            except GraderError as error:
                detail = str(error)[:200]
            except Exception as error:  # noqa: BLE001 (that is what is looked for)
                wrong = f"{type(error).__name__}: {error}"[:200]
            seconds, taken = time.monotonic() - began, _memory_mib() - held
            if [other for other in Path(folder).rglob("*") if other.is_file() and other != path]:
                wrong = "a file appeared outside"
            elif seconds > _MOST_S:
                wrong = f"reading it took {seconds:.0f} s"
            elif taken > _MOST_MIB:
                wrong = f"reading it took {taken:.0f} MiB"
        yield Outcome(attack=attack, state="open" if wrong else "held", detail=wrong or detail, seconds=round(seconds, 2))
