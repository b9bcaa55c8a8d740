"""Malformed inputs of every format, and plans: read or refused, soon, and every row counted once.

`benchmarks/malformed.py` reads 10,000 and more.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from malformed_sets import KINDS, TooSlowError, deadline, faults, outcome, valid_sets

from pipeline.readers import names, open_reader


def test_valid_sets_are_read_whole(tmp_path: Path) -> None:
    """What is damaged below is sound before: 11 rows each, in three shards or one; every format is there."""
    assert set(KINDS) == {*names(), "plan"}
    for source in valid_sets(tmp_path).values():
        reader = open_reader(source)
        assert sum(len(reader.rows(source, shard).table) for shard in reader.shards(source)) == 11


def test_malformed_inputs_are_read_or_refused(tmp_path: Path) -> None:
    counts, wrong = faults(range(25), tmp_path)
    assert wrong == []
    assert sum(counts.values()) == 25 * len(KINDS)
    assert all(counts.get(f"{kind} read") for kind in KINDS), (
        "damage is not so heavy that nothing is left to read"
    )
    assert sum(number for name, number in counts.items() if name.endswith("refused")) > 40


def test_a_fault_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises what it likes, and one that loses a row, are both reported with their seed."""
    monkeypatch.setattr("malformed_sets.build_plan", lambda _: {}["key"])
    counts, wrong = faults(range(2), tmp_path, ("plan",))
    assert counts["plan wrong"] >= 1
    assert "KeyError" in wrong[0]
    monkeypatch.setattr("malformed_sets.damage", lambda *_: None)
    monkeypatch.setattr("malformed_sets.np.unique", lambda rows: rows[:1])
    with pytest.raises(AssertionError, match="a row is there twice"):
        outcome("laion", 0, valid_sets(tmp_path / "again"), tmp_path / "scratch")


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
