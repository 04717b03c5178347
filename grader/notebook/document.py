"""From bytes to one JSON object, or to a sentence that says what the file is instead.

Memory is bounded before it is spent: a file above 8 MiB is first cut down span by span in its bytes (stored outputs are what makes a
notebook large), and what is left must be of a notebook's size.
"""

import ast
import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grader import syntax
from grader.errors import NotGradable
from grader.notebook.text import MAX_KEPT, middle_out
from grader.records import Json
from grader.words import counted, one_line

LARGE = 8 * 2**20
"""Bytes from which a file is cut down before it is parsed."""
MAX_CORE = 48 * 2**20
"""Bytes that may be left after cutting."""
MAX_TOKENS = 4_000_000
"""Brackets and strings in a large file, outputs included."""
_OUTPUT_PARSED = 16 * 2**20
_TEXT_BUDGET = 24 * 2**20
_AGAIN = "Download the notebook again (in Colab: File, Download, Download .ipynb) and submit that file."

_MAGIC = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or an Office document)"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x89HDF", "an HDF5 file (saved weights)"),
    (b"\x1f\x8b", "a gzip archive (perhaps .tar.gz)"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[\]{}]", re.DOTALL)
_KEY = re.compile(rb"(" + _STRING + rb")[ \t\r\n]*+:[ \t\r\n]*+", re.DOTALL)
_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
_SCALAR = re.compile(rb"[^,\[\]{}\" \t\r\n]++")


def load(data: bytes) -> tuple[dict[str, Json], list[str]]:
    """Parse a file's bytes into the JSON object that a notebook is, with sentences about what was mended.

    Raises NotGradable, saying what the file looks like, where it breaks (line and column) and what to do.
    """
    if not data.strip(b" \t\r\n\0"):
        raise NotGradable(f"The file is empty ({counted(len(data), 'byte')}). Save the notebook and submit it again.")
    what = next((what for magic, what in _MAGIC if data.startswith(magic)), "a tar archive" if data[257:262] == b"ustar" else "")
    if what:
        again = "Unpack it and submit the notebook (.ipynb) that is in it." if "archive" in what else _AGAIN
        raise NotGradable(f"A notebook (.ipynb) was expected; the file is {what}. {again}")
    text, repairs = _decode(data)
    if len(text) > LARGE:
        text = _cut_large(text, repairs)
    value = _parse(text, repairs)
    if not isinstance(value, dict):
        raise NotGradable(f"A notebook is a JSON object; the file is valid JSON but holds {_kind(value)}. {_AGAIN}")
    if not any(key in value for key in ("cells", "worksheets")):
        raise NotGradable(f"A notebook has a list of cells; the file is a JSON object without one ({_keys(value)}). {_AGAIN}")
    return value, repairs


# ------------------------------------------------------------------ bytes to text


def _decode(data: bytes) -> tuple[bytes, list[str]]:
    """Bring any encoding that a notebook arrives in to UTF-8."""
    encoding = _utf16_or_32(data)
    if encoding is not None:
        try:
            converted = data.decode(encoding).lstrip("\ufeff").encode()
        except UnicodeError as error:
            raise NotGradable(f"The file looks like {encoding.upper()} text but does not decode ({error}). Save it as UTF-8.") from error
        return converted, [f"The file is encoded as {encoding.upper()}, not UTF-8; it was converted."]
    repairs = []
    if data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        repairs.append("A byte order mark before the notebook was skipped.")
    data = data.strip(b" \t\r\n\0")
    offset = _not_utf8(data)
    if offset is not None:
        repairs.append(f"The file is not valid UTF-8 (near byte {offset}); such bytes were replaced.")
        data = data.decode(errors="replace").encode()
    return data, repairs


def _not_utf8(data: bytes) -> int | None:
    """Give about the offset of the first byte that is not UTF-8; None if all are. Decodes in pieces, to save memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), LARGE):
        try:
            decoder.decode(data[start : start + LARGE], final=start + LARGE >= len(data))
        except UnicodeDecodeError as error:
            return start + error.start
    return None


def _utf16_or_32(data: bytes) -> str | None:
    """Recognise wide text by its mark, or by the NULs around its first bracket."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):  # before UTF-16, whose mark begins that of UTF-32
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if data[:1] == b"{" and data[1:2] == b"\0" and data[3:4] == b"\0":
        return "utf-16-le" if data[2:3] != b"\0" else "utf-32-le"
    if data[:2] == b"\0{" and data[2:3] == b"\0":
        return "utf-16-be"
    if data.startswith(b"\0\0\0{"):
        return "utf-32-be"
    return None


# ------------------------------------------------------------------ text to JSON, and what it is if not


