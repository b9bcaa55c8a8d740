"""Workers of a cluster that commit to a store, each machine from a copy of its own: the bytes of a run in a folder."""

from __future__ import annotations

import json
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed
import pytest
import whole_runs
from hostile_server import hostile_server
from store_servers import StoreServer
from stored_runs import upload, write_plan
from whole_runs import Run

from indexes.errors import DataError, OutputError, RunFailedError
from pipeline.commit import Unit, attempt, find
from pipeline.commit.brought_inputs import bring_told, told
from pipeline.commit.copying import adopt_all
from pipeline.commit.holding import hold_output, open_output
from pipeline.commit.joining import invitation, join
from pipeline.commit.run_lock import epoch, hold
from pipeline.execution.performing import perform
from pipeline.execution.tasks import Task
from pipeline.incoming.fetched_pools import brought_pool
from pipeline.stores import objects as objects_module
from pipeline.stores.brought_sets import brought
from pipeline.stores.lease import LEASE
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import copies_folder, folder_of

UNIT = Unit("measure", "part-0000", "as it is")
PATH = "measures/m/part-0000.txt"


@pytest.fixture
def place(direct: StoreServer) -> str:
    return f"s3://bucket/{secrets.token_hex(4)}"


def elsewhere(tasks: Iterable[Task], here: Path, there: Path) -> Iterator[tuple[int, object]]:
    """Perform tasks as a machine does on which the driver's copies lie below another path."""
    for position, task in enumerate(tasks):
        told = json.loads(json.dumps(task.arguments).replace(str(here), str(there)))
        yield position, perform(**told)


