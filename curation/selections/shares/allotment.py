"""Each group keeps a number of samples that grows with its weight, and all together exactly as many as asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from curation.cutoffs import any_null, held
from curation.kernels.cluster_density import allotted, shares
from curation.rule import Amount
from curation.selection import (
    Decision,
    InMemory,
    ReachingRows,
    Selection,
    Times,
    all_known,
    keeping,
    missing,
)
from curation.selections import _groups


@dataclass(frozen=True, slots=True)
class Allotment(Selection):
    """Keep the lowest `key` of each group, as many as its weight earns it.

    A sample without a group, weight or key is dropped.

    Attributes:
        by: SQL of the group.
        weights: SQL of two numbers, the same for all samples of a group (else the largest counts); their product is
            its weight.
        key: SQL of a number.
        amount: How many stay, of all samples that reach the rule.
        temperature: A high one makes shares equal.
        balance: From 0 to 1: the part of an equal share that each group keeps at least.
        said: `by` in words.
    """

    by: str
    weights: tuple[str, str]
    key: str
    amount: Amount
    temperature: float = 0.1
    balance: float = 0.5
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The group, what weighs it, and the order within it."""
        return (self.by, *self.weights, self.key)

    def decide(self, rows: ReachingRows) -> Decision:
        """Count and weigh the groups, allot, then draw."""
        left = rows.without(any_null((*self.weights, self.key)))
        groups = _groups.grouped(left, self.by, self.key)
        sizes = groups.held()
        heaviest = []
        for weight in self.weights:
            of = _groups.grouped(left, self.by, weight).query
            weighed = f"SELECT (g)::VARCHAR AS g, max(k) FROM ({of}) GROUP BY ALL"  # noqa: S608
            heaviest.append({str(g): float(k) for g, k in rows.db.execute(weighed).fetchall()})
        wanted = self.amount.of(held(rows), rows.sizes)
        counts = self._counts(sizes, heaviest[0], heaviest[1], wanted)
        drawn = groups.drawn_by_count(counts)
        facts = {"wanted": wanted, "groups": len(counts)}
        short = wanted - sum(counts.values())
        return Decision(
            f"NOT (uid IN (SELECT uid FROM {drawn}))",  # noqa: S608
            facts | ({"short": short} if short else {}),
            f"({self.by})::VARCHAR",
        )

    def _counts(
        self, sizes: Mapping[str, int], first: Mapping[str, float], second: Mapping[str, float], wanted: int
    ) -> dict[str, int]:
        groups = sorted(sizes)
        one, other = (np.array([weight[group] for group in groups]) for weight in (first, second))
        share = shares(one, other, self.temperature)
        found = allotted(np.array([sizes[group] for group in groups]), share, wanted, self.balance)
        return dict(zip(groups, found.tolist(), strict=True))

    def times(self, columns: InMemory) -> Times:
        """Sort each group, and allot."""
        weights = [columns.of(weight) for weight in self.weights]
        known = all_known(weights) & ~missing(columns.of(self.key))
        found = _groups.members(columns, self.by, self.key, highest=False)
        groups = {group: [row for row in rows if known[row]] for group, rows in found.items()}
        groups = {group: rows for group, rows in groups.items() if rows}
        first, second = (
            {group: max(float(of[row].as_py()) for row in rows) for group, rows in groups.items()}
            for of in weights
        )
        wanted = self.amount.of(len(columns.uids), columns.sizes)
        counts = self._counts({group: len(rows) for group, rows in groups.items()}, first, second, wanted)
        return keeping(len(columns.uids), _groups.firsts(groups, counts))

    def words(self) -> str:
        """Say how many stay, of which groups."""
        return f"keeps {self.amount.words()}, allotted to each of {self.said or self.by} by its weight"


EXAMPLES = (
    Allotment(
        "label",
        ("nullif(score, 'nan'::DOUBLE)", "1.0::DOUBLE"),
        "nullif(other, 'nan'::DOUBLE)",
        Amount(fraction=0.5),
    ),
    Allotment(
        "width",
        ("nullif(score, 'nan'::DOUBLE)", "nullif(score, 'nan'::DOUBLE)"),
        "nullif(other, 'nan'::DOUBLE)",
        Amount(keep=4),
        1.0,
        0.0,
    ),
)
