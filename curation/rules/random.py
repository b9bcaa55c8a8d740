"""Random pruning, by hash: the control for every other rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from curation.expressions import hashed
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, Name, Seed, exactly_one
from curation.selection import Selection
from curation.selections.rank import Rank


@dataclass(frozen=True, slots=True)
class Random(Rule):
    """Keep samples uniformly at random, without replacement.

    A sample's place is the lower 64 bits of md5 of its dashed uid, a colon and the seed. It depends on
    nothing else, so that the order of the pool and the number of workers change nothing, and a smaller
    sample lies inside a larger one. `like` takes as many as another split keeps.
    """

    keep: Count | None = None
    fraction: Fraction | None = None
    like: Name | None = None
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"keep": 3}

    def __post_init__(self) -> None:
        exactly_one(keep=self.keep, fraction=self.fraction, like=self.like)

    def follows(self) -> tuple[str, ...]:
        """Name the split whose size is taken."""
        return () if self.like is None else (self.like,)

    def selection(self, scope: Scope) -> Selection:
        """Keep the samples with the lowest hash."""
        return Rank(
            key=hashed(self.seed),
            amount=Amount(self.keep, self.fraction, self.like),
            highest=False,
            bounds=(0.0, 2.0**64),
            uniform=True,
            said=f"hash with seed {self.seed}",
        )
