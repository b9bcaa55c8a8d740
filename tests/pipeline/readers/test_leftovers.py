"""What lies in a set's folders or tars and belongs to no sample is skipped and counted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from reader_sets import BUILDERS, Sample, members, samples, write_tar

from pipeline.readers import img2dataset, reader_of
from pipeline.readers._leftover import counted, is_dropping, kind_of, left_out
from pipeline.readers._tars.tar_names import HIDDEN, NO_SUFFIX
from pipeline.sets.source import Source


@pytest.mark.parametrize(
    ("name", "dropping"),
    [
        (".DS_Store", True),
        ("._00000.tar", True),
        (".part-0.parquet.crc", True),
        ("_SUCCESS", True),
        ("_temporary", True),
        ("_committed_123", True),
        ("_started_123", True),
        ("__MACOSX", True),
        ("Thumbs.db", True),
        ("desktop.ini", True),
        ("_SUCCESS.parquet", False),
        ("0.jpg", False),
        ("success", False),
    ],
)
def test_droppings_are_told_by_their_names(name: str, dropping: bool) -> None:
    assert is_dropping(name) is dropping


def test_kinds_are_suffixes_and_the_producers_counts() -> None:
    names = ("00000_stats.json", "a.JSON", "Makefile", "a.tar.gz")
    assert [kind_of(name) for name in names] == ["_stats.json", ".json", "no suffix", ".gz"]


def test_a_note_counts_by_kind_the_most_frequent_first() -> None:
    assert counted("here", Counter({"a": 0})) == ()
    kinds = Counter({f".{letter}": 1 for letter in "abcdefghij"}) + Counter({".z": 1_000})
    assert counted("here", kinds) == (
        "files here: 1,000 .z, 1 .a, 1 .b, 1 .c, 1 .d, 1 .e, 1 .f, 1 .g and 3 kinds more",
    )


def test_what_no_shard_has_is_counted_once(tmp_path: Path) -> None:
    for name in ("0.tar", "0.csv", "1.csv", ".DS_Store", "_SUCCESS", "fingerprint.json"):
        (tmp_path / name).write_bytes(b"")
    for name in ("inside", "other", ".hidden", "up/below"):
        (tmp_path / name).mkdir(parents=True)
    folders = (tmp_path, tmp_path / "inside", tmp_path / "up" / "below")
    assert left_out(folders, [str(tmp_path / "0.tar")]) == (
        "files left out, since no shard has them: 3 hidden or dropped by macOS, Windows or Hadoop, 2 .csv, 1 folders",
    )


@pytest.mark.parametrize("name", ["clip-retrieval", "datacomp", "img2dataset", "laion"])
def test_every_format_counts_what_it_leaves_out(name: str, tmp_path: Path) -> None:
    written = BUILDERS[name](tmp_path / "set", samples((1, 2)))
    reader = reader_of(name)
    before = reader.shards(written.source)
    assert [shard.notes for shard in before] == [(), ()]
    for file in ("._x.jpg", "_SUCCESS", "links.csv"):
        (tmp_path / "set" / file).write_bytes(b"x")
    after = reader.shards(written.source)
    note = "files left out, since no shard has them: 2 hidden or dropped by macOS, Windows or Hadoop, 1 .csv"
    assert [shard.notes for shard in after] == [(note,), ()]
    assert [shard.files for shard in after] == [shard.files for shard in before]


def test_members_of_no_sample_are_counted_whether_images_are_read_or_not(tmp_path: Path) -> None:
    sample = Sample("0", None, "a dog", "c")
    extra = [("README", b"r"), ("._0.jpg", b"x"), ("__MACOSX/._0.jpg", b"x"), (".DS_Store", b"x")]
    write_tar(tmp_path / "00000.tar", [*extra[:2], *members(sample), *extra[2:]])
    source = Source(path=str(tmp_path))
    (shard,) = img2dataset.shards(source)
    for wants_images in (False, True):
        reading = img2dataset.read(source, shard, wants_images)
        read = list(reading.images())
        found = reading.rows()
        assert len(read) == wants_images
        assert found.table["key"].to_pylist() == ["0"]
        assert len(found.lost) == 0
        assert found.odd == {HIDDEN: 3, NO_SUFFIX: 1}
