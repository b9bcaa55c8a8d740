"""A plan that uses every measure, and comes to units of every stage, on a rendered world."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from PIL import Image
from whole_runs import ROOT

TINY = ROOT / "data_manifests" / "encoders" / "tiny"
MEASURES: dict[str, Any] = {
    "clusters": {"k": 4, "target": "photo", "levels": [2]},
    "captions": None,
    "word_kinds": None,
    "classes": {"matcher": "substring"},
    "class_similarity": {"template": "a photo of a {name}", "best": True},
    "clip_score": None,
    "neg_clip_loss": None,
    "norm_sim": {"to": "sketch", "norm": 2},
    "near_photo": {"measure": "norm_sim", "to": "photo"},
    "cluster_size": None,
    "density": None,
    "duplicates": None,
    "hard": {"measure": "duplicates", "rule": "semdedup", "keep": "hard", "at_least": 0.8},
    "thinning": None,
    "norm_sim_d": {"iterations": 3, "fraction": 0.5},
    "domain": {"precision": 0.05, "benchmarks": ["photo", "sketch"]},
}
SPLITS: dict[str, Any] = {
    "whole": [{"where": "true"}],
    "pruned": [{"near": {"to": "all"}}],
    "control": [{"random": {"like": "pruned", "seed": 1}}],
    "core": [{"far": {"to": "all", "keep": 20}}],
    "mixed": {
        "from": {"union": ["core", "control"]},
        "rules": [{"cap": {"by": "clusters.cluster", "most": 9}}],
    },
    "tall": [{"domain": {"take": ["tall", "ambiguous"]}}],
    "unique": [{"dedup": {"epsilon": 0.124}}, {"repeat": {"times": "1 + length(caption) % 2"}}],
    "joined": [{"near": {"to": "all"}}, {"add": {"source": "reference", "template": "a photo of a {class}"}}],
    # Half of a set, so that a list of one neighbour is lost.
    "halved": [
        {"far": {"keep": 20}},
        {"add": {"source": "renditions", "rules": [{"random": {"fraction": 0.5}}]}},
    ],
    # What a set's rules read is measured of it; a set may be counted alone, and another fill what lacks.
    "silent": [
        {"add": {"source": "reference", "rules": [{"where": "captions.words IS NULL OR classes.single = 0"}]}}
    ],
    "filled": [
        {
            "class-balance": {
                "by": "label",
                "like": "reference",
                "fill": "renditions",
                "nearest": "length(key)",
            }
        }
    ],
    # Its captions are compared with the texts of the classes that their folders say.
    "nearest": [
        {"class-balance": {"by": "label", "counts": {"cat": 1, "bus": 9}, "fill": "captioned"}},
    ],
    "both": {"from": {"union": ["halved", "joined"]}, "rules": [{"random": {"fraction": 0.8}}]},
}


def domains_of(world: Path) -> list[tuple[str, str]]:
    """Two domains for the pool's samples: any will do."""
    keys = [key for path in sorted((world / "pool").glob("*.parquet")) for key in _keys(path)]
    return [(key, "tall" if place % 3 else "wide") for place, key in enumerate(keys)]


def _keys(path: Path) -> list[str]:
    table = pq.read_table(path, columns=["key", "status"]).to_pylist()
    return [row["key"] for row in table if row["status"] == "success"]


def _write_captioned(folder: Path) -> None:
    """A further set of five pictures with captions, in folders that say their class."""
    for at, (label, caption) in enumerate(
        [("cat", "a cat"), ("cat", "two"), ("bus", "a dog"), ("bus", ""), ("cow", "")]
    ):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (40 * at, 99, 200 - 30 * at)).save(folder / label / f"{at}.png")
        (folder / label / f"{at}.txt").write_text(caption, encoding="utf-8")


def write_measured_plan(folder: Path, world: Path, **changes: Any) -> Path:
    """Write the plan; one neighbour of each query is listed, so that splits lose whole lists."""
    names = folder / "classes.json"
    names.write_text(json.dumps([["cat"], ["dog"], ["car", "bus"], ["fish"], ["tree"], ["house"]]))
    _write_captioned(folder / "captioned")
    labels = folder / "labels.csv"
    labels.write_text("key,domain\n" + "".join(f"{key},{domain}\n" for key, domain in domains_of(world)))
    tags = folder / "tags.csv"
    tags.write_text("key,tag,probability\n" + "".join(f"{n:09d},cat,0.{n % 10}\n" for n in range(60)))
    plan: dict[str, Any] = {
        "name": "measured",
        "pool": {"path": str(world / "pool"), "format": "img2dataset"},
        "reference": {"path": str(world / "reference"), "format": "image-folder"},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "benchmarks": {
            name: {"path": str(world / "benchmarks" / name), "format": "image-folder"}
            for name in ("photo", "sketch")
        },
        "sources": {
            "renditions": {"path": str(world / "benchmarks" / "rendition"), "format": "image-folder"},
            "captioned": {"path": str(folder / "captioned"), "format": "image-folder"},
        },
        "measures": MEASURES
        | {name: MEASURES[name] | {"names": str(names)} for name in ("classes", "class_similarity")}
        | {"domain": MEASURES["domain"] | {"labels": str(labels)}}
        | {"tags": {"table": str(tags), "names": str(names), "both": "classes", "above": 0.5}},
        "splits": SPLITS,
        "neighbours": 1,
        "audit": {"spectra": ["pruned", "joined"]},
        "engine": {"unit_rows": 60},
        "output": str(folder / "out"),
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan | changes, sort_keys=False))
    return path
