"""Pools that are out to break SQL, file names or text: nothing runs, nothing is lost, nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scored_pools import Pool, Sample

from indexes.errors import DataError, PlanError
from pipeline.files.parquet import read_parquet

CANARY = "x\"; DROP TABLE member; COPY (SELECT 1) TO 'canary.csv'; --"
NAMES = [
    "with space",
    'a"quote',
    "it's",
    CANARY,
    "ünï",
    "select",
    "(pool)",
    "measured",
    "uid.key",
    "*",
    "photo.margin",
]


def samples(count: int = 3, **fields: Any) -> list[Sample]:
    return [Sample(n, (0.1 * n,) * 3, n, **fields) for n in range(count)]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_column_names_are_only_names(tmp_path: Path, name: str) -> None:
    pool = Pool(tmp_path, [samples()], own={name: lambda s: s.width})
    written = name.replace('"', '""')
    found = pool.cut([("where", f'"{written}" >= 1'), ("near", {"keep": 1})])
    assert found.uids == [1]
    assert found.kept[name].to_pylist() == [1]
    assert not list(tmp_path.rglob("canary.csv"))


@pytest.mark.parametrize("folder", ["it's", "a*b", "[ab]", 'q"x', "k=v", "a b?"])
def test_odd_output_folders(tmp_path: Path, folder: str) -> None:
    Pool(tmp_path / "ab", [samples(5)])  # would match as a pattern
    pool = Pool(tmp_path / folder, [samples()])
    assert pool.cut([("far", {"keep": 2})]).uids == [1, 2]


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(captions=st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=8), key=TEXT)
@example(captions=["a"], key="new\nline")
@example(captions=["a"], key="re\rturn")
@example(captions=["a"], key="back\\slash and \\n")
def test_captions_come_out_byte_for_byte(tmp_path: Path, captions: list[str | None], key: str) -> None:
    pool = Pool(
        tmp_path, [[Sample(n, (0.0,) * 3, 0, caption, f"{key}{n}") for n, caption in enumerate(captions)]]
    )
    found = pool.cut([])
    assert found.kept["caption"].to_pylist() == captions
    assert found.kept["key"].to_pylist() == [f"{key}{n}" for n in range(len(captions))]
    assert b"\r" not in found.files["keys.txt"], "readers of lines take it for an end"
    lines = found.files["keys.txt"].decode().split("\n")
    assert len(lines) == len(captions) + 1
    unescaped = [
        line.replace("\\\\", "\0\0").replace("\\n", "\n").replace("\\r", "\r") for line in lines[:-1]
    ]
    if "\0" not in key:
        assert [line.replace("\0\0", "\\") for line in unescaped] == found.kept["key"].to_pylist()


@pytest.mark.parametrize(
    "caption", ["nul \0 inside", "\u202ertl", "<script>alert(1)</script>", "x" * 1_000_000, "\\n\n"]
)
def test_hostile_captions(tmp_path: Path, caption: str) -> None:
    found = Pool(tmp_path, [samples(caption=caption)]).cut([("where", "length(caption) > 0")])
    assert found.kept["caption"].to_pylist() == [caption] * 3


def test_a_column_that_is_called_like_a_benchmark_is_renamed(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples()], own={"Photo": lambda s: s.width})
    found = pool.cut([("where", '"pool_Photo" >= 1 AND photo.similarity < 0.15')])
    assert found.kept.column_names == ["uid", "key", "url", "caption", "label", "pool_Photo", "photo"]
    assert found.uids == [1]


def test_columns_that_differ_by_case_alone_are_refused(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples()], own={"Width": lambda s: 1, "width": lambda s: 2})
    with pytest.raises(DataError, match="the columns 'Width' and 'width', which SQL cannot tell apart"):
        pool.cut([])


def test_a_benchmark_that_is_called_like_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="a benchmark or measure cannot be called key"):
        Pool(tmp_path, [samples()], names=("key",)).cut([])


def rewrite(pool: Pool, part: int, **columns: pa.Array) -> None:
    path = str(pool.files[part].samples)
    table = read_parquet(path).drop_columns(["width"])
    for name, column in columns.items():
        table = table.append_column(name, column)
    pool.write(str(Path(path).relative_to(pool.out)), table)


def test_parts_may_have_other_columns_in_another_order(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples()[:1], samples()[1:2], samples()[2:]])
    rewrite(pool, 0, width=pa.array([7], pa.int32()), note=pa.array(["x"]))
    rewrite(pool, 1, note=pa.nulls(1), width=pa.array([2.5]))
    rewrite(pool, 2, extra=pa.array(["y"]).dictionary_encode())
    found = pool.cut([])
    assert found.kept.column_names == ["uid", "key", "url", "caption", "label", "extra", "note", "width"]
    assert found.kept["width"].to_pylist() == [7.0, 2.5, None]
    assert found.kept["note"].to_pylist() == ["x", None, None]
    assert found.kept["extra"].to_pylist() == [None, None, "y"]
    assert pool.cut([], parts=pool.files[::-1]).files == found.files


def test_text_beside_numbers_is_text_in_all_parts(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples()[:1], samples()[1:]])
    rewrite(pool, 0, width=pa.array(["seven"]))
    rewrite(pool, 1, width=pa.array([1, 2]))
    found = pool.cut([])
    assert found.kept["width"].type == pa.string()
    assert found.kept["width"].to_pylist() == ["seven", "1", "2"]
    assert pool.cut([], parts=pool.files[::-1]).files == found.files


def test_integers_beside_doubles_lose_no_digit(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples()[:2], samples()[2:]])
    rewrite(pool, 0, hash=pa.array([2**62 + 1, 2**62 + 2]))
    rewrite(pool, 1, hash=pa.array([3.0]))
    assert pool.cut([]).kept["hash"].to_pylist() == [2**62 + 1, 2**62 + 2, 3]
    assert len(pool.cut([("where", f"hash = {2**62 + 1}")]).uids) == 1


@pytest.mark.parametrize("predicate", ["caption::DOUBLE > 1", "CAST(caption AS BIGINT) > 1"])
def test_a_predicate_that_fails_on_the_rows_is_answered(tmp_path: Path, predicate: str) -> None:
    pool = Pool(tmp_path, [samples(caption="no number")])
    with pytest.raises(PlanError, match=r"a where of splits.core cannot be evaluated .*TRY_CAST"):
        pool.cut([("where", predicate)])
    assert pool.cut([("where", "TRY_CAST(caption AS DOUBLE) > 1")]).uids == []


def test_types_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [samples(caption="no number")])
    where = r"splits.core\[0\].where: .* does not fit the pool's columns: .*Compare values of one type"
    with pytest.raises(PlanError, match=where):
        pool.cut([("where", "caption > 5")], parts=pool.without_measures())
