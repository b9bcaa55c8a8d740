"""A plan may name an approximate backend; the report then says how far from exact it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import whole_runs
from small_sets import write_plan, write_sets

import indexes.backends
from indexes import registry
from indexes.search import exact_backend, is_exact
from pipeline.cli import main
from pipeline.plan import EngineOptions

BENCHMARKS = ("one", "two")
APPROXIMATE = [name for name in registry.names(indexes.backends) if not is_exact(name)]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one plan through every approximate backend, and through the default one."""
    folder = tmp_path_factory.mktemp("runs")
    write_sets(folder)
    assert run("run", str(write_plan(folder, output=str(folder / "default")))) == 0
    for name in APPROXIMATE:
        plan = write_plan(folder, output=str(folder / name), engine={"backend": name})
        assert run("run", str(plan)) == 0
    return folder


def scores(out: Path, benchmark: str, field: str) -> np.ndarray:
    table = pq.read_table(sorted((out / "measures" / "similarity" / benchmark).glob("part-*.parquet")))
    return table.column(field).to_numpy()


def audit(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report" / "audit.json").read_text())
    return found


@pytest.mark.parametrize("backend", APPROXIMATE)
def test_the_report_says_how_far_from_exact_the_run_was(folder: Path, backend: str) -> None:
    """No part has more rows than are sampled, so the numbers are those of the whole pool."""
    exact, out = folder / "default", folder / backend
    pairs = [(scores(exact, name, "similarity"), scores(out, name, "similarity")) for name in BENCHMARKS]
    missed = np.concatenate([right - found for right, found in pairs])
    margins = [(scores(exact, name, "margin"), scores(out, name, "margin")) for name in BENCHMARKS]
    differing = sum(int(((right > 0) != (found > 0)).sum()) for right, found in margins)
    said = audit(out)["search"]
    assert said == {
        "backend": backend,
        "exact": False,
        "recall": float((missed == 0).mean()),
        "sampled": 360,
        "compared": 720,
        "similarity_error": float(missed.max()),
        "differing_decisions": differing,
    }
    page = (out / "report" / "report.html").read_text()
    sentence = re.findall(r"Neighbours are approximate[^<]*", page)
    assert len(sentence) == 1
    for words in (f"(backend {backend})", "360 samples", "720 comparisons", f"{differing} of the decisions"):
        assert words in sentence[0]
    schema = json.loads((whole_runs.ROOT / "pipeline" / "report" / "audit.schema.json").read_text())
    jsonschema.validate(audit(out), schema)


def test_inverted_lists_miss_something_here(folder: Path) -> None:
    said = audit(folder / "faiss-ivf")["search"]
    assert 0.8 < said["recall"] < 1
    assert said["similarity_error"] > 0
    assert said["differing_decisions"] > 0


@pytest.mark.parametrize("backend", APPROXIMATE)
def test_thresholds_are_exact_and_what_is_reported_is_no_invention(folder: Path, backend: str) -> None:
    for name in BENCHMARKS:
        queries = [folder / out / "indexes" / name / "queries.parquet" for out in ("default", backend)]
        assert queries[0].read_bytes() == queries[1].read_bytes()
        listed = pq.read_table(folder / backend / "neighbours" / name / "part-0000.parquet").to_pylist()
        right = {
            (row["query"], row["uid"]): row["similarity"]
            for row in pq.read_table(
                folder / "default" / "neighbours" / name / "part-0000.parquet"
            ).to_pylist()
        }
        common = [row for row in listed if (row["query"], row["uid"]) in right]
        assert common
        assert all(row["similarity"] == right[row["query"], row["uid"]] for row in common)
    assert run("verify", str(folder / backend)) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_workers_change_no_byte(folder: Path, workers: str) -> None:
    out = folder / f"workers-{workers}"
    plan = write_plan(folder, output=str(out), engine={"backend": "faiss-ivf"})
    assert run("run", str(plan), "--workers", workers) == 0
    here, there = whole_runs.committed(folder / "faiss-ivf"), whole_runs.committed(out)
    assert {path: sha for path, sha in here.items() if not path.startswith("report/")} == {
        path: sha for path, sha in there.items() if not path.startswith("report/")
    }
    assert audit(out) | {"command": ""} == audit(folder / "faiss-ivf") | {"command": ""}
    for record in sorted((out / "commits" / "measure").iterdir()):
        assert (
            record.read_bytes() == (folder / "faiss-ivf" / "commits" / "measure" / record.name).read_bytes()
        )


def test_only_a_plan_that_names_it_gets_an_approximate_backend(folder: Path) -> None:
    assert is_exact(EngineOptions().backend)
    assert audit(folder / "default")["search"] == {
        "backend": "exact",
        "exact": True,
        "recall": None,
        "sampled": None,
    }
    assert [exact_backend(name) for name in APPROXIMATE] == ["exact"] * len(APPROXIMATE)
    spelled = re.compile("|".join(name.replace("-", "[-_]") for name in APPROXIMATE))
    for package in ("indexes", "curation", "pipeline"):
        for path in (whole_runs.ROOT / package).rglob("*.py"):
            if path.parent.name != "backends":
                assert not spelled.search(path.read_text(encoding="utf-8")), path


def test_more_parts_than_samples_are_verified(folder: Path) -> None:
    assert run("verify", "--samples", "1", str(folder / "default")) == 0
