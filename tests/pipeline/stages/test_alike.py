"""Near-duplicates within a benchmark and the reference, beside float64 of all pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_sets import rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run

from indexes.canonical import canonical


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one` in two files: rows 20 to 23 are near to rows 0 to 3, row 24 equals row 5, row 25 has no vector."""
    folder = tmp_path_factory.mktemp("alike")
    write_sets(folder)
    first = unit(21, 20)
    near = first[:4].astype(np.float32) + 0.01 * unit(31, 4).astype(np.float32)
    broken = np.full((1, first.shape[1]), np.nan, np.float32)
    again = np.concatenate([near, first[5:6].astype(np.float32), broken]).astype(np.float16)
    write_part(folder / "one", 1, again, rows_of("q", 20, 6))
    for number, labels in enumerate((["cat"] * 20, ["cat", "cat", "dog", "dog", None, "cat"])):
        path = folder / "one" / "metadata" / f"metadata_{number}.parquet"
        table = pq.read_table(path).append_column("label", pa.array(labels, pa.string()))
        pq.write_table(table, path)
    return folder


def alike(cli: Run, folder: Path, out: str, name: str, **changes: object) -> pa.Table:
    options = {"within": ["one", "reference"], "soft": 0.9, "hard": 0.999}
    code, _, err = cli("run", str(write_plan(folder, audit=options, output=str(folder / out), **changes)))
    assert code == 0, err
    return pq.read_table(folder / out / "alike" / f"{name}.parquet")


def test_each_sample_names_the_nearest_before_it(cli: Run, folder: Path) -> None:
    found = alike(cli, folder, "out", "one")
    parts = sorted((folder / "out" / "samples" / "one").glob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(part, columns=["uid"]) for part in parts])
    arrays = [np.load(folder / "one" / "img_emb" / f"img_emb_{n}.npy") for n in range(2)]
    vectors = canonical(np.concatenate(arrays))
    uids = np.array(rows.column("uid").to_pylist())[vectors.healthy]
    order = np.argsort(uids)
    exact = vectors.vectors[order].astype(np.float64)
    before = np.tril(np.ones((25, 25), bool), -1)
    products = np.where(before, exact @ exact.T, -9.0)[1:]
    assert len(found) == 25 == len(uids)
    assert found.column("uid").to_pylist() == uids[order].tolist()
    assert found.column("similarity").to_pylist() == [None, *products.max(axis=1).tolist()]
    assert found.column("nearest").to_pylist() == [None, *uids[order][products.argmax(axis=1)].tolist()]
    told = json.loads((folder / "out" / "report" / "audit.json").read_text())["sections"]["duplicates_within"]
    above = products.max(axis=1)
    one = told["numbers"]["one"]
    assert (one["samples"], one["above_soft"], one["above_hard"]) == (
        25,
        int((above > 0.9).sum()),
        int((above > 0.999).sum()),
    )
    assert one["above_hard"] >= 1
    labels = dict(zip(found.column("uid").to_pylist(), found.column("label").to_pylist(), strict=True))
    two = [
        row
        for row in found.to_pylist()
        if (row["similarity"] or 0) > 0.9
        and None not in (row["label"], labels[row["nearest"]])
        and row["label"] != labels[row["nearest"]]
    ]
    assert one["two_labels"] == len(two) >= 2


def test_the_cut_into_parts_changes_nothing(cli: Run, folder: Path) -> None:
    found = alike(cli, folder, "whole", "one", engine={"unit_rows": 1000})
    assert found.equals(alike(cli, folder, "out", "one"))
    assert len(alike(cli, folder, "out", "reference")) == 60


def test_a_set_that_is_not_there(cli: Run, folder: Path) -> None:
    code, _, err = cli(
        "run", str(write_plan(folder, audit={"within": ["onne"]}, output=str(folder / "none")))
    )
    assert code == 2
    assert "unknown set to look within 'onne'; available: one, reference, two. Did you mean 'one'?" in err
    code, _, err = cli("run", str(write_plan(folder, audit={"within": []}, output=str(folder / "none"))))
    assert code == 0, err
    assert not (folder / "none" / "alike").exists()
    told = json.loads((folder / "none" / "report" / "audit.json").read_text())["sections"]
    assert "names no set" in told["duplicates_within"]["left_out"]
