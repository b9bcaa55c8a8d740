"""A stated number of samples of each class, what the pool lacks of them filled from a further set."""

# SQL is put together from checked expressions.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from curation.expressions import hashed, text
from curation.rule import Amount
from curation.selection import Bringing, Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups
from curation.selections.addition import REPEATED
from curation.selections.balance import SHOWN, shortage_facts
from curation.selections.shares._one_list import (
    Places,
    SetClasses,
    classed,
    held_by,
    held_in_memory,
    is_of,
    members_of,
    names_of,
    of,
)


@dataclass(frozen=True, slots=True)
class Filled(Selection):
    """Draw a stated number of samples of each class, by hash, and fill what the pool lacks from a further set.

    A class of which the pool has too few gets samples of the set, those with the highest `key` first, ties by uid.
    What both lack is counted by class; `strict` makes it an error. A smaller number lies inside a larger one, on both
    sides. A sample of the set whose uid is among those that reach the selection is no candidate. What has no class, or
    one without a number, is dropped. Where classes are a list, a sample counts for each, and may be taken for any.

    Attributes:
        by: SQL of the class of a sample that is there.
        counts: Pairs of a class and how many; where `places` has texts, the class is one of theirs.
        like: The further set whose own counts are the numbers, in place of `counts`.
        fill: The set that fills what lacks; None counts it alone.
        places: What texts say which class, where sets spell them differently.
        seed: Of the hash.
        strict: Whether a shortage stops the run.
        said: `by` in words.
    """

    by: str
    counts: tuple[tuple[str, Amount], ...] = ()
    like: SetClasses | None = None
    fill: SetClasses | None = None
    places: Places = ()
    seed: int = 0
    strict: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The classes and the hash; what it reads of sets are columns of theirs."""
        return (self.by, hashed(self.seed))

    def brings(self) -> Bringing | None:
        """All samples of the set that fills; those that do not stay are dropped like any other, and counted."""
        return None if self.fill is None else Bringing(self.fill.name)

    def decide(self, rows: ReachingRows) -> Decision:
        """Draw from what is there, then take the first of the set, class by class.

        Raises:
            DataError: If it is strict and a class has too few on both sides.
        """
        own = rows if self.fill is None else rows.without(of(self.fill.name))
        groups = classed(own, self.by, hashed(self.seed), self.places)
        held, wanted = groups.held(), self._wanted(held_by(self.like, rows, self.places) if self.like else {})
        drawn = groups.drawn_by_count(wanted)
        decided = f"({self.by})::VARCHAR"
        if self.fill is None:
            facts = shortage_facts(held, wanted, self.said or self.by, self.strict)
            return Decision(f"NOT (uid IN (SELECT uid FROM {drawn}))", facts, decided)
        there, why = rows.scratch(), rows.scratch()
        offered = rows.offered(self.fill.name)
        rows.db.execute(
            f"CREATE TEMP TABLE {there} AS {offered.surviving('uid')} INTERSECT {own.surviving('uid')}"
        )
        candidates = offered.without(f"uid IN (SELECT uid FROM {there})")
        further = classed(candidates, self.fill.by, self.fill.key, self.places)
        more = further.held()
        lacking = {group: n - held.get(group, 0) for group, n in wanted.items() if n > held.get(group, 0)}
        taken = further.drawn_by_count(lacking, highest=True)
        both = {group: held.get(group, 0) + more.get(group, 0) for group in wanted}
        facts = shortage_facts(both, wanted, self.said or self.by, self.strict)
        rows.db.execute(
            f"CREATE TEMP TABLE {why} AS {offered.surviving(f'uid AS name, ({self.fill.by})::VARCHAR AS class')}"
        )
        sizes = {name: self._count(rows, table) for name, table in (("repeated", there), ("offered", why))}
        added = self._count(rows, f"(SELECT DISTINCT uid FROM {taken})")
        filled = {group: min(n, more.get(group, 0)) for group, n in lacking.items() if more.get(group, 0)}
        most = sorted(filled.items(), key=lambda each: (-each[1], each[0]))[:SHOWN]
        new = of(self.fill.name)
        stays = f"({new} AND uid IN (SELECT uid FROM {taken})) OR (NOT {new} AND uid IN (SELECT uid FROM {drawn}))"
        own_class = f"(SELECT max(class) FROM {why} WHERE name = uid)"
        reason = f"CASE WHEN uid IN (SELECT uid FROM {there}) THEN {text(REPEATED)} ELSE {own_class} END"
        return Decision(
            f"NOT ({stays})",
            facts | sizes | {"lacking": sum(lacking.values()), "filled": dict(most), "added": added},
            f"CASE WHEN {new} THEN {reason} ELSE {decided} END",
        )

    def _wanted(self, like: Mapping[str, int]) -> dict[str, int]:
        return (
            dict(like)
            if self.like is not None
            else {value: amount.keep or 0 for value, amount in self.counts}
        )

    def _count(self, rows: ReachingRows, table: str) -> int:
        return int(rows.db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    def times(self, columns: InMemory) -> Times:
        """Sort each class on both sides."""
        there = np.arange(len(columns.uids))
        if self.fill is not None:
            there = np.flatnonzero(~is_of(columns, self.fill.name))
        own = columns.where(np.isin(np.arange(len(columns.uids)), there))
        groups = members_of(own, self.by, hashed(self.seed), self.places)
        wanted = self._wanted(held_in_memory(self.like, columns, self.places) if self.like else {})
        times = keeping(len(columns.uids), there[_groups.firsts(groups, wanted)])
        if self.fill is None:
            return times
        named = set(names_of(own))
        offered = columns.offered(self.fill.name)
        candidates = offered.where(np.array([name not in named for name in names_of(offered)], dtype=bool))
        further = members_of(candidates, self.fill.by, self.fill.key, self.places, highest=True)
        lacking = {group: n - len(groups.get(group, ())) for group, n in wanted.items()}
        rows = _groups.firsts(further, {group: max(n, 0) for group, n in lacking.items()})
        taken = {names_of(candidates)[row] for row in rows.tolist()}
        new = is_of(columns, self.fill.name)
        chosen = np.array([name in taken for name in names_of(columns)], dtype=bool) & new
        return times + chosen.astype(np.int64)

    def words(self) -> str:
        """Say how many of each class stay, and what fills what lacks."""
        by = self.said or self.by
        what = (
            f"as many as {self.like.name} has"
            if self.like
            else f"a stated number for {len(self.counts):,} of them"
        )
        after = (
            f"; fills what lacks from {self.fill.name}, the highest {self.fill.key} first"
            if self.fill
            else ""
        )
        return f"draws of the classes in {by} {what}{after}"


_FEW = (("a", Amount(keep=4)), ("b", Amount(keep=1)), ("none such", Amount(keep=2)))
_MORE = SetClasses("more", "label", "(width)::DOUBLE")
EXAMPLES = (
    Filled("label", _FEW, fill=_MORE),
    Filled("tags", (("x", Amount(keep=9)), ("a", Amount(keep=3))), fill=_MORE, seed=3),
    Filled("label", like=SetClasses("more", "label")),
    Filled(
        "label",
        like=SetClasses("more", "width"),
        fill=_MORE,
        places=(("a", "0"), ("0", "0"), ("b", "1"), ("1", "1")),
    ),
)
