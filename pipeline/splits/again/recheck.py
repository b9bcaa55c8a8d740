"""Finished splits decided again by the plain oracle of each selection."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation import rules
from curation.kernels.uid_names import hex_names
from curation.rule import Rule, Scope
from curation.selection import Times
from curation.selections.rewrite import Rewrite
from indexes.errors import NearfarError
from pipeline import layout
from pipeline.files.database import connect
from pipeline.sets.membership import is_member
from pipeline.splits.again.committed_rows import SHOWN, facts_of, other_captions, other_reasons
from pipeline.splits.again.memory import Memory, in_order
from pipeline.splits.again.starting_rows import names_of, starting_mask, starting_rows
from pipeline.splits.cutting import Placed, open_pool, read_rules, sizes_of
from pipeline.splits.pool_columns import look
from pipeline.splits.pool_table import POOL, Pool
from pipeline.splits.requests import CutRequest, SplitRequest
from pipeline.splits.split_files import OUTSIDE

WHOLE_ROWS = 200_000
"""Pools of more rows are checked on a sample of about as many, by the cutoffs on record."""
_TAKES_ALL = "it looks at all rows that reach it, and a sample of them was looked at"


@dataclass(slots=True)
class Rechecked:
    """What became of looking at a split again.

    Attributes:
        rows: Samples that were looked at again.
        whole: Whether those were all of the pool.
        rules: By place and name of a rule (`1:near`), how many samples it decided again.
        left: By the same, what could not be decided again, and why.
        problems: One sentence each; empty if all is well.
    """

    rows: int
    whole: bool
    rules: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def recheck(
    request: CutRequest, out: Path, rows: int | None = WHOLE_ROWS, seed: int = 0
) -> dict[str, Rechecked]:
    """Decide committed splits again, and compare with their `uids.npy`.

    A pool of up to `rows` samples is decided wholly, repeats included, by the oracle of each selection in order. Of a
    larger one, a seeded sample is decided by predicates and by the cutoffs in `split.json`; a selection that takes all
    rows (a rank over several keys, a cap) is passed over there, so that only what it cannot excuse counts.

    Args:
        request: The splits, and what they were cut from.
        out: The output folder.
        rows: Samples that are looked at; None for all.
        seed: Of the sample.

    Returns:
        What was found, by split.

    Raises:
        OutputError: If a split's files are not there.
    """
    everything = look(request.parts, request.measures)
    placed = {split.name: read_rules(request, split, everything.types()) for split in request.splits}
    found = {}
    with connect(out, request.memory_limit, request.threads) as db, in_order() as plain:
        pool, _ = open_pool(db, request, everything, list(placed.values()))
        # A sample is of the pool alone.
        total = pool.seen.taken + sum(each.seen.taken for each in pool.sets.values())
        every = 1 if rows is None else -(-total // max(rows, 1))
        table, whole = _drawn(pool, every, seed), every <= 1
        sets = {name: _drawn(of, 1, seed) for name, of in pool.sets.items()} if whole else {}
        for split in request.splits:
            sizes = sizes_of(split)
            held = {name: Memory(each, sizes, plain, pool.sets[name].columns) for name, each in sets.items()}
            memory = Memory(table, sizes, plain, pool.columns, held)
            found[split.name] = of = Rechecked(len(memory), whole)
            (_wholly if whole else _by_cutoffs)(memory, split, placed[split.name], out, of)
    return found


def _drawn(pool: Pool, every: int, seed: int) -> pa.Table:
    """Bring rows into memory, sorted by uid: one in `every`."""
    test = f" WHERE hash(uid::VARCHAR || ':{seed:d}') % {every} = 0" if every > 1 else ""
    return pool.db.sql(f"SELECT * FROM {pool.view}{test} ORDER BY uid").to_arrow_table()


def _label(place: int, rule: Rule) -> str:
    return f"{place}:{rules.dump(rule)[0]}"


def _wholly(memory: Memory, split: SplitRequest, placed: list[Placed], out: Path, found: Rechecked) -> None:
    left = starting_rows(memory, split, out)
    outside = ~is_member(_as_names(left.uids), memory.uids)
    times, captions = np.ones(len(left), np.int64), ""
    dropped = [(uid, OUTSIDE) for uid in hex_names(memory.uids[outside])]
    for place, (rule, scope) in enumerate(placed, 1):
        selection = rule.selection(scope)
        left = left.reaching(selection)
        try:
            again = selection.times(left)
        except NearfarError as error:
            found.left[_label(place, rule)] = f"{error}; neither was what comes after it"
            return
        found.rules[_label(place, rule)] = len(left)
        times = np.pad(times, (0, len(left) - len(times)), constant_values=1) * again
        dropped += [(uid, _label(place, rule)) for uid in hex_names(left.uids[times == 0])]
        left, times = left.where(times > 0), times[times > 0]
        captions = selection.text if isinstance(selection, Rewrite) else captions
    found.problems += _of_names(left, times, split, out)
    if not found.problems and set(left.sources()) <= {POOL} and not any(_brings(*each) for each in placed):
        texts = left.of(f"({captions})::VARCHAR").to_pylist() if captions else []
        given = dict(zip(hex_names(left.uids), texts, strict=True)) if captions else {}
        found.problems += other_reasons(dropped, split.name, out)
        found.problems += other_captions(given, split.name, out) if captions else []


def _brings(rule: Rule, scope: Scope) -> bool:
    return rule.selection(scope).brings() is not None


def _as_names(uids: NDArray[np.uint64]) -> NDArray[Any]:
    """Write `(n, 2)` uids as `uids.npy` has them: sorted."""
    order = np.lexsort((uids[:, 1], uids[:, 0]))
    names = np.empty(len(uids), [("f0", "u8"), ("f1", "u8")])
    names["f0"], names["f1"] = uids[order, 0], uids[order, 1]
    return names


def _of_names(left: Memory, times: Times, split: SplitRequest, out: Path) -> list[str]:
    """Compare who stays, how often and of which set with the names that were committed."""
    order = np.lexsort((left.uids[:, 1], left.uids[:, 0]))
    wanted = np.repeat(left.uids[order], times[order], axis=0)
    pairs = names_of(out, split.name)
    committed = np.column_stack([pairs["f0"], pairs["f1"]])
    if np.array_equal(wanted, committed):
        sources = np.repeat(np.array(left.sources(), dtype=object)[order], times[order])
        return _other_sources(sources, split, out)
    return _other_uids(wanted, committed, split.name)


def _other_uids(wanted: NDArray[np.uint64], committed: NDArray[np.uint64], name: str) -> list[str]:
    due, there = Counter(map(tuple, wanted.tolist())), Counter(map(tuple, committed.tolist()))
    different = sorted(uid for uid in due.keys() | there.keys() if due[uid] != there[uid])
    problems = [
        f"{high:016x}{low:016x} is {there[high, low]} times in split {name}, and {due[high, low]} times by its rules"
        for high, low in different[:SHOWN]
    ]
    return problems or [f"{layout.split(name, 'uids.npy')} has the right uids in another order"]


def _other_sources(wanted: NDArray[Any], split: SplitRequest, out: Path) -> list[str]:
    """Compare the sets of a split's samples with `sources.npy`, where it has samples of several."""
    sets = facts_of(out, split.name).get("sources")
    if sets is None:
        return []
    names = np.array([each["name"] for each in sets], dtype=object)
    if np.array_equal(names[names_of(out, split.name, "sources.npy")], wanted):
        return []
    return [f"{layout.split(split.name, 'sources.npy')} names other sets than the rules of the split do"]


