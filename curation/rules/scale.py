"""One of a series of sizes, each inside the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from curation.expressions import hashed
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Seed
from curation.selection import Selection
from curation.selections.rank import Rank


@dataclass(frozen=True, slots=True)
class OneIn(Rule):
    """Keep one in 2, 4, 8, 16 or 32 samples, by hash of uid and seed (the scale series of arXiv 2405.21070).

    Half a sample is rounded up. Samples of one seed are nested: one in 32 lies inside one in 16. A series that loses
    no class is `class-subset` with a fraction.
    """

    one_in: Literal[2, 4, 8, 16, 32]
    seed: Seed = 0
    shorthand: ClassVar[str | None] = "one_in"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"one_in": 4}

    def selection(self, scope: Scope) -> Selection:
        """Keep the lowest hashes."""
        return Rank(
            key=hashed(self.seed),
            amount=Amount(fraction=1 / self.one_in),
            highest=False,
            bounds=(0.0, 2.0**64),
            uniform=True,
            said=f"hash with seed {self.seed}, one in {self.one_in}",
        )
