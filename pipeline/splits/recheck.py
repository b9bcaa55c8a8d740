"""Finished splits decided again by the plain oracle of each selection."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.errors import OutputError
from pipeline import layout
from pipeline.files.database import connect
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs
from pipeline.splits.candidates import Pool
from pipeline.splits.cutting import Placed, open_pool, read_rules, sizes_of
from pipeline.splits.listings import read_names
from pipeline.splits.pool_columns import look
from pipeline.splits.requests import CutRequest, SplitRequest

WHOLE_ROWS = 200_000
"""Pools of more rows are checked on a sample of about as many, by the cutoffs on record."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What became of looking at a split again.

    Attributes:
        rows: Samples that were decided again.
        whole: Whether those were all of the pool.
        problems: One sentence each; empty if all is well.
    """

    rows: int
    whole: bool
    problems: list[str] = field(default_factory=list)


class Memory:
    """Rows in memory, with expressions looked up by a database of their own: the columns that an oracle is given."""

    def __init__(self, table: pa.Table, sizes: Mapping[str, int], db: duckdb.DuckDBPyConnection) -> None:
        self._table, self._db = table, db
        self.sizes = sizes
        self.uids: NDArray[np.uint64] = as_pairs(table.column("uid"))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.uids)

    def of(self, expression: str) -> Any:
        """Return `(n,)` values of an expression as an Arrow array."""
        self._db.register("rows", self._table)
        found = self._db.sql(f"SELECT {expression} AS v FROM rows").to_arrow_table().column("v")
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)

    def listed(self, paths: Sequence[str], by: str) -> Any:
        """Return the names in tables of uids or keys."""
        return read_names(paths, by)[0]

    def where(self, stays: NDArray[np.bool_]) -> Memory:
        """Return some of the rows."""
        return Memory(self._table.filter(pa.array(stays)), self.sizes, self._db)


@contextmanager
def in_order() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of one thread, which gives rows in the order in which it gets them."""
    settings: dict[str, Any] = {
        "threads": 1,
        "python_enable_replacements": False,
        "arrow_lossless_conversion": True,
    }
    with duckdb.connect(":memory:", config=settings) as db:
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        yield db


def recheck(request: CutRequest, out: Path, rows: int = WHOLE_ROWS, seed: int = 0) -> dict[str, Rechecked]:
    """Decide committed splits again, and compare with their `uids.npy`.

    A pool of up to `rows` samples is decided wholly, repeats included, by the oracle of each selection in order. Of a
    larger one, a seeded sample is decided by predicates and by the cutoffs in `split.json`; a selection that takes all
    rows (a rank over several keys, a cap) is passed over there, so that only what it cannot excuse counts.

    Args:
        request: The splits, and what they were cut from.
        out: The output folder.
        rows: Samples that are looked at.
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
        table, whole = _drawn(pool, rows, seed)
        for split in request.splits:
            memory = Memory(table, sizes_of(split), plain)
            check = _wholly if whole else _by_cutoffs
            found[split.name] = Rechecked(len(memory), whole, check(memory, split, placed[split.name], out))
    return found


def _drawn(pool: Pool, rows: int, seed: int) -> tuple[pa.Table, bool]:
    """Bring rows into memory, sorted by uid: all of them if they are few."""
    every = -(-pool.seen.taken // max(rows, 1))
    test = f" WHERE hash(uid::VARCHAR || ':{seed:d}') % {every} = 0" if every > 1 else ""
    return pool.db.sql(f"SELECT * FROM candidates{test} ORDER BY uid").to_arrow_table(), not test


def _wholly(memory: Memory, split: SplitRequest, placed: list[Placed], out: Path) -> list[str]:
    times = _starting(memory, split, out).astype(np.int64)
    for rule, scope in placed:
        reached = times > 0
        times[reached] *= rule.selection(scope).times(memory.where(reached))
    pairs = _uids(out, split.name)
    committed = np.column_stack([pairs["f0"], pairs["f1"]])
    if np.array_equal(np.repeat(memory.uids, times, axis=0), committed):
        return []
    wanted = {
        (high, low): n for (high, low), n in zip(memory.uids.tolist(), times.tolist(), strict=True) if n
    }
    counted = Counter(map(tuple, committed.tolist()))
    different = sorted(uid for uid in wanted.keys() | counted.keys() if wanted.get(uid, 0) != counted[uid])
    problems = [
        f"{high:016x}{low:016x} is {counted[high, low]} times in split {split.name}, and {wanted.get((high, low), 0)} "
        "times by its rules"
        for high, low in different[:_SHOWN]
    ]
    return problems or [f"{layout.split(split.name, 'uids.npy')} has the right uids in another order"]


def _by_cutoffs(memory: Memory, split: SplitRequest, placed: list[Placed], out: Path) -> list[str]:
    stays = _starting(memory, split, out)
    certain = True
    steps = [step for step in _facts(out, split.name)["waterfall"]["dropped"] if step["reason"] != "from"]
    for (rule, scope), step in zip(placed, steps, strict=True):
        again = rule.selection(scope).again(memory, step)
        if again is None:
            certain = False
        else:
            stays &= again
    kept = is_member(_uids(out, split.name), memory.uids)
    wrong = np.flatnonzero((kept & ~stays) | ((~kept & stays) if certain else False))
    return [
        f"{memory.uids[row, 0]:016x}{memory.uids[row, 1]:016x} is {'' if kept[row] else 'not '}in split {split.name}, "
        f"and by its rules it should {'' if stays[row] else 'not '}be"
        for row in wrong[:_SHOWN]
    ]


def _starting(memory: Memory, split: SplitRequest, out: Path) -> NDArray[np.bool_]:
    """Return `(n,)`: which rows are in what the split starts from."""
    if split.from_ is None:
        return np.ones(len(memory), bool)
    operation, names = next(iter(split.from_.items()))
    first, *others = (is_member(_uids(out, name), memory.uids) for name in names)
    for other in others:
        first = (
            first | other if operation == "union" else first & (other if operation == "intersect" else ~other)
        )
    return first


def _uids(out: Path, name: str) -> NDArray[Any]:
    path = out / layout.split(name, "uids.npy")
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(f"{path} cannot be read: {error}; run the plan again to cut the split") from error
    return found


def _facts(out: Path, name: str) -> dict[str, Any]:
    path = out / layout.split(name, "split.json")
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {error}; run the plan again to cut the split") from error
    return found
