"""Let samples occur more than once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.rule import Rule, Scope, expression
from curation.rules._options import Count, Name
from curation.selection import Selection
from curation.selections.repeat import Repeat


@dataclass(frozen=True, slots=True)
class Repeated(Rule):
    """Let each sample occur as often as an expression says, rounded down; less than once, or not known, drops it.

    The split's rows say it in the column `repeat`, and `uids.npy` lists the uid so often, which is what DataComp's
    subset files mean by it.

    * `times`: a number, or a column or expression of numbers: weights.
    * `most`: a soft cap: more is brought down to it. An infinite weight drops all the same.
    """

    times: Name | Count
    most: Count | None = None
    shorthand: ClassVar[str | None] = "times"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"times": "width / 100", "most": 3}

    def texts(self) -> tuple[str, ...]:
        """The weights."""
        return (str(self.times),)

    def resolved(self, scope: Scope) -> Self:
        """Check the expression, where the parser is at hand."""
        return self if isinstance(self.times, int) else replace(self, times=expression(self.times, scope))

    def selection(self, scope: Scope) -> Selection:
        """Repeat, up to the cap."""
        said = str(self.times) if self.most is None else f"{self.times}, at most {self.most:,},"
        count = f"nullif(({self.times})::DOUBLE, 'nan'::DOUBLE)"
        if self.most is not None:
            # `least` would take the cap for NULL, and for infinity.
            count = (
                f"CASE WHEN isfinite({count}) AND {count} > {self.most:d} THEN {self.most:d} ELSE {count} END"
            )
        return Repeat(count, said)
