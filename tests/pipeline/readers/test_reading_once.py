"""A shard's bytes are read once: images, rows and hashes come of the same bytes, in every format."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reader_sets import BUILDERS, ODD_FOLDER, Written, samples, vectors, write_parquet, write_tar

from indexes.errors import DataError, RunFailedError
from pipeline import readers
from pipeline.readers import _held, img2dataset
from pipeline.readers._held import MetadataFile
from pipeline.readers._plain import plain_read
from pipeline.sets.source import Source

COUNTS = (3, 0, 2)


def sha256(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def bytes_read() -> int:
    """Bytes that this process has asked of the system, whatever cache they came from."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


@pytest.fixture(params=BUILDERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Written:
    return BUILDERS[request.param](tmp_path / ODD_FOLDER, samples(COUNTS))


@pytest.mark.parametrize("wants_images", [True, False])
def test_images_rows_and_hashes_are_those_of_the_files(written: Written, wants_images: bool) -> None:
    reader = readers.open_reader(written.source)
    for shard in reader.shards(written.source):
        reading = reader.read(written.source, shard, wants_images)
        shown = list(reading.images())
        assert shown == (list(reader.images(written.source, shard)) if wants_images else [])
        found, listed = reading.rows(), reader.rows(written.source, shard)
        assert (found.table, found.lost, found.notes) == (listed.table, listed.lost, listed.notes)
        brought = {file.path for file in shard.vectors.values()}
        beside = set(shard.files) - brought
        images = {file for file in beside if file.endswith((".tar", ".png"))}
        known = reading.digests()
        assert set(known) == (beside if wants_images else beside - images)
        assert known == {file: sha256(file) for file in known}


def large(root: Path, name: str) -> Written:
    """A set whose files are large beside what looking at a clock or a listing reads."""
    rng = np.random.default_rng(0)
    (shard,) = samples((400,))
    written = BUILDERS[name](root, [shard])
    for path in sorted(root.rglob("*.png")):
        path.write_bytes(rng.bytes(20_000 + int(path.stem)))
    if name == "img2dataset":
        entries = [(f"{s.key}.{kind}", rng.bytes(size)) for s in shard for kind, size in KINDS.items()]
        write_tar(root / "00000.tar", entries)
    if name == "image-parquet":
        listed = pq.read_table(root / "00000.parquet")
        images = pa.array([rng.bytes(20_011) for _ in shard], pa.binary())
        pq.write_table(
            listed.set_column(listed.column_names.index("jpg"), "jpg", images), root / "00000.parquet"
        )
    return written


KINDS = {"jpg": 20_011, "json": 900, "txt": 100}


@pytest.mark.parametrize("name", BUILDERS)
def test_reading_and_hashing_a_pool_reads_its_bytes_once(tmp_path: Path, name: str) -> None:
    written = large(tmp_path, name)
    reader = readers.open_reader(written.source)
    shards = reader.shards(written.source)
    brought = {file.path for shard in shards for file in shard.vectors.values()}
    size = sum(Path(f).stat().st_size for shard in shards for f in shard.files if f not in brought)
    before = bytes_read()
    for shard in shards:
        reading = reader.read(written.source, shard, True)
        images = sum(len(content) for _, content in reading.images())
        rows = len(reading.rows().table)
        known = reading.digests()
    used = bytes_read() - before
    assert rows == 400
    assert len(known) == sum(file not in brought for shard in shards for file in shard.files)
    assert images > 0.8 * size or not written.has_images
    assert 0.99 * size < used <= 1.05 * size


def test_metadata_alone_leaves_the_images_on_the_disk(tmp_path: Path) -> None:
    written = large(tmp_path, "img2dataset")
    (shard,) = img2dataset.shards(written.source)
    before = bytes_read()
    reading = img2dataset.read(written.source, shard, False)
    assert len(reading.rows().table) == 400
    used = bytes_read() - before
    # What a look at a header brings along is a few thousand bytes; images of the web are larger than these.
    assert used < 0.5 * Path(shard.files[0]).stat().st_size
    assert set(reading.digests()) == set(shard.files[1:])


def test_a_pass_over_a_tar_holds_a_few_pieces_and_no_image_for_long(tmp_path: Path) -> None:
    content = np.random.default_rng(0).bytes(400_000)
    entries = [(f"{number:05d}.jpg", content) for number in range(100)]
    write_tar(tmp_path / "00000.tar", entries)
    source = Source(path=str(tmp_path), format="img2dataset")
    (shard,) = img2dataset.shards(source)
    list(img2dataset.read(source, shard, True).images())
    tracemalloc.start()
    reading = img2dataset.read(source, shard, True)
    assert sum(len(image) for _, image in reading.images()) == 100 * len(content)
    assert len(reading.rows().table) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


def test_rows_before_images_are_refused(tmp_path: Path) -> None:
    written = BUILDERS["img2dataset"](tmp_path, samples((3,)))
    (shard,) = img2dataset.shards(written.source)
    reading = img2dataset.read(written.source, shard, True)
    with pytest.raises(RunFailedError, match="rows of 00000 were asked for before its images"):
        reading.rows()
    stream = reading.images()
    next(stream)
    with pytest.raises(RunFailedError, match="rows of 00000"):
        reading.rows()
    list(stream)
    assert len(reading.rows().table) == 3


@pytest.mark.parametrize(
    "kinds", [("gif", "png", "json"), ("json", "png", "gif"), ("png", "txt", "seg.jpg", "gif")]
)
def test_of_several_images_the_one_that_open_clip_takes(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    write_tar(tmp_path / "0.tar", [(f"{key}.{kind}", kind.encode()) for key in ("a", "b") for kind in kinds])
    source = Source(path=str(tmp_path), format="img2dataset")
    (shard,) = img2dataset.shards(source)
    assert list(img2dataset.read(source, shard, True).images()) == [("a", b"png"), ("b", b"png")]
    assert dict(img2dataset.images(source, shard)) == img2dataset.image(source, shard, ["a", "b"])


def test_a_large_image_of_the_taken_kind_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.readers._tars import tar_samples

    monkeypatch.setattr(tar_samples, "MAX_IMAGE_BYTES", 20)
    entries = [("a.gif", b"gif"), ("a.png", b"x" * 21), ("b.gif", b"x" * 21), ("b.png", b"png")]
    write_tar(tmp_path / "0.tar", entries)
    source = Source(path=str(tmp_path), format="img2dataset")
    (shard,) = img2dataset.shards(source)
    reading = img2dataset.read(source, shard, True)
    assert list(reading.images()) == [("b", b"png")]
    assert reading.rows().lost["key"].to_pylist() == ["a"]


def test_a_file_too_long_to_hold_is_read_by_pieces_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = BUILDERS["clip-retrieval"](tmp_path, samples((50,)))
    reader = readers.open_reader(written.source)
    (shard,) = reader.shards(written.source)
    whole = reader.read(written.source, shard, False)
    expected, known = whole.rows().table, whole.digests()
    monkeypatch.setattr(_held, "HELD_BYTES", 10)
    reading = reader.read(written.source, shard, False)
    assert reading.rows().table == expected
    assert reading.digests() == known == {shard.files[0]: sha256(shard.files[0])}


@pytest.mark.parametrize("name", ["clip-retrieval", "datacomp", "laion"])
def test_torn_and_missing_metadata_is_named_by_the_one_pass_too(tmp_path: Path, name: str) -> None:
    written = BUILDERS[name](tmp_path, samples((2, 3)))
    reader = readers.open_reader(written.source)
    path = Path((shard := reader.shards(written.source)[1]).files[0])
    content = path.read_bytes()
    torn = [b"", content[:-1], content[: len(content) // 2], content[:40] + b"\xff" * 40 + content[80:]]
    for damaged in torn:
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"{path.name}.*is not a whole Parquet file") as caught:
            assert reader.read(written.source, shard, False).rows().table
        assert "when it was read" not in str(caught.value)
    path.unlink()
    with pytest.raises(DataError, match="does not exist"):
        reader.read(written.source, shard, False).rows()


def test_a_file_that_was_mended_behind_our_back_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, {"url": vectors([])[:, 0]})
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    file = MetadataFile(str(path))
    file.hold()
    path.write_bytes(content)
    with pytest.raises(DataError, match="was not a whole Parquet file when it was read"):
        file.schema()


def test_the_hash_is_of_the_whole_file_padding_and_all(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", [("a.jpg", b"x" * 700)])
    with (tmp_path / "0.tar").open("ab") as tar:
        tar.write(b"\0" * 3_000_000)
    source = Source(path=str(tmp_path), format="img2dataset")
    (shard,) = img2dataset.shards(source)
    reading = img2dataset.read(source, shard, True)
    assert list(reading.images()) == [("a", b"x" * 700)]
    assert reading.rows().table.num_rows == 1
    assert reading.digests() == {shard.files[0]: sha256(shard.files[0])}


def test_a_plain_read_takes_what_a_format_has(tmp_path: Path) -> None:
    written = BUILDERS["image-folder"](tmp_path, samples((3,)))
    reader = readers.open_reader(written.source)
    (shard,) = reader.shards(written.source)
    for images, wants, shown in ((reader.images, True, 3), (reader.images, False, 0)):
        reading = plain_read(reader.rows, images)(written.source, shard, wants)
        assert len(list(reading.images())) == shown
        assert reading.rows().table == reader.rows(written.source, shard).table
        assert reading.digests() == {file: sha256(file) for file in shard.files}
    assert list(plain_read(reader.rows)(written.source, shard, True).images()) == []
