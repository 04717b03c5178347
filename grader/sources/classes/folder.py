"""A plain folder: of notebooks, where each file's name is the student, or of folders (or zip archives), where the folder's name is."""

from grader.sources.classes.layout import MAX_PATH, File, Files, Found, Piece, stem, tidy

EXPECTED = "STUDENT.ipynb or STUDENT/work.ipynb"


def read(files: Files) -> Found:
    """Read the names. Files at the top belong to nobody where neither their name nor their content is that of work."""
    files = _level(files)
    pieces: list[Piece] = []
    loose: list[File] = []
    for file in files.files:
        top, slash, _ = file.path.partition("/")
        if len(file.path) > MAX_PATH or not (slash or file.is_work or files.holds_notebook(file)):
            loose.append(file)
        else:
            student = tidy(top if slash else stem(top))
            pieces.append(Piece(file=file, source=files, platform="folder", student=student, shown=file.name))
    return Found(pieces=tuple(pieces), loose=tuple(loose))


def _level(files: Files) -> Files:
    """The level at which there are several students: folders that hold nothing but one folder are looked through."""
    seen = [(found, len({file.path.partition("/")[0] for file in found.files})) for found in files.levels()]
    return next((found for found, tops in seen if tops > 1), files)
