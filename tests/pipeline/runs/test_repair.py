"""`nearfar verify` names the command that repairs, and the command repairs: one flipped bit in every kind of file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from whole_runs import Run

from pipeline.commit import dump_record, read_record


@pytest.fixture
def out(finished_sets: Path) -> Path:
    return finished_sets / "out"


KINDS = ("samples", "lost", "indexes", "measures", "neighbours", "splits", "report", "commits")


def content(out: Path) -> dict[str, str]:
    """Every file that a run commits, and its records, by sha256."""
    files = [path for kind in KINDS for path in (out / kind).rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


OTHERS = (
    "samples/one/part-0000.parquet",
    "lost/read/pool/part-0000.parquet",
    "indexes/one/index.faiss",
    "neighbours/one/part-0000.parquet",
    "splits/pruned/part-0000.parquet",
    "report/report.html",
    "report/audit.json",
    "samples/pool/part-0001.parquet",
    "measures/similarity/one/part-0002.parquet",
)


@pytest.mark.parametrize(
    "damaged",
    [
        "indexes/two/queries.parquet",
        "splits/core/uids.npy",
        *(pytest.param(path, marks=pytest.mark.soak) for path in OTHERS),
    ],
)
def test_a_flipped_bit_is_found_and_the_command_that_is_named_repairs_it(
    out: Path, cli: Run, damaged: str
) -> None:
    before = content(out)
    flip(out / damaged)
    code, said, _ = cli("verify", str(out))
    assert code == 1
    assert f"wrong: {damaged} is not what was committed" in said
    command = said.splitlines()[-1].partition(": nearfar ")[2].split()
    assert command == ["verify", str(out), "--repair"]
    code, said, errors = cli(*command)
    assert code == 0, said + errors
    assert "all well" in said
    assert content(out) == before


def commit_as_if_right(out: Path, path: Path, **told: Any) -> None:
    """Make the record of a measure's part say of its file what is there now."""
    name = out / "commits" / "measure" / "one 0000.json"
    record = read_record(out, "measure", "one 0000")
    assert record is not None
    outputs = tuple(
        replace(one, **told) if one.path == str(path.relative_to(out)) else one for one in record.outputs
    )
    name.write_bytes(dump_record(replace(record, outputs=outputs)))


def change(path: Path, column: str, amount: float) -> None:
    table = pq.read_table(path)
    values = pa.array(np.asarray(table.column(column)) + amount)
    pq.write_table(table.set_column(table.column_names.index(column), column, values), path)


def test_no_split_is_cut_from_a_rotten_measure_and_the_advice_leads_out(out: Path, cli: Run) -> None:
    """Neither size nor page checksum tells that a measure's part is another than the one that was committed."""
    before = content(out)
    path = out / "measures" / "similarity" / "one" / "part-0000.parquet"
    change(path, "margin", 9.0)
    commit_as_if_right(out, path, bytes=path.stat().st_size)
    for split in ("pruned", "core", "control", "wide", "mixed"):
        (out / "commits" / "split" / f"{split}.json").unlink()
    code, _, errors = cli("run", str(out.parent / "plan.yaml"))
    assert (code, "measures/similarity/one/part-0000.parquet' is not what was committed" in errors) == (
        2,
        True,
    )
    assert f"`nearfar verify {out} --repair`" in errors
    assert not list((out / "commits" / "split").glob("*.json")), "nothing was decided"
    assert cli("run", str(out.parent / "plan.yaml"))[0] == 2, "and nothing is, however often it is tried"
    assert cli("verify", str(out), "--repair")[0] == 0
    assert content(out) == before


def test_a_decision_that_is_wrong_in_sound_files_is_made_again(out: Path, cli: Run) -> None:
    before = content(out)
    path = out / "measures" / "similarity" / "one" / "part-0000.parquet"
    change(path, "similarity", 2**-20)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    commit_as_if_right(out, path, bytes=path.stat().st_size, sha256=digest)
    assert cli("run", str(out.parent / "plan.yaml"))[0] == 0
    code, said, _ = cli("verify", str(out), "--samples", "360")
    assert (code, "one.similarity" in said, "is not what was committed" in said) == (1, True, False)
    code, said, _ = cli("verify", str(out), "--samples", "360", "--repair")
    assert (code, "all well" in said) == (0, True)
    assert content(out) == before


def test_json_has_the_problems_and_the_units(out: Path, cli: Run) -> None:
    flip(out / "splits" / "core" / "uids.npy")
    code, said, _ = cli("verify", str(out), "--json")
    found = json.loads(said.splitlines()[-1])
    assert (code, found["damaged"], len(found["problems"])) == (1, ["split/core"], 1)
    code, said, _ = cli("verify", str(out), "--repair", "--json")
    last = json.loads(said.splitlines()[-1])
    assert (code, last["damaged"], last["problems"]) == (0, [], [])


def test_a_sound_run_is_left_alone(out: Path, cli: Run) -> None:
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    code, said, _ = cli("verify", str(out), "--repair")
    assert (code, "all well" in said, "--repair" in said) == (0, True, False)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == times
