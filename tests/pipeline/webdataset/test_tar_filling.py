"""A tar that is put together in pieces is the one that its samples make one by one."""

from __future__ import annotations

import io
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from indexes.errors import DataError
from pipeline.webdataset import hashed_writing, json_uid, source_tars
from pipeline.webdataset.hashed_writing import HashedWriter
from pipeline.webdataset.json_uid import with_uid
from pipeline.webdataset.placing.sample_places import LOCATED
from pipeline.webdataset.source_tars import SourceTars
from pipeline.webdataset.tar_filling import TarFilling
from pipeline.webdataset.tar_writing import TarStream
from pipeline.webdataset.unpickled import is_unpickled

Row = dict[str, Any]


def array(values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values), allow_pickle=True)
    return file.getvalue()


OTHERS = {
    "mask.png": b"mask",
    "pkl": b"a pickle",
    "pkl.gz": b"another",
    "plain.npy": array([1, 2]),
    "bad.npy": array([{"a": 1}]),
    "z" * 70: b"a long name",
    "empty": b"",
    "cls": b"its own",
}
JSONS = (
    b"{}",
    b'{"caption": "x"}',
    b"[1]",
    b'{"uid": 7}',
    b"\xff\xfe{\x00}\x00",
    b"{" + b'"k": 1, ' * 300 + b'"l": 2}',
)


def sources(folder: Path, count: int, seed: int) -> tuple[list[Row], dict[str, bytes]]:
    """Write files of members with bytes between them, and say where these lie."""
    drawn, rows, files = random.Random(seed), list[Row](), dict[str, bytearray]()
    for number in range(count):
        uid, tar = f"{drawn.getrandbits(128):032x}", f"{drawn.randrange(3)}.tar"
        held = {"jpg": drawn.randbytes(drawn.choice((1, 511, 512, 513, 2000, 9000)))}
        held |= {"json": drawn.choice(JSONS)} if drawn.random() < 0.8 else {}
        held |= {"txt": b"its own"} if drawn.random() < 0.6 else {}
        held |= {kind: OTHERS[kind] for kind in drawn.sample(sorted(OTHERS), drawn.randrange(4))}
        kinds = drawn.sample(sorted(held), len(held))
        file, offsets = files.setdefault(tar, bytearray()), list[int]()
        for kind in kinds:
            file += drawn.randbytes(drawn.randrange(600))
            offsets.append(len(file))
            file += held[kind]
        cls = drawn.choice((None, None, 0, 21_841, -1))
        caption = drawn.choice((None, "", f"tolд {number}"))
        row = {
            "order": number,
            "uid": uid,
            "copy": drawn.choice((0, 0, 0, 1, 12)),
            "tar": tar,
            "kinds": kinds,
        }
        sizes = [len(held[kind]) for kind in kinds]
        rows.append(
            row | {"offsets": offsets, "sizes": sizes, "caption": caption, "cls": cls, "source": "pool"}
        )
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return rows, {name: bytes(content) for name, content in files.items()}


def one_by_one(rows: list[Row], files: dict[str, bytes]) -> tuple[bytes, Counter[str], Counter[str]]:
    """Write the tar as plainly as can be."""
    made, jsons, left = io.BytesIO(), Counter[str](), Counter[str]()
    tar = TarStream(made)
    for row in rows:
        members = dict[str, bytes]()
        for kind, offset, size in zip(row["kinds"], row["offsets"], row["sizes"], strict=True):
            content = files[row["tar"]][offset : offset + size]
            if is_unpickled(kind, content):
                left[kind] += 1
            else:
                members[kind] = content
        members["json"], how = with_uid(members.get("json"), row["uid"])
        jsons[how] += 1
        if row["caption"] is not None:
            members["txt"] = row["caption"].encode("utf-8", "surrogatepass")
        if row["cls"] is not None:
            members["cls"] = str(row["cls"]).encode()
        for kind, content in members.items():
            copy = f"-{row['copy']}" if row["copy"] else ""
            tar.add(f"{row['uid']}{copy}.{kind}", content)
    tar.close()
    return made.getvalue(), jsons, left


