"""Plain text out of whatever a notebook holds: terminal escapes, live progress bars, lone surrogates, lengths."""

import re

MAX_RAW = 16 * 2**20
"""Characters of one stored output that are looked at, head and tail."""
MAX_KEPT = 200_000
"""Characters of one stored output that are kept, head and tail."""

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]?|\][^\x07\x1b]*+(?:\x07|\x1b\\)?|[ -/]*+[0-~]?)")
_MOVES = re.compile(r"\r+|\x08+|[^\r\x08]+")
_BAR = re.compile(r"\s{0,9}\d{1,9}/(?:\d|Unknown)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    r"""Make text that every encoder accepts, with `\n` for every line end."""
    return _SURROGATE.sub("\ufffd", text.replace("\r\n", "\n"))


def middle_out(text: str, limit: int) -> str:
    """Keep the head and the tail of a long text, `limit` characters in all and a line that says what is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[len(text) - half :]}"


def terminal(text: str) -> str:
    r"""Show a program's output as a reader saw it: escapes gone, `\r` and backspaces carried out, so that a live bar leaves its last state.

    Linear in the length; at most `MAX_KEPT` characters (and the line of `middle_out`) come back.
    """
    text = _ESCAPE.sub("", clean(middle_out(text, MAX_RAW)))
    if "\r" in text or "\x08" in text:
        text = "\n".join(map(_carried_out, text.split("\n")))
    return middle_out(text, MAX_KEPT)


def _carried_out(line: str) -> str:
    """Overwrite a line as a terminal does; a progress bar replaces the whole line, though it may be shorter than the last one."""
    if "\r" not in line and "\x08" not in line:
        return line
    shown: list[str] = []
    at = 0
    for match in _MOVES.finditer(line):
        piece = match.group()
        if piece[0] == "\r":
            at = 0
        elif piece[0] == "\x08":
            at = max(0, at - len(piece))
        else:
            if at == 0 and _BAR.match(piece):
                shown.clear()
            shown[at : at + len(piece)] = piece
            at += len(piece)
    return "".join(shown).rstrip()
