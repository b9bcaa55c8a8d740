"""Groups within groups share a number evenly, as far as each has samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.cutoffs import held
from curation.expressions import hashed
from curation.kernels.even_shares import leaf_targets
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups


@dataclass(frozen=True, slots=True)
class Hierarchy(Selection):
    """Share `amount` evenly among the outermost groups, each share among the groups within, and so on.

    A group that has less than its share gives all it has, and the others more. Within an innermost group the highest
    `key` stays, or the lowest hash. A sample without one of its groups or without a key is dropped; the text `nan` is
    taken for NaN.

    Attributes:
        by: SQL of the groups, outermost first.
        amount: How many stay, of all samples that reach the rule.
        key: SQL of a number, the highest first; None for a draw by hash.
        seed: Of the hash, and of who gives one more where a share is no whole number.
        said: `by` in words.
    """

    by: tuple[str, ...]
    amount: Amount
    key: str | None = None
    seed: int = 0
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The groups, and the order within the innermost."""
        return (*self.by, self._key())

    def _key(self) -> str:
        return hashed(self.seed) if self.key is None else self.key

    def _path(self) -> str:
        """Write the SQL of a sample's groups as one JSON text, NULL where one is missing."""
        names = [f"nullif(({each})::VARCHAR, 'nan')" for each in self.by]
        known = " AND ".join(f"{name} IS NOT NULL" for name in names)
        return f"CASE WHEN {known} THEN to_json([{', '.join(names)}])::VARCHAR END"

    def decide(self, rows: ReachingRows) -> Decision:
        """Count the innermost groups, share, then draw."""
        groups = _groups.grouped(rows, self._path(), self._key())
        sizes = groups.held()
        wanted = self.amount.of(held(rows), rows.sizes)
        counts = self._counts(sizes, wanted)
        drawn = groups.drawn_by_count(counts, self.key is not None)
        facts: dict[str, Any] = {"wanted": wanted, "groups": len(counts)}
        short = wanted - sum(counts.values())
        stays = f"uid IN (SELECT uid FROM {drawn})"  # noqa: S608
        return Decision(f"NOT ({stays})", facts | ({"short": short} if short else {}), self._path())

    def _counts(self, sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
        paths = {tuple(json.loads(group)): group for group in sorted(sizes)}
        shared = leaf_targets({path: sizes[group] for path, group in paths.items()}, wanted, self.seed)
        return {paths[path]: count for path, count in shared.items()}

    def times(self, columns: InMemory) -> Times:
        """Sort each innermost group, and share."""
        groups = _groups.members(columns, self._path(), self._key(), highest=self.key is not None)
        wanted = self.amount.of(len(columns.uids), columns.sizes)
        counts = self._counts({group: len(rows) for group, rows in groups.items()}, wanted)
        return keeping(len(columns.uids), _groups.firsts(groups, counts))

    def words(self) -> str:
        """Say how many stay, and among what they are shared."""
        return f"keeps {self.amount.words()}, shared evenly among {self.said or ' and then '.join(self.by)}"


EXAMPLES = (
    Hierarchy(("label",), Amount(keep=5), seed=3),
    Hierarchy(("label", "width"), Amount(fraction=0.5), "nullif(score, 'nan'::DOUBLE)"),
)
