"""The rule `add` against plain Python: who comes in, who stays of two with one uid, and under which caption."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from scored_pools import Cut, Pool, Sample

import curation.rules
from curation.rule import Scope
from indexes.errors import DataError, PlanError
from pipeline.splits.requests import OfferedSet, PoolPart

UIDS = [7 * n + 1 for n in range(40)]
MORE = [14 * n + 1 for n in range(30)]
"""Twenty of them are in the pool."""
TEMPLATES = ["a photo of a {class}", "the {class}.", "{class}"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    samples = [Sample(uid, (0.1, 0.2, 0.3), uid % 4, f"caption {uid}", f"p{uid}") for uid in UIDS]
    return Pool(tmp_path_factory.mktemp("added"), [samples[:25], samples[25:]])


@pytest.fixture(scope="module")
def more(pool: Pool) -> OfferedSet:
    """A set with a label, a width of text where the pool's is a number, and a column that the pool has not."""
    labels = [None if uid % 5 == 0 else f"n{uid % 3}" for uid in MORE]
    columns = {
        "uid": pa.array([f"{uid:032x}" for uid in MORE]),
        "row": pa.array(range(len(MORE)), pa.int64()),
        "key": pa.array([f"m{uid}" for uid in MORE]),
        "url": pa.nulls(len(MORE), pa.string()),
        "caption": pa.array([f"own {uid}" for uid in MORE]),
        "label": pa.array(labels, pa.string()),
        "width": pa.array([f"w{uid % 4}" for uid in MORE]),
        "year": pa.array([2000 + uid % 9 for uid in MORE], pa.int32()),
    }
    return OfferedSet((PoolPart(pool.write("samples/more/part-0000.parquet", pa.table(columns))),))


def cut(pool: Pool, more: OfferedSet, *rules: tuple[str, Any]) -> Cut:
    return pool.cut(rules, sets={"more": more})


def test_the_sample_that_is_there_stays_or_the_new_one(pool: Pool, more: OfferedSet) -> None:
    both = set(UIDS) & set(MORE)
    for repeated, of in (("keep", "pool"), ("replace", "more")):
        found = cut(pool, more, ("add", {"source": "more", "repeated": repeated}))
        sources = dict(zip(found.uids, found.kept["source"].to_pylist(), strict=True))
        assert sorted(sources) == sorted({*UIDS, *MORE})
        assert {sources[uid] for uid in both} == {of}
        dropped = list(
            zip(found.dropped["uid"].to_pylist(), found.dropped["source"].to_pylist(), strict=True)
        )
        assert {int(uid, 16) for uid, _ in dropped} == both
        assert {source for _, source in dropped} == {"more" if of == "pool" else "pool"}
        assert set(found.decided.values()) == {"repeated uid" if of == "pool" else "replaced"}
        step = found.facts["waterfall"]["dropped"][0]
        assert (step["offered"], step["repeated"]) == (len(MORE), len(both))
        assert step["added"] == (len(MORE) - len(both) if of == "pool" else len(MORE))
        assert found.facts["waterfall"]["offered"] == len(MORE)
    with pytest.raises(
        DataError, match=f"{len(both)} samples of more have the uid of a sample that is there"
    ):
        cut(pool, more, ("add", {"source": "more", "repeated": "error"}))


def test_rules_of_the_set_decide_in_order_and_are_counted(pool: Pool, more: OfferedSet) -> None:
    options = {"source": "more", "rules": [{"where": "year > 2003"}, {"cap": {"by": "label", "most": 3}}]}
    found = cut(pool, more, ("where", "width > 0"), ("add", options), ("where", "key LIKE 'm%' OR width > 1"))
    there = {uid for uid in UIDS if uid % 4 > 0}
    late = [uid for uid in MORE if 2000 + uid % 9 > 2003 and uid % 5 != 0]
    drawn = {
        uid
        for label in range(3)
        for uid in sorted((u for u in late if u % 3 == label), key=lambda u: (md5(f"{UUID(int=u)}:0"), u))[:3]
    }
    assert set(found.uids) == {uid for uid in there if uid % 4 > 1} | (drawn - there)
    steps = found.facts["waterfall"]["dropped"]
    assert [each["reason"] for each in steps[1]["of_the_set"]] == ["1:where", "2:cap"]
    assert steps[1]["of_the_set"][0]["rows_in"] == len(MORE)
    assert steps[1]["of_the_set"][1]["left"] == len(drawn)
    gone = {
        uid: why for uid, why in found.decided.items() if found.reasons[uid] == "2:add" and uid not in there
    }
    assert set(gone.values()) == {"1:where", "2:cap"}


