"""Keep captions of some languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.expressions import text
from curation.rule import Rule, Scope, expression
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class Language(Rule):
    """Keep the samples whose caption is in one of some languages; where that is not known, it drops.

    * `of`: codes as the column has them, in either case: `en`.
    * `column`: the column of languages, such as `LANGUAGE` of LAION's metadata.
    """

    of: Annotated[tuple[Name, ...], Field(min_length=1)]
    column: Name
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"of": ["en"], "column": "lower(width)"}

    def texts(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def resolved(self, scope: Scope) -> Self:
        """Check the column, where the parser is at hand."""
        return replace(self, column=expression(self.column, scope))

    def selection(self, scope: Scope) -> Selection:
        """Drop the others."""
        codes = ", ".join(text(code.lower()) for code in self.of)
        said = f"what is not in {' or '.join(self.of)} by {self.column}"
        return Drop(f"NOT (lower(({self.column})::VARCHAR) IN ({codes}))", said)
