"""Sections about captions and classes: richness, attributes that go with a class, intra-class similarity; by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from report_tables import write
from section_files import Sections, uid

from curation.kernels.pairwise import mean_pair, mean_to_others
from indexes.canonical import canonical
from pipeline import layout
from pipeline.files.index_file import save_index
from pipeline.report.request import BenchmarkFiles, SetFiles
from pipeline.report.sections.of_classes import attribute_association

CAPTIONS = ["a cow on green grass", "cow, grass", "a dog", None, "a dog with a ball on grass", "hill"]


def classes(run: Sections, names: list[Any], found: list[Any], single: list[Any] | None = None) -> None:
    path = run.out / "classes.json"
    path.write_text(json.dumps(names))
    columns = {"found": pa.array(found, pa.list_(pa.int32()))}
    if single is not None:
        columns["single"] = pa.array(single, pa.int32())
    run.measure("classes", "", {"names": str(path)}, **columns)


def test_captions_before_and_after_a_split(tmp_path: Path) -> None:
    run = Sections(tmp_path, 6)
    run.pool(caption=pa.array(CAPTIONS, pa.string()))
    run.measure(
        "captions",
        words=pa.array([5, 2, 2, None, 7, 1], pa.int32()),
        content_words=pa.array([3, 2, 1, None, 3, 1], pa.int32()),
        label_only=pa.array([False, False, True, None, False, False]),
        attributes=pa.array([["green"], [], ["big", "red"], None, [], []], pa.list_(pa.string())),
        class_named=pa.array([True, None, False, None, True, None]),
    )
    run.split("some", [0, 2, 3], repeat=[2, 1, 5])
    found = run.numbers("caption_richness")["captions"]["captions"]
    pool = {"captions": 5, "mean_words": 17 / 5, "mean_content_words": 2.0, "median_content_words": 2}
    assert found["pool"] == pool | {
        "label_only": 1,
        "share_label_only": 0.2,
        "mean_attributes": 0.6,
        "class_named": 2,
        "share_class_named": pytest.approx(2 / 3),
    }
    some = {
        "captions": 3,
        "mean_words": 4.0,
        "mean_content_words": pytest.approx(7 / 3),
        "median_content_words": 3,
    }
    assert found["split some"] == some | {
        "label_only": 1,
        "share_label_only": pytest.approx(1 / 3),
        "mean_attributes": pytest.approx(4 / 3),
        "class_named": 2,
        "share_class_named": pytest.approx(2 / 3),
    }


def test_attributes_that_classes_share(tmp_path: Path) -> None:
    """cow: green, grass; dog: ball, grass. A hill names no class, and a class's own name is no attribute of it."""
    run = Sections(tmp_path, 6)
    run.pool(caption=pa.array(CAPTIONS, pa.string()))
    run.measure("captions", words=[1] * 6, content_words=[1] * 6)
    classes(run, ["cow", "dog"], [[0], [0], [1], None, [1], []])
    shared = run.numbers("caption_richness")["shared_attributes"]["classes"]
    assert shared == {
        "attributes_by": "content words",
        "samples": 4,
        "attributes": 3,
        "of_two_or_more_classes": 1,
        "share": pytest.approx(1 / 3),
    }


def test_attributes_of_a_column_are_taken_where_there_is_one(tmp_path: Path) -> None:
    run = Sections(tmp_path, 6)
    run.pool(caption=pa.array(CAPTIONS, pa.string()))
    tags = pa.array([["green"], ["green", "cow"], ["small"], None, [], ["tall"]], pa.list_(pa.string()))
    run.measure("captions", words=[1] * 6, content_words=[1] * 6, attributes=tags)
    classes(run, ["cow", "dog"], [[0], [0], [1], None, [1], []])
    shared = run.numbers("caption_richness")["shared_attributes"]["classes"]
    assert (shared["attributes_by"], shared["attributes"], shared["of_two_or_more_classes"]) == (
        "attributes",
        2,
        0,
    )


