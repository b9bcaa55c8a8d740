"""What a section of the report gives: numbers for `audit.json`, and pieces that the page knows how to draw.

A section writes no HTML. Texts are escaped, and characters that cannot be seen made visible, where they are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.thumbnails import Thumbnail

DIGITS = 9
"""Significant digits of a number that was computed: the last bits of logarithms differ between machines."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or two."""

    text: str
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table.

    Attributes:
        caption: What it shows.
        heads: Names of its columns.
        rows: Their cells, as texts; the first one heads the row.
        texts: Positions of further columns that hold words; all others hold numbers.
        more: Rows beyond this one are folded away.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: Sequence[int] = ()
    more: int = 20
    kind: ClassVar[str] = "sheet"


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts side by side."""

    charts: Sequence[Chart]
    kind: ClassVar[str] = "charts"


@dataclass(frozen=True, slots=True)
class Strip:
    """Some pictures under one heading, each with a few words."""

    title: str
    note: str
    pictures: Sequence[tuple[Thumbnail, str]]


@dataclass(frozen=True, slots=True)
class Gallery:
    """Strips of pictures."""

    caption: str
    strips: Sequence[Strip]
    kind: ClassVar[str] = "gallery"


Piece: TypeAlias = Paragraph | Sheet | Charts | Gallery


@dataclass(frozen=True, slots=True)
class Panel:
    """What a section says.

    Attributes:
        about: What it is about and how it was counted, in a sentence or two.
        numbers: For `audit.json`: plain values, lists and mappings.
        pieces: What the page shows below that, in order.
    """

    about: str
    numbers: Mapping[str, Any]
    pieces: Sequence[Piece] = field(default=())


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A section that has nothing to say of this run, and why."""

    reason: str


def rounded(value: float | None) -> float | None:
    """Round a computed number to `DIGITS` significant digits; None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")
