"""Words of an SQL expression that may be columns, found before a parser is at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(?P<quoted>"(?:[^"]|"")*")|(?P<word>[^\W\d]\w*)|(?P<mark>\S)""",
    re.DOTALL,
)


def words_of(text: str) -> tuple[str, ...]:
    """List the words of an expression that may be columns, without a parser: no text, no field, no function."""
    return tuple(dict.fromkeys(word for word, _ in _words(text)))


def fielded_words(text: str) -> tuple[str, ...]:
    """List those of them that a field is taken of."""
    return tuple(dict.fromkeys(word for word, field in _words(text) if field))


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """Give each such word, and whether a field of it is taken."""
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    marks = [match.group() if match.lastgroup == "mark" else "" for match in tokens]
    for place, match in enumerate(tokens):
        after = marks[place + 1] if place + 1 < len(tokens) else ""
        if match.lastgroup == "mark" or (place and marks[place - 1] == "."):
            continue
        if match.lastgroup == "word" and after == "(":
            continue
        word = match.group()
        yield word[1:-1].replace('""', '"') if match.lastgroup == "quoted" else word, after == "."
