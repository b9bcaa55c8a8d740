"""From a list of URLs to tars that a trainer reads, with processes that die and a store that fails: nothing is lost.

One plan twice, on a disk and on a store; every row of the list ends in one way that is named, and the bytes agree.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import whole_runs
from forked_commands import Command, forking
from hostile_server import hostile_server
from PIL import Image
from store_proxy import Faults
from trainers_loader import loaded, pixels
from url_world import DRAWN, FAILED, FEW_WORDS, NEAR, Listed, drawn, write_plan, write_world
from whole_runs import Run

from pipeline.stores.working_copies import folder_of

pytest.importorskip("webdataset", reason="webdataset comes with the extra `train`")
KILLED = -9
STORE = "s3://bucket/from-urls"
DISK = ("unit.read=kill@3", "unit.gather=kill@2")
"""Where runs into a folder are killed, one after the other; the next one goes on."""
STORED = ("unit.fetch=kill@2", "unit.split=kill")
"""The same where what counts is on a store."""
EVERYWHERE = tuple(
    f"unit.{stage}=kill"
    for stage in ("cut", "fetch", "hosts", "read", "index", "measure", "split", "report", "locate", "export")
)
TORN = (
    *("store.uploaded=kill@2", "store.before_record=kill@9", "store.after_record=kill@5"),
    *("unit.split=kill", "unit.gather=kill"),
)
FAULTS = (("503", "PUT", "shards/"), ("lost", "PUT", "commits/read"), ("409 after", "PUT", "commits/split"))
"""What the store does besides, by the part of an object's name that it is done to."""


@dataclass(frozen=True)
class Outcome:
    """How a row of the list ended: `failed`, `cut` or `exported`, and why or where."""

    kind: str
    why: str


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Listed]]]:
    """The list and the sets in a folder, and the server that has the images."""
    folder = tmp_path_factory.mktemp("urls")
    with hostile_server() as server:
        yield folder, write_world(folder, server)


@pytest.fixture(scope="module")
def forked(listed: tuple[Path, list[Listed]]) -> Iterator[Command]:
    with forking(listed[0]) as command:
        yield command


def run_to_its_end(command: Command, points: tuple[str, ...], **environment: str) -> str:
    """Run the plan once for each point, at which it is killed, and then to its end; what that said."""
    for point in points:
        status, said = command("run", "plan.yaml", **environment, NEARFAR_FAILPOINT=point)
        assert status == KILLED, f"{point}: {said}"
    status, said = command("run", "plan.yaml", **environment, NEARFAR_FAILPOINT="")
    assert status == 0, said
    return said


def outcomes(pool: Path, out: Path) -> list[Outcome]:
    """Say how each row of the list ended, in its order, from the files that a user reads."""
    tables = [pq.read_table(path).to_pylist() for path in sorted((pool / "shards").glob("*.parquet"))]
    uid_of = {row["key"]: row["uid"] for row in pq.read_table(out / "samples/pool").to_pylist()}
    again = {row["uid"] for row in pq.read_table(out / "lost/duplicates/pool").to_pylist()}
    dropped = {row["uid"]: row["rule"] for row in pq.read_table(out / "splits/pruned/dropped").to_pylist()}
    exported: dict[str, str] = {}
    for path in sorted((out / "shards/pruned").glob("*.tar")):
        with tarfile.open(path) as tar:
            exported |= {name.partition(".")[0]: path.name for name in tar.getnames()}
    seen: set[str] = set()
    found = []
    for row in (row for table in tables for row in table):
        if row["status"] != "success":
            found.append(Outcome("failed", row["error_message"]))
            continue
        uid = uid_of[row["key"]]
        ends = [Outcome("failed", "repeated")] if uid in seen and uid in again else []
        if uid not in seen:
            ends += [Outcome("cut", dropped[uid])] if uid in dropped else []
            ends += [Outcome("exported", exported[uid])] if uid in exported else []
        seen.add(uid)
        assert len(ends) == 1, (row, ends)
        found += ends
    return found


