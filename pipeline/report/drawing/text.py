"""Text from a pool as it can be shown: cut to a length, every invisible or reordering character made visible.

Escaping is Jinja2's work (autoescape is always on); this only makes sure that what is read is what is there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# Joiners and variation selectors hold emoji and several scripts together and cannot reorder text.
_HARMLESS = frozenset("\u200c\u200d")
# Keys and class names are a pool's own text too; one can be as long as a caption.
NAME_LIMIT = 400
# A name of so many characters fits into a line of a telephone's screen.
_UNBROKEN = 24
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """Replace control, format, private and unassigned characters by signs that can be seen.

    C0 controls become Unicode's control pictures (NUL is ␀); others, such as the bidirectional overrides,
    become their code point in angle brackets (⟨U+202E⟩).
    """
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _HARMLESS or unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\u27e8U+{code:04X}\u27e9"


def visible_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines: what a terminal is shown of names and values."""
    return "\n".join(map(visible, text.split("\n")))


def shortened(text: str, length: int, limit: int) -> str:
    """Cut a text that is `length` long to `limit` characters, and say where some are left out."""
    shown = visible(text[:limit])
    return shown if length <= limit else f"{shown}… (cut: {length:,} characters in all)"


def brief(text: str) -> str:
    """Show a name (a key, a class, a reason, a value of the provenance) visibly, and not longer than a name is."""
    return shortened(text, len(text), NAME_LIMIT)


def pieces(text: str) -> list[str]:
    """Cut a long name behind `_`, `-`, `.` and `/`, where it may go on in the next line; a short one stays whole."""
    return re.split(r"(?<=[_.\-/])(?=[^_.\-/])", text) if len(text) > _UNBROKEN else [text]


def reasons_said(reasons: Mapping[str, int], said: int) -> str:
    """Name the `said` most frequent reasons with their counts, and count the rest."""
    ranked = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    named = [f"{count(number)} {brief(reason)}" for reason, number in ranked[:said]]
    rest = sum(number for _, number in ranked[said:])
    return ", ".join(named + ([f"{count(rest)} for other reasons"] if rest else []))


def count(number: int) -> str:
    """Write a count with thousands separated."""
    return f"{number:,}"


_LONGEST = 1.001
"""What no product of two float16 vectors that were scaled to length 1 reaches."""


def percent(share: float) -> str:
    """Write a share in percent; what is not zero never reads as zero, nor does what is not all read as all."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def similarity(value: float | None) -> str:
    """Write a similarity with four decimals, a dash where there is none.

    Vectors of float16 are not quite of length 1, so that two equal ones may come to 1.0001: that is written as 1.
    """
    if value is None or value != value:
        return "–"
    return _minus(f"{min(value, 1.0) if value < _LONGEST else value:.4f}")


def number(value: float | None) -> str:
    """Write a number of a measure: whole ones in full, others with five digits, a dash where there is none."""
    if value is None or value != value:
        return "–"
    whole = value == int(value) if abs(value) < 2**53 else False
    return _minus(f"{int(value):,}" if whole else f"{value:.5g}")


def margin(value: float) -> str:
    """Write a margin with its sign; a positive one never reads as zero."""
    if value == 0 or abs(value) >= 0.00005:
        return _minus(f"{value:+.4f}") if value else "0.0000"
    return _minus(f"{value:+.1e}")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")
