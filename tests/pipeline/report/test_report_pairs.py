"""The lists of all near pairs against brute force in float64, and what a spreadsheet makes of them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from report_sets import BENCHMARKS, COPIED, IDENTICAL, NEIGHBOURS, Folder, World, build_world

from pipeline import layout
from pipeline.files.parquet import write_parquet
from pipeline.report.making import build_report
from pipeline.report.near_pairs import pair_rows
from pipeline.report.near_pairs.pair_files import SCHEMA
from pipeline.report.request import ReportOptions, ReportRequest, Search

NAMES = ("pairs.parquet", "pairs.csv")
DENSE = ReportOptions(hard=0.99, soft=0.6)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


def listed(request: ReportRequest, to: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of `pairs.parquet`, and what `audit.json` says of it."""
    build_report(request, Folder(to))
    said = json.loads((to / "report" / "audit.json").read_text())["pair_list"]
    return pq.read_table(to / "report" / "pairs.parquet").to_pylist(), said


def expected(world: World, soft: float) -> list[tuple[Any, ...]]:
    """Pairs above the level that either side lists, by query, nearest first; the rank where the query lists it."""
    rows = []
    pool = world.sets["pool"]
    for benchmark in BENCHMARKS:
        similarity = world.similarity[benchmark]
        for query in range(similarity.shape[1]):
            order = sorted(range(len(similarity)), key=lambda i: (-similarity[i, query], pool.uids[i]))
            for rank, row in enumerate(order, 1):
                mine = similarity[row].argmax() == query
                if similarity[row, query] > soft and (rank <= NEIGHBOURS or mine):
                    rows.append(
                        (
                            benchmark,
                            query,
                            world.sets[benchmark].keys[query],
                            rank if rank <= NEIGHBOURS else None,
                            pool.uids[row],
                            pool.keys[row],
                            similarity[row, query],
                            world.threshold[benchmark][query],
                            similarity[row, query] - world.threshold[benchmark][query],
                        )
                    )
    return rows


@pytest.mark.parametrize("soft", [0.95, 0.6])
def test_all_pairs_that_either_side_lists(world: World, tmp_path: Path, soft: float) -> None:
    options = ReportOptions(soft=soft, pairs=1)
    rows, said = listed(replace(world.request, options=options), tmp_path)
    truth = expected(world, soft)
    assert [tuple(row.values()) for row in rows] == truth
    assert {(r["benchmark"], r["query"]) for r in rows} >= {(b, q) for _, b, q in IDENTICAL | COPIED}
    above = {name: world.similarity[name] > soft for name in BENCHMARKS}
    for name in BENCHMARKS:
        own = [row for row in truth if row[0] == name]
        beyond, cut = sum(row[3] is None for row in own), int((above[name].sum(axis=0) > NEIGHBOURS).sum())
        assert said["benchmarks"][name] == {
            "pairs": len(own),
            "beyond_neighbours": beyond,
            "queries_cut": cut,
        }
        samples = {row[4] for row in own}
        assert samples == {
            u for u, near in zip(world.sets["pool"].uids, above[name].any(axis=1), strict=True) if near
        }
    whole = sum(int(found.sum()) for found in above.values())
    assert said["complete"] == (len(truth) == whole) == (soft == 0.95)
    assert (said["above"], said["neighbours"]) == (soft, NEIGHBOURS)
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"that the run knows of, {len(truth):,}, are in pairs.csv" in page
    assert ("have more than these above it" in page) == (soft == 0.6)
    assert said["files"] == [f"report/{name}" for name in NAMES]


def test_an_approximate_search_is_never_called_complete(world: World, tmp_path: Path) -> None:
    request = replace(world.request, search=Search("faiss_ivf", False, 0.9, 10, 10, 0.1, 0))
    assert listed(request, tmp_path)[1]["complete"] is False


