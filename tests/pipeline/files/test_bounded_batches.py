"""Parquet files of strangers become no more than their bytes account for, and come in batches that fit."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import DataError
from pipeline.fetching import url_lists
from pipeline.files.inflating import bounded_batches, list_lengths
from pipeline.files.inflating.list_lengths import RowLengths
from pipeline.files.inflating.page_headers import NoPageError, Page, pages
from pipeline.files.inflating.plain_sizes import stood_for
from pipeline.readers._folders.captions import told_by
from pipeline.readers._held import MetadataFile

MANY = pa.table(
    {
        "url": [f"http://a.example/{number}.jpg" for number in range(3000)],
        "caption": [None if number % 7 == 0 else f"caption {number % 50}" for number in range(3000)],
        "words": [[f"{word}" for word in range(number % 4)] for number in range(3000)],
        "score": [number / 7 for number in range(3000)],
        "safe": [number % 3 == 0 for number in range(3000)],
    }
)


def few(path: Path, rows: int = 4000, numbered: bool = False) -> pa.Table:
    """Rows that all number one value of 64 KiB: some hundred bytes in the file; Arrow may be told to keep numbers."""
    numbers = pa.array([0] * rows, pa.int32())
    made = pa.table({"url": pa.DictionaryArray.from_arrays(numbers, pa.array(["x" * (64 << 10)]))})
    pq.write_table(made, path, compression="zstd", store_schema=numbered)
    return made


def bomb(path: Path, footer: str = "honest") -> None:
    """A page of some kilobytes that becomes eight megabytes; a footer that lies says it has one byte."""
    pq.write_table(
        pa.table({"url": ["x" * (256 << 10)] * 32}), path, compression="zstd", use_dictionary=False
    )
    if footer == "lies":
        said = _varint(pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size)
        content = path.read_bytes()
        assert said in content
        path.write_bytes(content.replace(said, b"\x82" + b"\x80" * (len(said) - 2) + b"\x00"))
        assert pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size == 1


def _varint(number: int) -> bytes:
    left, found = 2 * number, b""
    while left > 127:
        found, left = found + bytes([left & 127 | 128]), left >> 7
    return found + bytes([left])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_page_version": "2.0", "compression": "gzip"},
        {"use_dictionary": False, "write_statistics": False, "compression": "none"},
        {"row_group_size": 700, "data_page_size": 500, "write_page_checksum": True},
        {"data_page_size": 500, "write_page_index": True, "store_decimal_as_integer": True},
    ],
    ids=str,
)
def test_headers_add_up_to_what_the_footer_says(tmp_path: Path, options: dict[str, Any]) -> None:
    pq.write_table(MANY, tmp_path / "a.parquet", **options)
    content = (tmp_path / "a.parquet").read_bytes()
    metadata = pq.ParquetFile(tmp_path / "a.parquet").metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            found = list(
                pages(
                    lambda offset, size: content[offset : offset + size],
                    start,
                    chunk.total_compressed_size,
                    chunk.num_values,
                )
            )
            headers = chunk.total_compressed_size - sum(page.packed for page in found)
            assert sum(page.inflated for page in found) + headers == chunk.total_uncompressed_size
            assert sum(page.values for page in found) == chunk.num_values
            assert any(page.dictionary for page in found) == chunk.has_dictionary_page
    assert MetadataFile(str(tmp_path / "a.parquet")).whole() == MANY


@given(st.binary(max_size=60))
def test_other_bytes_are_no_header(content: bytes) -> None:
    try:
        for page in pages(lambda offset, size: content[offset : offset + size], 0, len(content), 1 << 40):
            assert page.packed >= 0
    except NoPageError:
        pass


HEADER = b"\x15\x00\x15\x02\x15\x02\x00"
"""A data page that becomes one byte of one."""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x4c" + b"\x1c" * 20_000,
        b"\x15" + b"\xff" * 400_000,
        HEADER[:4] + b"\x00",
        HEADER[:3] + b"\x01" + HEADER[4:],
        HEADER[:5] + b"\x0d" + HEADER[6:],
        b"\x4e" + HEADER,
    ],
    ids=[
        "nothing",
        "structs in structs",
        "a number without an end",
        "a size alone",
        "minus one byte",
        "back",
        "kind 14",
    ],
)
def test_a_header_that_is_none_is_said(content: bytes) -> None:
    def first(content: bytes, start: int = 0) -> Page:
        return next(pages(lambda offset, size: content[:size], start, max(600, len(content)), 1))

    assert first(HEADER) == Page(False, 1, 1, 0, 7)
    began = time.process_time()
    with pytest.raises(NoPageError):
        first(content)
    assert time.process_time() - began < 1
    with pytest.raises(NoPageError):
        first(HEADER, -1)


def test_a_header_has_a_longest() -> None:
    asked: list[int] = []

    def read(offset: int, size: int) -> bytes:
        asked.append(size)
        return b"\x18\xff\xff\xff\xff\x7f"  # a text of 32 GB

    with pytest.raises(NoPageError, match="without an end"):
        next(pages(read, 0, 1 << 40, 1))
    assert max(asked) < 100 << 20


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("footer", ["honest", "lies"])
def test_a_page_that_would_become_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, footer: str, held: bool
) -> None:
    monkeypatch.setattr(bounded_batches, "PLAIN_BYTES", 1 << 20)
    bomb(tmp_path / "a.parquet", footer)
    file = MetadataFile(str(tmp_path / "a.parquet"))
    if held:
        file.hold()
    before = pa.total_allocated_bytes()
    with pytest.raises(
        DataError, match=r"a\.parquet' is packed so that its column 'url' would become 8,388,"
    ):
        file.whole()
    with pytest.raises(DataError, match="is packed so"):
        next(url_lists.tables(tmp_path / "a.parquet"))
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_what_takes_its_bytes_in_the_file_is_read_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_batches, "PLAIN_BYTES", 1 << 16)
    made = pa.table({"url": [os.urandom(1 << 15) for _ in range(8)]})
    pq.write_table(made, tmp_path / "a.parquet", compression="zstd", use_dictionary=False)
    assert MetadataFile(str(tmp_path / "a.parquet")).whole() == made


def test_what_was_meant_is_read_once_it_is_written_in_smaller_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_batches, "PLAIN_BYTES", 1 << 20)
    bomb(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="write it again in smaller row groups"):
        MetadataFile(str(tmp_path / "a.parquet")).whole()
    whole = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(whole, tmp_path / "a.parquet", use_dictionary=False, row_group_size=2)
    assert MetadataFile(str(tmp_path / "a.parquet")).whole() == whole


@pytest.mark.parametrize("numbered", [False, True])
def test_rows_of_one_long_value_come_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: bool
) -> None:
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 4 << 20)
    made = few(tmp_path / "a.parquet", numbered=numbered)
    assert (tmp_path / "a.parquet").stat().st_size < 3000
    file = MetadataFile(str(tmp_path / "a.parquet"))
    count = 0
    for batch in file.batches(None, 16_384):
        assert pa.types.is_dictionary(batch.schema.types[0]) == numbered
        assert len(batch) * (64 << 10) <= 4 << 20
        assert batch.column(0)[0].as_py() == made["url"][0].as_py()
        count += len(batch)
    assert count == len(made)
    assert {len(table) for table in url_lists.tables(tmp_path / "a.parquet")} <= set(range(1, 81))


@pytest.mark.parametrize("numbered", [False, True])
def test_rows_that_are_needed_at_once_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbered: bool
) -> None:
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(bounded_batches, "WHOLE_BYTES", 8 << 20)
    few(tmp_path / "a.parquet", 200, numbered)
    said = r"a\.parquet' becomes more than 8,388,608 bytes in memory.*Write it again as several files of fewer rows"
    with pytest.raises(DataError, match=said):
        MetadataFile(str(tmp_path / "a.parquet")).whole()
    for number in range(2):
        few(tmp_path / f"{number}.parquet", 100, numbered)
        assert len(MetadataFile(str(tmp_path / f"{number}.parquet")).whole()) == 100
    pq.write_table(
        pq.read_table(tmp_path / "a.parquet").rename_columns(["file_name"]), tmp_path / "b.parquet"
    )
    with pytest.raises(DataError, match=r"b\.parquet' becomes more than"):
        told_by("b.parquet", (tmp_path / "b.parquet").read_bytes(), "", Counter())


@pytest.mark.parametrize("held", [True, False])
def test_a_flipped_bit_in_a_page_is_noticed(tmp_path: Path, held: bool) -> None:
    """In numbers that are not packed, nothing but the page's checksum tells."""
    pq.write_table(
        pa.table({"url": list(range(1000))}),
        tmp_path / "a.parquet",
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
    )
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[4000] ^= 1
    (tmp_path / "a.parquet").write_bytes(content)
    file = MetadataFile(str(tmp_path / "a.parquet"))
    if held:
        file.hold()
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        file.whole()
    with pytest.raises(DataError, match="cannot read the list"):
        list(url_lists.tables(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("content", "inflated", "compression", "longest"),
    [
        (b"\x01\0\0\0a\x03\0\0\0abc", 12, "UNCOMPRESSED", 3),
        (b"\x01\0\0\0a", 1000, "LZ4", 1000),
        (b"\x01\0\0\0a", 17 << 20, "UNCOMPRESSED", 17 << 20),
        (b"\xff\xff\xff\x7fa", 1000, "UNCOMPRESSED", 1000),
    ],
    ids=["as it is", "a packing that is not read", "too much to look through", "lengths that lie"],
)
def test_the_longest_value_of_a_dictionary(
    content: bytes, inflated: int, compression: str, longest: int
) -> None:
    page = Page(True, inflated, len(content), 0, 0)
    assert bounded_batches._longest_text(page, compression, lambda offset, size: content[:size]) == longest


def test_small_batches_are_put_together_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long value among short ones makes Arrow give seventeen rows at a time."""
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 1 << 20)
    made = MANY.set_column(1, "caption", pa.array(["x" * 60_000, *MANY["caption"].to_pylist()[1:]]))
    pq.write_table(made, tmp_path / "a.parquet")
    found = list(MetadataFile(str(tmp_path / "a.parquet")).batches(["url", "caption"], 900))
    assert [len(one) for one in found] == [884, 884, 884, 348]
    assert pa.Table.from_batches(found) == made.select(["url", "caption"])


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli", "zstd", "none", "lz4"])
def test_every_packing_of_a_dictionary_bounds_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 1 << 20)
    made = pa.table(
        {"url": pa.array(["x" * (64 << 10)] * 40), "id": pa.array([b"y" * 20_000] * 40, pa.binary(20_000))}
    )
    pq.write_table(made, tmp_path / "a.parquet", compression=compression)
    found = list(MetadataFile(str(tmp_path / "a.parquet")).batches(None, 100))
    assert [len(one) for one in found] == [12, 12, 12, 4]
    assert pa.Table.from_batches(found) == made


def long_list(path: Path, count: int = 10_000, numbered: bool = False, **options: Any) -> pa.Table:
    """Two rows; the list of the second numbers one value of a kilobyte again and again."""
    numbers = pa.array(np.zeros(count, np.int32))
    values = pa.DictionaryArray.from_arrays(numbers, pa.array(["x" * 1024]))
    lists = pa.ListArray.from_arrays(pa.array([0, 0, count], pa.int32()), values)
    made = pa.table({"url": ["a", "b"], "words": lists if numbered else lists.cast(pa.list_(pa.string()))})
    pq.write_table(made, path, compression="zstd", store_schema=numbered, **options)
    return made


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_list_of_one_long_value_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, numbered: bool
) -> None:
    monkeypatch.setattr(bounded_batches, "PLAIN_BYTES", 1 << 20)
    monkeypatch.setattr(bounded_batches, "_FEW_BYTES", 1 << 20)
    long_list(tmp_path / "a.parquet", numbered=numbered, data_page_version=version)
    assert (tmp_path / "a.parquet").stat().st_size < 6000
    file = MetadataFile(str(tmp_path / "a.parquet"))
    before = pa.total_allocated_bytes()
    said = r"one row of its column 'words\.list\.element' would become 10,400,000 bytes of [0-9,]+, which no text or"
    for read in (file.whole, lambda: next(url_lists.tables(tmp_path / "a.parquet"))):
        with pytest.raises(
            DataError, match=f"a.parquet' is packed so that {said}.*write it again with shorter lists"
        ):
            read()
    assert pa.total_allocated_bytes() - before < 1 << 20
    assert sum(len(batch) for batch in file.batches(["url"], 10)) == 2
    made = long_list(tmp_path / "a.parquet", 500, numbered, data_page_version=version)
    assert MetadataFile(str(tmp_path / "a.parquet")).whole() == made


def test_rows_with_lists_of_long_values_come_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_batches, "_FEW_BYTES", 1 << 20)
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 1 << 20)
    made = pa.table({"words": [["x" * 9984] * (number % 5 + 1) for number in range(200)]})
    pq.write_table(made, tmp_path / "a.parquet", data_page_size=300, compression="zstd")
    found = list(MetadataFile(str(tmp_path / "a.parquet")).batches(None, 1000))
    assert max(batch.nbytes for batch in found) < 1 << 20
    assert len(found[0]) >= 20
    assert pa.Table.from_batches(found) == made


def test_texts_that_a_list_has_numbers_for_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_batches, "WHOLE_BYTES", 1 << 20)
    long_list(tmp_path / "a.parquet", 2000, numbered=True)
    with pytest.raises(DataError, match="becomes more than 1,048,576 bytes in memory"):
        MetadataFile(str(tmp_path / "a.parquet")).whole()
    one = pa.DictionaryArray.from_arrays(pa.array([0, 0, None, 0]), pa.array(["abc"]))
    for column in (
        pa.FixedSizeListArray.from_arrays(one, 2),
        pa.StructArray.from_arrays([one, pa.array(range(4))], ["a", "b"]),
        pa.MapArray.from_arrays([0, 1, 4], pa.array(list("klmn")), one),
        pa.LargeListArray.from_arrays([0, 4], one),
    ):
        assert stood_for(column) == 9


@hypothesis.settings(max_examples=30)
@given(
    version=st.sampled_from(["1.0", "2.0"]),
    compression=st.sampled_from(["zstd", "none"]),
    rows=st.lists(
        st.none() | st.lists(st.none() | st.lists(st.integers(0, 3), max_size=9), max_size=30), max_size=40
    ),
    times=st.integers(1, 30),
)
def test_the_longest_row_is_that_of_the_levels(
    tmp_path_factory: pytest.TempPathFactory, version: str, compression: str, rows: list[Any], times: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lists.parquet"
    rows = [row for row in rows for _ in range(times)]
    column = pa.array(rows, pa.list_(pa.list_(pa.int32())))
    pq.write_table(
        pa.table({"a": column}), path, compression=compression, data_page_version=version, data_page_size=50
    )
    content, file = path.read_bytes(), pq.ParquetFile(path)
    longest = [sum(max(1, len(inner or [])) for inner in row) if row else 1 for row in rows]
    for group in range(file.num_row_groups):
        chunk = bounded_batches._Chunk(
            file.metadata.row_group(group).column(0),
            file.schema.column(0),
            lambda offset, size: content[offset : offset + size],
        )
        assert chunk._longest_list() == max(longest, default=0)


@pytest.mark.parametrize(
    ("levels", "values", "longest"),
    [
        (b"", 1 << 40, 1 << 40),
        (b"\x06\x00", 3, 1),
        (b"\x06\x01", 3, 3),
        (b"\xfe\xff\xff\xff\x0f\x01", 7, 7),
        (b"\xff\xff\xff\xff\xff\xff", 9, 9),
        (b"\x06", 9, 9),
        (b"\x03\xfe", 8, 8),
        (b"\x05\xee", 16, 12),
        (b"\x05\xee\x0f", 12, 8),
        (b"\x00\x00" * 10, 5, 5),
        (b"\x02\x00" * 30, 30, 11),
    ],
    ids=[
        "not known",
        "three rows",
        "one row",
        "a run that is too long",
        "a number without an end",
        "a run without a level",
        "packed",
        "packed and cut off",
        "packed twice",
        "runs of nothing",
        "too many runs",
    ],
)
def test_levels_that_end_early_are_of_one_row(
    monkeypatch: pytest.MonkeyPatch, levels: bytes, values: int, longest: int
) -> None:
    monkeypatch.setattr(list_lengths, "_RUNS_READ", 20)
    lengths = RowLengths(1)
    lengths.add(levels, values)
    assert lengths.longest == longest


def test_a_row_goes_on_in_the_next_page() -> None:
    lengths = RowLengths(1)
    for _ in range(3):
        lengths.add(b"\x03\x07", 3)  # a group of eight: what follows would begin rows
    lengths.add(b"\x03\x06", 4)
    assert lengths.longest == 9


def test_texts_that_begin_as_the_one_before_come_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_batches, "BATCH_BYTES", 1 << 20)
    made = pa.table({"url": [f"{'x' * (64 << 10)}{number}" for number in range(100)]})
    options = {"use_dictionary": False, "column_encoding": {"url": "DELTA_BYTE_ARRAY"}}
    pq.write_table(made, tmp_path / "a.parquet", compression="zstd", write_statistics=False, **options)
    assert (tmp_path / "a.parquet").stat().st_size < 3000
    found = list(MetadataFile(str(tmp_path / "a.parquet")).batches(None, 1000))
    assert max(len(batch) for batch in found) <= 16
    assert pa.Table.from_batches(found) == made


def test_numbers_that_differ_by_nothing_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some hundred bytes, of which Arrow unpacks all numbers of a page at once."""
    monkeypatch.setattr(bounded_batches, "PLAIN_BYTES", 1 << 20)
    for count, fits in ((10_000, True), (100_000, False)):
        made = pa.table({"id": np.zeros(count, np.int64)})
        options = {"use_dictionary": False, "column_encoding": {"id": "DELTA_BINARY_PACKED"}}
        pq.write_table(made, tmp_path / "a.parquet", compression="zstd", **options)
        file = MetadataFile(str(tmp_path / "a.parquet"))
        if fits:
            assert file.whole() == made
        else:
            with pytest.raises(DataError, match=r"its column 'id' would become 1,6[0-9]{2},[0-9]{3} bytes"):
                file.whole()
