"""Shipped plans that look at captions alone, on 10,000 real ones: what they keep is what published code keeps."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs

pytestmark = pytest.mark.real_data
PLANS = whole_runs.QUICKSTART.parent
TINY = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"


@pytest.fixture(scope="module")
def data() -> Path:
    where = os.environ.get("NEARFAR_REAL_DATA")
    if not where:
        pytest.skip("NEARFAR_REAL_DATA is not set: it names the folder of real captions")
    return Path(where)


@pytest.fixture(scope="module")
def pool(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captions as LAION's metadata, each under a link of its own, with the columns that a user brings."""
    captions = pq.read_table(data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
    rows = range(len(captions))
    table = pa.table(
        {
            "URL": [f"https://example.org/{row}" for row in rows],
            "TEXT": captions,
            "NSFW": ["UNSURE" if row % 7 == 0 else "UNLIKELY" for row in rows],
            "ocr": [row % 11 == 0 for row in rows],
        }
    )
    folder = tmp_path_factory.mktemp("captions")
    pq.write_table(table, folder / "part-00000.parquet")
    return folder


def run(cli: whole_runs.Run, plan: str, pool: Path, out: Path, **sets: str) -> None:
    given = {"pool.path": str(pool), "pool.format": "laion", "output": str(out)} | sets
    if plan.startswith("laionet"):
        given |= {"encoder.model": str(TINY), "encoder.pretrained": str(TINY / "open_clip_model.safetensors")}
    options = [item for key, value in given.items() for item in ("--set", f"{key}={json.dumps(value)}")]
    code, _, said = cli("run", str(PLANS / f"{plan}.yaml"), *options)
    assert code == 0, said


def rows_of(out: Path, split: str) -> list[int]:
    table = pa.concat_tables(
        pq.read_table(path) for path in sorted((out / "splits" / split).glob("*.parquet"))
    )
    return sorted(int(url.rpartition("/")[2]) for url in table.column("url").to_pylist())


def similarities(out: Path) -> dict[int, float]:
    """The text similarity of each caption that names one class."""
    found = pq.read_table(out / "measures/class_similarity/definition").to_pylist()
    rows = pq.read_table(out / "samples/pool", columns=["uid", "url"]).to_pylist()
    at = {row["uid"]: int(row["url"].rpartition("/")[2]) for row in rows}
    return {at[each["uid"]]: each["similarity"] for each in found if each["similarity"] is not None}


def labels(data: Path) -> dict[int, str | None]:
    """The one class of each caption by LAIONet's own code."""
    theirs = pq.read_table(data / "peer_vectors/laionet_match_10000.parquet").to_pylist()
    return {row["row"]: row["label_after_dropping_multiple"] for row in theirs}


def test_laionet(cli: whole_runs.Run, data: Path, pool: Path, tmp_path: Path) -> None:
    run(cli, "laionet", pool, tmp_path / "out")
    one = [row for row, label in labels(data).items() if label is not None]
    assert len(one) == 459
    assert rows_of(tmp_path / "out", "one_class") == one
    near = similarities(tmp_path / "out")
    assert sorted(near) == one
    kept = [row for row in one if near[row] > 0.82 and row % 7 and row % 11]
    assert 0 < len(kept) < len(one)
    assert rows_of(tmp_path / "out", "laionet") == kept


@pytest.mark.slow
def test_laionet_variants(cli: whole_runs.Run, data: Path, pool: Path, tmp_path: Path) -> None:
    run(cli, "laionet_variants", pool, tmp_path / "out")
    label = labels(data)
    safe = [row for row in label if label[row] is not None and row % 7]
    assert rows_of(tmp_path / "out", "safe") == safe
    near = similarities(tmp_path / "out")
    passing = {row for row in safe if near[row] >= 0.82}
    gone = {label[row] for row in safe} - {label[row] for row in passing}
    for split in ("level_82", "diverse_82"):  # a size that is not there under-fills, and the run goes on
        level = set(rows_of(tmp_path / "out", split))
        assert passing < level
        assert Counter(label[row] for row in level - passing) == Counter(gone)


def test_cc12m_cls(cli: whole_runs.Run, data: Path, pool: Path, tmp_path: Path) -> None:
    run(cli, "cc12m_cls", pool, tmp_path / "out")
    theirs: dict[str, Any] = json.loads((data / "peer_vectors/cls_regex_10000.json").read_text())
    times = Counter(row for rows in theirs["rows_by_wnid"].values() for row in rows)
    assert rows_of(tmp_path / "out", "cc12m_cls") == sorted(times)
    assert len(np.load(tmp_path / "out/splits/cc12m_cls/uids.npy")) == sum(times.values())
