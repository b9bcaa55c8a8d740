"""What is written opens in the tools that people have, and they see the split: its samples, as often as they count."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.execution.progress import Progress
from pipeline.plan import load_plan
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.webdataset.export_request import ExportRequest

pytestmark = pytest.mark.filterwarnings("ignore")  # of others' packages, at their import
_BLOCK = re.compile(r"```python\n(?:import|from) (\w+).*?\n(\w+) = .*?```", re.DOTALL)
KEPT, OFTEN, PLAIN = 24, "often", "plain"
Seen = Counter[tuple[str, str]]
"""How often each uid came with which caption."""


@pytest.fixture(scope="module")
def out(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with two exports: of the first, every other sample counts twice."""
    folder = tmp_path_factory.mktemp("opened")
    twice = {"repeat": {"times": "1 + length(caption) % 2"}}
    plan = {
        "name": "opened",
        "pool": {"path": str(small_world / "pool"), "format": "img2dataset"},
        "splits": {PLAIN: [{"random": {"keep": KEPT}}], OFTEN: {"from": PLAIN, "rules": [twice]}},
        "output": str(folder / "out"),
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    with Progress(folder / "out", live=False) as progress:
        execute(load_plan(folder / "plan.yaml", []), RunOptions(), progress)
        for split in (PLAIN, OFTEN):
            export(folder / "out", ExportRequest(split, samples_per_shard=9), RunOptions(), progress)
    return folder / "out"


@pytest.fixture(autouse=True)
def _in_the_folder(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where the tars are, as the card says, without a network, and leave nothing elsewhere."""
    monkeypatch.chdir(out / "shards" / OFTEN)
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "croissant"))


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("datasets", reason="datasets comes with the extra `dev`")
    monkeypatch.setattr(module.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(module.config, "HF_HUB_OFFLINE", True)
    return module


@pytest.fixture
def croissant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = pytest.importorskip("mlcroissant", reason="mlcroissant comes with the extra `dev`")
    from mlcroissant._src.operation_graph.operations import extract

    monkeypatch.setattr(extract, "EXTRACT_PATH", type(extract.EXTRACT_PATH)(str(tmp_path / "unpacked")))
    return module


@pytest.fixture(scope="module")
def wanted(out: Path) -> Seen:
    rows = pq.read_table(out / f"splits/{OFTEN}/part-0000.parquet").to_pylist()
    found: Seen = Counter()
    for row in rows:
        found[row["uid"], row["caption"]] += row["repeat"]
    assert set(found.values()) == {1, 2}
    assert len(found) == KEPT
    return found


def seen(rows: Iterable[Any]) -> Seen:
    return Counter((row["uid"], row["caption"]) for row in rows)


def blocks(card: str) -> dict[str, str]:
    """The card's commands, by the package that they use and what they make."""
    return {f"{found[1]} {found[2]}": found[0] for found in _BLOCK.finditer(card)}


def run(block: str) -> Any:
    names: dict[str, Any] = {}
    exec(block.strip("`").removeprefix("python"), names)
    return names.get("samples", names.get("listing", names.get("found")))


def test_every_command_of_the_card_sees_the_split(wanted: Seen, datasets: Any, croissant: Any) -> None:
    pytest.importorskip("webdataset", reason="webdataset comes with the extra `train`")
    told = blocks(Path("README.md").read_text("utf-8"))
    assert list(told) == [
        "webdataset samples",
        "datasets samples",
        "datasets listing",
        "duckdb found",
        "mlcroissant samples",
    ]
    pairs = [(image.size, caption) for image, caption in run(told["webdataset samples"])]
    assert Counter(caption for _, caption in pairs) == _captions(wanted)
    of_tars = run(told["datasets samples"])
    assert Counter((row["json"]["uid"], row["txt"]) for row in of_tars) == wanted
    assert Counter((row["jpg"].size, row["txt"]) for row in of_tars) == Counter(pairs)
    assert seen(run(told["datasets listing"])) == wanted
    assert Counter(run(told["duckdb found"]).fetchall()) == wanted
    records = list(run(told["mlcroissant samples"]))
    assert Counter((_text(one, "uid"), _text(one, "caption")) for one in records) == wanted
    assert Counter((one["samples/image"].size, _text(one, "caption")) for one in records) == Counter(pairs)
    assert {_text(one, "uid") for one in records} == {
        json.loads(_text(one, "json"))["uid"] for one in records
    }
    assert len({_text(one, "key") for one in records}) == len(records) == wanted.total()


def _captions(wanted: Seen) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, caption), times in wanted.items():
        found[caption] += times
    return found


def _text(record: dict[str, Any], name: str) -> str:
    value = record[f"samples/{name}"]
    return value.decode() if isinstance(value, bytes) else value


def test_the_folder_is_a_dataset_of_its_card(wanted: Seen, datasets: Any, out: Path) -> None:
    (split,) = datasets.load_dataset(str(out / "shards" / OFTEN)).items()
    assert split[0] == "train"
    assert Counter((row["json"]["uid"], row["txt"]) for row in split[1]) == wanted


def test_croissant_is_valid_and_its_digests_are_those_of_the_files(croissant: Any) -> None:
    described = croissant.Dataset("croissant.json").metadata
    assert not described.ctx.issues.errors
    objects = {one.id: one for one in described.distribution if hasattr(one, "sha256") and one.sha256}
    there = {path.name for path in Path().iterdir() if not path.name.endswith("_stats.json")}
    assert set(objects) == there - {"README.md", "croissant.json"}
    for name, one in objects.items():
        content = Path(name).read_bytes()
        assert one.sha256 == hashlib.sha256(content).hexdigest()
        assert one.content_size == f"{len(content)} B"


def test_tables_open_everywhere_as_one(wanted: Seen, out: Path) -> None:
    listed = "*.parquet"
    assert seen(pl.read_parquet(listed).iter_rows(named=True)) == wanted
    assert seen(duckdb.sql(f"SELECT uid, caption FROM '{listed}'").df().to_dict("records")) == wanted
    frames = pd.concat(map(pd.read_parquet, sorted(Path().glob(listed))))
    assert seen(frames.to_dict("records")) == wanted
    once = Counter(dict.fromkeys(wanted, 1))
    for table in (out / f"splits/{OFTEN}", out / f"splits/{PLAIN}"):
        assert seen(pl.read_parquet(table / "part-*.parquet").iter_rows(named=True)) == once
        assert seen(pd.read_parquet(table / "part-0000.parquet").to_dict("records")) == once
        assert duckdb.sql(f"SELECT count(DISTINCT uid) FROM '{table}/part-*.parquet'").fetchall() == [(KEPT,)]


def members(tar: Path) -> Iterator[dict[str, bytes]]:
    """The samples of a tar, as the resharder groups them: one begins where the key changes."""
    sample: dict[str, bytes] = {}
    before = ""
    with tarfile.open(tar) as opened:
        for member in opened:
            key, _, kind = member.name.partition(".")
            if sample and key != before:
                yield sample
                sample = {}
            before = key
            sample[kind] = opened.extractfile(member).read()  # type: ignore[union-attr]
    if sample:
        yield sample


def resharded(tars: Iterable[Path], subset: Path) -> Counter[str]:
    """DataComp's resharder: a sample counts as often as the uid in its json is in the subset."""
    names = np.load(subset)
    assert names.dtype == np.dtype("u8,u8")
    assert (np.sort(names) == names).all()
    found: Counter[str] = Counter()
    for sample in (sample for tar in tars for sample in members(tar)):
        uid = json.loads(sample["json"]).get("uid", "")
        if uid:
            name = np.array((int(uid[:16], 16), int(uid[16:32], 16)), names.dtype)
            found[uid] += int(np.searchsorted(names, name, "right") - np.searchsorted(names, name, "left"))
    return +found


def test_datacomps_resharder_finds_in_an_export_what_it_does_not_find_in_the_pool(
    out: Path, small_world: Path, wanted: Seen
) -> None:
    subset, folder = out / f"splits/{PLAIN}/uids.npy", out / "shards" / PLAIN
    tars = sorted(folder.glob("*.tar"))
    assert not resharded(sorted((small_world / "pool").glob("*.tar")), subset)
    assert resharded(tars, subset) == Counter({uid: 1 for uid, _ in wanted})
    for tar in tars:  # it asks how many samples each has
        assert re.fullmatch(r"\d{8}\.tar", tar.name)
        stated = json.loads(tar.with_name(f"{tar.stem}_stats.json").read_text())
        assert stated["successes"] == len(list(members(tar)))


def test_the_subset_of_repeated_samples_says_how_often(out: Path, wanted: Seen) -> None:
    names = np.load(out / f"splits/{OFTEN}/uids.npy")
    assert Counter(f"{high:016x}{low:016x}" for high, low in names.tolist()) == Counter(
        {uid: times for (uid, _), times in wanted.items()}
    )
