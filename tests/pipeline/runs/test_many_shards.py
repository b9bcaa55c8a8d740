"""What a run does for each shard does not grow with the number of shards."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from reader_sets import BUILDERS, samples
from small_sets import rows_of, unit, write_part, write_plan, write_sets

from pipeline import layout
from pipeline.cli import main
from pipeline.commit import Output, Record
from pipeline.files.parquet import write_parquet
from pipeline.passes.located import _repeated
from pipeline.passes.pictures import Pictured, fetcher
from pipeline.readers import _files, image_folder
from pipeline.report.request import WantedPicture
from pipeline.sets.repeats import REPEATS_SCHEMA
from pipeline.sets.uids import as_hex, from_pairs


def count(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: Counter[str]) -> None:
    real = getattr(module, name)

    def counted(*arguments: Any) -> Any:
        calls[name] += 1
        return real(*arguments)

    monkeypatch.setattr(module, name, counted)


def test_folders_are_listed_for_a_set_not_for_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    count(monkeypatch, _files, "listing", calls)
    found = []
    for parts in (3, 9):
        folder = tmp_path / f"{parts}"
        write_sets(folder)
        for number in range(3, parts):
            write_part(folder / "pool", number, unit(10 + number, 5), rows_of("n", 5 * number, 5))
        calls.clear()
        with pytest.raises(SystemExit) as stopped:
            main(["run", str(write_plan(folder))])
        assert not stopped.value.code
        found.append(calls["listing"])
    assert found[0] == found[1] > 0


def test_the_report_lists_a_set_once_and_one_without_images_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = BUILDERS["image-folder"](tmp_path, samples((4,)))
    calls: Counter[str] = Counter()
    count(monkeypatch, image_folder, "shards", calls)
    source = written.source.model_copy(update={"format": "image-folder"})
    fetch = fetcher({"pool": Pictured(source, ((0, 1),))})
    for sample in written.shards[0]:
        got = fetch({"pool": {sample.key: WantedPicture(0)}, "vectors only": {sample.key: WantedPicture(0)}})
        assert got == {("pool", sample.key): (tmp_path / sample.key).read_bytes()}
    assert calls["shards"] == 1


def test_repeated_rows_are_told_apart_by_part_in_one_look(tmp_path: Path) -> None:
    parts, each = 200_000, 3
    numbers = np.repeat(np.arange(parts, dtype=np.int32), each)
    rows = np.tile(np.array([5, 7, 40]), parts)
    uids = as_hex(from_pairs(np.stack([rows, rows], axis=1).astype(np.uint64)))
    table = pa.table([numbers, rows, uids], schema=REPEATS_SCHEMA)
    write_parquet(tmp_path / "duplicates.parquet", table, table.schema)
    listed = Output(layout.duplicates("pool"), 0, len(table), "")
    found = Record("catalog", "pool", "", (listed,), {"duplicates": len(table)})
    run: Any = SimpleNamespace(
        record=lambda *_: found,
        path=lambda _: tmp_path / "duplicates.parquet",
        check_sound=lambda _: None,  # there is no output folder
    )
    start = time.perf_counter()
    assert _repeated(run, "pool") == dict.fromkeys(range(parts), (5, 7, 40))
    assert time.perf_counter() - start < 5  # a look at every row for every part takes several times as long
