"""A predicate over declared columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.rule import Rule, Scope, expression
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class Where(Rule):
    """Keep the samples for which a DuckDB predicate over the pool's own and the measured columns is true.

    A sample for which it is NULL is dropped.
    """

    predicate: Name
    shorthand: ClassVar[str | None] = "predicate"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"predicate": "width >= 200 AND photo.similarity < 0.9"}

    def texts(self) -> tuple[str, ...]:
        """The predicate."""
        return (self.predicate,)

    def resolved(self, scope: Scope) -> Self:
        """Check the predicate, where the parser is at hand, and write it as the parser reads it."""
        return replace(self, predicate=expression(self.predicate, scope, condition=True))

    def selection(self, scope: Scope) -> Selection:
        """Drop what the predicate does not hold for."""
        return Drop(f"NOT ({self.predicate})", f"what is not {self.predicate}")
