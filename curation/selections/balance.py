"""A stated number of samples of each group."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.expressions import hashed
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups
from indexes.errors import DataError

SHOWN = 100
"""Values whose shortage is listed one by one; the total covers all."""


@dataclass(frozen=True, slots=True)
class Balance(Selection):
    """Draw a stated number of samples for each value of `by`, by hash, so that a smaller draw lies inside a larger one.

    A value that has fewer gives all it has, and the facts say how many are short; `strict` makes that an error. Where
    `by` is a list, a sample may be drawn for any of its values, and stays once; so such a value may keep more than it
    was told. What has no value, or a value without a count, is dropped.

    Attributes:
        by: SQL of a column, or of an expression over columns.
        counts: One amount for each value that there is, or pairs of a value (as text) and its amount. A fraction is of
            the samples of that value.
        seed: Of the hash.
        strict: Whether a shortage stops the run.
        said: `by` in words.
    """

    by: str
    counts: Amount | tuple[tuple[str, Amount], ...]
    seed: int = 0
    strict: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The groups and the hash."""
        return (self.by, hashed(self.seed))

    def decide(self, rows: ReachingRows) -> Decision:
        """Count each value, then draw.

        Raises:
            DataError: If it is strict and a value has too few.
        """
        groups = _groups.grouped(rows, self.by, hashed(self.seed))
        held = groups.held()
        wanted = self._wanted(held, rows.sizes)
        facts = shortage_facts(held, wanted, self.said or self.by, self.strict)
        drawn = groups.drawn_by_count(wanted)
        return Decision(f"NOT (uid IN (SELECT uid FROM {drawn}))", facts, f"({self.by})::VARCHAR")

    def _wanted(self, held: Mapping[str, int], sizes: Mapping[str, int]) -> dict[str, int]:
        if isinstance(self.counts, Amount):
            return {group: self.counts.of(held[group], sizes) for group in sorted(held)}
        return {group: amount.of(held.get(group, 0), sizes) for group, amount in self.counts}

    def times(self, columns: InMemory) -> Times:
        """Sort each group."""
        groups = _groups.members(columns, self.by, hashed(self.seed), highest=False)
        wanted = self._wanted({group: len(rows) for group, rows in groups.items()}, columns.sizes)
        return keeping(len(columns.uids), _groups.firsts(groups, wanted))

    def words(self) -> str:
        """Say how many of each value stay."""
        by = self.said or self.by
        if isinstance(self.counts, Amount):
            return f"draws {self.counts.words()} for each value of {by}"
        return f"draws a stated number for each of {len(self.counts):,} values of {by}"


def shortage_facts(
    held: Mapping[str, int], wanted: Mapping[str, int], by: str, strict: bool
) -> dict[str, Any]:
    """Say how many samples were wanted, and by value how many of them are not there.

    Args:
        held: Samples of each value.
        wanted: How many of each are to stay.
        by: What the values are of, in words.
        strict: Whether a shortage is an error.

    Raises:
        DataError: If it is, and a value has too few.
    """
    short = {group: n - held.get(group, 0) for group, n in wanted.items() if n > held.get(group, 0)}
    facts: dict[str, Any] = {"wanted": sum(wanted.values())}
    if not short:
        return facts
    largest = sorted(short.items(), key=lambda each: (-each[1], each[0]))[:SHOWN]
    if strict:
        shown = ", ".join(f"{group!r} lacks {n:,}" for group, n in largest[:5])
        raise DataError(
            f"{len(short):,} values of {by} have fewer samples than were asked for, and the "
            f"rule is strict: {shown}. Ask for fewer, or let it take what there is"
        )
    return facts | {"short": sum(short.values()), "shortages": dict(largest)}


EXAMPLES = (
    Balance("label", Amount(keep=2)),
    Balance(
        "label", (("a", Amount(keep=1)), ("b", Amount(fraction=0.5)), ("none such", Amount(keep=3))), seed=5
    ),
    Balance("tags", Amount(fraction=0.5)),
)
