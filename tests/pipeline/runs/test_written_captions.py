"""Shipped plans that compose captions and that take DataComp's rules by caption, on a few rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
from small_wordnet import small_wordnet
from whole_runs import Run

PLANS = whole_runs.QUICKSTART.parent


def pool(folder: Path, **columns: list[Any]) -> Path:
    folder.mkdir()
    rows = len(next(iter(columns.values())))
    urls = [f"http://x.test/{row}" for row in range(rows)]
    pq.write_table(pa.table({"URL": urls} | columns), folder / "part-00000.parquet")
    return folder


def run(cli: Run, plan: str, path: Path, out: Path) -> None:
    given = {"pool.path": str(path), "pool.format": "laion", "pool.manifest": None, "output": str(out)}
    options = [item for key, value in given.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    code, _, said = cli("run", str(PLANS / f"{plan}.yaml"), *options)
    assert code == 0, said


def kept(out: Path, split: str, column: str) -> dict[int, Any]:
    rows = pq.read_table(out / "splits" / split / "part-0000.parquet").to_pylist()
    return {int(row["url"].rpartition("/")[2]): row[column] for row in rows}


def test_imagenet_captions(cli: Run, tmp_path: Path) -> None:
    where = pool(
        tmp_path / "pool",
        TEXT=["x", "x", "x"],
        title=["My\tdog", "", None],
        tags=["a b", " \n", None],
        description=["one\ntwo", "the end", ""],
        label=["tench", "goldfish", None],
    )
    run(cli, "imagenet_captions", where, tmp_path / "out")
    plain = {0: "My dog a b one two", 1: "the end", 2: None}
    assert kept(tmp_path / "out", "captions", "caption_rewritten") == plain
    fronts = {"name_first": "{}", "a_name_first": "a {}", "photo_first": "a photo of a {}"}
    for split, front in fronts.items():
        expected = {
            0: f"{front.format('tench')} {plain[0]}",
            1: f"{front.format('goldfish')} {plain[1]}",
            2: None,
        }
        assert kept(tmp_path / "out", split, "caption_rewritten") == expected
    assert kept(tmp_path / "out", "title_alone", "caption_rewritten") == {0: "My dog", 1: None, 2: None}
    assert kept(tmp_path / "out", "tenth", "caption_rewritten") == plain, "a pool smaller than the size"


def test_datacomp_by_captions(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wordnet").mkdir()
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path / "wordnet")))
    english, german = "this is a tench in the river", "das ist ein sch\u00f6ner Hund im Wald"
    where = pool(
        tmp_path / "pool",
        TEXT=[english, german, "the weather in London is nice today", english, None],
        WIDTH=pa.array([300, 300, 300, 100, 300], pa.int32()),
        HEIGHT=pa.array([300, 300, 300, 300, 300], pa.int32()),
        clip_b32_similarity_score=pa.array([0.3, 0.3, 0.28, 0.2, 0.9], pa.float64()),
    )
    run(cli, "datacomp_small_by_captions", where, tmp_path / "out")
    found = {split: set(kept(tmp_path / "out", split, "url")) for split in ("basic", "text_based", "laion2b")}
    assert found == {"basic": {0, 2}, "text_based": {0, 3}, "laion2b": {0, 2}}
