"""Metadata read a piece at a time is the metadata of the whole file, in bounded memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reader_sets import HOSTILE

from indexes.errors import DataError
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.readers import _pieces, clip_retrieval, datacomp
from pipeline.readers._contract import Shard
from pipeline.readers._held import MetadataFile
from pipeline.readers._paired import TableRead, rows_of
from pipeline.sets import columns

ROWS, PIECE = 23, 4
NAMES = [f"{number:09d}" for number in range(ROWS)]


def odd_columns() -> dict[str, Any]:
    captions = [*HOSTILE.values(), None]
    return {
        "image_path": [None if row % 5 == 2 else name for row, name in enumerate(NAMES)],
        "SAMPLE_ID": pa.array(range(ROWS), pa.int64()),
        "url": [f"http://host/{name}" for name in NAMES],
        "URL": [f"http://host/{name}" for name in NAMES],
        "caption": pa.array([captions[row % len(captions)] for row in range(ROWS)], pa.large_string()),
        "Caption": [captions[row % len(captions)] if row < ROWS - 1 else "another" for row in range(ROWS)],
        "label": pa.array([np.nan] * ROWS, pa.float64()),
        "NSFW": pa.array(
            ["UNLIKELY" if row % 3 else f"odd {row}" for row in range(ROWS)]
        ).dictionary_encode(),
        "similarity": pa.array([np.nan if row % 7 == 0 else row / 7 for row in range(ROWS)], pa.float64()),
        "face_bboxes": pa.array([[[0.5] * 4] * (row % 3) for row in range(ROWS)]),
        "x.y": pa.array([{"a": row} for row in range(ROWS)]),
    }


def written(folder: Path, made: dict[str, Any], rows: int = ROWS) -> tuple[str, tuple[str, ...]]:
    path = folder / "metadata_0.parquet"
    pq.write_table(pa.table(made).slice(0, rows), path, row_group_size=10)
    return str(path), datacomp.KEYS if "uid" in made else clip_retrieval.KEYS


@pytest.mark.parametrize("rows", [ROWS, 3, 0])
@pytest.mark.parametrize("uid", [None, "text", "binary", "binary with gaps"])
def test_the_bytes_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: str | None, rows: int
) -> None:
    made = odd_columns()
    if uid is not None:
        names = [f"{number:032X}" for number in range(ROWS)]
        raw = [bytes.fromhex(name) if uid == "binary" or name[-1] != "5" else None for name in names]
        made["uid"] = pa.array(
            names if uid == "text" else raw, pa.string() if uid == "text" else pa.binary(16)
        )
    path, keys = written(tmp_path, made, rows)
    monkeypatch.setattr(_pieces, "PIECE", PIECE)
    whole = columns.samples(read_parquet(path), "metadata_0", path, keys)
    found = list(_pieces.pieces("metadata_0", MetadataFile(path), keys))
    assert {table.schema for table in found} == {whole.schema}
    assert (len(found) > 1) == (uid in (None, "text") and rows > PIECE)
    write_parquet(tmp_path / "whole", whole, whole.schema)
    write_parquet(tmp_path / "pieces", iter(found), found[0].schema)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "pieces").read_bytes()
    assert ("pool_Caption" in whole.column_names) == (rows == ROWS)
    assert "pool_URL" not in whole.column_names


@pytest.mark.parametrize("held", [False, True])
def test_no_more_than_a_piece_is_decoded_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    path, keys = written(tmp_path, odd_columns())
    monkeypatch.setattr(_pieces, "PIECE", PIECE)
    monkeypatch.setattr(MetadataFile, "whole", None)
    shard = Shard(0, "metadata_0", (path,), {}, False, ROWS)
    found = rows_of(shard, keys) if not held else TableRead(shard, keys).rows()
    assert {len(table) for table in found.pieces()} <= set(range(1, PIECE + 1))
    assert found.table["row"].to_pylist() == list(range(ROWS))
    assert found.table["key"].to_pylist()[17] == "metadata_0-17"


def test_what_is_wrong_is_said_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:032x}" for number in range(ROWS)]
    names[17] = "17"
    path, keys = written(tmp_path, {"uid": names})
    monkeypatch.setattr(_pieces, "PIECE", PIECE)
    with pytest.raises(DataError, match=r"holds 1 of 23 values that are not 128-bit hex \(row 17: '17'\)"):
        list(_pieces.pieces("metadata_0", MetadataFile(path), keys))
