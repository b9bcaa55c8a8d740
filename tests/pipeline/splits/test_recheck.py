"""Finished splits decided again: healthy ones are found healthy, and each tampering is found."""

from __future__ import annotations

import io
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scored_pools import Pool, ties

from indexes.errors import OutputError
from pipeline.commit import Unit, attempt
from pipeline.splits.again.recheck import recheck
from pipeline.splits.cutting import cut_many
from pipeline.splits.requests import CutRequest, SplitRequest

RECIPES: dict[str, list[tuple[str, Any]]] = {
    "near": [("near", {})],
    "far_per_query": [("far", {"threshold": "per_query"})],
    "far": [("far", {"keep": 800}), ("random", {"fraction": 0.5})],
    "quota": [("where", "width > 1"), ("far", {"keep": 301, "combine": "quota"})],
    "ranked": [("far", {"keep": 301, "combine": "rank"}), ("where", "width > 2")],
    "capped": [("cap", {"by": "width", "most": 20})],
    "all": [("near", {"keep": 10_000})],
}
NAMES = [*RECIPES, "both"]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[CutRequest, Path, Path]:
    """What was asked for, the folder in which it was cut, and a copy of that."""
    folder = tmp_path_factory.mktemp("healthy")
    out, kept = folder / "out", folder / "kept"
    out.mkdir()
    samples = ties()
    pool = Pool(out, [samples[:1000], samples[1000:]])
    splits = tuple(SplitRequest(name, tuple(rules)) for name, rules in RECIPES.items())
    commit(pool, CutRequest(**pool.request, splits=splits))
    named = {name: (str(out / f"splits/{name}/part-0000.parquet"),) for name in ("near", "far")}
    both = SplitRequest("both", (("random", {"like": "far"}),), {"minus": ("near", "far")}, named)
    commit(pool, CutRequest(**pool.request, splits=(both,)))
    shutil.copytree(out, kept)
    return CutRequest(**pool.request, splits=(*splits, both)), out, kept


@pytest.fixture
def request_and_out(healthy: tuple[CutRequest, Path, Path]) -> tuple[CutRequest, Path]:
    """The same, as it was cut, whatever other tests did there."""
    request, out, kept = healthy
    shutil.rmtree(out)
    shutil.copytree(kept, out)
    return request, out


def commit(pool: Pool, request: CutRequest) -> None:
    with ExitStack() as stack:
        attempts = {
            split.name: stack.enter_context(attempt(pool.out, Unit("split", split.name, "test")))
            for split in request.splits
        }
        for name, _ in cut_many(request, pool.out, attempts):
            attempts[name].commit()


def test_healthy_splits_are_healthy_wholly_and_by_sample(request_and_out: tuple[CutRequest, Path]) -> None:
    request, out = request_and_out
    whole = recheck(request, out)
    assert {name: (found.rows, found.whole, found.problems) for name, found in whole.items()} == {
        name: (3000, True, []) for name in NAMES
    }
    for seed in range(3):
        sampled = recheck(request, out, rows=700, seed=seed)
        assert all(not found.whole and 400 < found.rows < 800 for found in sampled.values())
        assert {name: found.problems for name, found in sampled.items()} == {name: [] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_uid_that_is_missing_is_found(request_and_out: tuple[CutRequest, Path], name: str) -> None:
    request, out = request_and_out
    path = out / f"splits/{name}/uids.npy"
    uids = np.load(path)
    np.save(path, np.delete(uids, len(uids) // 2))
    gone = f"{uids[len(uids) // 2]['f0']:016x}{uids[len(uids) // 2]['f1']:016x}"
    found = recheck(request, out)
    assert found[name].problems == [f"{gone} is 0 times in split {name}, and 1 times by its rules"]
    others = {each for each in NAMES if found[each].problems} - {name}
    assert others <= {"both"}  # which is cut from two of them


@pytest.mark.parametrize("name", ["near", "far_per_query", "far", "quota", "capped"])
def test_a_sample_finds_a_split_that_keeps_all(request_and_out: tuple[CutRequest, Path], name: str) -> None:
    request, out = request_and_out
    everything = np.load(out / "splits/all/uids.npy")
    np.save(out / f"splits/{name}/uids.npy", everything)
    problems = recheck(request, out, rows=700)[name].problems
    if name == "capped":
        assert problems == []  # a cap takes all rows, so that a sample cannot tell
    else:
        assert len(problems) == 3
        assert all("by its rules it should not be" in problem for problem in problems)
    assert len(recheck(request, out)[name].problems) == 3


def test_a_sample_finds_a_split_that_keeps_nothing(request_and_out: tuple[CutRequest, Path]) -> None:
    request, out = request_and_out
    np.save(out / "splits/near/uids.npy", np.load(out / "splits/near/uids.npy")[:0])
    assert (
        "is not in split near, and by its rules it should be"
        in recheck(request, out, rows=700)["near"].problems[0]
    )


@pytest.mark.parametrize("name", ["near", "quota", "both"])
def test_another_reason_is_found(request_and_out: tuple[CutRequest, Path], name: str) -> None:
    request, out = request_and_out
    path = out / f"splits/{name}/dropped/part-0000.parquet"
    table = pq.read_table(path)
    rules = table.column("rule").to_pylist()
    wanted, rules[5] = rules[5], "9:cap"
    uid = table.column("uid")[5].as_py()
    pq.write_table(table.set_column(2, "rule", pa.array(rules)), path)
    assert recheck(request, out)[name].problems == [
        f"{uid} is said to be dropped by 9:cap in split {name}, and is not",
        f"{uid} is dropped by {wanted} in split {name}, and it is not said",
    ]


def test_rules_are_counted_and_what_is_left_has_its_reason(request_and_out: tuple[CutRequest, Path]) -> None:
    request, out = request_and_out
    whole, sampled = recheck(request, out), recheck(request, out, rows=700)
    assert whole["far"].rules == {"1:far": 3000, "2:random": 800}
    assert not any(found.left for found in whole.values())
    assert set(sampled["capped"].left) == {"1:cap"}
    assert "looks at all rows" in sampled["capped"].left["1:cap"]
    assert sampled["quota"].rules["1:where"] == sampled["quota"].rows


def test_another_order_is_found(request_and_out: tuple[CutRequest, Path]) -> None:
    request, out = request_and_out
    path = out / "splits/near/uids.npy"
    np.save(path, np.load(path)[::-1])
    assert recheck(request, out)["near"].problems == [
        "splits/near/uids.npy has the right uids in another order"
    ]


def test_a_file_that_is_gone_or_damaged_is_named(request_and_out: tuple[CutRequest, Path]) -> None:
    request, out = request_and_out
    path = out / "splits/near/uids.npy"
    for content in (None, b"", io.BytesIO(b"not numpy").getvalue()):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(OutputError, match=r"near/uids.npy cannot be read.*cut the split"):
            recheck(request, out)