def _by_cutoffs(
    memory: Memory, split: SplitRequest, placed: list[Placed], out: Path, found: Rechecked
) -> None:
    stays = starting_mask(memory, split, out)
    steps = [step for step in facts_of(out, split.name)["waterfall"]["dropped"] if step["reason"] != OUTSIDE]
    for place, ((rule, scope), step) in enumerate(zip(placed, steps, strict=True), 1):
        try:
            again, reason = rule.selection(scope).again(memory, step), _TAKES_ALL
        except NearfarError as error:
            again, reason = None, str(error)
        if again is None:
            found.left[_label(place, rule)] = reason
        else:
            found.rules[_label(place, rule)] = int(stays.sum())
            stays &= again
    kept = _kept_of_the_pool(memory, split, out)
    wrong = np.flatnonzero((kept & ~stays) | (~kept & stays if not found.left else False))
    found.problems += [
        f"{memory.uids[row, 0]:016x}{memory.uids[row, 1]:016x} is {'' if kept[row] else 'not '}in split {split.name}, "
        f"and by its rules it should {'' if stays[row] else 'not '}be"
        for row in wrong[:SHOWN]
    ]


def _kept_of_the_pool(memory: Memory, split: SplitRequest, out: Path) -> NDArray[np.bool_]:
    uids = names_of(out, split.name)
    if "sources" in facts_of(out, split.name):
        uids = uids[names_of(out, split.name, "sources.npy") == 0]
    return is_member(uids, memory.uids)
