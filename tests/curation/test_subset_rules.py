"""Rules that make smaller sets that lose no class, cut the tail, scale, or repeat; against what published code gave."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from class_pools import pool_of, sample, selected

from curation import rules
from indexes.errors import DataError, PlanError

SIMILARITY = "text_to_name_def_wnid_similarity"


def peer(name: str) -> Path:
    data = os.environ.get("NEARFAR_REAL_DATA")
    if not data:
        pytest.skip("NEARFAR_REAL_DATA is not set: what published code gave is there")
    return Path(data, "peer_vectors", name)


@pytest.mark.real_data
@pytest.mark.parametrize("rarest", [5, 20, 50])
def test_trim_tail_cuts_the_classes_that_published_code_cuts_but_for_ties(
    tmp_path: Path, rarest: int
) -> None:
    theirs = json.loads(peer("trim_tail.json").read_text())
    counts = theirs["class_counts"]
    rows = [sample(0, width=c) for c, n in enumerate(counts) for _ in range(n)]
    rows = [row | {"uid": uid} for uid, row in enumerate(rows)]
    expected = sorted(range(len(counts)), key=lambda c: (counts[c], c))[:rarest]
    published = theirs["classes_trimmed_by_lastk"][str(rarest)]
    boundary = max(counts[c] for c in expected)
    assert {c for c in expected if counts[c] < boundary} == {c for c in published if counts[c] < boundary}
    assert sorted(counts[c] for c in expected) == sorted(counts[c] for c in published)
    with pool_of(tmp_path, rows) as pool:
        none = pool.pool.kept(selected("trim-tail", {"by": "width", "rarest": rarest}))
        assert {rows[uid]["width"] for uid in none} == set(range(1000)) - set(expected)
        one = pool.pool.kept(selected("trim-tail", {"by": "width", "rarest": rarest, "keep": 1}))
        assert Counter(rows[uid]["width"] for uid in one) == {
            c: 1 if c in expected else n for c, n in enumerate(counts)
        }
        assert set(none) < set(one)


def test_trim_tail_under_fills_and_says_so_unless_strict(tmp_path: Path) -> None:
    rows = [*(sample(uid, tags=["x"] + (["y"] if uid == 0 else [])) for uid in range(4)), sample(9)]
    with pool_of(tmp_path, rows) as pool:
        assert pool.by("trim-tail", {"by": "tags", "rarest": 1}) == {1, 2, 3}
        assert pool.by("trim-tail", {"by": "tags", "rarest": 3}) == set()
        facts = pool.facts("trim-tail", {"by": "tags", "rarest": 3})
        assert facts == {"values": 2, "cut": 2, "rarest": ["y", "x"], "short": 1}
        with pytest.raises(
            DataError, match=r"tags has 2 values, and the 3 rarest are to be cut by a strict rule"
        ):
            pool.facts("trim-tail", {"by": "tags", "rarest": 3, "strict": True})


@pytest.mark.real_data
def test_class_subset_makes_laionet_s_variants(tmp_path: Path) -> None:
    """Sizes and classes as published; the draws are not, so sets are compared where there is none."""
    table = pq.read_table(peer("laionet_subsets_input.parquet")).to_pylist()
    theirs = {
        name: set(kept)
        for name, kept in json.loads(peer("laionet_subsets.json").read_text())["kept_laion_index"].items()
        if isinstance(kept, list)
    }
    rows = [sample(row["laion_index"], label=row["wnid"], score=row[SIMILARITY]) for row in table]
    passing = {row["uid"] for row in rows if row["score"] >= 0.75}
    of = {row["uid"]: row["label"] for row in rows}
    bare = {"by": "label", "text": "score", "text_level": 0.75}
    with pool_of(tmp_path, rows) as pool:
        whole = pool.by("class-subset", bare)
        assert whole & passing == theirs["thresh_0.75"] & passing == passing
        assert {of[uid] for uid in whole - passing} == {of[uid] for uid in theirs["thresh_0.75"] - passing}
        assert len(whole) == len(theirs["thresh_0.75"]) == 1211
        assert pool.by("class-subset", bare | {"floor": "none"}) == passing
        few = pool.by("class-subset", bare | {"keep": 300})
        assert len(few) == len(theirs["thresh_0.75_n_300"]) == 300
        assert (
            {of[uid] for uid in few} == {of[uid] for uid in theirs["thresh_0.75_n_300"]} == set(of.values())
        )
        above = pool.by("class-subset", bare | {"keep": 300, "surplus": "none"})
        sizes = Counter(of[uid] for uid in above)
        ten = sorted(sizes, key=lambda wnid: (-sizes[wnid], wnid))[:10]
        assert few < above
        assert {of[uid] for uid in above - few} <= set(ten)
        quarter = pool.facts("class-subset", bare | {"fraction": 0.25})
        assert quarter["wanted"] == 302
        assert len(pool.by("class-subset", bare | {"fraction": 0.25})) == 302 + quarter["given_back"]


def test_class_subset_under_fills_and_says_so_unless_strict(tmp_path: Path) -> None:
    rows = [sample(uid, label="ab"[uid % 2], score=uid / 10, other=1 - uid / 10) for uid in range(10)]
    options = {"by": "label", "text": "score", "text_level": 0.3, "image": "other", "image_level": 0.5}
    with pool_of(tmp_path, rows) as pool:
        assert pool.by("class-subset", options) == {3, 4, 5}
        short = pool.facts("class-subset", options | {"keep": 7})
        assert short == {"wanted": 7, "passed": 3, "given_back": 0, "short": 4}
        with pytest.raises(
            DataError, match=r"7 samples are asked for and 3 reach every level, and the rule is strict"
        ):
            pool.facts("class-subset", options | {"keep": 7, "strict": True})


def test_the_scale_series_is_nested(tmp_path: Path) -> None:
    with pool_of(tmp_path, [sample(uid) for uid in range(96)]) as pool:
        of = [pool.by("scale", {"one_in": n}) for n in (2, 4, 8, 16, 32)]
    assert [len(kept) for kept in of] == [48, 24, 12, 6, 3]
    assert all(inner < outer for outer, inner in pairwise(of))


def test_repeat_rounds_down_caps_softly_and_drops_what_is_not_known(tmp_path: Path) -> None:
    weights = [0.5, 1.0, 2.9, 7.0, float("nan"), None, float("inf")]
    rows = [sample(uid, score=weight) for uid, weight in enumerate(weights)]
    with pool_of(tmp_path, rows[:6]) as pool:
        assert pool.pool.kept(selected("repeat", {"times": "score"})) == {1: 1, 2: 2, 3: 7}
    with pool_of(tmp_path / "inf", rows) as pool:
        capped = selected("repeat", {"times": "score", "most": 3})
        assert pool.pool.kept(capped) == pool.pool.oracle(capped) == {1: 1, 2: 2, 3: 3}
        assert pool.pool.kept(selected("repeat", {"times": 2})) == dict.fromkeys(range(7), 2)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("trim-tail", {}, "trim-tail.rarest is missing"),
        ("trim-tail", {"rarest": 5, "keep": 2}, "less than or equal to 1"),
        (
            "class-subset",
            {"text": "score"},
            "text names a column and text_level what it must reach; give both",
        ),
        ("class-subset", {"image_level": 0.5}, "image names a column and image_level what it must reach"),
        ("class-subset", {"keep": 1, "fraction": 0.5}, "keep and fraction exclude each other"),
        ("class-subset", {"floor": "last"}, "'first' or 'none'"),
        ("class-subset", {"keep": 0}, "greater than or equal to 1"),
        ("scale", 3, "scale.one_in is 3; it should be 2, 4, 8, 16 or 32"),
        ("repeat", {"times": 0}, "repeat.times"),
        ("repeat", {"times": 2, "most": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_option_is_answered(name: str, options: Any, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        rules.parse(name, options, "splits.x[0]")
    assert message in str(caught.value)


def test_a_subset_takes_one_class_a_sample() -> None:
    with pytest.raises(
        PlanError, match=r"class-subset.by is tags, a list of classes; this rule takes one class"
    ):
        selected("class-subset", {"by": "tags"})
    assert rules.parse("class-subset", {"like": "other"}).follows() == ("other",)