def filled(folder: Path, rows: list[Row]) -> tuple[bytes, Counter[str], Counter[str]]:
    table = pa.Table.from_pylist(rows, LOCATED)
    with HashedWriter(folder / "made.tar") as stream, SourceTars() as tars:
        filling = TarFilling(table, [str(folder / row["tar"]) for row in rows], tars, stream)
        filling.write()
    return (folder / "made.tar").read_bytes(), filling.jsons, filling.left_out


@pytest.mark.parametrize("piece", [1, 5000, 60_000, 4 << 20])
def test_bytes_and_counts_are_those_of_members_written_one_by_one(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_writing, "PIECE", piece)
    monkeypatch.setattr(json_uid, "MAX_JSON_BYTES", 2000)
    monkeypatch.setattr("pipeline.webdataset.member_columns.MAX_JSON_BYTES", 2000)
    rows, files = sources(tmp_path, 150, seed=piece)
    found, expected = filled(tmp_path, rows), one_by_one(rows, files)
    assert found == expected
    assert set(expected[1]) == {"made", "added", "left", "replaced"}
    assert set(expected[2]) == {"pkl", "pkl.gz", "bad.npy"}


@pytest.mark.parametrize("how", ["nothing is at hand", "a part is at hand", "it cannot be told"])
def test_what_the_disk_has_to_fetch_is_waited_for(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preadv = os.preadv

    def slowly(descriptor: int, into: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags and how == "nothing is at hand":
            raise BlockingIOError
        short = how == "a part is at hand" and len(into[0]) > 1
        return preadv(descriptor, [into[0][: len(into[0]) // 2]] if short else into, offset)

    monkeypatch.setattr("os.preadv", slowly)
    if how == "it cannot be told":
        monkeypatch.setattr(source_tars, "_NOW", None)
    rows, files = sources(tmp_path, 40, seed=1)
    assert filled(tmp_path, rows) == one_by_one(rows, files)


def test_small_members_behind_one_another_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "order": 0,
        "uid": f"{1:032x}",
        "copy": 0,
        "tar": "a.tar",
        "source": "pool",
        "caption": None,
        "cls": None,
    }
    content = os.urandom(40_000)
    (tmp_path / "a.tar").write_bytes(content)
    row |= {"kinds": ["jpg", "txt", "b", "far", "back"], "offsets": [512, 21_000, 23_000, 32_000, 22_000]}
    row |= {"sizes": [20_000, 400, 4096, 7, 100]}
    preadv, asked = os.preadv, list[tuple[int, int]]()

    def noted(descriptor: int, into: list[memoryview], offset: int, *flags: int) -> int:
        asked.append((offset, len(into[0])))
        return preadv(descriptor, into, offset, *flags)

    monkeypatch.setattr("os.preadv", noted)
    assert filled(tmp_path, [row]) == one_by_one([row], {"a.tar": content})
    assert sorted(set(asked)) == [(512, 20_000), (21_000, 6096), (22_000, 100), (32_000, 7)]


def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_tars, "MOST_OPEN", 1)
    rows, files = sources(tmp_path, 40, seed=2)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert filled(tmp_path, rows) == one_by_one(rows, files)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_tar_that_became_shorter_is_named(tmp_path: Path) -> None:
    rows, _ = sources(tmp_path, 20, seed=3)
    os.truncate(tmp_path / "1.tar", 100)
    with pytest.raises(DataError, match=r"1\.tar' became shorter while it was exported; run the plan again"):
        filled(tmp_path, rows)
    (tmp_path / "made.tar").unlink()
    (tmp_path / "1.tar").unlink()
    with pytest.raises(DataError, match=r"cannot read the tar .*1\.tar'.* Put it back, then export again"):
        filled(tmp_path, rows)


def test_an_empty_tar_has_an_end_alone(tmp_path: Path) -> None:
    assert filled(tmp_path, []) == one_by_one([], {})
