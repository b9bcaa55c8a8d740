"""Readers of sets that a builder writes keep one contract; test_reader_examples.py has those that bring an EXAMPLE."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from reader_sets import BUILDERS, ODD_COLUMNS, ODD_FOLDER, Written, samples, vectors

from indexes.errors import DataError, UnknownNameError
from pipeline import readers
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.files.vectors import blocks
from pipeline.readers import Shard
from pipeline.sets import uids
from pipeline.sets.samples import LOST_SCHEMA, OWN_NAMES
from pipeline.sets.source import Source

FORMATS = readers.names()
BUILT = tuple(BUILDERS)
# Without zero padding, text order would put shard 10 before shard 2.
COUNTS = (3, 1, 2, 1, 1, 1, 1, 1, 1, 1, 4)


def test_every_builder_has_its_reader() -> None:
    """That every reader has a builder or an example is held in test_reader_examples.py."""
    assert set(BUILT) <= set(FORMATS)
    assert len(BUILT) >= 5


@pytest.fixture(params=BUILT)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    return BUILDERS[request.param](tmp_path / ODD_FOLDER, samples(COUNTS))


def test_the_format_is_found_by_a_look(written: Written) -> None:
    name = written.source.format
    assert name is not None
    assert readers.detect(written.source.path) == (name,)
    assert readers.describe(written.source.path).endswith(f": looks like {name}")
    unnamed = Source(path=written.source.path)
    assert readers.open_reader(unnamed) is readers.open_reader(written.source)
    spelled = Source(path=written.source.path, format=name.replace("-", "_"))
    assert readers.open_reader(spelled) is readers.open_reader(written.source)


def test_shards_are_numbered_in_order_and_travel_as_json(written: Written) -> None:
    shards = readers.open_reader(written.source).shards(written.source)
    assert [shard.number for shard in shards] == list(range(len(written.shards)))
    for shard, expected in zip(shards, written.shards, strict=True):
        assert shard.files
        assert all(Path(file).is_absolute() and Path(file).is_file() for file in shard.files)
        assert Shard.from_json(json.loads(json.dumps(shard.to_json()))) == shard
        assert shard.rows in (None, len(expected))
        assert shard.has_images == written.has_images
        assert bool(shard.vectors) == ("image" in shard.vectors) == written.has_vectors


def test_rows_are_the_samples_in_order(written: Written) -> None:
    reader = readers.open_reader(written.source)
    for shard, expected in zip(reader.shards(written.source), written.shards, strict=True):
        found = reader.rows(written.source, shard)
        table = found.table
        table.validate(full=True)
        assert table.column_names[:5] == ["row", "key", "url", "caption", "label"]
        assert table.schema.field("row").type == pa.int64()
        assert {table.schema.field(name).type for name in table.column_names[1:5]} == {pa.string()}
        assert table["row"].to_pylist() == list(range(len(expected)))
        assert table["key"].to_pylist() == [sample.key for sample in expected]
        if written.has_text:
            assert table["url"].to_pylist() == [sample.url for sample in expected]
            assert table["caption"].to_pylist() == [sample.caption for sample in expected]
        labels = [sample.label if written.has_label else None for sample in expected]
        assert table["label"].to_pylist() == labels
        assert found.lost.schema.equals(LOST_SCHEMA)
        assert len(found.lost) == 0


def test_the_pools_own_columns_pass_through_with_their_types(written: Written) -> None:
    reader = readers.open_reader(written.source)
    for shard in reader.shards(written.source):
        table = reader.rows(written.source, shard).table
        own = [name for name in table.column_names if name not in OWN_NAMES]
        assert len({name.lower() for name in table.column_names}) == len(table.column_names)
        if written.has_own_columns:
            assert set(ODD_COLUMNS) <= set(own)
            assert table.schema.field("*").type == pa.int32()
            assert table.schema.field("face_bboxes").type == pa.list_(pa.list_(pa.float32()))
            assert set(table["similarity"].to_pylist()) <= {6016.0}


def test_rows_can_be_written_and_read_back(written: Written, tmp_path: Path) -> None:
    reader = readers.open_reader(written.source)
    found = reader.rows(written.source, reader.shards(written.source)[0])
    table = uids.resolve(found.table, "the pool")
    assert len(uids.as_pairs(table["uid"])) == len(table)
    write_parquet(tmp_path / "part.parquet", table, table.schema)
    assert read_parquet(tmp_path / "part.parquet").equals(table)


def test_images_come_in_the_order_of_the_rows(written: Written) -> None:
    reader = readers.open_reader(written.source)
    for shard, expected in zip(reader.shards(written.source), written.shards, strict=True):
        shown = expected if written.has_images else []
        assert list(reader.images(written.source, shard)) == [(sample.key, sample.image) for sample in shown]
        few = {sample.key: sample.image for sample in shown[:2]}
        assert reader.image(written.source, shard, [*few, "no such key"]) == few


def test_vectors_are_those_of_the_rows(written: Written) -> None:
    shards = readers.open_reader(written.source).shards(written.source)
    for shard, expected in zip(shards, written.shards, strict=True):
        assert ("image" in shard.vectors) == written.has_vectors
        for file in shard.vectors.values():
            read = [row for block in blocks(file, 2) for row in block.tolist()]
            assert read == vectors(expected).tolist()


@pytest.mark.parametrize("name", BUILT)
def test_an_empty_shard_has_the_schema_of_a_full_one(name: str, tmp_path: Path) -> None:
    written = BUILDERS[name](tmp_path / "set", samples((2, 0, 1)))
    reader = readers.open_reader(written.source)
    shards = reader.shards(written.source)
    tables = [reader.rows(written.source, shard).table for shard in shards]
    assert [len(table) for table in tables] == [len(shard) for shard in written.shards]
    assert all(table.schema.equals(tables[0].schema) for table in tables)
    for shard, expected in zip(shards, written.shards, strict=True):
        if not expected:
            assert list(reader.images(written.source, shard)) == []
            assert all(file.rows == 0 for file in shard.vectors.values())


@pytest.mark.parametrize("name", BUILT)
def test_files_of_another_format_are_described(name: str, tmp_path: Path) -> None:
    for other, builder in BUILDERS.items():
        if other == name:
            continue
        written = builder(tmp_path / other, samples((1, 1)))
        with pytest.raises(
            DataError, match=f"is not in the format '{name}'; found there: .*looks like {other}"
        ):
            readers.open_reader(written.source.model_copy(update={"format": name}))


def test_nothing_that_fits(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "LICENSE").write_text("x")
    with pytest.raises(DataError) as caught:
        readers.open_reader(Source(path=str(tmp_path)))
    assert "1 .txt, 1 file without a suffix: fits no format nearfar reads" in str(caught.value)
    assert f"formats: {', '.join(FORMATS)}" in str(caught.value)
    with pytest.raises(DataError, match="one \\.txt file: fits no format"):
        readers.open_reader(Source(path=str(tmp_path / "notes.txt")))
    with pytest.raises(DataError, match="does not exist"):
        readers.open_reader(Source(path=str(tmp_path / "none"), format="laion"))
    with pytest.raises(DataError, match=r"cannot look at .*File name too long"):
        readers.open_reader(Source(path="x" * 300))
    assert readers.describe(tmp_path / "none") == "nothing: there is no such file or folder"
    (tmp_path / "void").mkdir()
    assert readers.describe(tmp_path / "void") == "nothing: fits no format nearfar reads"


def test_two_formats_that_fit(tmp_path: Path) -> None:
    BUILDERS["image-folder"](tmp_path, samples((1,)))
    BUILDERS["laion"](tmp_path, samples((1,)))
    with pytest.raises(DataError, match="looks like image-folder or laion; name one of them under format"):
        readers.open_reader(Source(path=str(tmp_path)))
    assert readers.open_reader(Source(path=str(tmp_path), format="laion")).shards


def test_an_unknown_format_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="unknown format 'webdataset'; available: clip-retrieval, datacomp"
    ):
        readers.open_reader(Source(path=str(tmp_path), format="webdataset"))
