"""Keep the samples whose caption fits the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from curation.expressions import number, quoted
from curation.rule import Amount, Rule, Scope, number_column
from curation.rules._options import Count, Fraction, Name, Threshold, exactly_one
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.rank import Rank

MEASURE = "clip_score"


@dataclass(frozen=True, slots=True)
class ByClipScore(Rule):
    """Keep by CLIP score (DataComp `baselines/apply_filter.py`, clip_score).

    * `threshold: t`: keep what scores t or more.
    * `fraction: f` or `keep: n`: keep the highest, exactly as many, ties by the lower uid. DataComp's own fraction
      keeps one more than it says, and fails at 1.0.
    * `column`: the pool's own score (`clip_l14_similarity_score`) in place of the measure `clip_score`.
    """

    threshold: Threshold | None = None
    fraction: Fraction | None = None
    keep: Count | None = None
    column: Name | None = None
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"fraction": 0.5}

    def __post_init__(self) -> None:
        exactly_one(threshold=self.threshold, fraction=self.fraction, keep=self.keep)

    def reads_measures(self) -> tuple[str, ...]:
        """The measure, or the column, which may be a measure by another name."""
        return (self.column or MEASURE,)

    def resolved(self, scope: Scope) -> Self:
        """The pool's own column must be there and hold numbers."""
        if self.column is not None:
            number_column(self.column, scope, f"{scope.where}.column")
        return self

    def selection(self, scope: Scope) -> Selection:
        """Drop below the threshold, or keep the highest."""
        name = self.column or MEASURE
        key = f"nullif({quoted(name)}::DOUBLE, 'nan'::DOUBLE)"
        if self.threshold is None:
            return Rank(key, Amount(self.keep, self.fraction), highest=True, said=name)
        return Drop(
            f"NOT ({key} >= {number(float(self.threshold))})", f"what has no {name} of {self.threshold}", key
        )
