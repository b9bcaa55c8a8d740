"""Each of several keys keeps its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cutoffs import SIMILARITY, Cutoff, any_null, before, count, cut_at, held, shortage
from curation.expressions import either, shown
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, all_known, keeping, places


@dataclass(frozen=True, slots=True)
class Quota(Selection):
    """Each key in turn keeps its highest samples among those not yet taken.

    `n` is divided evenly; the first `n mod len(keys)` keys take one more, so that exactly `n` are kept. A sample
    without one of the keys is dropped.
    """

    keys: tuple[str, ...]
    amount: Amount
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The keys."""
        return self.keys

    def decide(self, rows: ReachingRows) -> Decision:
        """Each key in turn cuts what the keys before it left; a cutoff of one key needs no look at the others."""
        unknown, decided = any_null(self.keys), shown({f"key {n}": key for n, key in enumerate(self.keys, 1)})
        left = rows.without(unknown)
        cutoffs: list[Cutoff] = []
        taken = 0
        wanted = self.amount.of(held(rows), rows.sizes)
        for place, key in enumerate(self.keys):
            share = self._share(wanted, place)
            query = left.surviving(f"{key} AS k, uid")
            counted = count(rows.db, query, SIMILARITY)
            if share >= counted.keyed:
                return Decision(unknown, shortage(wanted, taken + counted.keyed, cutoffs), decided)
            if share:
                cutoff = Cutoff(key, True, *cut_at(rows.db, query, counted, share, highest=True))
                left = left.without(cutoff.keeps())
                cutoffs.append(cutoff)
                taken += share
        stays = either([cutoff.keeps() for cutoff in cutoffs])
        return Decision(f"{unknown} OR NOT ({stays})", shortage(wanted, taken, cutoffs), decided)

    def _share(self, wanted: int, place: int) -> int:
        return wanted // len(self.keys) + (place < wanted % len(self.keys))

    def times(self, columns: InMemory) -> Times:
        """Let each key take from a sorted list."""
        values = [columns.of(key) for key in self.keys]
        free = all_known(values)
        wanted = self.amount.of(len(free), columns.sizes)
        chosen: list[NDArray[np.int64]] = []
        for place, of in enumerate(values):
            order = places(of, columns.uids, highest=True)
            chosen.append(order[free[order]][: self._share(wanted, place)])
            free[chosen[-1]] = False
        return keeping(len(free), np.concatenate(chosen))

    def words(self) -> str:
        """Say how many stay, by which keys."""
        keys = self.said or ", ".join(self.keys)
        return f"keeps {self.amount.words()}, an equal share with the highest of each of {keys}"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        """Compare with the cutoffs on record; where samples ran short, all with every key stay."""
        values = [columns.of(key) for key in self.keys]
        known = all_known(values)
        wanted = facts["wanted"]
        shares = [self._share(wanted, place) for place in range(len(self.keys))]
        if len(facts["cutoffs"]) < sum(share > 0 for share in shares):
            return known
        stays = np.zeros(len(known), bool)
        cutting = [place for place, share in enumerate(shares) if share]
        for place, cutoff in zip(cutting, facts["cutoffs"], strict=True):
            stays |= before(values[place], columns.uids, cutoff, highest=True)
        return stays & known


EXAMPLES = (
    Quota(("nullif(score, 'nan'::DOUBLE)", "nullif(other, 'nan'::DOUBLE)"), Amount(keep=5)),
    Quota(("nullif(other, 'nan'::DOUBLE)",), Amount(fraction=0.3)),
)
