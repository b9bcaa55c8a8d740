"""Tables as people have them, Parquet, CSV, TSV or JSON lines: some thousand rows at a time, whatever their size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.files.inflating.bounded_batches import bounded_batches, read_at

ROWS = 10_000
NOTHING = "nothing"
"""The column of a block of JSON lines in which no line is an object with a key."""
_BLOCK = 64 << 20
_LINE = 1 << 20


def table_rows(path: Path) -> Iterator[pa.Table]:
    """Read a table; of CSV, TSV and JSON lines every column is text, and an empty cell of CSV is NULL.

    Raises:
        pa.ArrowException: If it is not such a table.
        OSError: If it cannot be read.
    """
    yield from READ[path.suffix.lower()](path)


def _parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, page_checksum_verification=True) as file, path.open("rb", buffering=0) as raw:
        for batch in bounded_batches(file, read_at(raw), str(path), None, ROWS):
            yield pa.Table.from_batches([batch])
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table()


def _csv(path: Path) -> Iterator[pa.Table]:
    tab = path.suffix.lower() == ".tsv"
    with pa.input_stream(str(path)) as stream:
        names = pyarrow.csv.open_csv(
            stream, parse_options=_parsing(tab), read_options=_reading()
        ).schema.names
    kept = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    with pa.input_stream(str(path)) as stream:
        reader = pyarrow.csv.open_csv(
            stream, parse_options=_parsing(tab), read_options=_reading(), convert_options=kept
        )
        for batch in reader:
            table = pa.Table.from_batches([batch])
            for start in range(0, len(table), ROWS):
                yield table.slice(start, ROWS)


def _parsing(tab: bool) -> Any:
    return pyarrow.csv.ParseOptions(delimiter="\t" if tab else ",", newlines_in_values=True)


def _reading() -> Any:
    return pyarrow.csv.ReadOptions(block_size=_BLOCK)


def bounded_lines(stream: BinaryIO) -> Iterator[str | None]:
    """Read lines; None stands for one that is longer than any link or caption, or not in UTF-8."""
    while line := stream.readline(_LINE):
        whole = line.endswith(b"\n") or len(line) < _LINE
        while not whole:
            rest = stream.readline(_LINE)
            whole = rest.endswith(b"\n") or not rest
            line = b""
        try:
            yield line.decode("utf-8-sig").rstrip("\r\n") if line else None
        except UnicodeDecodeError:
            yield None


def _json_lines(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as stream:
        held: list[dict[str, Any]] = []
        for line in bounded_lines(stream):
            if line is None or line.strip():
                held.append(_object(line))
            if len(held) == ROWS:
                yield _of_objects(held)
                held = []
        yield _of_objects(held)


def _object(line: str | None) -> dict[str, Any]:
    """Read one line; one that is no object is a row of nothing."""
    try:
        found = json.loads(line or "null")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _of_objects(rows: list[dict[str, Any]]) -> pa.Table:
    """Make text columns of what rows say: a type that changes between rows or blocks would lose some."""
    names = dict.fromkeys(name for row in rows for name in row) or {NOTHING: None}
    columns = [pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names]
    return pa.table(columns, [_text(name) or "" for name in names])


def _text(value: Any) -> str | None:
    found = value if isinstance(value, str) or value is None else json.dumps(value)
    # A lone surrogate, which JSON can spell, is no text that Parquet holds.
    return None if found is None else found.encode("utf-8", "replace").decode()


READ = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines}
"""How a file of each ending is read."""
