"""Rubrics: what is asked, for how many points, judged by which check with which parameters.

A rubric is a TOML file (docs/rubrics.md shows every key). `load` reads it strictly: whatever is unknown, missing, twice there, of the
wrong type or does not add up is refused, and all of it is reported at once, each with the file's line:

    rubric.toml:37: criterion[3].points: expected a number >= 0, got "three"

Indices count from 0. A rubric may name any check in `grader.checks`, with points, limits and words of its own; another data set still needs code.
"""

import hashlib
import json
import math
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grader import checks
from grader.errors import UsageError
from grader.words import counted

FILE = "rubric.toml"
FILE_BYTES = 1 << 20
"""Largest rubric file, bytes; the built-in one has about 17,000."""

Keys = tuple[str | int, ...]
"""Where something stands in the file: ("criterion", 3, "points")."""

Problem = tuple[Keys, str]
"""What is wrong, and where. The message is whole, but for the file name and the line."""

_Words = partial(Field, min_length=1, max_length=2000, description="a text that is not empty")


class Criterion(BaseModel):
    """One line of the rubric. `params` holds every parameter of the check: the rubric's value, else the check's default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[
        str,
        Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=60, description='a dotted lower-case name such as "model.head"'),
    ]
    check: Annotated[str, Field(min_length=1, max_length=60, description='the name of a check such as "model_head"')]
    section: Annotated[int, Field(ge=1, le=99, description="a whole number from 1 to 99")]
    points: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False, description="a number >= 0")]
    title: Annotated[str, _Words()]
    why: Annotated[str, _Words()]
    expected: Annotated[str, Field(max_length=2000, description="a text")] = ""
    hint: Annotated[str, Field(max_length=2000, description="a text")] = ""
    params: Annotated[Mapping[str, Any], Field(description="a table of the check's parameters")] = Field(default_factory=dict)


class _File(BaseModel):
    """The file, key for key."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60, description='a lower-case name such as "all_cnn_c"')]
    version: Annotated[str, Field(min_length=1, max_length=30, description='a text such as "1.0"')]
    title: Annotated[str, _Words()]
    max_points: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False, description="a number > 0")]
    sections: Annotated[Mapping[str, Annotated[str, _Words()]], Field(description="a table: section number = title")]
    criterion: Annotated[list[Criterion], Field(min_length=1, max_length=500, description="at least one [[criterion]] table")]


class Rubric(BaseModel):
    """A rubric that holds together: ids are unique, every check exists, the points add up to `max_points`.

    `sections` maps a section's number to its title, in order of number. `sha256` is that of the file's bytes. `path` is the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    version: str
    title: str
    max_points: float
    sections: Mapping[int, str]
    criteria: tuple[Criterion, ...]
    sha256: str
    path: Path

    @property
    def folder(self) -> Path:
        """Where the rubric's other files lie (`anchors.toml`, `README.md`)."""
        return self.path.parent


# ------------------------------------------------------------------ finding and loading


def names() -> tuple[str, ...]:
    """The ids of the built-in rubrics, sorted."""
    return tuple(sorted(path.parent.name for path in _built_in("rubrics").glob(f"*/{FILE}")))


def load(name_or_path: str | Path) -> Rubric:
    """The rubric called so, or in that file, or in that folder's `rubric.toml`; a built-in name wins over a folder of that name.

    Raises UsageError with every mistake in the file, a line each, or where there is no such rubric.
    """
    path = _find(name_or_path)
    data = _read(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: expected UTF-8 text, found byte 0x{data[error.start]:02x}; save the file as UTF-8") from None
    try:
        content = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax_message(path, text, str(error))) from None
    except RecursionError:
        raise UsageError(f"{path}:1: expected a rubric, found values nested too deeply to read") from None
    rubric, problems = _validate(content)
    if rubric is None or problems:
        raise UsageError(_report(path, text, problems))
    return _assemble(rubric, path, hashlib.sha256(data).hexdigest())


def _built_in(folder: str) -> Path:
    """A folder of the built-in rubrics' files: inside the package in a wheel, beside it in the source tree."""
    packaged = Path(__file__).resolve().parent / f"_{folder}"
    return packaged if packaged.is_dir() else packaged.parent.parent / folder


def reference(rubric: Rubric) -> Path:
    """The folder of the rubric's reference: solution, calibration runs, thresholds. It need not exist.

    That is the folder `reference` beside the rubric's own file, else `reference/<id>` of the built-in rubrics.
    """
    own = rubric.folder / "reference"
    return own if own.is_dir() else _built_in("reference") / rubric.id


