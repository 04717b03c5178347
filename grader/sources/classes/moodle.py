"""Moodle, "Download all submissions": `<name>_<participant>_assignsubmission_<plugin>`, as folders or before each file's name.

The folders have a trailing `_` before Moodle 4.1. `<participant>` is the number in the grading worksheet's Identifier column, not the user's id; for
a team it is the team's. Where marking is anonymous, the name is the word for "Participant" in the language of whoever downloads. The "Default
group" of teamless students has no number.
"""

import re

from grader.sources.classes.layout import MAX_PATH, File, Files, Found, Piece, tidy

EXPECTED = "NAME_NUMBER_assignsubmission_file/work.ipynb, as Moodle's Download all submissions names files"
_WHO = r"(?P<name>[^_/]+)_(?:(?P<participant>\d+)_)?(?P<kind>assignsubmission|assignfeedback)_(?P<plugin>[a-z]+)"
_IN_FOLDERS = re.compile(rf"{_WHO}_?/(?P<file>.+)", re.ASCII | re.DOTALL)
_FLAT = re.compile(rf"{_WHO}_(?P<file>[^/].*)", re.ASCII | re.DOTALL)


def recognises(files: Files) -> bool:
    """Whether more than half of the files are named as Moodle names them."""
    return sum(_match(file) is not None for file in files.files) * 2 > len(files.files)


def read(files: Files) -> Found:
    """Read the names; `student` is the participant's number, or the name where there is none. Feedback files are not the student's."""
    loose: list[File] = []
    matched: list[tuple[File, re.Match[str]]] = []
    for file in files.files:
        match = _match(file)
        if match is None:
            loose.append(file)
        elif match["kind"] == "assignsubmission":
            matched.append((file, match))
    names = {match["name"] for _, match in matched}
    participants = {match["participant"] for _, match in matched}
    anonymous = names == {"Participant"} or (len(names) == 1 and len(participants) > 1)
    pieces = tuple(
        Piece(
            file=file,
            source=files,
            platform="moodle",
            student=match["participant"] or tidy(match["name"]),
            shown=match["file"].rsplit("/", 1)[-1],
            name="" if anonymous else tidy(match["name"]),
            ids={"participant": match["participant"]} if match["participant"] else {},
        )
        for file, match in matched
    )
    return Found(pieces=pieces, loose=tuple(loose))


def _match(file: File) -> re.Match[str] | None:
    return None if len(file.path) > MAX_PATH else _IN_FOLDERS.fullmatch(file.path) or _FLAT.fullmatch(file.path)
