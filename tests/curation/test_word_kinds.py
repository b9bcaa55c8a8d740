"""Kinds of a caption's words, by lists and by WordNet; attributes and the class that a caption names."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_wordnet import small_wordnet

from curation import measures
from curation.measure import Block
from curation.measures.of_caption._attribute_words import KINDS, LISTS, NUMBERS
from curation.measures.of_caption._parts_of_speech import part_of_speech
from indexes.errors import PlanError

HOSTILE: list[tuple[str, bool]] = [
    ("", False),
    (" ", False),
    ("a\x00red\x00dog", True),
    ("\u202ered\u202c dog", True),
    ("r\u00aded dog", True),
    ("\u200bred\ufeff", True),
    ("red " * 250_000, True),
    ("x" * 1_000_000, False),
    ("caf\u00e9 red", True),
    ("\U0001f468\u200d\U0001f469 red", True),
    ("re\u0301d", False),
]
"""Captions, and whether red is a word of them."""


def block(texts: list[Any], **columns: list[Any]) -> Block:
    arrays = {name: pa.array(values) for name, values in columns.items()}
    return Block(np.zeros((len(texts), 2), np.uint64), {}, {"caption": pa.array(texts, pa.string())} | arrays)


def places(text: str, **options: Any) -> dict[str, list[int]]:
    found = measures.parse("word-kinds", options).apply(block([text]), {})
    return {kind: values.to_pylist()[0] for kind, values in found.items() if values.to_pylist()[0]}


def test_places_count_as_the_rule_divides_words() -> None:
    """A blank in front makes an empty first word, as `regexp_split_to_array` gives it."""
    assert places("  Two RED, (wooden)\nred-haired dolls\u2019 house 3D") == {
        "numbers": [2, 8],
        "colours": [3, 5],
        "materials": [4],
    }
    assert places("Red\u2019s 'tiny' \u201cX\u201d") == {"colours": [1], "sizes": [2]}
    assert places("redder thread credit") == {}


def test_a_missing_caption_has_no_places() -> None:
    found = measures.parse("word-kinds", {}).apply(block([None, "red"]), {})
    assert all(values.to_pylist()[0] is None for values in found.values())
    assert set(found) == set(KINDS)


def test_lists_are_words_in_lower_case() -> None:
    every = [word for words in (*LISTS.values(), NUMBERS) for word in words]
    assert all(word == word.casefold() and word.isascii() for word in every)
    basic = "black,white,red,green,yellow,blue,brown,purple,pink,orange,grey"
    assert set(basic.split(",")) <= LISTS["colours"]


@pytest.mark.parametrize(("text", "red"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_captions_stop_nothing(text: str, red: bool, tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text(json.dumps(["red"]))
    options = {"names": str(tmp_path / "names.json"), "label": "label"}
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    found = measures.parse("captions", options).apply(block(forms, label=["red", "red"]), {})
    assert found["class_named"].to_pylist() == [red, red]
    assert found["attributes"].to_pylist() == [["red"] * red] * 2
    assert len(set(found["content_words"].to_pylist())) == 1
    colours = measures.parse("word-kinds", {}).apply(block(forms), {})["colours"].to_pylist()
    assert colours[0] == colours[1]
    assert bool(colours[0]) == (red and "\x00" not in text), "the rule divides words at blanks alone"


def test_attributes_are_distinct_and_in_order() -> None:
    texts = ["Wooden table, big RED wooden chair", "two dogs", None]
    found = measures.parse("captions", {}).apply(block(texts), {})
    assert found["attributes"].to_pylist() == [["big", "red", "wooden"], [], None]


def test_the_sample_s_own_class_is_named_as_a_phrase(tmp_path: Path) -> None:
    names = {"n1": ["great_white shark"], "n2": ["dog", "hound"], "n3": ["dog", "pug"]}
    (tmp_path / "names.json").write_text(json.dumps(names))
    said = [
        ("GREAT white Shark!", "n1", True),
        ("a great shark, white", "0", False),
        ("a hound", "n2", True),
        ("hounds", "1", False),
        ("my dog", "Hound", True),
        ("pug", "dog", True),
        (None, "n1", None),
        ("dog", "wolf", None),
        ("dog", None, None),
    ]
    measure = measures.parse("captions", {"names": str(tmp_path / "names.json"), "label": "label"})
    texts, labels, expected = (list(column) for column in zip(*said, strict=True))
    assert measure.apply(block(texts, label=labels), {})["class_named"].to_pylist() == expected
    assert measure.requires() == ("caption", "label")


def test_parts_of_speech_by_the_counts_of_senses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path)))
    told = {word: part_of_speech(word) for word in ("run", "wolves", "great", "bath", "fast", "zzz", "runs")}
    assert told == {
        "run": "verb",
        "wolves": "noun",
        "great": "adj",
        "bath": "verb",
        "fast": "adv",
        "zzz": None,
        "runs": "verb",
    }
    found = places("the great wolves run by the sea-wolf 's", parts_of_speech=True)
    assert found == {"sizes": [2], "adjectives": [2], "nouns": [3, 7]}
    measure = measures.parse("word-kinds", {"parts_of_speech": True}, "measures.w")
    assert len(str(measures.dump(measure)["digest"])) == 64
    (tmp_path / "cntlist.rev").write_text("run%1:00:00:: 1 9\n")
    with pytest.raises(PlanError, match="WordNet is not what it was"):
        measures.parse("word-kinds", measures.dump(measure), "measures.w")
    (tmp_path / "cntlist.rev").unlink()
    with pytest.raises(PlanError, match="apt-get install wordnet-base"):
        measures.parse("word-kinds", {"parts_of_speech": True}, "measures.w")


def test_parts_of_speech_of_the_whole_wordnet() -> None:
    if not Path("/usr/share/wordnet/cntlist.rev").is_file():
        pytest.skip("WordNet is not in /usr/share/wordnet")
    told = {
        word: part_of_speech(word) for word in ("dog", "green", "quickly", "wooden", "dogs", "walks", "two")
    }
    assert told == {
        "dog": "noun",
        "green": "adj",
        "quickly": "adv",
        "wooden": "adj",
        "dogs": "noun",
        "walks": "verb",
        "two": "adj",
    }
