"""Size and coverage against the level of text similarity, image levels of equal size: by hand and by brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from section_files import Sections

SINGLE = [0, 0, 1, 1, 2, None, 0, 2]
TEXT = [0.9, 0.82, 0.7, 0.3, None, 0.99, 0.5, float("nan")]
IMAGE = [0.2, 0.3, 0.4, 0.1, 0.35, 0.9, 0.25, 0.05]


def classes(run: Sections, single: list[Any], size: int = 3) -> None:
    path = run.out / "classes.json"
    path.write_text(json.dumps([f"class {at}" for at in range(size)]))
    found = pa.array([[] if one is None else [one] for one in single], pa.list_(pa.int32()))
    run.measure("classes", "", {"names": str(path)}, found=found, single=pa.array(single, pa.int32()))


def levels(run: Sections, name: str) -> dict[float, dict[str, Any]]:
    return {row["level"]: row for row in run.numbers("class_thresholds")[name]["levels"]}


@pytest.fixture
def run(tmp_path: Path) -> Sections:
    run = Sections(tmp_path, 8)
    run.pool(score=pa.array(IMAGE), text=pa.array(TEXT, pa.float64()))
    classes(run, SINGLE)
    return run


def test_levels_by_hand(run: Sections) -> None:
    """Five samples name one class and have a similarity of the caption; at 0.82, two of one class."""
    run.measure("class_similarity", "", {"of": "text"}, similarity=pa.array(TEXT, pa.float64()))
    run.measure("class_similarity", "seen", {"of": "image"}, similarity=pa.array(IMAGE))
    found = levels(run, "class_similarity.similarity")
    assert (found[0.0]["samples"], found[0.0]["classes"]) == (5, 2)
    assert (found[0.7]["samples"], found[0.7]["classes"]) == (3, 2)
    assert (found[0.82]["samples"], found[0.82]["classes"]) == (2, 1)
    assert (found[0.9]["samples"], found[0.91]["samples"]) == (1, 0)
    # Of seven images with a class the three nearest are 0.4, 0.35, 0.3, of all three classes.
    assert (found[0.7]["image_level"], found[0.7]["image_samples"], found[0.7]["image_classes"]) == (
        0.3,
        3,
        3,
    )
    assert (found[0.82]["image_level"], found[0.9]["image_level"]) == (0.35, 0.4)
    assert found[0.91]["image_level"] is None


def test_columns_that_rules_name(run: Sections) -> None:
    rule = {"text": "text", "text_level": 0.555, "image": "score", "image_level": 0.1}
    run.split("subset", [0], rules=[("class-subset", rule)])
    run.split("odd", [0], rules=[("class-match", {"text": "text + 1", "above": 0.123})])
    numbers = run.numbers("class_thresholds")
    assert list(numbers) == ["text"]
    assert numbers["text"]["image"] == "score"
    found = levels(run, "text")
    assert (found[0.555]["samples"], found[0.555]["image_level"]) == (3, 0.3)
    assert 0.123 not in found


def test_no_text_similarity_is_said(run: Sections) -> None:
    run.measure("class_similarity", "seen", {"of": "image"}, similarity=pa.array(IMAGE))
    assert "no similarity of captions" in run.tell("class_thresholds").reason


def test_equal_images_are_all_counted(tmp_path: Path) -> None:
    run = Sections(tmp_path, 4)
    classes(run, [0, 1, 2, 0])
    run.measure("class_similarity", "", {"of": "text"}, similarity=[0.9, 0.8, 0.1, 0.1])
    run.measure("class_similarity", "seen", {"of": "image"}, similarity=[0.5, 0.5, 0.5, 0.1])
    found = levels(run, "class_similarity.similarity")[0.8]
    assert (found["samples"], found["image_level"], found["image_samples"]) == (2, 0.5, 3)


def test_against_brute_force(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    single, text, image = rng.integers(0, 20, 300), rng.random(300), rng.random(300)
    run = Sections(tmp_path, 300)
    classes(run, single.tolist(), 20)
    run.measure("class_similarity", "", {"of": "text"}, similarity=text)
    run.measure("class_similarity", "seen", {"of": "image"}, similarity=image)
    for level, row in levels(run, "class_similarity.similarity").items():
        reach = text >= level
        assert (row["samples"], row["classes"]) == (reach.sum(), len(set(single[reach].tolist())))
        if reach.any():
            of = np.sort(image)[::-1][reach.sum() - 1]
            assert row["image_level"] == pytest.approx(of, abs=1e-8)
            assert (row["image_samples"], row["image_classes"]) == (
                reach.sum(),
                len(set(single[image >= of].tolist())),
            )
