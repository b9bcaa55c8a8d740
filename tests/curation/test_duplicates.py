"""Near-duplicates by the published rules: values that the published code gave, and chains where the rules differ."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from vector_worlds import clustered, unit

from curation import measures, rules
from curation.grouped import Grouped
from curation.measure import Block
from curation.rule import Scope
from curation.selections.drop import Drop
from indexes.canonical import canonical
from indexes.errors import PlanError
from indexes.scanner import ScanOptions

OPTIONS = ScanOptions(k=1, device="cpu", threads=2)


@pytest.fixture
def peers() -> Path:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root or not (Path(root) / "peer_vectors").is_dir():
        pytest.skip("NEARFAR_REAL_DATA names no folder with peer_vectors")
    return Path(root) / "peer_vectors"


def group(vectors: NDArray[np.float16], **columns: Any) -> Block:
    """Rows whose uids are in their order."""
    uids = np.stack([np.zeros(len(vectors), np.uint64), np.arange(len(vectors), dtype=np.uint64)], axis=1)
    return Block(
        uids, {"image": vectors}, {name.replace("__", "."): pa.array(v) for name, v in columns.items()}
    )


def similarity(block: Block, **options: Any) -> NDArray[np.float64]:
    measure = measures.parse("duplicates", options)
    assert isinstance(measure, Grouped)
    return np.asarray(measure.whole(block, OPTIONS)["similarity"])


def level(epsilon: float) -> float:
    """The level of the rule, out of its SQL."""
    selection = rules.parse("dedup", {"epsilon": epsilon}).selection(Scope())
    assert isinstance(selection, Drop)
    return float(selection.predicate.partition("> '")[2].partition("'")[0])


def test_the_level_is_that_of_the_written_number() -> None:
    assert [level(epsilon) for epsilon in (0.124, 0.1, 0.02, 0.3)] == [0.876, 0.9, 0.98, 0.7]
    for wrong in (0.0, 1.0, -0.1, "0.1"):
        with pytest.raises(PlanError, match="epsilon"):
            rules.parse("dedup", {"epsilon": wrong})


def test_clip_oods_published_code(peers: Path) -> None:
    """What it keeps with float32; in float16 it rounds similarities, so that 0.87602 and 0.87604 stay there."""
    with np.load(peers / "clipood_dedup.npz") as found:
        vectors = canonical(found["cluster_in_stored_order"]).vectors
        keys, kept, rounded = found["key"], found["kept_float32"].tolist(), found["kept_float16"].tolist()
    near = similarity(group(vectors))
    exact = [
        max([float(a @ b) for b in vectors[:n].astype(np.float64)], default=0.0)
        for n, a in enumerate(vectors.astype(np.float64))
    ]
    assert near.tolist() == [max(value, 0.0) for value in exact]
    assert keys[~(near > level(0.124))].tolist() == kept
    assert set(rounded) > set(kept)
    assert {round(near[keys.tolist().index(key)], 5) for key in set(rounded) - set(kept)} == {
        0.87602,
        0.87604,
    }


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_semdedups_published_code(peers: Path, keep: str) -> None:
    with np.load(peers / "semdedup.npz") as found:
        arrays = {name: found[name] for name in found.files}
    said = json.loads((peers / "semdedup.json").read_text())
    vectors = canonical(arrays["embeddings"]).vectors
    near = np.full(len(vectors), np.nan)
    for cluster in range(3):
        rows = np.flatnonzero(arrays["nearest_centroid"] == cluster)
        block = group(
            vectors[rows], clusters__similarity=arrays["similarity_to_centroid"][rows].astype(np.float64)
        )
        near[rows] = similarity(block, rule="semdedup", keep=keep)
    for epsilon in said["eps"]:
        kept = np.flatnonzero(~(near > level(epsilon))).tolist()
        assert kept == said["kept" if keep == "hard" else "kept_easy"][str(epsilon)]


def test_a_chain_where_the_rules_differ() -> None:
    """Rows on an arc, 20 degrees apart: each is near its neighbours alone. The uids run along the arc."""
    angles = np.deg2rad(np.arange(5) * 20.0)
    vectors = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    # cos 20 degrees is 0.9397, cos 40 is 0.766: at 0.876 a row goes iff a neighbour stands before it.
    near = similarity(group(vectors))
    assert (near > level(0.124)).tolist() == [False, True, True, True, True]
    # From a centroid in the middle, the ends are farthest: 0, 4, then 1, 3, then 2.
    centre = np.array([0.6, 0.7, 0.9, 0.7, 0.6])
    hard = similarity(group(vectors, clusters__similarity=centre), rule="semdedup", keep="hard")
    assert (hard > level(0.124)).tolist() == [False, True, True, True, False]
    # The other way the middle comes first, and the ends follow their dropped neighbours.
    easy = similarity(group(vectors, clusters__similarity=centre), rule="semdedup", keep="easy")
    assert (easy > level(0.124)).tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("options", [{}, {"rule": "semdedup", "keep": "easy"}])
def test_what_is_told_apart_from_a_level_on_is_as_without_it(options: dict[str, Any]) -> None:
    vectors = clustered(1, 500, 32, clusters=40, spread=0.3)
    block = group(vectors, clusters__similarity=np.random.default_rng(2).random(500))
    whole = measures.parse("duplicates", options)
    assert isinstance(whole, Grouped)
    every = whole.whole(block, OPTIONS)
    edge = float(np.sort(every["similarity"])[300])
    for level in (edge, float(np.nextafter(edge, 1)), float(np.nextafter(edge, 0)), 0.9, 1.0):
        told = measures.parse("duplicates", options | {"at_least": level})
        assert isinstance(told, Grouped)
        found = told.whole(block, OPTIONS)
        assert told.lowest() == {"similarity": level}
        assert found["similarity"].tolist() == np.maximum(every["similarity"], level).tolist()
        there = every["similarity"] >= level
        names = [n if t else None for n, t in zip(every["nearest"].to_pylist(), there, strict=True)]
        assert found["nearest"].to_pylist() == names
        assert found["place"].tolist() == every["place"].tolist()
        assert str(level) in told.columns()[0].meaning


def test_an_order_of_ones_own() -> None:
    vectors = unit(np.ones((3, 4)))
    found = measures.parse("duplicates", {"order": "key"})
    assert isinstance(found, Grouped)
    answer = found.whole(group(vectors, key=["c", "a", "b"]), OPTIONS)
    assert answer["place"].tolist() == [2, 0, 1]
    # Of equal ones before it, the lower uid is named.
    assert answer["nearest"].to_pylist() == [f"{1:032x}", None, f"{1:032x}"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": "hard"}, "only rule: semdedup"),
        ({"rule": "semdedup", "order": "key"}, "rule: clip_ood"),
        ({"rule": "semdedup", "within": "label"}, "clusters.cluster"),
        ({"rule": "nemo"}, "rule"),
        ({"at_least": 0.0}, "at_least"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        measures.parse("duplicates", options)
