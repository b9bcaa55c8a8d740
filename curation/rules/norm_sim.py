"""Keep the samples that have most of a target's directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from curation.expressions import number, quoted
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, Name, exactly_one
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.rank import Rank

MEASURE = "norm_sim"


@dataclass(frozen=True, slots=True)
class ByNormSim(Rule):
    """Keep by NormSim (Wang et al. 2024).

    * `threshold: t`: keep what has t or more; a norm may exceed 1 where `norm` is 2.
    * `fraction: f` or `keep: n`: keep the highest, exactly as many, ties by the lower uid.
    * `measure`: the measure's name in the plan, where it has one of its own.
    """

    threshold: Annotated[float, Field(strict=True, ge=0)] | None = None
    fraction: Fraction | None = None
    keep: Count | None = None
    measure: Name = MEASURE
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"fraction": 0.5}

    def __post_init__(self) -> None:
        exactly_one(threshold=self.threshold, fraction=self.fraction, keep=self.keep)

    def reads_measures(self) -> tuple[str, ...]:
        """The measure."""
        return (self.measure,)

    def selection(self, scope: Scope) -> Selection:
        """Drop below the threshold, or keep the highest."""
        # Under another name than its column's, a measure is a struct.
        column = quoted(self.measure) + ("" if self.measure == MEASURE else f".{quoted(MEASURE)}")
        key = f"nullif({column}::DOUBLE, 'nan'::DOUBLE)"
        if self.threshold is None:
            return Rank(key, Amount(self.keep, self.fraction), highest=True, said=self.measure)
        said = f"what has no {self.measure} of {self.threshold}"
        return Drop(f"NOT ({key} >= {number(float(self.threshold))})", said, key)
