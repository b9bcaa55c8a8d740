from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import curation.rules
from indexes.errors import PlanError, UnknownNameError
from pipeline import readers
from pipeline.plan import Plan, load_plan, resolve
from pipeline.plan.manifests import SHIPPED, load_manifest, manifest_names

PLANS = sorted((SHIPPED / "plans").glob("*.yaml"))
SIX = ("imagenet_val", "imagenet_v2", "imagenet_sketch", "imagenet_r", "imagenet_a", "objectnet")
SIZES = (175, 150, 125, 100, 75, 50, 40, 25)


@pytest.mark.parametrize("name", manifest_names())
def test_every_manifest_is_whole(name: str) -> None:
    manifest = load_manifest(name)
    assert manifest.name == name
    assert manifest.format in readers.names()
    assert manifest.kind == ("pool" if (SHIPPED / "pools" / f"{name}.yaml").exists() else manifest.kind)
    assert all(url.startswith("https://") for url in manifest.urls)
    assert load_manifest(str(next(SHIPPED.glob(f"*/{name}.yaml")))) == manifest


@pytest.mark.parametrize(
    ("name", "samples", "classes", "in_imagenet"),
    [
        ("imagenet_train", 1_281_167, 1000, 1000),
        ("imagenet_val", 50_000, 1000, 1000),
        ("imagenet_v2", 10_000, 1000, 1000),
        ("imagenet_sketch", 50_889, 1000, 1000),
        ("imagenet_r", 30_000, 200, 200),
        ("imagenet_a", 7_500, 200, 200),
        ("objectnet", 50_273, 313, 113),
    ],
)
def test_published_counts(name: str, samples: int, classes: int, in_imagenet: int) -> None:
    manifest = load_manifest(name)
    assert manifest.expect is not None
    assert manifest.classes is not None
    assert (manifest.expect.samples, manifest.expect.classes) == (samples, classes)
    assert manifest.classes.imagenet == in_imagenet


@pytest.mark.real_data
def test_the_class_lists_are_classes_of_imagenet() -> None:
    data = os.environ.get("NEARFAR_REAL_DATA")
    if not data:
        pytest.skip("NEARFAR_REAL_DATA is not set: the list of ImageNet's classes is there")
    classes = json.loads(Path(data, "classes", "imagenet_class_info.json").read_text())
    position = {entry["wnid"]: entry["cid"] for entry in classes}
    renditions, natural = (load_manifest(name).classes for name in ("imagenet_r", "imagenet_a"))
    assert renditions is not None
    assert natural is not None
    # The sums of the class positions that the publishers' evaluation scripts list.
    assert [sum(position[wnid] for wnid in found.wnids or []) for found in (renditions, natural)] == [
        86_135,
        102_178,
    ]
    assert len(set(renditions.wnids or []) & set(natural.wnids or [])) == 86


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("kind: benchmark", "kind: benchmrk", "kind: got 'benchmrk'"),
        ("terms:", "term:", "unknown key 'term'"),
        ("7_500", "-1", "expect.samples: got -1"),
        ("n12267677", "n1226767", "classes.wnids[199]: got 'n1226767'"),
        ("n12267677", "n01498041", "wnids must be 200 different ids in order; got 199"),
        ("- https", "- &a https", "the anchor &a"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = (SHIPPED / "benchmarks" / "imagenet_a.yaml").read_text()
    assert old in text
    path = tmp_path / "imagenet_a.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(PlanError, match=re.escape(why)):
        load_manifest(str(path))


def test_an_unknown_manifest_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown manifest 'sketch'; available: .*imagenet_sketch.*under pool"
    ):
        load_manifest("sketch", "pool.manifest")
    with pytest.raises(PlanError, match="the manifest does not exist"):
        load_manifest("./sketch.yaml")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_shipped_plan_resolves(path: Path) -> None:
    plan = resolve(load_plan(path))
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert max(len(line) for line in text.splitlines()) <= 120
    assert plan.splits


