"""Names, folders and tables as people's machines leave them; what each must come to is written out by hand."""

from __future__ import annotations

import json
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reader_sets import write_tar

from indexes.errors import DataError
from pipeline import readers
from pipeline.readers._tars.tar_names import HIDDEN
from pipeline.readers._tars.tar_samples import FURTHER
from pipeline.sets.source import Source

IMAGE = b"\xff\xd8\xff"
APART = unicodedata.normalize("NFD", "é")
"""The letter and its accent as two, as macOS writes file names."""
CAPTIONED = dict[str, str | None]


def put(root: Path, files: dict[str, bytes | str]) -> Source:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path=str(root))


def captions(source: Source) -> CAPTIONED:
    reader = readers.open_reader(source)
    tables = [reader.rows(source, shard).table for shard in reader.shards(source)]
    return {row["key"]: row["caption"] for table in tables for row in table.to_pylist()}


def notes(source: Source) -> dict[str, int]:
    reader = readers.open_reader(source)
    return dict(reader.rows(source, reader.shards(source)[0]).odd)


def test_hidden_folders_and_droppings_in_a_tar_are_no_samples(tmp_path: Path) -> None:
    left = [".cache/x.jpg", ".cache/x.txt", "__MACOSX/a.jpg", "__MACOSX/._a.jpg", ".ipynb_checkpoints/q.jpg"]
    left += ["Thumbs.db", "d/desktop.ini", "d/@eaDir/a.jpg"]
    entries = [("a.jpg", IMAGE), ("a.txt", b"A"), ("./b/c.jpg", IMAGE), ("_started.jpg", IMAGE)]
    write_tar(tmp_path / "0.tar", [*entries, *((name, IMAGE) for name in left)])
    source = Source(path=str(tmp_path))
    assert captions(source) == {"a": "A", "b/c": None, "_started": None}
    assert notes(source) == {HIDDEN: len(left)}


def test_droppings_of_folders_are_no_images(tmp_path: Path) -> None:
    folders = ("@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".ipynb_checkpoints")
    source = put(tmp_path, {f"{name}/a.jpg": IMAGE for name in (*folders, "class")})
    assert captions(source) == {"class/a.jpg": None}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet", "captions_x.json"])
def test_a_table_of_a_windows_user_finds_its_images(tmp_path: Path, name: str) -> None:
    """A backslash between folders, a letter with its accent in one; the files have a slash and two characters."""
    row = {"file_name": "sub\\é.jpg", "text": "found"}
    coco = {
        "images": [{"id": 1, "file_name": row["file_name"]}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "found"}],
    }
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    text = {".csv": f"file_name,text\r\n{row['file_name']},found\r\n", ".jsonl": json.dumps(row)}
    files: dict[str, bytes | str] = {f"sub/{APART}.jpg": IMAGE}
    if not name.endswith(".parquet"):
        files[name] = text.get(Path(name).suffix, json.dumps(coco))
    source = put(tmp_path, files)
    assert captions(source) == {f"sub/{APART}.jpg": "found"}
    assert readers.open_reader(source).shards(source)[0].notes == ()


def test_a_file_that_is_there_by_its_very_name_goes_before_one_that_is_alike(tmp_path: Path) -> None:
    source = put(
        tmp_path,
        {
            "a/b.jpg": IMAGE,
            "a\\b.jpg": IMAGE,
            "metadata.csv": "file_name,text\na\\b.jpg,own\na/b.jpg,other\n",
        },
    )
    assert captions(source) == {"a/b.jpg": "other", "a\\b.jpg": "own"}


@pytest.mark.parametrize("mark", [";", "\t", "|", ","])
def test_a_table_may_be_parted_otherwise_and_quote_newlines(tmp_path: Path, mark: str) -> None:
    rows = [f"file_name{mark}text", f'a.jpg{mark}"two\r\nlines, ""quoted""; {mark}"', f"b.jpg{mark}"]
    source = put(
        tmp_path, {"a.jpg": IMAGE, "b.jpg": IMAGE, "metadata.csv": "\ufeff" + "\r\n".join(rows) + "\r\n"}
    )
    assert captions(source) == {"a.jpg": f'two\r\nlines, "quoted"; {mark}', "b.jpg": ""}


def test_metadata_parquet_tells_of_its_own_folder_and_brings_no_columns(tmp_path: Path) -> None:
    put(tmp_path, {"train/a.jpg": IMAGE, "a.jpg": IMAGE})
    table = {"file_name": ["a.jpg"], "caption": [["one", "two"]], "label": ["dog"], "boxes": [[1, 2]]}
    pq.write_table(pa.table(table), tmp_path / "train" / "metadata.parquet")
    source = Source(path=str(tmp_path))
    reader = readers.open_reader(source)
    found = reader.rows(source, reader.shards(source)[0])
    assert found.table.select(["key", "caption", "label"]).to_pylist() == [
        {"key": "a.jpg", "caption": None, "label": None},
        {"key": "train/a.jpg", "caption": "one", "label": "dog"},
    ]
    assert found.table.column_names == ["row", "key", "url", "caption", "label"]


def test_texts_may_be_called_by_the_whole_name_of_their_image(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"a.jpg": IMAGE, "a.jpg.txt": "whole", "b.png": IMAGE}
    files |= {"b.png.json": '{"caption": "B"}', "c.jpg": IMAGE, "c.txt": "plain", "c.jpg.txt": "whole"}
    files |= {f"{APART}.jpg": IMAGE, "é.TXT": "accent"}
    source = put(tmp_path, files)
    assert captions(source) == {"a.jpg": "whole", "b.png": "B", "c.jpg": "plain", f"{APART}.jpg": "accent"}


