"""How often a sample occurs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.selection import Decision, InMemory, ReachingRows, Selection, Times
from indexes.errors import PlanError

MOST = 1_000_000
"""Repeats of one sample; more is a mistake in the expression, and would fill the disk."""


@dataclass(frozen=True, slots=True)
class Repeat(Selection):
    """Let each sample occur as often as an expression says, rounded down; what comes to less than one is dropped.

    NULL, NaN and infinity drop too. A later such rule multiplies.

    Attributes:
        count: SQL of a number, or a plain number as text.
        said: The expression in words.
    """

    count: str
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The number."""
        return (self.count,)

    def decide(self, rows: ReachingRows) -> Decision:
        """Round down and drop what comes to nothing.

        Raises:
            PlanError: If a sample would occur more than `MOST` times.
        """
        number = f"({self.count})::DOUBLE"
        predicate = f"NOT (isfinite({number}) AND {number} >= 1)"
        left = rows.without(predicate)
        largest, entries = rows.db.execute(left.surviving(f"max({number}), sum(floor({number}))")).fetchall()[
            0
        ]
        if largest is not None and largest >= MOST + 1:
            raise PlanError(
                f"{self.said or self.count} says {largest:,.0f} times for some sample; at most {MOST:,} are taken. "
                "Write least(…, n) around it"
            )
        times = f"floor({number})::BIGINT"
        return Decision(predicate, {"entries": int(entries or 0)}, number, times=times)

    def times(self, columns: InMemory) -> Times:
        """Round down in Python."""
        values = columns.of(self.count).to_pylist()
        numbers = [float("nan") if value is None else float(value) for value in values]
        return np.array([int(n) if np.isfinite(n) and n >= 1 else 0 for n in numbers], np.int64)

    def words(self) -> str:
        """Say by what a sample is repeated."""
        return f"repeats each sample {self.said or self.count} times"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """An expression looks at one sample at a time."""
        return self.times(columns) > 0


EXAMPLES = (Repeat("width"), Repeat("nullif(score, 'nan'::DOUBLE) * 3.5"), Repeat("2"))
