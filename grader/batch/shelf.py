"""The reports of a class as files: one folder a student, for handing back."""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from grader.errors import InfrastructureError, UsageError, refused

_NEW, _MARK = ".new-", ".report-of"
_STALE_S = 3600.0


class Shelf:
    """The folder of reports: one folder a student, named by the pseudonym, replaced as a whole. A small file in each says of what it is the report."""

    def __init__(self, folder: Path, key: str) -> None:
        """`key` names the grading key. Raises UsageError where the folder cannot be made. What a killed run left half made is removed."""
        self.folder, self._key = folder, key
        with refused(UsageError, f"--out {folder}: expected a folder that can be written", "Name another one."):
            folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{_NEW}*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _STALE_S:
                    shutil.rmtree(path)

    def has(self, student: str, content: str) -> bool:
        """Whether the report of this content is there for this student."""
        try:
            return (self.folder / student / _MARK).read_text(encoding="utf-8") == self._mark(content)
        except OSError:
            return False

    def put(self, students: Sequence[str], content: str, files: Mapping[str, str]) -> None:
        """Write the report of equal work for each of the students. Raises InfrastructureError where the disk fails."""
        what, advice = f"--out {self.folder}: a report could not be written", "Free some space and run the same command again."
        for student in students:
            target = self.folder / student
            with refused(InfrastructureError, what, advice), tempfile.TemporaryDirectory(dir=self.folder, prefix=_NEW) as temporary:
                fresh = Path(temporary) / "new"
                fresh.mkdir()
                for name, text in {**files, _MARK: self._mark(content)}.items():
                    (fresh / name).write_text(text, encoding="utf-8", newline="\n")
                with contextlib.suppress(FileNotFoundError):
                    target.rename(Path(temporary) / "old")
                fresh.rename(target)

    def _mark(self, content: str) -> str:
        return f"{self._key}, content {content}\n"
