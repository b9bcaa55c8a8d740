"""Columns of several types: the type that holds them all, and no value changed on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.common_type import common_type, converted
from pipeline.sets.unify import Assembly, retyped, unify, values_of

TEXT = pa.string()
BIG = 2**62 + 1
LATE = pa.array([10**12], pa.timestamp("s"))


def common(*arrays: pa.Array) -> Any:
    return common_type([array.type for array in arrays], lambda: arrays)


def nothing() -> Iterable[pa.Array]:
    raise AssertionError("types alone decide here")


DECIDED = {
    "signed widths": ([pa.int8(), pa.int64()], pa.int64()),
    "unsigned widths": ([pa.uint8(), pa.uint32()], pa.uint32()),
    "uint32 beside int8": ([pa.uint32(), pa.int8()], pa.int64()),
    "uint64 beside int64": ([pa.uint64(), pa.int64()], pa.decimal128(20, 0)),
    "int32 beside float32": ([pa.int32(), pa.float32()], pa.float64()),
    "int16 beside float32": ([pa.int16(), pa.float32()], pa.float32()),
    "floats": ([pa.float16(), pa.float64(), pa.float32()], pa.float64()),
    "decimals": ([pa.decimal128(5, 2), pa.decimal128(9, 4)], pa.decimal128(9, 4)),
    "decimal beside int64": ([pa.decimal128(5, 2), pa.int64()], pa.decimal128(22, 2)),
    "decimals that no decimal holds": ([pa.decimal128(38, 0), pa.decimal128(38, 9)], TEXT),
    "decimal beside float": ([pa.decimal128(5, 2), pa.float64()], TEXT),
    "null beside int": ([pa.null(), pa.int16()], pa.int16()),
    "nulls": ([pa.null()], pa.null()),
    "dictionary beside text": ([pa.dictionary(pa.int32(), TEXT), TEXT], TEXT),
    "large text beside text": ([pa.large_string(), TEXT, pa.string_view()], TEXT),
    "bytes beside text": ([pa.binary(), TEXT], pa.binary()),
    "text beside number": ([TEXT, pa.float64()], TEXT),
    "truth beside number": ([pa.bool_(), pa.int64()], TEXT),
    "text beside list": ([TEXT, pa.list_(pa.int8())], TEXT),
    "a zone beside none": ([pa.timestamp("us"), pa.timestamp("us", "UTC")], TEXT),
}


@pytest.mark.parametrize("case", DECIDED)
def test_types_alone_decide(case: str) -> None:
    kinds, wanted = DECIDED[case]
    for order in itertools.permutations(kinds):
        assert common_type(order, nothing) == wanted


BY_VALUE = {
    "big integers beside whole doubles": ([pa.array([BIG]), pa.array([1.0, None])], pa.int64()),
    "small integers beside fractions": ([pa.array([1, 2]), pa.array([0.5])], pa.float64()),
    "big integers beside fractions": ([pa.array([BIG]), pa.array([0.5])], TEXT),
    "big integers beside NaN": ([pa.array([BIG]), pa.array([float("nan")])], TEXT),
    "near times": ([pa.array([1], pa.timestamp("s")), pa.array([1], pa.timestamp("ns"))], pa.timestamp("ns")),
    "late times": ([LATE, pa.array([1000], pa.timestamp("ns"))], pa.timestamp("us")),
    "late and fine times": ([LATE, pa.array([1], pa.timestamp("ns"))], TEXT),
    "days beside times": (
        [pa.array([1], pa.date32()), pa.array([1], pa.timestamp("us"))],
        pa.timestamp("us"),
    ),
    "lists": ([pa.array([[1]]), pa.array([[0.5]])], pa.list_(pa.float64())),
    "lists of big integers": ([pa.array([[BIG]]), pa.array([[0.5]])], TEXT),
}


@pytest.mark.parametrize("case", BY_VALUE)
def test_values_decide_where_types_do_not(case: str) -> None:
    arrays, wanted = BY_VALUE[case]
    for order in itertools.permutations(arrays):
        assert common(*order) == wanted


def test_numbers_and_times_are_written_as_text_in_one_way() -> None:
    def written(array: pa.Array) -> Any:
        return converted(array, TEXT).to_pylist()

    assert written(pa.array([5, None])) == ["5", None]
    assert written(pa.array([5.0, 2.0**53, 0.1, None])) == ["5", str(2**53), "0.1", None]
    assert written(pa.array([Decimal("5.00"), Decimal("0.10")])) == ["5", "0.1"]
    assert written(pa.array([100, 0], pa.decimal128(5, 0))) == ["100", "0"]
    for unit in ("s", "ms", "us", "ns"):
        moments = pa.array([datetime(2020, 1, 1, 10)], pa.timestamp(unit))
        assert written(moments) == ["2020-01-01 10:00:00"]
        aware = pa.array([datetime(2020, 1, 1, 10, tzinfo=UTC)], pa.timestamp(unit, "UTC"))
        assert written(aware) == ["2020-01-01 10:00:00Z"]
    assert written(pa.array([date(2020, 1, 1)])) == ["2020-01-01"]
    assert written(pa.array([[1, 2], None])) == ["[1, 2]", None]
    assert written(pa.array([{"a": "é"}])) == ['{"a": "é"}']
    assert written(pa.array([b"\xff"])) == ["ff"]


NUMBERS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda v: pa.array(v, pa.int64())),
    st.lists(st.integers(0, 2**64 - 1)).map(lambda v: pa.array(v, pa.uint64())),
    st.lists(st.integers(-100, 100)).map(lambda v: pa.array(v, pa.int8())),
    st.lists(st.floats(allow_nan=False)).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.floats(width=32, allow_nan=False)).map(lambda v: pa.array(v, pa.float32())),
    st.lists(st.decimals(-999, 999, places=2)).map(lambda v: pa.array(v, pa.decimal128(5, 2))),
)


@example([pa.array([], pa.int64()), pa.array([], pa.uint64()), pa.array([0.5])])
@example([pa.array([], pa.int64()), pa.array([], pa.uint64()), pa.array([2.0**63, 2.0**60 + 256])])
@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_no_number_changes(arrays: list[pa.Array]) -> None:
    kind = common(*arrays)
    assert common(*reversed(arrays)) == kind
    for array in arrays:
        found = converted(array, kind).to_pylist()
        exact = [Decimal(value) for value in array.to_pylist()]
        if kind != TEXT:
            assert [Decimal(value) for value in found] == exact
        elif pa.types.is_floating(array.type):
            assert [float(value) for value in found] == array.to_pylist()
        else:
            assert [Decimal(value) for value in found] == exact


def test_an_assembly_keeps_every_value_and_says_what_it_did(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    rows = Assembly(tmp_path / "scratch")
    rows.add(
        pa.table({"uid": ["a"], "hash": [BIG], "mark": ["0.1"], "kind": pa.array(["x"]).dictionary_encode()})
    )
    rows.add(pa.table({"uid": ["b"], "hash": [2.0], "mark": [0.5], "kind": pa.array([None], pa.int32())}))
    assert rows.write(tmp_path / "all.parquet") == 2
    found = read_parquet(tmp_path / "all.parquet")
    assert found.to_pylist() == [
        {"uid": "a", "hash": BIG, "mark": "0.1", "kind": "x"},
        {"uid": "b", "hash": 2, "mark": "0.5", "kind": None},
    ]
    assert rows.notes == [
        "column 'hash' is double in some files and int64 in others; it is int64 in all, so that no value changes",
        "column 'mark' is double in some files and string in others; it is text in all, so that no value changes",
        "column 'kind' is int32 in some files and string in others; it is text in all, so that no value changes",
    ]


def test_columns_that_some_files_lack(tmp_path: Path) -> None:
    paths = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    tables = [pa.table({"b": [BIG], "uid": ["u"]}), pa.table({"a": ["x"], "uid": ["v"]})]
    for path, table in zip(paths, tables, strict=True):
        write_parquet(path, table, table.schema)
    schemas = [table.schema for table in tables]
    whole = unify(schemas, values_of(paths))
    assert whole == pa.schema([("uid", TEXT), ("a", TEXT), ("b", pa.int64())])
    assert retyped(schemas, whole) == []
    assert [array.to_pylist() for array in values_of(paths)("b")] == [[BIG]]
