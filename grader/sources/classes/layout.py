"""What every layout shares: the visible files of a folder, an archive or a list of notebooks, and what a layout's reader makes of them.

Names are text to match and to show, never paths to open: a file is read by its `reference`, or by the handle that listing it gave.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal
from zipfile import ZipInfo

from grader.decode import clean_text
from grader.errors import GraderError, NotGradable, UsageError, refused
from grader.records import HandedIn
from grader.sources import archive, local
from grader.sources.common import MAX_BYTES, SUFFIX, display_name, display_path, holds_notebook, is_notebook_name, listing

Platform = Literal["canvas", "moodle", "gradescope", "nbgrader", "repositories", "folder", "csv"]

GIVEN = "the notebooks given"
"""Where the files are that were named one by one."""
MAX_PATH = 1_000
"""Characters of a path that are matched against a layout's names; a longer one is told of and passed over."""
MAX_WRAPPERS = 4
"""Folders that hold nothing but one folder, which are looked into."""
ZIP = ".zip"
_WORK = re.compile(
    r"(.+?)(?:\.ipynb(?:[ (._~-].*)?|\.(?:zip|tar(?:\.\w{1,4})?|tgz|gz|bz2|xz|rar|7z|py|html?|pdf|docx?|odt|rtf)|(?P<text>\.(?:json|txt)))",
    re.IGNORECASE | re.DOTALL,
)
"""Names of files that somebody hands in who was asked for a notebook; a `text` may as well be something else."""
_JUNK = frozenset({"thumbs.db", "desktop.ini"})
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?)(?: ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One visible file. `path` is seen from the level that is read, `whole` from what was given; both have `/` between their parts."""

    path: str
    whole: str
    reference: str
    handle: Path | ZipInfo

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_notebook(self) -> bool:
        """Whether the name is a notebook's."""
        return is_notebook_name(self.path)

    @property
    def is_work(self) -> bool:
        """Whether somebody who was asked for a notebook hands in a file of such a name: an archive, a script, an export, `a.ipynb.txt`."""
        match = _WORK.fullmatch(self.name)
        return match is not None and not match["text"]

    @property
    def is_zip(self) -> bool:
        """Whether the name is a zip archive's."""
        return self.path.lower().endswith(ZIP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The visible files of one given path (or of all single notebooks given), seen from one level.

    `where` names it in messages; `name` is the level's own name without a suffix, `above` the names of the two folders over it, nearest first;
    `repositories` are the folders below in which a `.git` lies.
    """

    where: str
    name: str
    files: tuple[File, ...]
    above: tuple[str, ...] = ()
    repositories: frozenset[str] = frozenset()
    opened: archive.Archive | None = None
    problems: tuple[str, ...] = ()

    def read(self, file: File, limit: int) -> bytes:
        """Read a small side file of at most `limit` bytes. Raises NotGradable or UsageError where it cannot be."""
        if self.opened is not None and isinstance(file.handle, ZipInfo):
            return self.opened.read(file.handle, limit)
        assert isinstance(file.handle, Path)
        data = local.from_file(file.handle).data
        if len(data) > limit:
            raise NotGradable(f"{self.where}: {display_path(file.whole)} has {len(data)} bytes; at most {limit} were expected.")
        return data

    def holds_notebook(self, file: File) -> bool:
        """Whether a file is a notebook by its content, whatever it is called."""
        try:
            if isinstance(file.handle, Path):  # a look at its beginning spares most files the reading
                with os.fdopen(local.open_without_waiting(file.handle), "rb") as opened:
                    if b"{" not in opened.read(64):
                        return False
            return holds_notebook(self.read(file, MAX_BYTES))
        except (GraderError, OSError):
            return False

    def within(self, file: File) -> "Iterator[File]":
        """Yield the notebooks of an archive among the files. Raises NotGradable or UsageError where it cannot be read."""
        with ExitStack() as stack:
            if self.opened is not None and isinstance(file.handle, ZipInfo):
                inner = self.opened.inside(file.handle)
            else:
                assert isinstance(file.handle, Path)
                inner = archive.Archive(_open(file.handle, stack), display_path(file.whole))
            files, problems = _members(inner, file.reference)
            if problems:
                raise NotGradable(problems[0])
            yield from (replace(found, whole=f"{file.whole}!{found.whole}") for found in files if found.is_notebook)

    def levels(self) -> "Iterator[Files]":
        """Yield these files as seen from here, then from inside each folder that is the only thing in its place."""
        level = self
        for _ in range(MAX_WRAPPERS):
            yield level
            tops = {file.path.partition("/")[0] for file in level.files if "/" in file.path}
            if len(tops) != 1 or not all("/" in file.path for file in level.files):
                return
            (top,) = tops
            level = replace(
                level,
                name=top,
                files=tuple(replace(file, path=file.path.partition("/")[2]) for file in level.files),
                above=(level.name, *level.above)[:2],
                repositories=frozenset(name.partition("/")[2] for name in level.repositories if "/" in name),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file of one hand-in, as its layout tells it; the fields are those of `HandedIn`. `student` is empty where the layout tells none.

    `shown` is the file's name without what the platform put before it. `chosen`: a person named exactly this file (and, of an archive, this `member`).
    `refusal`: why the hand-in cannot be graded, whatever the file holds; it names neither file nor person.
    """

    file: File
    source: Files
    platform: Platform
    student: str
    shown: str
    name: str = ""
    members: tuple[str, ...] = ()
    attempt: int | None = None
    submitted_at: datetime | None = None
    seconds_late: float | None = None
    late: bool | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = False
    member: str = ""
    refusal: str = ""

    @property
    def hand_in(self) -> tuple[object, ...]:
        """What the files of one hand-in have in common: student, attempt and given path."""
        return (id(self.source), self.platform, self.student, self.attempt, self.submitted_at)

    def handed_in(self, attempt: int | None) -> HandedIn:
        """The hand-in that this file is."""
        told = ("platform", "student", "name", "members", "submitted_at", "seconds_late", "late", "ids", "refusal")
        same = {name: getattr(self, name) for name in told}
        return HandedIn(**same, reference=self.file.reference, file=display_name(self.shown), attempt=attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a layout's reader made of the files: pieces, files that belong to nobody, and sentences about what could not be understood."""

    pieces: tuple[Piece, ...] = ()
    loose: tuple[File, ...] = ()
    problems: tuple[str, ...] = ()


def tidy(text: str) -> str:
    """A name or identifier as it is kept: composed (NFC), without control characters, single spaces inside and none around."""
    return " ".join(clean_text(unicodedata.normalize("NFC", text)).split())


def stem(name: str) -> str:
    """The name of a notebook, an archive or another file that may be work without its suffixes: `ada` of `ada.ipynb`, `ada.ipynb.json`, `ada.tar.gz`."""
    match = _WORK.fullmatch(name)
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else match[1] if match else name


def moment(text: str, *, zoned: bool = True) -> datetime | None:
    """A time (`2026-03-01 10:00[:00[.0]] +01:00`, or ISO 8601) in UTC; None where it is none, or has no zone and `zoned` asks for one."""
    match = _MOMENT.fullmatch(text.strip())
    if match is None or (zoned and not match[2]):
        return None
    zone = "+00:00" if (match[2] or "Z").upper() in {"Z", "UTC", "GMT"} else match[2]
    try:
        return datetime.fromisoformat(f"{match[1]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def given(paths: Iterable[Path], stack: ExitStack) -> Iterator[Files]:
    """Yield the files of each folder and archive, then of all single notebooks together. Archives stay open until `stack` closes.

    Raises:
        NothingToGrade: a path does not exist.
        NotGradable: an archive is damaged, or of a kind that is not read.
        UsageError: a folder has too many entries, or may not be read.

    """
    singles: list[File] = []
    others: list[File] = []
    for path in dict.fromkeys(paths):
        shown = str(path)
        if not local.exists(path):
            raise local.missing(path)
        if not _is_text(shown):
            raise UsageError(f"{display_path(shown)}: the path is not readable text (UTF-8). Rename it.")
        if path.is_dir():
            yield _folder(path)
        elif archive.is_zip(path) or path.suffix.lower() == ZIP:
            opened = archive.Archive(_open(path, stack), display_path(shown))
            files, refused = _members(opened, shown)
            yield Files(where=opened.where, name=stem(path.name), files=files, opened=opened, problems=tuple(refused))
        else:
            file = File(path=unicodedata.normalize("NFC", path.name), whole=shown, reference=shown, handle=path)
            (singles if file.is_notebook else others).append(file)
    loose = Files(where=GIVEN, name="", files=())
    work = [file for file in others if (file.is_work and singles) or loose.holds_notebook(file)]
    problems = [
        f"{display_path(file.whole)}: a folder, a zip archive or a notebook (.ipynb) was expected; it is skipped."
        for file in others
        if file not in work
    ]
    if singles or others:
        yield replace(loose, files=(*singles, *work), problems=tuple(problems))


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _open(path: Path, stack: ExitStack) -> BinaryIO:
    with refused(UsageError, f"{display_path(str(path))}: the file could not be read", "Check its permissions."):
        return stack.enter_context(os.fdopen(local.open_without_waiting(path), "rb"))


def _folder(folder: Path) -> Files:
    """List the visible files below a folder. Links are not followed; what is no plain file is told of."""
    where = display_path(str(folder))
    files: list[File] = []
    repositories: set[str] = set()
    odd: list[str] = []
    empty: list[str] = []
    problems: list[str] = []
    entries = 0
    waiting = [(folder, "")]
    while waiting:
        place, below = waiting.pop()
        try:
            with os.scandir(place) as scan:
                listed = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"{where}: {display_path(below) or 'the folder'} could not be read ({error.strerror}). Check its permissions.")
            continue
        entries += len(listed)
        if entries > local.MAX_ENTRIES:
            raise UsageError(f"{where}: more than {local.MAX_ENTRIES} entries; give the folder that holds only the submissions.")
        if below and all(_is_junk(entry.name) for entry in listed):
            empty.append(below)
        for entry in listed:
            if entry.name == ".git":
                repositories.add(below.removesuffix("/"))
            if _is_junk(entry.name):
                continue
            path = below + unicodedata.normalize("NFC", entry.name)
            if not _is_text(path) or entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
                odd.append(path)
            elif entry.is_dir():
                waiting.append((Path(entry.path), path + "/"))
            else:
                files.append(File(path=path, whole=path, reference=entry.path, handle=Path(entry.path)))
    if odd:
        problems.append(
            f"{where}: plain files with readable names (UTF-8) were expected; links, devices and other names are skipped: {listing(odd)}. "
            "Put the file itself there, or rename it."
        )
    if empty:
        problems.append(f"{where}: nothing to read in {listing(empty)}. If one of them is a submission, ask for it again.")
    above = folder.absolute()
    return Files(
        where=where,
        name=unicodedata.normalize("NFC", above.name),
        files=tuple(sorted(files, key=lambda file: file.path)),
        above=(above.parent.name, above.parent.parent.name),
        repositories=frozenset(repositories),
        problems=tuple(problems),
    )


def _members(opened: archive.Archive, reference: str) -> tuple[tuple[File, ...], list[str]]:
    """List an archive's visible members; one that would be refused when it is read is told of instead."""
    names = Counter(info.filename for info in opened.members)
    twice: set[str] = set()
    files: list[File] = []
    problems: list[str] = []
    for info in opened.members:
        parts = [part for part in _readable(info).replace("\\", "/").split("/") if part not in {"", "."}]
        if not parts or any(_is_junk(part) for part in parts if part != ".."):
            continue
        path = "/".join(parts)
        shown = f"{opened.where}!{display_path(path)}"
        file = File(path=path, whole=path, reference=f"{reference}!{info.filename}", handle=info)
        if ".." in parts or file.is_notebook or file.is_zip:
            refused = archive.refusal(info, shown)
            if refused is not None:
                problems.append(str(refused))
                continue
            if names[info.filename] > 1:
                twice.add(path)
                continue
        files.append(file)
    if twice:
        problems.append(
            f"{opened.where}: in the archive more than once, so that it is unclear which one counts: {listing(twice)}. Pack it again."
        )
    return tuple(sorted(files, key=lambda file: file.path)), problems


def _readable(info: ZipInfo) -> str:
    """A member's name as it was meant: composed, and as UTF-8 where the archive forgot to say so (as the Finder does)."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with suppress(UnicodeError):  # then it was meant as it is
            name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name in {"__MACOSX", "node_modules"} or name.lower() in _JUNK
