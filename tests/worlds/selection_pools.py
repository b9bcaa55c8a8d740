"""Small pools of odd values for selections, in the database and in memory, and what each face makes of them."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from curation.selection import Selection
from pipeline.files.database import connect
from pipeline.files.parquet import write_parquet
from pipeline.splits.again.memory import Memory, in_order
from pipeline.splits.candidates import PoolRows
from pipeline.splits.pool_columns import look
from pipeline.splits.pool_table import Pool
from pipeline.splits.requests import PoolPart

NUMBERS = st.sampled_from([None, float("nan"), -0.5, 0.0, 0.25, 0.5, 0.5000000000000001, 0.75, 1.0])
UIDS = st.one_of(st.integers(0, 40), st.integers(2**128 - 40, 2**128 - 1), st.integers(2**64 - 9, 2**64 + 9))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "uid": st.one_of(
                st.integers(0, 40), st.integers(2**128 - 40, 2**128 - 1), st.integers(2**64 - 9, 2**64 + 9)
            ),
            "key": st.one_of(st.none(), st.sampled_from(["k1", "k2", "it's", 'q"'])),
            "caption": st.one_of(st.none(), st.sampled_from(["", "a cat", "x; DROP TABLE pool"])),
            "label": st.one_of(st.none(), st.sampled_from(["a", "b", "c", ""])),
            "score": NUMBERS,
            "other": NUMBERS,
            "tags": st.one_of(st.none(), st.lists(st.one_of(st.none(), st.sampled_from("xyz")), max_size=4)),
            "width": st.one_of(st.none(), st.integers(-1, 3)),
        }
    ),
    max_size=30,
    unique_by=lambda row: row["uid"],
)
SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("row", pa.int64()),
        ("key", pa.string()),
        ("caption", pa.string()),
        ("label", pa.string()),
        ("score", pa.float64()),
        ("other", pa.float64()),
        ("tags", pa.list_(pa.string())),
        ("width", pa.int64()),
    ]
)
MORE: list[dict[str, Any]] = [
    {
        "uid": uid,
        "key": f"m{uid}",
        "caption": None,
        "label": "ab"[uid % 2] if uid % 5 else None,
        "width": uid % 3,
    }
    for uid in (*range(0, 40, 4), 2**64, 2**100)
]
"""The rows of a further set, some of whose uids a pool may have."""
NAMED_UIDS = [*range(0, 40, 3), *range(2**128 - 40, 2**128 - 1, 2)]


def write_lists(folder: Path) -> None:
    """The tables that examples of `members` name."""
    (folder / "members").mkdir()
    uids = [f"{uid:032x}" for uid in NAMED_UIDS]
    table = pa.table({"uid": uids})
    write_parquet(folder / "members/uids.parquet", table, table.schema)
    (folder / "members/uids.txt").write_text("\n".join(uids).upper() + "\n", encoding="utf-8")
    with (folder / "members/keys.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["note", "key"], ["1", "k1"], ["2", 'q"'], ["3", "none such"]])


def rooted(selection: Selection, folder: Path) -> Selection:
    """The same selection with its tables in `folder`."""
    paths = getattr(selection, "paths", None)
    return selection if paths is None else replace(selection, paths=tuple(str(folder / p) for p in paths))  # type: ignore[type-var]


@dataclass(frozen=True)
class Opened:
    """A pool, loaded."""

    rows: PoolRows
    memory: Memory

    def kept(self, selection: Selection) -> dict[int, int]:
        """How often SQL keeps each uid; the others are dropped, each once."""
        reaching = self.rows.reaching(selection)
        decision = selection.decide(reaching)
        left = reaching.after(decision)
        times = decision.times or "1"
        found = left.db.execute(left.surviving(f"uid, {times}")).fetchall()
        lost = left.db.execute(f"SELECT uid FROM ({left.lost('key')})").fetchall()
        kept = {uid.int: int(n) for uid, n in found}
        assert len(kept) == len(found)
        assert sorted([*kept, *(uid.int for (uid,) in lost)]) == sorted(
            uids_of(self.memory.reaching(selection))
        ), "a row is kept or dropped, once"
        return kept

    def oracle(self, selection: Selection) -> dict[int, int]:
        memory = self.memory.reaching(selection)
        times = selection.times(memory)
        return {uid: int(n) for uid, n in zip(uids_of(memory), times, strict=True) if n}


def uids_of(memory: Memory) -> list[int]:
    return [(int(high) << 64) | int(low) for high, low in memory.uids.tolist()]


@dataclass(frozen=True)
class Desk:
    """A folder with lists, and databases that pools take turns in beside a further set."""

    folder: Path
    db: Any
    plain: Any
    more: Pool
    more_rows: Memory


@contextmanager
def desk(folder: Path, further: Sequence[dict[str, Any]] = MORE) -> Iterator[Desk]:
    """Open the databases and load the further set once; that takes longer than all that is done in them."""
    write_lists(folder)
    with connect(folder, "200MB", 2) as db, in_order() as plain:
        more, table = loaded(db, [_written(folder / "more.parquet", further)], 1)
        yield Desk(folder, db, plain, more, Memory(table, {}, plain, more.columns))


def loaded(db: Any, parts: Sequence[PoolPart], number: int = 0) -> tuple[Pool, pa.Table]:
    """Load the parts of a set, the pool if it has no number; and give its rows in the order of uids."""
    pool = Pool(db, look(parts), number)
    pool.load(parts)
    return pool, db.sql(f"SELECT * FROM {pool.view} ORDER BY uid").to_arrow_table()


@contextmanager
def opened(at: Desk, parts: Sequence[Sequence[dict[str, Any]]]) -> Iterator[Opened]:
    """Write rows as parts of a pool, and load them beside the further set."""
    with tempfile.TemporaryDirectory(dir=at.folder) as name:
        files = [
            _written(Path(name) / f"part-{number:04d}.parquet", rows) for number, rows in enumerate(parts)
        ]
        pool, table = loaded(at.db, files)
        pool.sets |= {"more": at.more, "all of more": at.more}
        sets = {"more": at.more_rows, "all of more": at.more_rows}
        try:
            yield Opened(PoolRows(pool), Memory(table, {}, at.plain, pool.columns, sets))
        finally:
            pool.clear()
            at.db.execute("DROP VIEW candidates; DROP TABLE pool")


def _written(path: Path, rows: Sequence[dict[str, Any]]) -> PoolPart:
    numbered = [row | {"uid": f"{row['uid']:032x}", "row": number} for number, row in enumerate(rows)]
    write_parquet(path, pa.Table.from_pylist(numbered, schema=SCHEMA), SCHEMA)
    return PoolPart(str(path))


def without_values(row: dict[str, Any], gone: Any) -> dict[str, Any]:
    """A row that knows nothing but its uid and its caption."""
    return row | {"key": None, "label": None, "score": gone, "other": gone, "tags": None, "width": None}


def mask(memory: Memory, uids: set[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([((int(h) << 64) | int(low)) in uids for h, low in memory.uids.tolist()], dtype=bool)
