"""Rows find their samples in the tars, also where others could not be read."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from indexes.errors import DataError
from pipeline.webdataset.placing.sample_places import TarPath, placed


def tar(path: Path, samples: list[tuple[str, bytes]]) -> TarPath:
    with tarfile.open(path, "w") as out:
        for key, content in samples:
            member = tarfile.TarInfo(f"{key}.jpg")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return TarPath(str(path), path.name)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def found(keys: list[str], digests: list[str | None], tars: list[TarPath]) -> list[tuple[str, bytes]]:
    result = []
    for one in placed(keys, digests, tars):
        span = one.sample.image
        assert span is not None
        result.append((one.tar.name, Path(one.tar.path).read_bytes()[span.offset : span.offset + span.size]))
    return result


def test_rows_are_samples_in_order_of_which_some_are_missing(tmp_path: Path) -> None:
    tars = [
        tar(tmp_path / "0.tar", [("a", b"0a"), ("b", b"0b"), ("c", b"0c")]),
        tar(tmp_path / "1.tar", [("a", b"1a"), ("b", b"1b")]),
    ]
    assert found(["a", "c", "b"], [None] * 3, tars) == [("0.tar", b"0a"), ("0.tar", b"0c"), ("1.tar", b"1b")]
    assert found(["a", "b", "c", "a", "b"], [None] * 5, tars)[3] == ("1.tar", b"1a")


def test_of_two_neighbours_of_one_key_the_digest_decides(tmp_path: Path) -> None:
    tars = [tar(tmp_path / "0.tar", [("z", b"z"), ("a", b"bad"), ("a", b"good"), ("b", b"b")])]
    keys = ["z", "a", "b"]
    assert found(keys, [None, sha(b"good"), None], tars)[1] == ("0.tar", b"good")
    assert found(keys, [None, sha(b"bad"), None], tars)[1] == ("0.tar", b"bad")
    with pytest.raises(DataError, match=r"several samples of the key 'a'.*keys that differ"):
        found(keys, [None] * 3, tars)
    again = [tar(tmp_path / "1.tar", [("z", b"z"), ("a1", b"bad"), ("a2", b"good"), ("b", b"b")])]
    assert found(["z", "a2", "b"], [None] * 3, again)[1] == ("1.tar", b"good")
    with pytest.raises(DataError, match="several samples"):
        found(keys, [None, sha(b"other"), None], tars)
    assert len(found(["z", "a", "a", "b"], [None] * 4, tars)) == 4


def test_three_of_one_key_and_two_rows_are_refused(tmp_path: Path) -> None:
    tars = [tar(tmp_path / "0.tar", [("a", b"1"), ("a", b"2"), ("a", b"3")])]
    with pytest.raises(DataError, match="several samples"):
        found(["a", "a"], [sha(b"2"), sha(b"3")], tars)


def test_a_row_without_a_sample_is_named(tmp_path: Path) -> None:
    tars = [tar(tmp_path / "0.tar", [("a", b"1"), ("b", b"2")])]
    with pytest.raises(DataError, match=r"1 rows of the pool, the first with key 'c', .* run the plan again"):
        found(["a", "b", "c"], [None] * 3, tars)


def test_a_truncated_tar_is_noticed(tmp_path: Path) -> None:
    one = tar(tmp_path / "0.tar", [("a", b"1" * 600), ("b", b"2" * 600)])
    Path(one.path).write_bytes(Path(one.path).read_bytes()[:1536])
    with pytest.raises(DataError, match="truncated"):
        found(["a"], [None], [one])
