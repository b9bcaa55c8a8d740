"""From a list of URLs to a pool that a plan reads: every row ends in exactly one way, and nothing is fetched twice."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import socket
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
from forked_commands import Forker
from hostile_server import Server, hostile_server, picture
from last_objects import last_object
from PIL import Image
from whole_runs import Run

from pipeline.fetching.spool import Spool
from pipeline.fetching.taken_over import earlier_images
from pipeline.stages.ingesting.fetch import _digests

BAD = {
    "/bomb.png": "more than 67108864 pixels",
    "/truncated.jpg": "damaged image",
    "/vector.svg": "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image",
    "/page.html": "not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image",
    "/tiff.tif": "TIFF is no format of pools",
    "/scans.jpg": "more than 100 scans",
    "/noai.jpg": "its owner opted out",
    "/nowhere.jpg": "HTTP status 404",
    "/to-private": "the host's address is not of the public internet",
}
GOOD = 40


@pytest.fixture
def server() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


def write_list(server: Server, path: Path, paths: list[str] | None = None) -> list[str]:
    paths = paths or [f"/pictures/{number}.jpg" for number in range(GOOD)] + ["/animated.gif", *BAD]
    lines = [json.dumps({"url": server.url(at), "caption": f"caption of {at}"}) for at in paths]
    path.write_text("\n".join(lines))
    return paths


def rows(out: Path) -> list[dict[str, object]]:
    return [
        row for file in sorted((out / "shards").glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def members(out: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def ingest(cli: Run, folder: Path, *more: str) -> tuple[int, str, str]:
    return cli(
        "ingest", str(folder / "list.jsonl"), str(folder / "pool"), "--loopback", "--shard-rows", "20", *more
    )


def test_every_row_ends_in_one_way(server: Server, tmp_path: Path, cli: Run) -> None:
    paths = write_list(server, tmp_path / "list.jsonl")
    code, said, _ = ingest(cli, tmp_path)
    assert code == 0
    assert f"{GOOD + 1} of {len(paths)} URLs gave an image" in said
    found = rows(tmp_path / "pool")
    assert [row["url"] for row in found] == [server.url(at) for at in paths]
    assert {
        at: row["error_message"] for at, row in zip(paths, found, strict=True) if row["status"] != "success"
    } == BAD
    assert len({row["key"] for row in found}) == len(paths)
    kept = members(tmp_path / "pool")
    for number, row in enumerate(found[:GOOD]):
        assert kept[f"{row['key']}.jpg"] == picture(number)
        assert row["sha256"] == hashlib.sha256(picture(number)).hexdigest()
        assert kept[f"{row['key']}.txt"].decode() == row["caption"]
        assert json.loads(kept[f"{row['key']}.json"])["url"] == row["url"]
    first_frame = Image.open(io.BytesIO(kept[f"{found[GOOD]['key']}.png"]))
    assert first_frame.size == (64, 48)
    hosts = pq.read_table(tmp_path / "pool" / "hosts").to_pylist()
    counted = Counter({(row["host"], row["reason"]): row["rows"] for row in hosts})
    assert counted[("127.0.0.1", None)] == GOOD + 1
    assert sum(counted.values()) == len(paths)


def test_a_list_that_gives_no_image_at_all_has_failed(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "list.jsonl").write_text(
        '{"url": "http://127.0.0.1:1/a.jpg"}\n{"url": "ftp://x.test/b.jpg"}\n'
    )
    code, said, wrong = ingest(cli, tmp_path)
    assert code == 1
    assert "0 of 2 URLs gave an image (0.0 %)" in said
    assert "none of 2 URLs gave an image" in wrong
    code, said, _ = ingest(cli, tmp_path, "--json")
    assert code == last_object(said)["exit"]["code"] == 1
    assert last_object(said)["exit"]["reasons"] == ["none of 2 URLs gave an image"]
    assert len(rows(tmp_path / "pool")) == 2


def test_a_piece_of_which_no_host_is_reached_is_fetched_when_the_network_is_back(
    server: Server, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred hosts one is there, once there is a network; the others refuse, and fail in passing."""
    hosts = [f"127.0.0.{last}:{server.server_address[1]}" for last in range(1, 101)]
    (tmp_path / "list.txt").write_text("".join(f"http://{host}/pictures/1.jpg\n" for host in hosts))
    command = ["ingest", str(tmp_path / "list.txt"), str(tmp_path / "pool"), "--loopback"]

    def unreachable(*args: object, **more: object) -> socket.socket:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "create_connection", unreachable)
        code, _, said = cli(*command)
    assert code == 1
    assert "none of 100 hosts of a piece could be reached. Look at this machine's network" in said
    assert not rows(tmp_path / "pool")
    assert cli(*command)[0] == 0
    outcomes = Counter(row["error_message"] for row in rows(tmp_path / "pool"))
    assert outcomes == {None: 1, "no connection": 99}
    with monkeypatch.context() as patched:
        patched.setattr(socket, "create_connection", unreachable)
        assert cli(*command, "--retry-failed")[0] == 0  # those that are left may be gone for good


