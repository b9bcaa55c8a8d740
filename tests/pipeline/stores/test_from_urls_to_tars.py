"""From a list of URLs to tars that a trainer reads, with processes that die and a store that fails: nothing is lost.

One plan twice, on a disk and on a store; every row of the list ends in one way that is named, and the bytes agree.
"""

from __future__ import annotations

import importlib.util
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
import trainers_loader
import whole_runs
from forked_commands import Forker
from hostile_server import Server, hostile_server
from PIL import Image
from store_proxy import Faults
from trainers_loader import pixels
from url_world import UrlWorld, drawn_world, real_world, write_plan, write_world

from pipeline.stores.working_copies import folder_of

if importlib.util.find_spec("webdataset") is None:
    pytest.skip("webdataset comes with the extra `train`", allow_module_level=True)
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
    """How a row of the list ended: `failed`, `cut` or `exported`, why or in which tar, and as which bytes there."""

    kind: str
    why: str
    image: bytes = b""


@pytest.fixture(scope="module")
def web() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


def run_to_its_end(forked: Forker, folder: Path, points: tuple[str, ...], **environment: str) -> None:
    """Run the plan once for each point, at which it is killed, and then to its end."""
    for point in points:
        status, said = forked("run", "plan.yaml", folder=folder, **environment, NEARFAR_FAILPOINT=point)
        assert status == KILLED, f"{point}: {said}"
    status, said = forked("run", "plan.yaml", folder=folder, **environment)
    assert status == 0, said


def outcomes(pool: Path, out: Path) -> list[Outcome]:
    """Say how each row of the list ended, in its order, from the files that a user reads."""
    tables = [pq.read_table(path).to_pylist() for path in sorted((pool / "shards").glob("*.parquet"))]
    uid_of = {row["key"]: row["uid"] for row in pq.read_table(out / "samples/pool").to_pylist()}
    again = {row["uid"] for row in pq.read_table(out / "lost/duplicates/pool").to_pylist()}
    dropped = {row["uid"]: row["rule"] for row in pq.read_table(out / "splits/pruned/dropped").to_pylist()}
    exported = {
        uid: outcome
        for path in sorted((out / "shards/pruned").glob("*.tar"))
        for uid, outcome in images(path)
    }
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
            ends += [exported[uid]] if uid in exported else []
        seen.add(uid)
        assert len(ends) == 1, (row, ends)
        found += ends
    return found


def images(path: Path) -> Iterator[tuple[str, Outcome]]:
    """Read the images of an exported tar, with the uids that they are called by."""
    with tarfile.open(path) as tar:
        for member in tar:
            uid, _, suffix = member.name.partition(".")
            content = tar.extractfile(member)
            if suffix in ("jpg", "png") and content is not None:
                yield uid, Outcome("exported", path.name, content.read())


def check_accounts(world: UrlWorld, found: list[Outcome], out: Path) -> None:
    """Compare how rows ended with how they were made to end, and the counts with those that the run says."""
    assert len(found) == len(world.rows)
    ends = {row.path: end for row, end in zip(world.rows, found, strict=True) if not row.again}
    once = [row for row in world.rows if not row.again]
    assert {path: end.why for path, end in ends.items() if end.kind == "failed"} == {
        row.path: row.why for row in once if row.why
    }
    assert found[-1] == Outcome("failed", "repeated")
    assert {ends[row.path] for row in once if row.near} == {Outcome("cut", "1:near")}
    short = {ends[row.path].why for row in once if row.body and world.is_short(row)}
    assert "2:where" in short
    assert short <= {"1:near", "2:where"}
    assert all(
        end.image == row.body for row, end in zip(world.rows, found, strict=True) if end.kind == "exported"
    )
    kinds = Counter(end.kind for end in found)
    assert kinds["exported"] > 8, "there is something to train on, in more than one tar"
    said = json.loads((out / "splits/pruned/split.json").read_text())["waterfall"]
    assert said["kept"] == kinds["exported"]
    lost = sum(said["failed"].values()) + sum(said["quarantined"].values()) + said["duplicates"]
    assert (said["rows_in"], lost) == (len(world.rows), kinds["failed"])
    assert sum(one["dropped"] for one in said["dropped"]) == kinds["cut"]
    assert kinds["exported"] + kinds["cut"] == sum(bool(row.body) for row in once)
    assert sum(json.loads((out / "shards/pruned/sizes.json").read_text()).values()) == kinds["exported"]


