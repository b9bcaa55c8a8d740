"""What a plain YAML scalar means: the core schema of YAML 1.2, without its traps.

YAML 1.1, which PyYAML follows, reads `no` as false, `12:30` as 750, `010` as 8 and `2024-01-01` as a date,
and leaves `1e3` a text. Here all but numbers, `true`, `false` and `null` stay the text that was written.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# Other YAML tools read these as true or false, so they serve badly as names.
SWITCH_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


class AmbiguousScalarError(ValueError):
    """A plain scalar that tools read in different ways; the message says what to write instead."""


def resolve_plain(text: str) -> Scalar:
    """Read an unquoted scalar.

    Integers may have underscores between digits. A whole number in exponent form (`1e8`) is an integer, so
    that it may stand where a count is due.

    Raises:
        AmbiguousScalarError: If tools would read `text` in different ways (`010`), or it is no finite number.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _LEADING_ZERO.fullmatch(text):
        raise AmbiguousScalarError(
            f"{text} is 8-based to some tools and 10-based to others: "
            f"write {text.lstrip('+-0_') or '0'} for the number or '{text}' for the text"
        )
    if _FLOAT.fullmatch(text):
        return _number(text)
    if _NOT_FINITE.fullmatch(text):
        raise AmbiguousScalarError(f"{text} is not a finite number: write a number, or '{text}' for the text")
    return text


def _integer(text: str) -> int:
    if len(text) > 40:  # a longer one is a mistake, and Python's own limit of digits would end in a traceback
        raise AmbiguousScalarError(f"a number of {len(text)} digits is too long: quote it if it is text")
    return int(text)


def _number(text: str) -> float | int:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise AmbiguousScalarError(f"{text} is too large for a number: quote it if it is text")
    return int(value) if value.is_integer() and "e" in text.lower() and abs(value) < 2**63 else value
