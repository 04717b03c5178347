"""nbgrader: `submitted/<student>/<assignment>/…` of a course, or the exchange's inbound folders `<student>+<assignment>+<timestamp>[+random]`.

`timestamp.txt` in a hand-in's folder says when it was handed in (UTC where it names no zone). A `+` more in an inbound folder's name leaves open where
the student ends: an assignment that another folder names for sure settles it, else the folder belongs to nobody.
"""

import re
from collections.abc import Iterator
from datetime import datetime

from grader.errors import GraderError
from grader.sources.classes.layout import MAX_PATH, File, Files, Found, Piece, moment, tidy
from grader.sources.common import display_path, listing

EXPECTED = "submitted/STUDENT/ASSIGNMENT/work.ipynb, as in an nbgrader course"
TIMESTAMP = "timestamp.txt"
_STAMP_BYTES = 1_000
_INBOUND = re.compile(r"(?P<who>[^+]+(?:\+[^+]+)+)\+(?P<timestamp>\d{4}-\d\d-\d\d \d\d[:_]\d\d[^+]*)(?:\+[^+]*)?", re.DOTALL)

Place = tuple[str, str, str, str]
"""Student (nothing where it is unclear), assignment, the folder's own timestamp (or nothing), and the folder that is the hand-in, with a slash at its end
unless it is the top."""


def recognises(files: Files) -> bool:
    """Whether it is a course, its `submitted` folder, the inbound folder, or one of the hand-ins in them."""
    lead = _lead(files)
    if any(file.path.startswith("submitted/") and file.path.count("/") >= 3 for file in files.files):
        return True
    if lead == () and any(file.path.count("/") >= 2 for file in files.files):
        return True
    stamps = [file for file in files.files if file.name == TIMESTAMP]
    if any(file.path.count("/") + len(lead or ()) == 2 for file in stamps):
        return True
    return sum(place is not None and bool(place[2]) for _, place in _places(files)) * 2 > len(files.files)


def read(files: Files) -> Found:
    """Read the folders; `student` is nbgrader's student id."""
    placed: list[tuple[File, Place]] = []
    loose: list[File] = []
    unclear: dict[str, None] = {}
    course = any(file.path.startswith("submitted/") for file in files.files)
    for file, place in _places(files):
        if place is not None and place[0]:
            placed.append((file, place))
        elif place is not None:
            loose.append(file)
            unclear[place[3].rstrip("/") or files.name] = None
        elif not course:
            loose.append(file)  # of a course, the other folders are the instructor's
    problems: list[str] = []
    if unclear:
        problems.append(
            f"{files.where}: STUDENT+ASSIGNMENT+TIME was expected as a folder's name; where the student ends is unclear in {listing(unclear)}. "
            "Name each file's student in a mapping CSV (columns file, student)."
        )
    times: dict[str, datetime | None] = {}
    for file, (_, _, stamp, folder) in placed:
        if file.path == folder + TIMESTAMP:
            times[folder] = _timestamp(files, file, problems)
        elif stamp:
            times.setdefault(folder, moment(stamp.replace("_", ":"), zoned=False))
    pieces = tuple(
        Piece(
            file=file,
            source=files,
            platform="nbgrader",
            student=tidy(student),
            shown=file.name,
            submitted_at=times.get(folder),
            ids={"student": student, "assignment": assignment},
        )
        for file, (student, assignment, _, folder) in placed
    )
    return Found(pieces=pieces, loose=tuple(loose), problems=tuple(problems))


def _lead(files: Files) -> tuple[str, ...] | None:
    """The folders between `submitted` and this level: none, the student, or student and assignment; None where it is not below `submitted`."""
    above = [files.name, *files.above]
    return tuple(reversed(above[: above.index("submitted")])) if "submitted" in above else None


def _places(files: Files) -> Iterator[tuple[File, Place | None]]:
    """Yield each file with its place."""
    lead = _lead(files)
    alone = _INBOUND.fullmatch(files.name)
    inside = any(file.path.startswith("submitted/") for file in files.files)
    tops = {file.path.partition("/")[0] for file in files.files if len(file.path) <= MAX_PATH}
    inbound = {top: match for top in tops if (match := _INBOUND.fullmatch(top))}
    sure = {match["who"].partition("+")[2] for match in inbound.values() if match["who"].count("+") == 1}
    for file in files.files:
        top, slash, rest = file.path.partition("/")
        if len(file.path) > MAX_PATH:
            yield file, None
        elif inside:
            yield file, _by_folders(rest.split("/"), "submitted/") if top == "submitted" else None
        elif alone:
            yield file, (*_split(alone["who"], set()), alone["timestamp"], "")
        elif slash and top in inbound:
            yield file, (*_split(inbound[top]["who"], sure), inbound[top]["timestamp"], top + "/")
        else:
            place = _by_folders([*(lead or ()), *file.path.split("/")], "")
            yield file, place and (*place[:3], "".join(f"{part}/" for part in file.path.split("/")[: 2 - len(lead or ())]))


def _split(who: str, sure: set[str]) -> tuple[str, str]:
    """Student and assignment of `STUDENT+ASSIGNMENT`; nothing for both where several splits are possible and not just one has an assignment of `sure`."""
    parts = who.split("+")
    splits = [("+".join(parts[:end]), "+".join(parts[end:])) for end in range(1, len(parts))]
    known = splits if len(splits) == 1 else [split for split in splits if split[1] in sure]
    return known[0] if len(known) == 1 else ("", "")


def _by_folders(parts: list[str], before: str) -> Place | None:
    """The place of `student/assignment/…`; None where it is not so deep."""
    return (parts[0], parts[1], "", f"{before}{parts[0]}/{parts[1]}/") if len(parts) >= 3 else None


def _timestamp(files: Files, file: File, problems: list[str]) -> datetime | None:
    where = f"{files.where}: {display_path(file.whole)}"
    try:
        text = files.read(file, _STAMP_BYTES).decode("utf-8", "replace")
    except GraderError as error:
        problems.append(f"{where} could not be read ({error}) It counts as submitted at an unknown time.")
        return None
    found = moment(text, zoned=False)
    if found is None:
        problems.append(f"{where}: a time such as 2026-03-01 10:00:00 UTC was expected. It counts as submitted at an unknown time.")
    return found
