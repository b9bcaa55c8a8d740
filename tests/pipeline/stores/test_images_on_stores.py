"""Folders of single images on a store that have no room here: read where they are, as from a folder."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
from image_pools import write_image, write_images, write_images_plan
from store_proxy import Faults
from store_servers import StoreServer
from stored_runs import upload
from whole_runs import Run

from indexes.errors import DataError
from pipeline.files.afar.stand_ins import HELD, is_there, stand_in
from pipeline.passes.beside import find_pictures
from pipeline.passes.pictures import Pictured, fetcher
from pipeline.readers import detect, reader_of
from pipeline.readers._folders.image_files import bytes_of
from pipeline.report.request import WantedPicture
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import bring_files, brought, origins
from pipeline.stores.far_files import far_object
from pipeline.stores.held_files import held
from pipeline.stores.working_copies import copies_folder


@pytest.fixture
def place(direct: StoreServer, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NEARFAR_ROOM", "1")
    return f"s3://bucket/{secrets.token_hex(4)}"


Read = tuple[list[pa.Table], dict[str, bytes], dict[str, str]]


def read(path: Path) -> Iterator[Read]:
    """Read a folder as a run does: its rows and lost rows, its images, and digests by name."""
    source, reader = Source(path=str(path), format="image-folder"), reader_of("image-folder")
    for shard in reader.shards(source):
        with held(shard.files):
            reading = reader.read(source, shard, wants_images=True)
            images, rows = dict(reading.images()), reading.rows()
            digests = {str(Path(file).relative_to(path)): of for file, of in reading.digests().items()}
            assert reader.image(source, shard, list(images)) == dict(reader.images(source, shard)) == images
            yield [rows.table, rows.lost], images, digests


def test_images_come_as_they_are_read_whatever_the_network_does(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("NEARFAR_ROOM", "1")
    monkeypatch.setattr("pipeline.stores.far_files._MOST", 1000)
    place, pool = f"s3://bucket/{secrets.token_hex(4)}", tmp_path / "pool"
    write_images(pool)
    (pool / "fish.png").write_bytes(secrets.token_bytes(3500))
    for number in range(20):
        write_image(pool / f"many/{number}.png", number)
    upload(place, tmp_path, "pool")
    root = Path(brought(f"{place}/pool"))
    assert detect(root) == detect(pool) == ("image-folder",)
    image = root / "cat" / "1.png"
    assert (stand_in(image) is not None, image.exists(), is_there(image)) == (True, False, True)
    assert (root / "cat" / "1.txt").read_text() == "a cat"
    for fault in ("503", "broken off", "refused"):
        faults.add(fault, "GET", ".png")
    assert list(read(root)) == list(read(pool))
    assert faults.left() == 0
    wanted = {"cat/1.png": WantedPicture(0), "dog/2.png": WantedPicture(0), "none": WantedPicture(0)}
    source = Source(path=str(root), format="image-folder")
    shown = fetcher({"pool": Pictured(source, parts=((0, 1),))})({"pool": wanted})
    assert shown == {("pool", key): (pool / key).read_bytes() for key in list(wanted)[:2]}
    assert find_pictures(root, wanted) == {key: (pool / key).read_bytes() for key in list(wanted)[:2]}
    assert find_pictures(pool, wanted) == find_pictures(root, wanted)
    assert list((copies_folder() / HELD).glob("[!.]*")) == []


def test_an_image_that_changes_is_named_and_read_as_it_is_by_the_next_run(place: str, tmp_path: Path) -> None:
    write_image(tmp_path / "pool/a/1.png", 1)
    upload(place, tmp_path, "pool")
    root = Path(brought(f"{place}/pool"))
    write_image(tmp_path / "pool/a/1.png", 2)
    upload(place, tmp_path, "pool")
    with pytest.raises(DataError, match=f"'{place}/pool/a/1.png' changed since the run began; stop what is"):
        list(read(root))
    assert find_pictures(root, {"a/1.png": WantedPicture(0)}) == {}
    assert brought(f"{place}/pool") == str(root)
    assert list(read(root)) == list(read(tmp_path / "pool"))


def test_a_worker_on_another_machine_reads_those_of_its_unit_there(place: str, tmp_path: Path) -> None:
    for number in range(3):
        write_image(tmp_path / f"pool/{number}.png", number)
    upload(place, tmp_path, "pool")
    root = Path(brought(f"{place}/pool"))
    files = [root / "0.png", root / "2.png"]
    told = origins(root.parent, files)
    shutil.rmtree(copies_folder())
    bring_files(root.parent, *told)
    assert sorted(root.iterdir()) == files
    assert [bytes_of(str(file)) for file in files] == [
        (tmp_path / "pool" / file.name).read_bytes() for file in files
    ]


def test_they_are_here_where_they_take_little_of_the_room(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write_image(tmp_path / f"pool/{number}.png", number)
    size = upload(place, tmp_path, "pool")
    for room, here in ((8 * size, True), (8 * size - 8, False), (8 * size, True)):
        monkeypatch.setenv("NEARFAR_ROOM", str(room))
        root = Path(brought(f"{place}/pool"))
        assert [path.exists() for path in sorted(root.iterdir())] == [here] * 3
        assert list(read(root)) == list(read(tmp_path / "pool"))


def test_a_download_as_files_is_read_there_too(place: str, tmp_path: Path) -> None:
    keys = [f"00000{number:04d}" for number in range(3)]
    for number, key in enumerate(keys):
        write_image(tmp_path / f"pool/00000/{key}.jpg", 10 * number)
    columns = {"url": keys, "caption": keys, "key": keys, "status": ["success"] * 3}
    pq.write_table(pa.table(columns), tmp_path / "pool/00000.parquet")
    upload(place, tmp_path, "pool")
    with pytest.MonkeyPatch.context() as room:
        room.setenv("NEARFAR_ROOM", str((tmp_path / "pool/00000.parquet").stat().st_size))
        assert list(read(Path(brought(f"{place}/pool")))) == list(read(tmp_path / "pool"))
    (held_here,) = (copies_folder() / HELD).glob("[!.]*")
    assert far_object_of(brought(f"{place}/pool")) == f"{place}/pool/00000/{keys[0]}.jpg"
    assert held_here.stat().st_size == (tmp_path / "pool/00000.parquet").stat().st_size


def far_object_of(root: str) -> str:
    """Name the object that the first image stands for."""
    found = stand_in(min(Path(root).rglob("*.jpg")))
    assert found is not None
    return far_object(found).address


def test_a_run_over_them_is_the_run_over_a_folder(
    place: str, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But a CSV names files of this machine: it says what room they need, and has them then."""
    write_images(tmp_path / "pool")
    plan = str(write_images_plan(tmp_path))
    code, _, wrong = cli("run", plan)
    assert code == 0, wrong
    upload(place, tmp_path, "pool")
    out = tmp_path / "stored"
    command = ("run", plan, "--set", f"pool.path={place}/pool", "--set", f"output={out}")
    code, _, wrong = cli(*command)
    assert code == 0, wrong
    made, expected = (whole_runs.committed(one) for one in (out, tmp_path / "out"))
    report = {"report/audit.json", "report/report.html"}
    assert made.keys() == expected.keys()
    assert {path for path in made if made[path] != expected[path]} <= report
    code, said, wrong = cli("verify", str(out))
    assert (code, "all well" in said) == (0, True), said + wrong
    code, _, wrong = cli("export", str(out), "whole", "--csv")
    assert (code, "set NEARFAR_ROOM to " in wrong) == (2, True), wrong
    monkeypatch.setenv(
        "NEARFAR_ROOM", wrong.partition("NEARFAR_ROOM to ")[2].partition(" ")[0].replace(",", "")
    )
    code, _, wrong = cli("export", str(out), "whole", "--csv")
    assert code == 0, wrong
    listed = pd.read_csv(out / "shards/whole/samples.csv", sep="\t")["filepath"]
    assert len(listed) == 4
    assert all(Path(file).is_file() and stand_in(file) is None for file in listed)
