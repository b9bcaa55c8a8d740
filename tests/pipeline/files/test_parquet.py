from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from indexes.errors import DataError, OutputError, ShapeError
from pipeline.files import parquet
from pipeline.files.afar import arrow_source
from pipeline.files.parquet import parquet_rows, parquet_schema, read_batches, read_parquet, write_parquet

SCORE = pa.struct([pa.field("similarity", pa.float64()), pa.field("nearest", pa.int32())])
SCHEMA = pa.schema([("uid", pa.uuid()), ('odd "name', pa.string()), ("sketch", SCORE)])


def rows(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    stored = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), count, [None, pa.py_buffer(rng.bytes(16 * count))]
    )
    uid = pa.ExtensionArray.from_storage(pa.uuid(), stored)
    text = [None if i % 7 == 0 else f"caption {i} <script>\0\u202e" for i in range(count)]
    score = pa.array(rng.standard_normal(count), mask=rng.random(count) < 0.1)
    nearest = pa.array(rng.integers(0, 9, count).astype(np.int32))
    scores = pa.StructArray.from_arrays([score, nearest], fields=list(SCORE))
    return pa.table([uid, pa.array(text, pa.string()), scores], schema=SCHEMA)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_round_trip_keeps_values_and_types(tmp_path: Path) -> None:
    table = rows(1000)
    assert write_parquet(tmp_path / "x.parquet", table, SCHEMA) == 1000
    back = read_parquet(tmp_path / "x.parquet")
    assert back.schema.equals(SCHEMA)
    assert back.equals(table)
    assert parquet_rows(tmp_path / "x.parquet") == 1000
    assert parquet_schema(tmp_path / "x.parquet").equals(SCHEMA)


def test_duckdb_reads_the_uid_as_uuid(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", rows(10), SCHEMA)
    query = "SELECT any_value(typeof(uid)), count(*) FROM read_parquet(?)"
    assert duckdb.execute(query, [str(tmp_path / "x.parquet")]).fetchall() == [("UUID", 10)]


@settings(max_examples=25, deadline=None)
@examples(st.lists(st.integers(0, 600), max_size=12), st.integers(0, 1000))
def test_bytes_do_not_depend_on_how_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], total: int
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    table = rows(total)
    edges = sorted({0, total, *(cut for cut in cuts if cut < total)})

    def pieces() -> Iterator[pa.Table | pa.RecordBatch]:
        for low, high in itertools.pairwise(edges):
            piece = table.slice(low, high - low)
            yield piece.combine_chunks().to_batches()[0] if high % 2 else piece

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "ROW_GROUP", 256)
        write_parquet(folder / "whole.parquet", table, SCHEMA)
        assert write_parquet(folder / "pieces.parquet", pieces(), SCHEMA) == total
    assert digest(folder / "pieces.parquet") == digest(folder / "whole.parquet")
    assert read_parquet(folder / "pieces.parquet").equals(table)


def test_row_groups_have_the_fixed_size(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array(np.arange(300_000))})
    write_parquet(tmp_path / "x", iter(table.to_batches(max_chunksize=70_001)), table.schema)
    file = pq.ParquetFile(tmp_path / "x")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [131_072, 131_072, 300_000 - 2 * 131_072]


def test_metadata_of_the_schema_does_not_reach_the_bytes(tmp_path: Path) -> None:
    noisy = pa.schema([field.with_metadata({"a": "b"}) for field in SCHEMA], metadata={"pandas": "{}"})
    write_parquet(tmp_path / "plain", rows(50), SCHEMA)
    write_parquet(tmp_path / "noisy", rows(50).replace_schema_metadata({"k": "v"}), noisy)
    assert digest(tmp_path / "plain") == digest(tmp_path / "noisy")


def test_columns_are_cast_reordered_and_required(tmp_path: Path) -> None:
    schema = pa.schema([("b", pa.float64()), ("a", pa.int32())])
    given = pa.table({"a": pa.array([1], pa.int64()), "c": ["no"], "b": pa.array([2], pa.int8())})
    write_parquet(tmp_path / "x", given, schema)
    assert read_parquet(tmp_path / "x").to_pydict() == {"b": [2.0], "a": [1]}
    with pytest.raises(ShapeError, match=r"no column 'a'; they have: b"):
        write_parquet(tmp_path / "y", pa.table({"b": [1.0]}), schema)
    with pytest.raises(ShapeError, match="does not fit its type"):
        write_parquet(tmp_path / "y", pa.table({"b": [1.0], "a": [2**40]}), schema)
    assert not (tmp_path / "y").exists()


