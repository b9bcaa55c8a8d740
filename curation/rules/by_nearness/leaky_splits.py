"""Drop leaks across the splits that a pool brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.expressions import measured
from curation.rule import Rule, Scope
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class NoLeaks(Rule):
    """Drop every sample that fiftyone-brain's `compute_leaky_splits` lists as a leak, of whichever split.

    `by` names the measure, `leaky_splits` by default: its options say which column is the split, and the distance.
    """

    by: Name = "leaky_splits"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    def reads_measures(self) -> tuple[str, ...]:
        """The measure of the joins."""
        return (self.by,)

    def selection(self, scope: Scope) -> Selection:
        """Cut what leaks."""
        return Drop(
            measured(self.by, "leak"), "what joins a sample of another split", measured(self.by, "leak")
        )
