"""Malformed inputs of every format, and plans: read or refused, soon, and every row counted once.

`benchmarks/malformed.py` reads 10,000 and more.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from malformed_pool import EVERY_KIND, IMAGE, shares, survey
from malformed_runs import RUNS
from malformed_sets import KINDS, TooSlowError, deadline, outcome, valid_sets

from pipeline.readers import names, open_reader


def test_valid_sets_are_read_whole(tmp_path: Path) -> None:
    """What is damaged below is sound before: 11 rows each, in three shards or one; every format is there."""
    assert set(KINDS) == {*names(), "plan"}
    for source in valid_sets(tmp_path).values():
        reader = open_reader(source)
        assert sum(len(reader.rows(source, shard).table) for shard in reader.shards(source)) == 11


def test_malformed_inputs_are_read_or_refused() -> None:
    counts, wrong = survey(shares(200, 0, 0, (*KINDS, IMAGE)), 1)
    assert wrong == []
    assert sum(counts.values()) == 200
    assert all(counts.get(f"{kind} read") for kind in (*KINDS, IMAGE)), (
        "damage is not so heavy that nothing is left to read"
    )
    assert sum(number for name, number in counts.items() if name.endswith("refused")) > 50


def test_malformed_sets_go_through_whole_runs() -> None:
    """Of three formats each, by seeds that finish; `benchmarks/malformed.py` runs thousands."""
    counts, wrong = survey([("run laion", (0,)), ("images of image-parquet", (0,))], 1)
    assert wrong == []
    assert counts == {"images of image-parquet finished": 1, "run laion finished": 1}


@pytest.mark.soak
def test_ten_thousand_malformed_inputs() -> None:
    counts, wrong = survey(shares(10_000, 0, 0.05, EVERY_KIND), 2)
    assert wrong == []
    assert sum(counts.values()) == 10_000
    assert all(counts.get(f"{kind} finished") for kind in RUNS)


def test_inputs_are_shared_out_and_each_comes_once() -> None:
    found = shares(1000, 7, 0.1, EVERY_KIND)
    runs = sum(len(seeds) for kind, seeds in found if kind in RUNS)
    assert (runs, sum(len(seeds) for _, seeds in found)) == (100, 1000)
    assert len({(kind, seed) for kind, seeds in found for seed in seeds}) == 1000
    assert min(seed for _, seeds in found for seed in seeds) == 7
    assert shares(4, 0, 0.1, ["run laion"]) == [("run laion", (0, 1, 2)), ("run laion", (3,))]


def test_a_fault_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises what it likes, and one that loses a row, are both reported with their seed."""
    monkeypatch.setattr("malformed_sets.build_plan", lambda _: {}["key"])
    counts, wrong = survey([("plan", (0, 1))], 1)
    assert counts["plan wrong"] >= 1
    assert wrong[0].startswith("plan ")
    assert "KeyError" in wrong[0]
    monkeypatch.setattr("malformed_sets.damage", lambda *_: None)
    monkeypatch.setattr("malformed_sets.np.unique", lambda rows: rows[:1])
    with pytest.raises(AssertionError, match="a row is there twice"):
        outcome("laion", 0, valid_sets(tmp_path / "again"), tmp_path / "scratch")


def test_a_lost_row_of_a_run_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malformed_runs._rows", lambda _: 99)
    counts, wrong = survey([("run laion", (0,))], 1)
    assert counts == {"run laion wrong": 1}
    assert "rows in the report, 99 in the files" in wrong[0]


def test_a_hang_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malformed_sets.SECONDS", 0.05)
    with pytest.raises(TooSlowError), deadline():
        time.sleep(5)


@pytest.mark.parametrize(
    ("kind", "seed"), [("img2dataset", 521), ("datacomp", 57), ("img2dataset", 197), ("laion", 1149)]
)
def test_what_ten_thousand_inputs_found(tmp_path: Path, kind: str, seed: int) -> None:
    """A status that is no text; an archive that points before its first byte; column names that are no UTF-8."""
    assert outcome(kind, seed, valid_sets(tmp_path / "valid"), tmp_path / "scratch") == "refused"
