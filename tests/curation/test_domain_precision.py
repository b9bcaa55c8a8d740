"""Domains of real pictures: what is taken is right as often as was asked, in at least 95 of 100 repeats."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation import measures
from curation.measure import Block
from indexes.canonical import canonical

REPEATS, SIDE, EACH = 100, 32, 300
ASKED = {"mini_shift": 0.65, "stamps": 0.65}
GROUPS = {
    "mini_shift": {"natural": ["photo"], "rendition": ["art_painting", "cartoon", "sketch"]},
    "stamps": {"natural": ["photo"], "rendition": ["drawing", "symbol"]},
}
LABELLED = 0.7
STEPS = (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)


def pictures(data: Path, name: str) -> tuple[np.ndarray, list[str]]:
    """Pictures `(n, SIDE, SIDE, 3)`, at most `EACH` of a domain of mini_shift; and their domains."""
    files = sorted(data.joinpath(name).glob("pacs_*.parquet")) or [data / name / "stamps.parquet"]
    found, domains = [], []
    for file in files:
        table = pq.read_table(file, columns=["jpg", "domain"])
        chosen = np.random.default_rng(0).permutation(len(table))
        table = table.take(pa.array(np.sort(chosen[:EACH] if len(files) > 1 else chosen)))
        domains += table.column("domain").to_pylist()
        found += [_small(content) for content in table.column("jpg").to_pylist()]
    return np.stack(found), domains


def _small(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (2 * SIDE, 2 * SIDE))
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)


def embedded(images: np.ndarray) -> np.ndarray:
    """Brightness, colourfulness, and how sharp edges are: a plain embedding in which domains can be told apart."""
    grey, colour = images.mean(axis=3), images.max(axis=3) - images.min(axis=3)
    found = [
        _histogram(grey, range(16, 256, 16)),
        _histogram(colour, (2, 6, 12, 20, 32, 48, 64, 96, 128, 192)),
    ]
    for coarse in (1, 2):
        size = SIDE // coarse
        level = grey.reshape(-1, size, coarse, size, coarse).mean(axis=(2, 4))
        inner = level[:, 1:-1, 1:-1]
        around = level[:, :-2, 1:-1] + level[:, 2:, 1:-1] + level[:, 1:-1, :-2] + level[:, 1:-1, 2:]
        edges = [np.diff(level, axis=1), np.diff(level, axis=2), (4 * inner - around) / 2]
        found += [_histogram(np.abs(one), STEPS) for one in edges]
    wide = np.sqrt(np.concatenate(found, axis=1))
    return canonical((wide - wide.mean(axis=0)).astype(np.float32)).vectors


def _histogram(values: np.ndarray, edges: Any) -> np.ndarray:
    bins = np.digitize(values.reshape(len(values), -1), list(edges))
    return np.stack([(bins == n).mean(axis=1) for n in range(len(list(edges)) + 1)], axis=1)


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(ASKED))
def test_held_out_precision_reaches_the_bound_in_95_of_100_repeats(name: str, tmp_path: Path) -> None:
    data = os.environ.get("NEARFAR_REAL_DATA")
    if not data:
        pytest.skip("NEARFAR_REAL_DATA is not set: labelled pictures of several domains are there")
    images, domains = pictures(Path(data), name)
    vectors = embedded(images)
    keys = [f"{n:05d}" for n in range(len(domains))]
    group = {member: one for one, members in GROUPS[name].items() for member in members}
    truth = np.array([group.get(domain, "ambiguous") for domain in domains])
    failed: list[int] = []
    took = {"natural": 0, "rendition": 0}
    left = []
    for repeat in range(REPEATS):
        order = np.random.default_rng(repeat).permutation(len(keys))
        known, others = np.split(order, [int(LABELLED * len(keys))])
        table = pa.table({"key": [keys[n] for n in known], "domain": [domains[n] for n in known]})
        pq.write_table(table, tmp_path / f"{repeat}.parquet")
        options = {"labels": str(tmp_path / f"{repeat}.parquet"), "groups": GROUPS[name]}
        options |= {"precision": ASKED[name], "penalty": 0.01, "seed": repeat}
        measure = measures.parse("domain", options)
        model = measure.train(block(np.sort(known), vectors, keys))
        said = np.array(measure.apply(block(others, vectors, keys), model)["taken"].to_pylist())
        left.append(np.mean(said == "ambiguous"))
        for one in took:
            own = said == one
            took[one] += bool(own.any())
            if own.any() and np.mean(truth[others][own] == one) < ASKED[name]:
                failed.append(repeat)
    print(
        f"{name}: {len(set(failed))} of {REPEATS} repeats below {ASKED[name]}; ambiguous {np.mean(left):.3f}; {took}"
    )
    assert len(set(failed)) <= REPEATS - 95
    assert min(took.values()) >= REPEATS // 2, "a bound that nothing reaches proves nothing"
    assert 0.02 < np.mean(left) < 0.6


def block(rows: np.ndarray, vectors: np.ndarray, keys: list[str]) -> Block:
    uids = np.stack([np.zeros(len(rows)), rows], axis=1).astype(np.uint64)
    return Block(uids, {"image": vectors[rows]}, {"key": pa.array([keys[n] for n in rows])})