def _find(name_or_path: str | Path) -> Path:
    if str(name_or_path) in names():
        return _built_in("rubrics") / str(name_or_path) / FILE
    path = Path(name_or_path)
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        return path
    known = ", ".join(names())
    raise UsageError(
        f'rubric: expected a built-in rubric or a rubric file, found neither under "{name_or_path}"{_near(str(name_or_path), names())}; '
        f"built in: {known}; a file is named by its path, for example ./{FILE}"
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: the rubric cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES:
        raise UsageError(f"{path}: expected a rubric of at most {FILE_BYTES} bytes, found more; is this the right file?")
    return data


def _assemble(file: _File, path: Path, sha256: str) -> Rubric:
    criteria = tuple(criterion.model_copy(update={"params": _complete(criterion)}) for criterion in file.criterion)
    sections = {int(number): title for number, title in file.sections.items()}
    return Rubric(
        id=file.id,
        version=file.version,
        title=file.title,
        max_points=file.max_points,
        sections=dict(sorted(sections.items())),
        criteria=criteria,
        sha256=sha256,
        path=path,
    )


def _complete(criterion: Criterion) -> dict[str, Any]:
    """The check's defaults, overwritten by the rubric's values; arrays become tuples as they are in the defaults."""
    given = {name: _frozen(value) for name, value in criterion.params.items()}
    return {**checks.get(criterion.check).PARAMS, **given}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


# ------------------------------------------------------------------ what can be wrong


def _validate(content: Mapping[str, Any]) -> tuple[_File | None, list[Problem]]:
    """The file's content and all its problems. Where the shape is wrong, what can still be judged beyond it is judged too."""
    file: _File | None = None
    problems: list[Problem] = []
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        problems += _shape_problems(error, content)
    tables = content.get("criterion")
    criteria = [(index, table) for index, table in enumerate(tables) if isinstance(table, dict)] if isinstance(tables, list) else []
    problems += _section_problems(content.get("sections"), criteria)
    problems += _duplicates(criteria)
    for index, table in criteria:
        problems += _check_problems(index, table)
    if file is not None:
        problems += _sum_problems(file)
    return file, problems


def _shape_problems(error: ValidationError, content: Mapping[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    for detail in error.errors(include_url=False, include_context=False):
        keys: Keys = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            known = _fields(keys)
            problems.append((keys, f"{_dotted(keys)}: unknown key{_near(str(keys[-1]), known)}; known keys: {', '.join(known)}"))
        elif detail["type"] == "missing":
            problems.append((keys[:-1], f"{_dotted(keys)}: expected {_description(keys)}, found nothing"))
        else:
            problems.append((keys, f"{_dotted(keys)}: expected {_description(keys)}, got {_shown(_at(content, keys))}"))
    return problems


def _fields(keys: Keys) -> tuple[str, ...]:
    """The keys that the table around `keys` may have."""
    return tuple((Criterion if keys[0] == "criterion" and len(keys) > 1 else _File).model_fields)


def _description(keys: Keys) -> str:
    match keys:
        case ("criterion", int()):
            return "a [[criterion]] table"
        case ("criterion", int(), str(name), *_):
            return Criterion.model_fields[name].description or "another value"
        case ("sections", _, *_):
            return "a text that is not empty"
        case _:
            return _File.model_fields[str(keys[0])].description or "another value"


def _section_problems(sections: Any, criteria: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    if not isinstance(sections, dict):
        return
    for number in sections:
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= 99 and str(int(number)) == number):
            yield ("sections", number), f"sections.{number}: expected a section number from 1 to 99 as the key, got {_shown(number)}"
    for index, table in criteria:
        section = table.get("section")
        if type(section) is int and 1 <= section <= 99 and str(section) not in sections:
            keys = ("criterion", index, "section")
            yield keys, f"{_dotted(keys)}: expected a section that has a title in [sections] ({', '.join(sections)}), got {section}"


def _duplicates(criteria: Sequence[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, table in criteria:
        name = table.get("id")
        if isinstance(name, str) and first.setdefault(name, index) != index:
            keys = ("criterion", index, "id")
            yield keys, f"{_dotted(keys)}: expected an id of its own, got {_shown(name)}, which criterion[{first[name]}] has"


def _check_problems(index: int, table: Mapping[str, Any]) -> Iterator[Problem]:
    name, given = table.get("check"), table.get("params", {})
    if not isinstance(name, str) or not name:
        return
    keys: Keys = ("criterion", index, "check")
    if name not in checks.names():
        yield keys, f"{_dotted(keys)}: expected the name of a check, got {_shown(name)}{_near(name, checks.names())}"
        return
    defaults = checks.get(name).PARAMS
    for parameter, value in given.items() if isinstance(given, dict) else ():
        keys = ("criterion", index, "params", parameter)
        if parameter not in defaults:
            known = f"it takes {', '.join(defaults)}" if defaults else "it takes none"
            yield keys, f'{_dotted(keys)}: check "{name}" has no such parameter{_near(parameter, tuple(defaults))}; {known}'
        elif wanted := _mismatch(value, defaults[parameter]):
            yield keys, f"{_dotted(keys)}: expected {wanted}, got {_shown(value)}"


def _mismatch(value: Any, default: Any) -> str:
    """What should stand where `value` is of another kind than the check's `default`; empty if it is of the same.

    Whole numbers serve as numbers, not the reverse. An array of numbers keeps its length, an array of texts may have any.
    """
    match default:
        case bool():
            return "" if isinstance(value, bool) else "true or false"
        case int():
            return "" if type(value) is int else "a whole number"
        case float():
            return "" if type(value) in {int, float} and math.isfinite(value) else "a number"
        case str():
            return "" if isinstance(value, str) else "a text"
        case [str(), *_]:
            return "" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "an array of texts"
        case tuple() | list():
            fits = isinstance(value, list) and len(value) == len(default) and not any(map(_mismatch, value, default))
            kind = "whole numbers" if all(type(item) is int for item in default) else "numbers"
            return "" if fits else f"an array of {len(default)} {kind}"
        case _:
            return "no value: this parameter cannot be set in a rubric"


def _sum_problems(file: _File) -> Iterator[Problem]:
    total = math.fsum(criterion.points for criterion in file.criterion)
    if not abs(total - file.max_points) <= 1e-9 * max(1.0, file.max_points):
        yield ("max_points",), f"max_points: expected the sum of the criteria's points, {total:g}, got {file.max_points:g}"


def _near(word: str, known: Sequence[str]) -> str:
    matches = get_close_matches(word, known, n=1)
    return f'; did you mean "{matches[0]}"?' if matches else ""


def _at(content: Any, keys: Keys) -> Any:
    for key in keys:
        content = content[key]
    return content


def _shown(value: Any) -> str:
    """A value as a reader of the file would know it, at most 60 characters."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return textwrap.shorten(json.dumps(value, ensure_ascii=False, default=str), 60, placeholder=" …")


def _dotted(keys: Keys) -> str:
    """`criterion[3].points` for ("criterion", 3, "points")."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


# ------------------------------------------------------------------ the lines of the file


def _report(path: Path, text: str, problems: Sequence[Problem]) -> str:
    lines = _lines(text)
    placed = sorted((_line_of(lines, keys), message) for keys, message in problems)
    return "\n".join(f"{path}:{line}: {message}" for line, message in placed)


def _syntax_message(path: Path, text: str, error: str) -> str:
    """Python's parser ends its messages with "(at line 3, column 5)" or "(at end of document)"."""
    reason, _, place = error.rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = words[1] if words[:1] == ["line"] else str(len(text.splitlines()) or 1)
    column = f" at column {words[3]}" if len(words) == 4 else ""
    return f"{path}:{line}: expected TOML, found a mistake{column}: {reason[:1].lower()}{reason[1:]}"


def _line_of(lines: Mapping[Keys, int], keys: Keys) -> int:
    """The line of `keys`, else of the nearest table around it, else 1."""
    return next((lines[keys[:size]] for size in range(len(keys), 0, -1) if keys[:size] in lines), 1)


def _lines(text: str) -> dict[Keys, int]:
    """The 1-based line on which each key and table of a valid TOML text begins."""
    lines: dict[Keys, int] = {}
    counts: dict[Keys, int] = {}
    table: Keys = ()
    for number, statement in _statements(text):
        parsed = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(parsed, counts)
            for keys in (table, table[:-1]):  # `[[criterion]]` opens criterion[0], and the array itself
                lines.setdefault(keys, number)
        else:
            for keys in _paths(parsed):
                lines.setdefault(table + keys, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each `key = value` with the line on which it begins; a statement ends with the first line that makes it whole."""
    pending: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        pending.append(line)
        statement = "\n".join(pending)
        if not _is_toml(statement):
            continue
        if len(pending) > 1 or (line.strip() and not line.lstrip().startswith("#")):
            yield number - len(pending) + 1, statement
        pending = []


def _is_toml(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(parsed: Any, counts: dict[Keys, int]) -> Keys:
    """The table that a header, parsed by itself, opens; `counts` holds how often each array of tables was opened so far."""
    keys: Keys = ()
    while isinstance(parsed, dict) and parsed:
        ((name, parsed),) = parsed.items()
        keys = (*keys, name)
        if isinstance(parsed, list):
            counts[keys] = counts.get(keys, 0) + 1
        if keys in counts:
            keys = (*keys, counts[keys] - 1)
    return keys


def _paths(parsed: Any) -> Iterator[Keys]:
    if isinstance(parsed, dict):
        for name, value in parsed.items():
            yield (name,)
            yield from ((name, *rest) for rest in _paths(value))


# ------------------------------------------------------------------ words for people


def explain(rubric: Rubric) -> str:
    """The rubric in plain text, sections in order, long words wrapped at 100 columns: what `grade rubric show` prints."""
    parts = [
        f"{rubric.title} ({rubric.id} {rubric.version}), {counted(rubric.max_points, 'point')}",
        f"{rubric.path}",
        f"sha256 {rubric.sha256}",
    ]
    for number, title in rubric.sections.items():
        members = [criterion for criterion in rubric.criteria if criterion.section == number]
        parts += ["", f"{number}. {title}: {counted(math.fsum(member.points for member in members), 'point')}"]
        for member in members:
            parts += _explain_criterion(member)
    return "\n".join(parts)


def _explain_criterion(criterion: Criterion) -> list[str]:
    params = ", ".join(f"{name} = {_toml(value)}" for name, value in criterion.params.items())
    rows = [
        f"  {criterion.points:>4g}  {criterion.id}: {criterion.title}",
        f"        check {criterion.check}{f' ({params})' if params else ''}",
    ]
    for word, text in (("why", criterion.why), ("expected", criterion.expected), ("hint", criterion.hint)):
        if text:
            rows += textwrap.wrap(f"{word}: {text}", 100, initial_indent=" " * 8, subsequent_indent=" " * 10)
    return rows


def _toml(value: Any) -> str:
    """A parameter's value as it would be written in a rubric."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def new_text() -> str:
    """A commented rubric to start from, itself valid; it ends with a list of all checks and their parameters."""
    return _NEW + "".join(f"#   {line}\n" for line in _catalogue())


def _catalogue() -> Iterator[str]:
    for name in checks.names():
        params = ", ".join(f"{key} = {_toml(value)}" for key, value in checks.get(name).PARAMS.items())
        yield f"{name}{f': {params}' if params else ''}"


_NEW = """\
# A rubric for `grade`. Check it with `grade rubric check FILE`, use it with `grade SUBMISSION --rubric FILE`.
# Everything that is not marked optional must be there. Unknown keys are refused.

id = "my_exercise"          # lower-case letters, digits and underscores
version = "1.0"             # change it whenever marks can change; every report names it
title = "My exercise"
max_points = 10             # must be the sum of all points below

[sections]                  # the headings under which the report lists the criteria
1 = "The network"
2 = "Questions"

[[criterion]]
id = "model.built"          # unique in this file; reports, gradebooks and overrides use it
check = "model_built"       # which check judges it; all checks are listed at the end
section = 1                 # one of [sections]
points = 2                  # 0 or more
title = "A network for the images is built"     # what a student should have done, in a few words
why = "Every later step needs a model whose input and output fit the task."     # why it matters; students read it
expected = "A Keras model from 32x32x3 images to 10 class scores"               # optional: what a right solution has
hint = "Call model.summary() and look at the first and the last shape."         # optional: what to try next

[criterion.params]          # optional: only what shall differ from the check's defaults
image_shape = [32, 32, 3]
classes = 10

[[criterion]]
id = "model.no_pooling"
check = "model_no_pooling"
section = 1
points = 4
title = "The maps are not made smaller by pooling layers"
why = "A convolution with stride 2 can learn how to make a map smaller."

[[criterion]]
id = "questions.answers"
check = "manual_answers"    # manual review gives these points: `grade override`
section = 2
points = 4
title = "The questions are answered"
why = "Saying what happened, and why, is how training becomes something you steer."
params = { section = 2 }    # whose written answers the reader is shown

# All checks, and their parameters with the default values:
"""
