"""Shipped plans that look at captions alone, on 10,000 real ones: what they keep is what published code keeps."""

from __future__ import annotations

import json
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
def pool(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The captions as LAION's metadata, each under a link of its own, with the columns that a user brings."""
    captions = pq.read_table(real_data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
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


def labels(real_data: Path) -> dict[int, str | None]:
    """The one class of each caption by LAIONet's own code."""
    theirs = pq.read_table(real_data / "peer_vectors/laionet_match_10000.parquet").to_pylist()
    return {row["row"]: row["label_after_dropping_multiple"] for row in theirs}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output that several plans share, as their comments say: what is measured, is measured once."""
    return tmp_path_factory.mktemp("laionet") / "out"


def test_laionet(cli: whole_runs.Run, real_data: Path, pool: Path, measured: Path) -> None:
    run(cli, "laionet", pool, measured)
    one = [row for row, label in labels(real_data).items() if label is not None]
    assert len(one) == 459
    assert rows_of(measured, "one_class") == one
    near = similarities(measured)
    assert sorted(near) == one
    kept = [row for row in one if near[row] > 0.82 and row % 7 and row % 11]
    assert 0 < len(kept) < len(one)
    assert rows_of(measured, "laionet") == kept


def test_laionet_in_pairs_of_equal_size(
    cli: whole_runs.Run, real_data: Path, pool: Path, measured: Path
) -> None:
    run(cli, "laionet_pairs", pool, measured)
    near = similarities(measured)
    safe = [row for row, label in labels(real_data).items() if label is not None and row % 7]
    at = {level: {row for row in safe if near[row] >= level / 100} for level in (70, 75, 80, 82, 85, 88, 90)}
    assert len({len(rows) for rows in at.values()}) > 4
    for level, rows in at.items():
        assert set(rows_of(measured, f"at_{level}")) == rows
    inside = at[70]
    for level in (75, 80, 82, 85, 88):
        pair = set(rows_of(measured, f"as_{level}"))
        assert len(pair) == len(at[level])
        assert pair <= inside
        inside = pair
    for level in (70, 75, 80, 82, 85, 88):
        equal = set(rows_of(measured, f"equal_{level}"))
        assert len(equal) == len(at[90])
        assert equal <= at[level]
    assert set(rows_of(measured, "equal_70")) <= inside


def test_laionet_with_the_frequencies_of_imagenet_captions(
    cli: whole_runs.Run, real_data: Path, pool: Path, measured: Path, tmp_path: Path
) -> None:
    label = labels(real_data)
    wanted = Counter(
        {wnid: 1 + at % 3 for at, wnid in enumerate(sorted({one for one in label.values() if one}))}
    )
    assert sum(wanted.values()) > 300
    near_by = {wnid: [f"{n} of {wnid}" for n in range(at % 4)] for at, wnid in enumerate(sorted(wanted))}
    for name, texts in (
        ("imagenet_captions", {wnid: ["a photo"] * n for wnid, n in wanted.items()}),
        ("nearest_captions", near_by),
    ):
        told = [(text, wnid) for wnid, of in texts.items() for text in of]
        columns = {
            "URL": [f"https://example.org/{name}/{at}" for at in range(len(told))],
            "TEXT": [text for text, _ in told],
            "wnid": [wnid for _, wnid in told],
        }
        (tmp_path / name).mkdir()
        pq.write_table(pa.table(columns), tmp_path / name / "part-00000.parquet")
    paths = {
        f"sources.{name}.path": str(tmp_path / name) for name in ("imagenet_captions", "nearest_captions")
    }
    run(cli, "laionet_match_frequency", pool, measured, **paths)
    near, single = similarities(measured), {row: wnid for row, wnid in label.items() if wnid and row % 7}
    there = Counter(wnid for row, wnid in single.items() if near[row] >= 0.7)
    further = {wnid: len(texts) for wnid, texts in near_by.items()}

    def counted(split: str) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for path in sorted((measured / "splits" / split).glob("*.parquet")):
            for row in pq.read_table(path).to_pylist():
                of = (
                    single[int(row["url"].rpartition("/")[2])]
                    if row.get("source", "pool") == "pool"
                    else row["wnid"]
                )
                found.setdefault(row.get("source", "pool"), Counter())[of] += 1
        return found

    own = Counter({wnid: min(n, there[wnid]) for wnid, n in wanted.items()})
    more = Counter({wnid: min(n - own[wnid], further[wnid]) for wnid, n in wanted.items()})
    assert min(own.total(), more.total()) > 20
    assert counted("matched") == {"pool": +own, "nearest_captions": +more}
    assert counted("matched_only") == {"pool": +own}
    assert counted("both_sides") == {"pool": +own, "imagenet_captions": +own}
    step = json.loads((measured / "splits/matched/split.json").read_text())["waterfall"]["dropped"][-1]
    assert (step["wanted"], step["short"]) == (wanted.total(), wanted.total() - own.total() - more.total())


@pytest.mark.slow
def test_laionet_variants(cli: whole_runs.Run, real_data: Path, pool: Path, measured: Path) -> None:
    run(cli, "laionet_variants", pool, measured)
    label = labels(real_data)
    safe = [row for row in label if label[row] is not None and row % 7]
    assert rows_of(measured, "safe") == safe
    near = similarities(measured)
    passing = {row for row in safe if near[row] >= 0.82}
    gone = {label[row] for row in safe} - {label[row] for row in passing}
    for split in ("level_82", "diverse_82"):  # a size that is not there under-fills, and the run goes on
        level = set(rows_of(measured, split))
        assert passing < level
        assert Counter(label[row] for row in level - passing) == Counter(gone)


def test_cc12m_cls(cli: whole_runs.Run, real_data: Path, pool: Path, tmp_path: Path) -> None:
    run(cli, "cc12m_cls", pool, tmp_path / "out")
    theirs: dict[str, Any] = json.loads((real_data / "peer_vectors/cls_regex_10000.json").read_text())
    times = Counter(row for rows in theirs["rows_by_wnid"].values() for row in rows)
    assert rows_of(tmp_path / "out", "cc12m_cls") == sorted(times)
    assert len(np.load(tmp_path / "out/splits/cc12m_cls/uids.npy")) == sum(times.values())
