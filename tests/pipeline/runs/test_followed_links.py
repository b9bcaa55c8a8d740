"""A link farm, as people make of ImageNet: its images are read where the set says so, and what changes is seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import whole_runs
from PIL import Image
from whole_runs import Run

TINY = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def test_a_pool_of_links_runs_with_its_captions_and_sees_new_files(tmp_path: Path, cli: Run) -> None:
    for seed in range(3):
        picture(tmp_path / "imagenet" / "train" / f"n0{seed % 2}" / f"{seed}.png", seed)
    table = tmp_path / "imagenet" / "train" / "metadata.csv"
    table.write_text("file_name,text\nn00/0.png,a\nn00/2.png,b\n")
    picture(tmp_path / "bench" / "0.png", 0)
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "train").symlink_to(tmp_path / "imagenet" / "train")
    named = ["--pool", str(tmp_path / "pool"), "--benchmark", f"one={tmp_path / 'bench'}"]
    encoder = ["--model", str(TINY), "--pretrained", str(TINY / "open_clip_model.safetensors")]
    wanted = ["audit", *named, *encoder, "--out", str(tmp_path / "out")]
    code, _, errors = cli(*wanted)
    assert (code, "set follow_links: true for this set" in errors) == (2, True)
    code, _, errors = cli(*wanted, "--set", "pool.follow_links=true")
    assert code == 0, errors
    audit = tmp_path / "out" / "report" / "audit.json"
    found = json.loads(audit.read_text())
    assert found["rows"]["pool"]["measured"] == 3
    assert found["benchmarks"]["one"]["verdict"]["level"] == "identical"
    picture(tmp_path / "imagenet" / "train" / "n01" / "new.png", 9)
    code, _, errors = cli(*wanted, "--set", "pool.follow_links=true")
    assert code == 0, errors
    assert json.loads(audit.read_text())["rows"]["pool"]["measured"] == 4
