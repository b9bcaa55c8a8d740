"""Cut the rarest values down."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.expressions import hashed
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups
from indexes.errors import DataError

SHOWN = 1_000
"""Values whose names go on record; the total covers all."""


@dataclass(frozen=True, slots=True)
class Tail(Selection):
    """Cut each of the `rarest` values to `most` samples, by hash; what has none of them stays.

    Rare is what the fewest samples have, of those that reach the rule; ties go by class order, that of whole numbers
    or of text. Where `by` is a list, a sample stays only if each of its rarest values draws it. A sample without a
    value is dropped.

    Attributes:
        by: SQL of a column, or of an expression over columns.
        rarest: How many values are cut.
        most: Samples that each of them keeps; 0 for none.
        seed: Of the hash.
        strict: Whether it is an error that there are fewer values than `rarest`.
        said: `by` in words.
    """

    by: str
    rarest: int
    most: int = 0
    seed: int = 0
    strict: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The values and the hash."""
        return (self.by, hashed(self.seed))

    def decide(self, rows: ReachingRows) -> Decision:
        """Count each value, and draw from the rarest.

        Raises:
            DataError: If it is strict and there are fewer values.
        """
        groups = _groups.grouped(rows, self.by, hashed(self.seed))
        held = groups.held()
        if self.strict and len(held) < self.rarest:
            raise DataError(
                f"{self.said or self.by} has {len(held):,} values, and the {self.rarest:,} rarest are to be cut by a "
                "strict rule. Ask for fewer, or let it cut what there is"
            )
        cut = self._cut(held)
        tail, gone = rows.scratch(), rows.scratch()
        listed = f"SELECT value FROM {groups.table} WHERE g IN (SELECT unnest($cut::VARCHAR[]))"
        rows.db.execute(f"CREATE TEMP TABLE {tail} AS {listed}", {"cut": cut})
        place = "row_number() OVER (PARTITION BY g ORDER BY k, uid) AS place"
        placed = f"SELECT uid, {place} FROM ({groups.query}) JOIN {tail} ON g = value"
        rows.db.execute(
            f"CREATE TEMP TABLE {gone} AS SELECT uid FROM ({placed}) WHERE place > {int(self.most)}"
        )
        facts: dict[str, Any] = {"values": len(held), "cut": len(cut), "rarest": cut[:SHOWN]}
        facts |= {"short": self.rarest - len(cut)} if len(cut) < self.rarest else {}
        dropped = f"{_groups.in_no_group(rows, self.by)} OR uid IN (SELECT uid FROM {gone})"
        return Decision(dropped, facts, f"({self.by})::VARCHAR")

    def _cut(self, held: Mapping[str, int]) -> list[str]:
        order = _groups.class_order(held)
        return sorted(held, key=lambda value: (held[value], order[value]))[: self.rarest]

    def times(self, columns: InMemory) -> Times:
        """Sort the values by how many have them."""
        groups = _groups.members(columns, self.by, hashed(self.seed), highest=False)
        cut = self._cut({value: len(rows) for value, rows in groups.items()})
        gone = {row for value in cut for row in groups[value][self.most :]}
        stays = {row for rows in groups.values() for row in rows} - gone
        return keeping(len(columns.uids), np.array(sorted(stays), np.int64))

    def words(self) -> str:
        """Say how many values are cut to what."""
        return (
            f"cuts the {self.rarest:,} rarest values of {self.said or self.by} to {self.most:,} samples each"
        )


EXAMPLES = (Tail("label", 2), Tail("tags", 1, most=1, seed=2), Tail("width", 3, most=1))
