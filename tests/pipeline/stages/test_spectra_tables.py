"""The tables of spectra against numpy over the vectors of each population, over parts of any size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import WIDTH, rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

from curation.kernels.uid_hash import hashes

PLAN = {
    "splits": {"narrow": [{"where": "width < 100"}], "other": [{"random": {"keep": 50}}]},
    "measures": {"clip_score": None},
    "benchmarks": {},
    "reference": None,
    "audit": {"spectra": ["narrow"]},
}


def write_pool(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A pool with captions' embeddings; one caption has none."""
    write_sets(folder)
    images, texts = [], []
    for part in range(3):
        text = unit(40 + part, 120).astype(np.float32)
        if part == 1:
            text[5] = np.nan
        write_part(folder / "pool", part, unit(10 + part, 120), rows_of("p", 120 * part, 120))
        (folder / "pool/text_emb").mkdir(exist_ok=True)
        np.save(folder / f"pool/text_emb/text_emb_{part}.npy", text.astype(np.float16))
        images.append(unit(10 + part, 120))
        texts.append(text)
    return np.concatenate(images).astype(np.float64), np.concatenate(texts).astype(np.float64)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    folder = tmp_path_factory.mktemp("spectra")
    return (folder, *write_pool(folder))


def test_each_population_is_described_as_numpy_does(
    world: tuple[Path, np.ndarray, np.ndarray], cli: Run, tmp_path: Path
) -> None:
    folder, image, text = world
    code, _, errors = cli("run", str(write_plan(folder, **PLAN)))
    assert code == 0, errors
    out = folder / "out"
    summary = {
        (row["population"], row["of"]): row
        for row in pq.read_table(out / "spectra/summary.parquet").to_pylist()
    }
    values = pq.read_table(out / "spectra/values.parquet").to_pandas()
    there = np.isfinite(text).all(axis=1)
    for name, members in populations(out, there).items():
        assert summary[name, "cross"]["samples"] == members.sum()
        x, y = image[members], text[members]
        for of, rows in (("image", x), ("text", y)):
            truth = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) / np.sqrt(len(rows))
            own = values[(values.population == name) & (values["of"] == of)].singular_value
            np.testing.assert_allclose(own, truth, rtol=1e-6, atol=1e-7)
            assert summary[name, of]["condition"] == pytest.approx(truth[0] / truth[WIDTH - 1], rel=1e-5)
        both = summary[name, "cross"]
        products = x @ y.T
        assert both["mean_paired"] == pytest.approx(np.diag(products).mean(), abs=1e-12)
        off = products[~np.eye(len(x), dtype=bool)].mean()
        assert both["mean_unpaired"] == pytest.approx(off, abs=1e-12)
        assert both["modality_gap"] == pytest.approx(
            np.linalg.norm(x.mean(axis=0) - y.mean(axis=0)), rel=1e-9
        )
    told = json.loads((out / "report/audit.json").read_text())["sections"]["singular_values"]["numbers"]
    for (name, of), row in summary.items():
        assert told[of][name]["condition"] == pytest.approx(row["condition"], rel=1e-8)
        assert told[of][name]["samples"] == row["samples"]
    assert {name for name, _ in summary} == {"pool", "narrow", "random narrow"}
    whole = {"output": str(tmp_path / "out"), "engine": {"unit_rows": 100_000}}
    assert cli("run", str(write_plan(folder, **(PLAN | whole))))[0] == 0
    for table in ("summary", "values"):
        one, other = (at / f"out/spectra/{table}.parquet" for at in (folder, tmp_path))
        assert pq.read_table(one).equals(pq.read_table(other))
    assert cli("verify", str(out))[0] == 0


def populations(out: Path, there: np.ndarray) -> dict[str, np.ndarray]:
    """Which rows of the pool each has, by the keys' numbers."""
    table = pq.read_table(out / "samples/pool").to_pydict()
    row = {uid: int(key[1:]) for uid, key in zip(table["uid"], table["key"], strict=True)}
    pairs = np.array([[int(uid[:16], 16), int(uid[16:], 16)] for uid in row], np.uint64)
    kept = pq.read_table(out / "splits/narrow/part-0000.parquet").num_rows
    drawn = hashes(pairs, 0) <= np.uint64(2**64 * kept // len(row) - 1)
    assert 0.5 * kept < drawn.sum() < 1.5 * kept
    found = {"pool": there.copy(), "narrow": there & (np.arange(len(there)) < 100)}
    random = np.zeros(len(there), bool)
    random[np.array(list(row.values()))[drawn]] = True
    return found | {"random narrow": random & there}


def test_a_split_that_is_not_there_is_answered(world: tuple[Path, np.ndarray, np.ndarray], cli: Run) -> None:
    plan = write_plan(world[0], **(PLAN | {"audit": {"spectra": ["narow"]}}))
    code, _, errors = cli("run", str(plan))
    assert code == 2
    assert "unknown split 'narow'" in errors
    assert "narrow" in errors
