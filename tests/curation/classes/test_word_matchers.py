"""Matchers by words: small cases by hand, plain loops, and what published code gave."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.classes import IMAGENET_1K, NamedClasses, class_list, kind_of_matcher
from indexes.errors import PlanError

IMAGENET = class_list(IMAGENET_1K, "", "names")


def listed(*names: str) -> NamedClasses:
    return NamedClasses(names, tuple((name,) for name in names))


def found(matcher: str, names: NamedClasses, text: str) -> list[int]:
    return kind_of_matcher(matcher)(names).match(text)


def read(root: Path, name: str) -> dict[str, list[object]]:
    content: dict[str, list[object]] = json.loads((root / "peer_vectors" / name).read_text(encoding="utf-8"))
    return content


def test_normalised_finds_what_spelling_hides() -> None:
    names = NamedClasses(
        ("a", "b", "c"), (("jack-o'-lantern", "T-shirt"), ("caf\u00e9",), ("Shirt", "t shirt"))
    )
    for text in ("JACK O LANTERN", "a jack\u2011o\u2019\tlantern\n", "Jack_o  lantern!"):
        assert found("laionet_normalised", names, text) == [0]
    assert found("laionet_normalised", names, unicodedata.normalize("NFD", "CAF\u00c9")) == [1]
    assert found("laionet_normalised", names, "t shirt") == [2], (
        "the longer name is of two classes, 'shirt' of one"
    )
    assert found("laionet_normalised", names, "shirts lanterns") == []


@pytest.mark.parametrize(
    ("text", "exact", "literal"),
    [
        ("an RV park", [], []),
        ("R.V. trip", [], [0]),
        ("a R.V.s lot", [0], []),
        ("rave party", [0], []),
        ("PJ's shop", [1], [1]),
        ("a TENCH, tench_fish", [2], [2]),
        ("tench2 \u00e9tench", [], []),
        ("\u017fea \u017fnake", [3], [3]),
        ("a sea  snake", [], []),
    ],
)
def test_whole_words(text: str, exact: list[int], literal: list[int]) -> None:
    names = listed("R.V.", "pj's", "tench", "sea snake")
    assert found("whole_word_exact", names, text) == exact
    assert found("whole_word", names, text) == literal


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab \u00e9.-_kK\u212as\u017f", min_size=1).filter(str.strip), min_size=1, unique=True),
    st.text("abAB \u00e9.-_kK\u212asS\u017f\u0130iI", max_size=30),
)
def test_the_screen_misses_nothing(names: list[str], text: str) -> None:
    classes = listed(*names)
    bounded = [rf"(?<!\w){re.escape(name)}(?!\w)" for name in names]
    assert found("whole_word", classes, text) == [
        number for number, each in enumerate(bounded) if re.search(each, text, re.IGNORECASE)
    ]
    assert found("whole_word_exact", classes, text) == [
        number for number, name in enumerate(names) if re.search(rf"\b({name})\b", text, re.IGNORECASE)
    ]
    assert found("substring", classes, text) == [number for number, name in enumerate(names) if name in text]


def test_a_name_that_is_no_expression_is_refused_with_the_matcher_that_takes_it() -> None:
    names = listed("dog", "c++ (lang")
    with pytest.raises(PlanError, match=r"those of class 1 \(c\+\+ \(lang\) make none: .* Take whole_word"):
        kind_of_matcher("whole_word_exact")(names)
    assert found("whole_word", names, "C++ (lang") == [1]


def test_substrings_are_found_inside_words_and_inside_one_another() -> None:
    names = listed("kite", "kitesurf", "surf", "Kite", "\u00e9t\u00e9")
    assert found("substring", names, "kitesurfing en \u00e9t\u00e9") == [0, 1, 2, 4]


def test_entries_are_not_spaced_and_texts_are() -> None:
    names = listed("St. Louis", "St", "new york !", "new york", "0", "1", "'n'", "a  b")
    assert found("metaclip", names, "St. Louis, MO") == [1]
    assert found("metaclip", names, "in new york!") == [2, 3]
    assert found("metaclip", names, "1:0") == [4, 5]
    assert found("metaclip", names, "rock\t'n'\nroll") == [6]
    assert found("metaclip", names, "a\t b") == [7]


@pytest.mark.real_data
def test_published_matches_of_metaclip(real_data: Path) -> None:
    expected = read(real_data, "metaclip.json")
    matcher = kind_of_matcher("metaclip")(listed(*map(str, expected["metadata"])))
    matches = [matcher.match(str(text)) for text in expected["texts"]]
    assert matches == expected["matched_entry_ids"]
    counts = [sum(number in each for each in matches) for number in range(len(expected["metadata"]))]
    assert counts == expected["entry_count"]


@pytest.mark.real_data
@pytest.mark.parametrize("file", ["cls_regex_edge.json", "cls_regex_10000.json"])
def test_published_matches_of_the_expressions(real_data: Path, file: str) -> None:
    expected = read(real_data, file)
    captions = pq.read_table(real_data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
    texts = expected.get("texts", captions)
    matcher = kind_of_matcher("whole_word_exact")(IMAGENET)
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        for position in matcher.match(str(text or "")):
            rows.setdefault(IMAGENET.ids[position], []).append(row)
    assert rows == expected["rows_by_wnid"]
