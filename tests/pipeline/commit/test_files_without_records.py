"""A run ends with exactly the part files that its records name, whatever killed runs left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_sets import rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run, committed

from pipeline.commit import Unit, attempt, remove_unowned, retire


def write(out: Path, name: str, *files: str) -> None:
    with attempt(out, Unit("measure", name, "f")) as into:
        for file in files:
            into.file(file).write_text(name)
            into.add(file)
        into.commit()


def test_only_part_files_that_no_record_names_go(tmp_path: Path) -> None:
    write(tmp_path, "a", "measures/x/part-0000.parquet", "measures/x/part-0001.parquet")
    write(tmp_path, "b", "internal/training/x/part-0000.npz", "embeddings/pool/e/part-0000.parquet")
    stray = [
        "samples/pool/part-0001.parquet",
        "measures/x/part-0002.parquet",
        "internal/training/x/part-0007.npz",
        "internal/groups/x/rows/part-0007.arrow",
        "internal/groups/x/clip image/part-0007.npy",
        "internal/grouped/x/bucket-0003.arrow",
        "internal/models/x.npz",
        "internal/unrelated/x.json",
    ]
    spared = ["measures/x/part-of-mine.parquet", "samples/notes.txt", "embeddings/pool/e/part-0009.parquet"]
    spared += ["report/part-0000.parquet", "mine/part-0000.parquet"]
    for name in stray + spared:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("left")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "part-0000.parquet").write_text("a user's")
    (tmp_path / "neighbours").symlink_to(tmp_path / "elsewhere")
    assert sorted(remove_unowned(tmp_path, ["measure"])) == sorted(stray)
    assert all((tmp_path / name).is_file() for name in [*spared, "elsewhere/part-0000.parquet"])
    assert all((tmp_path / name).is_file() for name in committed(tmp_path))
    assert remove_unowned(tmp_path, ["measure"]) == []
    retire(tmp_path, "measure", lambda record: record.name == "a")
    assert not (tmp_path / "measures/x/part-0000.parquet").exists()


def parts_of(out: Path) -> set[str]:
    folders = ("samples", "lost", "measures", "neighbours", "internal", "splits", "indexes")
    found = (path for folder in folders for path in (out / folder).rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix() for path in found}


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_runs_that_stop_anywhere_between_changes_leave_nothing(tmp_path: Path, cli: Run, seed: int) -> None:
    """Units are cut anew and shards come and go, and most runs end by an error half way; the last one ends well."""
    write_sets(tmp_path)
    rng = np.random.default_rng(seed)
    for number in range(8):
        for name in ("metadata/metadata_9.parquet", "img_emb/img_emb_9.npy"):
            (tmp_path / "pool" / name).unlink(missing_ok=True)
        if rng.integers(2):
            write_part(tmp_path / "pool", 9, unit(number, 40), rows_of("n", 0, 40))
        engine = {"unit_rows": int(rng.choice([1, 130, 1000]))}
        broken = number < 7 and rng.integers(2)
        splits = (
            {"bad": [{"where": "caption::INTEGER > 1"}]}
            if broken
            else {"half": [{"random": {"fraction": 0.5}}]}
        )
        code, _, _ = cli("run", str(write_plan(tmp_path, engine=engine, splits=splits)))
        assert code == (2 if broken else 0)
    out = tmp_path / "out"
    assert parts_of(out) == {
        name for name in committed(out) if name.partition("/")[0] not in ("report", "embeddings")
    }
