"""Rows that were lost stop a run, fail a gate, and are said at its end with the same counts everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_sets import WIDTH, rows_of, unit, write_part, write_plan
from whole_runs import Run

from pipeline.report.drawing.text import percent


def damage(folder: Path, name: str, number: int, vectors: np.ndarray, rows: int, start: int) -> None:
    """Write a part again, the first `rows` of its vectors NaN."""
    vectors = vectors.copy()
    vectors[:rows] = np.nan
    write_part(folder / name, number, vectors, rows_of(name[0], start, len(vectors)))


def audit(cli: Run, sets: Path, *more: str) -> tuple[int, str, str]:
    named = ["--pool", str(sets / "pool"), "--benchmark", f"one={sets / 'one'}", "--out", str(sets / "aud")]
    return cli("audit", *named, *more)


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report" / "audit.json").read_text())
    return found


def test_a_pool_without_a_row_stops_the_run(sets: Path, cli: Run) -> None:
    for number in range(3):
        write_part(sets / "pool", number, np.zeros((0, WIDTH), np.float16), [])
    code, _, errors = cli("run", str(write_plan(sets)))
    assert (code, "pool" in errors, "has no usable rows; an audit of nothing" in errors) == (2, True, True)
    assert not (sets / "out" / "splits").exists()
    assert not (sets / "out" / "report").exists()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_pool_without_a_usable_vector_stops_the_run(sets: Path, cli: Run, value: float) -> None:
    for number in range(3):
        vectors = np.full((120, WIDTH), value, np.float16)
        write_part(sets / "pool", number, vectors, rows_of("p", 120 * number, 120))
    code, _, errors = audit(cli, sets, "--fail-above", "0.9")
    reason = "zero" if value == 0 else "nan"
    assert code == 2
    assert f"has no usable vector (360 {reason})" in errors
    assert not (sets / "aud" / "report").exists()


def test_one_usable_vector_is_a_pool(sets: Path, cli: Run) -> None:
    for number in range(3):
        vectors = np.full((120, WIDTH), np.nan, np.float16)
        vectors[7] = unit(1, 1)[0] if number == 1 else np.nan
        write_part(sets / "pool", number, vectors, rows_of("p", 120 * number, 120))
    code, out, errors = audit(cli, sets)
    assert code == 0, errors
    assert "pool: 359 of 360 rows lost (99.7 %): 359 nan" in out


def test_a_benchmark_that_lost_a_query_fails_the_gate(sets: Path, cli: Run) -> None:
    damage(sets, "one", 0, unit(21, 20), 1, 0)
    assert audit(cli, sets)[0] == 0, "without a gate there is nothing to fail"
    code, out, errors = audit(cli, sets, "--fail-above", "1")
    assert code == 1
    assert "too many lost: 1 of 20 rows of benchmark one (5.0 %)" in errors
    assert "--allow-lost" in errors
    assert "No near pair found, but 1 of 20 rows of benchmark one could not be compared" in out
    assert audit(cli, sets, "--fail-above", "1", "--allow-lost", "0.05")[0] == 0
    assert audit(cli, sets, "--fail-above", "1", "--allow-lost", "0.049")[0] == 1


def test_a_pool_may_lose_one_row_in_twenty(sets: Path, cli: Run) -> None:
    damage(sets, "pool", 0, unit(10, 120), 18, 0)
    assert audit(cli, sets, "--fail-above", "1")[0] == 0, "18 of 360 rows are 0.05"
    damage(sets, "pool", 0, unit(10, 120), 19, 0)
    code, _, errors = audit(cli, sets, "--fail-above", "1")
    assert (code, "19 of 360 rows of pool" in errors) == (1, True)
    assert audit(cli, sets, "--fail-above", "1", "--allow-lost", "0.06")[0] == 0


def test_allowed_losses_without_a_gate_are_refused(sets: Path, cli: Run) -> None:
    code, _, errors = audit(cli, sets, "--allow-lost", "0.5")
    assert (code, "--fail-above" in errors) == (2, True)
    assert not (sets / "aud").exists()
    assert audit(cli, sets, "--fail-above", "1", "--allow-lost", "much")[0] == 2


def test_terminal_report_and_splits_count_the_same_rows(sets: Path, cli: Run) -> None:
    damage(sets, "pool", 1, unit(11, 120), 40, 120)
    damage(sets, "two", 0, unit(22, 15), 2, 0)
    code, out, errors = cli("run", str(write_plan(sets)))
    assert code == 0, errors
    rows = (line.split() for line in out.splitlines())
    table = {row[0]: row[1:4] for row in rows if len(row) > 4 and row[4] == "%"}
    found = report(sets / "out")
    for name, split in found["splits"].items():
        assert table[name] == [str(split["kept"]), "360", f"{100 * split['kept'] / 360:.1f}"]
        facts = json.loads((sets / "out" / "splits" / name / "split.json").read_text())["waterfall"]
        assert (split["rows"], facts["rows_in"]) == (360, 360)
    lines = ["pool: 40 of 360 rows lost (11.1 %): 40 nan", "benchmark two: 2 of 15 rows lost (13.3 %): 2 nan"]
    assert found["headline"]["lost"] == lines
    assert [line for line in out.splitlines() if " lost (" in line] == lines
    page = (sets / "out" / "report" / "report.html").read_text(encoding="utf-8")
    assert all(f'<li class="heavy"><bdi>{line}</bdi></li>' in page for line in lines)
    assert (found["rows"]["pool"]["listed"], found["rows"]["pool"]["lost"]) == (360, 40)


def test_each_benchmark_has_a_line_that_brute_force_confirms(sets: Path, cli: Run) -> None:
    code, out, _ = cli("run", str(write_plan(sets, audit={"hard": 0.9, "soft": 0.8})))
    assert code == 0
    pool, reference = (gathered(sets, name) for name in ("pool", "reference"))
    for name in ("one", "two"):
        queries = gathered(sets, name)
        similarity, threshold = pool @ queries.T, (reference @ queries.T).max(axis=0)
        nearest = similarity.max(axis=0)
        counts = [len(queries), (nearest > 0.9).sum(), (nearest > 0.8).sum(), (nearest > threshold).sum()]
        counts.append((similarity > threshold).any(axis=1).sum())
        line = next(line for line in out.splitlines() if line.split()[:1] == [name])
        assert line.split() == [name, *map(str, counts)]
    assert audit(cli, sets)[1].split()[:6] == ["benchmark", "queries", ">", "0.99", ">", "0.95"]


def gathered(sets: Path, name: str) -> np.ndarray:
    files = sorted((sets / name / "img_emb").glob("*.npy"))
    return np.concatenate([np.load(file) for file in files]).astype(np.float64)


def test_json_ends_with_the_losses(sets: Path, cli: Run) -> None:
    damage(sets, "two", 0, unit(22, 15), 2, 0)
    code, out, _ = cli("run", str(write_plan(sets)), "--json")
    last = json.loads(out.splitlines()[-1])
    assert (code, last["event"]) == (0, "finished")
    assert last["headline"]["lost"] == ["benchmark two: 2 of 15 rows lost (13.3 %): 2 nan"]
    assert last["rows"]["benchmark two"]["quarantined"] == {"nan": 2}
    assert last["rows"]["benchmark two"]["measured"] == 13


def test_a_run_that_lost_nothing_says_nothing_of_losses(sets: Path, cli: Run) -> None:
    code, out, _ = cli("run", str(write_plan(sets)))
    assert (code, " lost" in out) == (0, False)
    assert report(sets / "out")["headline"]["lost"] == []


def test_gaps_and_what_was_left_out_are_said_in_one_line(sets: Path, cli: Run) -> None:
    for file in ("metadata/metadata_1.parquet", "img_emb/img_emb_1.npy"):
        (sets / "pool" / file).unlink()
    for file in (".DS_Store", "_SUCCESS", "links.csv"):
        (sets / "pool" / file).write_bytes(b"x")
    code, out, errors = audit(cli, sets)
    assert code == 0, errors
    line = (
        "pool: gap in the numbers of the metadata and vector files: number 1 is missing (1 between 0 and 2); "
        "if they belong to this set, fetch them and run again | files left out, since no shard has them: "
        "2 hidden or dropped by macOS, Windows or Hadoop, 1 .csv"
    )
    assert line in out.splitlines()
    assert report(sets / "aud")["headline"]["notes"] == [line]
    page = (sets / "aud" / "report" / "report.html").read_text(encoding="utf-8")
    assert f"<li><bdi>{line}</bdi></li>" in page


def test_reference_rows_without_a_vector_are_counted(sets: Path, cli: Run) -> None:
    before = gathered(sets, "reference")
    damage(sets, "reference", 0, before[: len(np.load(sets / "reference/img_emb/img_emb_0.npy"))], 3, 0)
    code, out, errors = cli("run", str(write_plan(sets)))
    assert code == 0, errors
    line = f"reference: 3 of {len(before)} rows lost ({percent(3 / len(before))}): 3 nan"
    assert line in out.splitlines()
    found = report(sets / "out")
    assert found["rows"]["reference"]["quarantined"] == {"nan": 3}
    assert found["rows"]["reference"]["measured"] == len(before) - 3
    assert found["headline"]["lost"] == [line]
    listed = sorted((sets / "out" / "lost" / "vectors" / "reference").rglob("*.parquet"))
    assert [path.parent.name for path in listed] == ["one", "two"]
    assert [pq.read_table(path)["row"].to_pylist() for path in listed] == [[0, 1, 2]] * 2
