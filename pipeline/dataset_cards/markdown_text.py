"""Markdown of values that strangers wrote: a reason, a predicate and a name stay what they are, and mark up nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pipeline.report.drawing.text import brief, visible

_BACKTICKS = re.compile("`+")
# What Markdown, HTML, or a site's own additions (links that are only written, mentions, formulas) could take for a
# mark. An underscore between letters is none.
_MARKS = re.compile(
    r"""(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=www)\.|[^\w .,;()'"=%/+?-]|[\t\r\n]""",
    re.IGNORECASE | re.ASCII,
)
# Folders of this machine: a path that begins at its root, up to the last name.
_FOLDERS = re.compile(r"""(?<![^\s'"(,])(?:[A-Za-z]:)?[/\\](?:[^\s/\\,'"]+[/\\])+""")


def code(text: str) -> str:
    """Write a text as a code span that stands in a table too: no markup, link or HTML in it is one.

    What cannot be seen is made visible, and very long text is cut.
    """
    shown = brief(text)
    longest = max((len(found) for found in _BACKTICKS.findall(shown)), default=0)
    fence = "`" * (longest + 1)
    # A blank keeps a backtick at either end apart from the fence; where blanks are all, none is taken away.
    inside = f" {shown} " if longest or not shown.strip() else shown
    return f"{fence}{_in_table(inside)}{fence}"


def prose(text: str) -> str:
    """Write nearfar's own words, with what a plan says among them, as prose: every mark stands for itself.

    A plan may say anything, such as a predicate.
    """
    return _MARKS.sub(_entity, visible(text))


def without_folders(text: str) -> str:
    """Leave of each path that begins at a root its last name."""
    return _FOLDERS.sub("", text)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table of cells that are Markdown already."""
    lines = [_line(titles), _line(["---"] * len(titles))]
    return "\n".join([*lines, *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_table(text: str) -> str:
    return text.replace("|", "\\|")


def _entity(found: re.Match[str]) -> str:
    """Write a character as a reference, which is never taken for a mark; what is not ASCII marks nothing."""
    character = found[0]
    return f"&#{ord(character)};" if character.isascii() else character
