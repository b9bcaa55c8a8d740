"""A file read once from front to back, under the seek and tell that tarfile wants."""

from __future__ import annotations

import hashlib
import io
import tarfile

import numpy as np
import pytest

from pipeline.readers._tars.tar_stream import HashedFile


@pytest.mark.parametrize("seed", range(20))
def test_a_hashed_file_gives_the_bytes_of_the_file(seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = rng.bytes(int(rng.integers(0, 4_000_000)))
    plain, hashed = io.BytesIO(content), HashedFile(io.BytesIO(content))
    for _ in range(30):
        ahead = int(rng.choice([-900, 0, 1, 511, 300_000]))
        place = max(0, plain.tell() + ahead)
        size = int(rng.choice([0, 1, 512, 70_000, 1_500_000]))
        if ahead < 0 and plain.tell() >= len(content):
            continue
        assert hashed.seek(place) == plain.seek(place)
        assert hashed.read(size) == plain.read(size)
    while hashed.read(1 << 20):
        pass
    assert hashed.digest() == hashlib.sha256(content).hexdigest()


def test_a_hashed_file_goes_back_no_further_than_it_holds() -> None:
    hashed = HashedFile(io.BytesIO(bytes(5_000_000)))
    hashed.seek(4_000_000)
    assert hashed.read(1) == b"\0"
    for mistake in (lambda: hashed.seek(0), lambda: hashed.seek(-1), lambda: hashed.seek(0, 2), hashed.read):
        with pytest.raises(tarfile.ReadError):
            mistake()
