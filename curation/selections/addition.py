"""Samples of a further set, beside those that are there."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curation.expressions import text
from curation.selection import SOURCE, Bringing, Decision, InMemory, ReachingRows, Selection, Times
from curation.selections.drop import Drop
from indexes.errors import DataError

REPEATED, REPLACED = "repeated uid", "replaced"
"""What decided samples that have the uid of another one."""


@dataclass(frozen=True, slots=True)
class Addition(Selection):
    """Bring in the samples of a further set that selections of its own leave, each on what the one before it left.

    They stand behind what is there as samples like any other, and measures of them are not known. A uid that is on
    both sides is one sample: by `repeated`, the one that is there stays, or the new one takes its place, or it is an
    error. Of the samples that are there none goes but for that.

    Attributes:
        source: The further set.
        steps: Its selections, each with the name under which it is counted; they only drop.
        repeated: Which of two samples of one uid stays.
        caption: SQL of the new samples' captions, over the set's columns; empty for their own.
        said: The set in words.
    """

    source: str
    steps: tuple[tuple[str, Selection], ...] = ()
    repeated: Literal["keep", "replace", "error"] = "keep"
    caption: str = ""
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The names; what its selections read are columns of the set."""
        return ("uid",)

    def brings(self) -> Bringing:
        """All samples of the set: those that do not stay are dropped like any other, and counted."""
        return Bringing(self.source, self.caption)

    def decide(self, rows: ReachingRows) -> Decision:
        """Carry out the set's own selections, then look for uids that are on both sides.

        Raises:
            DataError: If a uid is on both sides and that is an error.
        """
        gone, taken = rows.scratch(), rows.scratch()
        rows.db.execute(f"CREATE TEMP TABLE {gone} (name UUID, why VARCHAR)")
        left = rows.offered(self.source)
        offered, steps = _count(left), list[dict[str, Any]]()
        for name, selection in self.steps:
            decision = selection.decide(left)
            lost = left.surviving(f"uid, {text(name)}", f"({decision.predicate}) IS DISTINCT FROM false")
            rows.db.execute(f"INSERT INTO {gone} {lost}")
            before, left = offered - sum(step["dropped"] for step in steps), left.without(decision.predicate)
            dropped = before - _count(left)
            facts = {"rows_in": before, "dropped": dropped, "left": before - dropped}
            steps.append({"reason": name, "words": selection.words(), **facts, **decision.facts})
        there = rows.surviving("uid", f"{SOURCE} <> {text(self.source)}")
        both = f"SELECT uid AS name FROM ({left.surviving('uid')}) SEMI JOIN ({there}) USING (uid)"
        rows.db.execute(f"CREATE TEMP TABLE {taken} AS {both}")
        repeated = _count_of(rows, taken)
        if repeated and self.repeated == "error":
            raise DataError(self._refusal(rows, taken, repeated))
        replaces = self.repeated == "replace"
        new = f"{SOURCE} = {text(self.source)}"
        predicate = f"({new} AND uid IN (SELECT name FROM {gone}))"
        if repeated:
            loser = f"NOT ({new})" if replaces else new
            predicate += f" OR ({loser} AND uid IN (SELECT name FROM {taken}))"
        own = f"SELECT max(why) FROM {gone} WHERE name = uid AND {new}"
        why = f"coalesce(({own}), {text(REPLACED if replaces else REPEATED)})"
        stays = steps[-1]["left"] if steps else offered
        facts = {"offered": offered, "of_the_set": steps, "repeated": repeated}
        facts |= {"added": stays if replaces else stays - repeated}
        return Decision(predicate, facts, why)

    def _refusal(self, rows: ReachingRows, taken: str, repeated: int) -> str:
        first = rows.db.execute(f"SELECT min(name) FROM {taken}").fetchall()[0][0]
        return (
            f"{repeated:,} samples of {self.source} have the uid of a sample that is there, such as {first.hex}, and "
            "the rule takes that as an error. Say repeated: keep or repeated: replace, or take them out by a rule of "
            "that set"
        )

    def times(self, columns: InMemory) -> Times:
        """Look each uid up in Python sets."""
        new = np.array([name == self.source for name in columns.of(SOURCE).to_pylist()], dtype=bool)
        names = [tuple(uid) for uid in columns.uids.tolist()]
        left = columns.offered(self.source)
        for _, selection in self.steps:
            left = left.where(selection.times(left) > 0)
        chosen = {tuple(uid) for uid in left.uids.tolist()}
        there = {name for name, is_new in zip(names, new, strict=True) if not is_new}
        stays = np.array([name in chosen for name in names], dtype=bool) & new
        both = np.array([name in chosen and name in there for name in names], dtype=bool)
        replaces = self.repeated == "replace"
        return np.where(new, stays & ~(both & (not replaces)), ~(both & replaces)).astype(np.int64)

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        """Samples that were there stay, unless new ones take their place; of new ones all rows decide."""
        return None if self.repeated == "replace" else np.ones(len(columns.uids), bool)

    def words(self) -> str:
        """Say what comes in, and what the set's own selections do."""
        steps = "".join(f"; of these it {selection.words()}" for _, selection in self.steps)
        which = {"keep": "unless they are there already", "replace": "in place of those of one uid"}
        said = which.get(self.repeated, "none of which may be there")
        return f"adds the samples of {self.said or self.source}, {said}{steps}"


def _count(rows: ReachingRows) -> int:
    return int(rows.db.execute(rows.surviving("count(*)")).fetchall()[0][0])


def _count_of(rows: ReachingRows, table: str) -> int:
    return int(rows.db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


EXAMPLES = (
    Addition("more"),
    Addition("more", (("1:where", Drop("NOT (width > 0)")), ("2:where", Drop("label IS NULL")))),
    Addition("more", (("1:where", Drop("NOT (width > 0)")),), "replace", "'a photo of a ' || label"),
)
