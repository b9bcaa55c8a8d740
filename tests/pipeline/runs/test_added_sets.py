"""Splits that add a further set: where each sample came from, that all are counted, and the gap that this leaves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from export_pool import grouped
from flat_atlas import draw_flat_atlas
from measured_world import write_measured_plan

from indexes.canonical import canonical
from pipeline.execution.progress import Progress
from pipeline.files.parquet import read_parquet
from pipeline.plan import load_plan
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.verify import verify
from pipeline.webdataset.export_request import ExportRequest
from pipeline.world.scene import LABELS

SPLITS: dict[str, Any] = {
    "near": [{"near": {"to": "all"}}],
    "whole": [{"near": {"to": "all"}}, {"add": {"source": "reference", "template": "a photo of a {class}"}}],
    "shared": [
        {"far": {"keep": 20}},
        {
            "add": {
                "source": "renditions",
                "rules": [{"where": "label <> 'bird'"}, {"random": {"fraction": 0.5}}],
                "template": ["a {class}", "the {class}."],
                "seed": 3,
            }
        },
        {"random": {"fraction": 0.8}},
    ],
    "joined": {"from": {"union": ["shared", "whole"]}, "rules": [{"random": {"fraction": 0.5, "seed": 1}}]},
    "less": {"from": {"minus": ["whole", "shared"]}, "rules": []},
    "control": [{"random": {"like": "whole"}}],
}


@pytest.fixture(scope="module")
def out(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("added")
    names = folder / "labels.json"
    names.write_text(json.dumps(LABELS), encoding="utf-8")
    one = {"by": "classes.single", "names": str(names)}
    splits = SPLITS | {
        "filled": [
            {"class-balance": one | {"like": "reference", "fill": "renditions", "nearest": "length(key)"}},
        ],
        "matched": [{"match-frequency": one | {"to": "reference"}}],
    }
    measures = {"classes": {"matcher": "whole_word", "names": str(names)}}
    plan = load_plan(write_measured_plan(folder, small_world, splits=splits, measures=measures, audit={}), [])
    with Progress(folder / "out") as progress:
        execute(plan, RunOptions(), progress)
    return folder / "out"


def facts(out: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"splits/{name}/split.json").read_text())
    return found


def rows(out: Path, path: str) -> pa.Table:
    return pa.concat_tables([read_parquet(one) for one in sorted((out / path).glob("part-*.parquet"))])


def uids(out: Path, name: str) -> list[str]:
    return [f"{high:016x}{low:016x}" for high, low in np.load(out / f"splits/{name}/uids.npy").tolist()]


def vectors(out: Path, name: str) -> dict[str, np.ndarray]:
    """The stored vectors of a set's samples, as they are compared."""
    found = {}
    for path in sorted((out / f"embeddings/{name}").glob("*/img_emb/*.npy")):
        names = read_parquet(
            path.parents[1]
            / "metadata"
            / path.name.replace("img_emb_", "metadata_").replace("npy", "parquet")
        )
        exact = canonical(np.load(path)).vectors.astype(np.float64)
        found |= dict(zip(names.column("uid").to_pylist(), exact, strict=True))
    return found


def test_the_gap_of_a_near_pruned_split_is_that_of_the_reference_it_adds(out: Path) -> None:
    gap = rows(out, "splits/whole/neighbours")
    nearest = gap.filter(pc.equal(gap["rank"], 1))
    for name in ("photo", "sketch"):
        own = nearest.filter(pc.equal(nearest["benchmark"], name)).sort_by("query")
        queries = read_parquet(out / f"indexes/{name}/queries.parquet").sort_by("query")
        assert own["query"].to_pylist() == queries["query"].to_pylist()
        assert own["similarity"].to_pylist() == queries["threshold"].to_pylist()
    assert set(nearest["source"].to_pylist()) >= {"reference"}
    alone = rows(out, "splits/near/neighbours")
    assert alone.num_rows
    assert (
        alone.filter(pc.equal(alone["rank"], 1))["similarity"].to_pylist()
        != nearest["similarity"].to_pylist()
    )


