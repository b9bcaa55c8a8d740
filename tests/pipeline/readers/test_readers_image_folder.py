from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from reader_sets import write_parquet

from indexes.errors import DataError
from pipeline.readers import ShardRows, detect, image_folder
from pipeline.readers._folders import image_files
from pipeline.sets import uids
from pipeline.sets.samples import LOST_SCHEMA
from pipeline.sets.source import Source


def put(root: Path, *names: str) -> Source:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return Source(path=str(root))


def read(source: Source) -> list[ShardRows]:
    return [image_folder.rows(source, shard) for shard in image_folder.shards(source)]


def test_class_is_the_first_folder_and_the_key_the_path(tmp_path: Path) -> None:
    source = put(
        tmp_path,
        "n02/b.JPEG",
        'n02/deep er/it\'s "a" [x] *.webp',
        "n01/a.png",
        "top.gif",
        "Äpfel/é.jpg",
        "n01/.hidden.png",
        ".git/x.png",
        "n01/readme.txt",
        "n03/x.svg",
    )
    (found,) = read(source)
    assert found.table.select(["row", "key", "label"]).to_pylist() == [
        {"row": 0, "key": "n01/a.png", "label": "n01"},
        {"row": 1, "key": "n02/b.JPEG", "label": "n02"},
        {"row": 2, "key": 'n02/deep er/it\'s "a" [x] *.webp', "label": "n02"},
        {"row": 3, "key": "top.gif", "label": None},
        {"row": 4, "key": "Äpfel/é.jpg", "label": "Äpfel"},
    ]
    assert found.lost.select(["key", "outcome", "reason"]).to_pylist() == [
        {
            "key": "n03/x.svg",
            "outcome": "quarantined",
            "reason": "nearfar decodes no .svg; convert it to .png or .jpg",
        }
    ]
    (shard,) = image_folder.shards(source)
    assert shard.notes == (
        "files that do not end like an image are left out: 2 hidden or dropped by macOS, Windows or Hadoop, 1 .txt",
    )
    assert shard.name == "n01/a.png … Äpfel/é.jpg"
    assert dict(image_folder.images(source, shard)) == {
        key: key.encode() for key in found.table["key"].to_pylist()
    }


def test_shards_are_cut_at_fixed_numbers_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image_folder.IMAGES_PER_SHARD == 10_000
    monkeypatch.setattr(image_folder, "IMAGES_PER_SHARD", 3)
    source = put(tmp_path, *[f"class {number % 2}/{number}.png" for number in range(8)])
    shards = image_folder.shards(source)
    assert [(shard.number, shard.rows, len(shard.files)) for shard in shards] == [
        (0, 3, 3),
        (1, 3, 3),
        (2, 2, 2),
    ]
    tables = [image_folder.rows(source, shard).table for shard in shards]
    keys = [key for table in tables for key in table["key"].to_pylist()]
    assert keys == sorted(f"class {number % 2}/{number}.png" for number in range(8))
    assert [table["row"].to_pylist() for table in tables] == [[0, 1, 2], [0, 1, 2], [0, 1]]
    assert image_folder.image(source, shards[1], [keys[3], keys[0]]) == {keys[3]: keys[3].encode()}


def test_a_trailing_slash_and_dots_change_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "set", "a/1.png")
    monkeypatch.chdir(tmp_path)
    for path in ("set", "set/", "./set", f"{tmp_path}/set//", "set/."):
        assert read(Source(path=path))[0].table["key"].to_pylist() == ["a/1.png"]


