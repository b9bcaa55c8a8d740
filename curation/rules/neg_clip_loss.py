"""Keep the samples whose caption fits the image better than other captions do, and then by NormSim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from curation.expressions import number, quoted
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, exactly_one
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.rank import Rank
from curation.selections.successive import Successive

MEASURES = ("neg_clip_loss", "norm_sim")


@dataclass(frozen=True, slots=True)
class ByNegClipLoss(Rule):
    """Keep by negCLIPLoss (Wang et al. 2024).

    * `threshold: t`: keep what scores t or more.
    * `fraction: f` or `keep: n`: keep the highest, exactly as many, ties by the lower uid.
    * `norm_sim: g` beside a fraction: of what that keeps, keep the highest by the measure `norm_sim`. Both fractions
      are of the samples that reach the rule, so g is the smaller.
    """

    threshold: Annotated[float, Field(strict=True)] | None = None
    fraction: Fraction | None = None
    keep: Count | None = None
    norm_sim: Fraction | None = None
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"fraction": 0.3, "norm_sim": 0.2}

    def __post_init__(self) -> None:
        exactly_one(threshold=self.threshold, fraction=self.fraction, keep=self.keep)
        if self.norm_sim is not None and (self.fraction is None or self.norm_sim > self.fraction):
            raise ValueError(
                f"norm_sim is {self.norm_sim}: it goes with a fraction that is no smaller, since both are of all "
                "samples that reach the rule; give such a fraction, or a rule norm-sim of its own"
            )

    def reads_measures(self) -> tuple[str, ...]:
        """One measure or two."""
        return MEASURES if self.norm_sim is not None else MEASURES[:1]

    def selection(self, scope: Scope) -> Selection:
        """Drop below the threshold, or keep the highest, once or twice."""
        keys = tuple(f"nullif({quoted(name)}::DOUBLE, 'nan'::DOUBLE)" for name in MEASURES)
        if self.threshold is not None:
            said = f"what has no {MEASURES[0]} of {self.threshold}"
            return Drop(f"NOT ({keys[0]} >= {number(float(self.threshold))})", said, keys[0])
        amount = Amount(self.keep, self.fraction)
        if self.norm_sim is None:
            return Rank(keys[0], amount, highest=True, said=MEASURES[0])
        return Successive(keys, (amount, Amount(fraction=self.norm_sim)), ", then of ".join(MEASURES))
