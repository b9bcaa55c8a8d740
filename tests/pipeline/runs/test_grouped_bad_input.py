"""Measures of groups on input that has nothing to group, nothing to tell apart, or two encoders in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

MEASURES: dict[str, Any] = {
    "clusters": {"k": 3},
    "duplicates": None,
    "hard": {"measure": "duplicates", "rule": "semdedup"},
    "thinning": None,
}
SPLITS: dict[str, Any] = {
    "unique": [{"dedup": {}}],
    "semantic": [{"dedup": {"by": "hard"}}],
    "diverse": [{"diversity": {"level": 0.9}}],
}
ALONE: dict[str, Any] = {"benchmarks": {}, "reference": None}


def plan(folder: Path, **changes: Any) -> str:
    return str(write_plan(folder, **{"measures": MEASURES, "splits": SPLITS} | ALONE | changes))


def kept(folder: Path, split: str) -> list[str]:
    files = sorted((folder / "out" / "splits" / split).glob("part-*.parquet"))
    return [uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()]


def test_a_pool_of_equal_vectors_leaves_one_sample(tmp_path: Path, cli: Run) -> None:
    """All are in one cluster, and the others are empty."""
    for number in range(2):
        write_part(
            tmp_path / "pool", number, np.repeat(unit(1, 1), 40, axis=0), rows_of("p", 40 * number, 40)
        )
    code, _, errors = cli("run", plan(tmp_path))
    assert code == 0, errors
    for split in SPLITS:
        assert len(kept(tmp_path, split)) == 1, split
    # The lowest uid stands first in every order but that of SemDeDup, whose ties go to it too.
    files = (tmp_path / "out" / "samples" / "pool").glob("part-*")
    lowest = min(uid for file in files for uid in pq.read_table(file).column("uid").to_pylist())
    assert {kept(tmp_path, split)[0] for split in SPLITS} == {lowest}


def test_more_clusters_than_samples_are_refused(tmp_path: Path, cli: Run) -> None:
    write_part(tmp_path / "pool", 0, unit(1, 20), rows_of("p", 0, 20))
    code, _, errors = cli("run", plan(tmp_path, measures=MEASURES | {"clusters": {"k": 21}}))
    assert code == 2
    assert "21 clusters from a sample of 20 rows; ask for 1 to 20" in errors
    assert "Lower k" in errors
    assert "Traceback" not in errors
    code, _, errors = cli("run", plan(tmp_path, measures=MEASURES | {"clusters": {"k": 20}}))
    assert code == 0, errors
    assert len(kept(tmp_path, "unique")) == 20, "each sample has a cluster of its own"


@pytest.mark.parametrize("epsilon", [0, 1, -0.1, 1.5, "0.1", None])
def test_a_level_that_is_none_is_refused_before_anything_is_read(
    tmp_path: Path, cli: Run, epsilon: Any
) -> None:
    write_part(tmp_path / "pool", 0, unit(1, 20), rows_of("p", 0, 20))
    code, _, errors = cli("run", plan(tmp_path, splits={"unique": [{"dedup": {"epsilon": epsilon}}]}))
    assert code == 2
    assert "epsilon" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_parts_of_two_encoders_are_refused(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    write_part(tmp_path / "pool", 3, unit(5, 20, 24), rows_of("q", 0, 20))
    code, _, errors = cli("run", plan(tmp_path))
    assert code == 2
    assert "24" in errors
    assert "width" in errors or "encoder" in errors
    assert "Traceback" not in errors
    (tmp_path / "pool" / "img_emb" / "img_emb_3.npy").unlink()
    (tmp_path / "pool" / "metadata" / "metadata_3.parquet").unlink()
    assert cli("run", plan(tmp_path))[0] == 0
