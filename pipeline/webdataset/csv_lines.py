"""Lines of the table that open_clip's trainer reads with `--dataset-type csv`: an image file, a tab, its caption.

Its reader is pandas', which takes some words for missing; a trainer would read them as `nan`. And a program for
spreadsheets takes some beginnings for formulas. Such captions get a blank, which no tokenizer of open_clip's sees.
"""

from __future__ import annotations

HEADER = "filepath\ttitle\n"
"""Names that open_clip looks for, unless it is told others."""
_MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "None", "n/a", "null"),
        *("NaN", "nan", "-NaN", "-nan", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
    }
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def csv_line(path: str, caption: str) -> str:
    """Write a line, in UTF-8 if encoded; what holds a tab, a quote or a new line is quoted.

    Args:
        path: The image file, absolute.
        caption: Any text.
    """
    return f"{_field(path)}\t{_field(_told_apart(caption))}\n"


def _told_apart(caption: str) -> str:
    if caption in _MISSING:
        return f"{caption} "
    return f" {caption}" if caption.startswith(_FORMULAS) else caption


def _field(text: str) -> str:
    if not any(mark in text for mark in '"\t\n\r'):
        return text
    return '"{}"'.format(text.replace('"', '""'))
