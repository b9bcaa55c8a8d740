"""Columns of types that DuckDB lacks: through a whole run, and what they are afterwards."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from whole_runs import Run

from pipeline.sets.held_types import held_type

SECOND = datetime.timedelta(seconds=1)
COLUMNS = {
    "lasted": (pa.array([SECOND, None, -SECOND], pa.duration("ms")), [1000, None, -1000]),
    "price": (
        pa.array([Decimal("1.50"), None, Decimal("-2.25")], pa.decimal256(38, 2)),
        [Decimal("1.50"), None, Decimal("-2.25")],
    ),
    "long": (pa.array([Decimal("1.5"), None, Decimal(10) ** 50], pa.decimal256(60, 1)), None),
    "inside": (
        pa.array([[{"a": SECOND}], None, []], pa.list_(pa.struct([("a", pa.duration("s"))]))),
        [[{"a": 1}], None, []],
    ),
    "zoned": (
        pa.array([0, None, 1], pa.timestamp("us", "Europe/Berlin")),
        [datetime.datetime.fromtimestamp(0, datetime.UTC), None, None],
    ),
    # Nearfar's own names, in several spellings: each comes through under a name of its own.
    "part": (pa.array([7, 8, 9]), [7, 8, 9]),
    "UID": (pa.array([4, 5, 6]), [4, 5, 6]),
    "pool_uid": (pa.array([1, 2, 3]), [1, 2, 3]),
    "rule": (pa.array(["r", "s", None]), ["r", "s", None]),
    "decided": (pa.array([0.5, None, 1.5]), [0.5, None, 1.5]),
    "new\nline": (pa.array([1, 2, 3]), [1, 2, 3]),
    "x" * 12_000: (pa.array([1, 2, 3]), [1, 2, 3]),
}


def test_every_type_and_name_comes_through_a_run(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "pool").mkdir()
    plain = {"key": ["0", "1", "2"], "url": ["u0", "u1", "u2"], "caption": ["a", "b", "c"]}
    table = pa.table(plain | {name: column for name, (column, _) in COLUMNS.items()})
    pq.write_table(table, tmp_path / "pool" / "p.parquet")
    splits = {"every": [], "some": [{"where": "lasted >= 1000 AND rule = 'r' AND pool_part = 7"}]}
    plan = {"name": "t", "pool": {"path": str(tmp_path / "pool")}, "splits": splits}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan | {"output": str(tmp_path / "out")}))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, errors
    every = pq.read_table(tmp_path / "out" / "splits" / "every" / "part-0000.parquet")
    rows = {row["key"]: row for row in every.to_pylist()}
    renamed = {"part": "pool_part", "UID": "pool_UID", "pool_uid": "pool_pool_uid"}
    for name, (_, expected) in COLUMNS.items():
        got = [rows[key][renamed.get(name, name)] for key in "012"]
        if name == "long":
            assert got == ["1.5", None, f"1{'0' * 50}.0"]
        elif name == "zoned":
            assert got[:2] == expected[:2]
        else:
            assert got == expected
    some = pq.read_table(tmp_path / "out" / "splits" / "some" / "part-0000.parquet")
    assert some["key"].to_pylist() == ["0"]


@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(),
        pa.string(),
        pa.decimal128(38, 2),
        pa.timestamp("ns", "UTC"),
        pa.list_(pa.uint64()),
        pa.float16(),
    ],
)
def test_what_duckdb_has_stays_as_it_is(kind: pa.DataType) -> None:
    assert held_type(kind) == kind


def test_maps_and_lists_of_each_kind_are_looked_into() -> None:
    lasted = pa.duration("us")
    assert held_type(pa.map_(pa.string(), lasted)) == pa.map_(pa.string(), pa.int64())
    assert held_type(pa.large_list(lasted)) == pa.large_list(pa.int64())
    assert held_type(pa.list_(lasted, 3)) == pa.list_(pa.int64(), 3)
