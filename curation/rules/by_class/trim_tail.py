"""Cut the tail of the class distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.rule import Rule, Scope, expression
from curation.rules._classes import SINGLE
from curation.rules._options import Count, Name, Seed
from curation.selection import Selection
from curation.selections.tail import Tail


@dataclass(frozen=True, slots=True)
class TrimTail(Rule):
    """Cut the rarest classes to 0 or to 1 sample (arXiv 2405.21070, `create_incaps_trim_tail.py`; METHODS section 3).

    Classes with equally many samples go by class order, and the one sample is drawn by hash; the published code leaves
    both to chance. Classes that the pool has not at all are not counted. What has no class drops.

    * `rarest`: how many classes are cut: 5, 20, 50, 100, 200, 500 in the paper.
    * `keep`: samples that each of them keeps.
    * `by`: the column of classes; of a list, every class that is cut must draw the sample.
    * `strict: true`: fewer classes than `rarest` are an error.
    """

    rarest: Count
    keep: Annotated[int, Field(strict=True, ge=0, le=1)] = 0
    by: Name = SINGLE
    seed: Seed = 0
    strict: Annotated[bool, Field(strict=True)] = False
    shorthand: ClassVar[str | None] = "rarest"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"rarest": 2, "keep": 1}

    def texts(self) -> tuple[str, ...]:
        """The column of classes."""
        return (self.by,)

    def resolved(self, scope: Scope) -> Self:
        """Check the column, where the parser is at hand."""
        return replace(self, by=expression(self.by, scope))

    def selection(self, scope: Scope) -> Selection:
        """Cut the tail."""
        return Tail(self.by, self.rarest, self.keep, self.seed, self.strict)
