"""A delimited file in which some cells are replaced and every other byte stays: Moodle compares what comes back with what it gave out."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass

from grader.errors import UsageError

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DELIMITERS = (",", ";", "\t")
MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell: what it says, and where it stands in the text (`start` to `end`, quotes included)."""

    value: str
    start: int
    end: int
    quoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of cells; `line` is the number of its first line in the file, from 1."""

    line: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worksheet:
    """A file taken apart. `text` is without the byte order mark; `rows` leaves out empty lines."""

    bom: bytes
    encoding: str
    delimiter: str
    text: str
    rows: tuple[Row, ...]

    def with_cells(self, replaced: Mapping[tuple[int, int], str]) -> bytes:
        """The file with other values in some cells, by (row, column) as counted in `rows`; every other byte is as it was."""
        parts, last = [], 0
        for row, column in sorted(replaced):
            cell = self.rows[row].cells[column]
            parts += [self.text[last : cell.start], self._written(replaced[row, column], quoted=cell.quoted)]
            last = cell.end
        return self.bom + "".join((*parts, self.text[last:])).encode(self.encoding)

    def _written(self, value: str, *, quoted: bool) -> str:
        special = any(character in value for character in (self.delimiter, '"', "\n", "\r"))
        return '"' + value.replace('"', '""') + '"' if quoted or special else value


def read(data: bytes, where: str) -> Worksheet:
    """Take a file apart.

    Raises:
        UsageError: it is empty, too large, or no delimited text.
    """
    if not data.strip() or len(data) > MAX_BYTES:
        raise UsageError(f"{where}: a grading worksheet (CSV) was expected; the file is {'empty' if not data.strip() else 'too large'}.")
    bom, encoding = next(((mark, name) for mark, name in _BOMS if data.startswith(mark)), (b"", "utf-8"))
    try:
        text = data[len(bom) :].decode(encoding)
    except UnicodeDecodeError:
        if bom:
            raise UsageError(f"{where}: the file begins as {encoding} and is not. Download the worksheet again.") from None
        encoding = "latin-1"  # loses no byte; what is written into it is ASCII
        text = data.decode(encoding)
    if "\0" in text:
        raise UsageError(f"{where}: text was expected; the file holds zero bytes. Download the worksheet as CSV.")
    delimiter = max(_DELIMITERS, key=lambda mark: len(_rows(text, mark, most=1)[0].cells))
    rows = _rows(text, delimiter)
    if len(rows[0].cells) < 3:
        raise UsageError(f"{where}: a grading worksheet with its columns in the first line was expected; it has fewer than three.")
    return Worksheet(bom=bom, encoding=encoding, delimiter=delimiter, text=text, rows=rows)


def _rows(text: str, delimiter: str, most: int | None = None) -> tuple[Row, ...]:
    """Rows as the csv module reads them, with each cell's place. A quote that is never closed runs to the end."""
    pattern = re.compile(rf'((?:"[^"]*(?:"|\Z))*)([^{delimiter}\r\n]*)(\r\n|[{delimiter}\r\n]|\Z)')
    rows: list[Row] = []
    cells: list[Cell] = []
    first = line = 1
    for match in pattern.finditer(text):
        quoted, rest, after = match.groups()
        value = quoted.removeprefix('"').removesuffix('"').replace('""', '"') + rest
        cells.append(Cell(value=value, start=match.start(), end=match.end(2), quoted=bool(quoted)))
        line += quoted.count("\n")
        if after != delimiter:
            if len(cells) > 1 or value:
                rows.append(Row(line=first, cells=tuple(cells)))
            if len(rows) == most:
                break
            line += 1
            first, cells = line, []
    return tuple(rows)
