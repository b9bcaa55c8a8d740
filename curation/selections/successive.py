"""Each of several keys keeps the highest of what the keys before it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cutoffs import SIMILARITY, Cutoff, any_null, before, count, cut_at, held, shortage
from curation.expressions import shown
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, all_known, keeping, places


@dataclass(frozen=True, slots=True)
class Successive(Selection):
    """Each key in turn keeps its highest samples among those that the keys before it kept.

    A fraction is of all samples that reach the rule, for every key. A sample without one of the keys is dropped.

    Attributes:
        keys: SQL of numbers.
        amounts: How many each key keeps, as many as there are keys.
        said: The keys in words.
    """

    keys: tuple[str, ...]
    amounts: tuple[Amount, ...]
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The keys."""
        return self.keys

    def decide(self, rows: ReachingRows) -> Decision:
        """Find one exact cutoff after the other."""
        unknown, decided = any_null(self.keys), shown({f"key {n}": key for n, key in enumerate(self.keys, 1)})
        left, wanted = rows.without(unknown), self._wanted(held(rows), rows.sizes)
        cutoffs: list[Cutoff] = []
        for key, share in zip(self.keys, wanted, strict=True):
            query = left.surviving(f"{key} AS k, uid")
            counted = count(rows.db, query, SIMILARITY)
            kept = min(share, counted.keyed)
            if kept == 0:
                return Decision("true", shortage(wanted[-1], 0, []), decided)
            cutoffs.append(Cutoff(key, True, *cut_at(rows.db, query, counted, kept, highest=True)))
            left = left.without(f"NOT ({cutoffs[-1].keeps()})")
        stays = " AND ".join(f"({cutoff.keeps()})" for cutoff in cutoffs)
        return Decision(f"{unknown} OR NOT ({stays})", shortage(wanted[-1], kept, cutoffs), decided)

    def _wanted(self, rows: int, sizes: Mapping[str, int]) -> list[int]:
        return [amount.of(rows, sizes) for amount in self.amounts]

    def times(self, columns: InMemory) -> Times:
        """Cut one sorted list after the other."""
        values = [columns.of(key) for key in self.keys]
        left = all_known(values)
        for of, share in zip(values, self._wanted(len(left), columns.sizes), strict=True):
            order = places(of, columns.uids, highest=True)
            kept = order[left[order]][:share]
            left = keeping(len(left), kept) > 0
        return left.astype(np.int64)

    def words(self) -> str:
        """Say how many stay after each key."""
        steps = ", then ".join(amount.words() for amount in self.amounts)
        return f"keeps {steps} of all, with the highest of {self.said or ', then of '.join(self.keys)}"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Compare with the cutoffs on record; without any, nothing stays."""
        values = [columns.of(key) for key in self.keys]
        stays = all_known(values) & bool(facts["cutoffs"])
        for of, cutoff in zip(values, facts["cutoffs"], strict=False):
            stays &= before(of, columns.uids, cutoff, highest=True)
        return stays


EXAMPLES = (
    Successive(
        ("nullif(score, 'nan'::DOUBLE)", "nullif(other, 'nan'::DOUBLE)"),
        (Amount(fraction=0.6), Amount(fraction=0.3)),
    ),
    Successive(("nullif(other, 'nan'::DOUBLE)",), (Amount(keep=3),)),
)