def test_fewer_connections_are_taken_where_no_more_files_may_be_open(
    server: Server, tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_list(server, tmp_path / "list.jsonl", [f"/pictures/{number}.jpg" for number in range(8)])
    connect, fetching = socket.create_connection, set[str]()

    def one_alone(*args: Any, **more: Any) -> socket.socket:
        fetching.add(threading.current_thread().name)
        if len(fetching) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return connect(*args, **more)

    monkeypatch.setattr(socket, "create_connection", one_alone)
    code, _, said = ingest(cli, tmp_path)
    assert code == 1
    assert said.endswith("Allow more (ulimit -n), or take fewer connections\n")
    fetching.clear()
    assert ingest(cli, tmp_path, "--connections", "1")[0] == 0


def test_nothing_is_asked_for_twice(server: Server, tmp_path: Path, cli: Run) -> None:
    write_list(server, tmp_path / "list.jsonl")
    ingest(cli, tmp_path)
    before, asked = whole_runs.committed(tmp_path / "pool"), Counter(server.asked)
    code, said, _ = ingest(cli, tmp_path, "--json")
    found = last_object(said)
    assert code == 0
    assert (found["count"], found["successes"], found["passing"]) == (GOOD + 1 + len(BAD), GOOD + 1, 0)
    assert found["status_dict"]["success"] == GOOD + 1
    assert list(Path(found["hosts"]).parent.glob("*.parquet"))
    assert Path(found["pool"]).is_dir()
    assert server.asked == asked
    assert whole_runs.committed(tmp_path / "pool") == before


def test_how_far_a_fetch_is(server: Server, tmp_path: Path, cli: Run) -> None:
    """Of three pieces one is lost again, and with it what is counted of hosts."""
    write_list(server, tmp_path / "list.jsonl")
    assert ingest(cli, tmp_path)[0] == 0
    out = tmp_path / "pool"
    found = json.loads(cli("status", str(out), "--json")[1])
    assert (found["finished"], found["done"], found["units"]) == (True, 5, 5)
    assert found["fetched"]["successes"] == GOOD + 1
    for record in (*(out / "commits" / "hosts").iterdir(), min((out / "commits" / "fetch").iterdir())):
        record.unlink()
    found = json.loads(cli("status", str(out), "--json")[1])
    stages = {stage["stage"]: (stage["done"], stage["units"]) for stage in found["stages"]}
    assert stages == {"cut": (1, 1), "fetch": (2, 3), "hosts": (0, 1)}
    assert not found["finished"]
    lines = cli("status", str(out))[1].splitlines()
    assert lines[0] == (
        "pool: not finished, 3 of 5 units done; give the same list to `nearfar ingest` again to go on"
    )
    assert lines[-1] == f"{GOOD + 1 - 20} of {GOOD + 1 + len(BAD)} URLs gave an image so far"


def test_passing_failures_are_tried_again_on_request_and_images_kept(
    server: Server, tmp_path: Path, cli: Run
) -> None:
    server.failures = 2  # as often as a run tries
    paths = [f"/flaky/{number}.jpg" if number % 3 == 0 else f"/pictures/{number}.jpg" for number in range(30)]
    write_list(server, tmp_path / "list.jsonl", paths)
    code, said, _ = ingest(cli, tmp_path)
    assert code == 0
    assert "10 of these may pass: the same command with --retry-failed" in said
    assert Counter(row["status"] for row in rows(tmp_path / "pool")) == {
        "success": 20,
        "failed_to_download": 10,
    }
    kept = Counter({at: times for at, times in server.asked.items() if at.startswith("/pictures")})
    assert ingest(cli, tmp_path, "--retry-failed")[0] == 0
    assert {row["status"] for row in rows(tmp_path / "pool")} == {"success"}
    assert {at: times for at, times in server.asked.items() if at.startswith("/pictures")} == kept
    assert ingest(cli, tmp_path)[1].startswith("30 of 30 URLs")


def test_images_are_taken_over_only_if_they_are_what_is_asked_for(
    server: Server, tmp_path: Path, cli: Run
) -> None:
    """A byte of one image rots before its row's neighbour is tried again; later another one is denied."""
    server.failures = 2
    write_list(server, tmp_path / "list.jsonl", ["/flaky/0.jpg", "/pictures/1.jpg", "/pictures/2.jpg"])
    ingest(cli, tmp_path)
    tar = tmp_path / "pool" / "shards" / "00000.tar"
    tar.write_bytes(tar.read_bytes().replace(picture(1), picture(1)[:-9] + b"\0" + picture(1)[-8:]))
    assert ingest(cli, tmp_path, "--retry-failed")[0] == 0
    kept = members(tmp_path / "pool")
    assert [kept[f"{row['key']}.jpg"] for row in rows(tmp_path / "pool")] == [picture(at) for at in range(3)]
    (tmp_path / "urls.txt").write_text(f"{server.url('/pictures/2.jpg')}\n")
    assert ingest(cli, tmp_path, "--deny", f"url={tmp_path / 'urls.txt'}", "--overwrite")[0] == 0
    found = [row["error_message"] for row in rows(tmp_path / "pool")]
    assert found == [None, None, "on a deny list"]


def test_a_larger_image_becomes_smaller_and_has_no_exif(server: Server, tmp_path: Path, cli: Run) -> None:
    write_list(server, tmp_path / "list.jsonl", ["/large.jpg", "/pictures/1.jpg"])
    assert ingest(cli, tmp_path, "--image-size", "300")[0] == 0
    large, small = rows(tmp_path / "pool")
    assert (large["width"], large["height"], large["original_width"], large["original_height"]) == (
        300,
        100,
        900,
        300,
    )
    assert small["width"] == 64
    image = Image.open(io.BytesIO(members(tmp_path / "pool")[f"{large['key']}.jpg"]))
    assert image.size == (300, 100)
    assert not image.getexif()
    for words in (b"Exif", b"by somebody"):
        assert words not in members(tmp_path / "pool")[f"{large['key']}.jpg"]


def test_where_redirects_led_is_kept_without_passwords_and_what_is_denied(
    server: Server, tmp_path: Path, cli: Run
) -> None:
    """In the table and beside the image, whose row of the list has a number that JSON does not know."""
    paths = ["/to-picture", "/pictures/3.jpg", "/to-private", "/to-password"]
    table = pa.table({"url": list(map(server.url, paths)), "score": [float("nan"), 0.5, 1.0, 2.0]})
    pq.write_table(table, tmp_path / "list.parquet")
    command = ["ingest", str(tmp_path / "list.parquet"), str(tmp_path / "pool"), "--loopback"]
    assert cli(*command)[0] == 0
    there = server.url("/pictures/3.jpg")
    assert [row["final_url"] for row in rows(tmp_path / "pool")] == [
        there,
        None,
        "http://10.0.0.1/a.jpg",
        "http://***@127.0.0.1/a.jpg",
    ]
    led, straight = (
        json.loads(content, parse_constant=pytest.fail)
        for name, content in members(tmp_path / "pool").items()
        if name.endswith(".json")
    )
    assert (led["url"], led["final_url"], led["score"]) == (server.url("/to-picture"), there, None)
    assert (straight["final_url"], straight["score"]) == (None, 0.5)
    assert cli("verify", str(tmp_path / "pool"))[0] == 0
    (tmp_path / "urls.txt").write_text(f"{there}\n")
    assert cli(*command, "--deny", f"url={tmp_path / 'urls.txt'}", "--overwrite")[0] == 1
    assert [row["final_url"] for row in rows(tmp_path / "pool")][:2] == [None, None]


def test_images_of_a_pool_from_before_final_urls_are_taken_over(
    server: Server, tmp_path: Path, cli: Run
) -> None:
    write_list(server, tmp_path / "list.jsonl", ["/to-picture"])
    assert ingest(cli, tmp_path)[0] == 0
    tar = tmp_path / "pool" / "shards" / "00000.tar"
    for older in (False, True):
        if older:
            table = pq.read_table(tar.with_suffix(".parquet"))
            pq.write_table(table.drop_columns("final_url"), tar.with_suffix(".parquet"))
        with Spool(tmp_path / f"spool{older}") as spool:
            (found,) = earlier_images(tar, spool).values()
        assert found.final_url == (None if older else server.url("/pictures/3.jpg"))
        assert found.url == server.url("/to-picture")


def test_a_known_sha256_is_checked(server: Server, tmp_path: Path, cli: Run) -> None:
    right, wrong = hashlib.sha256(picture(1)).hexdigest(), hashlib.sha256(picture(2)).hexdigest()
    lines = [
        {"url": server.url("/pictures/1.jpg"), "sha256": right.upper()},
        {"url": server.url("/pictures/1.jpg"), "sha256": wrong},
    ]
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ingest(cli, tmp_path)
    assert [row["error_message"] for row in rows(tmp_path / "pool")] == [
        None,
        "the sha256 is not that of the list",
    ]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())], ids=str
)
def test_a_sha256_is_read_from_every_kind_of_text(kind: pa.DataType) -> None:
    values = pa.array(["0" * 63 + "A", None, f" {'1' * 64}\n", "12"]).cast(kind)
    assert _digests(pa.table({"listed_sha256": values})) == ["0" * 63 + "a", None, "1" * 64, None]
    assert _digests(pa.table({"listed_sha256": pa.array([7])})) == [None]


