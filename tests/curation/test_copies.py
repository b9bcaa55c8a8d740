"""Copies by hash and leaks across splits: what published code gave, components by hand and by brute force."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import measures
from curation.grouped import Grouped
from curation.kernels import leaky_joins
from curation.kernels.hamming import components
from curation.kernels.leaky_joins import joins
from curation.measure import Block
from indexes.canonical import canonical
from indexes.errors import DataError, PlanError
from indexes.scanner import ScanOptions

OPTIONS = ScanOptions(k=1, device="cpu", threads=1)


def whole(measure: str, options: dict[str, Any], rows: int, columns: dict[str, Any], **vectors: Any) -> Any:
    made = measures.parse(measure, options)
    assert isinstance(made, Grouped)
    uids = np.stack([np.zeros(rows, np.uint64), np.arange(rows, dtype=np.uint64)], axis=1)
    found = made.whole(Block(uids, vectors, {name: pa.array(v) for name, v in columns.items()}), OPTIONS)
    return {c.name: pa.array(found[c.name], c.type).to_pylist() for c in made.columns()}


def uid(number: int) -> str:
    return f"{number:032x}"


@pytest.mark.parametrize("rows", [0, 1])
def test_of_nothing_and_of_one_row_nothing_joins(rows: int) -> None:
    to, cosine = joins(np.ones((rows, 4), np.float16), 0.5)
    assert (to.tolist(), np.isnan(cosine).tolist()) == ([-1] * rows, [True] * rows)


@pytest.mark.parametrize("block", [1024, 5])
def test_fiftyones_published_joins_and_leaks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root or not (Path(root) / "peer_vectors").is_dir():
        pytest.skip("NEARFAR_REAL_DATA names no folder with peer_vectors")
    monkeypatch.setattr(leaky_joins, "_BLOCK", block)
    said = json.loads((Path(root) / "peer_vectors" / "fiftyone_leaky_splits.json").read_text())
    with np.load(Path(root) / "peer_vectors" / "fiftyone_leaky_splits.npz") as arrays:
        vectors = arrays["embeddings"]
    to, cosine = joins(vectors, said["threshold_cosine_distance_of_mean_centred_embeddings"])
    names = said["ids"]
    assert [names[n] for n in np.flatnonzero(to < 0)] == said["unique_ids"]
    pairs = {
        (kept, gone): distance for kept, found in said["neighbors_map"].items() for gone, distance in found
    }
    assert {(names[to[n]], names[n]) for n in np.flatnonzero(to >= 0)} == set(pairs)
    for n in np.flatnonzero(to >= 0):
        assert 1 - cosine[n] == pytest.approx(pairs[names[to[n]], names[n]], abs=1e-6)
    split = said["split"]
    across = [n for n in np.flatnonzero(to >= 0) if split[n] != split[to[n]]]
    assert sorted({names[n] for n in across} | {names[to[n]] for n in across}) == said["leak_ids"]
    missed = set(said["samples_with_a_cross_split_neighbour_within_threshold(ours)"]) - set(said["leak_ids"])
    assert len(missed) == 6


def test_a_leak_is_a_join_of_two_splits_and_takes_both() -> None:
    drawn = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)
    drawn[3], drawn[4] = drawn[0], drawn[1]
    found = whole(
        "leaky-splits",
        {"split": "fold"},
        6,
        {"fold": ["train", "train", "test", "test", "train", None]},
        image=canonical(drawn).vectors,
    )
    assert found["joined"] == [None, None, None, uid(0), uid(1), None]
    assert found["leak"] == [True, False, False, True, False, False]
    assert found["cosine"][3] == pytest.approx(1)


def test_equal_vectors_have_no_direction_and_stay() -> None:
    """All of them are their mean."""
    to, cosine = joins(np.ones((5, 4)), 0.2)
    assert to.tolist() == [-1] * 5
    assert np.isnan(cosine).all()


@given(
    st.lists(st.integers(0, 2**12 - 1), min_size=1, max_size=30),
    st.integers(0, 4),
    st.randoms(use_true_random=False),
)
def test_components_are_those_of_brute_force(drawn: list[int], bits: int, random: Any) -> None:
    hashes = np.array(drawn, np.uint64)
    near = np.array([[(a ^ b).bit_count() <= bits for b in drawn] for a in drawn])
    reach = np.linalg.matrix_power(near.astype(float), len(drawn)) > 0
    expected = [int(np.flatnonzero(row)[0]) for row in reach]
    assert components(hashes, bits).tolist() == expected


def test_equal_hashes_have_the_lowest_uid_or_the_lowest_of_a_column_stand_for_them() -> None:
    hashes = {"sha256": ["a", "a", "a"], "rank": [None, 7, 3]}
    found = whole("copies", {}, 3, hashes)
    assert found == {"representative": [uid(0)] * 3, "size": [3] * 3, "similarity": [0.0, 1.0, 1.0]}
    assert whole("copies", {"order": "rank"}, 3, hashes)["similarity"] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("as_text", [True, False])
def test_hashes_connect_in_chains_and_a_missing_one_is_no_copy(as_text: bool) -> None:
    drawn: list[int | None] = [0b0, 0b1111, None, 0b11, 255 << 40, (1 << 63) + (255 << 40)]
    values: Any = (
        [None if h is None else f"{h:016x}" for h in drawn] if as_text else pa.array(drawn, pa.uint64())
    )
    found = whole("copies", {"by": "phash", "bits": 2}, 6, {"phash": values})
    assert found["representative"] == [uid(0), uid(0), None, uid(0), uid(4), uid(4)]
    assert found["size"] == [3, 3, None, 3, 2, 2]
    assert found["similarity"] == [0.0, 1.0, None, 1.0, 0.0, 1.0]
    # At one bit the chain through 0b11 is torn.
    assert whole("copies", {"by": "phash", "bits": 1}, 6, {"phash": values})["size"] == [1, 1, None, 1, 2, 2]


def test_pictures_that_differ_little_have_near_hashes() -> None:
    imagehash = pytest.importorskip("imagehash")
    from PIL import Image

    drawn = np.random.default_rng(1).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    large = [Image.fromarray(one).resize((96, 96), Image.Resampling.BICUBIC) for one in drawn]
    pictures = [large[0], large[0].resize((64, 64)), large[1]]
    hashes = [str(imagehash.phash(picture)) for picture in pictures]
    found = whole("copies", {"by": "phash", "bits": 10}, 3, {"phash": hashes})
    assert found["representative"] == [uid(0), uid(0), uid(2)]


def test_what_is_no_hash_is_said() -> None:
    for wrong in (["xyz"], ["0" * 15], ["g" * 16]):
        with pytest.raises(DataError, match=r"'phash' holds .* 16 hexadecimal digits.*leave bits at 0"):
            whole("copies", {"by": "phash", "bits": 4}, 1, {"phash": wrong})
    with pytest.raises(PlanError, match=r"within is 'pool'.*leave it out"):
        measures.parse("copies", {"within": "pool"})
    for wrong_bits in (-1, 33, 1.5):
        with pytest.raises(PlanError, match="bits"):
            measures.parse("copies", {"bits": wrong_bits})
