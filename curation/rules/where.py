"""A predicate over declared columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from curation.predicates import check_predicate, named_columns
from curation.rules._options import Name
from curation.selection import Drop, Rule, Scope, Selection
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class Where(Rule):
    """Keep the samples for which a DuckDB predicate over the pool's own and the measured columns is true.

    A sample for which it is NULL is dropped.
    """

    predicate: Name
    needs: ClassVar[tuple[str, ...]] = ()
    shorthand: ClassVar[str | None] = "predicate"

    def resolved(self, scope: Scope) -> Self:
        """Check the predicate, where the parser is at hand, and write it as the parser reads it."""
        if scope.parse is None:
            return self
        try:
            parsed = scope.parse(self.predicate)
        except PlanError as error:
            raise PlanError(f"{scope.where}: {error}") from error
        check_predicate(parsed.tree, scope.columns, scope.where)
        return replace(self, predicate=parsed.sql)

    def selection(self, scope: Scope) -> Selection:
        """Drop what the predicate does not hold for."""
        reads = named_columns(scope.parse(self.predicate).tree) if scope.parse else ()
        return Drop(f"NOT ({self.predicate})", reads)
