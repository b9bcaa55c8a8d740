"""Every folder that a person reads holds tables of one schema, and uid has one type in all of them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from small_sets import rows_of, unit, write_part, write_plan, write_sets

from pipeline.cli import main

FOLDERS = (
    "samples/pool",
    "samples/one",
    "lost/read/pool",
    "lost/vectors/pool",
    "measures/similarity/one",
    "measures/similarity",
    "measures/captions",
    "measures/clusters",
    "neighbours/one",
    "splits/pruned/dropped",
    "splits/pruned/neighbours",
)
FILES = ("splits/pruned/part-*.parquet", "indexes/one/queries.parquet")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_sets(folder)
    bad = unit(40, 4).astype("f4")
    bad[0, 0] = float("nan")
    write_part(folder / "pool", 3, bad, rows_of("bad", 0, 4))
    measures = {"captions": None, "clusters": {"k": 4}}
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(write_plan(folder, measures=measures))])
    assert not stopped.value.code
    return folder / "out"


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_reader_reads_a_folder(out: Path, folder: str) -> None:
    place = out / folder
    depth = "*/" if any(path.is_dir() for path in place.iterdir()) else ""
    rows = duckdb.sql(f"SELECT count(*) FROM read_parquet('{place}/{depth}*.parquet')").fetchall()[0][0]
    frame = pd.read_parquet(place)
    lazy = pl.read_parquet(f"{place}/**/*.parquet")
    assert rows == len(frame) == len(lazy)
    if folder != "lost/read/pool":  # no row of this pool was unreadable
        assert rows > 0
        assert frame["uid"].str.fullmatch("[0-9a-f]{32}").all()


@pytest.mark.parametrize("left", [*FOLDERS[:1], FOLDERS[4], *FOLDERS[6:]])
@pytest.mark.parametrize("right", ["samples/pool", "measures/similarity/two", "splits/pruned/part-*.parquet"])
def test_any_two_join_on_uid(out: Path, left: str, right: str) -> None:
    one, two = ((path if path.endswith(".parquet") else f"{path}/*.parquet") for path in (left, right))
    sql = (
        f"SELECT count(*) FROM read_parquet('{out}/{one}') a "
        f"WHERE a.uid IN (SELECT uid FROM read_parquet('{out}/{two}'))"
    )
    expected = duckdb.sql(sql).fetchall()[0][0]
    frames = [pd.concat([pd.read_parquet(f) for f in sorted(out.glob(p))]) for p in (one, two)]
    assert frames[0]["uid"].isin(frames[1]["uid"]).sum() == expected
    tables = [pl.read_parquet(f"{out}/{p}") for p in (one, two)]
    assert len(tables[0].join(tables[1].select("uid").unique(), on="uid", how="semi")) == expected
    if left != "splits/pruned/dropped" or "splits" not in right:
        assert expected > 0


@pytest.mark.parametrize("path", FILES)
def test_files_beside_others_are_read_by_name(out: Path, path: str) -> None:
    assert duckdb.sql(f"SELECT count(uid) FROM read_parquet('{out}/{path}')").fetchall()[0][0] > 0
    assert len(pl.read_parquet(f"{out}/{path}")) > 0


def test_uids_of_users_files_join(out: Path) -> None:
    """DataComp's metadata has its uids as text of 32 hex digits, as every table here."""
    kinds = {
        str(table): duckdb.sql(f"DESCRIBE SELECT uid FROM read_parquet('{table}')").fetchall()[0][1]
        for table in out.rglob("*.parquet")
        if "uid" in pl.read_parquet_schema(table)
    }
    assert len(kinds) > 20
    assert set(kinds.values()) == {"VARCHAR"}