def check_accounts(listed: list[Listed], found: list[Outcome], out: Path) -> None:
    """Compare how rows ended with how they were made to end, and the counts with those that the run says."""
    assert len(found) == len(listed)
    ends = {one.path: end for one, end in zip(listed, found, strict=True) if not one.again}
    assert {path: end.why for path, end in ends.items() if end.kind == "failed"} == FAILED
    assert found[-1] == Outcome("failed", "repeated")
    assert {ends[f"/drawn/{number}.png"] for number in NEAR} == {Outcome("cut", "1:near")}
    short = {ends[f"/drawn/{number}.png"].why for number in FEW_WORDS}
    assert "2:where" in short
    assert short <= {"1:near", "2:where"}
    kinds = Counter(end.kind for end in found)
    assert kinds["exported"] >= 8, "there is something to train on"
    said = json.loads((out / "splits/pruned/split.json").read_text())["waterfall"]
    assert said["kept"] == kinds["exported"]
    lost = sum(said["failed"].values()) + sum(said["quarantined"].values()) + said["duplicates"]
    assert (said["rows_in"], lost) == (len(listed), kinds["failed"])
    assert sum(one["dropped"] for one in said["dropped"]) == kinds["cut"]
    assert kinds["exported"] + kinds["cut"] == DRAWN - 1
    assert sum(json.loads((out / "shards/pruned/sizes.json").read_text()).values()) == kinds["exported"]


def check_trainer(listed: list[Listed], found: list[Outcome], out: Path) -> None:
    """Compare what open_clip's loader reads of the tars with the images that were served."""
    tars = sorted((out / "shards/pruned").glob("*.tar"))
    served = {
        one.path: (Image.open(io.BytesIO(drawn(one.number))), one.caption)
        for one in listed
        if one.number >= 0
    }
    wanted = [served[one.path] for one, end in zip(listed, found, strict=True) if end.kind == "exported"]
    assert len(tars) > 1
    shown = Counter((pixels(image), caption) for image, caption in wanted)
    assert Counter(loaded("::".join(map(str, tars)), train=True, samples=len(wanted))) == shown


def told(out: Path, name: str, places: tuple[str, str]) -> str:
    """Read a file of the report, with the places of pool and output under one name, wherever they are."""
    text = (out / name).read_text()
    for place, word in zip(places, ("POOL", "OUT"), strict=True):
        text = text.replace(place, word)
    return text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset closes no file
@pytest.mark.parametrize(
    ("disk", "stored"),
    [(DISK, STORED), pytest.param(EVERYWHERE, TORN, marks=pytest.mark.soak)],
    ids=("few", "everywhere"),
)
def test_every_url_is_accounted_for_on_a_disk_and_on_a_store(
    disk: tuple[str, ...],
    stored: tuple[str, ...],
    listed: tuple[Path, list[Listed]],
    forked: Command,
    faults: Faults,
    cli: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many faults of tests/test_faults.py at once, and none shows in what came of it."""
    folder, rows = listed
    here = (str(tmp_path / "pool"), str(tmp_path / "out"))
    write_plan(folder, *here)
    run_to_its_end(forked, disk)
    on_disk = outcomes(*map(Path, here))
    check_accounts(rows, on_disk, tmp_path / "out")
    check_trainer(rows, on_disk, tmp_path / "out")

    store = f"{STORE}/{len(stored)}"
    there = (f"{store}/pool", f"{store}/out")
    write_plan(folder, *there)
    for fault in FAULTS:
        faults.add(*fault)
    who = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    run_to_its_end(forked, stored, **who, NEARFAR_COPIES=str(tmp_path / "one machine"))
    assert faults.left() == 0
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "another machine"))
    for place in there:
        code, said, wrong = cli("verify", place)
        assert (code, "all well" in said) == (0, True), said + wrong
    pool, out = map(folder_of, there)
    assert outcomes(pool, out) == on_disk

    assert whole_runs.committed(pool) == whole_runs.committed(tmp_path / "pool")
    stored_as, kept_as = whole_runs.committed(out), whole_runs.committed(tmp_path / "out")
    report = {"report/audit.json", "report/report.html"}
    assert stored_as.keys() == kept_as.keys()
    assert {path for path in kept_as if kept_as[path] != stored_as[path]} <= report
    for name in sorted(report):
        assert told(tmp_path / "out", name, here) == told(out, name, there)
