"""A folder of repositories, as GitHub Classroom's tools clone them: `<assignment>-<user>/…`, one notebook in each."""

from grader.sources.classes.layout import MAX_PATH, File, Files, Found, Piece, stem, tidy

EXPECTED = "folders ASSIGNMENT-USER with a repository in each"
_FEWEST = 3
"""Folders with one beginning that are taken for repositories though no `.git` lies in them (downloaded archives)."""
_BRANCHES = ("-main", "-master")


def recognises(files: Files) -> bool:
    """Whether there are folders with a `.git` in them, or several that begin alike; nothing else but loose files beside them."""
    tops = _tops(files)
    if any(file.is_notebook and "/" not in file.path for file in files.files):
        return False
    return bool(tops & files.repositories) or (len(tops) >= _FEWEST and bool(_beginning(files, tops)))


def read(files: Files) -> Found:
    """Read the folders; `student` is what is left of the folder's name without the beginning that all have in common."""
    tops = _tops(files)
    start = len(_beginning(files, tops))
    end = next((len(branch) for branch in _BRANCHES if all(top.endswith(branch) and len(top) > start + len(branch) for top in tops)), 0)
    pieces: list[Piece] = []
    loose: list[File] = []
    for file in files.files:
        top, slash, _ = file.path.partition("/")
        if not slash or len(file.path) > MAX_PATH:
            if not file.is_zip:
                loose.append(file)
                continue
            top = stem(top)  # a repository that was downloaded as an archive
        student = top[start : len(top) - end] if top in tops else top
        pieces.append(
            Piece(file=file, source=files, platform="repositories", student=tidy(student), shown=file.name, ids={"repository": tidy(top)})
        )
    return Found(pieces=tuple(pieces), loose=tuple(loose))


def _tops(files: Files) -> frozenset[str]:
    """The folders at the top, and the archives there, without their suffix."""
    folders = {file.path.partition("/")[0] for file in files.files if "/" in file.path}
    archives = {stem(file.path) for file in files.files if "/" not in file.path and file.is_zip}
    return frozenset(folders | archives | {name for name in files.repositories if name and "/" not in name})


def _beginning(files: Files, tops: frozenset[str]) -> str:
    """What all folders begin with, up to a hyphen: the assignment's name; nothing where a folder would be left without a name."""
    told = files.name.removesuffix("-submissions") + "-"  # gh classroom clone names the folder so
    if len(tops) > 1 and not all(top.startswith(told) for top in tops):
        first, last = min(tops), max(tops)  # what these two have in common, all have
        told = first[: next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))]
        told = told[: told.rfind("-") + 1]
    return told if tops and all(top.startswith(told) and len(top) > len(told) for top in tops) else ""