def test_a_planted_attribute_raises_the_alarm(tmp_path: Path) -> None:
    """Every cow stands on grass, few others do; snow is with everything."""
    captions, found = [], []
    for at in range(60):
        of = at % 3
        captions.append(("cow", "dog", "cat")[of] + " snow" + (" grass" if of == 0 or at in (1, 2) else ""))
        found.append([of])
    run = Sections(tmp_path, 60)
    run.pool(caption=captions)
    classes(run, ["cow", "dog", "cat"], found)
    numbers = run.numbers("attribute_association")["classes"]
    assert (numbers["alarms"], numbers["samples"]) == (1, 60)
    top = numbers["pairs"][0]
    assert (top["attribute"], top["class"], top["together"], top["kinds"]) == ("grass", "cow", 20, [])
    assert top["pmi"] == pytest.approx(math.log(20 * 60 / (22 * 20)))
    assert (top["of_class"], top["of_attribute"]) == (1.0, pytest.approx(20 / 22))
    table = np.array([[20, 0], [1, 19], [1, 19]], float)
    expected = np.outer(table.sum(1), table.sum(0)) / 60
    v = math.sqrt(((table - expected) ** 2 / expected).sum() / 60)
    assert numbers["cramers_v"][0] == ["grass", pytest.approx(v)]
    assert dict(map(tuple, numbers["cramers_v"]))["snow"] == 0


def test_the_alarm_needs_a_far_association(tmp_path: Path) -> None:
    """Of five classes, one alone has grass: ln 5 is more than one nat."""
    names = ["cow", "dog", "cat", "cup", "car"]
    captions = [names[at % 5] + (" grass" if at % 5 == 0 else " road") for at in range(50)]
    run = Sections(tmp_path, 50)
    run.pool(caption=captions)
    classes(run, names, [[at % 5] for at in range(50)])
    numbers = run.numbers("attribute_association")["classes"]
    assert [(one["attribute"], one["class"]) for one in numbers["pairs"] if one["alarm"]] == [
        ("grass", "cow")
    ]
    assert numbers["pairs"][0]["pmi"] == pytest.approx(math.log(5))


def test_no_more_samples_are_looked_at_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.report.sections._attributes.DRAWN", 7)
    run = Sections(tmp_path, 20)
    run.pool(caption=["cow grass"] * 20)
    classes(run, ["cow"], [[0]] * 20)
    assert run.numbers("attribute_association")["classes"]["samples"] == 7


def test_repeated_rows_of_the_pool_are_looked_at_once(tmp_path: Path) -> None:
    run = Sections(tmp_path, 10)
    run.pool(caption=["cow grass"] * 10)
    classes(run, ["cow"], [[0]] * 10)
    again = write(
        tmp_path,
        layout.samples("pool", 2),
        pa.table(
            {
                "uid": [uid(3)],
                "part": pa.array([2], pa.int32()),
                "row": [0],
                "key": ["x"],
                "caption": ["cow road"],
            }
        ),
    )
    run.request = replace(run.request, pool=SetFiles("pool", samples=(*run.request.pool.samples, again)))
    numbers = run.numbers("attribute_association")["classes"]
    assert (numbers["samples"], len(numbers["pairs"])) == (10, 1)


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Sections, np.ndarray]:
    """Twelve samples of the classes ant (5), bee (3), cow (2) and elk (1); one has no class."""
    single = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, None]
    rows = canonical(np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32)).vectors
    similarity: list[float | None] = [None] * 12
    for of in range(3):
        own = [at for at, one in enumerate(single) if one == of]
        for at, value in zip(own, mean_to_others(rows[own]).tolist(), strict=True):
            similarity[at] = value
    run = Sections(tmp_path, 12)
    classes(run, ["ant", "bee", "cow", "elk"], [[] if one is None else [one] for one in single], single)
    options = {"of": "image", "within": "classes.single", "most": 100, "seed": 0}
    run.measure("intra_class", "", options, similarity=pa.array(similarity, pa.float64()), drawn=[True] * 12)
    return run, rows


