"""How alike unrelated pairs are, against brute force; the draw depends on neither parts, order nor workers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import rows_of, unit, write_part, write_plan
from whole_runs import Run

from curation.chance_pairs import level_at
from curation.kernels.uid_hash import hashes
from pipeline.stages.levels import unrelated


def found(out: Path, name: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((out / "internal" / "unrelated" / f"{name}.json").read_text())
    return described


def vectors(sets: Path, name: str) -> np.ndarray:
    return np.concatenate([np.load(file) for file in sorted((sets / name / "img_emb").glob("*.npy"))]).astype(
        float
    )


def uids(out: Path, name: str) -> np.ndarray:
    table = pq.read_table(out / "samples" / name, columns=["uid"])
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in table["uid"].to_pylist()], np.uint64)


def run(cli: Run, sets: Path, *more: str, **changes: Any) -> Path:
    code, _, errors = cli("run", str(write_plan(sets, splits={}, **changes)), *more)
    assert code == 0, errors
    return sets / "out"


def test_every_pair_of_a_small_pool(sets: Path, cli: Run) -> None:
    out = run(cli, sets)
    for name in ("one", "two"):
        truth = vectors(sets, name) @ vectors(sets, "pool").T
        described = found(out, name)
        assert (described["pairs"], described["left_out"]) == (truth.size, 0)
        for level in described["levels"]:
            assert level["at"] == level_at(np.sort(truth, axis=None), level["rate"], truth.size)
        assert described["quantiles"][0] == truth.min()
        assert described["quantiles"][-1] == truth.max()
        audit = json.loads((out / "report" / "audit.json").read_text())
        told = audit["benchmarks"][name]["unrelated_pairs"]
        assert [level["similarity"] for level in told["levels"]] == [
            level["at"] for level in described["levels"]
        ]
        assert sum(told["histogram"]["counts"]) == truth.size


def test_the_draw_is_that_of_the_lowest_hashes(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrelated, "SAMPLES", 30)
    monkeypatch.setattr(unrelated, "QUERIES", 7)
    out = run(cli, sets)
    pool, queries = (np.argsort(hashes(uids(out, name), unrelated.SEED)) for name in ("pool", "one"))
    similarity = vectors(sets, "one")[queries[:7]] @ vectors(sets, "pool")[pool[:30]].T
    described = found(out, "one")
    assert (described["samples"], described["queries"], described["pairs"]) == (30, 7, 210)
    assert described["quantiles"][0] == similarity.min()
    assert described["quantiles"][-1] == similarity.max()
    read = sum(len(np.load(file)["uids"]) for file in (out / "internal" / "drawn" / "clip").glob("*.npz"))
    assert 30 <= read < 360, "other samples' vectors are not even read"


@pytest.mark.parametrize("how", ["one part", "other shards", "workers"])
def test_neither_parts_nor_order_nor_workers_count(sets: Path, cli: Run, how: str) -> None:
    before = (run(cli, sets) / "internal" / "unrelated" / "one.json").read_bytes()
    shutil.rmtree(sets / "out")
    if how == "other shards":
        whole = vectors(sets, "pool").astype(np.float16)
        shutil.rmtree(sets / "pool")
        for number, start in enumerate((200, 0)):
            stop = 360 if start else 200
            write_part(sets / "pool", number, whole[start:stop], rows_of("p", start, stop - start))
    changes = {"engine": {"unit_rows": 10_000}} if how == "one part" else {}
    out = run(cli, sets, *(["--workers", "2"] if how == "workers" else []), **changes)
    assert (out / "internal" / "unrelated" / "one.json").read_bytes() == before


def test_a_sample_that_is_the_query_itself_is_left_out(sets: Path, cli: Run) -> None:
    """Its uid is the query's: the benchmark's own rows lie in the pool."""
    own = np.load(sets / "one" / "img_emb" / "img_emb_0.npy")[:4]
    write_part(sets / "pool", 3, own, rows_of("q", 0, 4))
    described = found(run(cli, sets), "one")
    assert (described["pairs"], described["left_out"]) == (20 * 364 - 4, 4)
    assert described["quantiles"][-1] < 0.999


def test_vectors_that_cannot_be_compared_are_not_drawn(sets: Path, cli: Run) -> None:
    lost = unit(10, 120)
    lost[::2] = np.nan
    write_part(sets / "pool", 0, lost, rows_of("p", 0, 120))
    assert found(run(cli, sets), "one")["samples"] == 300


def test_one_more_shard_draws_for_itself_alone(sets: Path, cli: Run) -> None:
    out = run(cli, sets)
    before = {path.name: path.read_bytes() for path in (out / "commits" / "draw").iterdir()}
    write_part(sets / "pool", 3, unit(13, 60), rows_of("p", 360, 60))
    run(cli, sets)
    after = {path.name: path.read_bytes() for path in (out / "commits" / "draw").iterdir()}
    assert len(after) == len(before) + 1
    assert all(after[name] == content for name, content in before.items())
    assert found(out, "one")["samples"] == 420
