"""What every file under curation/measures keeps to; a new measure is picked up by itself."""

from __future__ import annotations

import tempfile
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation import measures
from curation.grouped import Grouped
from curation.measure import QUERIES, VECTORS, Block, Columns, Measure, Model, schema_of
from curation.measures.told._told import PROBABILITIES, TAGS
from indexes.canonical import canonical
from indexes.errors import DataError, PlanError, UnknownNameError
from indexes.scanner import ScanOptions
from indexes.scores import Scores

FILES = Path(tempfile.mkdtemp(prefix="measures-"))
(FILES / "uids.txt").write_text("0" * 32)
OPTIONS: dict[str, dict[str, Any]] = {
    "similarity": {"benchmark": "photo"},
    "clusters": {"k": 3},
    "norm-sim": {"to": "photo"},
    "copies": {"by": "caption"},
    "leaky-splits": {"split": "caption"},
    "listed": {"uid": str(FILES / "uids.txt")},
    "norm-sim-d": {"iterations": 4, "fraction": 0.3},
    "domain": {"labels": str(FILES / "domains.csv"), "precision": 0.05},
    "tags": {"table": "tags.csv", "names": "imagenet-1k", "both": "classes"},
}
"""For measures that have no defaults; one that is not named here is tried as it comes."""
ROWS, WIDTH = 40, 6
UIDS = np.random.default_rng(0).integers(0, 2**63, (ROWS, 2)).astype(np.uint64)
DOMAINS = [
    f"{high:016x}{low:016x},{'photo' if n % 2 else 'sketch'}\n" for n, (high, low) in enumerate(UIDS.tolist())
]
(FILES / "domains.csv").write_text("uid,domain\n" + "".join(DOMAINS))
EVERY_MEASURE = pytest.mark.parametrize("name", measures.names())
GROUPED = [
    name for name in measures.names() if isinstance(measures.parse(name, OPTIONS.get(name, {})), Grouped)
]
BLOCK_BY_BLOCK = pytest.mark.parametrize("name", [name for name in measures.names() if name not in GROUPED])
TOLD = {
    "tags": pa.array([None if i % 6 == 1 else ["cock", "hen", "tench"][: i % 4] for i in range(ROWS)]),
    "probabilities": pa.array([None if i % 6 == 1 else [0.9, 0.1, 0.8][: i % 4] for i in range(ROWS)]),
}
"""What a table says of each row."""


def made(name: str) -> Measure:
    return measures.parse(name, OPTIONS.get(name, {}))


def block(rows: np.ndarray[Any, Any]) -> Block:
    """Rows of a small pool with everything that a measure may need."""
    rng = np.random.default_rng(0)
    vectors = {
        kind: canonical(rng.standard_normal((ROWS, WIDTH)).astype(np.float32)).vectors for kind in VECTORS
    }
    caption = [None if i % 7 == 3 else "a  dog\u00a0on grass " * (i % 5) for i in range(ROWS)]
    similarity = rng.standard_normal((ROWS, 1))
    nearest = rng.integers(0, 9, (ROWS, 1)).astype(np.int32)
    scores = Scores(similarity, nearest, similarity - 0.5, nearest)
    return Block(
        UIDS[rows],
        {kind: values[rows] for kind, values in vectors.items()},
        {
            "caption": pa.array(caption, pa.string()).take(pa.array(rows)),
            TAGS: TOLD["tags"].take(pa.array(rows)),
            PROBABILITIES: TOLD["probabilities"].take(pa.array(rows)),
            "clusters.cluster": pa.array(np.arange(ROWS, dtype=np.int32) % 3).take(pa.array(rows)),
            "classes.single": pa.array([1 if i % 5 == 0 else None for i in range(ROWS)], pa.int32()).take(
                pa.array(rows)
            ),
            "classes.found": pa.array(
                [None if i % 5 == 1 else list(range(i % 5 or 1, 4)) for i in range(ROWS)],
                pa.list_(pa.int32()),
            ).take(pa.array(rows)),
        },
        Scores(scores.similarity[rows], nearest[rows], scores.similarity[rows] - 0.5, nearest[rows]),
    )