def test_what_is_denied_is_not_asked_for(server: Server, tmp_path: Path, cli: Run) -> None:
    write_list(server, tmp_path / "list.jsonl", [f"/pictures/{number}.jpg" for number in range(4)])
    (tmp_path / "urls.txt").write_text(f"{server.url('/pictures/0.jpg')}\n")
    (tmp_path / "sums.txt").write_text(hashlib.sha256(picture(1)).hexdigest() + "\n")
    deny = ["--deny", f"url={tmp_path / 'urls.txt'}", "--deny", f"sha256={tmp_path / 'sums.txt'}"]
    assert ingest(cli, tmp_path, *deny)[0] == 0
    found = [row["error_message"] for row in rows(tmp_path / "pool")]
    assert found == ["on a deny list", "on a deny list", None, None]
    assert "/pictures/0.jpg" not in server.asked
    (tmp_path / "hosts.txt").write_text("0.0.1\n")
    other = ["ingest", str(tmp_path / "list.jsonl"), str(tmp_path / "other"), "--loopback"]
    assert cli(*other, "--deny", f"host={tmp_path / 'hosts.txt'}")[0] == 1  # and so no image is left
    assert {row["error_message"] for row in rows(tmp_path / "other")} == {"on a deny list"}


def test_passwords_are_written_nowhere(server: Server, tmp_path: Path, cli: Run) -> None:
    secret = f"http://me:opensesame@127.0.0.1:{server.server_address[1]}/pictures/1.jpg?token=hush"
    (tmp_path / "list.jsonl").write_text(json.dumps({"url": secret}) + "\n")
    _, out, err = ingest(cli, tmp_path)
    written = b"".join(
        file.read_bytes()
        for folder in ("shards", "hosts", "commits")
        for file in (tmp_path / "pool" / folder).rglob("*")
        if file.is_file()
    )
    for text in ("opensesame", "hush"):
        assert text not in out + err
        assert text.encode() not in written
    assert rows(tmp_path / "pool")[0]["error_message"] == "the URL holds a user name or password"


