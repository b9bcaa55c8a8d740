"""Words of an SQL expression that may be columns, found before a parser is at hand."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(?P<quoted>"(?:[^"]|"")*")|(?P<word>[^\W\d]\w*)|(?P<mark>\S)""",
    re.DOTALL,
)


def words_of(text: str) -> tuple[str, ...]:
    """List the words of an expression that may be columns, without a parser: no text, no field, no function."""
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    marks = [match.group() if match.lastgroup == "mark" else "" for match in tokens]
    found: dict[str, None] = {}
    for place, match in enumerate(tokens):
        after = marks[place + 1] if place + 1 < len(tokens) else ""
        if match.lastgroup == "mark" or (place and marks[place - 1] == "."):
            continue
        if match.lastgroup == "word" and after == "(":
            continue
        word = match.group()
        found[word[1:-1].replace('""', '"') if match.lastgroup == "quoted" else word] = None
    return tuple(found)
