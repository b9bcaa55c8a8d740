"""Groups in a stated ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from curation.expressions import hashed
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups


@dataclass(frozen=True, slots=True)
class Mixture(Selection):
    """Keep the largest set in which groups stand in exactly the stated ratio, each drawn by hash.

    How many times the ratio fits is decided by the group that is scarcest for its share, and by `at_most`. What is in
    another group is dropped. A smaller mixture lies inside a larger one.

    Attributes:
        by: SQL of a column, or of an expression over columns.
        ratio: Pairs of a value (as text) and its part, 1 or more.
        at_most: Samples in all; the set is smaller where the ratio does not divide it, or a group is short.
        seed: Of the hash.
        said: `by` in words.
    """

    by: str
    ratio: tuple[tuple[str, int], ...]
    at_most: int | None = None
    seed: int = 0
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The groups and the hash."""
        return (self.by, hashed(self.seed))

    def decide(self, rows: ReachingRows) -> Decision:
        """Count each group, then draw."""
        groups = _groups.grouped(rows, self.by, hashed(self.seed))
        held = groups.held()
        wanted = self._wanted(held)
        facts = {"mixture": wanted, "there": {group: held.get(group, 0) for group, _ in self.ratio}}
        drawn = groups.drawn_by_count(wanted)
        return Decision(f"NOT (uid IN (SELECT uid FROM {drawn}))", facts, f"({self.by})::VARCHAR")  # noqa: S608

    def _wanted(self, held: Mapping[str, int]) -> dict[str, int]:
        fits = min(held.get(group, 0) // part for group, part in self.ratio)
        if self.at_most is not None:
            fits = min(fits, self.at_most // sum(part for _, part in self.ratio))
        return {group: fits * part for group, part in self.ratio}

    def times(self, columns: InMemory) -> Times:
        """Sort each group."""
        groups = _groups.members(columns, self.by, hashed(self.seed), highest=False)
        wanted = self._wanted({group: len(rows) for group, rows in groups.items()})
        return keeping(len(columns.uids), _groups.firsts(groups, wanted))

    def words(self) -> str:
        """Say the ratio."""
        names, parts = ", ".join(group for group, _ in self.ratio), " : ".join(str(n) for _, n in self.ratio)
        most = "as many as there are" if self.at_most is None else f"at most {self.at_most:,}"
        return f"draws {names} of {self.said or self.by} as {parts}, {most}"


EXAMPLES = (
    Mixture("label", (("a", 2), ("b", 1))),
    Mixture("label", (("b", 1), ("c", 1)), at_most=3, seed=2),
    Mixture("label", (("a", 1), ("none such", 1))),
)
