"""Plans with measures of whole groups: near-duplicates and thinning within clusters, across parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_sets import rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

from indexes.errors import DataError
from pipeline.stages.groups import _waves, group
from pipeline.stages.groups.scatter import group_text

MEASURES: dict[str, Any] = {
    "clusters": {"k": 5},
    "duplicates": None,
    "hard": {"measure": "duplicates", "rule": "semdedup", "keep": "hard"},
    "thinning": None,
    "spread": {"measure": "thinning", "within": "pool"},
}
SPLITS: dict[str, Any] = {
    "unique": [{"dedup": {"epsilon": 0.2}}],
    "semantic": [{"dedup": {"epsilon": 0.2, "by": "hard"}}],
    "diverse": [{"diversity": {"level": 0.7}}],
    "few": [{"diversity": {"keep": 40, "by": "spread"}}],
}

PLAN: dict[str, Any] = {"splits": SPLITS, "measures": MEASURES, "benchmarks": {}, "reference": None}


def whole(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of a table by uid."""
    table = pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("part-*"))])
    return {row["uid"]: row for row in table.to_pylist()}


def write_pool(folder: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Add a part with copies of rows of other parts and a row without a comparable vector."""
    write_sets(folder)
    copies = unit(10, 120)[:30].astype("f4")
    copies[7] = np.nan
    write_part(folder / "pool", 3, copies, rows_of("copy", 0, 30))
    vectors = np.concatenate([np.load(folder / "pool" / "img_emb" / f"img_emb_{n}.npy") for n in range(4)])
    return vectors, [*rows_of("p", 0, 360), *rows_of("copy", 0, 30)]


def measured(out: Path) -> dict[str, dict[str, dict[str, Any]]]:
    folders = {name: out / "measures" / name for name in ("clusters", "duplicates", "thinning")}
    named = {
        "hard": out / "measures" / "duplicates" / "hard",
        "spread": out / "measures" / "thinning" / "spread",
    }
    return {name: whole(folder) for name, folder in (folders | named).items()}


def test_groups_are_measured_over_all_parts(
    tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, rows = write_pool(tmp_path)
    monkeypatch.setattr(_waves, "BUCKET_ROWS", 35)  # twelve buckets, some of which are empty
    code, _, errors = cli("run", str(write_plan(tmp_path, **PLAN)))
    assert code == 0, errors
    out = tmp_path / "out"
    found = measured(out)
    by_url = {row["url"]: row["uid"] for row in whole(out / "samples" / "pool").values()}
    vector = {by_url[row["url"]]: vectors[n].astype(np.float64) for n, row in enumerate(rows)}
    bad = by_url["http://x.test/copy/7"]
    check_duplicates(found, vector, bad)
    kept = {name: set(whole(out / "splits" / name)) for name in SPLITS}
    for name, by in (("unique", "duplicates"), ("semantic", "hard")):
        near = {uid: row["similarity"] for uid, row in found[by].items()}
        assert kept[name] == {uid for uid, value in near.items() if value is not None and value <= 0.8}
    assert bad not in set().union(*kept.values())
    check_thinned(found, vector, kept["diverse"])
    levels = {uid: row["level"] for uid, row in found["spread"].items() if uid != bad}
    assert kept["few"] == set(sorted(levels, key=lambda uid: (levels[uid], uid))[:40])
    assert cli("verify", str(out))[0] == 0
    assert cli("plan", str(tmp_path / "plan.yaml"))[0] == 0
    # The same samples in other parts, in another order, measured in one bucket from a scratch file.
    monkeypatch.setattr(_waves, "BUCKET_ROWS", 1 << 18)
    monkeypatch.setattr(group, "HELD", 0)
    mixed = np.random.default_rng(0).permutation(len(rows))
    moved = tmp_path / "moved"
    write_sets(moved)
    for number in range(4):
        some = mixed[number * 150 : (number + 1) * 150]
        write_part(moved / "pool", number, vectors[some], [rows[n] for n in some])
    code, _, errors = cli("run", str(write_plan(moved, **PLAN)))
    assert code == 0, errors
    assert measured(moved / "out") == found


def check_duplicates(
    found: dict[str, dict[str, dict[str, Any]]], vector: dict[str, np.ndarray], bad: str
) -> None:
    """Compare both rules with brute force."""
    cluster = {uid: row["cluster"] for uid, row in found["clusters"].items()}
    assert cluster[bad] is None
    near = {uid: row["similarity"] for uid, row in found["clusters"].items()}
    for name, key in (("duplicates", lambda uid: uid), ("hard", lambda uid: (near[uid], uid))):
        for number in range(5):
            order = sorted((uid for uid in cluster if cluster[uid] == number), key=key)
            for place, uid in enumerate(order):
                row = found[name][uid]
                assert row["place"] == place
                back = [(-float(vector[uid] @ vector[one]), one) for one in order[:place]]
                highest, nearest = min(back) if back else (0.0, None)
                assert (row["similarity"], row["nearest"]) == (max(-highest, 0.0), nearest)
        none = {"uid": bad, "similarity": None, "nearest": None, "place": None}
        assert found[name][bad] == none


def check_thinned(
    found: dict[str, dict[str, dict[str, Any]]], vector: dict[str, np.ndarray], kept: set[str]
) -> None:
    """In each cluster no two that stay are above the level, and all that went are above it to one that stays."""
    cluster = {uid: row["cluster"] for uid, row in found["clusters"].items() if row["cluster"] is not None}
    for uid, number in cluster.items():
        beside = [one for one in kept if cluster[one] == number and one != uid]
        highest = max((float(vector[uid] @ vector[one]) for one in beside), default=-1.0)
        assert (highest <= 0.7) == (uid in kept)


def test_a_group_by_a_column_of_the_pool(tmp_path: Path, cli: Run) -> None:
    """Every width is its own group; a file that is gone is made again, and nothing else."""
    write_sets(tmp_path)
    measures = {"duplicates": {"within": "width", "order": "caption"}}
    splits = {"unique": [{"dedup": {}}]}
    code, _, errors = cli("run", str(write_plan(tmp_path, **PLAN | {"splits": splits, "measures": measures})))
    assert code == 0, errors
    found = whole(tmp_path / "out" / "measures" / "duplicates")
    assert {row["place"] for row in found.values()} == {0}  # every width is its own
    assert len(whole(tmp_path / "out" / "splits" / "unique")) == 360
    (tmp_path / "out" / "internal" / "grouped" / "duplicates" / "bucket-0000.arrow").unlink()
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, errors
    assert "group: 1/1 units" in errors
    assert "scatter: 0/" not in errors  # it stands
    assert whole(tmp_path / "out" / "measures" / "duplicates") == found


def test_a_sample_is_in_one_group() -> None:
    assert group_text(pa.chunked_array([[7, None, 12]]), "label").to_pylist() == ["7", None, "12"]
    with pytest.raises(
        DataError, match=r"'classes.found' holds list.*a sample is in one group: under within"
    ):
        group_text(pa.chunked_array([[["dog"], ["cat", "dog"]]]), "classes.found")
