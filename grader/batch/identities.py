"""Names become keyed pseudonyms on the way into a batch, and names again only on the way out.

`sub_` and 12 characters of an HMAC-SHA256: without the key nobody can try identifiers until one fits. The key file is the instructor's and is made
once; the names file remembers who is behind each pseudonym. Both have mode 0600, belong beside the gradebook and into no report, log or upload.
"""

import base64
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Literal

from grader.decode import strict_json, to_record
from grader.errors import FrameError, GraderError, UsageError, refused
from grader.records import FromJson, HandedIn
from grader.reports import replace_file
from grader.sources.local import exists

SCHEMA = "grader/names/v1"
KEY_BYTES = 32
MAX_NAMES = 256 * 2**20
"""Bytes of a names file; a student takes about 200."""
_LENGTH = 12
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(FromJson):
    """Who is behind a pseudonym: the platform's own identifier, and what an export back to it needs (as in `HandedIn`).

    `members` are the identifiers of a group's students; each of them has a pseudonym of their own.
    """

    pseudonym: str
    platform: str
    student: str
    name: str = ""
    members: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content(FromJson):
    """A names file."""

    schema: Literal["grader/names/v1"]
    scope: str
    students: tuple[Identity, ...]


class Identities:
    """The pseudonyms of one class's hand-ins to one exercise."""

    def __init__(self, key: bytes, key_file: Path, names: Path, scope: str) -> None:
        self._key = key
        self._key_file = key_file
        self._names = names
        self._scope = scope
        self._known: dict[str, Identity] = {}
        self._read: dict[str, Identity] = {}  # as the names file had it
        self._entered: set[str] = set()

    @classmethod
    def open(cls, key: Path, names: Path, scope: str) -> "Identities":
        """Open both files; make the key where there is neither.

        Args:
            key: the key file, 32 random bytes. Runs that start together agree on one key.
            names: the names file; it is made by `save`.
            scope: course and assignment. Another scope gives the same student another pseudonym.

        Raises:
            UsageError: a file may be read by others, is damaged or is not of this class; the key is missing although names are there.

        """
        if not scope.strip():
            raise UsageError("The scope of the pseudonyms is empty; name the course and the assignment.")
        names_exist = exists(names)  # looked at first: whoever writes names has made the key before
        if not exists(key):
            if names_exist:
                raise UsageError(
                    f"{key}: the key to the names in {names} was expected; it is not there. Put it back: with a new key no student would be recognised. "
                    f"To start over, move {names} (and the gradebook) away."
                )
            _make(key)
        found = cls(_read_key(key), key, names, scope)
        found._known = found._read_names() if names_exist else {}
        found._read = dict(found._known)
        return found

    def pseudonym(self, platform: str, student: str) -> str:
        """The pseudonym of a student (or group): `sub_` and 12 of the characters a to z and 2 to 7."""
        parts = (part.encode("utf-8") for part in (platform, self._scope, student))
        told = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        digest = hmac.new(self._key, told, hashlib.sha256).digest()
        return "sub_" + base64.b32encode(digest).decode("ascii").lower()[:_LENGTH]

    def enter(self, handed: HandedIn) -> str:
        """Remember who handed in, and each member of a group, until `save`; give the pseudonym of the student (or group).

        A later hand-in of the same student replaces what is known of them, where it knows more or better.

        Raises:
            GraderError: two students would share a pseudonym.

        """
        for member in handed.members:
            if member != handed.student:
                self._remember(Identity(pseudonym=self.pseudonym(handed.platform, member), platform=handed.platform, student=member))
        return self._remember(
            Identity(
                pseudonym=self.pseudonym(handed.platform, handed.student),
                platform=handed.platform,
                student=handed.student,
                name=handed.name,
                members=handed.members,
                ids=dict(handed.ids),
            )
        )

    def of(self, pseudonym: str) -> Identity | None:
        """Who is behind a pseudonym; None where it is not known."""
        return self._known.get(pseudonym)

    def save(self) -> None:
        """Write the names file, whole or not at all, with what another run has entered meanwhile.

        Raises:
            UsageError: it cannot be written, or what stands there cannot be read.

        """
        if (
            self._entered
            and exists(self._names)
            and all(self._read.get(pseudonym) == self._known[pseudonym] for pseudonym in self._entered)
        ):
            return  # everybody who was entered stands there already
        with _open_private(self._key_file, "key file") as lock:
            with refused(UsageError, f"{self._key_file}: the key file could not be locked", "Keep it on a local disk."):
                fcntl.flock(lock, fcntl.LOCK_EX)  # one run writes at a time, until `lock` is closed
            if exists(self._names):
                entered = {pseudonym: self._known[pseudonym] for pseudonym in self._entered}
                self._known = {**self._known, **self._read_names(), **entered}
            students = [json.dumps(asdict(identity), ensure_ascii=False, sort_keys=True) for identity in self._known.values()]
            header = f'{{"schema": {json.dumps(SCHEMA)}, "scope": {json.dumps(self._scope, ensure_ascii=False)}, "students": [\n'
            data = (header + ",\n".join(students) + "\n]}\n").encode("utf-8")
            with refused(UsageError, f"{self._names}: the names file could not be written", "Check the folder's permissions and space."):
                self._names.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._names, data, mode=0o600)

    def _remember(self, identity: Identity) -> str:
        before = self._known.get(identity.pseudonym)
        if before is not None:
            if (before.platform, before.student) != (identity.platform, identity.student):
                raise GraderError(
                    f"{self._key_file}: two students would share the pseudonym {identity.pseudonym}, so their marks could not be told apart. "
                    "Move the key, the names and the gradebook away and start over; a new key gives new pseudonyms."
                )
            identity = replace(
                identity, name=identity.name or before.name, members=identity.members or before.members, ids={**before.ids, **identity.ids}
            )
        self._known[identity.pseudonym] = identity
        self._entered.add(identity.pseudonym)
        return identity.pseudonym

    def _read_names(self) -> dict[str, Identity]:
        """The names file's students. Raises UsageError where it is not what was written, with this key and scope."""
        with _open_private(self._names, "names file") as file:
            data = file.read(MAX_NAMES + 1)
        try:
            content = to_record(_Content, strict_json(data, MAX_NAMES))
        except FrameError as error:
            raise UsageError(
                f"{self._names}: the names file is damaged ({error}). Put back a copy, or move it away and read the class again."
            ) from error
        if content.scope != self._scope:
            raise UsageError(
                f"{self._names}: names of {self._scope!r} were expected; these are of {content.scope!r}. Give each exercise its own file."
            )
        for identity in content.students:
            if identity.pseudonym != self.pseudonym(identity.platform, identity.student):
                raise UsageError(f"{self._names}: the names were made with another key than {self._key_file}. Put that key back.")
        return {identity.pseudonym: identity for identity in content.students}


def _make(key: Path) -> None:
    """Make a key file, whole from the first moment on; where another run was faster, its key stays."""
    with refused(UsageError, f"{key}: the key file could not be made", "Name a place that can be written, on a local disk."):
        key.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=key.parent, prefix=".key-") as file:  # mode 0600
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(file.name, key)


def _read_key(key: Path) -> bytes:
    with _open_private(key, "key file") as file:
        data = file.read(KEY_BYTES + 1)
    if len(data) != KEY_BYTES:
        raise UsageError(f"{key}: a key of {KEY_BYTES} bytes was expected; the file is damaged or no key. Put back a copy of it.")
    return data


def _open_private(path: Path, what: str) -> BufferedReader:
    """Open a file that only its owner may read. Raises UsageError where others may, or it cannot be opened."""
    with refused(UsageError, f"{path}: the {what} could not be read", "Check its path and permissions."):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and not mode & _OTHERS:
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path}: the {what} is no plain file. Check its path.")
    raise UsageError(
        f"{path}: a {what} that only its owner may read was expected; its mode is {stat.S_IMODE(mode):04o}. "
        f"Others may have read it. To go on with it: chmod 600 {path}"
    )