def test_no_rows_give_a_valid_file(tmp_path: Path) -> None:
    for batches in ([], SCHEMA.empty_table(), [SCHEMA.empty_table()]):
        (tmp_path / "x").unlink(missing_ok=True)
        assert write_parquet(tmp_path / "x", batches, SCHEMA) == 0
        assert read_parquet(tmp_path / "x").schema.equals(SCHEMA)


def test_never_in_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("precious")
    with pytest.raises(OutputError, match="never writes in place"):
        write_parquet(tmp_path / "x", rows(1), SCHEMA)
    assert (tmp_path / "x").read_text() == "precious"


def test_failing_batches_leave_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[pa.Table]:
        yield rows(3)
        raise KeyError("broken")

    with pytest.raises(KeyError):
        write_parquet(tmp_path / "x", broken(), SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_selected_columns_in_the_order_asked(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x", rows(5), SCHEMA)
    assert read_parquet(tmp_path / "x", ["sketch", "uid"]).column_names == ["sketch", "uid"]
    batches = list(read_batches(tmp_path / "x", ['odd "name'], rows=2))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert pa.Table.from_batches(batches).equals(rows(5).select(['odd "name']))
    with pytest.raises(DataError, match=r"no column 'distance'; it has: uid, odd"):
        read_parquet(tmp_path / "x", ["uid", "distance"])


@pytest.mark.parametrize("lost", [1, 8, 700, None])
def test_truncated_file_is_named(tmp_path: Path, lost: int | None) -> None:
    path = tmp_path / "part-0000.parquet"
    write_parquet(path, rows(1000), SCHEMA)
    whole = path.read_bytes()
    path.write_bytes(b"" if lost is None else whole[:-lost])
    for read in (read_parquet, parquet_rows, parquet_schema, lambda p: list(read_batches(p))):
        with pytest.raises(DataError, match=r"part-0000.parquet' is not a whole Parquet file"):
            read(path)


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_parquet(path, rows(1000), SCHEMA)
    damaged = bytearray(path.read_bytes())
    damaged[5000:5008] = bytes(byte ^ 0xFF for byte in damaged[5000:5008])
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="not a whole Parquet file"):
        read_parquet(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent' does not exist"):
        read_parquet(tmp_path / "absent")


def test_size_limit_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = """
        import resource, sys
        import numpy as np, pyarrow as pa
        from pathlib import Path
        from indexes.errors import OutputError
        from pipeline.files.parquet import write_parquet
        table = pa.table({"x": np.random.default_rng(0).random(400_000)})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            write_parquet(Path(sys.argv[1]) / "x.parquet", table, table.schema)
        except OutputError as error:
            print(error)
        """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "x.parquet" in ended.stdout
    assert "run again to resume" in ended.stdout
    assert ended.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_batches_of_a_long_file_take_no_more_memory_than_of_a_short_one(tmp_path: Path) -> None:
    text = pa.array(np.random.default_rng(0).bytes(2000).hex() for _ in range(200))

    def most(groups: int) -> int:
        pq.write_table(
            pa.table({"text": pa.concat_arrays([text] * groups)}), tmp_path / "x", row_group_size=200
        )
        before, held = pa.total_allocated_bytes(), []
        for batch in read_batches(tmp_path / "x", rows=50):
            held.append(pa.total_allocated_bytes() - before)
            del batch
        return max(held)

    assert most(40) < 2 * most(4)


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_opened_elsewhere_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """A file of a store is kept on this machine until it is closed, whatever is found in it."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), path)
    if not whole:
        path.write_bytes(path.read_bytes()[:-9])
    far = path.open("rb", buffering=0)
    monkeypatch.setattr(arrow_source, "open_far", lambda _: far)
    with (
        pytest.raises(DataError, match="not a whole Parquet file") if not whole else contextlib.nullcontext()
    ):
        assert parquet_rows(path) == 2
    assert far.closed
