"""Drop what is on a deny list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.rule import Rule, Scope, expression
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class Deny(Rule):
    """Drop the samples that are on a deny list, and those of which that is not known.

    * `by`: the column that says so; by default that of the measure `listed`, whose options name the lists.
    """

    by: Name = "listed.listed"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"by": "width > 200"}

    def texts(self) -> tuple[str, ...]:
        """The column."""
        return (self.by,)

    def resolved(self, scope: Scope) -> Self:
        """Check it, where the parser is at hand."""
        return replace(self, by=expression(self.by, scope, condition=True))

    def selection(self, scope: Scope) -> Selection:
        """Drop them; which list has a sample is not said."""
        return Drop(f"({self.by})::BOOLEAN", "what is on a deny list, or may be", "NULL")
