"""Captions of an image folder that one file tells: Hugging Face's metadata, COCO's captions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import DataError
from pipeline.readers import ShardRows, image_folder
from pipeline.sets.source import Source


def images(root: Path, *names: str) -> Source:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return Source(path=str(root))


def read(source: Source) -> tuple[tuple[str, ...], ShardRows]:
    (shard,) = image_folder.shards(source)
    reading = image_folder.read(source, shard, wants_images=True)
    assert [key for key, _ in reading.images()] == reading.rows().table["key"].to_pylist()
    found = reading.rows()
    hashes = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in shard.files}
    assert reading.digests() == hashes
    return shard.notes, found


def captions(found: ShardRows) -> dict[str, str | None]:
    return dict(zip(found.table["key"].to_pylist(), found.table["caption"].to_pylist(), strict=True))


def test_metadata_csv_names_images_relative_to_its_folder(tmp_path: Path) -> None:
    source = images(tmp_path, "train/0.png", "train/deep/1.png", "train/2.png", "test/0.png")
    (tmp_path / "train" / "metadata.csv").write_text(
        '\ufefffile_name,text,label\n0.png,"a dog, red",cat\n./deep/1.png,two,\ngone.png,x,\n',
        encoding="utf-8",
    )
    notes, found = read(source)
    assert captions(found) == {
        "test/0.png": None,
        "train/0.png": "a dog, red",
        "train/2.png": None,
        "train/deep/1.png": "two",
    }
    assert found.table["label"].to_pylist() == ["test", "cat", "train", "train"]
    assert notes == (
        "train/metadata.csv: texts in UTF-8 with a byte order mark",
        "train/metadata.csv names 1 images that are not in the set: 'gone.png'",
    )
    assert found.odd == {}


def test_metadata_jsonl_and_texts_beside_images_which_come_first(tmp_path: Path) -> None:
    source = images(tmp_path, "0.png", "1.png", "2.png")
    rows: list[dict[str, Any]] = [
        {"file_name": "0.png", "caption": ["first", "second"], "url": "http://0"},
        {"file_name": "1.png", "text": "told"},
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (tmp_path / "1.txt").write_text("beside")
    notes, found = read(source)
    assert captions(found) == {"0.png": "first", "1.png": "beside", "2.png": None}
    assert found.table["url"].to_pylist() == ["http://0", None, None]
    assert notes == ()
    assert found.odd == {"captions that are lists, of which the first text is taken": 1}


def test_a_table_that_is_torn_stops_and_one_without_names_is_counted(tmp_path: Path) -> None:
    source = images(tmp_path, "0.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "te')
    with pytest.raises(DataError, match=r"metadata.jsonl' cannot be read .* Write it again, or take it away"):
        image_folder.shards(source)
    (tmp_path / "metadata.jsonl").write_text('{"name": "0.png"}\n[1]\n')
    notes, found = read(source)
    assert notes == ("files that do not end like an image are left out: 1 .jsonl",)
    assert captions(found) == {"0.png": None}


def test_coco_captions_find_their_images_in_another_folder(tmp_path: Path) -> None:
    source = images(tmp_path, "val2017/000000000009.jpg", "val2017/000000000025.jpg", "val2017/1.jpg")
    content = {
        "images": [
            {"id": 9, "file_name": "000000000009.jpg", "coco_url": "http://c/9"},
            {"id": 25, "file_name": "000000000025.jpg"},
            {"id": 30, "file_name": "000000000030.jpg"},
        ],
        "annotations": [
            {"id": 7, "image_id": 9, "caption": "later"},
            {"id": 3, "image_id": 9, "caption": "first"},
            {"id": 4, "image_id": 30, "caption": "gone"},
            {"id": 5, "image_id": 25, "caption": "alone"},
        ],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    (tmp_path / "annotations" / "instances_val2017.json").write_text("{}")
    notes, found = read(source)
    assert captions(found) == {
        "val2017/000000000009.jpg": "first",
        "val2017/000000000025.jpg": "alone",
        "val2017/1.jpg": None,
    }
    assert found.table["url"].to_pylist() == ["http://c/9", None, None]
    assert notes == (
        "annotations/captions_val2017.json names 1 images that are not in the set: '000000000030.jpg'",
        "files that do not end like an image are left out: 1 .json",
    )
    assert found.odd == {"captions that are lists, of which the first text is taken": 1}


@pytest.mark.parametrize(
    "content", ["", "[]", '{"images": [], "annotations": []}', '{"images": 7}', "[" * 9_999]
)
def test_json_that_is_no_coco_captions_is_counted(tmp_path: Path, content: str) -> None:
    source = images(tmp_path, "0.png")
    (tmp_path / "captions.json").write_text(content)
    assert read(source)[0] == ("files that do not end like an image are left out: 1 .json",)


def test_a_json_beside_its_image_tells_of_that_image(tmp_path: Path) -> None:
    source = images(tmp_path, "captions.png")
    (tmp_path / "captions.json").write_text('{"caption": "own"}')
    notes, found = read(source)
    assert (notes, captions(found)) == ((), {"captions.png": "own"})


def test_only_shards_with_such_images_have_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "IMAGES_PER_SHARD", 1)
    source = images(tmp_path, "a/0.png", "b/0.png")
    (tmp_path / "b" / "metadata.csv").write_text("file_name,text\n0.png,b\n")
    assert [len(shard.files) for shard in image_folder.shards(source)] == [1, 2]
