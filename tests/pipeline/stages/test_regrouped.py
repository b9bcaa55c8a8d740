"""Units that are cut anew on one output folder leave what a fresh run leaves, and nothing of their predecessors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import whole_runs
from commit_script import snapshot
from small_sets import rows_of, unit, write_part, write_plan, write_sets

from pipeline.cli import main
from pipeline.commit import Unit, attempt, find, retire
from pipeline.stages import performing_names


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    write_sets(tmp_path)
    for number in range(3, 7):
        write_part(tmp_path / "pool", number, unit(10 + number, 50), rows_of("n", 50 * number, 50))
    return tmp_path


def run(sets: Path, **engine: Any) -> dict[str, str]:
    """Run with such an engine; the bytes of the stages that may be cut anew, as they lie there."""
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(write_plan(sets, engine=engine))])
    assert not stopped.value.code
    out = sets / "out"
    for path, digest in whole_runs.committed(out).items():
        assert hashlib.sha256((out / path).read_bytes()).hexdigest() == digest, path
    apart = ("report", "split.json")
    folders = ("measures", "neighbours", "internal", "splits", "samples", "lost", "commits")
    files = [file for folder in folders for file in sorted((out / folder).rglob("*")) if file.is_file()]
    files = [file for file in files if not any(name in str(file.relative_to(out)) for name in apart)]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def fresh(sets: Path, **engine: Any) -> dict[str, str]:
    """The same in a folder that no run has used."""
    (sets / "out").rename(sets / "kept")
    found = run(sets, **engine)
    (sets / "out").rename(sets / f"fresh{len(list(sets.glob('fresh*')))}")
    (sets / "kept").rename(sets / "out")
    return found


def test_units_cut_anew_leave_what_a_fresh_run_leaves(sets: Path) -> None:
    assert run(sets, unit_rows=1)
    assert run(sets, unit_rows=1000) == fresh(sets, unit_rows=1000)


@pytest.mark.soak
def test_units_cut_anew_many_times(sets: Path) -> None:
    one = {rows: run(sets, unit_rows=rows) for rows in (1, 1000)}
    assert run(sets, unit_rows=1) == one[1]
    assert run(sets, unit_rows=200) == fresh(sets, unit_rows=200)
    assert run(sets, unit_rows=1, backend="faiss-ivf") == fresh(sets, unit_rows=1, backend="faiss-ivf")
    assert run(sets, unit_rows=1000) == one[1000]


def test_a_shard_that_goes_and_comes_back(sets: Path) -> None:
    before = run(sets, unit_rows=200)
    names = ("img_emb/img_emb_1.npy", "metadata/metadata_1.parquet")
    for name in names:
        (sets / "pool" / name).rename(sets / Path(name).name)
    assert run(sets, unit_rows=200) == fresh(sets, unit_rows=200)
    for name in names:
        (sets / Path(name).name).rename(sets / "pool" / name)
    assert run(sets, unit_rows=200) == before


def commit(out: Path, name: str, mark: str, *files: str) -> Unit:
    made = Unit("measure", name, mark * 64)
    with attempt(out, made) as trying:
        for file in files:
            trying.file(file).write_text(f"{file}{mark}")
            trying.add(file)
        trying.commit({"part": ["pool", int(name)]})
    return made


def test_what_is_gone_goes_with_its_files_and_what_two_name_stays(tmp_path: Path) -> None:
    kept = commit(tmp_path, "0000", "a", "x")
    old = commit(tmp_path, "0001", "a", "y", "embeddings/e")
    retire(tmp_path, "measure", lambda record: record.facts["part"][1] == 1, kept="embeddings")
    assert find(tmp_path, kept)
    assert not find(tmp_path, old)
    assert sorted(snapshot(tmp_path)) == ["commits/measure/0000.json", "embeddings/e", "x"]
    commit(tmp_path, "0002", "a", "z")
    shared = commit(tmp_path, "0003", "b", "z")
    retire(tmp_path, "measure", lambda record: record.name == "0002")
    assert find(tmp_path, shared), "a file that another record names is left alone"


def test_a_crash_amid_retiring_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = commit(tmp_path, "0000", "a", "x", "y")
    monkeypatch.setenv("NEARFAR_FAILPOINT", "commit.files_retired=error")
    with pytest.raises(RuntimeError):
        retire(tmp_path, "measure", lambda _: True)
    monkeypatch.delenv("NEARFAR_FAILPOINT")
    assert not find(tmp_path, old)
    retire(tmp_path, "measure", lambda _: True)
    assert snapshot(tmp_path) == {}


def test_every_stage_that_commits_is_one_that_retires() -> None:
    assert {"read", "measure", "sample", "train", "rescan"} <= set(performing_names())
