"""Seeded damage: to a folder of files, and to the text of a plan."""

from __future__ import annotations

import io
import json
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from small_sets import plan_of

from pipeline.documents.yaml_safe import dump_yaml

Rng = np.random.Generator
_ODD_FAULTS = (ValueError, OSError, EOFError, KeyError, IndexError, AttributeError, tokenize.TokenError)


def damage(root: Path, rng: Rng) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if files:
        path = files[int(rng.integers(len(files)))]
        choices: tuple[Callable[[Path, Rng], None], ...] = (_flip, _cut, _fill, _retype, _retype, _rewrite)
        match int(rng.integers(9)):
            case 0:
                path.unlink()
            case 1:
                other = files[int(rng.integers(len(files)))]
                held = path.read_bytes()
                path.write_bytes(other.read_bytes())
                other.write_bytes(held)
            case 2:
                path.rename(path.with_name(_odd_name(path.name, rng)))
            case number:
                choices[number - 3](path, rng)


def _odd_name(name: str, rng: Rng) -> str:
    names = (f"x{name}", name.upper(), name.replace("0", "9", 1), f"{name}.gz", "é*[0].parquet", "-1.npy")
    return names[int(rng.integers(len(names)))]


def _flip(path: Path, rng: Rng) -> None:
    raw = bytearray(path.read_bytes())
    for place in rng.integers(len(raw), size=int(rng.integers(1, 9))) if raw else ():
        raw[int(place)] ^= 1 << int(rng.integers(8))
    path.write_bytes(raw)


def _cut(path: Path, rng: Rng) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(rng.integers(len(raw) + 1))])


def _fill(path: Path, rng: Rng) -> None:
    """Overwrite, repeat or add a stretch."""
    raw = bytearray(path.read_bytes())
    at, length = int(rng.integers(len(raw) + 1)), int(rng.integers(1, 700))
    stretch = (b"\0" * length, b"\xff" * length, bytes(raw[at : at + length]), rng.bytes(length))
    raw[at : at + length * int(rng.integers(2))] = stretch[int(rng.integers(4))]
    path.write_bytes(raw)


def _retype(path: Path, rng: Rng) -> None:
    """Give a table's column, an array or a JSON value another type."""
    try:
        if path.suffix == ".parquet":
            _retype_column(path, rng)
        elif path.suffix in (".npy", ".npz"):
            _retype_array(path, rng)
        else:
            _fill(path, rng)
    except (pa.ArrowException, zipfile.BadZipFile, *_ODD_FAULTS):  # it is damaged already
        _cut(path, rng)


def _retype_column(path: Path, rng: Rng) -> None:
    table = pq.read_table(path)
    place, rows = int(rng.integers(table.num_columns)), len(table)
    odd: tuple[pa.Array, ...] = (
        pa.nulls(rows),
        pa.array(range(rows), pa.int8()),
        pa.array([2**64 - 1 - n for n in range(rows)], pa.uint64()),
        pa.array([float("nan")] * rows),
        pa.array([b"\xff\xfe\0"] * rows, pa.binary()),
        pa.array([[n] for n in range(rows)], pa.list_(pa.int64())),
        pa.array([{"a": n} for n in range(rows)], pa.struct([("a", pa.int64())])),
        pa.array(["same"] * rows, pa.string()).dictionary_encode(),
        pa.array([n % 2 == 0 for n in range(rows)], pa.bool_()),
        pa.array(range(rows), pa.timestamp("ns", "UTC")),
    )
    name = table.column_names[place]
    if rng.integers(5) == 0:
        table = table.append_column(name, table.column(place))  # the same name twice
    elif rng.integers(5) == 0:
        table = table.slice(0, rows // 2)
    else:
        table = table.set_column(place, name, odd[int(rng.integers(len(odd)))])
    pq.write_table(table, path)


def _retype_array(path: Path, rng: Rng) -> None:
    found = np.load(path, allow_pickle=False)
    arrays = dict(found) if path.suffix == ".npz" else {"": found}
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    array = arrays[name]
    odd = (
        array.astype("<i4"), array.astype(">f4"), array.astype("<f8"), array.astype("<U3"), array[:, 0], array[None],
        array[:, :0], array[: len(array) // 2], np.asfortranarray(array), array.astype("<c8"), np.float64(3),
    )  # fmt: skip
    arrays[name] = np.asarray(odd[int(rng.integers(len(odd)))])
    stream = io.BytesIO()
    if path.suffix == ".npz":
        np.savez(stream, **arrays)
    else:
        np.save(stream, arrays[""])
    path.write_bytes(stream.getvalue())


def _rewrite(path: Path, rng: Rng) -> None:
    """Put something else in the file's place."""
    whole: tuple[bytes, ...] = (
        b"", b"PAR1PAR1", b"\x93NUMPY", b"PK\x05\x06" + b"\0" * 18, b"\0" * 1024, b"[]", b"null", b"\x1f\x8b\x08\0" * 9,
        json.dumps({"count": 10**30, "successes": "many", "status_dict": []}).encode(), b"\xff\xfe\xfd" * 7,
    )  # fmt: skip
    path.write_bytes(whole[int(rng.integers(len(whole)))])


def _plan_text() -> str:
    return str(dump_yaml(plan_of(Path("/sets"), audit={"hard": 0.95, "soft": 0.9}, neighbours=5)))


ODD_VALUES: tuple[str, ...] = (
    "null", "[]", "{}", "-1", "1e400", ".nan", "~", "''", "'\\0'", '"\\0"', "&a x", "*a", "!!python/object:os.system x",
    "0x10", "010", "yes", "2024-01-01", "9" * 400, "[" * 60, "{a: {a: {a: 1}}}", "|\n  x", "'é'", "<<: *a", "- -",
)  # fmt: skip


def damaged_plan(rng: Rng) -> str:
    lines = _plan_text().splitlines()
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        at = int(rng.integers(len(lines)))
        line, odd = lines[at], ODD_VALUES[int(rng.integers(len(ODD_VALUES)))]
        match int(rng.integers(7)):
            case 0:
                lines[at] = f"{line.partition(':')[0]}: {odd}"
            case 1:
                lines.insert(at, line)
            case 2:
                lines[at] = "" if len(lines) > 1 else line
            case 3:
                lines[at] = f"{' ' * int(rng.integers(5))}{line.strip()}"
            case 4:
                lines[at], lines[-1] = lines[-1], line
            case 5:
                place = int(rng.integers(len(line) + 1))
                lines[at] = f"{line[:place]}{chr(int(rng.integers(1, 0x3000)))}{line[place:]}"
            case _:
                place = int(rng.integers(len(line) + 1))
                lines[at] = line[:place]
    return "\n".join(lines) + "\n"
