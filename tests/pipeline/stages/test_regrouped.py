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
from pipeline.execution.work import stage_module
from pipeline.stages import REGROUPED, STAGES


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
    folders = ("measures", "neighbours", "thresholds", "splits", *(f"commits/{stage}" for stage in REGROUPED))
    files = [file for folder in folders for file in sorted((out / folder).rglob("*")) if file.is_file()]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def fresh(sets: Path, **engine: Any) -> dict[str, str]:
    """The same in a folder that no run has used."""
    (sets / "out").rename(sets / "kept")
    found = run(sets, **engine)
    (sets / "out").rename(sets / f"fresh{len(list(sets.glob('fresh*')))}")
    (sets / "kept").rename(sets / "out")
    return found


def test_units_cut_anew_leave_what_a_fresh_run_leaves(sets: Path) -> None:
    one = {rows: run(sets, unit_rows=rows) for rows in (1, 1000)}
    assert one[1000] == fresh(sets, unit_rows=1000)
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
        trying.commit()
    return made


def test_a_unit_that_is_replaced_last_takes_no_other_units_file(tmp_path: Path) -> None:
    """Workers end in any order, and the bytes may be the same whoever wrote them."""
    commit(tmp_path, "0000", "a", "x", "y")
    retire(tmp_path, "measure", [Unit("measure", "0000", "b" * 64), Unit("measure", "0001", "a" * 64)])
    assert snapshot(tmp_path) == {}
    second = commit(tmp_path, "0001", "a", "y")
    first = commit(tmp_path, "0000", "b", "x")
    assert find(tmp_path, first)
    assert find(tmp_path, second)


def test_what_is_planned_stays_and_what_two_name_is_neithers(tmp_path: Path) -> None:
    kept = commit(tmp_path, "0000", "a", "x")
    old = commit(tmp_path, "0001", "a", "y")
    new = commit(tmp_path, "0002", "a", "y", "z")
    other = Unit("split", "0001", "c" * 64)
    retire(tmp_path, "measure", [kept, new, other])
    assert find(tmp_path, kept)
    assert not find(tmp_path, old)
    assert not find(tmp_path, new)
    assert sorted(snapshot(tmp_path)) == ["commits/measure/0000.json", "x"]
    retire(tmp_path, "measure", [kept])
    assert find(tmp_path, kept)


def test_a_crash_amid_retiring_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = commit(tmp_path, "0000", "a", "x", "y")
    monkeypatch.setenv("NEARFAR_FAILPOINT", "commit.files_retired=error")
    with pytest.raises(RuntimeError):
        retire(tmp_path, "measure", [])
    monkeypatch.delenv("NEARFAR_FAILPOINT")
    assert not find(tmp_path, old)
    retire(tmp_path, "measure", [])
    assert snapshot(tmp_path) == {}


def test_every_stage_that_takes_parts_together_is_known() -> None:
    assert {stage for stage in STAGES if hasattr(stage_module(stage), "units_of")} == set(REGROUPED)
