from __future__ import annotations

import hashlib
import uuid

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import DataError
from pipeline.sets import uids

HEX = ["00000000000000000000000000000000", "0123456789abcdef0011223344556677", "f" * 32]


@given(st.lists(st.integers(0, 2**128 - 1), max_size=20))
def test_hex_pairs_and_uuids_are_the_same_numbers(numbers: list[int]) -> None:
    text = [f"{number:032x}" for number in numbers]
    ids = uids.from_hex(pa.array(text, pa.string()))
    assert ids.type == pa.uuid()
    assert [value.as_py() for value in ids] == [uuid.UUID(int=number) for number in numbers]
    pairs = uids.as_pairs(ids)
    assert pairs.dtype == np.uint64
    assert [(int(high) << 64) + int(low) for high, low in pairs] == numbers
    assert uids.as_hex(ids).to_pylist() == text
    assert uids.as_pairs(pa.array(text, pa.string())).tolist() == pairs.tolist()
    assert uids.as_pairs(pa.chunked_array([pa.array(text, pa.string())])).tolist() == pairs.tolist()
    assert uids.from_pairs(pairs).equals(ids)


def test_order_is_the_same_in_all_three_forms() -> None:
    text = sorted(hashlib.md5(str(number).encode()).hexdigest() for number in range(200))
    pairs = uids.as_pairs(uids.from_hex(pa.array(text)))
    assert np.lexsort((pairs[:, 1], pairs[:, 0])).tolist() == list(range(200))


def test_upper_case_slices_and_chunks() -> None:
    text = pa.array([HEX[2].upper(), *HEX, HEX[1].upper()])
    assert uids.as_hex(uids.from_hex(text.slice(1))).to_pylist() == [*HEX, HEX[1]]
    chunked = pa.chunked_array([text.slice(0, 2), text.slice(2)])
    assert uids.as_hex(uids.from_hex(chunked)).to_pylist() == [HEX[2], *HEX, HEX[1]]
    ids = uids.from_hex(text)
    assert uids.as_pairs(ids.slice(3)).tolist() == uids.as_pairs(ids).tolist()[3:]
    assert uids.as_hex(ids.slice(2, 1)).to_pylist() == [HEX[1]]


def test_nulls_stay_null_as_hex() -> None:
    some = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"\0" * 16, None], pa.binary(16)))
    assert uids.as_hex(some).to_pylist() == [HEX[0], None]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([HEX[0], "abc"], "row 1: 'abc'"),
        ([HEX[0], None], "row 1: null"),
        (["g" * 32, HEX[0]], "row 0: 'ggg"),
        (["é" * 16, HEX[0]], "row 0: '\\\\xe9"),
        ([str(uuid.UUID(int=5))], "row 0: '00000000-0000"),
    ],
)
def test_what_is_not_hex_is_named(values: list[str | None], named: str) -> None:
    with pytest.raises(DataError, match="not 128-bit hex") as caught:
        uids.from_hex(pa.array(values, pa.string()))
    assert named.replace("\\\\", "\\") in str(caught.value)


def test_derived_from_url_and_caption_else_from_the_key() -> None:
    url = pa.array(["http://a", "http://a", None, ""])
    caption = pa.array(["b", None, "b", "b"])
    key = pa.array(["k0", "k1", "k2", "k3"])
    expected = [hashlib.md5(text).hexdigest() for text in (b"http://a\nb", b"http://a\n", b"k2", b"k3")]
    assert uids.as_hex(uids.derive(url, caption, key)).to_pylist() == expected


@given(st.lists(st.tuples(st.text(), st.text()), max_size=10))
def test_derive_takes_any_text(pairs: list[tuple[str, str]]) -> None:
    url, caption = (pa.array([pair[column] for pair in pairs], pa.string()) for column in (0, 1))
    key = pa.array(["key"] * len(pairs), pa.string())
    expected = [hashlib.md5((f"{u}\n{c}" if u else "key").encode()).hexdigest() for u, c in pairs]
    assert uids.as_hex(uids.derive(url, caption, key)).to_pylist() == expected


def test_derive_over_more_than_one_slice() -> None:
    count = (1 << 16) + 3
    key = pa.array([str(number) for number in range(count)])
    none = pa.nulls(count, pa.string())
    ids = uids.as_hex(uids.derive(none, none, pa.chunked_array([key.slice(0, 9), key.slice(9)])))
    assert ids[count - 1].as_py() == hashlib.md5(str(count - 1).encode()).hexdigest()


def test_the_pools_own_uid_comes_before_a_derived_one() -> None:
    columns = {"key": ["k"], "url": ["u"], "caption": ["c"]}
    own = uids.resolve(pa.table({**columns, "uid": [HEX[1]]}), "pool")
    assert own.column_names == ["uid", "key", "url", "caption"]
    assert own.schema.field("uid").type == pa.string()
    assert own["uid"].to_pylist() == [HEX[1]]
    derived = uids.resolve(pa.table(columns), "pool")
    assert derived.schema.field("uid").type == pa.string()
    assert derived["uid"].to_pylist() == [hashlib.md5(b"u\nc").hexdigest()]
    upper = uids.resolve(pa.table({**columns, "uid": [HEX[1].upper()]}), "pool")
    assert upper["uid"].to_pylist() == [HEX[1]]
    with pytest.raises(DataError, match=r"^pool shard 3: column 'uid' holds 1 of 1 values"):
        uids.resolve(pa.table({**columns, "uid": ["mine"]}), "pool shard 3")
