"""Sets on a store that are larger than the room for them here: read shard by shard, as a run in a folder reads them."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import export_pool
import pytest
import whole_runs
from small_sets import write_sets
from store_servers import StoreServer
from stored_runs import upload, write_plan
from whole_runs import Run

from pipeline.cli import main
from pipeline.execution.context import RunContext
from pipeline.files.afar.stand_ins import HELD
from pipeline.output import prepare_output
from pipeline.passes.beside import find_pictures
from pipeline.passes.pictures import Pictured, fetcher
from pipeline.report.request import WantedPicture
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import brought
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import copies_folder

REPORT = {"report/audit.json", "report/report.html"}
"""It names the places of sets."""
ROOM = 12_000
"""Bytes: for what one unit reads, and not for the pool."""


@pytest.fixture
def place(direct: StoreServer) -> str:
    return f"s3://bucket/{secrets.token_hex(4)}"


@pytest.fixture
def peak(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Look all the time how many bytes of sets are here."""
    sizes, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.001):
            sizes[0] = max(sizes[0], lying())

    watch = threading.Thread(target=look)
    watch.start()
    yield sizes
    over.set()
    watch.join()


World = tuple[Path, dict[str, str]]


def lying() -> int:
    """Add up the bytes of sets that are here, whole or on their way."""
    size = 0
    for path in (copies_folder() / HELD).glob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


def told(place: str) -> list[str]:
    """Where a plan over the small sets finds them on the store."""
    names = ("pool", "reference", "benchmarks.one", "benchmarks.two")
    every = [f"{name}.path={place}/{name.rpartition('.')[2]}" for name in names]
    return [text for each in every for text in ("--set", each)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The small sets, and what a run over their folders commits."""
    sets = tmp_path_factory.mktemp("sets")
    write_sets(sets)
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(write_plan(sets / "there", sets, str(sets / "folder")))])
    assert not stopped.value.code
    return sets, whole_runs.committed(sets / "folder")


def same(made: dict[str, str], expected: dict[str, str]) -> bool:
    return (
        made.keys() == expected.keys() and {path for path in made if made[path] != expected[path]} <= REPORT
    )


def test_a_pool_that_has_no_room_is_read_all_the_same(
    place: str,
    world: World,
    tmp_path: Path,
    cli: Run,
    monkeypatch: pytest.MonkeyPatch,
    peak: list[int],
) -> None:
    """By a run that is killed while it brings files, and by the two workers of another that goes on."""
    sets, expected = world
    assert upload(place, sets, "pool", "reference", "one", "two") > 2 * ROOM
    plan = str(write_plan(tmp_path / "here", sets, str(tmp_path / "out")))
    command = ["run", plan, *told(place)]
    done = whole_runs.finish(command, NEARFAR_FAILPOINT="far.downloaded=kill@4", NEARFAR_ROOM=f"{ROOM} B")
    assert done.returncode == -signal.SIGKILL, done.stderr
    monkeypatch.setenv("NEARFAR_ROOM", str(ROOM))
    code, _, wrong = cli(*command, "--workers", "2")
    assert code == 0, wrong
    assert same(whole_runs.committed(tmp_path / "out"), expected)
    code, said, wrong = cli("verify", str(tmp_path / "out"))
    assert (code, "all well" in said) == (0, True), said + wrong
    assert 0 < peak[0] <= ROOM
    left = {path.name for path in (copies_folder() / HELD).iterdir()}
    assert {name for name in left if name.startswith(".")} == {".turn"}


def test_an_object_that_changes_under_a_run_is_named(
    place: str, world: World, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made of it; the next run takes it as it is."""
    sets, expected = world
    upload(place, sets, "pool", "reference", "one", "two")
    monkeypatch.setenv("NEARFAR_ROOM", f"{ROOM}")
    plan = str(write_plan(tmp_path / "here", sets, str(tmp_path / "out")))
    name = "pool/metadata/metadata_2.parquet"
    objects, own = Objects(parse_address(place)), (sets / name).read_bytes()

    def prepare(run: RunContext, overwrite: bool) -> None:
        prepare_output(run, overwrite)
        objects.write(name, own + b".")

    with monkeypatch.context() as writing:
        writing.setattr("pipeline.run.prepare_output", prepare)
        code, _, wrong = cli("run", plan, *told(place))
    assert (code, f"'{place}/{name}' changed since the run began" in wrong) == (2, True), wrong
    assert not (tmp_path / "out" / "splits").exists()
    objects.write(name, own)
    code, _, wrong = cli("run", plan, *told(place))
    assert code == 0, wrong
    assert same(whole_runs.committed(tmp_path / "out"), expected)


def test_an_export_reads_members_of_tars_that_have_no_room(
    place: str, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch, peak: list[int]
) -> None:
    export_pool.write_pool(tmp_path / "pool")
    plan = str(export_pool.write_export_plan(tmp_path))
    assert cli("run", plan)[0] == 0
    assert cli("export", str(tmp_path / "out"), "whole")[0] == 0
    size = upload(place, tmp_path, "pool")
    room = max(path.stat().st_size for path in (tmp_path / "pool").iterdir()) + 1000
    assert size > 1.5 * room
    monkeypatch.setenv("NEARFAR_ROOM", str(room))
    more = ("--set", f"pool.path={place}/pool", "--set", f"output={tmp_path / 'stored'}")
    code, _, wrong = cli("run", plan, *more)
    assert code == 0, wrong
    code, _, wrong = cli("export", str(tmp_path / "stored"), "whole")
    assert code == 0, wrong
    assert 0 < peak[0] <= room
    made, expected = (whole_runs.committed(tmp_path / name) for name in ("stored", "out"))
    assert {path for path in made if path.endswith(".tar")}
    assert same(
        {path: digest for path, digest in made.items() if not path.endswith("README.md")},
        {path: digest for path, digest in expected.items() if not path.endswith("README.md")},
    )
    code, said, wrong = cli("verify", str(tmp_path / "stored"))
    assert (code, "all well" in said) == (0, True), said + wrong


def test_pictures_are_read_from_tars_that_have_no_room(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a set's own tars, and of tars beside a set that brings vectors."""
    export_pool.write_pool(tmp_path / "pool")
    upload(place, tmp_path, "pool")
    room = max(path.stat().st_size for path in (tmp_path / "pool").iterdir())
    monkeypatch.setenv("NEARFAR_ROOM", str(room))
    root = brought(f"{place}/pool")
    keys = ["000000003", "000010007", "nojson"]
    found = {}
    for path in (root, str(tmp_path / "pool")):
        source = Source(path=path, format="img2dataset")
        own = fetcher({"pool": Pictured(source, parts=((0, 2), (1, 1)))})
        wanted = {key: WantedPicture(part=int(key == "nojson")) for key in keys}
        found[path] = own({"pool": wanted}), find_pictures(Path(path), wanted)
    assert found[root] == found[str(tmp_path / "pool")]
    assert [set(of) for of in found[root]] == [{("pool", key) for key in keys}, set(keys[:2])]
    assert lying() <= room
