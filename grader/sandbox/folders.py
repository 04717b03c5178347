"""A box's folder on the host: made with an owner that the kernel knows, removed at the end, and swept by the next run if its owner was killed.

An owner holds a lock on the folder's `.owner` file while it lives, whatever ends it. So a folder whose lock can be taken has no owner any
more; process numbers, which come again and differ between containers that share a temporary folder, are not asked.
"""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NOBODY = 65534
"""The user that boxes of the Landlock tier run as where we are root."""

_PREFIX = "grade-"
_OWNER = ".owner"
_owned: dict[Path, int] = {}


def make_folder() -> Path:
    """A new private folder, owned by this process. The first call of a process sweeps what killed runs of this user left."""
    _sweep_once()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    fresh = folder / f"{_OWNER}.new"
    descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    fresh.rename(folder / _OWNER)  # under its name the file is never seen without its lock
    _owned[folder] = descriptor
    return folder


def remove_folder(folder: Path) -> None:
    """Remove a folder of `make_folder` with all that is in it. Safe to call twice."""
    _remove_tree(folder)
    descriptor = _owned.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


def _remove_tree(folder: Path) -> None:
    """Remove a box's folder, whatever a box made in it: deeper than a recursion goes, or closed to its owner."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX", "--", str(folder)], ["rm", "-rf", "--", str(folder)]):
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603


def sweep() -> list[Path]:
    """Remove every folder below the temporary one whose owner, a process of this user, is gone. Returns what was removed."""
    removed = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in _users():
                continue
            descriptor = os.open(folder / _OWNER, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove_tree(folder)
                removed.append(folder)
            finally:
                os.close(descriptor)
    return removed


_sweep_once = cache(sweep)


def _users() -> tuple[int, ...]:
    """Whose folders may be ours: this user's, and for root those handed to the user that boxes run as."""
    return (0, NOBODY) if os.geteuid() == 0 else (os.geteuid(),)
