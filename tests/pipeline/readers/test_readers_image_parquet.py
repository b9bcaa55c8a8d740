"""Parquet with images in a column: what img2dataset's `parquet` output and Hugging Face's datasets hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reader_sets import write_stats

from indexes.errors import DataError
from pipeline import readers
from pipeline.readers import Shard, ShardRows, image_parquet
from pipeline.sets.own_columns import own_columns
from pipeline.sets.source import Source

JPEG = b"\xff\xd8\xff"


def read(folder: Path) -> tuple[Source, list[Shard], list[ShardRows]]:
    source = Source(path=str(folder))
    assert readers.detect(folder) == ("image-parquet",)
    shards = image_parquet.shards(source)
    return source, shards, [image_parquet.rows(source, shard) for shard in shards]


def write(folder: Path, name: str, columns: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / name)


def downloads(folder: Path) -> None:
    """Four tries: one worked, one did not arrive, one worked and is empty of an image, one is an empty file."""
    columns = {
        "url": ["http://x/0", "http://x/1", "http://x/2", "http://x/3"],
        "caption": ["zero", None, "two", "three"],
        "key": ["000", "001", "002", "003"],
        "status": ["success", "failed_to_download", "success", "success"],
        "error_message": [None, "HTTP Error 404", None, None],
        "width": pa.array([8, None, 8, 8], pa.int32()),
        "jpg": pa.array([JPEG, None, None, b""], pa.binary()),
    }
    write(folder, "00000.parquet", columns)
    write_stats(folder / "00000_stats.json", 4, 3)


def test_img2dataset_s_parquet_lists_what_failed_and_keeps_its_columns(tmp_path: Path) -> None:
    downloads(tmp_path / "set")
    source, (shard,), (found,) = read(tmp_path / "set")
    assert (shard.rows, shard.has_images, shard.notes) == (4, True, ())
    assert found.table["key"].to_pylist() == ["000", "003"]
    assert found.table["caption"].to_pylist() == ["zero", "three"]
    assert found.table["row"].to_pylist() == [0, 1]
    assert found.table.column_names[5:] == ["status", "error_message", "width"], "the images are no column"
    assert [(one["key"], one["outcome"], one["reason"]) for one in found.lost.to_pylist()] == [
        ("001", "failed", "failed_to_download: HTTP Error 404"),
        ("002", "quarantined", "no image in its row"),
    ]
    assert list(image_parquet.images(source, shard)) == [("000", JPEG), ("003", b"")]
    assert image_parquet.image(source, shard, ["003"]) == {"003": b""}
    assert set(own_columns(source, [shard])) >= {"status", "width"}
    assert not {"jpg", "image"} & set(own_columns(source, [shard]))


def test_uids_are_those_of_the_same_download_as_tars(tmp_path: Path) -> None:
    """A sample with a url is named by url and caption, whatever lies around it."""
    downloads(tmp_path / "set")
    found = read(tmp_path / "set")[2][0]
    assert "uid" not in found.table.column_names, "the stage derives them, as for tars"


def test_hugging_face_s_images_have_bytes_and_a_path(tmp_path: Path) -> None:
    for number in (0, 1):
        columns = {
            "image": [{"bytes": JPEG + bytes([number, row]), "path": "image.jpg"} for row in range(2)],
            "caption": [[f"first {row}", f"second {row}"] for row in range(2)],
            "label": [7, 8],
        }
        write(tmp_path / "set", f"train-0000{number}-of-00002.parquet", columns)
    source, shards, found = read(tmp_path / "set")
    assert [one.table["caption"].to_pylist() for one in found] == [["first 0", "first 1"]] * 2
    assert found[0].notes == ("column 'caption' holds lists of captions, of which the first is taken",)
    assert found[0].table["pool_caption"].to_pylist() == [["first 0", "second 0"], ["first 1", "second 1"]]
    assert found[0].table["label"].to_pylist() == ["7", "8"]
    keys = ["train-00001-of-00002-0", "train-00001-of-00002-1"]
    assert dict(image_parquet.images(source, shards[1])) == {
        key: JPEG + bytes([1, row]) for row, key in enumerate(keys)
    }
    uids = [uid for one in found for uid in one.table["uid"].to_pylist()]
    assert len(set(uids)) == 4


def test_a_file_of_images_alone_is_a_set(tmp_path: Path) -> None:
    write(tmp_path / "set", "a.parquet", {"png": pa.array([b"x", b"y"], pa.large_binary())})
    found = read(tmp_path / "set")[2][0]
    assert found.table["key"].to_pylist() == ["a-0", "a-1"]


def test_of_two_kinds_the_first_is_taken_and_texts_of_such_a_name_are_none(tmp_path: Path) -> None:
    schema = pa.schema([("image", pa.string()), ("png", pa.binary()), ("JPG", pa.binary())])
    assert image_parquet.image_column(schema) == "JPG"
    assert image_parquet.image_column(pa.schema([("image", pa.string()), ("url", pa.string())])) is None


def test_a_later_file_without_images_is_refused_and_taken_away_as_the_message_says(tmp_path: Path) -> None:
    downloads(tmp_path / "set")
    write(tmp_path / "set", "00001.parquet", {"url": ["http://x/9"], "key": ["9"]})
    source = Source(path=str(tmp_path / "set"))
    shards = image_parquet.shards(source)
    with pytest.raises(DataError, match=r"has no column of images.* Take the file away") as caught:
        image_parquet.rows(source, shards[1])
    Path(str(caught.value).split("'")[1]).unlink()
    assert len(image_parquet.shards(source)) == 1


def test_a_column_that_is_there_twice_comes_through_under_two_names(tmp_path: Path) -> None:
    table = pa.table([pa.array([b"x"]), pa.array([1]), pa.array([2])], names=["jpg", "a", "a"])
    pq.write_table(table, tmp_path / "0.parquet")
    found = read(tmp_path)[2][0].table
    assert found.column_names[5:7] == ["a", "pool_a"]
    assert (found["a"].to_pylist(), found["pool_a"].to_pylist()) == ([1], [2])
