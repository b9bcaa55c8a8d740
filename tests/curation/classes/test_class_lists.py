"""Class lists: ImageNet's, and what is wrong with a user's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curation import measures
from curation.classes import class_list, digest_of
from curation.measure import Block
from indexes.errors import PlanError, UnknownNameError


def written(folder: Path, content: object) -> str:
    path = folder / "names.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_imagenet_comes_with_timm() -> None:
    thousand, many = class_list("imagenet-1k", "", "names"), class_list("imagenet-21k", "", "names")
    assert len(thousand) == 1000
    assert (thousand.ids[0], thousand.names[0]) == ("n01440764", ("tench", "Tinca tinca"))
    assert len(many) == 21843
    assert set(thousand.ids) - set(many.ids) == {"n04399382"}, "the teddy has another id among the 21,843"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "names no class"),
        ("3", "holds int"),
        ("[", r"is not JSON in UTF-8"),
        (["dog", ""], "class 1 has an empty name"),
        ([["dog", " "]], "class 0 has an empty name"),
        (["dog", "cat", "dog"], "classes 0 and 2 have the same names"),
        ([["dog", "dog"], "cat", "dog"], "classes 0 and 2 have the same names"),
        ({"n1": []}, r"class 0 \('n1'\) is \[\]; it should be a name or a list of names"),
        ([["dog", 3]], "it should be a name or a list of names"),
        ('{"a": ["dog"], "a": ["cat"]}', "has the class 'a' twice"),
    ],
)
def test_a_wrong_list_is_said_before_anything_is_read(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        measures.parse("classes", {"names": written(tmp_path, content)})


def test_a_missing_file_and_an_unknown_matcher_are_answered(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"measures\.c\.names is '.*none\.json', which cannot be read"):
        measures.parse("classes", {"names": str(tmp_path / "none.json")}, "measures.c")
    with pytest.raises(UnknownNameError, match=r"unknown matcher 'laionett'; available: .*laionet"):
        measures.parse("classes", {"matcher": "laionett"})


def test_a_list_that_changes_is_another_measure(tmp_path: Path) -> None:
    path = written(tmp_path, ["dog", ["cat", "tabby"]])
    before = measures.parse("classes", {"names": path})
    assert measures.dump(before)["digest"] == digest_of(path, "names")
    written(tmp_path, ["dog"])
    assert measures.parse("classes", {"names": path}) != before
    with pytest.raises(PlanError, match="is not what it was"):
        measures.parse("classes", measures.dump(before))


def test_columns_are_all_classes_and_the_only_one(tmp_path: Path) -> None:
    measure = measures.parse("classes", {"names": written(tmp_path, {"b": "dog", "a": ["cat", "tabby"]})})
    texts = pa.array(["tabby, dog", "a dog", "", None, "cat tabby"], pa.string())
    found = measure.apply(Block(np.zeros((5, 2), np.uint64), {}, {"caption": texts}), {})
    assert found["found"].to_pylist() == [[0, 1], [0], [], None, [1]]
    assert found["found"].type == pa.list_(pa.int32())
    assert found["single"].to_pylist() == [None, 0, None, None, 1]