def _parse(text: bytes, repairs: list[str]) -> Json:
    try:
        return _json(text)
    except json.JSONDecodeError as error:
        whole = error.doc
        if error.msg == "Extra data" and not whole[error.pos :].strip(" \t\r\n\0\x1a"):
            repairs.append("Stray bytes after the end of the notebook were dropped.")
            return _json(text[: len(whole[: error.pos].encode())])
        raise NotGradable(_broken(whole, error)) from error
    except RecursionError as error:
        raise NotGradable(f"The file nests brackets deeper than any notebook does, so it cannot be read. {_AGAIN}") from error


def _json(text: bytes) -> Json:
    return json.loads(text.decode().lstrip("\ufeff"), parse_int=_integer)  # from bytes, Python would guess an encoding of its own


def _integer(digits: str) -> int | float:
    """Read an integer of any length; beyond what Python converts it is infinite."""
    return int(digits) if len(digits) <= 1000 else float(digits)


def _broken(text: str, error: json.JSONDecodeError) -> str:
    """Say what a file that is no JSON looks like."""
    where = f"line {error.lineno}, column {error.colno}"
    start = text[:4096].lstrip().lower()
    conflict = re.search(r"^(?:<{7} |>{7} )", text, re.MULTILINE)
    if start.startswith(("<!doctype", "<html", "<head", "<?xml", "<body")):
        page = "a web page (HTML), perhaps a login page or a notebook exported as HTML"
        return f"A notebook (.ipynb) was expected; the file is {page}. {_AGAIN}"
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        return (
            f"The file holds Git merge-conflict markers (first at line {line}), so it is not a valid notebook. "
            "Resolve the conflict, open the notebook once to check it, and submit it again."
        )
    if start.startswith(("{", "[")):
        if _ends_early(text, error):
            place = f"after {counted(len(text), 'character')}, in line {text.count(chr(10)) + 1}"
            return f"The file is cut off: it begins as a notebook and ends in the middle of it, {place}. {_AGAIN}"
        return f"The file is not valid JSON, which a notebook is: at {where}, {_slip(text, error)}. Correct this place in a text editor, or undo the edit. {_AGAIN}"
    if _is_python(text):
        return "A notebook (.ipynb) was expected; the file is a Python script. Submit the notebook itself, not its export as .py."
    return f"A notebook (.ipynb) was expected; the file is other text, which begins with {one_line(start, 40)!r}. {_AGAIN}"


