"""The readers on what img2dataset, clip-retrieval and people really wrote."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.files.vectors import blocks, take
from pipeline.readers import Reader, Shard, ShardRows, detect, open_reader
from pipeline.sets import uids
from pipeline.sets.source import Source

pytestmark = pytest.mark.real_data


def real(name: str) -> Path:
    folder = os.environ.get("NEARFAR_REAL_DATA")
    if not folder:
        pytest.skip("NEARFAR_REAL_DATA is not set: no real data to read")
    return Path(folder) / name


def opened(path: Path) -> tuple[Reader, Source, list[Shard], list[ShardRows]]:
    source = Source(path=str(path))
    reader = open_reader(source)
    shards = reader.shards(source)
    return reader, source, shards, [reader.rows(source, shard) for shard in shards]


def test_a_real_img2dataset_run() -> None:
    path = real("flickr8k")
    assert detect(path) == ("img2dataset",)
    reader, source, shards, found = opened(path)
    assert [shard.rows for shard in shards] == [248, 249, 248, 249, 6]
    assert [len(one.table) for one in found] == [248, 249, 248, 249, 6]
    lost = pa.concat_tables([one.lost for one in found])
    assert lost["outcome"].to_pylist() == ["failed"] * 6
    assert set(lost["reason"].to_pylist()) == {"failed_to_download: HTTP Error 404: File not found"}
    table = pa.concat_tables([one.table for one in found])
    assert len(table) == 1000
    assert len(set(uids.resolve(table, "flickr8k")["uid"].to_pylist())) == 1000
    images = {key: content for shard in shards for key, content in reader.images(source, shard)}
    assert list(images) == table["key"].to_pylist()
    for shard in shards:
        with tarfile.open(shard.files[0]) as tar:
            for name in (name for name in tar.getnames() if name.endswith(".jpg")):
                member = tar.extractfile(name)
                assert member is not None
                assert images[name.removesuffix(".jpg")] == member.read()


def test_a_real_tar_without_its_sidecar_says_the_same(tmp_path: Path) -> None:
    _, _, _, listed = opened(real("flickr8k"))
    for tar in real("flickr8k").glob("*.tar"):
        (tmp_path / tar.name).symlink_to(tar)
    _, _, _, alone = opened(tmp_path)
    for one, other in zip(listed, alone, strict=True):
        names = ["row", "key", "url", "caption"]
        assert one.table.select(names).equals(other.table.select(names))


def test_real_embeddings_in_clip_retrievals_layout() -> None:
    path = real("flickr8k-mobilenet")
    assert detect(path) == ("clip-retrieval",)
    _, _, shards, found = opened(path)
    assert [one.table.num_rows for one in found] == [248, 249, 248, 249, 6]
    for shard in shards:
        file = shard.vectors["image"]
        assert file.width == 1024
        stored = np.load(file.path)
        np.testing.assert_array_equal(np.concatenate(list(blocks(file, 100))), stored)
        np.testing.assert_array_equal(take(file, np.array([5, 0])), stored[[5, 0]])
    # The embeddings are those of the images, so both name the same samples.
    of_images = pa.concat_tables([one.table for one in opened(real("flickr8k"))[3]])
    of_vectors = pa.concat_tables([one.table for one in found])
    both = [uids.resolve(table, "")["uid"].to_pylist() for table in (of_images, of_vectors)]
    assert set(both[0]) == set(both[1])


def test_real_photographs_in_class_folders() -> None:
    path = real("imagenet-samples")
    assert detect(path) == ("image-folder",)
    reader, source, (shard,), (found,) = opened(path)
    keys = found.table["key"].to_pylist()
    assert len(keys) == 1000
    assert keys == sorted(keys)
    assert len(set(found.table["label"].to_pylist())) == 1000
    embedded = opened(real("imagenet-samples-mobilenet"))[3][0].table
    assert embedded["key"].to_pylist() == keys
    assert embedded["wnid"].to_pylist() == found.table["label"].to_pylist()
    few = dict(image for image, _ in zip(reader.images(source, shard), range(3), strict=False))
    assert reader.image(source, shard, keys[:3]) == few


def test_real_captions_of_the_web() -> None:
    path = real("captions/laion_style_10000.parquet")
    _, _, (shard,), (found,) = opened(path)
    assert (shard.rows, len(found.table), found.notes) == (10_000, 10_000, ())
    raw = pq.read_table(path)
    assert found.table["caption"].to_pylist() == raw["TEXT"].to_pylist()
    expected = hashlib.md5(f"{raw['URL'][9].as_py()}\n{raw['TEXT'][9].as_py()}".encode()).hexdigest()
    assert uids.resolve(found.table, "captions")["uid"][9].as_py() == expected
