"""open_clip's own trainer reads an exported split: exactly its samples, captions equal, as often as they count."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import whole_runs
import yaml
from export_pool import grouped
from last_objects import last_object
from PIL import Image
from trainers_loader import loaded, pixels
from whole_runs import Run

from pipeline.ending.exported_lines import trainers_command
from pipeline.execution.progress import Progress
from pipeline.plan import load_plan
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.webdataset.export_request import ExportRequest
from pipeline.webdataset.kept_samples import KeptSamples

pytest.importorskip("webdataset", reason="webdataset comes with the extra `train`")
SPLIT, KEPT = "some", 30
TINY = whole_runs.ROOT / "data_manifests/encoders/tiny"
Seen = Counter[tuple[str, str]]


@pytest.fixture(scope="module")
def exported(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a plan over the rendered world's pool: 30 samples of it, some of them twice."""
    folder = tmp_path_factory.mktemp("trained")
    rules = [
        {"random": {"keep": KEPT}},
        {"repeat": {"times": "CASE WHEN length(caption) % 2 = 0 THEN 2 ELSE 1 END"}},
    ]
    plan = {
        "name": "trained",
        "pool": {"path": str(small_world / "pool"), "format": "img2dataset"},
        "splits": {SPLIT: rules},
        "output": str(folder / "out"),
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    with Progress(folder / "out", live=False) as progress:
        execute(load_plan(folder / "plan.yaml", []), RunOptions(), progress)
        export(folder / "out", ExportRequest(SPLIT, samples_per_shard=9), RunOptions(), progress)
    return folder / "out"


def shards(out: Path) -> str:
    """The split's tars, as open_clip is told of them."""
    count = len(list((out / "shards" / SPLIT).glob("*.tar")))
    return f"{out}/shards/{SPLIT}/{{{0:08d}..{count - 1:08d}}}.tar"


def wanted(out: Path, pool: Path) -> Seen:
    """What the split is, by its table and the pool's own tars: pixels and caption of each sample, with repeats."""
    table = pq.read_table(out / "splits" / SPLIT / "part-0000.parquet", columns=["key", "repeat"])
    times = dict(zip(*table.to_pydict().values(), strict=True))
    return Counter({
        (pixels(Image.open(io.BytesIO(of["jpg"]))), of["txt"].decode()): times[key]
        for _, key, of in grouped(pool) if key in times
    })  # fmt: skip


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # they close no file
@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
def test_its_loader_sees_exactly_the_split(exported: Path, small_world: Path, train: bool) -> None:
    expected = wanted(exported, small_world / "pool")
    assert len(expected) == KEPT
    assert set(expected.values()) == {1, 2}
    assert Counter(loaded(shards(exported), train)) == expected


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_its_loader_sees_the_split_in_the_pools_own_tars(
    exported: Path, small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = importlib.import_module("open_clip_train.data")
    kept = KeptSamples(exported, SPLIT, reading=data.tarfile_to_samples_nothrow)
    kept = pickle.loads(pickle.dumps(kept))
    monkeypatch.setattr(data, "tarfile_to_samples_nothrow", kept)
    tars = "::".join(str(path) for path in sorted((small_world / "pool").glob("*.tar")))
    expected = wanted(exported, small_world / "pool")
    assert len(kept) == sum(expected.values())
    assert Counter(loaded(tars, train=True, samples=len(kept))) == expected


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_its_loader_passes_over_is_counted(exported: Path, tmp_path: Path, cli: Run) -> None:
    """Images of a folder may be of kinds that it does not look for, and have no caption."""
    more = tmp_path / "more"
    more.mkdir()
    kinds = ("bmp", "tiff", "gif", "JPEG", "png", "webp", "jpg")
    for number, kind in enumerate(kinds):
        Image.new("RGB", (40, 40), (30 * number, 0, 0)).save(more / f"{number}.{kind}")
        if kind != "jpg":
            (more / f"{number}.txt").write_text(f"number {number}")
    plan = yaml.safe_load((exported / "../plan.yaml").read_text()) | {"output": str(tmp_path / "out")}
    plan["sources"] = {"more": {"path": str(more), "format": "image-folder"}}
    plan["splits"] = {"added": [{"random": {"keep": 3}}, {"add": {"source": "more"}}]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    assert cli("run", str(tmp_path / "plan.yaml"))[0] == 0
    code, said, errors = cli("export", str(tmp_path / "out"), "added")
    assert code == 0, errors
    assert "passes over samples without a caption: 1 of them" in said
    assert "passes over samples without an image that ends in .jpg, .png, .jpeg, .webp: 3 of them" in said
    tar = str(tmp_path / "out/shards/added/00000000.tar")
    assert len(list(loaded(tar, train=False))) == 10 - 1 - 3
    code, said, _ = cli("export", str(tmp_path / "out"), "added", "--json")
    answer = last_object(said)
    assert (answer["samples"], answer["without_caption"], answer["without_image"]) == (10, 1, 3)


@pytest.mark.slow
def test_its_trainer_takes_two_steps(exported: Path, small_world: Path, tmp_path: Path) -> None:
    samples = sum(wanted(exported, small_world / "pool").values())
    batch, folder = -(-samples // 2), exported / "shards" / SPLIT
    program, *arguments = shlex.split(trainers_command(str(folder), len(list(folder.glob("*.tar")))))
    assert program == "python"
    model = ["--model", f"local-dir:{TINY}", "--device", "cpu", "--precision", "fp32", "--logs", tmp_path]
    steps = ["--batch-size", str(batch), "--epochs", "1", "--log-every-n-steps", "1", "--warmup", "1"]
    done = subprocess.run(
        [sys.executable, *arguments, *model, *steps, "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    said = done.stderr + done.stdout
    assert f"Train Epoch: 0 [{batch}/{2 * batch} (50%)]" in said
    assert f"Train Epoch: 0 [{2 * batch}/{2 * batch} (100%)]" in said
    assert "webdataset error" not in said


def test_datacomps_subset_file_names_what_was_exported(exported: Path) -> None:
    """Each uid of the tars' json is looked up in `uids.npy` as DataComp's resharder does: by two searches."""
    pairs = np.dtype("u8,u8")
    subset = np.load(exported / "splits" / SPLIT / "uids.npy", mmap_mode="r")
    assert subset.dtype == pairs
    samples = grouped(exported / "shards" / SPLIT)
    found = Counter(json.loads(of["json"])["uid"] for *_, of in samples)
    times = {}
    for uid in found:
        key = np.array([(int(uid[:16], 16), int(uid[16:32], 16))], pairs)[0]
        times[uid] = int(np.searchsorted(subset, key, "right") - np.searchsorted(subset, key, "left"))
    assert times == found
    assert sum(times.values()) == len(subset) == len(samples)
