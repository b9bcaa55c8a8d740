"""What the report makes of the output folder's files: side by side, one per benchmark, some with nothing in them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from report_sets import BENCHMARKS, SIZES, Folder, World, build_world

import pipeline.report
from indexes.errors import DataError
from pipeline import layout
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.report.answers import read_split_answers
from pipeline.report.making import build_report
from pipeline.report.request import ReportRequest, SetFiles
from pipeline.report.scan import ALL, Scan

SCHEMA = json.loads(Path(pipeline.report.__file__).with_name("audit.schema.json").read_text())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build_world(tmp_path / "run", images=False)


def report(request: ReportRequest, into: Path) -> tuple[dict[str, Any], str]:
    folder = Folder(into)
    build_report(request, folder)
    content = json.loads(folder.file("report/audit.json").read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(content)
    return content, folder.file("report/report.html").read_text(encoding="utf-8")


def rewrite(path: Path, table: pa.Table) -> None:
    path.unlink()
    write_parquet(path, table, table.schema)


def scanned(world: World) -> dict[str, Any]:
    parts = zip(*(one.similarity for one in world.request.benchmarks), strict=True)
    return dict(
        Scan(BENCHMARKS, (0.5,), None, 5).run([[world.out / path for path in part] for part in parts])
    )


def test_a_row_without_a_similarity_counts_nowhere(world: World) -> None:
    before = scanned(world)
    path = world.out / layout.measure("similarity", "photo", 1)
    table = read_parquet(path)
    hole = pc.equal(table["uid"], world.sets["pool"].uids[105])
    columns = [table["uid"]]
    columns += [pc.if_else(hole, pa.scalar(None, table[n].type), table[n]) for n in table.column_names[1:]]
    rewrite(path, pa.table(columns, names=table.column_names))
    after = scanned(world)
    lost = world.similarity["photo"][105].max()
    margin = (world.similarity["photo"][105] - world.threshold["photo"]).max()
    assert after["photo"].samples == before["photo"].samples - 1 == SIZES["pool"] - 1
    assert after["photo"].similarity.sum() == after["photo"].margin.sum() == SIZES["pool"] - 1
    assert after["photo"].above[0.5] == before["photo"].above[0.5] - (lost > 0.5)
    assert after["photo"].over == before["photo"].over - (margin > 0)
    assert after["sketch"].samples == SIZES["pool"]
    assert after["sketch"].similarity.tolist() == before["sketch"].similarity.tolist()
    assert after[ALL].samples == after[ALL].similarity.sum() == SIZES["pool"] - 1


@pytest.mark.parametrize("change", ["other part", "one row less", "other uid"])
def test_files_of_a_part_that_list_other_rows_are_refused(world: World, tmp_path: Path, change: str) -> None:
    path = world.out / layout.measure("similarity", "sketch", 1)
    table = read_parquet(path)
    if change == "other part":
        table = read_parquet(world.out / layout.measure("similarity", "sketch", 0))
    elif change == "one row less":
        table = table.slice(0, len(table) - 1)
    else:
        uids = ["f" * 32, *table["uid"].to_pylist()[1:]]
        table = table.set_column(0, "uid", pa.array(uids))
    rewrite(path, table)
    with pytest.raises(DataError, match="do not list the same samples") as error:
        report(world.request, tmp_path)
    assert layout.measure("similarity", "photo", 1) in str(error.value)
    assert layout.measure("similarity", "sketch", 1) in str(error.value)


def test_uids_are_read_only_where_a_sample_is_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are most of the bytes of a file."""
    from pipeline.report.committed import Committed

    asked: list[list[str]] = []
    read = Committed.read

    def noted(self: Committed, group: int, columns: Any) -> pa.Table:
        asked.append(list(columns))
        return read(self, group, columns)

    monkeypatch.setattr(Committed, "read", noted)
    parts = [[world.out / path for path in world.request.benchmarks[0].similarity]]
    Scan(BENCHMARKS[:1], (), None, 0).run([[path] for path in parts[0]])
    assert asked == [["similarity", "margin", "margin_query"]] * 4
    asked.clear()
    # The last part's only row has no similarity, so it cannot be remembered.
    Scan(BENCHMARKS[:1], (), None, 3).run([[path] for path in parts[0]])
    assert asked.count(["uid"]) <= 3


@pytest.mark.parametrize("rows", [131_072, 50])
def test_a_split_is_read_for_all_benchmarks_at_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("pipeline.files.parquet.ROW_GROUP", rows)
    path = world.out / layout.gap("pruned")
    rewrite(path, read_parquet(path))
    found = read_split_answers(path, {b: SIZES[b] for b in BENCHMARKS} | {"absent": 3}, 0.9)
    for benchmark in BENCHMARKS:
        similarity = world.similarity[benchmark][world.kept["pruned"]]
        assert found[benchmark].nearest.tolist() == similarity.max(axis=0).tolist()
    assert np.isnan(found["absent"].nearest).all()
    assert found["absent"].medians == ()


