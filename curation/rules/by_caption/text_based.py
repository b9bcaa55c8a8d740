"""DataComp's filter by what a caption names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from curation.rule import Rule, Scope, expression
from curation.rules._classes import holds_lists, how_many
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class TextBased(Rule):
    """Keep English captions that name an ImageNet class (DataComp `baselines/apply_filter.py`, text_based).

    * `by`: the column of the classes that a caption names. The default is that of a measure which the plan calls
      text_based: `measures: {text_based: {measure: classes, matcher: text_based, names: imagenet-21k}}`.
    * `language`: the column that says `en`. Left out, the language is not looked at, as with `basic`.
    """

    by: Name = "text_based.found"
    language: Name | None = None
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"by": "width", "language": "lower(width)"}

    def texts(self) -> tuple[str, ...]:
        """The columns."""
        return (self.by,) if self.language is None else (self.by, self.language)

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand."""
        read = replace(self, by=expression(self.by, scope))
        return read if self.language is None else replace(read, language=expression(self.language, scope))

    def selection(self, scope: Scope) -> Selection:
        """Drop what names nothing, or is in another language."""
        tests = [f"{how_many(self.by, holds_lists(self.by, scope))} >= 1"]
        said = f"what names no class in {self.by}"
        if self.language is not None:
            tests.append(f"lower(({self.language})::VARCHAR) = 'en'")
            said += f" or is not English by {self.language}"
        return Drop(f"NOT ({' AND '.join(tests)})", said)
