"""Splits over any measures: their rules, repeats and captions, and what is refused before a row is read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scored_pools import BENCHMARKS, Pool, Sample

import curation.rules
from curation.rule import Scope
from indexes.errors import DataError, PlanError
from pipeline.splits.binding import check

LABELS = ["cat", "dog", None, "newt"]
TAGS: list[list[str] | None] = [["a", "b"], ["b"], [], None, ["a", "a", "c"]]


def samples(count: int = 600) -> list[Sample]:
    random = np.random.default_rng(4)
    uids = [int.from_bytes(random.bytes(16), "big") for _ in range(count)]
    words = ["a", "cat", "sits  here", "ä", "\u3000x\ty"]
    return [
        Sample(
            uid,
            (float(n % 7) / 8,) * 3,
            width=int(random.choice([150, 199, 200, 400, 600, 601])) if n % 31 else None,
            caption=" ".join(random.choice(words, random.integers(0, 4))) if n % 17 else None,
            key=f"{n:05d}",
            label=LABELS[n % 4],
        )
        for n, uid in enumerate(uids)
    ]


def clip(sample: Sample) -> float | None:
    value = (sample.uid % 50) / 100
    return {0: None, 1: math.nan}.get(sample.uid % 40, value)


def own_score(sample: Sample) -> float:
    return float(np.float32((sample.uid % 11) / 10))


def words(sample: Sample) -> int | None:
    return None if sample.caption is None else len(sample.caption.split())


MEASURES: dict[str, Any] = {
    "clip_score": {"clip_score": (clip, pa.float64())},
    "captions": {
        "words": (words, pa.int32()),
        "characters": (lambda s: None if s.caption is None else len(s.caption), pa.int32()),
    },
    "clusters": {"cluster": (lambda s: s.uid % 5, pa.int32()), "similarity": (clip, pa.float64())},
    "classes": {"names": (lambda s: TAGS[s.uid % 5], pa.list_(pa.string()))},
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    own = {"original_width": lambda s: s.width, "original_height": lambda s: 200, "score": own_score}
    parts = samples()
    folder = tmp_path_factory.mktemp("measured")
    return Pool(folder, [parts[:250], parts[250:]], own=own, kind=pa.float32(), measures=MEASURES)


def known(values: dict[int, float | None]) -> dict[int, float]:
    return {uid: value for uid, value in values.items() if value is not None and not math.isnan(value)}


def test_clip_score_keeps_from_its_threshold_up(pool: Pool) -> None:
    scores = known({s.uid: clip(s) for s in pool.samples})
    found = pool.cut([("clip-score", {"threshold": 0.3})])
    assert found.uids == sorted(uid for uid, score in scores.items() if score >= 0.3)
    assert 0.3 in found.kept["clip_score"].to_pylist()
    assert found.kept.column_names[-1] == "clip_score"
    assert found.facts["waterfall"]["dropped"][0]["words"] == "drops what has no clip_score of 0.3"


@pytest.mark.parametrize("options", [{"fraction": 0.29}, {"keep": 50}, {"fraction": 1.0}])
@pytest.mark.parametrize("column", [None, "score"])
def test_clip_score_keeps_exactly_as_many(pool: Pool, options: dict[str, Any], column: str | None) -> None:
    values = {s.uid: own_score(s) if column else clip(s) for s in pool.samples}
    n = options.get("keep") or math.floor(options["fraction"] * len(values) + 0.5)
    ordered = sorted(known(values).items(), key=lambda each: (-each[1], each[0]))
    given = options | ({"column": column} if column else {})
    found = pool.cut([("clip-score", given)])
    assert found.uids == sorted(uid for uid, _ in ordered[:n])
    assert found.facts["waterfall"]["dropped"][0]["wanted"] == n


def test_basic_is_datacomp_s_filter_without_language(pool: Pool) -> None:
    def passes(sample: Sample) -> bool:
        if sample.caption is None or sample.width is None:
            return False
        sides = (sample.width, 200)
        text = len(sample.caption.split()) > 2 and len(sample.caption) > 5
        return text and min(sides) >= 200 and max(sides) / min(sides) <= 3.0

    found = pool.cut([("basic", {})])
    assert found.uids == sorted(s.uid for s in pool.samples if passes(s))
    widths = {s.width for s in pool.samples if s.uid in set(found.uids)}
    assert widths == {200, 400, 600}
    options = found.facts["waterfall"]["dropped"][0]["options"]
    assert options == {"width": "original_width", "height": "original_height"}


def groups(pool: Pool, by: Any, seed: int, most: int) -> set[int]:
    """What a cap keeps, by sorting Python lists."""
    named = sorted((value, s.hash(seed), s.uid) for s in pool.samples for value in set(by(s) or []))
    return {uid for _, of in groupby(named, key=lambda each: each[0]) for _, _, uid in list(of)[:most]}


def test_a_cap_keeps_so_many_of_each_value(pool: Pool) -> None:
    found = pool.cut([("cap", {"by": "label", "most": 7, "seed": 3})])
    assert set(found.uids) == groups(pool, lambda s: [s.label] if s.label else [], 3, 7)
    assert len(found.uids) == 21
    by_cluster = pool.cut([("cap", {"by": "clusters.cluster", "most": 10})])
    assert set(by_cluster.uids) == groups(pool, lambda s: [s.uid % 5], 0, 10)
    assert by_cluster.kept.schema.field("clusters").type == pa.struct([("cluster", pa.int32())])


def test_a_cap_over_lists_keeps_what_any_value_keeps(pool: Pool) -> None:
    found = pool.cut([("cap", {"by": "classes.names", "most": 4})])
    assert set(found.uids) == groups(pool, lambda s: TAGS[s.uid % 5], 0, 4)
    dropped = {s.uid for s in pool.samples if not TAGS[s.uid % 5]}
    assert dropped
    assert dropped <= set(found.reasons)


def test_where_takes_lists_fields_and_bare_measures(pool: Pool) -> None:
    text = "len(classes.names) > 1 AND list_contains(classes.names, 'a') AND captions.words >= 2 AND clip_score < 0.3"
    found = pool.cut([("where", text)])
    scores = known({s.uid: clip(s) for s in pool.samples})
    assert found.uids == sorted(
        s.uid
        for s in pool.samples
        if s.uid % 5 in (0, 4) and (words(s) or 0) >= 2 and scores.get(s.uid, 1.0) < 0.3
    )
    assert found.uids
    # NaN is not known, so it neither passes a test nor the contrary.
    both = [pool.cut([("where", f"clip_score {sign} 0.3")]).uids for sign in ("<", ">=")]
    assert sorted(both[0] + both[1]) == sorted(scores)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("where", "sum(clip_score) > 1"), "calls the function sum"),
        (("where", "drop table x; select 1"), "is not one SQL expression"),
        (("where", "caption like '%cat%' and"), "is not one SQL expression"),
        (("where", "heigth > 1"), "names the column 'heigth', which is not there; it may name: art.margin"),
        (("where", "classes.names = 'a'"), "compares the column 'classes.names', which holds lists"),
        (("where", "captions = 3"), "names the column 'captions'"),
        (("where", "lower(classes.names) = 'a'"), "does not fit the pool's columns"),
        (("cap", {"by": "nobody", "most": 3}), "names the column 'nobody'"),
        (("clip-score", {"keep": 1, "column": "caption"}), "holds string, not numbers"),
        (("basic", {"width": "with"}), "basic.width names the column 'with', which is not there"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_same_words_by_plan_and_run(
    pool: Pool, rule: tuple[str, Any], message: str
) -> None:
    with pytest.raises(PlanError) as cutting:
        pool.cut([rule])
    assert message in str(cutting.value)
    score = pa.struct([("similarity", pa.float64()), ("margin", pa.float64())])
    types = {
        **dict.fromkeys(BENCHMARKS, score),
        **dict.fromkeys(["original_width", "original_height", "score"], pa.float32()),
        **dict.fromkeys(["key", "url", "caption", "label", "image_sha256"], pa.string()),
        "clip_score": pa.float64(),
        "classes": pa.struct([("names", pa.list_(pa.string()))]),
        "captions": pa.struct([("words", pa.int32()), ("characters", pa.int32())]),
        "clusters": pa.struct([("cluster", pa.int32()), ("similarity", pa.float64())]),
    }
    scope = Scope(BENCHMARKS, True, f"splits.core[0].{rule[0]}", columns=types)
    with pytest.raises(PlanError) as planning:
        check(curation.rules.parse(*rule, where="splits.core[0]"), scope)
    first = str(cutting.value).partition("it may name")[0]
    assert first == str(planning.value).partition("it may name")[0]


def test_a_rule_whose_measure_is_not_there_is_refused(pool: Pool) -> None:
    for rule, measure in (("basic", "captions"), ("far", "similarity")):
        with pytest.raises(
            PlanError, match=f"core.0..{rule} needs the measure {measure}, and this pool has none"
        ):
            pool.cut([(rule, {"keep": 1} if rule == "far" else {})], parts=pool.without_measures())


RULE = '''"""{0}."""

from __future__ import annotations

from dataclasses import dataclass

from curation.rule import Rule, Scope
from curation.selection import Selection
from curation.selections.{1} import {2}


@dataclass(frozen=True, slots=True)
class Made(Rule):
    """{0}."""

    text: str

    def selection(self, scope: Scope) -> Selection:
        return {2}({3})
'''


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Rules that a user wrote: one for each kind of selection that no rule of ours gives."""
    for name, kind, argument in (
        ("oversample", "Repeat", "self.text"),
        ("recaption", "Rewrite", "self.text"),
        ("listed", "Members", "(self.text,)"),
        ("unlisted", "Members", "(self.text,), keep=False, by='key'"),
    ):
        text = RULE.format(name.title(), kind.lower(), kind, argument)
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(curation.rules, "__path__", [*curation.rules.__path__, str(tmp_path)])
    curation.rules._adapter.cache_clear()
    yield tmp_path
    curation.rules._adapter.cache_clear()


