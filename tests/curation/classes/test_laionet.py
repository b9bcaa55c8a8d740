"""LAIONet's rule against what its authors' code gave."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.classes import IMAGENET_1K, NamedClasses, class_list, kind_of_matcher
from curation.classes.laionet import unique_names

IMAGENET = class_list(IMAGENET_1K, "", "names")
FISH = NamedClasses(
    ("n0", "n1", "n2"), (("tench", "Tinca tinca"), ("great white shark", "shark"), ("shark", "T-shirt"))
)
HUSKY = {"n02112837": "n02110185"}
"""The authors' file knows the Siberian husky by a later id."""


def plainly(text: str, names: dict[str, int]) -> list[int]:
    """The rule as it is written down: a loop over names."""
    spaced = " " + "".join(" " if letter in string.punctuation else letter for letter in text) + " "
    return sorted({position for name, position in names.items() if f" {name} " in spaced})


def test_imagenet_has_the_1825_names_that_are_of_one_class() -> None:
    names = unique_names(IMAGENET)
    assert len(names) == 1825
    assert IMAGENET.ids[names["crane"]] == "n02012849"
    assert not {"maillot", "grass snake"} & set(names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a tench.", [0]),
        ("Tench, tenches", []),
        ("Tinca, tinca", []),
        ("Tinca-tinca", [0]),
        ("great white shark", [1]),
        ("a great  white shark", []),
        ("a\ttench\n", []),
        ("T-shirt", []),
        ("shark", []),
        ("", []),
    ],
)
def test_names_stand_between_blanks(text: str, found: list[int]) -> None:
    assert kind_of_matcher("laionet")(FISH).match(text) == found == plainly(text, unique_names(FISH))


@pytest.mark.real_data
def test_the_authors_lemmas_and_matches(real_data: Path) -> None:
    names = unique_names(IMAGENET)
    published = json.loads((real_data / "classes/laionet_lemma_to_wnid.json").read_text(encoding="utf-8"))
    assert {name: IMAGENET.ids[position] for name, position in names.items()} == {
        name: HUSKY.get(wnid, wnid) for name, wnid in published.items()
    }
    matcher = kind_of_matcher("laionet")(IMAGENET)
    edge = json.loads((real_data / "peer_vectors/laionet_match_edge.json").read_text(encoding="utf-8"))
    texts = pq.read_table(real_data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
    rows = pq.read_table(real_data / "peer_vectors/laionet_match_10000.parquet").column("wnids").to_pylist()
    assert any(rows)
    for text, wnids in [*zip(edge["texts"], edge["wnids"], strict=True), *zip(texts, rows, strict=True)]:
        expected = sorted({HUSKY.get(wnid, wnid) for wnid in wnids})
        assert sorted(IMAGENET.ids[position] for position in matcher.match(text or "")) == expected, text