@pytest.mark.parametrize("name", list(SPLITS))
def test_the_gap_is_brute_force_over_what_is_kept(out: Path, name: str) -> None:
    kept = rows(out, f"splits/{name}")
    sources = kept["source"].to_pylist() if "source" in kept.column_names else ["pool"] * len(kept)
    held = {one: vectors(out, one) for one in dict.fromkeys(sources)}
    samples = np.stack([held[s][u] for s, u in zip(sources, kept["uid"].to_pylist(), strict=True)])
    gap = rows(out, f"splits/{name}/neighbours")
    for benchmark in ("photo", "sketch"):
        of = vectors(out, benchmark)
        queries = read_parquet(out / f"indexes/{benchmark}/queries.parquet")
        best = {
            q: float((samples @ of[u]).max())
            for q, u in zip(queries["query"].to_pylist(), queries["uid"].to_pylist(), strict=True)
        }
        found = gap.filter(pc.and_(pc.equal(gap["benchmark"], benchmark), pc.equal(gap["rank"], 1)))
        assert dict(zip(found["query"].to_pylist(), found["similarity"].to_pylist(), strict=True)) == best


@pytest.mark.parametrize("name", list(SPLITS))
def test_every_row_of_every_set_is_kept_or_dropped_and_counted(out: Path, name: str) -> None:
    told, kept, dropped = facts(out, name), rows(out, f"splits/{name}"), rows(out, f"splits/{name}/dropped")
    fall = told["waterfall"]
    lost = sum(fall["failed"].values()) + sum(fall["quarantined"].values()) + fall["duplicates"]
    reached = fall["rows_in"] - lost
    for step in fall["dropped"]:
        assert step["rows_in"] == reached
        reached += step.get("offered", 0) - step["dropped"]
        assert step["left"] == reached
    assert reached == fall["kept"] == told["kept"] == len(kept)
    assert len(dropped) == sum(step["dropped"] for step in fall["dropped"])
    assert kept["uid"].to_pylist() == uids(out, name)
    for step in (step for step in fall["dropped"] if step["rule"] == "add"):
        of = step["set"]
        assert (
            of["rows_in"]
            == sum(of["failed"].values())
            + sum(of["quarantined"].values())
            + of["duplicates"]
            + step["offered"]
        )
        assert (
            step["offered"]
            == sum(each["dropped"] for each in step["of_the_set"]) + step["repeated"] + step["added"]
        )


def test_every_sample_says_which_set_it_is_of(out: Path) -> None:
    samples = {
        name: set(rows(out, f"samples/{name}")["uid"].to_pylist())
        for name in ("pool", "reference", "renditions")
    }
    for name, sets in (
        ("whole", ["reference"]),
        ("shared", ["renditions"]),
        ("joined", ["reference", "renditions"]),
    ):
        told = [each["name"] for each in facts(out, name)["sources"]]
        assert told == ["pool", *sets]
        kept, dropped = rows(out, f"splits/{name}"), rows(out, f"splits/{name}/dropped")
        for table in (kept, dropped):
            assert all(
                uid in samples[source]
                for uid, source in zip(table["uid"].to_pylist(), table["source"].to_pylist(), strict=True)
            )
        numbers = np.load(out / f"splits/{name}/sources.npy")
        assert numbers.dtype == np.uint8
        assert [told[number] for number in numbers] == kept["source"].to_pylist()
        counted = {each["name"]: each["kept"] for each in facts(out, name)["sources"]}
        assert counted == {one: kept["source"].to_pylist().count(one) for one in told}
    assert set(rows(out, "splits/whole")["uid"].to_pylist()) == set(uids(out, "near")) | samples["reference"]
    assert "source" not in rows(out, "splits/near").column_names
    assert not (out / "splits/near/sources.npy").exists()


def test_captions_are_composed_of_the_class_and_follow_the_sample(out: Path) -> None:
    whole = rows(out, "splits/whole").to_pylist()
    assert {row["caption"] for row in whole if row["source"] == "reference"} == {
        f"a photo of a {row['label']}" for row in whole if row["source"] == "reference"
    }
    pool = {row["uid"]: row["caption"] for row in rows(out, "samples/pool").to_pylist()}
    assert all(row["caption"] == pool[row["uid"]] for row in whole if row["source"] == "pool")
    shared = {
        row["uid"]: row for row in rows(out, "splits/shared").to_pylist() if row["source"] == "renditions"
    }
    forms = {row["caption"].replace(row["label"], "X") for row in shared.values()}
    assert forms == {"a X", "the X."}
    assert "bird" not in {row["label"] for row in shared.values()}
    joined = rows(out, "splits/joined").to_pylist()
    again = [row for row in joined if row["source"] == "renditions"]
    assert again
    assert all(row["caption"] == shared[row["uid"]]["caption"] for row in again)