def test_machines_without_the_drivers_copy_make_the_same_bytes(
    place: str, sets: Path, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(sets / "here", sets, str(sets / "folder"))
    monkeypatch.chdir(sets / "here")
    assert cli("run", "plan.yaml")[0] == 0
    upload(f"{place}/sets", sets, "pool", "one")
    monkeypatch.setenv("NEARFAR_ROOM", "12kB")  # of either machine: the pool has no room
    here, other = copies_folder(), tmp_path / "a worker's copies"
    monkeypatch.setattr("pipeline.run.run_tasks", lambda tasks, *_: elsewhere(tasks, here, other))
    write_plan(sets / "here", sets, f"{place}/out")
    on_store = (f"pool.path={place}/sets/pool", f"benchmarks.one.path={place}/sets/one")
    more = [text for each in on_store for text in ("--set", each)]
    code, _, wrong = cli("run", "plan.yaml", "--scheduler", "tcp://the.test:1", *more)
    assert code == 0, wrong
    made, there = whole_runs.committed(folder_of(f"{place}/out")), other / folder_of(f"{place}/out").name
    report = {"report/audit.json", "report/report.html"}  # which name the places of sets
    expected = whole_runs.committed(sets / "folder")
    assert made.keys() == expected.keys()
    assert {path for path in made if made[path] != expected[path]} <= report
    assert made.items() >= whole_runs.committed(there).items()
    assert len(whole_runs.committed(there)) > 20, "the work was done there"
    files = {path.name for path in other.glob("set-*/files/*/*")}
    assert files == {path.name for name in ("pool", "one") for path in (sets / name).rglob("*.*")}
    assert not (folder_of(f"{place}/out") / "measures/similarity/one/part-0000.parquet").exists(), (
        "and not here"
    )
    monkeypatch.undo()


def test_machines_fetch_onto_a_store(
    place: str, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that lies on the store is brought by whoever cuts it; a piece that is tried again keeps its images."""
    here, other = copies_folder(), tmp_path / "a worker's copies"
    with hostile_server() as server:
        server.failures = 4  # twice as often as a fetch tries
        urls = [server.url(f"/{'flaky' if number == 2 else 'pictures'}/{number}.jpg") for number in range(6)]
        Objects(parse_address(place)).write("list.txt", "\n".join(urls).encode())
        options = ("--loopback", "--shard-rows", "3")
        assert cli("ingest", f"{place}/list.txt", str(tmp_path / "folder"), *options)[0] == 0
        monkeypatch.setattr(
            "pipeline.incoming.lists.run_tasks",
            lambda tasks, *_: elsewhere(tasks, here, other),
        )
        more = ("--scheduler", "tcp://the.test:1")
        assert cli("ingest", f"{place}/list.txt", f"{place}/pool", *options, *more)[0] == 0
        assert whole_runs.committed(folder_of(f"{place}/pool")) == whole_runs.committed(tmp_path / "folder")
        asked = Counter(server.asked)
        code, said, wrong = cli(
            "ingest", f"{place}/list.txt", f"{place}/pool", *options, *more, "--retry-failed"
        )
        assert (code, "6 of 6 URLs gave an image" in said) == (0, True), wrong
        assert Counter(server.asked) - asked == {"/flaky/2.jpg": 1}


@pytest.mark.soak
def test_a_real_cluster(place: str, sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plan(sets / "here", sets, place)
    monkeypatch.chdir(sets / "here")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        code, _, wrong = cli("run", "plan.yaml", "--scheduler", cluster.scheduler_address)
        assert code == 0, wrong
    made = whole_runs.committed(folder_of(place))
    write_plan(sets / "here", sets, str(sets / "folder"))
    assert cli("run", "plan.yaml")[0] == 0
    assert made == whole_runs.committed(sets / "folder")


def commit(out: Path) -> None:
    with attempt(out, UNIT) as trying:
        trying.file(PATH).write_text("content")
        trying.add(PATH)
        trying.commit()


@contextmanager
def held(place: str) -> Iterator[tuple[Path, str, str]]:
    """Hold an output, as a driver does; its folder, and what it tells its workers."""
    out = open_output(place)
    with hold_output(out):
        invited = invitation(out)
        yield out, invited[0], invited[1]


def test_what_a_worker_commits_is_known_to_the_driver(place: str, tmp_path: Path) -> None:
    with held(place) as (out, address, token):
        assert address == place
        (tmp_path / "worker/attempts/left").mkdir(parents=True)
        join(tmp_path / "worker", address, token)
        assert epoch(tmp_path / "worker") == token
        assert not (tmp_path / "worker/attempts/left").exists(), "of a process that is gone"
        commit(tmp_path / "worker")
        assert find(out, UNIT) is None
        adopt_all(out, [UNIT, Unit("measure", "part-0001", "not done")])
        assert find(out, UNIT) is not None
        join(out, address, token)  # a worker that shares the driver's folder has nothing to do
    assert invitation(tmp_path) == []


def test_workers_of_a_run_that_lost_its_lease_commit_nothing(place: str, tmp_path: Path) -> None:
    run = held(place)
    _, address, token = run.__enter__()
    join(tmp_path / "worker", address, token)
    Objects(parse_address(place)).write(LEASE, b'{"pid": 1, "host": "h", "token": "t", "copy": "c"}')
    for do in (lambda: commit(tmp_path / "worker"), lambda: join(tmp_path / "second worker", address, token)):
        with pytest.raises(RunFailedError, match="another run took over"):
            do()
    with pytest.raises(RunFailedError, match="another run took over"):
        run.__exit__(None, None, None)
    assert not (tmp_path / "second worker").exists()


def test_a_worker_that_cannot_join_says_what_it_needs(
    place: str, direct: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(place) as (_, address, token):
        monkeypatch.setattr("pipeline.commit.joining._PATIENCE", 0.0)
        (tmp_path / "file").write_text("")
        for out in (tmp_path / "file" / "copy", tmp_path / "busy"):
            with monkeypatch.context() as there:
                if out.name == "busy":
                    there.setattr("pipeline.commit.joining.epoch", lambda out: None)
                    holding = hold(out)
                    holding.__enter__()
                with pytest.raises(
                    OutputError, match="set NEARFAR_COPIES to one that every machine may write"
                ):
                    join(out, address, token)
        holding.__exit__(None, None, None)
        with monkeypatch.context() as there:
            there.setattr(objects_module, "_RETRIES", {"max_retries": 1})
            there.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            with pytest.raises(
                OutputError, match="Workers need credentials for the store in their own environment"
            ):
                join(tmp_path / "worker", address, token)
        join(tmp_path / "worker", address, token)


def test_a_worker_that_lacks_a_file_says_which(place: str, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("here")
    shared = [[{"path": str(tmp_path / name), "name": name} for name in ("here", "elsewhere")]]
    with held(place) as (out, address, token):
        unit = {"place": {"out": str(out)}}
        with pytest.raises(DataError, match=r"elsewhere' is not there .* Put it on a folder that they share"):
            perform([unit], shared, {}, [], [address, token])
        shutil.copy(tmp_path / "here", tmp_path / "elsewhere")
        with pytest.raises(KeyError):  # it has the files, and goes on to read the unit, which is none
            perform([unit], shared, {}, [], [address, token])


def test_a_worker_brings_what_the_driver_saw(place: str, tmp_path: Path) -> None:
    """Once; again where the driver saw another state; and what is there by now in another state is refused."""
    objects = Objects(parse_address(f"{place}/set"))
    for name in ("a.txt", "b/c.txt"):
        objects.write(name, name.encode())
    root = Path(brought(f"{place}/set"))
    ((kind, folder, address, known),) = told([str(root / "b/c.txt"), str(tmp_path / "of no store")])
    assert (kind, Path(folder), address, set(known)) == ("set", root.parent, f"{place}/set", {"b/c.txt"})
    other = tmp_path / "other"
    bring_told([(kind, str(other), address, known)])
    before = (other / "files/b/c.txt").stat()
    bring_told([(kind, str(other), address, known)])
    assert (other / "files/b/c.txt").stat() == before
    assert not (other / "files/a.txt").exists()

    objects.write("b/c.txt", b"changed")
    brought(f"{place}/set")
    changed = told([str(root / "b/c.txt")])[0][3]
    assert changed != known
    bring_told([(kind, str(other), address, changed)])
    assert (other / "files/b/c.txt").read_text() == "changed"
    objects.write("b/c.txt", b"changed again")
    with pytest.raises(
        DataError, match="changed since the run began; stop what is writing to it and run again"
    ):
        bring_told([(kind, str(tmp_path / "third"), address, changed)])
    single = Path(brought(f"{place}/set/a.txt"))
    bring_told([(kind, str(tmp_path / "single"), *rest) for kind, _, *rest in told([str(single)])])
    assert (tmp_path / "single/files/a.txt").read_text() == "a.txt"


def test_a_worker_brings_files_of_a_fetched_pool(place: str, cli: Run, tmp_path: Path) -> None:
    with hostile_server() as server:
        (tmp_path / "list.txt").write_text(f"{server.url('/pictures/1.jpg')}\n")
        assert cli("ingest", str(tmp_path / "list.txt"), place, "--loopback")[0] == 0
    pool = Path(str(brought_pool(f"{place}/shards")))
    ((kind, folder, address, known),) = told([str(pool / "00000.tar")])
    assert (kind, Path(folder), address) == ("pool", pool.parent, place)
    bring_told([(kind, str(tmp_path / "other"), address, known)])
    assert (tmp_path / "other/shards/00000.tar").read_bytes() == (pool / "00000.tar").read_bytes()
    assert not (tmp_path / "other/shards/00000.parquet").exists()
