"""img2dataset's `files` output is read as the tars of the same download are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest
from reader_sets import Sample, members, write_parquet, write_stats, write_tar

from indexes.errors import DataError
from pipeline.readers import Shard, image_folder, img2dataset
from pipeline.sets.source import Source

KEYS = ("000000000", "000000001", "000000002", "000000003")
STATUS = ("success", "failed_to_download", "success", "failed_to_resize")
ERRORS = (None, "HTTP Error 404", None, "image too small")


def listed(folder: Path, keys: tuple[str, ...] = KEYS, **more: pa.Array) -> None:
    columns = {
        "key": pa.array(keys),
        "url": pa.array([f"http://h/{key}" for key in keys]),
        "caption": pa.array([f"caption {key}" for key in keys]),
        "status": pa.array(STATUS[: len(keys)]),
        "error_message": pa.array(ERRORS[: len(keys)], pa.string()),
        "width": pa.array(range(len(keys))),
    }
    write_parquet(folder.with_name(f"{folder.name}.parquet"), columns | more)


def download(root: Path) -> Source:
    for name in ("00000", "00001"):
        (root / name).mkdir(parents=True)
        listed(root / name)
        write_stats(root / f"{name}_stats.json", 4, 2)
        for key in (KEYS[2], KEYS[0]):
            for file, content in members(Sample(key, f"http://h/{key}", f"caption {key}", "")):
                (root / name / file).write_bytes(content)
    return Source(path=str(root))


def test_failed_rows_are_lost_with_their_reason(tmp_path: Path) -> None:
    source = download(tmp_path)
    shards = image_folder.shards(source)
    assert [(shard.number, shard.name, shard.rows) for shard in shards] == [(0, "00000", 2), (1, "00001", 2)]
    assert shards[0].notes == ("files that do not end like an image are left out: 2 _stats.json",)
    found = image_folder.rows(source, shards[1])
    assert found.table.select(["row", "key", "url", "caption", "label", "width"]).to_pylist() == [
        {
            "row": row,
            "key": KEYS[place],
            "url": f"http://h/{KEYS[place]}",
            "caption": f"caption {KEYS[place]}",
            "label": None,
            "width": place,
        }
        for row, place in enumerate((0, 2))
    ]
    assert found.lost.select(["key", "url", "outcome", "reason"]).to_pylist() == [
        {
            "key": KEYS[place],
            "url": f"http://h/{KEYS[place]}",
            "outcome": "failed",
            "reason": f"{STATUS[place]}: {ERRORS[place]}",
        }
        for place in (1, 3)
    ]
    assert Shard.from_json(shards[1].to_json()) == shards[1]


def test_rows_and_images_are_those_of_the_tar(tmp_path: Path) -> None:
    source = download(tmp_path / "files")
    tars = tmp_path / "tars"
    tars.mkdir()
    for name in ("00000", "00001"):
        entries = [
            entry
            for key in (KEYS[0], KEYS[2])
            for entry in members(Sample(key, f"http://h/{key}", f"caption {key}", ""))
        ]
        write_tar(tars / f"{name}.tar", entries)
        listed(tars / name)
    packed = Source(path=str(tars))
    pairs = zip(image_folder.shards(source), img2dataset.shards(packed), strict=True)
    for folder, tar in pairs:
        own, theirs = image_folder.rows(source, folder), img2dataset.rows(packed, tar)
        assert own.table.equals(theirs.table)
        assert own.lost.equals(theirs.lost)
        assert list(image_folder.images(source, folder)) == list(img2dataset.images(packed, tar))
        wanted = [KEYS[2], "none"]
        assert image_folder.image(source, folder, wanted) == img2dataset.image(packed, tar, wanted)


def test_each_file_is_hashed_from_what_was_read(tmp_path: Path) -> None:
    source = download(tmp_path)
    for folder in ("00000", "00001"):
        columns = {"key": pa.array(KEYS), "status": pa.array(STATUS)}
        write_parquet(tmp_path / f"{folder}.parquet", columns)
    shard = image_folder.shards(source)[0]
    reading = image_folder.read(source, shard, wants_images=True)
    assert [key for key, _ in reading.images()] == [KEYS[0], KEYS[2]]
    assert reading.rows().table["caption"].to_pylist() == [f"caption {KEYS[0]}", f"caption {KEYS[2]}"]
    assert reading.digests() == {
        file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in shard.files
    }


def test_a_folder_in_which_everything_failed(tmp_path: Path) -> None:
    source = download(tmp_path)
    (tmp_path / "00002").mkdir()
    failed = {"status": pa.array(["failed_to_download"]), "error_message": pa.array(["timed out"])}
    listed(tmp_path / "00002", KEYS[:1], **failed)
    shard = image_folder.shards(source)[2]
    assert (shard.name, shard.rows, list(image_folder.images(source, shard))) == ("00002", 0, [])
    found = image_folder.rows(source, shard)
    assert (len(found.table), found.lost["reason"].to_pylist()) == (0, ["failed_to_download: timed out"])


def test_a_success_whose_image_is_gone_stops(tmp_path: Path) -> None:
    source = download(tmp_path)
    (tmp_path / "00000" / f"{KEYS[0]}.jpg").unlink()
    with pytest.raises(DataError, match=r"the folder '.*00000' is truncated .* 1 successes that it lacks"):
        image_folder.rows(source, image_folder.shards(source)[0])


def test_parquet_without_keys_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.jpg").write_bytes(b"x")
    write_parquet(tmp_path / "a.parquet", {"url": pa.array(["u"])})
    (shard,) = image_folder.shards(Source(path=str(tmp_path)))
    assert shard.files == (str(tmp_path / "a" / "0.jpg"),)
    assert shard.notes == ("files that do not end like an image are left out: 1 .parquet",)
