"""A committed file that is gone, damaged or out of order is named, and no report is written."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from report_sets import Folder, World, build_world

from indexes.errors import DataError
from pipeline import layout
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.report.making import build_report


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


def test_queries_out_of_order_are_refused(world: World, tmp_path: Path) -> None:
    table = read_parquet(world.out / layout.index("photo", "queries.parquet"))
    broken = table.take(list(range(len(table) - 1, -1, -1)))
    write_parquet(tmp_path / "queries.parquet", broken, broken.schema)
    photo = replace(world.request.benchmarks[0], queries=str(tmp_path / "queries.parquet"))
    with pytest.raises(DataError, match="in order"):
        build_report(replace(world.request, benchmarks=(photo,)), Folder(tmp_path))


@pytest.mark.parametrize(
    "relative",
    [
        layout.measure("similarity", "photo", 1),
        layout.measure("similarity", "sketch", 1),
        layout.measure("captions", "captions", 1),
        layout.samples("pool", 1),
        layout.index("photo", "queries.parquet"),
        layout.neighbours("photo"),
        layout.gap("pruned"),
        layout.lost("pool", 0),
        layout.set_aside("pool", "clip image", 3),
    ],
)
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_damage_is_named(tmp_path: Path, relative: str, damage: str) -> None:
    world = build_world(tmp_path, images=False)
    path = tmp_path / relative
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:-20])
    if damage == "flipped":
        footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        content[24:footer] = bytes(footer - 24)
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"'{path}'")):
        build_report(world.request, Folder(tmp_path))