def test_links_inside_are_read_and_links_that_leave_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "outside", "secret.png")
    source = put(tmp_path / "set", "a/1.png")
    root = tmp_path / "set"
    (root / "a" / "2.png").symlink_to("1.png")
    (root / "b").symlink_to("a")
    assert read(source)[0].table["key"].to_pylist() == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    for name, target, fault in (
        ("a/3.png", "../../outside/secret.png", "leaves the folder"),
        ("c", "../outside", "leaves the folder"),
        ("a/up", "..", "leads round in a circle"),
        ("a/4.png", "nowhere.png", None),
    ):
        (root / name).symlink_to(target)
        if fault:
            with pytest.raises(DataError, match=f"{Path(name).name}' {fault}"):
                image_folder.shards(source)
        else:
            with pytest.raises(DataError, match="leads nowhere"):
                image_folder.shards(source)
        (root / name).unlink()
    (tmp_path / "alias").symlink_to("set")
    assert read(Source(path=str(tmp_path / "alias")))[0].table["key"].to_pylist()[0] == "a/1.png"


def test_links_that_leave_are_followed_where_that_is_asked(tmp_path: Path) -> None:
    put(tmp_path / "imagenet", "n01/1.png", "n01/2.png", "n02/1.png")
    (tmp_path / "set").mkdir()
    for name in ("n01", "n02"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "imagenet" / name)
    assert detect(tmp_path / "set") == ("image-folder",)
    with pytest.raises(DataError, match="set follow_links: true for this set"):
        image_folder.shards(Source(path=str(tmp_path / "set")))
    advised = Source(path=str(tmp_path / "set"), follow_links=True)
    (found,) = read(advised)
    assert found.table.select(["key", "label"]).to_pylist() == [
        {"key": "n01/1.png", "label": "n01"},
        {"key": "n01/2.png", "label": "n01"},
        {"key": "n02/1.png", "label": "n02"},
    ]
    (tmp_path / "set" / "n01" / "up").symlink_to(tmp_path / "imagenet" / "n01")
    with pytest.raises(DataError, match="leads round in a circle"):
        image_folder.shards(advised)
    (tmp_path / "imagenet" / "n01" / "up").unlink()
    (tmp_path / "set" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match="leads nowhere"):
        image_folder.shards(advised)


def test_captions_and_urls_that_lie_beside_the_images(tmp_path: Path) -> None:
    source = put(tmp_path, "00000/0.jpg", "00000/1.png", "00000/2.JPG", "00000/readme.txt")
    (tmp_path / "00000" / "0.txt").write_text("zero", encoding="utf-16")
    (tmp_path / "00000" / "1.json").write_text(
        json.dumps({"url": "http://1", "caption": "one", "label": "cat"})
    )
    (shard,) = image_folder.shards(source)
    assert shard.notes == ("files that do not end like an image are left out: 1 .txt",)
    assert [Path(file).name for file in shard.files] == ["0.jpg", "1.png", "2.JPG", "0.txt", "1.json"]
    reading = image_folder.read(source, shard, wants_images=True)
    assert [key for key, _ in reading.images()] == ["00000/0.jpg", "00000/1.png", "00000/2.JPG"]
    found = reading.rows()
    assert found.table.select(["key", "url", "caption", "label"]).to_pylist() == [
        {"key": "00000/0.jpg", "url": None, "caption": "zero", "label": "00000"},
        {"key": "00000/1.png", "url": "http://1", "caption": "one", "label": "cat"},
        {"key": "00000/2.JPG", "url": None, "caption": None, "label": "00000"},
    ]
    assert found.odd == {"texts in UTF-16": 1}
    wanted = {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in shard.files}
    assert reading.digests() == wanted


def test_img2datasets_files_are_a_folder_of_images_and_no_list_of_urls(tmp_path: Path) -> None:
    put(tmp_path, "00000/0.jpg")
    write_parquet(tmp_path / "00000.parquet", {"url": pa.array(["u"]), "caption": pa.array(["c"])})
    assert detect(tmp_path) == ("image-folder",)


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/\xff.png")).write_bytes(b"odd")
    (found,) = read(Source(path=str(tmp_path)))
    assert found.table["key"].to_pylist() == ["a/1.png", "a/\ufffd.png"]
    source = Source(path=str(tmp_path))
    assert image_folder.image(source, image_folder.shards(source)[0], ["a/\ufffd.png"]) == {
        "a/\ufffd.png": b"odd"
    }