def test_a_repeated_sample_stands_in_the_names_as_often(pool: Pool, made: Path) -> None:
    found = pool.cut([("oversample", {"text": "clip_score * 10"}), ("random", {"keep": 60})])
    times = {uid: int(score * 10) for uid, score in known({s.uid: clip(s) for s in pool.samples}).items()}
    assert len(found.uids) == found.facts["kept"] == 60
    assert found.names == sorted(uid for uid in found.uids for _ in range(times[uid]))
    assert dict(zip(found.uids, found.kept["repeat"].to_pylist(), strict=True)) == {
        u: times[u] for u in found.uids
    }
    assert max(found.kept["repeat"].to_pylist()) > 1
    keys = [s.key for uid in found.names for s in pool.samples if s.uid == uid]
    assert found.files["keys.txt"].decode().split() == keys
    assert found.facts["entries"] == len(found.names)
    assert {uid for uid, rule in found.reasons.items() if rule == "1:oversample"} == {
        s.uid for s in pool.samples if times.get(s.uid, 0) < 1
    }


def test_repeats_multiply_and_have_a_limit(pool: Pool, made: Path) -> None:
    found = pool.cut([("oversample", {"text": "2.9"}), ("oversample", {"text": "3"})])
    assert set(found.kept["repeat"].to_pylist()) == {6}
    with pytest.raises(PlanError, match=r"says 2,000,000 times for some sample; at most 1,000,000 are taken"):
        pool.cut([("oversample", {"text": "2e6"})])