def test_intra_class_similarity_per_class_and_in_all(measured: tuple[Sections, np.ndarray]) -> None:
    run, rows = measured
    found = run.numbers("within_classes")["intra_class"]["pool"]
    wanted = [mean_pair(mean_to_others(rows[own]).tolist()) for own in ([0, 1, 2, 3, 4], [5, 6, 7], [8, 9])]
    assert [one[:2] for one in found["by_class"]] == [["0", 5], ["1", 3], ["2", 2]]
    for got, (mean, half) in zip(found["by_class"], wanted, strict=True):
        assert got[2] == pytest.approx(mean, abs=1e-8)
        assert got[3] == (None if half is None else pytest.approx(half, abs=1e-8))
    means = [mean for mean, _ in wanted]
    assert found["mean"] == pytest.approx(np.mean(means), abs=1e-8)
    assert found["half_width_95"] == pytest.approx(1.959964 * np.std(means, ddof=1) / math.sqrt(3), abs=1e-6)


def test_a_benchmark_with_labels_is_the_reference(measured: tuple[Sections, np.ndarray]) -> None:
    run, _ = measured
    rows = canonical(np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)).vectors
    labels = ["Ant", "Ant", "Ant", "cow", "cow", None]
    queries = pa.table({"uid": [uid(100 + at) for at in range(6)], "label": pa.array(labels, pa.string())})
    path = write(run.out, layout.index("val", "queries.parquet"), queries)
    save_index(rows, run.out / layout.index("val", "index.faiss"))
    benchmark = BenchmarkFiles(SetFiles("val"), path, "", index=layout.index("val", "index.faiss"))
    run.request = replace(run.request, benchmarks=(benchmark,))
    found = run.numbers("within_classes")["intra_class"]
    val, pool = found["benchmark val"], {one[0]: one[2] for one in found["pool"]["by_class"]}
    ant, cow = (mean_pair(mean_to_others(rows[own]).tolist())[0] for own in ([0, 1, 2], [3, 4]))
    assert [one[0] for one in val["by_class"]] == ["Ant", "cow"]
    assert val["mean"] == pytest.approx((ant + cow) / 2, abs=1e-8)
    assert val["matched_classes"] == 2
    assert val["pool_minus_this"] == pytest.approx(((pool["0"] - ant) + (pool["2"] - cow)) / 2, abs=1e-8)


def test_dispersion_of_captions(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    run.pool(label=["a", "a", "b", "b"], caption=["x"] * 4)
    run.measure("captions", words=[1] * 4, content_words=[1] * 4)
    options = {"of": "text", "within": "label"}
    run.measure("intra_class", "told", options, similarity=[0.75, 0.75, 0.5, 0.5], drawn=[True] * 4)
    found = run.numbers("caption_richness")["dispersion"]["told"]
    assert (found["classes"], found["mean"]) == (2, 1 - 0.625)
    assert "no measure intra_class of images" in run.tell("within_classes").reason


def test_alarms_are_explained() -> None:
    assert "alarm" in attribute_association.ABOUT.lower()


def test_captions_of_a_further_set_count_where_the_measure_is_of_that_set(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    run.measure("captions", words=[1, 2, 3, 4], content_words=[1, 1, 1, 1])
    table = pa.table({"uid": [uid(1), uid(90)], "words": [10, 20], "content_words": [5, 6]})
    path = write(tmp_path, layout.measure("captions", "captions", 0, "more"), table)
    (measure,) = run.request.measures
    run.request = replace(run.request, measures=(replace(measure, of_sets={"more": (path,)}),))
    run.split("filled", [0, 1, 90], repeat=[3, 1, 2], sources=["pool", "more", "more"])
    found = run.numbers("caption_richness")["captions"]["captions"]["split filled"]
    assert found["captions"] == 6
    assert found["mean_words"] == pytest.approx((3 * 1 + 10 + 2 * 20) / 6)
    assert found["mean_content_words"] == pytest.approx((3 * 1 + 5 + 2 * 6) / 6)
