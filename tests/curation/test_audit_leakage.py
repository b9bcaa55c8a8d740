"""Degree, modality, coverage and verdict on cases whose answer is known."""

import numpy as np
import pytest

from curation.leakage import (
    Identical,
    Leakage,
    Modality,
    NearPairs,
    Text,
    classify,
    coverage,
    modality,
    verdict,
    words,
)

NOTHING = Identical(queries=0, pairs=0, checked=10)


def test_words_ignore_case_separators_and_compatibility_forms() -> None:
    assert words("A Photo_of\ta ﬁre-Truck!") == ("a", "photo", "of", "a", "fire", "truck")
    assert words(None) == words("\x00<>") == ()


@pytest.mark.parametrize(
    ("query", "sample", "expected"),
    [
        (("a red car", None), ("A red car.", None), Modality.CAPTION),
        (("a red car", "car"), ("one car", None), Modality.CLASS_NAME),
        ((None, "fire_truck"), ("Two fire trucks!", None), Modality.CLASS_NAME),
        ((None, "fire truck"), ("a truck on fire", None), Modality.IMAGE),
        ((None, "car"), ("a carpet", None), Modality.IMAGE),
        ((None, "car"), (None, "Car"), Modality.CLASS_NAME),
        (("a red car", None), ("something else", None), Modality.IMAGE),
        ((None, None), ("a red car", None), Modality.UNKNOWN),
        ((None, "car"), (None, None), Modality.UNKNOWN),
    ],
)
def test_modality(
    query: tuple[str | None, str | None], sample: tuple[str | None, str | None], expected: Modality
) -> None:
    assert modality(Text.of(*query), Text.of(*sample)) == expected


def test_coverage_is_only_said_of_named_datasets() -> None:
    assert coverage("imagenet", "imagenet") == "within one dataset"
    assert coverage("laion400m", "imagenet") == "across datasets"
    assert coverage(None, "imagenet") == coverage("imagenet", None) == "not stated"


def pairs(crowd: list[float]) -> NearPairs:
    rows = [
        (0, 0.999, Modality.IMAGE),
        (0, 0.97, Modality.CAPTION),  # more is known of a softer pair, but the query is hard by its nearest
        (1, 0.96, Modality.CLASS_NAME),
        (1, 0.955, Modality.IMAGE),
        (3, 0.95, Modality.CAPTION),  # on the threshold: not above it
    ]
    query, similarity, kind = zip(*rows, strict=True)
    return NearPairs(np.array(query), np.array(similarity), np.array(kind, dtype=np.int8), np.array(crowd))


def test_each_query_counts_once_by_its_nearest_sample() -> None:
    hard, soft = classify(pairs([-np.inf] * 4), hard=0.99, soft=0.95)
    assert (hard.queries, hard.by_modality) == (1, (0, 1, 0, 0))
    assert (soft.queries, soft.by_modality) == (1, (0, 0, 1, 0))
    assert (hard.confidence, soft.confidence) == ("moderate", "low")


def test_a_crowd_lowers_the_confidence() -> None:
    hard, soft = classify(pairs([0.995, 0.5, -np.inf, 0.9]), hard=0.99, soft=0.95)
    assert (hard.crowded, soft.crowded) == (1, 0)
    assert hard.confidence == "low"


def leak(degree: str, queries: int) -> Leakage:
    return Leakage(degree, 0.9, queries, (0, queries, 0, 0), 0)


def test_verdict_names_the_gravest_finding() -> None:
    none, some = leak("soft", 0), leak("soft", 2)
    hard = leak("hard", 3)
    found = verdict(10, Identical(1, 4, 10), hard, some, exact_search=True)
    assert (found.level, found.affected, found.fraction, found.confidence) == ("identical", 1, 0.1, "certain")
    assert verdict(10, NOTHING, hard, some, exact_search=True).level == "hard"
    assert verdict(10, NOTHING, leak("hard", 0), some, exact_search=True).level == "soft"
    clean = verdict(10, NOTHING, leak("hard", 0), none, exact_search=True)
    assert (clean.level, clean.affected, clean.confidence) == ("none", 0, "moderate")
    assert verdict(10, NOTHING, leak("hard", 0), none, exact_search=False).confidence == "low"


def test_only_equal_bytes_are_certain() -> None:
    everything = leak("hard", 10)
    assert verdict(10, NOTHING, everything, leak("soft", 0), exact_search=True).confidence != "certain"
