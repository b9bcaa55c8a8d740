"""Drop what a predicate holds for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.selection import Decision, InMemory, ReachingRows, Selection, Times


@dataclass(frozen=True, slots=True)
class Drop(Selection):
    """Drop each sample for which `predicate` is true or NULL.

    Attributes:
        predicate: SQL of a boolean.
        said: The same in words.
        decided: SQL of what decided a sample; by default the columns that the predicate names.
    """

    predicate: str
    said: str = field(default="", compare=False)
    decided: str | None = field(default=None, compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The predicate."""
        return (self.predicate,)

    def decide(self, rows: ReachingRows) -> Decision:
        """The predicate is the decision."""
        return Decision(self.predicate, decided=self.decided)

    def times(self, columns: InMemory) -> Times:
        """A sample stays where the predicate is false, and not NULL."""
        return self._stays(columns).astype(np.int64)

    def words(self) -> str:
        """Say what goes."""
        return f"drops {self.said or self.predicate}"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """A predicate looks at one sample at a time."""
        return self._stays(columns)

    def _stays(self, columns: InMemory) -> NDArray[np.bool_]:
        drops = columns.of(self.predicate).to_pylist()
        return np.array([value is False for value in drops], dtype=bool)


EXAMPLES = (Drop("nullif(score, 'nan'::DOUBLE) > 0.5"), Drop("NOT (width >= 2 AND len(tags) > 0)"))
