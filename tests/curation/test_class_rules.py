"""Rules that decide by classes: matching, balancing, MetaCLIP's cap; by columns of one class and of several."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from class_pools import SCOPE, pool_of, sample, selected

from curation import rules
from curation.rule import Scope
from curation.rules._classes import holds_lists
from indexes.errors import DataError, PlanError

MATCHED = [
    sample(0, tags=["x"], score=0.83, label="UNLIKELY", width=0),
    sample(1, tags=["x"], score=0.82, label="UNLIKELY", width=0),
    sample(2, tags=["x", "x"], score=0.9, label="unlikely", width=0),
    sample(3, tags=["x", "y"], score=0.9, label="UNLIKELY", width=1),
    sample(4, tags=[], score=0.9, label="UNLIKELY", width=0),
    sample(5, tags=[None], score=0.9, label="UNLIKELY", width=0),
    sample(6, tags=["y"], score=float("nan"), label="UNLIKELY", width=0),
    sample(7, tags=None, score=0.9, label="UNLIKELY", width=0),
    sample(8, tags=["z"], score=0.9),
]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"by": "tags"}, {0, 1, 2, 3, 6, 8}),
        ({"by": "tags", "single": True}, {0, 1, 2, 6, 8}),
        ({"by": "tags", "only": ["y", "z"]}, {3, 6, 8}),
        ({"by": "tags", "only": ["y", "z"], "single": True}, {6, 8}),
        ({"by": "tags", "text": "score", "above": 0.82}, {0, 2, 3, 8}),
        ({"by": "tags", "nsfw": "label"}, {0, 1, 3, 6}),
        ({"by": "tags", "ocr": "width"}, {0, 1, 2, 6}),
        (
            {"by": "tags", "single": True, "text": "score", "above": 0.82, "nsfw": "label", "ocr": "width"},
            {0},
        ),
        ({"by": "label"}, {0, 1, 2, 3, 4, 5, 6, 7}),
        ({"by": "lower(label)", "single": True, "only": ["unlikely"]}, {0, 1, 2, 3, 4, 5, 6, 7}),
        ({"by": "width", "only": [1, 5]}, {3}),
    ],
)
def test_class_match_keeps_what_passes_every_test(
    tmp_path: Path, options: dict[str, Any], kept: set[int]
) -> None:
    with pool_of(tmp_path, MATCHED) as pool:
        assert pool.by("class-match", options) == kept


def test_columns_of_lists_are_known_by_their_type() -> None:
    structs = Scope(parse=SCOPE.parse, columns={"classes": pa.struct([("found", pa.list_(pa.int32()))])})
    assert holds_lists("classes.found", structs)
    assert holds_lists("tags", SCOPE)
    assert holds_lists("[label, caption]", SCOPE)
    assert not holds_lists("label", SCOPE)
    assert not holds_lists("len(tags)", SCOPE)


MANY = [
    sample(uid, tags=["x"] if uid % 3 else ["y"], label="ab"[uid % 2], score=uid / 40) for uid in range(40)
]


def test_class_balance_draws_so_many_of_each_and_more_lie_around_fewer(tmp_path: Path) -> None:
    with pool_of(tmp_path, [*MANY, sample(99)]) as pool:
        of = {n: pool.by("class-balance", {"by": "tags", "per_class": n, "seed": 3}) for n in (1, 5, 14, 99)}
        assert Counter(MANY[uid]["tags"][0] for uid in of[5]) == {"x": 5, "y": 5}
        assert of[1] < of[5] < of[14] < of[99]
        assert of[99] == set(range(40)), "what has no class drops"
        facts = pool.facts("class-balance", {"by": "tags", "per_class": 15})
        assert (facts["wanted"], facts["short"], facts["shortages"]) == (30, 1, {"y": 1})
        with pytest.raises(DataError, match=r"1 values of tags have fewer .*'y' lacks 1\. Ask for fewer"):
            pool.facts("class-balance", {"by": "tags", "per_class": 15, "strict": True})


def test_class_balance_by_the_highest_takes_no_draw(tmp_path: Path) -> None:
    with pool_of(tmp_path, MANY) as pool:
        assert pool.by("class-balance", {"by": "label", "per_class": 2, "highest": "score"}) == {
            36,
            37,
            38,
            39,
        }


def test_class_balance_to_a_histogram(tmp_path: Path) -> None:
    with pool_of(tmp_path, MANY) as pool:
        options = {"by": "label", "counts": {"a": 3, "b": 0, "none such": 2}}
        kept = pool.by("class-balance", options)
        assert Counter(MANY[uid]["label"] for uid in kept) == {"a": 3}
        assert pool.facts("class-balance", options)["shortages"] == {"none such": 2}


def published() -> dict[str, Any]:
    data = os.environ.get("NEARFAR_REAL_DATA")
    if not data:
        pytest.skip("NEARFAR_REAL_DATA is not set: what MetaCLIP's code gave is there")
    found: dict[str, Any] = json.loads(Path(data, "peer_vectors/metaclip.json").read_text())
    return found


@pytest.mark.real_data
def test_a_cap_keeps_each_sample_with_metaclip_s_probability(tmp_path: Path) -> None:
    """Each text stands 400 times and the cap is 400 times theirs, so that every probability is as they have it."""
    theirs = published()
    texts = theirs["matched_entry_ids"]
    times = 400
    rows = [
        sample(place * times + n, tags=[f"e{entry}" for entry in entries])
        for place, entries in enumerate(texts)
        for n in range(times)
    ]
    with pool_of(tmp_path, rows) as pool:
        selection = selected("class-balance", {"by": "tags", "cap": 2 * times})
        shares = Counter(uid // times for uid in pool.pool.kept(selection))
    for place, probability in enumerate(theirs["keep_probability_t2"]):
        spread = (probability * (1 - probability) / times) ** 0.5
        assert abs(shares[place] / times - probability) <= 4 * spread, place


@pytest.mark.real_data
def test_caps_by_language_are_metaclip_s_own(tmp_path: Path) -> None:
    """Their counts in both languages: the cap of English has the share t_to_p, and the other language's is p_to_t."""
    theirs = published()
    counts = [n for n in theirs["counts"] if n]
    rows = [
        sample(at * 10_000 + n + of * 10**6, tags=[f"e{at}"], label=("EN", "de", None)[of])
        for of in (0, 1, 2)
        for at, count in enumerate(counts)
        for n in range(count)
    ]
    options = {"by": "tags", "cap": theirs["t"], "language": "label"}
    with pool_of(tmp_path, rows) as pool:
        facts = pool.facts("class-balance", options)
        kept = pool.by("class-balance", options)
    assert facts["caps"] == {"de": theirs["p_to_t"], "en": theirs["t"]}
    assert sum(n for n in counts if n < theirs["t"]) / sum(counts) == theirs["t_to_p"]
    sizes = Counter((uid // 10**6, uid % 10**6 // 10_000) for uid in kept)
    assert max(of for of, _ in sizes) == 1, "a sample without a language drops"
    for at, count in enumerate(counts):
        for of, cap in ((0, theirs["t"]), (1, theirs["p_to_t"])):
            spread = (cap * max(0, 1 - cap / count)) ** 0.5
            assert abs(sizes[of, at] - min(cap, count)) <= 4 * spread


def test_a_language_with_a_longer_tail_has_a_lower_cap(tmp_path: Path) -> None:
    """English: 10 of 40 counts lie below 30. German, 3 + 3 + 6 + 12: the running shares are 1/8, 2/8, 4/8, 1."""
    counts = {"en": [10, 30], "de": [3, 3, 6, 12], "fr": [5]}
    rows = [
        sample(1000 * at + n, label=language, caption=f"{language}{entry}")
        for at, (language, entry, size) in enumerate(
            (language, entry, size) for language, sizes in counts.items() for entry, size in enumerate(sizes)
        )
        for n in range(size)
    ]
    options = {"by": "caption", "cap": 30, "language": "label"}
    with pool_of(tmp_path, rows) as pool:
        assert pool.facts("class-balance", options)["caps"] == {"de": 3, "en": 30, "fr": 5}
        assert pool.facts("class-balance", options | {"anchor": "xx"})["caps"] == dict.fromkeys(counts, 30)
        assert pool.by("class-balance", options) >= {row["uid"] for row in rows if row["label"] != "de"}


def test_a_cap_counts_thins_and_nests(tmp_path: Path) -> None:
    rows = [sample(uid, tags=["common"] + (["rare"] if uid < 3 else [])) for uid in range(300)]
    with pool_of(tmp_path, rows) as pool:
        of = {t: pool.by("class-balance", {"by": "tags", "cap": t, "seed": 1}) for t in (3, 30, 150, 300)}
        assert of[3] < of[30] < of[150] < of[300] == set(range(300))
        assert {0, 1, 2} <= of[3], "a value at the cap keeps all of its samples"
        assert abs(len(of[150]) - 150) < 40
        assert pool.facts("class-balance", {"by": "tags", "cap": 30}) == {"most": 30, "values": 2, "above": 1}


def test_a_floor_leaves_no_class_empty(tmp_path: Path) -> None:
    rows = [sample(uid, label=f"c{uid % 50}") for uid in range(1000)]
    bare = {"by": "label", "cap": 1}
    with pool_of(tmp_path, rows) as pool:
        without, with_floor = pool.by("class-balance", bare), pool.by("class-balance", bare | {"floor": True})
        assert len({uid % 50 for uid in without}) < 50
        assert len({uid % 50 for uid in with_floor}) == 50
        assert without < with_floor
        assert with_floor <= pool.by("class-balance", bare | {"floor": True, "cap": 3})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("class-match", {"above": 0.8}, "text names a column and above its level; give both"),
        ("class-match", {"text": "score"}, "text names a column and above its level; give both"),
        ("class-match", {"only": []}, "should name at least one"),
        ("class-match", {"only": [True]}, "should be a valid"),
        ("class-match", {"single": "yes"}, "valid boolean"),
        ("class-balance", {}, "give one of: per_class, cap, counts"),
        ("class-balance", {"cap": 0}, "class-balance.cap is 0; it should be greater than or equal to 1"),
        ("class-balance", {"per_class": 0}, "per_class is 0; it should be greater than or equal to 1"),
        ("class-balance", {"per_class": 1, "cap": 2}, "per_class and cap exclude each other"),
        ("class-balance", {"counts": {}}, "counts"),
        ("class-balance", {"counts": {"a": -1}}, "greater than or equal to 0"),
        ("class-balance", {"per_class": 1, "floor": True}, "floor goes with cap"),
        ("class-balance", {"cap": 1, "strict": True}, "strict goes with per_class, counts or like"),
        ("class-balance", {"per_class": 1, "language": "label"}, "language goes with cap alone"),
        ("class-balance", {"cap": 1, "highest": "score"}, "highest goes with per_class alone"),
    ],
)
def test_a_wrong_option_is_answered(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse(name, options, "splits.x[0]")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("class-match", {"by": "clases.found"}, "names the column 'clases.found', which is not there"),
        ("class-match", {"by": "tags", "only": ["a", "a"]}, "only names the class 'a' twice"),
        ("class-match", {"by": "tags", "nsfw": "NSFW"}, "names the column 'NSFW', which is not there"),
        ("class-balance", {"per_class": 1}, "names the column 'classes.found', which is not there"),
        ("class-balance", {"by": "tags", "counts": {"a": 0}}, "asks for 0 samples of every class"),
    ],
)
def test_what_is_not_there_is_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as caught:
        selected(name, options)
    assert message in str(caught.value)