def test_bytes_depend_on_pairs_alone(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(world.request, options=DENSE)
    build_report(plain, Folder(tmp_path / "plain"))
    turned = replace(
        plain,
        threads=1,
        pool=replace(plain.pool, samples=plain.pool.samples[::-1]),
        benchmarks=tuple(replace(each, similarity=each.similarity[::-1]) for each in plain.benchmarks),
    )
    monkeypatch.setattr(pair_rows, "ROWS", 7)
    build_report(turned, Folder(tmp_path / "turned"))
    for name in NAMES:
        one, other = (tmp_path / folder / "report" / name for folder in ("plain", "turned"))
        assert one.read_bytes() == other.read_bytes()


def test_without_a_reference_there_is_no_margin(tmp_path: Path) -> None:
    bare = build_world(tmp_path / "run", images=False, reference=False)
    rows, _ = listed(bare.request, tmp_path)
    assert rows
    assert {(row["threshold"], row["margin"]) for row in rows} == {(None, None)}
    assert pq.read_schema(tmp_path / "report" / "pairs.parquet") == SCHEMA


def test_a_row_that_repeats_a_uid_is_listed_once(world: World, tmp_path: Path) -> None:
    """A later row of the same uid takes no part, and its key is not the sample's."""
    out = world.out
    first = pq.read_table(out / world.request.pool.samples[0])
    twice = pa.concat_tables(
        [
            first,
            first.set_column(first.schema.get_field_index("key"), "key", pa.array(["again"] * len(first))),
        ]
    )
    row = twice.schema.get_field_index("row")
    twice = twice.set_column(row, twice.schema.field("row"), pa.array(range(len(twice)), pa.int64()))
    repeats = twice.slice(len(first)).select(["part", "row", "uid"])
    for path, table in {"twice/samples.parquet": twice, "twice/repeats.parquet": repeats}.items():
        (out / "twice").mkdir(exist_ok=True)
        write_parquet(out / path, table, table.schema)
    pool = replace(
        world.request.pool,
        samples=("twice/samples.parquet", *world.request.pool.samples[1:]),
        duplicates="twice/repeats.parquet",
    )
    rows, _ = listed(replace(world.request, options=DENSE, pool=pool), tmp_path)
    assert [tuple(row.values()) for row in rows] == expected(world, DENSE.soft)


def test_cells_that_a_spreadsheet_would_run_are_text(tmp_path: Path) -> None:
    keys = [
        '=HYPERLINK("http://x.test")',
        "+1",
        "-1",
        "@sum",
        "\tcell",
        "\rline",
        "a=b",
        "'='",
        'a "b", c',
        "é\n2",
    ]
    world = build_world(tmp_path / "run", images=False)
    path = world.out / world.request.benchmarks[0].neighbours
    table = pq.read_table(path)
    chosen = [keys[query % len(keys)] for query in table.column("query").to_pylist()]
    table = table.set_column(4, "key", pa.array(chosen)).filter(pc.equal(table.column("rank"), 1))
    path.unlink()
    write_parquet(path, table, table.schema)
    rows, _ = listed(replace(world.request, options=ReportOptions(soft=-1.0)), tmp_path)
    rows = [row for row in rows if row["benchmark"] == BENCHMARKS[0]]
    with (tmp_path / layout.report("pairs.csv")).open(newline="", encoding="utf-8") as file:
        cells = [row for row in csv.DictReader(file) if row["benchmark"] == BENCHMARKS[0]]
    assert len(rows) == len(cells) == 50
    assert {row["key"] for row in rows} == set(keys)
    for row, cell in zip(rows, cells, strict=True):
        for name, value in row.items():
            if not isinstance(value, str):
                assert float(cell[name]) == value
            elif re.match(r"[=+\-@\t\r]", value):
                assert cell[name] == f"'{value}"
            else:
                assert cell[name] == value
    assert np.mean([row["margin"] < 0 for row in rows]) > 0, "a number below zero stays a number"