def tables(measure: Measure) -> dict[str, pa.Table]:
    sizes = pa.table(
        {
            "cluster": pa.array([0, 1, 2, 0], pa.int32()),
            "size": pa.array([14, 13, 13, 5]),
            "coarse": pa.array([7.0, 6.5, 3.25, 2.5]),
            "fine": pa.array([0.0, 0.0, 0.0, 0.0]),
            "apart": pa.array([0.5, 0.25, 1.0, 0.5]),
        }
    )
    vectors = block(np.arange(5)).vectors["text"]
    queries = pa.table(
        {"vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])}
    )
    held = {"clusters:sizes": sizes, "queries:photo": queries}
    return {name: table for name, table in held.items() if name in measure.requires()}


def phrases_of(measure: Measure) -> Model:
    """What an encoder would make of the texts that a measure compares with."""
    count = len(measure.phrases())
    drawn = np.random.default_rng(3).standard_normal((count, WIDTH)).astype(np.float32)
    return {"phrases": canonical(drawn).vectors} if count else {}


def measured(measure: Measure, model: Model, cuts: list[int]) -> dict[str, list[Any]]:
    """Measure the pool, cut at such rows."""
    running = measure.start(model, tables(measure))
    found: dict[str, list[Any]] = {column.name: [] for column in measure.columns()}
    for rows in np.split(np.arange(ROWS), cuts):
        columns: Columns = running.apply(block(rows))
        assert set(columns) == set(found)
        for column in measure.columns():
            values = columns[column.name]
            array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
            assert len(array) == len(rows)
            found[column.name] += array.cast(column.type).to_pylist()
    running.finish()
    return found


@EVERY_MEASURE
def test_a_measure_is_a_frozen_dataclass_that_a_plan_can_write(name: str) -> None:
    measure = made(name)
    assert is_dataclass(measure)
    assert type(measure).__dataclass_params__.frozen
    assert measures.parse(name, measures.dump(measure)) == measure
    assert measures.kind_of(measure).replace("_", "-") == name
    assert type(measure).__doc__


@EVERY_MEASURE
def test_columns_have_arrow_types_and_a_meaning(name: str) -> None:
    columns = made(name).columns()
    assert columns
    assert len({column.name for column in columns}) == len(columns)
    for column in columns:
        assert column.name.isidentifier()
        assert column.name != "uid"
        assert isinstance(column.type, pa.DataType)
        assert len(column.meaning) > 10
    assert schema_of(made(name)).names == ["uid", *(column.name for column in columns)]


@EVERY_MEASURE
def test_what_it_needs_is_something_that_there_is(name: str) -> None:
    others = {other.replace("-", "_") for other in measures.names()}
    known = {*VECTORS, QUERIES, "caption", *others}
    assert {need.partition(":")[0] for need in made(name).requires()} <= known


@BLOCK_BY_BLOCK
def test_blocks_change_nothing(name: str) -> None:
    measure = made(name)
    model = measure.train(block(np.arange(ROWS))) if measure.sample_rows() else phrases_of(measure)
    assert all(array.dtype != object for array in model.values())
    whole = measured(measure, model, [])
    assert measured(measure, model, [1, 2, 17]) == whole
    assert any(value is not None for values in whole.values() for value in values)


@pytest.mark.parametrize("name", GROUPED)
def test_the_order_of_a_groups_rows_changes_nothing(name: str) -> None:
    measure = made(name)
    assert isinstance(measure, Grouped)
    whole = grouped_answers(measure, np.arange(ROWS))
    assert set(next(iter(whole.values()))) == {column.name for column in measure.columns()}
    assert grouped_answers(measure, np.random.default_rng(1).permutation(ROWS)) == whole
    with pytest.raises(TypeError, match="works on whole groups"):
        measure.apply(block(np.arange(ROWS)), {})


def grouped_answers(measure: Grouped, rows: np.ndarray[Any, Any]) -> dict[tuple[int, int], dict[str, Any]]:
    """What a measure says of each row, by uid; a group comes in the order of the uids."""
    uids = block(rows).uids
    group = block(rows[np.lexsort((uids[:, 1], uids[:, 0]))])
    found = measure.whole(group, ScanOptions(k=1))
    columns = {
        column.name: pa.array(found[column.name], column.type).to_pylist() for column in measure.columns()
    }
    keys = [(int(high), int(low)) for high, low in group.uids]
    return {key: {name: values[n] for name, values in columns.items()} for n, key in enumerate(keys)}


@EVERY_MEASURE
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match=rf"unknown option 'colour' at measures.{name}; measure takes: "):
        measures.parse(name, {**OPTIONS.get(name, {}), "colour": 1}, f"measures.{name}")


