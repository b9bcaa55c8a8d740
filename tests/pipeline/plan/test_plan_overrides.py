from __future__ import annotations

import json
from pathlib import Path

import pytest

import curation.rules
from indexes.errors import PlanError
from pipeline.plan import Plan, load_plan

PLAN = """
name: demo
pool: {path: data/pool, format: img2dataset}
benchmarks:
  val: {path: data/val, format: image-folder}
splits:
  core: [{far: {keep: 10}}, {where: "width > 3"}]
output: runs/demo
"""


def planned(tmp_path: Path, *overrides: str) -> Plan:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN)
    return load_plan(path, overrides)


def test_overrides_replace_and_add(tmp_path: Path) -> None:
    plan = planned(
        tmp_path,
        "name=other",
        "encoder.model=ViT-B-32",
        "splits.core[0].far.keep=1_000",
        "splits.extra=[{near: {threshold: 0.9}}]",
        "benchmarks.sketch={path: s, format: image-folder}",
        "output=runs/b=c",
    )
    assert (plan.name, plan.output, list(plan.benchmarks)) == ("other", "runs/b=c", ["val", "sketch"])
    assert plan.encoder is not None
    assert plan.encoder.model == "ViT-B-32"
    assert curation.rules.dump(plan.splits["core"].rules[0])[1]["keep"] == 1000
    assert curation.rules.dump(plan.splits["core"].rules[1])[1] == {"predicate": "width > 3"}
    assert list(plan.splits) == ["core", "extra"]


def test_a_later_override_wins_and_an_empty_one_unsets(tmp_path: Path) -> None:
    plan = planned(tmp_path, "name=a1", "name=b2", "encoder.model=x", "encoder=")
    assert (plan.name, plan.encoder) == ("b2", None)


def test_a_name_with_dots_that_is_there_is_found(tmp_path: Path) -> None:
    """check_sources advises --set benchmarks.NAME.path=PATH, whatever letters NAME has."""
    dotted = "benchmarks.v={path: short, format: image-folder}", "benchmarks={v1.0: {path: x}, v1: {path: y}}"
    plan = planned(tmp_path, dotted[1], "benchmarks.v1.0.path=new", "benchmarks.v1.path=old")
    assert {name: source.path for name, source in plan.benchmarks.items()} == {"v1.0": "new", "v1": "old"}
    again = planned(
        tmp_path,
        dotted[0],
        "splits={a.b: [{far: {keep: 1}}], a: []}",
        "splits.a.b[0].far.keep=7",
        "splits.a=[{far: {keep: 8}}]",
    )
    kept = {name: curation.rules.dump(split.rules[0])[1]["keep"] for name, split in again.splits.items()}
    assert (kept, again.benchmarks["v"].path) == ({"a.b": 7, "a": 8}, "short")


@pytest.mark.parametrize(
    "folder", ["with space", "quote'\"", "star*[1]", "a#b: c", "umlaut-ä-😀", "no", "12", "back\\slash"]
)
def test_any_path_can_be_given_as_json(tmp_path: Path, folder: str) -> None:
    assert planned(tmp_path, f"pool.path={json.dumps(folder)}").pool.path == folder


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("name", "--set name: it has no '='; write it like"),
        ("a..b=1", "'a..b' is no key; write it like pool.path"),
        ("=1", "'' is no key"),
        ("splits.core[x].far=1", "is no key"),
        ("splits.core[2].far.keep=1", "there is a list of 2 where [2] is asked for; positions begin at 0"),
        ("name[0]=1", "there is no list where [0] is asked for"),
        ("name.x=1", "there is no map to hold 'x'; it would replace 'demo'"),
        ("name=12", "--set name=12: name: got 12, which is not text; quote it"),
        ("name=no", "--set name=no: name: 'no' cannot be a name"),
        ("outptu=x", "--set outptu=x: outptu: unknown key"),
        ("name=!!str x", "--set name=!!str x:1:1: the tag"),
        ("name=&a x", "the anchor &a"),
        ("name=*a", "the alias *a"),
        ("splits.core={a: 1, a: 2}", "here twice"),
        ("splits.core[0].far.kep=3", "--set splits.core[0].far.kep=3: unknown option 'kep'"),
        (
            "splits.core[0]={near: {to: [vall], keep: 3}}",
            "{near: {to: [vall], keep: 3}}: benchmark 'vall' is not in this plan; it has: val. Name",
        ),
    ],
)
def test_a_wrong_override_is_refused_by_its_own_text(tmp_path: Path, override: str, why: str) -> None:
    with pytest.raises(PlanError) as caught:
        planned(tmp_path, override)
    assert why in str(caught.value)
