"""What readers advise leads out: each test does what the message says, and the set is then read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reader_sets import clip_retrieval, img2dataset, samples

from indexes.errors import DataError
from pipeline.readers import open_reader
from pipeline.sets.source import Source


def keys(source: Source) -> list[str]:
    reader = open_reader(source)
    return [
        key for shard in reader.shards(source) for key in reader.rows(source, shard).table["key"].to_pylist()
    ]


@pytest.mark.parametrize(
    ("program", "compress"), [("gzip", gzip.compress), ("bzip2", bz2.compress), ("xz", lzma.compress)]
)
def test_a_compressed_tar_is_unpacked_as_the_message_says(
    tmp_path: Path, program: str, compress: Callable[[bytes], bytes]
) -> None:
    """To fetch it again, as a damaged tar is answered, would bring the same file."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not there")
    written = img2dataset(tmp_path / "it's a set", samples((4, 3)))
    expected = keys(written.source)
    path = Path(written.source.path) / "00001.tar"
    path.write_bytes(compress(path.read_bytes()))
    with pytest.raises(DataError, match=f"is compressed by {program}") as caught:
        keys(written.source)
    command = re.search("`(.*)`", str(caught.value))
    assert command is not None
    subprocess.run(command[1], shell=True, check=True)
    assert keys(written.source) == expected


def test_numbers_of_hugging_face_s_files_are_told_apart(tmp_path: Path) -> None:
    """`train-00000-of-00012` is number 0; that all are number 12 was answered with: keep one of the two."""
    shards = samples(tuple([2] * 12))
    written = clip_retrieval(tmp_path / "pool", shards)
    expected = keys(written.source)
    for folder in ("metadata", "img_emb"):
        for path in list((tmp_path / "pool" / folder).iterdir()):
            number = int(path.stem.rpartition("_")[2])
            path.rename(path.with_name(f"train-{number:05d}-of-00012{path.suffix}"))
    assert keys(written.source) == expected


def test_one_of_two_files_of_a_number_is_kept_as_the_message_says(tmp_path: Path) -> None:
    written = clip_retrieval(tmp_path / "pool", samples((3, 2)))
    expected = keys(written.source)
    second = tmp_path / "pool" / "img_emb" / "img_emb_00.npy"
    np.save(second, np.load(tmp_path / "pool" / "img_emb" / "img_emb_0.npy"))
    with pytest.raises(DataError, match="have the same number 0; keep one of the two") as caught:
        keys(written.source)
    named = re.findall("'([^']*)'", str(caught.value))
    Path(named[1]).unlink()
    kept = Path(named[0])
    kept.rename(kept.with_name("img_emb_0.npy"))
    assert keys(written.source) == expected
