"""At most so many samples for each value of a column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.expressions import hashed
from curation.rule import Rule, Scope, expression
from curation.rules._options import Count, Name, Seed
from curation.selection import Selection
from curation.selections.cap import Cap


@dataclass(frozen=True, slots=True)
class Capped(Rule):
    """Keep at most `most` samples for each value of `by`, drawn by hash of (uid, seed).

    * `by`: a column, or an expression over columns: `clusters.cluster`, `lower(domain)`. Where it is a list, a sample
      stays if it is drawn for at least one of its values.
    * `most`: samples for each value. A smaller cap keeps a part of what a larger one keeps.
    """

    by: Name
    most: Count
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"by": "width", "most": 2}

    def texts(self) -> tuple[str, ...]:
        """What it groups by."""
        return (self.by,)

    def resolved(self, scope: Scope) -> Self:
        """Check `by`, where the parser is at hand."""
        return replace(self, by=expression(self.by, scope))

    def selection(self, scope: Scope) -> Selection:
        """Cap each value."""
        return Cap(self.by, self.most, hashed(self.seed))
