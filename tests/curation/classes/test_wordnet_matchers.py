"""Matchers that lemmatise: small cases by hand over a small WordNet, and what published code gave over the whole."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_wordnet import small_wordnet

from curation import measures
from curation.classes import IMAGENET_1K, NamedClasses, class_list, digest_of, kind_of_matcher
from curation.classes._wordnet import lexicon, shortest_noun
from curation.classes.frequency import FrequencyMatcher
from indexes.errors import PlanError

IMAGENET = class_list(IMAGENET_1K, "", "names")
POOLS = {
    "laion400m": (0.770, 0.875),
    "laion2b": (0.763, 0.862),
    "cc12m": (0.712, 0.757),
    "yfcc15m": (0.596, 0.581),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path)))


@pytest.fixture
def real_data() -> Path:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if root is None:
        pytest.skip("NEARFAR_REAL_DATA is unset")
    if not Path(os.environ.get("NEARFAR_WORDNET", "/usr/share/wordnet"), "index.noun").exists():
        pytest.skip("there is no WordNet 3.0")
    return Path(root)


def peer(root: Path, name: str) -> dict[str, list[object]]:
    content: dict[str, list[object]] = json.loads((root / "peer_vectors" / name).read_text(encoding="utf-8"))
    return content


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("word", "lemma"),
    [
        ("wolves", "wolf"),
        ("tenches", "tench"),
        ("geese", "goose"),
        ("buses", "bus"),
        ("glasses", "glass"),
        ("glass", "glass"),
        ("us", "u"),
        ("sharkss", "shark"),
        ("unheard", "unheard"),
    ],
)
def test_a_lemma_is_the_shortest_noun(word: str, lemma: str) -> None:
    assert shortest_noun(lexicon("noun"), word) == lemma


@pytest.mark.usefixtures("small")
def test_frequency_counts_bags_and_vetoes() -> None:
    names = NamedClasses(
        ("n03126707", "n01440764", "n9", "n8"),
        (("crane",), ("tench", "Tinca tinca"), ("judge's robe",), ("9 9",)),
    )
    match = kind_of_matcher("frequency")(names).match
    assert match("CRANES, tenches; tinca") == [0, 1]
    assert match("a crane at the zoo with a tench") == [1], "a veto is its own class's alone"
    assert match("robes of judges") == []
    assert match("the robe, a judge's") == [2]
    assert match("tench\ntinca2goldfish") == [1]
    assert match("9 9 99") == [], "a name without a letter is never found"


@pytest.mark.usefixtures("small")
def test_text_based_takes_the_first_sense_of_each_word_as_it_stands() -> None:
    names = NamedClasses(("n01443537", "n01484850", "n02391049"), (("a",), ("b",), ("c",)))
    match = kind_of_matcher("text_based")(names).match
    assert match("two zebras") == [2]
    assert match("zebra, (zebra) zebra.") == []
    assert match("GREAT_WHITE_SHARK great white shark") == [1]
    assert match("fishy") == [0], "offsets ignore the part of speech"
    with pytest.raises(PlanError, match=r"text_based knows classes by WordNet id, .* called 'dog'"):
        kind_of_matcher("text_based")(NamedClasses(("dog",), (("dog",),)))


@pytest.mark.usefixtures("small")
def test_nouns_are_what_may_be_one_and_what_is_unknown() -> None:
    names = NamedClasses(("a", "b", "c"), (("great_white shark",), ("Zorblax robes",), ("great fast",)))
    match = kind_of_matcher("noun_lemmas")(names).match
    assert match("sharks white") == [0], "'great' is no noun of this WordNet, and dropped"
    assert match("zorblax's robe") == [1]
    assert match("great fast") == [], "no noun is left of the name"


def test_where_there_is_no_wordnet_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARFAR_WORDNET", str(tmp_path))
    with pytest.raises(
        PlanError, match=r"measures.c.matcher: frequency needs WordNet.*apt-get install wordnet-base"
    ):
        measures.parse("classes", {"matcher": "frequency"}, "measures.c")


def test_another_wordnet_is_another_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_WORDNET", str(small_wordnet(tmp_path)))
    before = measures.parse("classes", {"matcher": "frequency"})
    (tmp_path / "noun.exc").write_text("wolfs wolf\n")
    assert measures.parse("classes", {"matcher": "frequency"}) != before


@pytest.mark.real_data
def test_published_class_frequencies(real_data: Path) -> None:
    path = str(real_data / "classes/imagenet_synset_names.json")
    matcher = kind_of_matcher("frequency")(class_list(path, digest_of(path, "names"), "names"))
    assert isinstance(matcher, FrequencyMatcher)
    edge = peer(real_data, "class_frequency_edge.json")
    for text, tokens, wnids in zip(edge["texts"], edge["tokens"], edge["wnids"], strict=True):
        assert sorted(matcher.bag(str(text))) == tokens
        assert sorted(IMAGENET.ids[position] for position in matcher.match(str(text))) == wnids
    texts = pq.read_table(real_data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
    matches = [position for text in texts for position in matcher.match(text or "")]
    counts = np.bincount(matches, minlength=1000)
    assert (int((counts > 0).sum()), int(counts.sum())) == (404, 2240)
    assert counts.tolist() == table(real_data / "peer_vectors/class_frequency_10000.tsv")
    for pool, (over_all, over_occurring) in POOLS.items():
        published = np.array(table(real_data / f"class_frequency/{pool}.tsv"))
        assert round(spearman(counts, published), 3) == over_all
        assert round(spearman(counts[counts > 0], published[counts > 0]), 3) == over_occurring


@pytest.mark.real_data
def test_published_text_entities(real_data: Path) -> None:
    matcher = kind_of_matcher("text_based")(IMAGENET)
    edge = peer(real_data, "datacomp_text_based.json")
    assert [bool(matcher.match(str(text))) for text in edge["texts"]] == edge["contains_entity"]
    texts = pq.read_table(real_data / "captions/laion_style_10000.parquet").column("TEXT").to_pylist()
    rows = [row for row, text in enumerate(texts) if matcher.match(text or "")]
    assert rows == peer(real_data, "datacomp_text_based_10000.json")["rows_that_contain_an_entity"]


def table(path: Path) -> list[int]:
    with path.open(encoding="utf-8", newline="") as file:
        return [int(float(row[-1])) for row in csv.reader(file, delimiter="\t")]


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of ranks; ties take the mean of theirs."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    _, place, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[place]
