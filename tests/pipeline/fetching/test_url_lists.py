"""Lists of URLs in the forms that people have: every row arrives, with what stands beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexes.errors import DataError
from pipeline.fetching.url_lists import list_files, tables


def read(path: Path) -> list[dict[str, object]]:
    return [row for table in tables(path) for row in table.to_pylist()]


def test_csv_with_quotes_newlines_and_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffURL,TEXT,WIDTH\nhttp://a/1,"one, ""two""\nthree",12\nhttp://a/2,,\n'.encode())
    assert read(path) == [
        {"url": "http://a/1", "caption": 'one, "two"\nthree', "listed_WIDTH": "12"},
        {"url": "http://a/2", "caption": None, "listed_WIDTH": None},
    ]


def test_tab_separated(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("caption\timage_url\nx, y\thttp://a/1\n")
    assert read(path) == [{"url": "http://a/1", "caption": "x, y"}]


def test_json_lines_with_what_is_no_object(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"url": "http://a/1", "text": "x", "tags": [1, 2]}),
        "{broken",
        "[]",
        "",
        '{"url": 7}',
        "[" * 100_000,
        '{"url": "http://a/\\ud800", "\\ud800": 1}',
    ]
    path.write_text("\n".join(lines))
    found = read(path)
    assert [row["url"] for row in found] == ["http://a/1", None, None, "7", None, "http://a/?"]
    assert found[0] == {"url": "http://a/1", "caption": "x", "tags": "[1, 2]", "?": None}


def test_a_line_of_a_hundred_megabytes_is_one_row_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as stream:
        stream.write(b"http://a/1\n")
        for _ in range(100):
            stream.write(b"x" * (1 << 20))
        stream.write(b"\nhttp://a/2\n\xff\xfe\nhttp://a/3")
    assert [row["url"] for row in read(path)] == ["http://a/1", None, "http://a/2", None, "http://a/3"]


def test_parquet_keeps_types_and_makes_room_for_the_columns_of_a_pool(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "Url": ["http://a/1"],
            "key": [7],
            "sha256": ["0" * 64],
            "Caption": ["x"],
            "text": ["y"],
            "similarity": [0.5],
        }
    )
    pq.write_table(table, path)
    assert read(path) == [
        {
            "url": "http://a/1",
            "caption": "x",
            "listed_key": 7,
            "listed_sha256": "0" * 64,
            "text": "y",
            "similarity": 0.5,
        }
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"caption,link\nx,y\n", "has no column of URLs; it has caption, link"),
        ("a.parquet", b"PAR1nothing", "cannot read the list"),
        ("a.csv", b"url,caption\nhttp://a\nhttp://a,b,c,d\n", "cannot read the list"),
        ("a.csv", b"http://me:opensesame@a/1,x\nhttp://a/2,y\n", r"it has http://\*\*\*@a/1, x"),
        (
            "a.csv",
            b'url,text\nhttp://a/1,"x\nhttp://a/2,y\nhttp://a/3,z\n',
            "before 'x' that ends only after",
        ),
        ("a.csv", b'text,url\n"x,http://a/1\ny",http://a/2\n', "before 'x,http://a/1' that ends only after"),
        ("a.tsv", b'text\turl\n"x\thttp://a/1\ny" z\thttp://a/2\n', "has a quotation mark before"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / name)


def test_a_caption_of_several_lines_may_tell_of_a_link(tmp_path: Path) -> None:
    """As photographers write: a link in a sentence, or on a line of its own without what stands between cells."""
    caption = "first, see http://b/1, or\nhttp://b/2\nand more"
    (tmp_path / "a.csv").write_text(f'url,caption\nhttp://a/1,"{caption}"\n')
    assert [row["caption"] for row in read(tmp_path / "a.csv")] == [caption]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_columns_of_one_name_are_told_apart(tmp_path: Path, form: str) -> None:
    names = [" URL ", "x", "x", "x_2", "listed_key", "key"]
    if form == "csv":
        (tmp_path / "a.csv").write_text(f"{','.join(names)}\nhttp://a/1,1,2,3,4,5\n")
    else:
        cells = [pa.array([cell]) for cell in ("http://a/1", "1", "2", "3", "4", "5")]
        pq.write_table(pa.table(cells, names), tmp_path / "a.parquet")
    own = {"x": "1", "x_2": "2", "x_2_2": "3", "listed_key": "4", "listed_listed_key": "5"}
    assert read(tmp_path / f"a.{form}") == [{"url": "http://a/1", "caption": None, **own}]


def test_a_folder_gives_its_lists_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", ".hidden.csv", "notes.md"):
        (tmp_path / name).write_text("url\n")
    assert [file.name for file in list_files(tmp_path)] == ["a.parquet", "b.csv"]


@pytest.mark.parametrize("name", ["missing.csv", "list.zip", "empty"])
def test_a_path_without_lists_says_what_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="list of URLs"):
        list_files(tmp_path / name)


def not_utf8(*texts: bytes) -> pa.Array:
    """A column of texts that holds other bytes: Parquet and Arrow do not look."""
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_texts_of_other_encodings_are_replaced_in_every_column(tmp_path: Path, kind: pa.DataType) -> None:
    column = not_utf8(b"http://x.test/caf\xe9", b"plain", b"\xff\xfe")
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind, safe=False)
    pq.write_table(pa.table({"url": column, "caption": column, "own": column}), tmp_path / "a.parquet")
    (found,) = tables(tmp_path / "a.parquet")
    expected = ["http://x.test/caf\ufffd", "plain", "\ufffd\ufffd"]
    assert found.column("url").to_pylist() == found.column("caption").to_pylist() == expected
    # Bytes that are meant as such stay what they are.
    assert found.column("own").to_pylist() == (column.to_pylist() if pa.types.is_binary(kind) else expected)
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), not_utf8(b"a", b"b", b"\xff"))
    pq.write_table(pa.table({"url": ["x"] * 3, "own": lists}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"cannot read the list .*Fetch or write the file again"):
        list(tables(tmp_path / "a.parquet"))
