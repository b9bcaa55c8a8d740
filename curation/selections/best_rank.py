"""Keep the samples that come first by any of several keys."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from curation.best_ranks import best_ranks
from curation.cutoffs import any_null, held, shortage
from curation.expressions import either, shown
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, all_known, keeping, places


@dataclass(frozen=True, slots=True)
class BestRank(Selection):
    """Keep the samples whose best rank over the keys is lowest; ties by higher maximum, then lower uid.

    A rank counts from 1 in the order of key descending, uid ascending, among the samples that have every key.
    """

    keys: tuple[str, ...]
    amount: Amount
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The keys."""
        return self.keys

    def decide(self, rows: ReachingRows) -> Decision:
        """Find the rank of the last sample that stays, and which of those that have it stay too."""
        unknown, decided = any_null(self.keys), shown({f"key {n}": key for n, key in enumerate(self.keys, 1)})
        known = rows.without(unknown)
        wanted = self.amount.of(held(rows), rows.sizes)
        there = held(known)
        if wanted == 0:
            return Decision("true", shortage(wanted, 0, []), decided)
        if wanted >= there:
            return Decision(unknown, shortage(wanted, there, []), decided)
        cut = best_ranks(known, self.keys, wanted)
        stays = either([cutoff.keeps(inclusive=False) for cutoff in cut.cutoffs])
        tied = ", ".join(f"'{uid}'::UUID" for uid in cut.tied)
        facts = shortage(wanted, wanted, list(cut.cutoffs))
        facts |= {"rank": cut.rank, "at_that_rank": [uid.hex for uid in cut.tied]}
        return Decision(f"{unknown} OR NOT ({stays} OR uid IN ({tied}))", facts, decided)

    def times(self, columns: InMemory) -> Times:
        """Rank every sample by every key."""
        values = [columns.of(key) for key in self.keys]
        known = all_known(values)
        best = np.full(len(known), np.iinfo(np.int64).max)
        highest = np.full(len(known), -np.inf)
        for of in values:
            order = places(of, columns.uids, highest=True)
            order = order[known[order]]
            best[order] = np.minimum(best[order], np.arange(len(order)))
            numbers = of.to_numpy(zero_copy_only=False).astype(np.float64)
            highest[known] = np.maximum(highest[known], numbers[known])
        wanted = self.amount.of(len(known), columns.sizes)
        uids = columns.uids
        order = np.lexsort((uids[:, 1], uids[:, 0], -highest, best))
        return keeping(len(known), order[known[order]][:wanted])

    def words(self) -> str:
        """Say how many stay, by which keys."""
        return f"keeps {self.amount.words()} with the best rank by any of {self.said or ', '.join(self.keys)}"


EXAMPLES = (
    BestRank(("nullif(score, 'nan'::DOUBLE)", "nullif(other, 'nan'::DOUBLE)"), Amount(keep=5)),
    BestRank(("nullif(other, 'nan'::DOUBLE)",), Amount(fraction=0.3)),
)
