"""Gradescope, the bulk export: `submission_metadata.yml` beside a folder for each submission, `submission_<number>/…`.

The file says who handed in: its keys are the folders' names, with Ruby's symbols (`:submitters:`, `:name:`, `:sid:`, `:email:`, `:created_at:`) below
them. It is read event by event as text, so that nothing in it becomes an object or a number (and ten times faster than by PyYAML's loaders).
Folders that it does not name belong to nobody.
"""

from collections.abc import Iterator
from typing import Any

import yaml  # type: ignore[import-untyped]

from grader.errors import GraderError, NotGradable
from grader.sources.classes.layout import File, Files, Found, Piece, moment, tidy
from grader.sources.common import display_path

EXPECTED = "submission_metadata.yml beside the folders of the submissions, as Gradescope exports them"
METADATA = "submission_metadata.yml"
MAX_METADATA = 64 * 2**20
"""Bytes of the metadata; every submission's own results are in it."""
_PARSER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def recognises(files: Files) -> bool:
    """Whether the metadata lies at the top."""
    return any(file.path == METADATA for file in files.files)


def read(files: Files) -> Found:
    """Read the metadata; `student` is the e-mail address, else the student number, of a group all of them together.

    Raises NotGradable where the metadata cannot be read.
    """
    about = _metadata(files)
    folders: dict[str, list[File]] = {}
    loose: list[File] = []
    for file in files.files:
        top, slash, _ = file.path.partition("/")
        if slash and top in about:
            folders.setdefault(top, []).append(file)
        elif file.path != METADATA:
            loose.append(file)
    pieces: list[Piece] = []
    problems: list[str] = []
    for key, entry in about.items():
        submitters = _submitters(entry)
        shown = f"{files.where}: {display_path(key)}"
        if not submitters:
            problems.append(f"{shown}: {METADATA} names no student for it. Name the student in a mapping CSV (columns file, student).")
            loose += folders.get(key, [])
            continue
        if key not in folders:
            problems.append(f"{shown}: {METADATA} lists it, but no file of it is there. Export the submissions again.")
            continue
        members = tuple(sorted({submitter["id"] for submitter in submitters}))
        ids = {"submission": key.removeprefix("submission_")}
        if len(members) == 1:
            ids |= {field: submitters[0][field] for field in ("sid", "email") if submitters[0][field]}
        history = entry.get(":history")
        name = ", ".join(dict.fromkeys(submitter["name"] for submitter in submitters if submitter["name"]))
        pieces += [
            Piece(
                file=file,
                source=files,
                platform="gradescope",
                student=", ".join(members),
                shown=file.name,
                name=name,
                members=members if len(members) > 1 else (),
                attempt=len(history) + 1 if isinstance(history, list) else None,
                submitted_at=moment(_text(entry.get(":created_at"))),
                ids=ids,
            )
            for file in folders[key]
        ]
    return Found(pieces=tuple(pieces), loose=tuple(loose), problems=tuple(problems))


def _metadata(files: Files) -> dict[str, dict[Any, Any]]:
    """The entries of the metadata, by folder."""
    where = f"{files.where}: {METADATA}"
    file = next((file for file in files.files if file.path == METADATA), None)
    if file is None:
        return {}
    try:
        data = files.read(file, MAX_METADATA)
    except GraderError as error:
        raise NotGradable(f"{where} could not be read ({error}) Export the submissions again.") from error
    try:
        events = (event for event in yaml.parse(data, Loader=_PARSER) if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent))
        content = _built(events, {})
    except (yaml.YAMLError, RecursionError, ValueError, StopIteration) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"from line {mark.line + 1} on" if mark is not None else "damaged or nested too deeply"
        raise NotGradable(f"{where} is not readable YAML ({line}). Export the submissions again.") from error
    if not isinstance(content, dict):
        raise NotGradable(f"{where}: a table of submissions was expected; it holds something else. Export the submissions again.")
    return {tidy(key): entry for key, entry in content.items() if isinstance(key, str) and isinstance(entry, dict)}


def _built(events: Iterator[Any], anchors: dict[str, Any], event: Any = None) -> Any:
    """The next value of a stream of YAML events: text, a list or a dictionary (whose keys are text; other entries are left out)."""
    event = next(events) if event is None else event
    value: Any = None
    if isinstance(event, yaml.AliasEvent):
        return anchors.get(event.anchor)
    if isinstance(event, yaml.ScalarEvent):
        value = event.value
    elif isinstance(event, yaml.SequenceStartEvent):
        value = []
        while not isinstance(following := next(events), yaml.SequenceEndEvent):
            value.append(_built(events, anchors, following))
    elif isinstance(event, yaml.MappingStartEvent):
        value = {}
        while not isinstance(following := next(events), yaml.MappingEndEvent):
            key, entry = _built(events, anchors, following), _built(events, anchors)
            if isinstance(key, str):
                value[key] = entry
    if event.anchor:
        anchors[event.anchor] = value
    return value


def _submitters(entry: dict[Any, Any]) -> list[dict[str, str]]:
    """Who handed in: name, sid, email and the identifier among them; only those that have one."""
    listed = entry.get(":submitters")
    people = []
    for submitter in listed if isinstance(listed, list) else []:
        if isinstance(submitter, dict):
            person = {field: _text(submitter.get(f":{field}")) for field in ("name", "sid", "email")}
            person["id"] = person["email"] or person["sid"]
            people += [person] if person["id"] else []
    return people


def _text(value: object) -> str:
    """A scalar as the base loader gives it; the words for nothing are nothing."""
    return "" if not isinstance(value, str) or value in {"~", "null"} else tidy(value)