def test_a_replaced_list_is_refused_and_let_in_on_request(server: Server, tmp_path: Path, cli: Run) -> None:
    write_list(server, tmp_path / "list.jsonl", [f"/pictures/{number}.jpg" for number in range(30)])
    ingest(cli, tmp_path)
    write_list(server, tmp_path / "list.jsonl", [f"/pictures/{number}.jpg" for number in range(5)])
    code, _, said = ingest(cli, tmp_path)
    assert code == 2
    assert "2 of the 2 tars" in said
    assert "--overwrite" in said
    assert ingest(cli, tmp_path, "--overwrite")[0] == 0
    assert len(rows(tmp_path / "pool")) == 5
    assert not (tmp_path / "pool" / "shards" / "00001.tar").exists()


@pytest.mark.parametrize("damage", ["truncate", "empty stats", "remove"])
def test_a_damaged_output_is_noticed_and_made_again(
    server: Server, tmp_path: Path, cli: Run, damage: str
) -> None:
    write_list(server, tmp_path / "list.jsonl")
    ingest(cli, tmp_path)
    before = whole_runs.committed(tmp_path / "pool")
    tar, stats = (tmp_path / "pool" / "shards" / f"00000{end}" for end in (".tar", "_stats.json"))
    if damage == "truncate":
        os.truncate(tar, 700)
    elif damage == "remove":
        tar.unlink()
    else:
        stats.write_text("")
    assert ingest(cli, tmp_path)[0] == 0
    assert whole_runs.committed(tmp_path / "pool") == before
    assert hashlib.sha256(tar.read_bytes()).hexdigest() == before["shards/00000.tar"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deny", "host"], "give it as KIND=FILE"),
        (["--deny", "names=x.txt"], "unknown list 'names' under deny; available: url, host, sha256, md5"),
        (["--deny", "host=missing.txt"], "which cannot be read"),
    ],
)
def test_bad_options_are_named(
    server: Server, tmp_path: Path, cli: Run, arguments: list[str], said: str
) -> None:
    write_list(server, tmp_path / "list.jsonl", ["/pictures/1.jpg"])
    code, _, err = ingest(cli, tmp_path, *arguments)
    assert code == 2
    assert said in err
    assert not server.asked


