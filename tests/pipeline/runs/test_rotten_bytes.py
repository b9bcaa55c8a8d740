"""One flipped bit in every kind of committed file: nothing is decided from it, and what is said names it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from small_sets import write_plan, write_sets
from whole_runs import Run

from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit import Output, Record, check_sound, dump_record, read_record, sound_bytes
from pipeline.commit.records import parse_record
from pipeline.files.digests import sha256_of


def flip(path: Path, seed: int) -> bytes:
    """Flip one bit and leave size and times as they were; return what was there."""
    held, times = path.read_bytes(), path.stat()
    place, bit = np.random.default_rng(seed).integers([len(held), 8])
    raw = bytearray(held)
    raw[place] ^= 1 << int(bit)
    path.write_bytes(raw)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return held


def kinds(out: Path, steps: int) -> list[Path]:
    """List one committed file of each kind: the first below each folder of `steps` names, with each suffix."""
    folders = [out / name for name in layout.FOLDERS if name not in ("commits", "attempts", "report")]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    found = {(path.relative_to(out).parts[:steps], path.suffix): path for path in reversed(files)}
    return sorted(found.values())


@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_nothing_is_decided_from_a_flipped_bit(tmp_path: Path, cli: Run, steps: int) -> None:
    write_sets(tmp_path)
    plan, out = write_plan(tmp_path), tmp_path / "out"
    assert cli("run", str(plan))[0] == 0
    report = out / "commits" / "report" / "report.json"
    committed = report.read_bytes()
    files = kinds(out, steps)
    of = {path.relative_to(out).parts[0] for path in files}
    assert {"samples", "lost", "indexes", "measures", "neighbours", "splits", "internal"} <= of
    refused = set()
    for seed, path in enumerate(files):
        report.unlink()  # so that there is something to do; what it does not read is not hashed
        held = flip(path, seed)
        code, _, errors = cli("run", str(plan))
        if code:
            assert (code, f"'{path}' is not what was committed" in errors) == (2, True), (path, errors)
            assert f"`nearfar verify {out} --repair`" in errors
            assert not report.exists()
            refused.add(path.relative_to(out).parts[0])
        else:
            assert report.read_bytes() == committed, "the same, for it was decided from other files"
        path.write_bytes(held)
        report.write_bytes(committed)
    assert refused >= {"samples", "indexes", "measures", "neighbours", "splits", "internal"}
    for stage in ("read", "measure", "split"):
        record = sorted((out / "commits" / stage).glob("*.json"))[0]
        held = flip(record, len(stage))
        code, said, _ = cli("verify", str(out))
        assert (code, f"wrong: {record.relative_to(out)} is not what was committed" in said) == (1, True)
        assert cli("run", str(plan))[0] == 0
        assert record.read_bytes() == held, "what a record cannot vouch for is done again"
    assert cli("verify", str(out))[0] == 0


def test_no_single_flip_of_a_record_goes_unnoticed() -> None:
    record = Record(
        "split",
        "core",
        "f" * 64,
        (Output("splits/core/a.parquet", 12, 3, "a" * 64),),
        {"kept": 3, "share": 0.1},
    )
    content = dump_record(record)
    assert parse_record(content) == record
    for place in range(len(content)):
        for bit in range(8):
            raw = bytearray(content)
            raw[place] ^= 1 << bit
            assert parse_record(bytes(raw)) is None, (place, bit)


def test_records_of_earlier_versions_hold_as_they_were_written() -> None:
    record = Record("split", "core", "f" * 64, (), {"kept": 3})
    lines = dump_record(record).decode().splitlines(keepends=True)
    former = "".join(line for line in lines if '"digest"' not in line)
    assert parse_record(former.encode()) == record
    assert parse_record(former.replace('"kept": 3', '"kept":  3').encode()) is None


def test_what_is_read_whole_is_hashed_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_bytes(b"{}")
    output = Output("audit.json", 2, None, sha256_of(tmp_path / "audit.json"))
    record = Record("report", "report", "", (output,), {})
    check_sound(tmp_path, [output])
    assert sound_bytes(tmp_path, record, "audit.json") == b"{}"
    (tmp_path / "audit.json").write_bytes(b"[]")
    for read in (
        lambda: sound_bytes(tmp_path, record, "audit.json"),
        lambda: check_sound(tmp_path, [output]),
    ):
        with pytest.raises(OutputError, match=r"audit\.json' is not what was committed.*--repair"):
            read()
    (tmp_path / "audit.json").unlink()
    with pytest.raises(OutputError, match="is not what was committed"):
        sound_bytes(tmp_path, record, "audit.json")
    assert read_record(tmp_path, "report", "report") is None


def test_a_gate_reads_no_rotten_neighbours(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    asked = ("audit", "--pool", str(tmp_path / "pool"), "--benchmark", f"one={tmp_path / 'one'}", "--out")
    out = tmp_path / "audited"
    code, _, errors = cli(*asked, str(out), "--fail-above", "0.999:0.999")
    assert code == 0, errors
    path = out / layout.neighbours("one")
    flip(path, 1)
    code, _, errors = cli(*asked, str(out), "--fail-above", "0.999:0.999")
    assert (code, f"'{path}' is not what was committed" in errors) == (2, True)