def test_a_split_that_lists_a_benchmark_in_two_places_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_parquet(world.out / layout.gap("pruned"))
    monkeypatch.setattr("pipeline.files.parquet.ROW_GROUP", 50)
    write_parquet(tmp_path / "torn.parquet", pa.concat_tables([table, table.slice(0, 1)]), table.schema)
    with pytest.raises(DataError, match="'photo' in two places"):
        read_split_answers(tmp_path / "torn.parquet", {b: SIZES[b] for b in BENCHMARKS}, 0.9)


def test_a_row_that_two_encoders_set_aside_counts_once(world: World, tmp_path: Path) -> None:
    [[first]] = world.request.pool.quarantined
    table = read_parquet(world.out / first)
    more = pa.table({"uid": ["1" * 32], "key": ["x4"], "row": [7], "reason": ["zero"]}).cast(table.schema)
    second = layout.set_aside("pool", "b32 image", 3)
    path = world.out / second
    path.parent.mkdir(parents=True)
    both = pa.concat_tables([table.set_column(3, "reason", pa.array(["zero"])), more])
    write_parquet(path, both, table.schema)
    pool = replace(world.request.pool, quarantined=((first, second),))
    content, _ = report(replace(world.request, pool=pool), tmp_path)
    assert content["rows"]["pool"]["quarantined"] == {"damaged image": 2, "nan": 1, "zero": 1}


def test_further_sources_are_accounted_for(world: World, tmp_path: Path) -> None:
    source = SetFiles("cc12m", "cc", world.request.pool.samples[:1], world.request.pool.lost)
    content, page = report(replace(world.request, sources=(source,)), tmp_path)
    rows = content["rows"]["source cc12m"]
    assert (rows["dataset"], rows["measured"], rows["listed"]) == ("cc", 100, 106)
    assert "source cc12m" in page


def test_a_plan_without_benchmarks_has_no_similarity_to_show(world: World, tmp_path: Path) -> None:
    splits = tuple(replace(split, neighbours=None) for split in world.request.splits)
    request = replace(world.request, benchmarks=(), splits=splits)
    content, page = report(request, tmp_path)
    assert content["benchmarks"] == {}
    assert content["pool"]["measured"] == 0
    assert content["rows"]["pool"]["measured"] == SIZES["pool"]
    assert content["splits"].keys() == {"pruned", "rand_pruned", "nothing"}
    assert content["measures"].keys() == {"captions", "mixed"}
    for words in ('id="splits"', 'id="measures"', 'id="provenance"', "names no benchmark"):
        assert words in page
    for words in (
        'id="verdict"',
        'id="leakage"',
        'id="thresholds"',
        "No near pair",
        "Neighbours are",
        "<svg class",
    ):
        assert words not in page.replace('<svg class="bar', "")


def test_without_benchmarks_no_row_of_the_pool_is_looked_at(world: World, tmp_path: Path) -> None:
    """Footers are enough: a caption-only plan over a large pool has its report at once."""
    path = world.out / layout.samples("pool", 1)
    content = bytearray(path.read_bytes())
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    content[24:footer] = bytes(footer - 24)
    path.write_bytes(content)
    with pytest.raises(DataError):
        report(world.request, tmp_path / "with")
    report(replace(world.request, benchmarks=(), splits=(), measures=()), tmp_path / "without")


def test_an_audit_does_not_say_that_anything_was_pruned(world: World, tmp_path: Path) -> None:
    content, page = report(replace(world.request, splits=(), measures=()), tmp_path / "audit")
    assert content["splits"] == content["measures"] == {}
    assert not re.search("prun|kept|keeps", page[page.index("<body>") :], re.IGNORECASE)
    assert 'id="measures"' not in page
    assert "pruned, but barely" in report(world.request, tmp_path / "run again")[1]


def test_without_a_reference_no_card_speaks_of_a_threshold_or_a_margin(tmp_path: Path) -> None:
    """A query's threshold is that of its nearest reference image: where there is none, cards name the soft level."""
    _, page = report(build_world(tmp_path / "run", images=False, reference=False).request, tmp_path / "out")
    gauges = re.findall(r'<span class="gauge">(.*?)</span>', page, re.DOTALL)
    assert gauges
    assert all(re.match(r"soft level 0\.\d+ · from it\s+<b", gauge) for gauge in gauges), gauges[0]
    assert re.search("Just (above|below) the soft level", page)
    assert "pruned, but barely" not in page
    _, page = report(build_world(tmp_path / "run2", images=False).request, tmp_path / "out2")
    assert re.search(r'<span class="gauge">threshold [0-9.]+ · margin\s+<b', page)
    assert re.search("Just (above|below) the threshold", page)
