"""A uniform subset above some levels that loses no class."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curation.expressions import hashed, number
from curation.rule import Amount
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, keeping, places
from curation.selections import _groups
from indexes.errors import DataError


@dataclass(frozen=True, slots=True)
class Subset(Selection):
    """Keep a uniform sample of what reaches every level, and lose no class (LAIONet's variants; METHODS section 3).

    1. What reaches every level passes. 2. Of that, `size` samples stay: those with the lowest hash of uid and seed.
    3. With `floor`, each class that has none left gets its first sample back, that of the lowest hash, however low its
    levels. 4. What is then above `size` is taken from the union of the `largest` classes, highest hash first, never the
    first sample of a class. A fraction is of what passes, and is not trimmed. A sample without a class is dropped, and
    so is one without the value of a level.

    Attributes:
        by: SQL of the one class of a sample.
        levels: Pairs of the SQL of a number and what it must reach.
        size: How many stay; None for all that pass.
        floor: Whether no class may vanish.
        largest: From how many classes, by size and then class order, the surplus is taken; 0 leaves it.
        seed: Of the hash.
        strict: Whether it is an error that fewer pass than `size`.
        said: `by` in words.
    """

    by: str
    levels: tuple[tuple[str, float], ...] = ()
    size: Amount | None = None
    floor: bool = True
    largest: int = 10
    seed: int = 0
    strict: bool = False
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The class, what has levels, and the hash."""
        return (self.by, *(of for of, _ in self.levels), hashed(self.seed))

    def decide(self, rows: ReachingRows) -> Decision:
        """Sample, give back, trim.

        Raises:
            DataError: If it is strict and too few pass.
        """
        passing = self._placed(rows)
        there = _one(rows, f"SELECT count(*) FROM {passing} WHERE passes")
        wanted = there if self.size is None else self.size.of(there, rows.sizes)
        self._require(wanted, there)
        chosen = f"passes AND place <= {int(wanted)}"
        add = f"SELECT arg_min(uid, first) AS uid FROM {passing} GROUP BY g HAVING NOT bool_or({chosen})"
        kept = rows.scratch()
        given = f"uid IN ({add})" if self.floor else "false"
        rows.db.execute(
            f"CREATE TEMP TABLE {kept} AS SELECT uid, g, first FROM {passing} WHERE ({chosen}) OR {given}"
        )
        held = _one(rows, f"SELECT count(*) FROM {kept}")
        facts: dict[str, Any] = {"wanted": wanted, "passed": there, "given_back": held - min(wanted, there)}
        trimmed = self._trim(rows, kept, held - wanted)
        facts |= {"trimmed": trimmed} if trimmed else {}
        facts |= {"short": wanted - there} if wanted > there else {}
        return Decision(f"NOT (uid IN (SELECT uid FROM {kept}))", facts, f"({self.by})::VARCHAR")

    def _placed(self, rows: ReachingRows) -> str:
        """Make a table of what has a class, each with its place by hash among those that pass, or that do not."""
        table = rows.scratch()
        value = f"({_groups.known_value(f'({self.by})', rows.kind(self.by))})::VARCHAR"
        passes = " AND ".join(f"({of}) >= {number(float(level))}" for of, level in self.levels) or "true"
        # NULL where a level's value is not known: such a sample is not given back either.
        known = " AND ".join(f"({of}) IS NOT NULL" for of, _ in self.levels) or "true"
        passes = f"CASE WHEN {known} THEN {passes} END"
        query = rows.surviving(f"uid, {value} AS g, {hashed(self.seed)} AS k, {passes} AS passes")
        rows.db.execute(
            f"CREATE TEMP TABLE {table} AS SELECT uid, g, passes, struct_pack(k := k, u := uid) AS first, "
            f"row_number() OVER (PARTITION BY passes ORDER BY k, uid) AS place FROM ({query}) "
            "WHERE g IS NOT NULL AND passes IS NOT NULL"
        )
        return table

    def _require(self, wanted: int, there: int) -> None:
        if self.strict and wanted > there:
            raise DataError(
                f"{wanted:,} samples are asked for and {there:,} reach every level, and the rule is strict. "
                "Ask for fewer, lower a level, or let it take what there is"
            )

    def _trim(self, rows: ReachingRows, kept: str, surplus: int) -> int:
        """Take the surplus out of the table of what stays; return how many went."""
        if surplus <= 0 or not self._trims:
            return 0
        held = {
            str(g): int(n)
            for g, n in rows.db.execute(f"SELECT g, count(*) FROM {kept} GROUP BY g").fetchall()
        }
        spare = f"SELECT *, row_number() OVER (PARTITION BY g ORDER BY first) AS inside FROM {kept}"
        spare = f"SELECT uid FROM ({spare}) WHERE inside > 1 AND g IN (SELECT unnest($top::VARCHAR[]))"
        gone = rows.scratch()
        rows.db.execute(
            f"CREATE TEMP TABLE {gone} AS SELECT uid FROM {kept} SEMI JOIN ({spare}) USING (uid) "
            f"ORDER BY first DESC LIMIT {int(surplus)}",
            {"top": self._top(held)},
        )
        rows.db.execute(f"DELETE FROM {kept} WHERE uid IN (SELECT uid FROM {gone})")
        return _one(rows, f"SELECT count(*) FROM {gone}")

    @property
    def _trims(self) -> bool:
        return self.largest > 0 and self.size is not None and self.size.fraction is None

    def _top(self, held: dict[str, int]) -> list[str]:
        order = _groups.class_order(held)
        return sorted(held, key=lambda value: (-held[value], order[value]))[: self.largest]

    def times(self, columns: InMemory) -> Times:
        """Do the four steps on lists."""
        groups = _groups.members(columns, self.by, hashed(self.seed), highest=False)
        levels = [(columns.of(sql).to_pylist(), level) for sql, level in self.levels]
        known = {row for rows in groups.values() for row in rows}
        known -= {row for row in known if any(values[row] is None for values, _ in levels)}
        groups = {value: [row for row in rows if row in known] for value, rows in groups.items()}
        groups = {value: rows for value, rows in groups.items() if rows}
        of = {row: value for value, rows in groups.items() for row in rows}
        order = [
            row for row in places(columns.of(hashed(self.seed)), columns.uids, False).tolist() if row in of
        ]
        passing = {row for row in order if all(values[row] >= level for values, level in levels)}
        wanted = len(passing) if self.size is None else self.size.of(len(passing), columns.sizes)
        stays = [row for row in order if row in passing][:wanted]
        if self.floor:
            stays += [rows[0] for value, rows in groups.items() if value not in {of[row] for row in stays}]
        if self._trims and len(stays) > wanted:
            stays = self._trimmed(stays, wanted, order, of)
        return keeping(len(columns.uids), np.array(sorted(stays), np.int64))

    def _trimmed(self, stays: list[int], wanted: int, order: list[int], of: dict[int, str]) -> list[int]:
        inside = set(stays)
        stays = [row for row in order if row in inside]
        first = {of[row]: row for row in reversed(stays)}
        top = set(self._top(dict(Counter(of[row] for row in stays))))
        spare = [row for row in stays if of[row] in top and first[of[row]] != row]
        gone = set(spare[max(len(spare) - (len(stays) - wanted), 0) :])
        return [row for row in stays if row not in gone]

    def words(self) -> str:
        """Say how many stay, and that no class goes."""
        size = "all" if self.size is None else self.size.words()
        levels = f" at or above {len(self.levels)} levels" if self.levels else ""
        floor = f", and one sample at least of each class of {self.said or self.by}" if self.floor else ""
        return f"keeps {size}{levels}, drawn by hash with seed {self.seed}{floor or f' ({self.said or self.by})'}"


def _one(rows: ReachingRows, query: str) -> int:
    return int(rows.db.execute(query).fetchall()[0][0])


EXAMPLES = (
    Subset("label", (("nullif(score, 'nan'::DOUBLE)", 0.5),)),
    Subset("label", (("nullif(score, 'nan'::DOUBLE)", 0.0),), Amount(keep=5), largest=2),
    Subset("width", (), Amount(fraction=0.5), floor=False, seed=3),
)
