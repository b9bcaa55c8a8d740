"""What `nearfar ingest` advises leads out: the situation is made, the advice taken, and the command then succeeds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_server import Server, hostile_server
from whole_runs import Run

from pipeline.readers import img2dataset, tells_of_missing_files
from pipeline.sets.source import Source

Step = Callable[[Path, list[str]], None]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with hostile_server() as running:
        yield running


def write(folder: Path, server: Server, name: str = "list.csv", header: str = "url") -> None:
    (folder / name).write_text(f"{header}\n{server.url('/pictures/1.jpg')}\n")


def a_folder_without_lists(folder: Path, server: Server, command: list[str]) -> Step:
    (folder / "lists").mkdir()
    write(folder, server)
    command[1] = str(folder / "lists")
    return lambda folder, command: command.__setitem__(1, str(folder / "list.csv"))


def a_path_of_nothing(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    command[1] = str(folder / "lst.csv")
    return lambda folder, command: command.__setitem__(1, str(folder / "list.csv"))


def another_suffix(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server, "list.dat")
    command[1] = str(folder / "list.dat")

    def rename(folder: Path, command: list[str]) -> None:
        (folder / "list.dat").rename(folder / "list.csv")
        command[1] = str(folder / "list.csv")

    return rename


def no_column_of_urls(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server, header="link")
    return lambda folder, command: write(folder, server)


def a_quotation_mark_that_nothing_ends(folder: Path, server: Server, command: list[str]) -> Step:
    """The marks are doubled, and one is put around."""
    nobody = "http://127.0.0.1:1024/"
    (folder / "list.csv").write_text(
        f'caption,url\n"x" y,{server.url("/pictures/1.jpg")}\n"z,{nobody}\nw" v,{nobody}\n'
    )

    def mend(folder: Path, command: list[str]) -> None:
        text = (folder / "list.csv").read_text()
        for wrong, right in (('"x" y', '"""x"" y"'), ('"z', '"""z"'), ('w" v', '"w"" v"')):
            text = text.replace(wrong, right)
        (folder / "list.csv").write_text(text)

    return mend


def a_broken_file(folder: Path, server: Server, command: list[str]) -> Step:
    (folder / "list.csv").write_text("url,caption\nx\ny,z,w\n")
    return lambda folder, command: write(folder, server)


def an_empty_list(folder: Path, server: Server, command: list[str]) -> Step:
    (folder / "list.csv").write_text("url\n")
    write(folder, server, "another.csv")
    return lambda folder, command: command.__setitem__(1, str(folder / "another.csv"))


def a_deny_option_without_kind(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    (folder / "deny.txt").write_text("example.org\n")
    command += ["--deny", str(folder / "deny.txt")]
    return lambda folder, command: command.__setitem__(-1, f"host={folder / 'deny.txt'}")


def a_deny_list_that_is_not_there(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    (folder / "deny.txt").write_text("example.org\n")
    command += ["--deny", f"host={folder / 'dny.txt'}"]
    return lambda folder, command: command.__setitem__(-1, f"host={folder / 'deny.txt'}")


def a_deny_list_that_is_broken(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    (folder / "deny.parquet").write_bytes(b"PAR1")
    command += ["--deny", f"host={folder / 'deny.parquet'}"]
    return lambda folder, command: pq.write_table(pa.table({"host": ["a.org"]}), folder / "deny.parquet")


def a_deny_list_of_other_columns(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    (folder / "deny.csv").write_text("name,why\na.org,x\n")
    command += ["--deny", f"host={folder / 'deny.csv'}"]
    return lambda folder, command: (folder / "deny.csv").write_text("host,why\na.org,x\n") and None


def a_deny_list_of_numbers(folder: Path, server: Server, command: list[str]) -> Step:
    write(folder, server)
    pq.write_table(pa.table({"md5": [1]}), folder / "deny.parquet")
    command += ["--deny", f"md5={folder / 'deny.parquet'}"]
    return lambda folder, command: pq.write_table(pa.table({"md5": ["0" * 32]}), folder / "deny.parquet")


def a_folder_of_another_list(folder: Path, server: Server, command: list[str], cli: Run) -> Step:
    (folder / "list.csv").write_text(f"url\n{server.url('/pictures/2.jpg')}\n")
    assert cli(*command)[0] == 0
    write(folder, server)
    return lambda folder, command: shutil.rmtree(folder / "pool")


def a_folder_that_asked_nobody_here(folder: Path, server: Server, command: list[str], cli: Run) -> Step:
    """What was refused without --loopback is asked for with it, where the user lets the refusals go."""
    write(folder, server)
    assert cli(*(word for word in command if word != "--loopback"))[0] == 1
    return lambda folder, command: command.append("--overwrite")


CASES = {
    a_folder_without_lists: "name the file, or the folder that holds them",
    a_path_of_nothing: "correct the path, or fetch the pool's metadata first",
    another_suffix: "Rename or convert it",
    a_quotation_mark_that_nothing_ends: "Double the marks inside a cell and put one around it",
    no_column_of_urls: "Call it url, image_url, uri",
    a_broken_file: "Fetch or write the file again",
    an_empty_list: "has no rows; name another",
    a_deny_option_without_kind: "give it as KIND=FILE",
    a_deny_list_that_is_not_there: "give a file with one entry a line, CSV or Parquet with a column of entries",
    a_deny_list_that_is_broken: "write it again",
    a_deny_list_of_other_columns: "give the one to read that name",
    a_deny_list_of_numbers: "write its entries as text",
    a_folder_of_another_list: "Name another folder, remove this one, or add --overwrite",
    a_folder_that_asked_nobody_here: "Name another folder, remove this one, or add --overwrite",
}


@pytest.mark.parametrize("case", CASES)
def test_what_ingest_advises_leads_out(
    server: Server, tmp_path: Path, cli: Run, case: Callable[..., Step]
) -> None:
    command = ["ingest", str(tmp_path / "list.csv"), str(tmp_path / "pool"), "--loopback"]
    more = [cli] if case in (a_folder_of_another_list, a_folder_that_asked_nobody_here) else []
    follow = case(tmp_path, server, command, *more)
    code, _, said = cli(*command)
    assert code == 2
    assert CASES[case] in said
    follow(tmp_path, command)
    code, out, said = cli(*command)
    assert code == 0, said
    assert re.search(r"1 of [13] URLs gave an image", out)


@pytest.fixture(scope="module")
def fetched(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of five URLs, fetched in pieces of two."""
    from pipeline.cli import main

    folder = tmp_path_factory.mktemp("fetched")
    (folder / "list.txt").write_text("".join(f"{server.url(f'/pictures/{at}.jpg')}\n" for at in range(5)))
    with pytest.raises(SystemExit) as stopped:
        main(again(folder))
    assert not stopped.value.code
    return folder


