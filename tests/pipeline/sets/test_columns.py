from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import DataError
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets import columns, uids
from pipeline.sets.samples import LOST_SCHEMA

HEX = "0123456789abcdef0011223344556677"


def made(raw: dict[str, Any] | pa.Table, keys: tuple[str, ...] = columns.KEY_NAMES) -> pa.Table:
    table = raw if isinstance(raw, pa.Table) else pa.table(raw)
    return columns.samples(table, "shard-7", "file.parquet", keys)


def one(raw: dict[str, Any] | pa.Table) -> dict[str, Any]:
    (row,) = made(raw).to_pylist()
    return dict(row)


def not_utf8(*values: bytes) -> pa.Array:
    """Text as a careless producer writes it: Parquet itself never looks."""
    plain = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(values), plain.buffers())


@pytest.mark.parametrize("caption", ["caption", "TEXT", "Text", "txt"])
@pytest.mark.parametrize("url", ["url", "URL", "image_url"])
@pytest.mark.parametrize("key", ["key", "image_path", "__key__", "SAMPLE_ID"])
def test_names_of_all_producers(key: str, url: str, caption: str) -> None:
    table = made({caption: ["c"], key: ["k"], url: ["u"]})
    assert table.column_names == ["row", "key", "url", "caption", "label"]
    assert table.to_pylist() == [{"row": 0, "key": "k", "url": "u", "caption": "c", "label": None}]


def test_the_likelier_of_two_names_has_the_role_and_the_other_stays() -> None:
    row = one(
        {"TEXT": ["upper"], "text": ["lower"], "caption": ["caption"], "key": ["7"], "image_path": ["path"]}
    )
    assert (row["caption"], row["key"]) == ("caption", "7")
    # DuckDB folds case, so only one of the two may keep its name.
    assert (row["TEXT"], row["pool_text"], row["image_path"]) == ("upper", "lower", "path")


def test_a_column_that_says_the_same_again_is_dropped_and_one_that_differs_is_kept() -> None:
    keys = ("image_path", "key")
    same = made({"image_path": ["a", "b"], "key": ["a", "b"]}, keys)
    assert same.column_names == ["row", "key", "url", "caption", "label"]
    other = made({"image_path": ["a", "b"], "key": ["a", "c"]}, keys)
    assert (other["key"].to_pylist(), other["pool_key"].to_pylist()) == (["a", "b"], ["a", "c"])


def test_names_that_nearfar_or_duckdb_would_trip_over() -> None:
    names = ["row", "PART", "image_sha256", "", "Width", "width", "a\0b", "pool_row", "pool_row"]
    raw = pa.table([pa.array([number]) for number in range(len(names))], names=names)
    table = made(raw)
    own = dict(
        zip(table.column_names[5:], [column.to_pylist()[0] for column in table.columns[5:]], strict=True)
    )
    assert own == {
        "pool_row": 0,
        "pool_PART": 1,
        "pool_image_sha256": 2,
        "pool_": 3,
        "Width": 4,
        "pool_width": 5,
        "a\ufffdb": 6,
        "pool_pool_row": 7,
        "pool_pool_row_2": 8,
    }


def test_rows_without_a_key_are_called_by_their_shard_and_number() -> None:
    assert made({"caption": ["a", "b"]})["key"].to_pylist() == ["shard-7-0", "shard-7-1"]
    assert made({"key": pa.array([None, "k"])})["key"].to_pylist() == ["shard-7-0", "k"]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (pa.array(["x"], pa.large_string()), "x"),
        (pa.array(["x"], pa.string_view()), "x"),
        (pa.array([b"x\xff"], pa.binary()), "x\ufffd"),
        (pa.array(["x"]).dictionary_encode(), "x"),
        (pa.array([5], pa.int16()), "5"),
        (pa.nulls(1), None),
        (pa.array([None], pa.float64()), None),
        (pa.array([math.nan], pa.float64()), None),
        (not_utf8(b"a\xc3(b"), "a\ufffd(b"),
    ],
)
def test_text_of_many_types(column: pa.Array, text: str | None) -> None:
    table = made({"key": ["k"], "caption": column})
    assert table["caption"].type == pa.string()
    assert table["caption"].to_pylist() == [text]


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([1.5]), pa.array([True])])
def test_what_is_no_text_is_named(column: pa.Array) -> None:
    with pytest.raises(
        DataError, match=r"'file.parquet': column 'Text' should hold the caption .* it holds "
    ):
        made({"Text": column})


