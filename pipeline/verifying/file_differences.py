"""Where two files of one kind hold other values, in words: column, row, what it is and what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.execution.work import Json
from pipeline.files.arrays import read_arrays
from pipeline.files.parquet import read_parquet

SHOWN = 3
"""Values of a file that are named; of the others it is said that there are more."""
_LONGEST = 80
# Characters that are shown before the first one that differs.
_BEFORE = 20
_BLOCK = 1 << 20


def differences(committed: Path, again: Path, close: float = 0.0) -> list[str]:
    """Compare two files value for value.

    Args:
        committed: What was committed.
        again: The same, made again.
        close: How far two floating-point numbers of an array file may lie apart.

    Returns:
        Up to `SHOWN` sentences and one that says that there is more; none where only bytes differ that hold no value,
        such as those of another compression.
    """
    found = _by_kind(committed, again, close)
    shown = list(islice(found, SHOWN))
    return shown + (["and more of it"] if next(found, None) else [])


def _by_kind(committed: Path, again: Path, close: float) -> Iterator[str]:
    kind = committed.suffix
    if kind == ".parquet":
        return tables_differ(read_parquet(committed), read_parquet(again))
    if kind == ".arrow":
        return _pieces_differ(committed, again)
    if kind == ".npz":
        return arrays_differ(read_arrays(str(committed)), read_arrays(str(again)), close)
    if kind == ".npy":
        held, made = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (committed, again))
        return arrays_differ({"value": held}, {"value": made}, close)
    if kind == ".json":
        return json_differs(json.loads(committed.read_text("utf-8")), json.loads(again.read_text("utf-8")))
    return (
        _lines_differ(committed, again)
        if kind in (".txt", ".csv", ".md")
        else _bytes_differ(committed, again)
    )


def tables_differ(committed: pa.Table, again: pa.Table) -> Iterator[str]:
    """Compare two tables row by row."""
    held, made = ([f"{field.name} {field.type}" for field in table.schema] for table in (committed, again))
    if held != made:
        yield f"its columns are {', '.join(held)}, and should be {', '.join(made)}"
        return
    if len(committed) != len(again):
        yield f"it has {len(committed):,} rows, and should have {len(again):,}"
        return
    for name in committed.column_names:
        one, other = committed.column(name), again.column(name)
        if not one.equals(other):
            yield from _values_differ(name, one.to_pylist(), other.to_pylist())


def _values_differ(
    name: str, committed: Iterable[Any], again: Iterable[Any], where: str = "row"
) -> Iterator[str]:
    for row, (got, wanted) in enumerate(zip(committed, again, strict=True)):
        if got != wanted and repr(got) != repr(wanted):  # NaN is no NaN, in lists neither
            yield f"{name} in {where} {row:,} {_both(got, wanted)}"


def _pieces_differ(committed: Path, again: Path) -> Iterator[str]:
    with pa.memory_map(str(committed)) as one, pa.memory_map(str(again)) as other:
        held, made = pa.ipc.open_file(one), pa.ipc.open_file(other)
        if held.num_record_batches != made.num_record_batches:
            yield f"it has {held.num_record_batches:,} pieces, and should have {made.num_record_batches:,}"
            return
        for number in range(held.num_record_batches):
            pieces = (pa.Table.from_batches([file.get_batch(number)]) for file in (held, made))
            yield from (f"of piece {number:,}, {text}" for text in tables_differ(*pieces))


def arrays_differ(
    committed: dict[str, NDArray[Any]], again: dict[str, NDArray[Any]], close: float
) -> Iterator[str]:
    """Compare arrays by their names, and row by row."""
    if committed.keys() != again.keys():
        yield f"its arrays are {', '.join(committed)}, and should be {', '.join(again)}"
        return
    for name, held in committed.items():
        made = again[name]
        if (held.shape, held.dtype) != (made.shape, made.dtype):
            yield f"{name} is {held.dtype} of {held.shape}, and should be {made.dtype} of {made.shape}"
        else:
            yield from _places_differ(name, held, made, close)


def _places_differ(name: str, held: NDArray[Any], made: NDArray[Any], close: float) -> Iterator[str]:
    differs = held != made
    if held.dtype.kind == "f":
        differs &= ~(np.isnan(held) & np.isnan(made))
        differs &= ~(np.abs(held.astype(np.float64) - made.astype(np.float64)) <= close)
    for place in np.argwhere(differs):
        at = tuple(int(number) for number in place)
        row = ", place ".join(f"{number:,}" for number in at) or "0"
        yield f"{name} in row {row} {_both(held[at].item(), made[at].item())}"


def json_differs(committed: Any, again: Any, path: str = "") -> Iterator[str]:
    """Compare two values as JSON has them, key by key."""
    if isinstance(committed, dict) and isinstance(again, dict):
        for key in sorted(committed.keys() | again.keys()):
            one, other = (held.get(key, _Absent()) for held in (committed, again))
            yield from json_differs(one, other, f"{path}.{key}".lstrip("."))
    elif isinstance(committed, list) and isinstance(again, list) and len(committed) == len(again):
        pairs = enumerate(zip(committed, again, strict=True))
        yield from chain.from_iterable(json_differs(*pair, f"{path}[{at}]") for at, pair in pairs)
    elif committed != again and repr(committed) != repr(again):
        yield f"{path or 'it'} {_both(committed, again)}"


def facts_differ(committed: Json, again: Json) -> list[str]:
    """Compare what two records remember."""
    return list(islice(json_differs(committed, again), SHOWN))


class _Absent:
    """A key that is not there."""

    def __repr__(self) -> str:
        return "not there"


def _lines_differ(committed: Path, again: Path) -> Iterator[str]:
    with committed.open("rb") as one, again.open("rb") as other:
        for number, (got, wanted) in enumerate(zip_longest(one, other, fillvalue=b"")):
            if got != wanted:
                yield f"line {number:,} {_both(got, wanted)}"


def _bytes_differ(committed: Path, again: Path) -> Iterator[str]:
    with committed.open("rb") as one, again.open("rb") as other:
        for start in range(0, max(committed.stat().st_size, again.stat().st_size), _BLOCK):
            got, wanted = one.read(_BLOCK), other.read(_BLOCK)
            if got != wanted:
                pairs = enumerate(zip(got, wanted, strict=False))
                at = next((at for at, (left, right) in pairs if left != right), min(len(got), len(wanted)))
                yield f"it differs from byte {start + at:,} on"
                return


def _both(got: Any, wanted: Any) -> str:
    """Say what is and what should be, long values from shortly before they differ; strangers' text is escaped."""
    one, other = repr(got), repr(wanted)
    same = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    start = max(0, same - _BEFORE) if max(len(one), len(other)) > _LONGEST else 0
    return f"is {_cut(one, start)}, and should be {_cut(other, start)}"


def _cut(text: str, start: int) -> str:
    more = "…" if start + _LONGEST < len(text) else ""
    return f"{'…' if start else ''}{text[start : start + _LONGEST]}{more}"
