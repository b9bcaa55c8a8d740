"""`nearfar verify` of a folder that `nearfar ingest` made: what does not agree is named, and can be mended."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_server import hostile_server
from test_ingest import ingest, write_list
from whole_runs import Run, committed

from pipeline.commit import dump_record, read_record
from pipeline.files.digests import sha256_of
from pipeline.verify import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A list and the pool that was fetched of it, three pieces with images, a GIF and failures."""
    from pipeline.cli import main

    folder = tmp_path_factory.mktemp("fetched")
    with hostile_server() as server:
        write_list(server, folder / "list.jsonl")
        with pytest.raises(SystemExit):
            ingest(lambda *given: main(given), folder)  # type: ignore[arg-type, return-value, misc]
        yield folder


@pytest.fixture
def pool(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy" / "pool"


def test_a_fetched_pool_is_proved(pool: Path, cli: Run) -> None:
    code, said, _ = cli("verify", str(pool))
    assert (code, "all well" in said, "41 images held against their lists" in said) == (0, True, True)


def sign(
    pool: Path, name: str, write: Callable[[Path], None], stage: str = "fetch", unit: str = "00000"
) -> None:
    """Write a file anew, and make its record say so."""
    path = pool / name
    content = path.read_bytes()
    path.unlink()  # it is a hard link
    path.write_bytes(content)
    write(path)
    record = read_record(pool, stage, unit)
    assert record is not None
    told = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    outputs = tuple(replace(one, **told) if one.path == name else one for one in record.outputs)
    file = pool / "commits" / stage / f"{unit}.json"
    file.unlink()
    file.write_bytes(dump_record(replace(record, outputs=outputs)))


def other_member(ending: str) -> Callable[[Path], None]:
    """Change the content of the first member with an ending, or leave it out."""

    def write(path: Path) -> None:
        with tarfile.open(path) as tar:
            members = [(one, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
        at = next(n for n, (one, _) in enumerate(members) if one.name.endswith(ending.lstrip("-")))
        if ending.startswith("-"):
            del members[at]
        else:
            members[at] = (members[at][0], members[at][1][::-1])
        with tarfile.open(path, "w") as tar:
            for one, content in members:
                tar.addfile(one, io.BytesIO(content))

    return write


def other_value(column: str, row: int, value: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        table = pq.read_table(path)
        values = table.column(column).to_pylist()
        values[row] = value
        new = pa.array(values, table.schema.field(column).type)
        pq.write_table(table.set_column(table.column_names.index(column), column, new), path)

    return write


def other_count(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"successes": 1}))


TABLE, TAR = "shards/00000.parquet", "shards/00000.tar"
WRONG: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "an image": (TAR, other_member(".jpg"), "0000000.jpg is not the image whose sha256 the table has"),
    "a caption beside it": (TAR, other_member(".txt"), "0000000.txt is not what the table says of it"),
    "a row beside it": (TAR, other_member(".json"), "0000000.json is not what the table says of it"),
    "an image that is gone": (TAR, other_member("-.jpg"), "has no image of 00000"),
    "a caption": (TABLE, other_value("caption", 2, "x"), "caption in row 2 is 'x', and should be"),
    "a url": (TABLE, other_value("url", 3, "http://x"), "url in row 3 is 'http://x', and the list has"),
    "a key": (TABLE, other_value("key", 4, "0000019"), "key in row 4 is '0000019'"),
    "an outcome": (TABLE, other_value("status", 0, "failed_to_download"), "and should be"),
    "counts": ("shards/00000_stats.json", other_count, "successes is 1, and should be 20"),
    "hosts of a piece": (
        "internal/hosts/part-00000.parquet",
        other_value("rows", 0, 99),
        "99, and should be",
    ),
    "the list": ("internal/urls/part-00000-00000.parquet", other_value("caption", 1, "y"), "should be 'y'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_was_written_wrong_is_named(pool: Path, what: str) -> None:
    name, write, said = WRONG[what]
    sign(pool, name, write, *(("cut",) if what == "the list" else ()))
    found = verify(pool)
    assert any(said in problem for problem in found.problems), found.problems
    assert "fetch/00000" in found.wrong


def test_counts_of_hosts_are_added_up_again(pool: Path) -> None:
    sign(pool, "hosts/part-0000.parquet", other_value("rows", 0, 99), "hosts", "all")
    found = verify(pool)
    assert found.wrong == ["hosts/all"]
    assert "hosts/part-0000.parquet: rows in row 0 is 99, and should be " in found.problems[0]


def test_what_is_damaged_is_taken_back_and_fetched_again(folder: Path, pool: Path, cli: Run) -> None:
    before = committed(pool)
    content = bytearray((pool / TAR).read_bytes())
    (pool / TAR).unlink()
    content[700] ^= 1
    (pool / TAR).write_bytes(content)
    code, said, _ = cli("verify", str(pool))
    assert (code, f"wrong: {TAR} is not what was committed" in said) == (1, True)
    command = said.splitlines()[-1].partition(": nearfar ")[2].split()
    code, _, errors = cli(*command)
    assert (code, "run the same nearfar ingest again" in errors) == (2, True)
    assert ingest(cli, pool.parent)[0] == 0
    assert committed(pool) == before
    assert cli("verify", str(pool))[0] == 0


def test_a_record_that_is_rotten_is_named(pool: Path, cli: Run) -> None:
    path = pool / "commits" / "fetch" / "00001.json"
    content = path.read_text().replace('"count": 20', '"count": 21')
    path.unlink()
    path.write_text(content)
    code, said, _ = cli("verify", str(pool))
    assert (code, "commits/fetch/00001.json is not what was committed" in said) == (1, True)
