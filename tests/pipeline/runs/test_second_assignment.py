"""Pairs that a border between clusters parts: a second assignment brings them together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from small_sets import rows_of, write_part, write_plan
from whole_runs import Run

from indexes.canonical import canonical

MEASURES: dict[str, Any] = {
    "clusters": {"k": 6, "assignments": 2},
    "duplicates": None,
    "across": {"measure": "duplicates", "within": "clusters.border"},
}
SPLITS: dict[str, Any] = {
    "one": [{"dedup": {"epsilon": 0.05}}],
    "both": [{"dedup": {"epsilon": 0.05}}, {"dedup": {"epsilon": 0.05, "by": "across"}}],
}
LEVEL = 0.95


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    tables = [pq.read_table(file).to_pylist() for file in sorted(folder.glob("part-*"))]
    return {row["uid"]: row for table in tables for row in table}


def test_what_one_assignment_misses_is_found_across_the_border(tmp_path: Path, cli: Run) -> None:
    """Vectors all around a circle, so that near pairs lie on both sides of every border."""
    angles = np.random.default_rng(3).uniform(0, 2 * np.pi, 300)
    drawn = np.zeros((300, 16), np.float32)
    drawn[:, 0], drawn[:, 1] = np.cos(angles), np.sin(angles)
    drawn += 0.05 * np.random.default_rng(4).standard_normal(drawn.shape).astype(np.float32)
    vectors = canonical(drawn).vectors
    for number in range(2):
        half = slice(150 * number, 150 * (number + 1))
        write_part(tmp_path / "pool", number, vectors[half], rows_of("p", 150 * number, 150))
    plan = write_plan(tmp_path, splits=SPLITS, measures=MEASURES, benchmarks={}, reference=None)
    code, _, errors = cli("run", str(plan))
    assert code == 0, errors
    out = tmp_path / "out"
    assigned, samples = rows(out / "measures" / "clusters"), rows(out / "samples" / "pool")
    uids = sorted(samples)
    wide = {uid: vectors[int(samples[uid]["key"][1:])].astype(np.float64) for uid in uids}
    missed, near = {"one": 0, "both": 0}, 0
    gone: dict[str, set[str]] = {"one": set(), "both": set()}
    for place, uid in enumerate(uids):
        for other in uids[:place]:
            if float(wide[uid] @ wide[other]) <= LEVEL:
                continue
            near += 1
            together = assigned[uid]["cluster"] == assigned[other]["cluster"]
            beside = assigned[uid]["border"] == assigned[other]["border"]
            missed["one"] += not together
            missed["both"] += not (together or beside)
            gone["one"] |= {uid} if together else set()
            gone["both"] |= {uid} if together or beside else set()
    for split in SPLITS:
        assert set(rows(out / "splits" / split)) == set(uids) - gone[split], split
    assert missed["both"] < missed["one"] / 4, "near pairs across a border have each other's cluster second"
    assert 0 < missed["one"] < near
    for uid in uids:
        low, high = sorted((assigned[uid]["cluster"], assigned[uid]["second"]))
        assert low != high
        assert assigned[uid]["border"] == 6 * low + high


def test_a_second_assignment_trains_nothing_anew_and_needs_two_clusters(tmp_path: Path, cli: Run) -> None:
    drawn = np.random.default_rng(1).standard_normal((60, 16)).astype(np.float32)
    write_part(tmp_path / "pool", 0, canonical(drawn).vectors, rows_of("p", 0, 60))
    bare: dict[str, Any] = {"benchmarks": {}, "reference": None, "splits": {"one": SPLITS["one"]}}
    assert cli("run", str(write_plan(tmp_path, **bare, measures={"clusters": {"k": 3}})))[0] == 0
    code, _, errors = cli(
        "run", str(write_plan(tmp_path, **bare, measures={"clusters": MEASURES["clusters"] | {"k": 3}}))
    )
    assert code == 0, errors
    assert "train: 0/" not in errors  # it stands
    code, _, errors = cli(
        "run", str(write_plan(tmp_path, **bare, measures={"clusters": {"k": 1, "assignments": 2}}))
    )
    assert code == 2
    assert "give k of 2 or more, or leave it out" in errors
