"""Runs whose output is on a store: the same bytes as in a folder, on any machine, whatever dies meanwhile."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import whole_runs
from forked_commands import Forker
from store_servers import StoreServer
from stored_runs import ADDRESS, digests, forget_copy, stored, write_plan

from pipeline.commit.on_stores import object_name
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import copies_folder, folder_of, store_of


@pytest.fixture
def world(sets: Path, direct: StoreServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sets, and the server's bucket without former runs; commands are given in the folder `here`."""
    folder = sets / "here"
    write_plan(folder, sets, ADDRESS)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_a_run_on_a_store_is_the_run_in_a_folder(world: Path, sets: Path, cli: whole_runs.Run) -> None:
    code, said, wrong = cli("run", "plan.yaml")
    assert code == 0, wrong
    assert f"splits: {ADDRESS}/splits" in said
    on_store, copy = digests(), folder_of(ADDRESS)
    os.chdir(write_plan(sets / "there", sets, str(sets / "folder")).parent)
    assert cli("run", "plan.yaml")[0] == 0
    assert on_store == whole_runs.committed(sets / "folder")
    objects = {object_name(path, sha256): (copy / path).stat().st_size for path, sha256 in on_store.items()}
    records = {path.relative_to(copy).as_posix() for path in copy.glob("commits/*/*.json")}
    assert {name: size for name, size in stored().items() if name in objects} == objects
    assert stored().keys() - objects.keys() == records | {"plan.lock.yaml"}
    os.chdir(world)

    # Another machine, which has none of it, goes on from there, and makes nothing again.
    before, written = (
        stored(),
        {path: sha256 for path, sha256 in on_store.items() if path.startswith("splits/half/")},
    )
    forget_copy()
    code, said, wrong = cli("status", ADDRESS)
    assert (code, "small: finished" in said) == (0, True), wrong
    code, said, wrong = cli("verify", ADDRESS)
    assert (code, "all well" in said) == (0, True), wrong
    forget_copy()
    code, said, wrong = cli("run", "plan.yaml")
    assert (code, digests(), stored()) == (0, on_store, before), wrong
    report = Path(said.rpartition("report: ")[2].strip())
    assert hashlib.sha256(report.read_bytes()).hexdigest() == on_store["report/report.html"]
    write_plan(world, sets, ADDRESS, fraction=0.25)
    forget_copy()
    code, said, wrong = cli("run", "plan.yaml")
    assert code == 0, wrong
    assert re.search(r"^half +90 +360 ", said, re.MULTILINE)
    gone = {object_name(path, sha256) for path, sha256 in written.items() if digests()[path] != sha256}
    assert len(gone) >= 3
    assert not gone & stored().keys()


@pytest.mark.soak
def test_what_rots_on_a_store_is_found_and_made_again(world: Path, sets: Path, cli: whole_runs.Run) -> None:
    address = f"{ADDRESS}-rotten"
    write_plan(world, sets, address)
    assert cli("run", "plan.yaml")[0] == 0
    store, made = store_of(folder_of(address)), digests(address)
    assert store is not None
    samples = next(path for path in made if path.startswith("samples/pool/"))
    name = object_name(samples, made[samples])
    store.write(name, b"r" * stored(address)[name])
    code, said, wrong = cli("verify", address)
    assert (code, f"{samples} is not what was committed" in said) == (1, True)
    code, said, wrong = cli("verify", address, "--repair")
    assert (code, "all well" in said) == (0, True), said + wrong
    assert digests(address) == made


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "store.after_record",  # what is on the store alone is gone on from
        *(
            pytest.param(point, marks=pytest.mark.soak)
            for point in ("store.uploaded", "store.before_record", "commit.between_renames")
        ),
    ],
)
def test_a_killed_run_of_sets_on_a_store_is_ended_by_another_machine(
    world: Path,
    sets: Path,
    cli: whole_runs.Run,
    forked: Forker,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"{ADDRESS}-{point}"
    objects = Objects(parse_address("s3://bucket/small"))
    for path in sorted((sets / "pool").rglob("*.*")) + sorted((sets / "one").rglob("*.*")):
        objects.write(path.relative_to(sets).as_posix(), path)
    write_plan(world, sets, address)
    there = (
        "--set",
        "pool.path=s3://bucket/small/pool",
        "--set",
        "benchmarks.one.path=s3://bucket/small/one",
    )
    who = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "NEARFAR_"))}
    point = f"{point}=kill@3"
    status, said = forked("run", "plan.yaml", *there, folder=world, **who, NEARFAR_FAILPOINT=point)
    assert status == -signal.SIGKILL, said
    monkeypatch.setattr("pipeline.stores.lease.RUNS_OUT_AFTER", 0.5)
    shutil.rmtree(copies_folder())
    code, said, wrong = cli("run", "plan.yaml", *there)
    assert code == 0, wrong
    made = digests(address)
    named = {object_name(path, sha256) for path, sha256 in made.items()}
    assert {name for name in stored(address) if not name.startswith("commits/")} == named | {"plan.lock.yaml"}
    lock = (folder_of(address) / "plan.lock.yaml").read_text()
    assert "path: s3://bucket/small/pool" in lock
    assert str(copies_folder()) not in lock

    # The report names the places of sets; all else is as of folders.
    assert cli("run", "plan.yaml", "--set", f"output={sets / 'folder'}")[0] == 0
    expected = whole_runs.committed(sets / "folder")
    assert made.keys() == expected.keys()
    others = {path for path in made if made[path] != expected[path]}
    assert others <= {"report/audit.json", "report/report.html"}
    shutil.rmtree(copies_folder())
    code, said, wrong = cli("verify", address)
    assert (code, "all well" in said) == (0, True), said + wrong


@pytest.mark.soak
def test_two_machines_that_run_at_once_leave_one_run(
    world: Path, sets: Path, direct: StoreServer, cli: whole_runs.Run
) -> None:
    """The second waits for nobody: it is refused while the first renews its lease, and nothing is torn."""
    address = f"{ADDRESS}-twice"
    write_plan(world, sets, address)
    runs = [
        whole_runs.start(["run", "plan.yaml"], world, NEARFAR_COPIES=str(sets / f"machine {number}"))
        for number in range(2)
    ]
    ends = [(*run.communicate(timeout=120), run.returncode) for run in runs]
    codes = sorted(end[2] for end in ends)
    assert codes in ([0, 0], [0, 2]), ends  # both, where the second came when the first had ended
    assert codes == [0, 0] or any("in use by another nearfar run" in end[1] for end in ends)
    code, said, wrong = cli("verify", address)
    assert (code, "all well" in said) == (0, True), said + wrong
