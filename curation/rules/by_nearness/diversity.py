"""Keep a diverse set: no two samples of a group too similar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.expressions import measured, number
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, Name, Threshold, exactly_one
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.rank import Rank


@dataclass(frozen=True, slots=True)
class Diversity(Rule):
    """Thin each group out, farthest samples first.

    * `level: t`: no two samples that stay are more similar than t, and no sample that went could have stayed.
    * `keep: n` or `fraction: f`: the level that leaves so many; ties go to the lower uid.
    * `by`: the measure that gives the levels, `thinning` by default.

    Levels are of a whole group of the pool: a rule before this one takes samples away and changes no level, so that
    what stays is still as diverse as the level says, but may then not be all that could stay.
    """

    level: Threshold | None = None
    keep: Count | None = None
    fraction: Fraction | None = None
    by: Name = "thinning"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"keep": 3}

    def __post_init__(self) -> None:
        exactly_one(level=self.level, keep=self.keep, fraction=self.fraction)

    def reads_measures(self) -> tuple[str, ...]:
        """The measure of the levels."""
        return (self.by,)

    def selection(self, scope: Scope) -> Selection:
        """Drop above the level, or keep the lowest levels."""
        found = measured(self.by, "level")
        if self.level is None:
            said = f"level of {self.by}"
            return Rank(found, Amount(self.keep, self.fraction), highest=False, bounds=(-2.0, 1.0), said=said)
        said = f"what is nearer than {self.level} to a sample taken before"
        return Drop(f"{found} > {number(float(self.level))}", said, found)