def test_the_table_of_splits_names_every_plan_and_no_other() -> None:
    text = (SHIPPED / "README.md").read_text(encoding="utf-8")
    rows = [line.split("|")[3] for line in text.splitlines() if line.startswith("|")][2:]
    named = {name for cell in rows for name in re.findall(r"(?<!rule )`([a-z0-9_]+)`", cell)}
    assert named | {"quickstart"} == {path.stem for path in PLANS}
    rules = set(re.findall(r"rule `([a-z-]+)", text))
    assert rules <= set(curation.rules.names())


def laion(name: str) -> Plan:
    return resolve(load_plan(SHIPPED / "plans" / f"laion200m_{name}.yaml"))


def measured(plan: Plan) -> dict[str, Any]:
    """What of a plan the measuring looks at: plans that agree in it cut their splits from one pass."""
    kinds = (
        "name",
        "pool",
        "reference",
        "encoder",
        "encoders",
        "benchmarks",
        "sources",
        "measures",
        "neighbours",
    )
    whole = plan.written()
    return {kind: whole[kind] for kind in kinds if kind in whole}


def rule_of(plan: Plan, split: str) -> tuple[str, dict[str, Any]]:
    (rule,) = plan.splits[split].rules
    return curation.rules.dump(rule)


def near_and_reference(plan: Plan, split: str) -> list[str]:
    """The benchmarks of a split that prunes by the published rule and takes ImageNet-Train in."""
    (near, options), (add, added) = map(curation.rules.dump, plan.splits[split].rules)
    assert (near, options["threshold"]) == ("near", "per_query")
    assert (add, added["source"], added["names"]) == ("add", "reference", "imagenet-1k")
    found: list[str] = options["to"]
    return found


def test_the_plans_of_the_paper_share_what_is_measured() -> None:
    pruned, sweeps, core = laion("near_pruned"), laion("size_sweeps"), laion("core_100m")
    assert measured(pruned) == measured(sweeps) == measured(core)
    assert pruned.output == sweeps.output == core.output
    assert tuple(pruned.benchmarks) == SIX
    assert not set(pruned.splits) & set(sweeps.splits) | set(pruned.splits) & set(core.splits)
    assert pruned.encoder is not None
    assert (pruned.encoder.model, pruned.encoder.pretrained) == ("ViT-B-16-plus-240", "laion400m_e32")


def test_the_near_pruned_splits_are_per_query_and_have_controls() -> None:
    plan = laion("near_pruned")
    for benchmark in SIX:
        short = benchmark.removeprefix("imagenet_")
        assert near_and_reference(plan, f"{short}_pruned") == [benchmark]
        assert rule_of(plan, f"rand_{short}_pruned")[1]["like"] == f"{short}_pruned"
    assert near_and_reference(plan, "combined_pruned") == list(SIX)
    assert rule_of(plan, "rand_pruned") == ("random", {"like": "combined_pruned", "seed": 0})
    assert len(plan.splits) == 14


def test_the_sweeps_keep_what_their_names_say() -> None:
    plan = laion("size_sweeps")
    for benchmark in SIX:
        short = benchmark.removeprefix("imagenet_")
        for size in SIZES:
            for rule in ("near", "far"):
                name, options = rule_of(plan, f"{rule}_{short}_{size}m")
                assert (name, options["to"], options["keep"]) == (rule, [benchmark], size * 1_000_000)
    for size in SIZES[:6]:
        assert rule_of(plan, f"rand_{size}m") == ("random", {"keep": size * 1_000_000, "seed": 0})
    assert len(plan.splits) == 6 * 8 * 2 + 6


def test_the_core_has_a_hundred_million_by_each_combination() -> None:
    plan = laion("core_100m")
    for name, combine in (("core_100m", "max"), ("core_100m_quota", "quota"), ("core_100m_rank", "rank")):
        rule, options = rule_of(plan, name)
        assert (rule, options["to"], options["keep"]) == ("far", list(SIX), 100_000_000)
        assert options["combine"] == combine