def test_a_new_caption_stands_beside_the_old(pool: Pool, made: Path) -> None:
    found = pool.cut([("recaption", {"text": "upper(label) || ': ' || caption"}), ("where", "label = 'cat'")])
    assert found.kept.column_names[:5] == ["uid", "key", "url", "caption", "caption_rewritten"]
    for old, new in zip(*(found.kept[c].to_pylist() for c in ("caption", "caption_rewritten")), strict=True):
        assert new == (None if old is None else f"CAT: {old}")
    assert found.facts["waterfall"]["dropped"][0]["dropped"] == 0
    assert None in found.kept["caption_rewritten"].to_pylist()


def test_tables_of_names_keep_or_drop(pool: Pool, made: Path) -> None:
    wanted = sorted(s.uid for s in pool.samples)[::3]
    (made / "uids.txt").write_text(
        "\n".join(f"{uid:032X}" for uid in [*wanted, *wanted, 5]), encoding="utf-8"
    )
    found = pool.cut([("listed", {"text": str(made / "uids.txt")})])
    assert found.uids == wanted
    step = found.facts["waterfall"]["dropped"][0]
    digest = hashlib.sha256((made / "uids.txt").read_bytes()).hexdigest()
    assert (step["names"], step["sha256"]) == (len(wanted) + 1, {str(made / "uids.txt"): digest})
    (made / "subset.npy").write_bytes(found.files["uids.npy"])
    assert pool.cut([("listed", {"text": str(made / "subset.npy")})]).uids == wanted
    (made / "keys.csv").write_text("id,key\n1,00003\n2,nobody\n", encoding="utf-8")
    without = pool.cut([("unlisted", {"text": str(made / "keys.csv")})])
    assert [s.key for s in pool.samples if s.uid not in set(without.uids)] == ["00003"]


def test_a_table_that_cannot_be_used_is_named(pool: Pool, made: Path) -> None:
    (made / "bad.txt").write_text("xyz\n", encoding="utf-8")
    (made / "bad.csv").write_text("id\n1\n", encoding="utf-8")
    (made / "bad.parquet").write_bytes(b"PAR1")
    (made / "bad.doc").write_bytes(b"\\0")
    for name, problem in (
        ("none.txt", "cannot be read: No such file or directory"),
        ("bad.txt", "values that are not 128-bit hex"),
        ("bad.csv", "has no column uid; it has: id"),
        ("bad.parquet", "is not a whole .parquet file"),
        ("bad.doc", "no table of uids that is known; allowed are Parquet"),
    ):
        with pytest.raises(DataError, match=problem) as caught:
            pool.cut([("listed", {"text": str(made / name)})])
        assert name in str(caught.value)
