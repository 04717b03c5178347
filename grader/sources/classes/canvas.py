"""Canvas, "Download Submissions": a flat archive of `<who>[_LATE]_<user>_<file>_<name>`.

Where marking is anonymous, it is `[LATE_]anon_<id>_<file>_<name>`. `<who>` is the student's (or group's) name in lower case without anything but letters, digits and underscores. Texts and links typed into Canvas
come as `…_text.html` and `…_link.html` and have no file number. Only the latest attempt is in it.
"""

import re

from grader.sources.classes.layout import MAX_PATH, File, Files, Found, Piece, tidy

EXPECTED = "NAME_USER_FILE_work.ipynb, as Canvas' Download Submissions names files"
_FILE = r"(?:(?P<fid>\d+)_(?P<file>.+)|(?P<typed>(?:text|link)\.html))"
_NAMED = re.compile(rf"(?:(?P<who>[^/]*?)_)?(?:(?P<late>LATE)_)?(?P<uid>\d+)_{_FILE}", re.ASCII | re.DOTALL)
_ANONYMOUS = re.compile(rf"(?:(?P<late>LATE)_)?anon_(?P<anon>[A-Za-z0-9]+)_{_FILE}", re.ASCII | re.DOTALL)


def recognises(files: Files) -> bool:
    """Whether more than half of the files at the top are named as Canvas names them."""
    top = [file for file in files.files if "/" not in file.path]
    return bool(top) and sum(_match(file) is not None for file in top) * 2 > len(files.files)


def read(files: Files) -> Found:
    """Read the names; `student` is Canvas' user (of a group: the one Canvas names), or the anonymous id."""
    pieces: list[Piece] = []
    loose: list[File] = []
    for file in files.files:
        match = _match(file)
        if match is None:
            loose.append(file)
            continue
        parts = match.groupdict()
        who = parts.get("who") or ""
        nameless = who == "LATE"  # names are in lower case
        key = "uid" if parts.get("uid") else "anon"
        ids = {key: match[key]} | ({"fid": match["fid"]} if match["fid"] else {})
        pieces.append(
            Piece(
                file=file,
                source=files,
                platform="canvas",
                student=match[key],
                shown=match["file"] or match["typed"],
                name="" if nameless else tidy(who),
                late=nameless or match["late"] is not None,
                ids=ids,
            )
        )
    return Found(pieces=tuple(pieces), loose=tuple(loose))


def _match(file: File) -> re.Match[str] | None:
    if "/" in file.path or len(file.path) > MAX_PATH:
        return None
    return _ANONYMOUS.fullmatch(file.path) or _NAMED.fullmatch(file.path)