def test_suffixes_in_upper_case_are_suffixes(tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "0.TAR", [("a.JPG", IMAGE)])
    columns = {"key": ["a", "b"], "caption": ["A", "B"], "status": ["success", "failed_to_download"]}
    pq.write_table(pa.table(columns), tmp_path / "tars" / "0.PARQUET")
    assert captions(Source(path=str(tmp_path / "tars"))) == {"a": "A"}
    assert captions(Source(path=str(tmp_path / "tars" / "0.TAR"))) == {"a": "A"}
    (tmp_path / "npz").mkdir()
    with (tmp_path / "npz" / "0.NPZ").open("wb") as file:
        np.savez(file, b32_img=np.ones((2, 4), np.float16))
    pq.write_table(pa.table(columns), tmp_path / "npz" / "0.Parquet")
    assert captions(Source(path=str(tmp_path / "npz"))) == {"a": "A", "b": "B"}


def test_a_tar_and_its_sidecar_may_spell_a_key_otherwise(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [(f"train\\{APART}.jpg", IMAGE), ("b .jpg", IMAGE), ("c..jpg", IMAGE)])
    pq.write_table(
        pa.table({"key": ["train/é", "b ", "c."], "caption": ["E", "B", "C"]}), tmp_path / "0.parquet"
    )
    assert captions(Source(path=str(tmp_path))) == {f"train/{APART}": "E", "b ": "B", "c.": "C"}


def test_paths_of_windows_lead_out_as_others_do(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("..\\b.jpg", IMAGE), ("C:\\x\\c.jpg", IMAGE), ("a.jpg", IMAGE)])
    source = Source(path=str(tmp_path))
    reader = readers.open_reader(source)
    found = reader.rows(source, reader.shards(source)[0])
    assert found.table["key"].to_pylist() == ["a"]
    assert found.lost["reason"].to_pylist() == ["key that leads out of its folder"] * 2


def test_a_second_image_of_a_sample_is_counted(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("a.jpg", IMAGE), ("a.png", b"png"), ("a.txt", b"A"), ("b.png", b"png")])
    source = Source(path=str(tmp_path))
    assert captions(source) == {"a": "A", "b": None}
    assert notes(source) == {FURTHER: 1}


@pytest.mark.parametrize("names", [["a b.tar.gz"], ["0.tgz", "1.tgz", "2.TGZ"], ["0.tar.gz", "1.tar.bz2"]])
def test_compressed_tars_are_unpacked_as_the_message_says(tmp_path: Path, names: list[str]) -> None:
    folder = tmp_path / "it's a set"
    folder.mkdir()
    for number, name in enumerate(names):
        plain = tmp_path / "plain"
        write_tar(plain, [(f"{number}.jpg", IMAGE)])
        program = "bzip2" if name.endswith("2") else "gzip"
        with (folder / name).open("wb") as packed:
            subprocess.run([program, "-c", str(plain)], stdout=packed, check=True)
    source = Source(path=str(folder))
    assert readers.detect(folder) == ("img2dataset",)
    with pytest.raises(DataError, match="are compressed tars") as caught:
        captions(source)
    command = str(caught.value).split("`")[1]
    subprocess.run(command, shell=True, check=True, executable="/bin/sh")
    assert set(captions(source)) == {str(number) for number in range(len(names))}


def test_one_compressed_tar_as_a_path_leads_to_the_tar(tmp_path: Path) -> None:
    write_tar(tmp_path / "x", [("a.jpg", IMAGE)])
    with (tmp_path / "0.tgz").open("wb") as packed:
        subprocess.run(["gzip", "-c", str(tmp_path / "x")], stdout=packed, check=True)
    (tmp_path / "x").unlink()
    with pytest.raises(DataError, match="and name '") as caught:
        captions(Source(path=str(tmp_path / "0.tgz")))
    subprocess.run(str(caught.value).split("`")[1], shell=True, check=True)
    assert captions(Source(path=str(caught.value).rpartition("name '")[2].rstrip("'"))) == {"a": None}


@pytest.mark.parametrize("deep", ["data", "pool"])
def test_a_set_one_level_down_is_named(tmp_path: Path, deep: str) -> None:
    (tmp_path / "up" / deep).mkdir(parents=True)
    write_tar(tmp_path / "up" / deep / "0.tar", [("a.jpg", IMAGE)])
    (tmp_path / "up" / "README.md").write_text("x")
    with pytest.raises(DataError, match=rf"its folder '{deep}' looks like img2dataset: name '") as caught:
        captions(Source(path=str(tmp_path / "up")))
    assert captions(Source(path=str(caught.value).split("name '")[1].split("'")[0])) == {"a": None}


def test_an_archive_is_unpacked_and_its_folder_named(tmp_path: Path) -> None:
    import zipfile

    (tmp_path / "up").mkdir()
    with zipfile.ZipFile(tmp_path / "up" / "set.zip", "w") as archive:
        archive.writestr("set/a.jpg", IMAGE)
    with pytest.raises(DataError, match=r"'set.zip' is an archive: unpack it, and name the folder") as caught:
        captions(Source(path=str(tmp_path / "up" / "set.zip")))
    with zipfile.ZipFile(tmp_path / "up" / str(caught.value).split("; '")[1].split("'")[0]) as archive:
        archive.extractall(tmp_path / "up")
    assert captions(Source(path=str(tmp_path / "up" / "set"))) == {"a.jpg": None}
