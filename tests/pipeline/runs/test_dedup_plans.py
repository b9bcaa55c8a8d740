"""The shipped plans of near-duplicates and diversity, on a small pool with small numbers of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from small_sets import rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

from indexes.canonical import canonical

PLANS = Path(__file__).parents[3] / "data_manifests" / "plans"


def small(folder: Path, name: str, keep: int) -> Path:
    """The plan of that name over small sets: fewer clusters, fewer samples to keep, one encoder for all."""
    text = (PLANS / f"{name}.yaml").read_text(encoding="utf-8").replace("2000000", str(keep))
    plan = yaml.safe_load(text)
    for options in plan["measures"].values():
        if "k" in options:
            options["k"] = 4 if options["k"] > 1000 else 2
    sets = ("two", "one")
    benchmarks = {
        name: {"path": str(folder / sets[n % 2]), "format": "clip-retrieval"}
        for n, name in enumerate(plan["benchmarks"])
    }
    changes: dict[str, Any] = {
        "measures": plan["measures"],
        "splits": plan["splits"],
        "benchmarks": benchmarks,
    }
    return write_plan(folder, **changes | ({} if benchmarks else {"reference": None}))


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A pool in which every fourth sample is near to an earlier one."""
    write_sets(tmp_path)
    close = unit(10, 120)[:40].astype(np.float32) + 0.02 * unit(30, 40).astype(np.float32)
    write_part(tmp_path / "pool", 3, close, rows_of("near", 0, 40))
    return tmp_path


def kept(folder: Path) -> dict[str, set[str]]:
    """The uids of each split."""
    found: dict[str, set[str]] = {}
    for split in sorted((folder / "out" / "splits").iterdir()):
        tables = [pq.read_table(file, columns=["uid"]) for file in sorted(split.glob("part-*.parquet"))]
        found[split.name] = {uid for table in tables for uid in table.column("uid").to_pylist()}
    return found


def measured(folder: Path, *names: str) -> dict[str, dict[str, Any]]:
    rows = [
        row
        for file in sorted(folder.joinpath("out", "measures", *names).glob("part-*"))
        for row in pq.read_table(file).to_pylist()
    ]
    return {row["uid"]: row for row in rows}


def test_laion_400m_to_200m_by_both_rules_and_what_is_pruned_from_it(sets: Path, cli: Run) -> None:
    code, _, errors = cli("run", str(small(sets, "laion400m_dedup", 0)))
    assert code == 0, errors
    found = kept(sets)
    cluster = {uid: row["cluster"] for uid, row in measured(sets, "clusters").items()}
    samples = {
        row["uid"]: row
        for file in sorted((sets / "out" / "samples" / "pool").glob("part-*"))
        for row in pq.read_table(file).to_pylist()
    }
    vectors = {
        row["url"]: vector
        for number in range(4)
        for row, vector in zip(
            pq.read_table(sets / "pool" / "metadata" / f"metadata_{number}.parquet").to_pylist(),
            canonical(np.load(sets / "pool" / "img_emb" / f"img_emb_{number}.npy")).vectors.astype(
                np.float64
            ),
            strict=True,
        )
    }
    order = sorted(samples, key=lambda uid: (samples[uid]["key"], uid))
    stays = set()
    for place, uid in enumerate(order):
        before = [one for one in order[:place] if cluster[one] == cluster[uid]]
        own = vectors[samples[uid]["url"]]
        if max((float(own @ vectors[samples[one]["url"]]) for one in before), default=0.0) <= 0.876:
            stays.add(uid)
    assert found["laion200m"] == stays
    assert 40 < len(samples) - len(stays) < 300
    assert found["semdedup"] != found["semdedup_easy"]
    assert len(found["rand_laion200m"]) == len(stays)
    margin = {uid: row["margin"] for uid, row in measured(sets, "similarity", "imagenet_val").items()}
    assert found["val_pruned"] == {uid for uid in stays if not margin[uid] > 0}
    six = ("val", "v2", "sketch", "r", "a", "objectnet")
    assert found["combined_pruned"] == set.intersection(*(found[f"{name}_pruned"] for name in six))
    assert found["rand_pruned"] < stays
    assert len(found["rand_pruned"]) == len(found["combined_pruned"])


def test_the_sweep_of_diversity_has_sets_of_equal_size(sets: Path, cli: Run) -> None:
    code, _, errors = cli("run", str(small(sets, "datacomp_small_diversity", 30)))
    assert code == 0, errors
    found = kept(sets)
    level = {uid: row["level"] for uid, row in measured(sets, "thinning").items()}
    for name in ("diverse_0.8", "diverse_0.9", "most_diverse", "random_2m", "hierarchical", "density"):
        assert len(found[name]) == 30, name
    for share in (0.6, 0.7, 0.8, 0.9):
        assert all(level[uid] <= share for uid in found[f"diverse_{share}"])
        assert len(found[f"diverse_{share}"]) == min(30, sum(value <= share for value in level.values()))
    assert found["semdedup_0.2"] <= found["semdedup_0.1"] <= found["semdedup_0.05"]
    assert len(found["semdedup_0.2"]) < len(level)
    assert found["most_diverse"] == set(sorted(level, key=lambda uid: (level[uid], uid))[:30])
