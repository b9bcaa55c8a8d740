"""Repeated uids: which rows, whether they repeat a sample or its name alone, and what is said of each kind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files.database import connect
from pipeline.readers import clip_retrieval, laion
from pipeline.sets import uids
from pipeline.sets.repeats import REPEATS_SCHEMA, repeated_rows, repeats_message
from pipeline.sets.source import Source

COLUMNS = ("uid", "part", "row", "key", "url", "caption", "image_sha256")
TYPES = dict(zip(COLUMNS, (pa.string(), pa.int32(), pa.int64(), *[pa.string()] * 4), strict=True))


def uid(digit: str) -> str:
    return digit * 32


def message(tmp_path: Path, rows: list[tuple[Any, ...]], starts: Any) -> tuple[pa.Table, str]:
    table = pa.table(
        {name: pa.array([row[at] for row in rows], TYPES[name]) for at, name in enumerate(COLUMNS)}
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    parts = [str(tmp_path / "rows.parquet")]
    with connect(tmp_path, "1GB", 1) as db:
        repeated = repeated_rows(db, parts)
        return repeated, repeats_message(db, "pool (p)", parts, repeated, starts) if len(repeated) else ""


def test_each_kind_is_told_with_key_shard_and_row(tmp_path: Path) -> None:
    rows = [
        (uid("a"), 0, 0, "k0", "http://x", "c", None),
        (uid("b"), 0, 1, "k1", None, "one", None),
        (uid("c"), 0, 2, "k2", None, None, "f0"),
        (uid("d"), 0, 3, "k3", "http://d", None, None),
        (uid("e"), 0, 4, "k4", None, None, None),
        (uid("a"), 1, 0, "other", "http://x", "c", None),
        (uid("b"), 1, 1, "k1", "", "two", None),
        (uid("c"), 1, 7, "k2", None, None, "f0"),
        (uid("d"), 1, 8, "k3", "http://else", None, None),
    ]
    starts = {0: [("s0", 0), ("s1", 3)], 1: [("s2", 0), ("s3", 7)]}
    repeated, said = message(tmp_path, rows, starts)
    assert repeated.equals(
        pa.table(
            [[1, 1, 1, 1], [0, 1, 7, 8], [uid("a"), uid("b"), uid("c"), uid("d")]], schema=REPEATS_SCHEMA
        )
    )
    assert said == (
        "pool (p) has 4 rows whose uid occurred before: "
        "2 repeat a sample (url and caption, or the image's bytes, are the same), such as "
        "key 'k0' (shard s0, row 0), and key 'other' (shard s2, row 0); "
        "key 'k2' (shard s0, row 2), and (shard s3, row 0); "
        "1 repeat a key, and no url tells the samples apart, such as "
        "key 'k1' (shard s0, row 1), and (shard s2, row 1); "
        "1 repeat a uid of the set's own under another key or url, such as "
        "key 'k3' (shard s1, row 0), and (shard s3, row 1). "
        "A uid names one sample. Where they are different samples, give each its own key, or a url or uid column; "
        "where they are the same, set pool.duplicates: keep_first, which keeps the first of each and drops the others"
    )


def test_only_repeated_samples_are_advised_to_be_dropped(tmp_path: Path) -> None:
    rows = [(uid("a"), 0, row, f"k{row}", "http://x", None, None) for row in range(6)]
    repeated, said = message(tmp_path, rows, {})
    assert repeated["row"].to_pylist() == [1, 2, 3, 4, 5]
    assert "5 repeat a sample" in said
    assert said.count("(part 0, row 0)") == 3
    assert " …. A uid names one sample. Set pool.duplicates: keep_first to keep the first of each" in said


def test_a_set_without_repeats(tmp_path: Path) -> None:
    assert len(message(tmp_path, [(uid("a"), 0, 0, "k", None, None, None)], {})[0]) == 0


@pytest.mark.parametrize("name", ["clip-retrieval", "laion"])
def test_keys_that_restart_are_told_apart_by_their_shard(tmp_path: Path, name: str) -> None:
    """Without a url md5("<shard>/<key>") names a sample; with one, md5(url, newline, caption) as before."""
    tables = {"a_0": [None, "http://u"], "a_1": [None, ""]}
    folder = tmp_path / "metadata" if name == "clip-retrieval" else tmp_path
    folder.mkdir(exist_ok=True)
    (tmp_path / "img_emb").mkdir()
    for number, (stem, urls) in enumerate(tables.items()):
        columns = {"key": pa.array(["0", "1"]), "caption": pa.array(["x", "y"])}
        pq.write_table(pa.table({**columns, "url": pa.array(urls, pa.string())}), folder / f"{stem}.parquet")
        np.save(tmp_path / "img_emb" / f"img_emb_{number}.npy", np.eye(2, dtype=np.float16))
    reader: Any = clip_retrieval if name == "clip-retrieval" else laion
    source = Source(path=str(tmp_path))
    found = []
    for shard in reader.shards(source):
        rows = reader.read(source, shard, False).rows()
        found += [uids.resolve(piece, "here", rows.apart)["uid"].to_pylist() for piece in rows.pieces()]
    hashed = [["a_0/0", "http://u\ny"], ["a_1/0", "a_1/1"]]
    assert found == [[hashlib.md5(text.encode()).hexdigest() for text in shard] for shard in hashed]