def test_an_unknown_measure_is_answered() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown measure 'similarty'; available: .*similarity"):
        measures.parse("similarty", {})


def test_words_and_characters_are_those_of_the_published_filter() -> None:
    texts = ["one two three", "  a\tb\n c ", "", "\u00e9\u00e9\u00e9\u00e9\u00e9\U0001f600", None, "a\u00a0b"]
    found = measures.parse("captions", {}).apply(
        Block(np.zeros((len(texts), 2), np.uint64), {}, {"caption": pa.array(texts)}), {}
    )
    assert found["words"].to_pylist() == [3, 3, 0, 1, None, 2]
    assert found["characters"].to_pylist() == [13, 9, 0, 6, None, 3]


def test_a_clip_score_is_the_exact_product_or_the_pools_own() -> None:
    rows = block(np.arange(ROWS))
    found = measures.parse("clip_score", {}).apply(rows, {})["clip_score"]
    image, text = (rows.vectors[kind].astype(np.float64) for kind in VECTORS)
    np.testing.assert_array_equal(found, [float(a @ b) for a, b in zip(image, text, strict=True)])
    own = pa.array([0.25, None, np.nan, 1.5], pa.float32())
    measure = measures.parse("clip_score", {"column": "clip_l14_similarity_score"})
    assert measure.requires() == ("clip_l14_similarity_score",)
    columns = {"clip_l14_similarity_score": own}
    given = measure.apply(Block(np.zeros((4, 2), np.uint64), {}, columns), {})
    assert given["clip_score"].to_pylist() == [0.25, None, None, 1.5]


def test_clusters_are_the_nearest_centroids() -> None:
    rows = block(np.arange(ROWS))
    measure = measures.parse("clusters", {"k": 4, "seed": 1})
    model = measure.train(rows)
    running = measure.start(model, {})
    found = running.apply(rows)
    centroids = canonical(model["centroids"]).vectors.astype(np.float64)
    products = rows.vectors["image"].astype(np.float64) @ centroids.T
    np.testing.assert_array_equal(found["cluster"], products.argmax(axis=1))
    np.testing.assert_array_equal(found["similarity"], products.max(axis=1))
    sizes = running.finish()["sizes"]
    expected = np.bincount(products.argmax(axis=1), minlength=4)
    assert dict(zip(*(sizes.column(c).to_pylist() for c in ("cluster", "size")), strict=True)) == {
        number: size for number, size in enumerate(expected.tolist()) if size
    }
    between = 1 - centroids @ centroids.T
    mean = [float(np.delete(between[c], c).mean()) for c in sizes.column("cluster").to_pylist()]
    np.testing.assert_allclose(sizes.column("apart").to_numpy(), mean, rtol=1e-14)
    total = sizes.column("coarse").to_numpy() + sizes.column("fine").to_numpy()
    sums = [
        products.max(axis=1)[products.argmax(axis=1) == c].sum() for c in sizes.column("cluster").to_pylist()
    ]
    np.testing.assert_allclose(total, sums, rtol=1e-14)


def test_a_sample_smaller_than_k_is_said() -> None:
    measure = measures.parse("clusters", {"k": ROWS + 1})
    with pytest.raises(
        DataError, match=rf"clusters: {ROWS + 1} clusters from a sample of {ROWS} rows.*Lower k"
    ):
        measure.train(block(np.arange(ROWS)))


def test_density_is_of_the_whole_pool_and_its_parts_add_up() -> None:
    measure = measures.parse("density", {})
    found = measure.start({}, tables(measure)).apply(block(np.arange(3)))
    assert found["d_inter"].to_pylist() == [0.5, 0.25, 1.0]
    assert found["d_intra"].to_pylist() == [1 - 9.5 / 19, 0.5, 0.75]


def test_density_of_a_pool_without_clusters_is_unknown() -> None:
    measure = measures.parse("density", {})
    sums = {name: table.slice(0, 0) for name, table in tables(measure).items()}
    rows = replace(block(np.arange(3)), columns={"clusters.cluster": pa.nulls(3, pa.int32())})
    found = measure.start({}, sums).apply(rows)
    assert [found[name].to_pylist() for name in ("d_inter", "d_intra")] == [[None] * 3] * 2


def test_sizes_add_up_over_parts() -> None:
    measure = measures.parse("cluster_size", {})
    found = measure.start({}, tables(measure)).apply(block(np.arange(3)))
    assert found["cluster_size"].to_pylist() == [19, 13, 13]