def test_an_empty_list_stops(tmp_path: Path, cli: Run) -> None:
    (tmp_path / "list.jsonl").write_text("\n")
    code, _, err = ingest(cli, tmp_path)
    assert code == 2
    assert "has no rows" in err


def test_killed_and_run_again_gives_the_same_bytes(server: Server, forked: Forker, tmp_path: Path) -> None:
    """Killed as the third piece is done; at random moments, in the soak of all stages."""
    write_list(server, tmp_path / "list.jsonl")
    whole, killed = (
        ("ingest", "list.jsonl", out, "--loopback", "--shard-rows", "5") for out in ("whole", "killed")
    )
    assert forked(*whole, folder=tmp_path)[0] == 0
    assert forked(*killed, folder=tmp_path, NEARFAR_FAILPOINT="unit.fetch=kill@3")[0] == -9
    assert len(list((tmp_path / "killed" / "commits" / "fetch").glob("*.json"))) == 2
    assert forked(*killed, folder=tmp_path)[0] == 0
    assert whole_runs.committed(tmp_path / "killed") == whole_runs.committed(tmp_path / "whole")
    assert not list((tmp_path / "killed" / "attempts").glob("*"))


def test_a_full_disk_is_said_and_resumed(server: Server, tmp_path: Path) -> None:
    write_list(server, tmp_path / "list.jsonl")
    command = ["ingest", str(tmp_path / "list.jsonl"), "pool", "--loopback"]
    failed = whole_runs.finish(command, tmp_path, NEARFAR_FAILPOINT="fetch.body=enospc@5")
    assert failed.returncode in (1, 2)
    assert "Traceback" not in failed.stderr
    assert "space" in failed.stderr
    assert whole_runs.finish(command, tmp_path).returncode == 0
    assert len(rows(tmp_path / "pool")) == GOOD + 1 + len(BAD)