def test_a_set_fills_what_the_pool_lacks_of_a_histogram_and_the_sides_match(out: Path) -> None:
    reference, more = (
        Counter(rows(out, f"samples/{name}")["label"].to_pylist()) for name in ("reference", "renditions")
    )
    pool = Counter(LABELS[at] for at in rows(out, "measures/classes")["single"].to_pylist() if at is not None)
    kept = {"filled": Counter[tuple[str, str]](), "matched": Counter[tuple[str, str]]()}
    for name, counts in kept.items():
        for row in rows(out, f"splits/{name}").to_pylist():
            own = row["source"] == "pool"
            counts[row["source"], LABELS[row["classes"]["single"]] if own else row["label"]] += 1
    for label, n in reference.items():
        filled = min(max(n - pool[label], 0), more[label])
        assert kept["filled"]["pool", label] == min(n, pool[label])
        assert kept["filled"]["renditions", label] == filled
        assert kept["matched"]["pool", label] == kept["matched"]["reference", label] == min(n, pool[label])
    assert any(kept["filled"]["renditions", label] for label in reference)
    step = facts(out, "filled")["waterfall"]["dropped"][0]
    lacks = sum(max(n - pool[label] - more[label], 0) for label, n in reference.items())
    assert step.get("short", 0) == lacks
    assert facts(out, "filled")["sources"][1]["name"] == "renditions"


def test_a_control_takes_as_many_of_the_pool(out: Path) -> None:
    assert facts(out, "control")["kept"] == facts(out, "near")["kept"]
    assert set(uids(out, "less")) == set(uids(out, "whole")) - set(uids(out, "shared"))


def test_an_export_writes_samples_of_every_set(out: Path, small_world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    with Progress(copy, live=False) as progress:
        export(copy, ExportRequest("joined", samples_per_shard=16), RunOptions(), progress)
    found = {uid: members for _, uid, members in grouped(copy / "shards/joined")}
    kept = {row["uid"]: row for row in rows(out, "splits/joined").to_pylist()}
    assert found.keys() == kept.keys()
    folders = {"reference": small_world / "reference", "renditions": small_world / "benchmarks/rendition"}
    seen = set()
    for uid, row in kept.items():
        members = found[uid]
        assert json.loads(members["json"])["uid"] == uid
        assert members["txt"].decode() == row["caption"]
        if row["source"] in folders:
            file = folders[row["source"]] / row["key"]
            assert members.keys() == {file.suffix[1:], "txt", "json"}
            assert members[file.suffix[1:]] == file.read_bytes()
        seen.add(row["source"])
    assert seen == {"pool", *folders}
    card = (copy / "shards/joined/README.md").read_text()
    held = ", ".join(f"{one['kept']} of `{one['name']}`" for one in facts(out, "joined")["sources"])
    assert f"The samples come from several sets: {held}." in card
    assert "It starts from other splits of the pool, `shared` or `whole`, whose rules follow." in card
    drawn = draw_flat_atlas(copy, AtlasRequest("joined"))
    own = [uid for uid, row in kept.items() if row["source"] == "pool"]
    assert (drawn["samples"], drawn["of"]) == (len(own), len(own))
    assert set(read_parquet(copy / "atlases/joined.parquet").column("uid").to_pylist()) == set(own)
    assert verify(copy).problems == []


def test_verify_decides_again_and_finds_a_set_that_is_another(out: Path, tmp_path: Path) -> None:
    assert verify(out).problems == []
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    path = copy / "splits/whole/sources.npy"
    numbers = np.load(path)
    np.save(path, numbers[::-1])
    assert any("splits/whole/sources.npy" in problem for problem in verify(copy).problems)
