"""From a rule's selection to one predicate that is true or NULL for what the rule drops."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curation.selection import BestRank, Drop, Quota, Rank, Selection
from pipeline.splits.best_rank import best_ranks
from pipeline.splits.candidates import Rows
from pipeline.splits.cutoffs import Cutoff, count, cut_at, likely_bound

SIMILARITY = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a rule drops among the rows that reach it.

    Attributes:
        predicate: SQL, true or NULL for what is dropped.
        reads: Columns that it names beside the measures.
        facts: For `split.json`: how many were wanted, and the exact cutoffs.
    """

    predicate: str
    reads: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def decide(selection: Selection, rows: Rows, sizes: Mapping[str, int]) -> Decision:
    """Turn a selection into a predicate, looking at the rows that survive the earlier rules.

    Args:
        selection: What the rule asks for.
        rows: The rows that reach it.
        sizes: Size of each split that a rule may take as its measure.
    """
    if isinstance(selection, Drop):
        return Decision(selection.predicate, selection.reads)
    if isinstance(selection, Rank):
        return _rank(selection, rows, sizes)
    if isinstance(selection, Quota):
        return _quota(selection, rows, sizes)
    return _best_rank(selection, rows, sizes)


def _rank(selection: Rank, rows: Rows, sizes: Mapping[str, int]) -> Decision:
    query = rows.surviving(f"{selection.key} AS k, uid")
    if selection.uniform and not selection.highest:
        return _draw(selection, rows, sizes)
    counted = count(rows.db, query, selection.bounds)
    wanted = selection.amount.of(counted.rows, sizes)
    if wanted == 0:
        return Decision("true", facts=_facts(wanted, 0, []))
    if wanted >= counted.keyed:
        return Decision(f"{selection.key} IS NULL", facts=_facts(wanted, counted.keyed, []))
    found = cut_at(rows.db, query, counted, wanted, selection.highest)
    cutoff = Cutoff(selection.key, selection.highest, *found)
    return Decision(f"NOT {cutoff.keeps()}", facts=_facts(wanted, wanted, [cutoff]))


def _draw(selection: Rank, rows: Rows, sizes: Mapping[str, int]) -> Decision:
    """Keep the lowest hashes. A hash is dear, so each is computed once: those that may stay go into a table."""
    held = _held(rows)
    wanted = selection.amount.of(held, sizes)
    if wanted == 0 or wanted >= held:
        return Decision("false" if wanted else "true", facts=_facts(wanted, min(wanted, held), []))
    table = f"drawn_{len(rows.dropped)}"
    query = rows.surviving(f"{selection.key} AS k, uid")
    create = f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT k, uid FROM ({query})"
    rows.db.execute(f"{create} WHERE k <= {likely_bound(held, wanted, selection.bounds)}")
    drawn = f"SELECT k, uid FROM {table}"
    counted = count(rows.db, drawn, selection.bounds)
    if counted.keyed < wanted:
        rows.db.execute(create)
        counted = count(rows.db, drawn, selection.bounds)
    found = cut_at(rows.db, drawn, counted, wanted, highest=False)
    facts = _facts(wanted, wanted, [Cutoff(selection.key, False, *found)])
    stays = Cutoff("k", False, *found).keeps()
    return Decision(f"NOT (uid IN (SELECT uid FROM {table} WHERE {stays}))", facts=facts)


def _quota(selection: Quota, rows: Rows, sizes: Mapping[str, int]) -> Decision:
    """Each key in turn cuts what the keys before it left; a cutoff of one key needs no look at the others."""
    unknown = _any_null(selection.keys)
    left = rows.without(unknown)
    kept: list[str] = []
    cutoffs: list[Cutoff] = []
    taken = 0
    wanted = _wanted(selection, rows, sizes)
    for place, key in enumerate(selection.keys):
        share = wanted // len(selection.keys) + (place < wanted % len(selection.keys))
        query = left.surviving(f"{key} AS k, uid")
        counted = count(rows.db, query, SIMILARITY)
        if share >= counted.keyed:
            return Decision(unknown, facts=_facts(wanted, taken + counted.keyed, cutoffs))
        if share:
            cutoff = Cutoff(key, True, *cut_at(rows.db, query, counted, share, highest=True))
            left = left.without(cutoff.keeps())
            kept.append(cutoff.keeps())
            cutoffs.append(cutoff)
            taken += share
    stays = " OR ".join(kept) or "false"
    return Decision(f"{unknown} OR NOT ({stays})", facts=_facts(wanted, taken, cutoffs))


def _best_rank(selection: BestRank, rows: Rows, sizes: Mapping[str, int]) -> Decision:
    unknown = _any_null(selection.keys)
    known = rows.without(unknown)
    wanted = _wanted(selection, rows, sizes)
    held = _held(known)
    if wanted == 0:
        return Decision("true", facts=_facts(wanted, 0, []))
    if wanted >= held:
        return Decision(unknown, facts=_facts(wanted, held, []))
    cut = best_ranks(known, selection.keys, wanted)
    stays = " OR ".join(cutoff.keeps(inclusive=False) for cutoff in cut.cutoffs)
    tied = ", ".join(f"'{uid}'::UUID" for uid in cut.tied)
    facts = _facts(wanted, wanted, list(cut.cutoffs))
    facts |= {"rank": cut.rank, "at_that_rank": [uid.hex for uid in cut.tied]}
    return Decision(f"{unknown} OR NOT ({stays} OR uid IN ({tied}))", facts=facts)


def _any_null(keys: tuple[str, ...]) -> str:
    return "(" + " OR ".join(f"{key} IS NULL" for key in keys) + ")"


def _wanted(selection: Quota | BestRank, rows: Rows, sizes: Mapping[str, int]) -> int:
    return selection.amount.of(_held(rows), sizes)


def _held(rows: Rows) -> int:
    return int(rows.db.execute(rows.surviving("count(*)")).fetchall()[0][0])


def _facts(wanted: int, kept: int, cutoffs: list[Cutoff]) -> dict[str, Any]:
    facts: dict[str, Any] = {"wanted": wanted, "cutoffs": [cutoff.facts() for cutoff in cutoffs]}
    if kept < wanted:
        facts["short"] = wanted - kept  # fewer samples reached the rule than it was to keep
    return facts
