"""A cap on each value that thins what is above it, instead of cutting it off."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups

WHOLE = 2**64
"""Draws are whole numbers below this."""


@dataclass(frozen=True, slots=True)
class EntryCap(Selection):
    """Keep a sample if one of its values draws it: a value that n samples have draws each with probability most / n.

    So a value keeps about `most` samples by itself, and a sample stays with probability 1 − Π(1 − p) over its values,
    p = min(1, most / n) (MetaCLIP, `balance_sampling`; METHODS section 7). A draw is the lower 64 bits of md5 of the
    dashed uid, ':', the seed, ':', the value; d draws the sample iff d · n < most · 2⁶⁴, in whole numbers, so that the
    order of a sample's values changes nothing and a smaller cap keeps a part of what a larger one keeps. A sample
    without a value, or with an empty list, is dropped.

    Attributes:
        by: SQL of a column, or of an expression over columns.
        most: The cap, MetaCLIP's t.
        seed: Of the draws.
        floor: Whether the sample with a value's lowest draw stays even where that is not low enough.
        said: `by` in words.
    """

    by: str
    most: int
    seed: int = 0
    floor: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The values, and what is hashed."""
        return (self.by, "uid")

    def decide(self, rows: ReachingRows) -> Decision:
        """Count each value, then draw from those above the cap."""
        groups = _groups.grouped(rows, self.by, "0")
        most, cuts, kept = int(self.most), rows.scratch(), rows.scratch()
        # d * n < most * 2**64 as one comparison with a number for each value.
        cut = f"(({most * WHOLE}::UHUGEINT - 1) // held)::UBIGINT"
        rows.db.execute(
            f"CREATE TEMP TABLE {cuts} AS SELECT *, CASE WHEN held > {most} THEN {cut} END AS cut FROM {groups.table}"
        )
        named = f"SELECT uid, uid::VARCHAR || ':{self.seed:d}:' AS name, g AS of FROM ({groups.query})"
        joined = f"FROM ({named}) JOIN {cuts} ON of = value WHERE"
        draw = "md5_number_lower(name || g)"
        stays = f"SELECT uid {joined} cut IS NULL OR {draw} <= cut"
        if self.floor:
            first = f"min(struct_pack(d := {draw}, u := uid))"
            stays += f" UNION ALL SELECT l.u FROM (SELECT {first} AS l {joined} cut IS NOT NULL GROUP BY g)"
        rows.db.execute(f"CREATE TEMP TABLE {kept} AS {stays}")
        values, above = rows.db.execute(
            f"SELECT count(*), count(*) FILTER (held > {most}) FROM {groups.table}"
        ).fetchall()[0]
        facts = {"most": most, "values": int(values), "above": int(above)}
        return Decision(f"NOT (uid IN (SELECT uid FROM {kept}))", facts, f"({self.by})::VARCHAR")

    def times(self, columns: InMemory) -> Times:
        """Draw for each value of each sample."""
        chosen: set[int] = set()
        for value, members in _groups.members(columns, self.by, "0", highest=False).items():
            draws = {row: _groups.entry_draw(columns.uids[row], self.seed, value) for row in members}
            chosen |= {row for row, draw in draws.items() if draw * len(members) < self.most * WHOLE}
            if self.floor:
                chosen.add(min(members, key=lambda row: (draws[row], *columns.uids[row].tolist())))
        return keeping(len(columns.uids), np.array(sorted(chosen), np.int64))

    def words(self) -> str:
        """Say what the cap is."""
        return f"thins each value of {self.said or self.by} to about {self.most:,}"


EXAMPLES = (EntryCap("label", 2), EntryCap("tags", 3, seed=4), EntryCap("tags", 1, floor=True))
