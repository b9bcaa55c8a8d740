"""`nearfar ingest` onto a store: what was fetched is there for any machine, and a plan reads it by its address."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from pathlib import Path

import pytest
import whole_runs
from hostile_server import hostile_server
from last_objects import last_object
from store_servers import StoreServer
from whole_runs import Run

from indexes.errors import DataError, OutputError
from pipeline.commit.on_stores import object_name
from pipeline.incoming.fetched_pools import brought_pool
from pipeline.readers import img2dataset
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import set_place
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import folder_of


def test_a_list_on_a_store_is_fetched_onto_it(
    direct: StoreServer, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://bucket/{secrets.token_hex(4)}"
    with hostile_server() as server:
        urls = "".join(f"{server.url(f'/pictures/{number}.jpg')}\n" for number in range(6))
        Objects(parse_address(place)).write("list.txt", f"{urls}{server.url('/nowhere.jpg')}\n".encode())
        command = ("ingest", f"{place}/list.txt", f"{place}/pool", "--loopback", "--shard-rows", "4")
        code, said, wrong = cli(*command, "--json")
        assert code == 0, wrong
        answer = last_object(said)
        assert (answer["successes"], answer["pool"]) == (6, f"{place}/pool/shards")
        assert Path(answer["hosts"]).is_file()
        made, asked = whole_runs.committed(folder_of(f"{place}/pool")), Counter(server.asked)

        # Another machine goes on from there: nothing is asked for again.
        monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "another machine"))
        code, said, wrong = cli(*command)
        assert (code, f"pool: {place}/pool/shards" in said) == (0, True), wrong
        assert server.asked == asked
    assert whole_runs.committed(folder_of(f"{place}/pool")) == made
    found = json.loads(cli("status", f"{place}/pool", "--json")[1])
    assert (found["plan"], found["finished"], found["fetched"]["successes"]) == ("pool", True, 6)


def test_a_fetched_pool_is_read_by_its_records(
    direct: StoreServer, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have their plain names: where it was fetched as they lie, elsewhere as those of any set on a store."""
    place = f"s3://bucket/{secrets.token_hex(4)}"
    with hostile_server() as server:
        (tmp_path / "list.txt").write_text(f"{server.url('/pictures/1.jpg')}\n")
        ingest = ("ingest", str(tmp_path / "list.txt"), place, "--loopback")
        assert cli(*ingest)[0] == 0
        made = whole_runs.committed(folder_of(place))
        here = Path(str(brought_pool(f"{place}/shards/")))
        assert here == folder_of(place) / "shards"
        own = (here / "00000.tar").read_bytes()
        (here / "00000.tar").write_bytes(b"r" * len(own))
        assert brought_pool(f"{place}/shards") == str(here)
        assert (here / "00000.tar").read_bytes() == own

        monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "another machine"))
        with monkeypatch.context() as full:
            full.setattr("pipeline.stores.brought_sets.free_bytes", lambda path: 99)
            with pytest.raises(OutputError, match="set NEARFAR_COPIES to a folder with more room"):
                brought_pool(f"{place}/shards")
        there = Path(str(brought_pool(f"{place}/shards")))
        assert set_place(str(there)) == f"{place}/shards"
        assert {path.name for path in there.iterdir()} == {"00000.tar", "00000.parquet", "00000_stats.json"}
        assert (there / "00000.tar").read_bytes() == own
        before = {path.name: path.stat() for path in there.iterdir()}
        assert brought_pool(f"{place}/shards") == str(there)
        assert {path.name: path.stat() for path in there.iterdir()} == before
        (there / "00000.tar").write_bytes(b"r" * len(own))
        brought_pool(f"{place}/shards")
        assert (there / "00000.tar").read_bytes() == own
        code, said, wrong = cli("verify", place)
        assert (code, "all well" in said) == (0, True), said + wrong

        # What is on the store is what was committed, or it is made again as the message says.
        objects = Objects(parse_address(place))
        tar = object_name("shards/00000.tar", made["shards/00000.tar"])
        objects.write(tar, b"r" * len(own))
        monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "a third machine"))
        with pytest.raises(DataError, match="--repair, and then the same nearfar ingest"):
            brought_pool(f"{place}/shards")
        cli("verify", place, "--repair")
        assert cli(*ingest)[0] == 0
        assert (Path(str(brought_pool(f"{place}/shards"))) / "00000.tar").read_bytes() == own
    assert whole_runs.committed(folder_of(place)) == made
    assert brought_pool("/data/pool/shards") is None
    assert brought_pool(place) is None


def test_a_shard_that_the_store_lost_is_said_by_name(
    direct: StoreServer, cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one: a record counts while its objects are there, and one of the two is gone."""
    place, tar = f"s3://bucket/{secrets.token_hex(4)}", "shards/00002.tar"
    with hostile_server() as server:
        urls = [server.url(f"/pictures/{at}.jpg") for at in range(3)]
        (tmp_path / "list.txt").write_text("\n".join(urls))
        ingest = ("ingest", str(tmp_path / "list.txt"), place, "--loopback", "--shard-rows", "1")
        assert cli(*ingest)[0] == 0
        made = whole_runs.committed(folder_of(place))
        for machine, gone in (("b", "commits/fetch/00002.json"), ("c", object_name(tar, made[tar]))):
            Objects(parse_address(place)).remove([gone])
            monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / machine))
            pool = Source(path=str(brought_pool(f"{place}/shards")), format="img2dataset")
            first, other = img2dataset.shards(pool)
            told = "1 of 3 shards that nearfar fetched or was to fetch are not there (00002)"
            assert told in first.notes[0]
            assert other.notes == ()
            assert cli(*ingest)[0] == 0
            pool = Source(path=str(brought_pool(f"{place}/shards")), format="img2dataset")
            assert [shard.notes for shard in img2dataset.shards(pool)] == [()] * 3
    assert whole_runs.committed(folder_of(place)) == made