def test_workers_give_the_same_bytes(server: Server, tmp_path: Path, cli: Run) -> None:
    write_list(server, tmp_path / "list.jsonl")
    ingest(cli, tmp_path)
    arguments = [
        "ingest",
        str(tmp_path / "list.jsonl"),
        str(tmp_path / "two"),
        "--loopback",
        "--shard-rows",
        "20",
    ]
    assert cli(*arguments, "--workers", "2")[0] == 0
    assert whole_runs.committed(tmp_path / "two") == whole_runs.committed(tmp_path / "pool")


def test_a_plan_that_starts_from_a_list(server: Server, tmp_path: Path, cli: Run) -> None:
    paths = write_list(server, tmp_path / "list.jsonl")
    tiny = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
    plan = {
        "name": "from-urls",
        "pool": {
            "path": str(tmp_path / "pool"),
            "ingest": {"urls": str(tmp_path / "list.jsonl"), "loopback": True, "shard_rows": 20},
        },
        "encoder": {"model": str(tiny), "pretrained": str(tiny / "open_clip_model.safetensors")},
        "splits": {"kept": [{"where": "captions.words >= 1"}], "some": [{"clip-score": {"fraction": 0.5}}]},
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    code, said, _ = cli("plan", str(tmp_path / "plan.yaml"))
    assert code == 0
    assert "its images are to be fetched" in said
    code, said, err = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, err
    counts = json.loads((tmp_path / "out" / "report" / "audit.json").read_text())
    assert json.dumps(len(paths)) in json.dumps(counts)
    kept = json.loads((tmp_path / "out" / "splits" / "kept" / "split.json").read_text())
    assert kept["kept"] == GOOD + 1
    asked = Counter(server.asked)
    assert cli("run", str(tmp_path / "plan.yaml"))[0] == 0
    assert cli("plan", str(tmp_path / "plan.yaml"))[0] == 0
    assert cli("verify", str(tmp_path / "out"))[0] == 0
    assert cli("export", str(tmp_path / "out"), "some")[0] == 0
    assert server.asked == asked


def test_a_plan_whose_list_is_not_there_says_so_before_anything(tmp_path: Path, cli: Run) -> None:
    plan = {
        "name": "from-urls",
        "pool": {"path": str(tmp_path / "pool"), "ingest": {"urls": str(tmp_path / "none.csv")}},
        "splits": {"kept": [{"where": "captions.words >= 1"}]},
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    code, _, err = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 2
    assert "pool.ingest.urls" in err
    assert not (tmp_path / "pool").exists()
