"""Keep the samples with the highest, or lowest, key."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.cutoffs import Cutoff, before, count, cut_at, held, likely_bound, shortage
from curation.expressions import hashed
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping, places


@dataclass(frozen=True, slots=True)
class Rank(Selection):
    """Keep the `amount` samples with the highest (or lowest) `key`.

    Attributes:
        key: SQL of a number.
        amount: How many of all samples that reach the rule, those without a key included.
        highest: Which end stays.
        bounds: Where keys are expected; only the speed depends on it.
        uniform: Whether keys are whole numbers spread evenly over `bounds`, as hashes are; again for speed.
        said: The key in words.
    """

    key: str
    amount: Amount
    highest: bool
    bounds: tuple[float, float] = (-1.0, 1.0)
    uniform: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The key."""
        return (self.key,)

    def decide(self, rows: ReachingRows) -> Decision:
        """Find the exact cutoff: the key and uid of the last sample that stays."""
        if self.uniform and not self.highest:
            return self._draw(rows)
        query = rows.surviving(f"{self.key} AS k, uid")
        counted = count(rows.db, query, self.bounds)
        wanted = self.amount.of(counted.rows, rows.sizes)
        if wanted == 0:
            return Decision("true", shortage(wanted, 0, []), self.key)
        if wanted >= counted.keyed:
            return Decision(f"{self.key} IS NULL", shortage(wanted, counted.keyed, []), self.key)
        cutoff = Cutoff(self.key, self.highest, *cut_at(rows.db, query, counted, wanted, self.highest))
        return Decision(f"NOT {cutoff.keeps()}", shortage(wanted, wanted, [cutoff]), self.key)

    def _draw(self, rows: ReachingRows) -> Decision:
        """Keep the lowest hashes. A hash is dear, so each is computed once: those that may stay go into a table."""
        there = held(rows)
        wanted = self.amount.of(there, rows.sizes)
        if wanted == 0 or wanted >= there:
            facts = shortage(wanted, min(wanted, there), [])
            return Decision("false" if wanted else "true", facts, "NULL")
        table = rows.scratch()
        query = rows.surviving(f"{self.key} AS k, uid")
        create = f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT k, uid FROM ({query})"
        rows.db.execute(f"{create} WHERE k <= {likely_bound(there, wanted, self.bounds)}")
        drawn = f"SELECT k, uid FROM {table}"
        counted = count(rows.db, drawn, self.bounds)
        if counted.keyed < wanted:
            rows.db.execute(create)
            counted = count(rows.db, drawn, self.bounds)
        found = cut_at(rows.db, drawn, counted, wanted, highest=False)
        facts = shortage(wanted, wanted, [Cutoff(self.key, False, *found)])
        stays = Cutoff("k", False, *found).keeps()
        return Decision(f"NOT (uid IN (SELECT uid FROM {table} WHERE {stays}))", facts, "NULL")

    def times(self, columns: InMemory) -> Times:
        """Sort all of them."""
        order = places(columns.of(self.key), columns.uids, self.highest)
        wanted = self.amount.of(len(columns.uids), columns.sizes)
        return keeping(len(columns.uids), order[:wanted])

    def words(self) -> str:
        """Say how many stay, by which key."""
        if self.uniform:
            return f"keeps {self.amount.words()}, drawn by {self.said or self.key}"
        end = "highest" if self.highest else "lowest"
        return f"keeps {self.amount.words()} with the {end} {self.said or self.key}"

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Compare with the cutoff on record; without one, all that have a key stay, or none."""
        values = columns.of(self.key)
        if not facts["cutoffs"]:
            known = np.zeros(len(columns.uids), bool)
            known[places(values, columns.uids, self.highest)] = facts["wanted"] > 0
            return known
        return before(values, columns.uids, facts["cutoffs"][0], self.highest)


EXAMPLES = (
    Rank("nullif(score, 'nan'::DOUBLE)", Amount(keep=3), highest=True),
    Rank("width", Amount(fraction=0.5), highest=False),
    Rank(hashed(7), Amount(keep=4), False, (0.0, 2.0**64), uniform=True),
)