def test_numbers_with_a_role_stay_numbers_too() -> None:
    table = made({"SAMPLE_ID": [2**62], "label": [3]})
    assert one({"SAMPLE_ID": [2**62], "label": [3]}) == {
        "row": 0,
        "key": str(2**62),
        "url": None,
        "caption": None,
        "label": "3",
        "SAMPLE_ID": 2**62,
        "pool_label": 3,
    }
    assert table.schema.field("SAMPLE_ID").type == pa.int64()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([HEX]),
        pa.array([HEX.upper()], pa.large_string()),
        pa.array([bytes.fromhex(HEX)], pa.binary(16)),
        pa.array([bytes.fromhex(HEX)], pa.binary(16)).cast(pa.uuid()),
    ],
)
def test_the_pools_own_uid(column: pa.Array) -> None:
    assert one({"UID": column, "key": ["k"]}) == {
        "row": 0,
        "key": "k",
        "url": None,
        "caption": None,
        "label": None,
        "uid": HEX,
    }


def test_a_uid_of_another_kind_is_an_own_column() -> None:
    row = one({"uid": [17], "key": ["k"]})
    assert "uid" not in row
    assert row["pool_uid"] == 17


def test_a_uid_that_is_hex_only_here_and_there_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"'file.parquet': column 'uid' holds 2 of 3 .*row 1: 'x', row 2: null"
    ):
        made({"uid": [HEX, "x", None]})


def test_own_text_is_made_valid_and_own_structures_must_be() -> None:
    row = one(pa.table({"key": ["k"], "exif": not_utf8(b"\xff{}")}))
    assert row["exif"] == "\ufffd{}"
    nested = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), not_utf8(b"\xff"))
    with pytest.raises(DataError, match="column 'tags' is damaged"):
        made(pa.table({"key": ["k"], "tags": nested}))


@given(name=st.text(min_size=1, max_size=8), value=st.text(max_size=20))
def test_any_name_and_any_text_can_be_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str
) -> None:
    table = made({"key": ["k"], name: [value]} if name != "key" else {"key": [value]})
    path = tmp_path_factory.mktemp("any") / "part.parquet"
    write_parquet(path, table, table.schema)
    assert read_parquet(path).equals(table)
    assert value in [column.to_pylist()[0] for column in table.columns] or name == "uid"


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert columns.plain_text("a\ud800b\udfff\U0001f600") == "a\ufffdb\ufffd\U0001f600"


def test_lost_rows_have_a_uid_where_there_is_something_to_tell_them_by() -> None:
    rows = pa.table(
        {
            "key": pa.array(["k", None, None, None]),
            "url": pa.array([None, "u", None, ""]),
            "caption": pa.array([None, "c", "c", "c"]),
        }
    )
    lost = columns.lost(rows, ["failed"] * 4, ["why"] * 4)
    assert lost.schema.equals(LOST_SCHEMA)
    expected = uids.as_hex(uids.derive(rows["url"], rows["caption"], rows["key"])).to_pylist()
    assert lost["uid"].to_pylist() == [*expected[:2], None, None]
    own = rows.append_column("uid", pa.array([HEX, None, HEX, None]))
    assert columns.lost(own, ["failed"] * 4, ["why"] * 4)["uid"].to_pylist() == [HEX, None, HEX, None]
    assert columns.lost(rows.slice(0, 0), [], []).equals(columns.no_loss())
