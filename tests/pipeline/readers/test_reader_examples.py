"""What a reader's own `EXAMPLE` shows of it: a small set of text files that the file brings along."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from reader_sets import BUILDERS, samples
from readme_examples import example_files

from pipeline import readers
from pipeline.readers import Shard
from pipeline.sets import uids
from pipeline.sets.samples import LOST_SCHEMA
from pipeline.sets.source import Source

README = "tsv"
"""README's own reader, which is put beside the others where it is not among them."""
OWN = [name for name in readers.names() if "EXAMPLE" in vars(readers.reader_of(name))]
EVERY_EXAMPLE = pytest.mark.parametrize("name", sorted({*OWN, README}))


@pytest.fixture(autouse=True)
def with_readmes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if README in OWN:
        yield
        return
    (tmp_path / "further").mkdir()
    (tmp_path / "further" / "tsv.py").write_text(example_files()["pipeline/readers/tsv.py"])
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path / "further")])
    yield
    sys.modules.pop("pipeline.readers.tsv", None)
    vars(readers).pop("tsv", None)


def example(name: str) -> Mapping[str, str]:
    """The files that a reader's own file shows, by name."""
    files: Mapping[str, str] = vars(readers.reader_of(name))["EXAMPLE"]
    return files


def written(name: str, folder: Path) -> Source:
    folder.mkdir(exist_ok=True)
    for file, text in example(name).items():
        (folder / file).write_text(text, encoding="utf-8")
    return Source(path=str(folder), format=name)


def test_every_reader_has_a_set_to_be_tested_on() -> None:
    assert set(readers.names()) == {*BUILDERS, *OWN, README}, "give the reader's file an EXAMPLE"


@EVERY_EXAMPLE
def test_it_is_found_by_a_look_and_takes_no_other_format(name: str, tmp_path: Path) -> None:
    assert readers.detect(written(name, tmp_path / "own").path) == (name,)
    for other, builder in BUILDERS.items():
        assert readers.detect(builder(tmp_path / other, samples((1, 1))).source.path) == (other,)
    assert not readers.reader_of(name).recognises(tmp_path / "none")


@EVERY_EXAMPLE
def test_shards_are_numbered_and_travel_as_json(name: str, tmp_path: Path) -> None:
    source = written(name, tmp_path / "own")
    shards = readers.open_reader(source).shards(source)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert len({shard.name for shard in shards}) == len(shards) > 0
    named = {file for shard in shards for file in shard.files}
    assert named == {str(tmp_path / "own" / file) for file in example(name)}
    assert all(Shard.from_json(json.loads(json.dumps(shard.to_json()))) == shard for shard in shards)


@EVERY_EXAMPLE
def test_rows_have_nearfars_columns_and_names_of_their_own(name: str, tmp_path: Path) -> None:
    source = written(name, tmp_path / "own")
    reader = readers.open_reader(source)
    seen: set[tuple[int, int]] = set()
    for shard in reader.shards(source):
        found = reader.rows(source, shard)
        table = found.table
        table.validate(full=True)
        assert table.column_names[:5] == ["row", "key", "url", "caption", "label"]
        assert {table.schema.field(column).type for column in table.column_names[1:5]} == {pa.string()}
        assert table["row"].to_pylist() == list(range(len(table)))
        assert found.lost.schema.equals(LOST_SCHEMA)
        names = {tuple(pair) for pair in uids.as_pairs(uids.resolve(table, name)["uid"]).tolist()}
        assert len(names) == len(table) > 0
        assert not names & seen
        seen |= names


@EVERY_EXAMPLE
@pytest.mark.parametrize("wants_images", [False, True])
def test_reading_gives_the_same_rows_with_the_digests_of_the_files(
    name: str, wants_images: bool, tmp_path: Path
) -> None:
    source = written(name, tmp_path / "own")
    reader = readers.open_reader(source)
    for shard in reader.shards(source):
        read = reader.read(source, shard, wants_images)
        keys = [key for key, _ in read.images()]
        table = read.rows().table
        assert table.equals(reader.rows(source, shard).table)
        assert keys == (table["key"].to_pylist() if wants_images and shard.has_images else [])
        expected = {file: sha256(Path(file).read_bytes()).hexdigest() for file in shard.files}
        assert read.digests() == expected
