from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import curation.rules
from indexes.errors import BadInputError, PlanError
from pipeline.documents.yaml_safe import parse_yaml
from pipeline.plan import (
    Plan,
    SetAlgebra,
    Split,
    audit_plan,
    build_plan,
    load_plan,
    resolve,
)
from pipeline.plan.checks import split_order
from pipeline.plan.model import byte_count
from pipeline.sets.source import Expect, Source

PLAN = """
name: demo
pool: {path: data/pool, format: img2dataset}
encoder: {model: ViT-B-32}
reference: {path: data/reference, format: image-folder}
benchmarks:
  val: {path: data/val, format: image-folder, manifest: imagenet_val}
  sketch: {path: data/sketch, format: image_folder}
splits:
  control: [{random: {like: pruned, seed: 3}}]
  pruned: [{near: {to: [sketch]}}]
  both: {from: {minus: [pruned, core]}, rules: [{where: "width >= 200"}]}
  core: [{far: {keep: 1e3}}]
  next: {from: core}
output: runs/demo
"""


def plan_of(text: str) -> Plan:
    return build_plan(parse_yaml(text, "p.yaml"))


def test_a_plan_holds_what_its_file_says(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN)
    plan = load_plan(path)
    assert (plan.name, plan.output, plan.neighbours) == ("demo", "runs/demo", 10)
    assert plan.pool == Source(path="data/pool", format="img2dataset")
    assert plan.encoder is not None
    assert (plan.encoder.model, plan.encoder.pretrained) == ("ViT-B-32", None)
    assert (plan.audit.hard, plan.audit.soft, plan.audit.pairs) == (0.99, 0.95, 24)
    assert (plan.engine.backend, plan.engine.memory_bytes) == ("exact", 10**9)
    assert list(plan.sources_by_place()) == ["pool", "reference", "benchmarks.val", "benchmarks.sketch"]
    assert plan.splits["both"].from_ == SetAlgebra("minus", ("pruned", "core"))
    assert plan.splits["next"].from_ == "core"
    assert curation.rules.dump(plan.splits["core"].rules[0]) == (
        "far",
        {"to": "all", "keep": 1000, "combine": "max"},
    )


def test_resolving_expands_all_orders_splits_and_fills_counts_in() -> None:
    plan = resolve(plan_of(PLAN))
    assert list(plan.splits) == ["pruned", "control", "core", "both", "next"]
    assert curation.rules.dump(plan.splits["core"].rules[0])[1]["to"] == ["val", "sketch"]
    assert curation.rules.dump(plan.splits["pruned"].rules[0])[1]["threshold"] == "per_query"
    expect = plan.benchmarks["val"].expect
    assert expect is not None
    assert (expect.samples, expect.classes) == (50_000, 1_000)
    assert plan.benchmarks["val"].dataset == "imagenet_val"
    assert plan.benchmarks["sketch"].expect is None
    assert resolve(plan) == plan


def test_counts_in_the_plan_go_before_those_of_the_manifest() -> None:
    plan = plan_of(
        PLAN.replace("manifest: imagenet_val", "manifest: imagenet_val, expect: {samples: 7}, dataset: mine")
    )
    source = resolve(plan).benchmarks["val"]
    assert (source.expect, source.dataset) == (Expect(samples=7), "mine")


def test_splits_and_output_leave_what_is_measured_and_everything_else_shows() -> None:
    def measured(text: str) -> tuple[object, ...]:
        plan = plan_of(text)
        return plan.pool, plan.reference, plan.encoder_map(), plan.benchmarks, plan.neighbours, plan.measures

    fewer = PLAN.replace("next: {from: core}", "").replace("runs/demo", "runs/other")
    assert measured(fewer) == measured(PLAN)
    changes = [("data/pool", "data/pool2"), ("ViT-B-32", "ViT-B-16"), ("data/reference", "x"), ("data/val", "x"),
               ("output:", "neighbours: 5\noutput:"), ("output:", "measures: {captions: }\noutput:")]  # fmt: skip
    assert len({str(measured(PLAN.replace(*change))) for change in [*changes, ("", "")]}) == 7