def test_an_image_too_large_to_hold_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "MAX_IMAGE_BYTES", 10)
    source = put(tmp_path, "a/1.png", "a/long name.png", "b/2.png")
    (found,) = read(source)
    assert found.table["key"].to_pylist() == ["a/1.png", "b/2.png"]
    assert found.table["row"].to_pylist() == [0, 1]
    assert found.lost.schema.equals(LOST_SCHEMA)
    lost = found.lost.select(["key", "outcome"]).to_pylist()
    assert lost == [{"key": "a/long name.png", "outcome": "quarantined"}]
    expected = uids.derive(*(found.lost[c] for c in ("url", "caption", "key")))
    assert found.lost["uid"].to_pylist() == uids.as_hex(expected).to_pylist()
    (shard,) = image_folder.shards(source)
    assert [key for key, _ in image_folder.images(source, shard)] == ["a/1.png", "b/2.png"]


def test_an_image_that_goes_away(tmp_path: Path) -> None:
    source = put(tmp_path, "a/1.png")
    (shard,) = image_folder.shards(source)
    (tmp_path / "a" / "1.png").unlink()
    for use in (image_folder.rows, lambda *given: list(image_folder.images(*given))):
        with pytest.raises(DataError, match=r"cannot read the image '.*a/1.png'"):
            use(source, shard)


def test_no_folder_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot list the folder"):
        image_folder.shards(Source(path=str(tmp_path / "none")))
    put(tmp_path, "a/notes.txt", "b/.hidden.png")
    assert detect(tmp_path) == ()
    assert image_folder.shards(Source(path=str(tmp_path))) == []
    put(tmp_path, "a/deeper/still/x.png")
    assert detect(tmp_path) == ("image-folder",)


def test_every_file_is_read_lost_with_a_reason_or_counted_in_a_note(tmp_path: Path) -> None:
    read_kinds = ["bmp", "tif", "TIFF", "jfif", "avif", "jpg"]
    source = put(
        tmp_path, *[f"c/{kind}.{kind}" for kind in (*read_kinds, "heic", "CR2", "txt", "json")], "c/Makefile"
    )
    (shard,) = image_folder.shards(source)
    (found,) = read(source)
    assert found.table["key"].to_pylist() == sorted(f"c/{kind}.{kind}" for kind in read_kinds)
    assert found.lost["key"].to_pylist() == ["c/CR2.CR2", "c/heic.heic"]
    assert found.lost["reason"].to_pylist() == [
        f"nearfar decodes no {kind}; convert it to .png or .jpg" for kind in (".cr2", ".heic")
    ]
    (note,) = shard.notes
    assert sorted(note.partition(": ")[2].split(", ")) == ["1 .json", "1 .txt", "1 no suffix"]
    assert [key for key, _ in image_folder.images(source, shard)] == found.table["key"].to_pylist()


@pytest.mark.parametrize("shard", [1, 10])
@pytest.mark.parametrize("lacking", ["", "\u00e9.txt", "e\u0301.txt"], ids=["none", "NFC", "NFD"])
def test_names_that_only_look_alike_have_their_own_captions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int, lacking: str
) -> None:
    """Letters with accents may be spelled in two ways (NFC and NFD), and a folder may have a file of each."""
    monkeypatch.setattr(image_folder, "IMAGES_PER_SHARD", shard)
    texts = {f"{name}.txt": f"by {number}" for number, name in enumerate(("\u00e9", "e\u0301", "u\u0308"))}
    texts.pop(lacking, None)
    source = put(tmp_path, "\u00e9.png", "e\u0301.png", "\u00fc.png")
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = {row["key"]: row["caption"] for one in read(source) for row in one.table.to_pylist()}
    expected = {f"{name[:-4]}.png": text for name, text in texts.items()}
    expected["\u00fc.png"] = expected.pop("u\u0308.png")  # called otherwise, and nobody else's
    assert found == {"\u00e9.png": None, "e\u0301.png": None} | expected
