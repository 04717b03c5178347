"""Verdicts kept by content: equal trainings are measured once, on this machine and for this user.

An entry is a file named by its key, written beside its place and renamed into it, so that readers and writers need no lock: two writers of
one key write the same verdict, and the later one wins. An entry holds its own checksum; one that does not fit is never used, and told of.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from grader.decode import strict_json, to_record
from grader.errors import FrameError
from grader.records import Training

SCHEMA = "grader/training-cache/v1"
_KEY_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A kept verdict as `grade cache` shows it. `state`: ok | damaged."""

    key: str
    state: str
    role: str = ""
    verdict: str = ""
    seconds: float = 0.0
    bytes: int = 0


def default_folder() -> Path:
    """`$GRADER_CACHE`, else the `training` folder in the user's cache for `grader`."""
    if named := os.environ.get("GRADER_CACHE"):
        return Path(named).expanduser().absolute()
    import platformdirs  # noqa: PLC0415  (only needed where nothing is configured)

    return Path(platformdirs.user_cache_dir("grader")) / "training"


class Cache:
    """The verdicts below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Training | None:
        """The verdict kept under `key`; None where there is none, or none that can be trusted."""
        try:
            return replace(_read(self._path(key), key), cached=True)
        except (OSError, FrameError):
            return None

    def put(self, key: str, training: Training) -> bool:
        """Keep a verdict. Returns whether it was kept: a cache that cannot be written costs time, never a verdict."""
        runs = (*training.reruns, *(found.rerun for found in training.counterfactuals))
        if training.verdict == "not_measured" or any(rerun.ending == "cut" for rerun in runs):
            return False  # a deadline's doing, or a lack of ours: the next run may do better
        path = self._path(key)
        body = asdict(replace(training, cached=False))
        text = json.dumps({"schema": SCHEMA, "key": key, "sha256": _digest(body), "training": body}, allow_nan=False)
        name = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-", delete=False, encoding="utf-8") as file:
                name = file.name
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            if name:
                with suppress(OSError):
                    Path(name).unlink(missing_ok=True)
            return False
        return True

    def entries(self) -> Iterator[Entry]:
        """Every entry, read whole and checked."""
        for path in sorted(self.folder.glob("??/*.json")):
            try:
                found = _read(path, path.stem)
                yield Entry(
                    key=path.stem, state="ok", role=found.role, verdict=found.verdict, seconds=found.seconds, bytes=path.stat().st_size
                )
            except (OSError, FrameError):
                yield Entry(key=path.stem, state="damaged", bytes=path.stat().st_size if path.exists() else 0)

    def clear(self, *, damaged_only: bool = False) -> int:
        """Remove entries; returns how many. Raises OSError where the folder cannot be written."""
        chosen = [entry for entry in self.entries() if not damaged_only or entry.state == "damaged"]
        for entry in chosen:
            self._path(entry.key).unlink(missing_ok=True)
        if not damaged_only and self.folder.is_dir():
            for path in self.folder.glob("??"):
                shutil.rmtree(path, ignore_errors=True)
        return len(chosen)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _digest(body: object) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _read(path: Path, key: str) -> Training:
    """The verdict in a file. Raises FrameError where it is not what was written, OSError where it cannot be read."""
    found = strict_json(path.read_bytes())
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or found.get("key") != key or len(key) != _KEY_LENGTH:
        raise FrameError(f"{path}: not an entry of this cache")
    if found.get("sha256") != _digest(found.get("training")):
        raise FrameError(f"{path}: its checksum does not fit")
    return to_record(Training, found["training"])
