"""`nearfar verify` on odd runs: shards that nothing could be measured on, and outputs that went away."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_sets import WIDTH, rows_of, unit, write_part, write_plan, write_sets

from pipeline.cli import main
from pipeline.files import cursor, vectors
from pipeline.files.digests import sha256_of
from pipeline.files.vectors import VectorFile
from pipeline.passes import packed_queries as _queries


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


def test_parts_without_a_measured_row_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sets(tmp_path)
    write_part(tmp_path / "pool", 1, np.full((120, WIDTH), np.nan, np.float16), rows_of("p", 120, 120))
    write_part(tmp_path / "pool", 2, unit(12, 120), rows_of("p", 0, 120))  # uids of part 0 again
    pool = {"path": str(tmp_path / "pool"), "format": "clip-retrieval", "duplicates": "keep_first"}
    assert run("run", str(write_plan(tmp_path, pool=pool))) == 0
    assert run("verify", str(tmp_path / "out")) == 0
    assert "all well" in capsys.readouterr().out


@pytest.mark.parametrize("keep", [pytest.param(0, marks=pytest.mark.soak), 10])
def test_outputs_that_are_gone_or_cut_short_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    write_sets(tmp_path)
    assert run("run", str(write_plan(tmp_path))) == 0
    names = ["samples/one/part-0000.parquet", "splits/core/keys.txt", "report/audit.json"]
    for name in names:
        path = tmp_path / "out" / name
        content = path.read_bytes()[:keep]
        path.unlink()
        if keep:
            path.write_bytes(content)
    assert run("verify", str(tmp_path / "out")) == 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in names), printed
    assert "3 problems" in printed


def test_of_the_pool_only_the_sampled_vectors_are_computed_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    assert run("run", str(write_plan(tmp_path))) == 0
    rows: list[int] = []

    def taken(file: VectorFile, places: NDArray[np.int64]) -> NDArray[np.float16]:
        if "/pool/" in file.path:
            rows.extend(places.tolist())
        return vectors.take(file, places)

    monkeypatch.setattr(cursor, "take", taken)
    monkeypatch.setattr("pipeline.verify.do_again", lambda *_: None)  # units look at what they looked at
    assert run("verify", str(tmp_path / "out"), "--samples", "5") == 0
    assert "5 samples" in capsys.readouterr().out
    assert len(rows) == 5


def refuse_to_hash(name: str) -> Callable[[Path], str]:
    """Tests may run as root, whom no mode keeps from reading."""

    def hashed(path: Path) -> str:
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return sha256_of(path)

    return hashed


def test_an_output_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    plan = str(write_plan(tmp_path))
    assert run("run", plan) == 0
    monkeypatch.setattr("pipeline.verifying.walk.sha256_of", refuse_to_hash("keys.txt"))
    assert run("verify", str(tmp_path / "out")) == 1
    assert "wrong: splits/core/keys.txt cannot be read: Permission denied" in capsys.readouterr().out
    (tmp_path / "out" / "commits" / "measure" / "one 0000.json").unlink()
    monkeypatch.setattr("pipeline.passes.packed_queries.sha256_of", refuse_to_hash("index.faiss"))
    _queries.packed.cache_clear()
    assert run("run", plan) == 2
    errors = capsys.readouterr().err
    assert "indexes/one/index.faiss was committed but cannot be read: Permission denied; make it" in errors
