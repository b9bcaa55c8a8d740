"""Every line of bad input in a plan: a message that says what, got, allowed and what to do, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import BadInputError, PlanError
from pipeline.plan import load_plan, resolve

PLAN = """\
name: demo
pool: {path: data/pool, format: img2dataset}
reference: {path: data/reference, format: image-folder}
benchmarks:
  imagenet_val: {path: data/val, format: image-folder}
  imagenet_sketch: {path: data/sketch, format: image-folder}
splits:
  pruned: [{near: {to: [imagenet_sketch]}}]
  core: {from: pruned, rules: [{far: {keep: 10}}, {where: "width > 3"}]}
output: runs/demo
"""


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(BadInputError) as caught:
        load_plan(path)
    assert isinstance(caught.value, PlanError)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.replace(str(path), "p.yaml")


@pytest.mark.parametrize(
    ("old", "new", "place", "parts"),
    [
        # unknown and missing keys
        ("output:", "outptu:", "10:1", ["unknown key 'outptu'; the keys here are: audit,", "mean 'output'?"]),
        ("output:", "outptu:", "1:1", ["output: the key 'output' is missing; add it (Folder for everything"]),
        ("path: data/val", "pth: data/val", "5:18", ["benchmarks.imagenet_val.pth: unknown key", "mean 'path'?"]),
        ("name: demo", "name: demo\naudit: {hrad: 1.0}", "2:9", ["audit.hrad: unknown key", "hard, image_classes"]),
        # unknown names
        ("{near:", "{neer:", "8:13", ["unknown rule 'neer'; available: ", " near, ", " where. Write", "mean 'near'?"]),
        ("format: img2dataset", "format: img2datset", "2:25", ["unknown reader 'img2datset'", "'img2dataset'?"]),
        ("[imagenet_sketch]", "[imagenet_sketc]", "8:20", ["benchmark 'imagenet_sketc' is not in this plan; it has: ",
            "Name one of these under splits.pruned[0].near.to"]),
        ("name: demo", "name: demo\nengine: {backend: faiss_flt}", "2:10", ["index backend 'faiss_flt'", "exact"]),
        ("name: demo", "name: demo\nengine: {backend: faiss_ivf, options: {lists: 9, probes: 2}}", "2:30",
            ["engine.options: unknown option of index backend 'faiss_ivf': 'probes'; available: lists, probed."]),
        ("name: demo", "name: demo\nengine: {options: {lists: 9}}", "2:10", ["Leave out the options of 'exact'"]),
        ("name: demo", "name: demo\nengine: {backend: faiss-ivf, options: {probed: 2.0}}", "2:30",
            ["index backend 'faiss-ivf': option 'probed' is 2;"]),
        ("from: pruned", "from: prunde", "9:10", ["split 'prunde' is not in this plan", "mean 'pruned'?"]),
        ("{far: {keep: 10}}", "{random: {like: cor}}", "9:33",
            ["splits.core.rules[0].random: split 'cor' is not in this plan"]),
        ("from: pruned", "from: {minsu: [a, b]}", "9:17", ["unknown set operation 'minsu'", "union", "intersect"]),
        ("keep: 10", "kep: 10", "9:39", ["unknown option 'kep' at splits.core.rules[0].far", "keep"]),
        # names that YAML 1.1 takes for something else, or that cannot be files or columns
        ("name: demo", "name: no", "1:1", ["'no' cannot be a name: other YAML tools read it as true or false"]),
        ("name: demo", "name: 'True'", "1:1", ["'True' cannot be a name: other YAML tools read it as true or"]),
        ("name: demo", "name: NO", "1:1", ["'NO' cannot be a name: other YAML tools read it as true or false"]),
        ("core:", "Yes:", "9:3", ["splits.Yes: 'Yes' cannot be a name"]),
        ("imagenet_val:", "off:", "5:3", ["benchmarks.off: 'off' cannot be a name"]),
        ("core:", "yes:", "9:3", ["splits.yes: 'yes' cannot be a name"]),
        ("imagenet_val:", "true:", "5:3", ["the key true is not text; quote it"]),
        ("imagenet_val:", "'../up':", "5:3", ["is not a name; a name has 1 to 64 letters"]),
        ("imagenet_val:", "text:", "5:3", ["'text' cannot be a name here"]),
        ("imagenet_val:", "uid:", "5:3", ["'uid' cannot be a name here"]),
        ("core:", "all:", "9:3", ["'all' cannot be a name here"]),
        ("core:", "Pool:", "9:3", ["'Pool' cannot be a name here"]),
        ("core:", f"{'x' * 65}:", "9:3", ["1 to 64"]),
        # numbers where text is due and the other way round
        ("name: demo", "name: 12", "1:1", ["name: got 12, which is not text; quote it if it is meant: '12'"]),
        ("path: data/pool", "path: 1e3", "2:8", ["pool.path: got 1000, which is not text"]),
        ("path: data/pool", "path: true", "2:8", ["pool.path: got true, which is not text", "'true'"]),
        ("keep: 10", "keep: ten", "9:39", ["splits.core.rules[0].far.keep is 'ten'", "integer"]),
        ("keep: 10", "keep: '10'", "9:39", ["is '10'", "integer"]),
        ("keep: 10", "keep: 10.5", "9:39", ["is 10.5", "integer"]),
        ("keep: 10", "keep: true", "9:39", ["is True", "integer"]),
        ("keep: 10", "keep: 1:30", "9:39", ["is '1:30'", "integer"]),
        ("keep: 10", "keep: 010", "9:45", ["8-based"]),
        ("name: demo", "name: demo\nneighbours: lots", "2:1", ["neighbours: got 'lots'; it should be a valid integer"]),
        ("name: demo", "name: demo\nneighbours: 0", "2:1", ["neighbours: got 0;", "greater than or equal to 1"]),
        ("path: data/pool", 'path: "a\\0b"', "2:8", ["pool.path: got 'a\\x00b'"]),
        # YAML that is not read
        ("name: demo", "name: demo\nname: demo", "2:1", ["the key 'name' is here twice (first in line 1)"]),
        ("name: demo", "name: !!python/name:os.system", "1:7", ["tag"]),
        ("name: demo", "name: &n demo", "1:7", ["the anchor &n"]),
        ("output: runs/demo", "output: *n", "10:9", ["the alias *n"]),
        # shapes
        (PLAN, "- just\n- a list\n", "1:1", ["a plan is a map of keys"]),
        (PLAN.split("splits:")[1].split("output")[0], " [a]\n", "7:1", ["splits: got ['a']; write a map of names"]),
        ("[{near: {to: [imagenet_sketch]}}]", "near", "8:3", ["splits.pruned: got 'near'; write a list of rules"]),
        ("[{near: {to: [imagenet_sketch]}}]", "", "8:3", ["splits.pruned: got None; write a list of rules"]),
        ("[{near: {to: [imagenet_sketch]}}]", "[near]", "8:12", ["a rule is a map of its name to its options"]),
        ("[{near: {to: [imagenet_sketch]}}]", "[{near: , far: }]", "8:12", ["the rules there are: "]),
        ("[{near: {to: [imagenet_sketch]}}]", "{near: {to: all}}", "8:12", ["a list, a dash before each"]),
        ("from: pruned, rules", "form: pruned, rules", "9:10", ["unknown key 'form'", "Did you mean 'from'?"]),
        ("from: pruned, ", "", "9:3", ["splits.core: the key 'from' is missing"]),
        ("rules: [{far: {keep: 10}}, {where: \"width > 3\"}]", "rules: far", "9:24", ["got 'far'; write a list"]),
        ("from: pruned", "from: 3", "9:10", ["splits.core.from: got 3; write the name of a split"]),
        ("from: pruned", "from: {union: [pruned]}", "9:17", ["a list of two or more names of splits"]),
        ("[{near: {to: [imagenet_sketch]}}]", "[{near: }, {far: 3}]", "8:23", ["splits.pruned[1].far"]),
        (PLAN.split("benchmarks:\n")[1].split("splits")[0], "  {}\n", "7:20",
            ["benchmark 'imagenet_sketch' is not in this plan; it has: none."]),
        ("from: pruned", "from: core", "9:3", ["in a circle: core -> core"]),
        # a threshold per query without a reference
        ("reference: {path: data/reference, format: image-folder}\n", "", "7:13",
            ["splits.pruned[0].near.threshold is per_query, but this plan has no reference", "Add a reference"]),
        # options that contradict one another
        ("name: demo", "name: demo\naudit: {hard: 0.5}", "2:1", ["audit: soft is 0.95, above hard; give"]),
        ("name: demo", "name: demo\nengine: {memory_limit: 1 GBit}", "2:10", ["'1 GBit', which is no size"]),
        ("name: demo", "name: demo\nengine: {memory_limit: 3MB}", "2:10", ["too little; give at least 64MiB"]),
        ("keep: 10", "keep: 10, fraction: 0.5", "9:33", ["keep and fraction exclude each other"]),
    ],
)  # fmt: skip
def test_refused_with_its_place_and_advice(
    tmp_path: Path, old: str, new: str, place: str, parts: list[str]
) -> None:
    assert old in PLAN
    message = refusal(tmp_path, PLAN.replace(old, new, 1))
    line = next(line for line in message.splitlines() if line.startswith(f"p.yaml:{place}: "))
    for part in parts:
        assert part in line


def test_all_problems_of_a_plan_are_told_at_once_but_not_endlessly(tmp_path: Path) -> None:
    message = refusal(tmp_path, PLAN + "".join(f"extra{i}: 1\n" for i in range(9)))
    assert len(message.splitlines()) == 6
    assert message.endswith("... and 4 more")


def test_a_ten_megabyte_plan_is_refused(tmp_path: Path) -> None:
    assert "at most 1,000,000 are read" in refusal(tmp_path, PLAN + "#" * 10_000_000)


def test_a_plan_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(PLAN.replace("demo", "d\xe9mo").encode("latin-1"))
    with pytest.raises(PlanError, match="1:8: byte 0xe9 is not UTF-8"):
        load_plan(path)


def test_a_long_value_is_shortened_in_messages(tmp_path: Path) -> None:
    message = refusal(tmp_path, PLAN.replace("name: demo", f"name: demo\nneighbours: {'x' * 5000}"))
    assert len(message) < 400


@pytest.mark.parametrize("manifest", ["imagenet_skech", "nowhere/manifest.yaml"])
def test_an_unknown_manifest_is_answered(tmp_path: Path, manifest: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(PLAN.replace("path: data/sketch", f"path: data/sketch, manifest: {manifest}"))
    with pytest.raises(BadInputError, match=r"imagenet_sketch, imagenet_train|does not exist"):
        resolve(load_plan(path))
