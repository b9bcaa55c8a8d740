"""Lists of URLs as people have them: Parquet, CSV, TSV, JSON lines, or one URL a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from indexes.errors import DataError

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".txt")
_URLS = ("url", "image_url", "uri")
_CAPTIONS = ("caption", "text", "txt", "alt_text")
# Columns that a pool's sidecar has of its own; a list's column of that name gets `listed_` before it.
OWN = (
    "key", "status", "error_message", "width", "height", "original_width", "original_height", "sha256", "exif",
)  # fmt: skip
_ROWS = 10_000
_BLOCK = 64 << 20
_LINE = 1 << 20


def list_files(path: Path) -> list[Path]:
    """Name the files of a list: itself, or those of a folder, by name.

    Raises:
        DataError: If there is none.
    """
    if path.is_dir():
        found = sorted(
            file
            for file in path.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if found:
            return found
        raise DataError(
            f"'{path}' holds no list of URLs ({', '.join(SUFFIXES)}); name the file, or the folder that holds them"
        )
    if not path.is_file():
        raise DataError(
            f"there is no list of URLs at '{path}'; correct the path, or fetch the pool's metadata first"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"'{path}' is no list of URLs; it may end in {', '.join(SUFFIXES)}. Rename or convert it"
        )
    return [path]


def tables(path: Path) -> Iterator[pa.Table]:
    """Read a list, some thousand rows at a time.

    Yields:
        Tables of `url` and `caption` (text, or NULL) and the list's other columns.

    Raises:
        DataError: If the file cannot be read, or has no column of URLs.
    """
    read = {".parquet": _parquet, ".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".txt": _lines}
    try:
        for table in read[path.suffix.lower()](path):
            yield _arranged(table, path)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read the list '{path}': {reason}. Fetch or write the file again") from error


def _parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
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
            for start in range(0, len(table), _ROWS):
                yield table.slice(start, _ROWS)


def _parsing(tab: bool) -> Any:
    return pyarrow.csv.ParseOptions(delimiter="\t" if tab else ",", newlines_in_values=True)


def _reading() -> Any:
    return pyarrow.csv.ReadOptions(block_size=_BLOCK)


def _bounded(stream: BinaryIO) -> Iterator[str | None]:
    """Read lines; None stands for one that is longer than any URL or caption, or not in UTF-8."""
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


def _lines(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as stream:
        held: list[str | None] = []
        for line in _bounded(stream):
            if line is None or line.strip():
                held.append(line)
            if len(held) == _ROWS:
                yield pa.table({"url": pa.array(held, pa.string())})
                held = []
        yield pa.table({"url": pa.array(held, pa.string())})


def _json_lines(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as stream:
        held: list[dict[str, Any]] = []
        for line in _bounded(stream):
            if line is None or line.strip():
                held.append(_object(line))
            if len(held) == _ROWS:
                yield _of_objects(held)
                held = []
        yield _of_objects(held)


def _object(line: str | None) -> dict[str, Any]:
    """Read one line; one that is no object is a row without a URL, and fails as such."""
    try:
        found = json.loads(line or "null")
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _of_objects(rows: list[dict[str, Any]]) -> pa.Table:
    """Make text columns of what rows say: a type that changes between rows or blocks would lose some."""
    names = dict.fromkeys(name for row in rows for name in row) or {"url": None}
    return pa.table({name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names})


def _text(value: Any) -> str | None:
    found = value if isinstance(value, str) or value is None else json.dumps(value)
    # A lone surrogate, which JSON can spell, is no text that Parquet holds.
    return None if found is None else found.encode("utf-8", "replace").decode()


def _arranged(table: pa.Table, path: Path) -> pa.Table:
    url, caption = _named(table.column_names, _URLS), _named(table.column_names, _CAPTIONS)
    if url is None:
        raise DataError(
            f"the list '{path}' has no column of URLs; it has {', '.join(table.column_names[:20])}. "
            f"Call it {', '.join(_URLS)}"
        )
    columns = {"url": table.column(url).cast(pa.string())}
    columns["caption"] = (
        pa.nulls(len(table), pa.string()) if caption is None else table.column(caption).cast(pa.string())
    )
    for name in table.column_names:
        if name not in (url, caption):
            taken = {one.lower() for one in columns}
            label = f"listed_{name}" if name.lower() in (*OWN, *taken) else name
            columns[label] = table.column(name)
    return pa.table(columns)


def _named(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """Find the first of the wanted names, in any case."""
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[name] for name in wanted if name in lower), None)