def md5(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def test_captions_are_drawn_by_hash_and_name_the_class(pool: Pool, more: OfferedSet, tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text(
        json.dumps({"n0": ["tench", "Tinca"], "n1": ["it's a fish"], "n3": ["shark"]}), encoding="utf-8"
    )
    options = {"source": "more", "template": TEMPLATES, "names": str(names), "seed": 5}
    found = cut(pool, more, ("add", options))
    called = {"n0": "tench", "n1": "it's a fish"}
    rows = [row for row in found.kept.to_pylist() if row["source"] == "more"]
    assert rows
    for row in rows:
        template = TEMPLATES[md5(f"{UUID(hex=row['uid'])}:5") % 3]
        assert row["caption"] == template.replace("{class}", called[row["label"]])
    nameless = {uid for uid in MORE if uid % 5 == 0 or uid % 3 == 2} - set(UIDS)
    assert {uid for uid, why in found.decided.items() if why == "class"} == nameless | (
        {uid for uid in MORE if uid % 5 == 0 or uid % 3 == 2} & set(UIDS)
    )
    own = [row for row in found.kept.to_pylist() if row["source"] == "pool"]
    assert all(row["caption"] == f"caption {int(row['uid'], 16)}" for row in own)


def test_one_of_the_eighty_published_templates_is_drawn(pool: Pool, more: OfferedSet) -> None:
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    eighty = [template("LABEL") for template in OPENAI_IMAGENET_TEMPLATES]
    assert len(eighty) == 80
    for given, choices in (("openai", eighty), (["openai", "{class}!"], [*eighty, "LABEL!"])):
        found = cut(pool, more, ("add", {"source": "more", "template": given, "seed": 2}))
        rows = [row for row in found.kept.to_pylist() if row["source"] == "more"]
        assert len({row["caption"].replace(row["label"], "LABEL") for row in rows}) > 5
        for row in rows:
            choice = choices[md5(f"{UUID(hex=row['uid'])}:2") % len(choices)]
            assert row["caption"] == choice.replace("LABEL", row["label"])


@pytest.mark.parametrize("template", ["a photo", "{class} and {class}", ["a {class}", "openai!"]])
def test_a_template_without_one_slot_is_refused(template: Any) -> None:
    with pytest.raises(
        PlanError, match=r"template is '.*', which has the slot \{class\} [02] times; write it once"
    ):
        curation.rules.parse("add", {"source": "more", "template": template}, "splits.a[0]")


def test_no_value_becomes_another_one(pool: Pool, more: OfferedSet) -> None:
    found = cut(pool, more, ("add", "more"))
    assert {"width", "more_width", "year"} <= set(found.kept.column_names)
    assert found.kept.schema.field("width").type == pa.int64()
    for row in found.kept.to_pylist():
        uid = int(row["uid"], 16)
        new = row["source"] == "more"
        assert row["more_width"] == (f"w{uid % 4}" if new else None)
        assert row["width"] == (None if new else uid % 4)


def test_an_expression_that_fails_on_the_rows_is_explained(pool: Pool, more: OfferedSet) -> None:
    rule = {"where": "CAST(width AS INTEGER) > 1"}
    with pytest.raises(PlanError, match=r"an add of splits\.core cannot be evaluated"):
        cut(pool, more, ("add", {"source": "more", "rules": [rule]}))


def test_a_rule_inside_is_read_with_its_place() -> None:
    with pytest.raises(PlanError, match=r"unknown option 'kep' at splits.a\[0\].add.rules\[0\].random"):
        curation.rules.parse("add", {"source": "more", "rules": [{"random": {"kep": 3}}]}, "splits.a[0]")
    rule = curation.rules.parse("add", {"source": "more", "rules": [{"random": {"like": "other"}}]})
    assert rule.follows() == ("other",)
    assert rule.adds() == ("more",)
    with pytest.raises(PlanError, match="which is no further set of this plan; it has: none"):
        rule.resolved(Scope())