def check_trainer(world: UrlWorld, found: list[Outcome], out: Path, forked: Forker) -> None:
    """Compare what open_clip's loader reads of the tars with the images that were served."""
    tars = "::".join(map(str, sorted((out / "shards/pruned").glob("*.tar"))))
    wanted = [row for row, end in zip(world.rows, found, strict=True) if end.kind == "exported"]
    status, said = forked(trainers_loader.__file__, tars, str(len(wanted)), folder=out)
    assert status == 0, said
    shown = Counter((pixels(Image.open(io.BytesIO(row.body))), row.caption) for row in wanted)
    assert Counter(tuple(json.loads(line)) for line in said.splitlines() if line.startswith("[")) == shown


def told(out: Path, name: str, places: tuple[str, str]) -> str:
    """Read a file of the report, with the places of pool and output under one name, wherever they are."""
    text = (out / name).read_text()
    for place, word in zip(places, ("POOL", "OUT"), strict=True):
        text = text.replace(place, word)
    return text


def world_of(name: str, request: pytest.FixtureRequest) -> UrlWorld:
    if name == "drawn":
        return drawn_world()
    data: Path = request.getfixturevalue("real_data")
    return real_world(data, 40, 40, 15) if name == "photographs" else real_world(data, 1000, 1000, 250)


SOAK = pytest.mark.soak
REAL = pytest.mark.real_data


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "disk", "stored"),
    [
        pytest.param("drawn", DISK, STORED, id="drawn"),
        pytest.param("photographs", DISK[1:], STORED[1:], marks=REAL, id="photographs"),
        pytest.param("drawn", EVERYWHERE, TORN, marks=SOAK, id="drawn-everywhere"),
        pytest.param("all photographs", EVERYWHERE, TORN, marks=(SOAK, REAL), id="photographs-everywhere"),
    ],
)
def test_every_url_is_accounted_for_on_a_disk_and_on_a_store(
    name: str,
    disk: tuple[str, ...],
    stored: tuple[str, ...],
    web: Server,
    forked: Forker,
    faults: Faults,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Many faults of tests/test_faults.py at once, and none shows in what came of it."""
    world = world_of(name, request)
    folder = tmp_path / "list"
    folder.mkdir()
    write_world(folder, world, web)
    here = (str(tmp_path / "pool"), str(tmp_path / "out"))
    write_plan(folder, world, *here)
    run_to_its_end(forked, folder, disk)
    on_disk = outcomes(*map(Path, here))
    check_accounts(world, on_disk, tmp_path / "out")
    check_trainer(world, on_disk, tmp_path / "out", forked)

    store = f"{STORE}/{name.replace(' ', '-')}-{len(stored)}"
    there = (f"{store}/pool", f"{store}/out")
    write_plan(folder, world, *there)
    for fault in FAULTS:
        faults.add(*fault)
    who = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    run_to_its_end(forked, folder, stored, **who, NEARFAR_COPIES=str(tmp_path / "one machine"))
    assert faults.left() == 0
    another = str(tmp_path / "another machine")
    for place in there:
        status, said = forked("verify", place, folder=folder, **who, NEARFAR_COPIES=another)
        assert (status, "all well" in said) == (0, True), said
    monkeypatch.setenv("NEARFAR_COPIES", another)
    pool, out = map(folder_of, there)
    assert outcomes(pool, out) == on_disk

    assert whole_runs.committed(pool) == whole_runs.committed(tmp_path / "pool")
    stored_as, kept_as = whole_runs.committed(out), whole_runs.committed(tmp_path / "out")
    report = {"report/audit.json", "report/report.html"}
    assert stored_as.keys() == kept_as.keys()
    assert {path for path in kept_as if kept_as[path] != stored_as[path]} <= report
    for name in sorted(report):
        assert told(tmp_path / "out", name, here) == told(out, name, there)
