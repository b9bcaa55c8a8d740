"""A writer that gets one value of every file wrong and signs for it: sizes, digests and records all agree with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.commit import Attempt, Record

NAMES = ("uid", "key", "row", "query", "place", "query_key", "part", "benchmark")
"""Columns that are left alone: files with another name in them do not go together, and a run says so at once."""


LONG = 80
"""From here on a value is cut where `verify` shows it: what is changed at its end would not be seen."""
SPARED = ("indexes/photo/index.json", "indexes/sketch/index.json", "splits/whole/uids.npy")
"""Files by which a run would notice at once: what stands in records too, and the names that an export looks for."""


class RottenWriter:
    """Stands in for `Attempt.commit`; `done` has what was changed, by unit: path, column or array, row, got, wanted."""

    def __init__(self, sound: frozenset[str]) -> None:
        self._sound = sound
        self._commit = Attempt.commit
        self.done: dict[str, list[tuple[str, str]]] = {}

    def commit(self, attempt: Attempt, facts: Mapping[str, Any] | None = None) -> Record:
        """Change a value of each file, then commit."""
        unit = attempt.unit
        if unit.stage not in self._sound:
            files = sorted(attempt.written().items())
            changed = {path: spoil(file) for path, file in files if path not in SPARED}
            attempt._digests.clear()  # those of what was there before
            found = [(path, text) for path, text in changed.items() if text is not None]
            if found:
                self.done[f"{unit.stage}/{unit.name}"] = found
        return self._commit(attempt, facts)


def spoil(path: Path) -> str | None:
    """Change one value of a file, and say what `verify` has to say of it; None where there is no value."""
    return SPOILERS[path.suffix](path)


def other(value: Any) -> Any:
    """Another value of the same type, which could have been there."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2 if value else 0.25
    if isinstance(value, int):
        return value - 1 if value > 0 else value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, dict):
        return value | {name: other(one) for name, one in value.items() if one is not None}
    return value[:-1]


def changed_table(table: pa.Table) -> tuple[pa.Table, str] | None:
    for name in reversed([name for name in table.column_names if name not in NAMES]):
        values = table.column(name).to_pylist()
        shown = (at for at, value in enumerate(values) if value not in (None, []) and len(repr(value)) < LONG)
        row = next(shown, None)
        if row is not None:
            wanted, values[row] = values[row], other(values[row])
            field = table.schema.field(name)
            new = pa.array(values, field.type)
            got = new[row].as_py()
            text = f"{name} in row {row:,} is {got!r}, and should be {wanted!r}"
            return table.set_column(table.column_names.index(name), field, new), text
    return None


def _parquet(path: Path) -> str | None:
    found = changed_table(pq.read_table(path))
    if found is None:
        return None
    pq.write_table(found[0], path)
    return found[1]


def _arrow(path: Path) -> str | None:
    with pa.ipc.open_file(pa.BufferReader(path.read_bytes())) as reader:
        pieces = [pa.Table.from_batches([reader.get_batch(n)]) for n in range(reader.num_record_batches)]
        schema = reader.schema
    for number, piece in enumerate(pieces):
        found = changed_table(piece)
        if found is not None:
            pieces[number] = found[0].cast(schema)
            with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, schema) as writer:
                for each in pieces:
                    batches = each.combine_chunks().to_batches()
                    writer.write_batch(
                        batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema)
                    )
            return f"of piece {number:,}, {found[1]}"
    return None


def _npz(path: Path) -> str | None:
    with np.load(path) as held:
        arrays = {name: held[name] for name in held.files}
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.size:
            array = np.atleast_1d(array)
            array.flat[0] = array.flat[0] / 2 or 0.25
            arrays[name] = array.reshape(arrays[name].shape)
            np.savez(path, **arrays)
            return f"{name} in row 0"
    return None


def _npy(path: Path) -> str | None:
    array = np.load(path)
    if not len(array):
        return None
    at = len(array) - 1
    if array.dtype.names:  # uids: the last is another one, and they are still in order
        array["f1"][at] += np.uint64(1)
    elif array.dtype.kind == "f":
        array[at, 0] = -array[at, 0] or 0.25
    else:
        array[at] += 1
    np.save(path, array)
    return f"value in row {at:,}"


def _json(path: Path) -> str | None:
    held = json.loads(path.read_text())
    number = _spoiled_number(held)
    path.write_text(json.dumps(held, indent=1, sort_keys=True))
    return None if number is None else f"is {number + 1!r}, and should be {number!r}"


def _spoiled_number(value: Any) -> float | None:
    """Add one to the first number of a JSON value."""
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for place, one in list(places):
        if isinstance(one, int | float) and not isinstance(one, bool):
            value[place] = one + 1
            return one
        if isinstance(one, dict | list):
            found = _spoiled_number(one)
            if found is not None:
                return found
    return None


def _byte(at: Callable[[bytes], int], bit: int, said: str) -> Callable[[Path], str | None]:
    def change(path: Path) -> str | None:
        raw = bytearray(path.read_bytes())
        if not raw:
            return None
        raw[at(bytes(raw))] ^= bit
        path.write_bytes(raw)
        return said

    return change


SPOILERS: dict[str, Callable[[Path], str | None]] = {
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".npz": _npz,
    ".npy": _npy,
    ".json": _json,
    ".txt": _byte(lambda raw: 0, 1, "line 0 is "),
    ".csv": _byte(lambda raw: 0, 1, "line 0 is "),
    ".md": _byte(lambda raw: 0, 1, "line 0 is "),
    ".html": _byte(lambda raw: raw.index(b"<p"), 1, "it differs from byte "),
    ".tar": _byte(lambda raw: 512, 1, "it differs from byte "),
    ".faiss": _byte(lambda raw: len(raw) - 1, 0x80, "it differs from byte "),
}
