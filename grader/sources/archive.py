"""Submissions in a zip archive: one member is read in memory, nothing is ever unpacked to disk.

An archive is hostile until shown otherwise: links, encrypted members, names that climb out, names that occur twice, compression bombs and
oversized directories are refused with a sentence each.
"""

import io
import lzma
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from grader.errors import NotGradable, NothingToGrade, UsageError
from grader.records import Submission
from grader.sources.common import MAX_BYTES, display_path, is_notebook_name, listing, submission, too_large
from grader.sources.local import exists

MAX_MEMBERS = 50_000
MAX_DIRECTORY = 32 * 2**20
"""Bytes of an archive's own table of contents; it is held in memory."""
MAX_RATIO = 400
"""A member that grows more than this is refused. Deflate cannot exceed 1032; notebooks full of progress bars reach about 100."""
_RATIO_FREE = 2**20
_END = b"PK\x05\x06"
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_zip(path: Path) -> bool:
    """Whether a file begins and ends as a zip archive."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK" and zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True  # of a kind that cannot be read (one part of several); reading it says so
    except OSError:
        return False


def split(reference: str) -> tuple[Path, str] | None:
    """Split `class.zip!member.ipynb` or `class.zip/member.ipynb` into an existing archive and a member's name; None if it is neither."""
    for match in re.finditer(r"[!/\\]", reference):
        path = Path(reference[: match.start()])
        if match.start() and exists(path) and is_zip(path):
            return path, reference[match.end() :]
    return None


class Archive:
    """An open zip archive of which nothing is believed: its table of contents was measured before it was loaded.

    Raises NotGradable where it is damaged, of an unusual kind, or holds too many members.
    """

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.where = where
        try:
            _check_directory(file, where)
            self._zip = zipfile.ZipFile(file)
        except _BROKEN as error:
            raise _damaged(where, error) from error
        infos = self._zip.infolist()
        if len(infos) > MAX_MEMBERS:
            raise NotGradable(f"{where}: at most {MAX_MEMBERS} members were expected; there are {len(infos)}. Give a smaller archive.")
        self.members = [info for info in infos if not info.filename.endswith("/")]  # `is_dir` fails on an empty name
        self.named: dict[str, list[zipfile.ZipInfo]] = {}
        for info in self.members:
            self.named.setdefault(info.filename, []).append(info)

    def read(self, info: zipfile.ZipInfo, limit: int | None = None) -> bytes:
        """Read a member of at most `limit` bytes (`MAX_BYTES` if None). Raises NotGradable for one that is refused (module docstring) or damaged."""
        where = f"{self.where}!{display_path(info.filename)}"
        try:
            return _read(self._zip, info, where, MAX_BYTES if limit is None else limit)
        except _BROKEN as error:
            raise _damaged(where, error) from error

    def inside(self, info: zipfile.ZipInfo) -> "Archive":
        """Open a member that is an archive itself, in memory. Raises NotGradable as above."""
        return Archive(io.BytesIO(self.read(info)), f"{self.where}!{display_path(info.filename)}")


def from_zip(path: Path, member: str | None) -> Submission:
    """Read one member, or, with `member` None, the only notebook of the archive.

    A member of an archive within the archive is named `INNER.zip!MEMBER`; deeper ones are not read.

    Raises:
        UsageError: several notebooks and none named.
        NothingToGrade: no notebook, or no member of that name.
        NotGradable: a damaged archive, or a member that is refused (module docstring).

    """
    where = display_path(str(path))
    try:
        file = path.open("rb")
    except OSError as error:
        raise _damaged(where, error) from error
    with file:
        return from_archive(Archive(file, where), member)


def from_archive(archive: Archive, member: str | None) -> Submission:
    """As `from_zip`, from an archive that is open already."""
    inner = _within(archive, member) if member is not None else None
    if inner is not None:
        info, member = inner
        archive = archive.inside(info)
    info = _choose(archive, member)
    return submission(archive.read(info), info.filename, "archive")


def refusal(info: zipfile.ZipInfo, where: str) -> NotGradable | None:
    """Why a member is not read, from what the table of contents says of it; None if it may be."""
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or info.filename.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", info.filename):
        return NotGradable(f"{where}: the member's name leads out of the archive. Pack it again without absolute or parent folders.")
    if stat.S_ISLNK(info.external_attr >> 16):
        return NotGradable(f"{where}: the member is a link, not a file. Pack the notebook itself.")
    if info.flag_bits & 0x1:
        return NotGradable(f"{where}: the member is encrypted. Pack it again without a password.")
    if info.file_size > MAX_BYTES:
        return too_large(where, info.file_size)
    if info.file_size > _growth(info):
        return _bomb(where)
    return None


def _damaged(where: str, error: Exception) -> NotGradable:
    return NotGradable(f"{where}: the archive is damaged or of an unusual kind ({error}). Pack it again as an ordinary zip.")


def _check_directory(file: BinaryIO, where: str) -> None:
    """Refuse an archive whose table of contents would fill the memory, before it is loaded."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_END)
    declared = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if declared > MAX_DIRECTORY:
        raise NotGradable(
            f"{where}: the archive's table of contents is larger than {MAX_DIRECTORY // 2**20} MiB. Unpack it and give the notebook itself."
        )


def _within(archive: Archive, member: str) -> tuple[zipfile.ZipInfo, str] | None:
    """Split `INNER.zip!MEMBER` into the one member that is an archive and what is meant in it; None where that is a plain member's name."""
    if member in archive.named:
        return None
    for match in re.finditer("!", member):
        infos = archive.named.get(member[: match.start()], [])
        if len(infos) == 1 and infos[0].filename.lower().endswith(".zip"):
            return infos[0], member[match.end() :]
    return None


def _choose(archive: Archive, member: str | None) -> zipfile.ZipInfo:
    """Find the member that is meant."""
    names, where = archive.named, archive.where
    if member is None:
        wanted = sorted(name for name in names if is_notebook_name(name.replace("\\", "/")))
        if len(wanted) > 1:
            raise UsageError(
                f"{where}: one notebook was expected in the archive; {len(wanted)} were found: {listing(wanted)}. "
                f"Name one (ARCHIVE.zip!MEMBER), or use `grade batch`."
            )
        if not wanted:
            seen = f"only {listing(info.filename for info in archive.members)}" if names else "nothing"
            raise NothingToGrade(f"{where}: a notebook (.ipynb) was expected in the archive; {seen} was found.")
        member = wanted[0]
    if member not in names:
        held = listing(name for name in names if is_notebook_name(name.replace("\\", "/"))) or "no notebook"
        raise NothingToGrade(f"{where}: no member is named {display_path(member)}; the archive holds {held}.")
    if len(names[member]) > 1:
        raise NotGradable(
            f"{where}: {display_path(member)} is in the archive more than once, so it is unclear which one counts. Pack it again."
        )
    return names[member][0]


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, limit: int) -> bytes:
    """Read a member, trusting none of the sizes that the archive declares."""
    refused = refusal(info, where)
    if refused is not None:
        raise refused
    with archive.open(info) as file:
        data = file.read(min(_growth(info), limit) + 1)
    if len(data) > limit:
        raise too_large(where)
    if len(data) > _growth(info):
        raise _bomb(where)
    return data


def _growth(info: zipfile.ZipInfo) -> int:
    """The bytes that a member may grow to."""
    return max(_RATIO_FREE, MAX_RATIO * info.compress_size)


def _bomb(where: str) -> NotGradable:
    return NotGradable(
        f"{where}: the member grows to more than {MAX_RATIO} times its packed size, as no notebook does. Give the file itself."
    )
