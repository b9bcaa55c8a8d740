"""Lists of URLs as people have them: Parquet, CSV, TSV, JSON lines, or one URL a line."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.execution.display.redaction import redact
from pipeline.files.row_tables import NOTHING, ROWS, bounded_lines, table_rows
from pipeline.sets.plain_text import text

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".txt")
_URLS = ("url", "image_url", "uri")
_CAPTIONS = ("caption", "text", "txt", "alt_text")
_CELLS = {".csv": ",", ".tsv": "\t"}
"""What stands between the cells of a line."""
# Columns that a pool's sidecar has of its own; a list's column of that name gets `listed_` before it.
OWN = (
    "key", "status", "error_message", "width", "height", "original_width", "original_height", "sha256", "exif",
    "final_url",
)  # fmt: skip


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
    try:
        for table in _lines(path) if path.suffix.lower() == ".txt" else table_rows(path):
            _check_quotes(table, path)
            yield _arranged(table, path)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read the list '{path}': {reason}. Fetch or write the file again") from error


def _lines(path: Path) -> Iterator[pa.Table]:
    with path.open("rb") as stream:
        held: list[str | None] = []
        for line in bounded_lines(stream):
            if line is None or line.strip():
                held.append(line)
            if len(held) == ROWS:
                yield pa.table({"url": pa.array(held, pa.string())})
                held = []
        yield pa.table({"url": pa.array(held, pa.string())})


def _check_quotes(table: pa.Table, path: Path) -> None:
    """Look for cells of several lines with a URL in a cell of its own: a quotation mark that nothing ends makes them.

    Raises:
        DataError: If there is one, for the rows in it would be lost without a word.
    """
    between = _CELLS.get(path.suffix.lower())
    if between is None:
        return
    # What stands between cells is on one side of it at least: a link on a line of its own is what captions have.
    cell, ends = rf'"?https?://[^\s{between}]+"?', rf"\r?(?:[\n{between}]|$)"
    alone = rf"{between}{cell}{ends}|(?:^|\n){cell}{between}"
    for column in table.columns:
        wide = column.filter(pc.match_substring(column, "\n"))
        wide = wide.filter(pc.match_substring(wide, between))
        found = wide.filter(pc.match_substring_regex(wide, alone))
        if len(found):
            begins = redact(found[0].as_py().partition("\n")[0])[:60]
            raise DataError(
                f"the list '{path}' has a quotation mark before {begins!r} that ends only after further rows. Double "
                "the marks inside a cell and put one around it, or write the list as Parquet or JSON lines"
            )


def _arranged(table: pa.Table, path: Path) -> pa.Table:
    if table.column_names == [NOTHING]:  # lines that are no objects: rows without a URL, which fail as such
        table = table.rename_columns(["url"])
    table = table.rename_columns(_single(table.column_names))
    url, caption = _named(table.column_names, _URLS), _named(table.column_names, _CAPTIONS)
    if url is None:
        raise DataError(
            f"the list '{path}' has no column of URLs; it has {redact(', '.join(table.column_names[:20]))[:400]}. "
            f"Call it {', '.join(_URLS)}"
        )
    columns = {"url": _text(table.column(url))}
    columns["caption"] = (
        pa.nulls(len(table), pa.string()) if caption is None else _text(table.column(caption))
    )
    taken = {*OWN, *columns}
    for name in table.column_names:
        if name not in (url, caption):
            label = name
            while label.lower() in taken:
                label = f"listed_{label}"
            taken.add(label.lower())
            columns[label] = _valid(table.column(name))
    return pa.table(columns)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return text(column) if binary else _valid(column).cast(pa.string())


def _valid(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace by U+FFFD what is not UTF-8 in a column of texts.

    Raises:
        pa.ArrowInvalid: If lists or structs hold such text.
    """
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return text(column)
    return column


def _single(names: list[str]) -> list[str]:
    """Have every name once: the second `x` becomes `x_2`, or the next that is free."""
    found: dict[str, None] = {}
    for name in names:
        tried = (f"{name}_{number}" for number in itertools.count(2))
        found[next(one for one in itertools.chain((name,), tried) if one not in found)] = None
    return list(found)


def _named(names: list[str], wanted: tuple[str, ...]) -> str | None:
    """Find the first of the wanted names, in any case, with or without spaces around."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in wanted if name in lower), None)
