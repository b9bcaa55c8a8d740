"""Samples of two sets, as many of each class from the one as from the other."""

# SQL is put together from checked expressions.
# ruff: noqa: S608

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from curation.expressions import hashed, text
from curation.selection import Bringing, Decision, InMemory, ReachingRows, Selection, Times, keeping
from curation.selections import _groups
from curation.selections.addition import REPEATED
from curation.selections.shares._one_list import Places, SetClasses, classed, is_of, members_of, names_of, of


@dataclass(frozen=True, slots=True)
class Matched(Selection):
    """Draw from what is there and from a further set, of each class as many as the one has that has fewer, by hash.

    Both sides stay, so that a class is as frequent on the one as on the other. A sample of the set whose uid is among
    those that reach the selection is no candidate. What has no class, or one that the other side has not, is dropped.
    Where classes are a list, a sample counts for each, and may be taken for any, so that a class may get more.

    Attributes:
        by: SQL of the class of a sample that is there.
        to: The further set; its samples are drawn by the same hash.
        places: What texts say which class, where the two spell them differently.
        seed: Of the hash.
        said: `by` in words.
    """

    by: str
    to: SetClasses
    places: Places = ()
    seed: int = 0
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The classes and the hash; what it reads of the set are columns of its own."""
        return (self.by, hashed(self.seed))

    def brings(self) -> Bringing:
        """All samples of the set: those that do not stay are dropped like any other, and counted."""
        return Bringing(self.to.name)

    def decide(self, rows: ReachingRows) -> Decision:
        """Count both sides, then draw from each."""
        new, key = of(self.to.name), hashed(self.seed)
        own, offered, there, why = (
            rows.without(new),
            rows.offered(self.to.name),
            rows.scratch(),
            rows.scratch(),
        )
        rows.db.execute(
            f"CREATE TEMP TABLE {there} AS {offered.surviving('uid')} INTERSECT {own.surviving('uid')}"
        )
        sides = (
            classed(own, self.by, key, self.places),
            classed(offered.without(f"uid IN (SELECT uid FROM {there})"), self.to.by, key, self.places),
        )
        held, further = (side.held() for side in sides)
        wanted = {group: min(n, further[group]) for group, n in held.items() if group in further}
        drawn, taken = (side.drawn_by_count(wanted) for side in sides)
        rows.db.execute(
            f"CREATE TEMP TABLE {why} AS {offered.surviving(f'uid AS name, ({self.to.by})::VARCHAR AS class')}"
        )
        tables = {"offered": why, "repeated": there, "added": f"(SELECT DISTINCT uid FROM {taken})"}
        facts = {"wanted": sum(wanted.values()), "classes": len(wanted)} | {
            name: int(rows.db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
            for name, table in tables.items()
        }
        stays = f"({new} AND uid IN (SELECT uid FROM {taken})) OR (NOT {new} AND uid IN (SELECT uid FROM {drawn}))"
        told = f"(SELECT max(class) FROM {why} WHERE name = uid)"
        reason = f"CASE WHEN uid IN (SELECT uid FROM {there}) THEN {text(REPEATED)} ELSE {told} END"
        return Decision(
            f"NOT ({stays})", facts, f"CASE WHEN {new} THEN {reason} ELSE ({self.by})::VARCHAR END"
        )

    def times(self, columns: InMemory) -> Times:
        """Sort each class on both sides."""
        new, key = is_of(columns, self.to.name), hashed(self.seed)
        own, offered = columns.where(~new), columns.offered(self.to.name)
        named = set(names_of(own))
        candidates = offered.where(np.array([name not in named for name in names_of(offered)], dtype=bool))
        held = members_of(own, self.by, key, self.places)
        further = members_of(candidates, self.to.by, key, self.places)
        wanted = {group: min(len(rows), len(further.get(group, ()))) for group, rows in held.items()}
        drawn = np.flatnonzero(~new)[_groups.firsts(held, wanted)]
        taken = {names_of(candidates)[row] for row in _groups.firsts(further, wanted).tolist()}
        chosen = np.array([name in taken for name in names_of(columns)], dtype=bool) & new
        return keeping(len(columns.uids), drawn) + chosen.astype(np.int64)

    def words(self) -> str:
        """Say what is drawn from where."""
        return (
            f"draws as many of each class in {self.said or self.by} as of the samples of {self.to.name} that it adds, "
            "the smaller number of both"
        )


EXAMPLES = (
    Matched("label", SetClasses("more", "label")),
    Matched("tags", SetClasses("more", "label"), (("a", "x"), ("x", "x"), ("b", "y"), ("y", "y")), seed=4),
)