def test_an_empty_list_of_rules_keeps_the_pool_and_splits_may_be_left_out() -> None:
    assert plan_of(PLAN.replace("next: {from: core}", "everything: []")).splits["everything"].rules == ()
    assert plan_of(PLAN.split("splits:")[0] + "output: x").splits == {}


@pytest.mark.parametrize(
    ("splits", "cycle"),
    [
        (
            "a: [{random: {like: b}}]\n  b: {from: c}\n  c: {from: {union: [d, a]}}\n  d: []",
            "a -> b -> c -> a",
        ),
        ("a: {from: a}", "a -> a"),
        ("x: {from: a}\n  a: {from: b}\n  b: [{random: {like: a}}]", "a -> b -> a"),
    ],
)
def test_a_circle_of_splits_is_printed(splits: str, cycle: str) -> None:
    text = PLAN.split("splits:")[0] + f"splits:\n  {splits}\noutput: x"
    with pytest.raises(PlanError, match=f"in a circle: {cycle}; take a 'from' or 'like' out of it"):
        plan_of(text)


def test_a_long_chain_of_splits_is_ordered_and_a_long_circle_found() -> None:
    chain = "".join(f"  s{i}: {{from: s{i + 1}}}\n" for i in range(3000)) + "  s3000: []\n"
    head = PLAN.split("splits:")[0] + "output: x\nsplits:\n"
    assert list(resolve(plan_of(head + chain)).splits) == [f"s{i}" for i in range(3000, -1, -1)]
    with pytest.raises(PlanError, match="in a circle: s0 -> s1 -> "):
        plan_of(head + chain.replace("s3000: []", "s3000: {from: s0}"))


SETS: dict[str, Any] = {"pool": Source(path="p"), "benchmarks": {"b": Source(path="b")}, "output": "out"}


def test_an_audit_plan_has_no_splits() -> None:
    plan = audit_plan(**SETS, reference=Source(path="r"), neighbours=3)
    assert (plan.name, plan.splits, plan.neighbours) == ("audit", {}, 3)
    assert plan.reference == Source(path="r")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"benchmarks": {"mixed case": Source(path="b")}}, "'mixed case' is not a name"),
        ({"benchmarks": {"_b": Source(path="b")}}, "'_b' is not a name"),
        ({"neighbours": 0}, "neighbours: got 0"),
        ({"pool": {"path": ""}}, "pool.path: got ''; it should have at least 1 character"),
        ({"pool": {"path": "caf\udce9"}}, "pool.path: got 'caf\\udce9'; it should be a valid string"),
        ({"neighbors": 3}, "Did you mean 'neighbours'"),
        ({"pool": Source(path="p", format="webdataset")}, "pool.format: unknown reader 'webdataset'"),
        (
            {"pool": Source(path="p", format="image-folder", embedding="b32_img")},
            "pool.embedding: unknown key 'embedding'; a set of format image-folder has the keys: class_file, classes,",
        ),
        ({"measures": {"clusters": None}}, "measures.clusters.k is missing"),
    ],
)
def test_an_audit_plan_is_checked_like_any_other(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError) as caught:
        audit_plan(**(SETS | changed))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"), [("1GB", 10**9), ("2GiB", 2**31), ("1.5 mb", 1_500_000), ("7B", 7), ("3kib", 3072)]
)
def test_sizes(text: str, size: int) -> None:
    assert byte_count(text) == size


def test_ordering_alone_finds_a_circle_too() -> None:
    splits = {"a": Split(from_="b"), "b": Split(from_="a")}
    with pytest.raises(PlanError, match=r"splits\.a: .* a -> b -> a"):
        split_order(splits)


@given(st.lists(st.sets(st.integers(0, 7)), min_size=8, max_size=8), st.permutations(range(8)))
def test_splits_come_after_what_they_are_computed_from(uses: list[set[int]], order: list[int]) -> None:
    def based_on(number: int) -> SetAlgebra:
        return SetAlgebra("union", tuple(f"s{used}" for used in sorted(uses[number]) if used < number))

    splits = {f"s{number}": Split(from_=based_on(number)) for number in order}
    found = split_order(splits)
    assert sorted(found) == sorted(splits)
    for name, split in splits.items():
        assert all(found.index(used) < found.index(name) for _, used in split.uses())