def _slip(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong where the parser stopped, in words that say what to change there."""
    found = one_line(text[error.pos : error.pos + 200], 20)
    if error.msg.startswith("Illegal trailing comma") or (found[:1] in {"}", "]"} and text[: error.pos].rstrip().endswith(",")):
        return f"there is one comma too many, before {found.lstrip(', ')[:1]!r}"
    return {
        "Expecting property name enclosed in double quotes": f"a name in double quotes was expected, and {found!r} was found",
        "Expecting ',' delimiter": "a comma or a closing bracket is missing",
        "Expecting ':' delimiter": "a colon is missing after a name",
        "Expecting value": f"a value was expected, and {found!r} was found",
        "Invalid control character at": "a text in quotes has a line end or tab in it (written \\n or \\t there), or its closing quote is missing",
        "Invalid \\escape": "a backslash in a text has to be doubled (\\\\)",
        "Invalid \\uXXXX escape": "\\u needs four hexadecimal digits after it",
        "Unterminated string starting at": "the closing quote of a text is missing; the text begins",
        "Extra data": "the notebook ends and more text follows",
    }.get(error.msg.removesuffix(": "), error.msg)


def _ends_early(text: str, error: json.JSONDecodeError) -> bool:
    """Whether the parser ran out of text; an unclosed string counts if no later line looks like a notebook's."""
    if error.msg.startswith("Unterminated string"):
        return "\n" not in text[error.pos :].rstrip()
    return not text[error.pos :].strip()


def _is_python(text: str) -> bool:
    if len(text) > 2_000_000:
        return False
    tree = syntax.tree(text)
    if not isinstance(tree, ast.Module):
        return re.search(r"^(?:import \w|from \w[\w.]* import |# In\[)", text, re.MULTILINE) is not None
    return any(not isinstance(node, ast.Expr) for node in tree.body)


def _kind(value: Json) -> str:
    names: dict[type[Any], str] = {list: "a list", str: "a string", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _keys(value: dict[str, Json]) -> str:
    if "paragraphs" in value:
        return "it looks like a Zeppelin notebook"
    if "url" in value and len(value) <= 4:
        return "it looks like a shortcut to an online document"
    names = ", ".join(middle_out(key, 40) for key in list(value)[:6])
    return f"its keys: {names}" if names else "it has no keys at all"


# ------------------------------------------------------------------ cutting a large file down


def _cut_large(data: bytes, repairs: list[str]) -> bytes:
    """Replace the stored outputs of a large file by what is kept of them. A file that breaks on the way comes back whole or is refused."""
    budget = [_TEXT_BUDGET]
    pieces: list[bytes] = []
    done = 0
    try:
        for start, end in _outputs(_Walk(data)):
            pieces += (data[done:start], _reduced(data[start:end], budget))
            done = end
    except (ValueError, RecursionError):
        if len(data) > MAX_CORE:
            found = f"The file has {len(data) / 2**20:.0f} MiB and is not a valid notebook (cut off, or edited by hand)"
            raise NotGradable(f"{found}. {_AGAIN}") from None
        return data
    slim = b"".join((*pieces, data[done:]))
    if len(slim) > MAX_CORE:
        raise NotGradable(
            f"The notebook has {len(slim) / 2**20:.0f} MiB besides its outputs; at most {MAX_CORE // 2**20} MiB were expected. "
            "Remove pasted images and data from its cells, and submit it again."
        )
    if len(slim) < len(data):
        repairs.append(f"The file has {len(data) / 2**20:.0f} MiB; of its stored outputs only text was read.")
    return slim


def _outputs(walk: "_Walk") -> Iterator[tuple[int, int]]:
    """Give the span of every output of every cell (nbformat 4), in order."""
    for key in walk.members():
        if key != b'"cells"':
            continue
        for cell in walk.elements():
            if not walk.data.startswith(b"{", cell):
                continue
            for name in walk.members():
                if name == b'"outputs"':
                    for start in walk.elements():
                        walk.skip()
                        yield start, walk.at


@dataclass(slots=True)
class _Walk:
    """A place in JSON text that moves forward over it once, building nothing. Every method raises ValueError where the text is no JSON."""

    data: bytes
    at: int = 0
    tokens: int = MAX_TOKENS

    def members(self) -> Iterator[bytes]:
        """Give each key (in its quotes) of the object that begins here, the place being at its value; an untouched value is skipped."""
        self._open(b"{")
        while not self._closed(b"}"):
            match = _KEY.match(self.data, self.at)
            if match is None:
                raise ValueError(self.at)
            self.at = here = match.end()
            yield match.group(1)
            if self.at == here:
                self.skip()

    def elements(self) -> Iterator[int]:
        """Give the place of each element of the array that begins here; an untouched element is skipped."""
        self._open(b"[")
        while not self._closed(b"]"):
            here = self.at
            yield here
            if self.at == here:
                self.skip()

    def _open(self, bracket: bytes) -> None:
        if not self.data.startswith(bracket, self.at):
            raise ValueError(self.at)
        self.at += 1

    def _closed(self, bracket: bytes) -> bool:
        """Move over white space and commas; if the bracket follows, move behind it."""
        self._over(_BETWEEN)
        closed = self.data.startswith(bracket, self.at)
        self.at += closed
        return closed

    def _over(self, pattern: re.Pattern[bytes]) -> None:
        match = pattern.match(self.data, self.at)
        if match is None:
            raise ValueError(self.at)
        self.at = match.end()

    def skip(self) -> None:
        """Move behind the value that begins here. Raises NotGradable when the file holds more values than any notebook."""
        if not self.data.startswith((b'"', b"[", b"{"), self.at):
            self._over(_SCALAR)
            return
        depth = 0
        for token in _TOKEN.finditer(self.data, self.at):
            self.tokens -= 1
            if self.tokens < 0:
                raise NotGradable(
                    f"The file holds more than {MAX_TOKENS:,} values; a notebook holds thousands. Clear its outputs and submit it again."
                )
            character = self.data[token.start()]
            depth += (character in b"[{") - (character in b"]}")
            if depth == 0:
                self.at = token.end()
                return
        raise ValueError(self.at)


def _reduced(raw: bytes, budget: list[int]) -> bytes:
    """Cut one output to its text (while the budget lasts) and the names of its MIME types."""
    if len(raw) > _OUTPUT_PARSED:
        return b'{"output_type": "display_data", "data": {"text/plain": "[a very large output was left out]"}}'
    output = json.loads(raw, parse_int=_integer)
    if not isinstance(output, dict):
        return b"null"
    data = output.get("data")
    kept = {
        key: output[key] for key in ("output_type", "name", "ename", "evalue", "execution_count") if isinstance(output.get(key), str | int)
    }
    if "text" in output:
        kept["text"] = _afford(output["text"], budget)
    if "traceback" in output:
        kept["traceback"] = _afford(output["traceback"], budget, "\n")
    if isinstance(data, dict):
        kept["data"] = {name: _afford(value, budget) if name == "text/plain" else "" for name, value in data.items()}
    return json.dumps(kept, ensure_ascii=False).encode(errors="replace")


def _afford(value: Json, budget: list[int], between: str = "") -> str:
    parts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    text = between.join(part for part in parts if isinstance(part, str))
    # live bars are resolved later, so more than is kept in the end must survive here
    text = middle_out(text, min(max(budget[0], 0), 20 * MAX_KEPT))
    budget[0] -= len(text)
    return text
