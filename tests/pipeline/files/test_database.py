"""The locked database: which files it opens, what it refuses, and how it fails."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from indexes.errors import OutputError, RunFailedError
from pipeline.files.database import connect, files
from pipeline.files.parquet import write_parquet

FOLDERS = ["plain", "r[ab]*", "ra", "raXX", "r'q\"x?", "back\\slash", "**", "k=v ;--", "{a,b}"]
NAMES = [
    "p*.parquet",
    "pX.parquet",
    "p[12].parquet",
    "p1.parquet",
    "p?.parquet",
    "k=v 'x\".parquet",
    "p[!1].parquet",
]


def write(path: Path, value: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"v": [value]})
    write_parquet(path, table, table.schema)
    return path


def test_odd_paths_name_one_file_each(tmp_path: Path) -> None:
    """Every name stands beside those that it would match as a pattern."""
    written = {
        folder: [write(tmp_path / folder / "sub" / name, f"{folder}/{name}") for name in NAMES]
        for folder in FOLDERS
    }
    for folder, paths in written.items():
        with connect(tmp_path / folder, threads=1) as db:
            for path in paths:
                if "\\" in folder and set("*?[") & set(path.name):
                    with pytest.raises(OutputError, match="cannot tell from a pattern"):
                        files([path])
                    continue
                query = "SELECT * FROM read_parquet($paths, hive_partitioning = false)"
                assert db.execute(query, {"paths": files([path])}).fetchall() == [(f"{folder}/{path.name}",)]
            assert len(files(p for p in paths if "\\" not in folder)) in (0, len(NAMES))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_parquet('{outside}')",
        "SELECT * FROM '{outside}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '{outside}.csv'",
        "ATTACH '{outside}.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '1TB'",
        "SET enable_external_access = true",
        "RESET allowed_directories",
        "SELECT * FROM visible_to_python",
    ],
)
def test_nothing_outside_is_touched(tmp_path: Path, statement: str) -> None:
    outside = write(tmp_path / "outside" / "x.parquet", "secret")
    visible_to_python = pa.table({"v": [1]})
    with (
        pytest.raises(RunFailedError, match="the database failed"),
        connect(tmp_path / "out", threads=1) as db,
    ):
        db.execute(statement.format(outside=outside)).fetchall()
    assert sorted(path.name for path in outside.parent.iterdir()) == ["x.parquet"]
    assert len(visible_to_python) == 1


def test_what_does_not_fit_is_spilled_and_swept(tmp_path: Path) -> None:
    query = "SELECT md5(i::VARCHAR) AS v FROM range({rows}) r(i) ORDER BY v"
    with connect(tmp_path, "100MB", 2) as db:
        assert list((tmp_path / "attempts").iterdir())
        rows = sum(batch.num_rows for batch in db.sql(query.format(rows=3_000_000)).to_arrow_reader(100_000))
    assert rows == 3_000_000
    assert not list((tmp_path / "attempts").iterdir())


def test_too_little_memory_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(RunFailedError, match="needs more than 20MB of memory"),
        connect(tmp_path, "20MB", 1) as db,
    ):
        db.execute("SELECT list(i) FROM range(20000000) r(i)").fetchall()
    assert not list((tmp_path / "attempts").iterdir())


def test_a_uid_stays_sixteen_bytes(tmp_path: Path) -> None:
    with connect(tmp_path) as db:
        assert db.sql("SELECT uuid() AS uid").to_arrow_table().schema.field("uid").type == pa.uuid()