def again(folder: Path) -> tuple[str, ...]:
    return ("ingest", str(folder / "list.txt"), str(folder / "pool"), "--loopback", "--shard-rows", "2")


@pytest.mark.parametrize("number", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("record", [False, True], ids=["its files", "its record too"])
def test_a_fetched_shard_that_is_lost_is_said_and_fetched_again_as_the_message_says(
    fetched: Path, tmp_path: Path, cli: Run, number: int, record: bool
) -> None:
    shutil.copytree(fetched, tmp_path, dirs_exist_ok=True)
    pool = Source(path=str(tmp_path / "pool" / "shards"), format="img2dataset")
    assert [(shard.name, shard.notes) for shard in img2dataset.shards(pool)] == [
        (f"0000{at}", ()) for at in range(3)
    ]
    for file in (tmp_path / "pool" / "shards").glob(f"0000{number}*"):
        file.unlink()
    if record:
        (tmp_path / "pool" / "commits" / "fetch" / f"0000{number}.json").unlink()
    first, other = img2dataset.shards(pool)
    assert (first.notes, other.notes) == (
        (
            f"1 of 3 shards that nearfar fetched or was to fetch are not there (0000{number}): their samples are "
            "missing; give the same list to nearfar ingest again, then run again",
        ),
        (),
    )
    assert tells_of_missing_files(first.notes[0])
    code, _, said = cli(*again(tmp_path))
    assert code == 0, said
    assert [shard.notes for shard in img2dataset.shards(pool)] == [()] * 3


def test_of_a_pool_that_was_fetched_elsewhere_nothing_is_made_up(fetched: Path, tmp_path: Path) -> None:
    """Its folder alone, under another name or beside other things that are called commits."""
    shutil.copytree(fetched / "pool" / "shards", tmp_path / "shards")
    shutil.copytree(fetched / "pool", tmp_path / "other")
    (tmp_path / "other" / "shards").rename(tmp_path / "other" / "mine")
    (tmp_path / "commits").write_text("none of ours")
    for folder in (tmp_path / "shards", tmp_path / "other" / "mine"):
        for file in folder.glob("00002*"):
            file.unlink()
        assert [shard.notes for shard in img2dataset.shards(Source(path=str(folder)))] == [(), ()]
