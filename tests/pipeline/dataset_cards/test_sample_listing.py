"""The table beside a tar says what is in it, and an export that is read as a pool is the same with it and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from export_pool import grouped, write_export_plan, write_pool, write_tar

from pipeline.dataset_cards import sample_listing
from pipeline.dataset_cards.sample_listing import LISTED, MOST_TEXT, open_listing
from pipeline.readers import img2dataset
from pipeline.sets.source import Source
from pipeline.webdataset.tar_filling import FilledSamples

LARGE = json.dumps({"url": "http://x.test/large", "more": "x" * MOST_TEXT}).encode()
ODD: dict[str, dict[str, bytes]] = {
    "latin": {
        "jpg": b"1",
        "txt": "é".encode("latin-1"),
        "json": b'{"URL": "http://x.test/l", "label": "cat"}',
    },
    "two": {"png": b"2", "jpg": b"3", "txt": b"two images", "json": b"{}"},
    "large": {"webp": b"4", "json": LARGE, "txt": b"l" * (MOST_TEXT + 1)},
    "surrogate": {"jpg": b"5", "json": b'{"url": "http://x.test/\\ud800"}'},
    "marked": {"jpg": b"8", "txt": b"\xef\xbb\xbfa mark before it"},
    "no_text": {"jpg": b"6", "json": b'{"url": 7, "label": ["a"]}', "mask.png": b"7"},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of samples of every kind, most of them twice; its folder."""
    from pipeline.cli import main

    folder = tmp_path_factory.mktemp("listed")
    write_pool(folder / "pool")
    members = [(f"{key}.{kind}", content) for key, held in ODD.items() for kind, content in held.items()]
    write_tar(folder / "pool/00003.tar", list(members))
    rules = [{"where": "true"}, {"repeat": {"times": "CASE WHEN caption = 'é 3' THEN 1 ELSE 2 END"}}]
    plan = str(write_export_plan(folder, often=rules))
    for command in (["run", plan], ["export", str(folder / "out"), "often", "--samples-per-shard", "30"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
    return folder / "out/shards/often"


def rows_of(folder: Path, tar: str) -> list[dict[str, Any]]:
    table = pq.read_table(folder / tar.replace(".tar", ".parquet"))
    assert table.schema.equals(LISTED)
    return list(table.to_pylist())


def text(content: bytes | None) -> str | None:
    if content is None or len(content) > MOST_TEXT:
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def test_a_row_is_what_the_tar_has(exported: Path) -> None:
    samples, images = grouped(exported), ("jpg", "png", "webp")
    assert len(samples) > 80
    for tar in sorted({tar for tar, _, _ in samples}):
        of_tar = [(key, members) for name, key, members in samples if name == tar]
        rows = rows_of(exported, tar)
        assert [row["key"] for row in rows] == [key for key, _ in of_tar]
        for row, (key, members) in zip(rows, of_tar, strict=True):
            assert row["uid"] == key.partition("-")[0]
            assert row["image"] == f"{key}.{next(kind for kind in images if kind in members)}"
            assert (row["caption"], row["json"]) == (text(members.get("txt")), text(members["json"]))
    keys = [row["key"] for tar in {tar for tar, _, _ in samples} for row in rows_of(exported, tar)]
    assert len(set(keys)) == len(keys) == len(samples)


def test_links_and_labels_are_those_of_the_json(exported: Path) -> None:
    found = {
        row["json"]: (row["url"], row["label"])
        for tar in exported.glob("*.tar")
        for row in rows_of(exported, tar.name)
    }
    told = {json.loads(held)["URL"]: of for held, of in found.items() if held and "URL" in held}
    assert told == {"http://x.test/l": ("http://x.test/l", "cat")}
    assert ("http://x.test/\ufffd", None) in found.values()
    assert {of for held, of in found.items() if held and '"url": 7' in held} == {(None, None)}
    assert found[None] == (None, None)


def test_an_export_is_the_same_pool_with_its_tables_and_without(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    for tar in exported.glob("*.tar"):
        (tmp_path / "bare" / tar.name).symlink_to(tar)

    def rows(folder: Path) -> dict[str, tuple[Any, ...]]:
        source = Source(path=str(folder), format="img2dataset")
        read = [img2dataset.rows(source, shard) for shard in img2dataset.shards(source)]
        tables = [piece for found in read for piece in found.pieces()]
        names = ("key", "uid", "url", "label")
        return {
            row["key"]: tuple(row[name] for name in names) for table in tables for row in table.to_pylist()
        }

    listed, bare = rows(exported), rows(tmp_path / "bare")
    assert listed.keys() == bare.keys()
    large = {key for key, row in bare.items() if row[2] == "http://x.test/large"}
    assert len(large) == 2
    assert {key: row for key, row in listed.items() if key not in large} == {
        key: row for key, row in bare.items() if key not in large
    }


@pytest.mark.parametrize("content", [b"[1]", b"\xff{", b'"url"', b"", b"[" * 100_000])
def test_a_json_that_is_no_object_tells_nothing(content: bytes, tmp_path: Path) -> None:
    here = np.zeros(1, np.int64)
    filled = FilledSamples(["ab"], here, ["json"], here, here, here, here + len(content), memoryview(content))
    with open_listing(tmp_path / "odd.parquet") as listing:
        listing.add(filled)
    (row,) = pq.read_table(tmp_path / "odd.parquet").to_pylist()
    assert row == {**dict.fromkeys(LISTED.names), "key": "ab", "uid": "ab", "json": text(content)}
    assert (listing.rows, dict(listing.kinds)) == (1, {"json": 1})


def test_samples_are_listed_in_their_order_however_many_are_made_columns_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_listing, "_WAITING", 5)
    monkeypatch.setattr(sample_listing, "_GROUP", 200)
    contents = [b'{"url": "%d"}' % number if number % 3 else b"\xff" for number in range(60)]
    with open_listing(tmp_path / "many.parquet") as listing:
        for start in range(0, 60, 4):
            of = contents[start : start + 4]
            ends = np.cumsum([len(one) for one in of])
            four, zeros = np.arange(4), np.zeros(4, np.int64)
            sizes = np.array([len(one) for one in of])
            keys = [str(start + number) for number in range(4)]
            room = memoryview(b"".join(of))
            listing.add(FilledSamples(keys, zeros, ["json"], zeros, four, ends - sizes, sizes, room))
    table = pq.read_table(tmp_path / "many.parquet")
    assert table["key"].to_pylist() == [str(number) for number in range(60)]
    assert table["json"].to_pylist() == [text(one) for one in contents]
    assert table["url"].to_pylist() == [str(number) if number % 3 else None for number in range(60)]
    assert pq.read_metadata(tmp_path / "many.parquet").num_row_groups == 3
    assert listing.rows == 60


def test_an_empty_listing_is_a_table(tmp_path: Path) -> None:
    with open_listing(tmp_path / "none.parquet") as listing:
        pass
    assert (listing.rows, dict(listing.kinds)) == (0, {})
    assert pq.read_table(tmp_path / "none.parquet").schema.equals(LISTED)


def test_the_card_counts_the_kinds(exported: Path) -> None:
    card = (exported / "README.md").read_text()
    counted = [members for _, _, members in grouped(exported)]
    for kind in ("jpg", "png", "webp", "mask.png", "cls", "json", "txt"):
        assert f"{sum(kind in members for members in counted)} `{kind}`" in card
