"""DataComp's basic filter, without language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.expressions import quoted
from curation.rule import Rule, Scope, number_column
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop
from indexes.errors import PlanError

SIDES = {"width": ("original_width", "width"), "height": ("original_height", "height")}
"""What pools call an image's sides, in either case; the size before any resizing comes first."""


@dataclass(frozen=True, slots=True)
class Basic(Rule):
    """Keep plausible captions and images (DataComp, `baselines/apply_filter.py`, basic_filter, less its language).

    A caption has more than 2 words (by white space) and more than 5 characters (code points, untrimmed); the smaller
    side of the image is at least 200 pixels, the larger at most 3 times that. What is not known drops.

    * `width`, `height`: the pool's own columns; by default `original_width`, else `width`, and so with height.
    """

    width: Name | None = None
    height: Name | None = None
    needs: ClassVar[tuple[str, ...]] = ("captions",)
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    def resolved(self, scope: Scope) -> Self:
        """Find the columns of the image's sides, once the pool is known."""
        if scope.columns is None:
            return self
        named = {}
        for side, given in (("width", self.width), ("height", self.height)):
            named[side] = given or _found(side, scope)
            number_column(named[side], scope, f"{scope.where}.{side}")
        return replace(self, **named)

    def selection(self, scope: Scope) -> Selection:
        """Drop what is not known to pass."""
        w, h = (
            f"{quoted(name)}::DOUBLE"
            for name in (self.width or SIDES["width"][0], self.height or SIDES["height"][0])
        )
        # Products, not quotients: a side of 0 fails its own test. `least` would pass over a NULL.
        tests = (
            '"captions"."words" > 2',
            '"captions"."characters" > 5',
            f"{w} >= 200 AND {h} >= 200",
            f"{w} <= 3 * {h} AND {h} <= 3 * {w}",
        )
        said = "what has 2 words, 5 characters or less, a side below 200 pixels or an aspect above 3"
        return Drop(f"NOT ({' AND '.join(tests)})", said)


def _found(side: str, scope: Scope) -> str:
    """Name the first alias that the pool has; columns match without regard to case."""
    columns = {name.lower(): name for name in scope.columns or {}}
    for alias in SIDES[side]:
        if alias in columns:
            return columns[alias]
    raise PlanError(
        f"{scope.where} needs the {side} of each image, and the pool has none of the columns {', '.join(SIDES[side])}; "
        f"it has: {', '.join(sorted(scope.columns or {})) or 'none'}. Name yours under {scope.where}.{side}"
    )
