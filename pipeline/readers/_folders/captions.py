"""Files that tell the captions of many images: Hugging Face's `metadata` tables, COCO's captions JSON.

A Hugging Face file (`metadata.csv`, `.jsonl` or `.parquet`) names images by `file_name`, relative to its own folder.
COCO's names them without the folder that they lie in, and has several captions an image, of which readers take the
one of the lowest id.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import DataError
from pipeline.files.inflating.bounded_batches import at_most, bounded_batches, read_at_buffer
from pipeline.files.parquet import ROW_GROUP
from pipeline.readers._described import ROLES, decoded
from pipeline.sets import columns

_TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_FILE_NAME = "file_name"
# Spreadsheets of many countries write a semicolon into what they call comma-separated.
_DELIMITERS = ",;\t|"
_NAMED = 3
Fields = Mapping[str, Any]


def tells_captions(name: str) -> bool:
    """Tell by its name whether a file may be one of these; what is in it is seen when it is read."""
    lower = name.lower()
    return lower in _TABLES or (lower.startswith("captions") and lower.endswith(".json"))


@dataclass(frozen=True, slots=True)
class Told:
    """What one such file says.

    Attributes:
        folder: Key of the folder that its names are relative to, with a slash at its end; empty for the set itself.
        anywhere: Whether its images may lie in any folder of the set.
        images: What it says of each image, by the name that it has for it.
        loosely: The same by `columns.loose` of the names, for those that are not found as they are.
    """

    folder: str
    anywhere: bool
    images: Mapping[str, Fields]
    loosely: Mapping[str, Fields]

    @staticmethod
    def found(folder: str, anywhere: bool, images: Mapping[str, Fields]) -> Told | None:
        """Hold what a file says; None where it names no images."""
        loosely = {columns.loose(name): fields for name, fields in reversed(list(images.items()))}
        return Told(folder, anywhere, images, loosely) if images else None

    def _named(self, name: str) -> Fields | None:
        exact = self.images.get(name)
        return self.loosely.get(columns.loose(name)) if exact is None else exact

    def of(self, key: str) -> Fields | None:
        """Find what it says of an image, by the image's path inside the set; None if nothing."""
        if self.anywhere:
            parts = key.split("/")
            found = (self._named("/".join(parts[at:])) for at in range(len(parts)))
            return next((fields for fields in found if fields is not None), None)
        return self._named(key.removeprefix(self.folder)) if key.startswith(self.folder) else None

    def missing(self, keys: Iterable[str], file: str) -> tuple[str, ...]:
        """Note the images that it names and that are not there; none where all are."""
        there: set[str] = set()
        for key in keys:
            parts = key.split("/")
            there |= {"/".join(parts[at:]) for at in range(len(parts) if self.anywhere else 0)}
            there |= {key.removeprefix(self.folder)} if key.startswith(self.folder) else set()
        loosely = {columns.loose(name) for name in there}
        gone = sorted(name for name in self.images if columns.loose(name) not in loosely)
        if not gone:
            return ()
        first = ", ".join(map(ascii, gone[:_NAMED])) + (" …" if len(gone) > _NAMED else "")
        return (f"{columns.plain_text(file)} names {len(gone):,} images that are not in the set: {first}",)


def told_by(file: str, content: bytes, folder: str, odd: Counter[str]) -> Told | None:
    """Read such a file; None where it names no images, and so is another kind of file.

    Args:
        file: Its path, for messages; its name says its kind.
        content: Its bytes.
        folder: Key of the folder that it lies in, with a slash at its end; empty for the set itself.
        odd: Counts encodings that are not plain UTF-8.

    Raises:
        DataError: If a table of Hugging Face's cannot be read.
    """
    kind = Path(file).suffix.lower()
    if kind == ".json":
        return _coco(decoded(content, odd))
    try:
        rows = _parquet(content, file) if kind == ".parquet" else _ROWS[kind](decoded(content, odd))
    except (csv.Error, ValueError, RecursionError, pa.ArrowException, OSError) as error:
        raise DataError(
            f"'{file}' cannot be read ({error}): it should have one row for each image, with its file_name. "
            "Write it again, or take it away"
        ) from error
    named = {posixpath.normpath(str(row[_FILE_NAME])): row for row in reversed(rows) if row.get(_FILE_NAME)}
    return Told.found(folder, False, named)


def _table(text: str) -> list[dict[str, Any]]:
    first = text.partition("\n")[0]
    fits = (mark for mark in _DELIMITERS if _FILE_NAME in (name.strip('" \r') for name in first.split(mark)))
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=next(fits, ",")))


def _parquet(content: bytes, path: str) -> list[dict[str, Any]]:
    """Read file names and what has a role; a text that is no UTF-8 raises `UnicodeDecodeError`, a ValueError."""
    held = pa.py_buffer(content)
    with pq.ParquetFile(pa.BufferReader(held)) as file:
        names = [_FILE_NAME, *(name for role in ROLES for name in columns.ALIASES[role])]
        taken = [name for name in file.schema_arrow.names if name.lower() in names]
        found = bounded_batches(file, read_at_buffer(held), path, taken, ROW_GROUP)
        return [row for batch in at_most(found, path) for row in batch.to_pylist()]


def _lines(text: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    return [row for row in rows if isinstance(row, dict)]


_ROWS: dict[str, Callable[[str], list[dict[str, Any]]]] = {".csv": _table, ".jsonl": _lines}


def _coco(text: str) -> Told | None:
    try:
        content = json.loads(text)
        images = {image["id"]: image for image in content["images"]}
        said = sorted(content["annotations"], key=lambda one: (one["image_id"], one["id"]))
        captions: dict[Any, list[str]] = {}
        for one in said:
            captions.setdefault(one["image_id"], []).append(one["caption"])
        named = {
            str(image["file_name"]): {
                "caption": _one_or_many(captions.get(number, [])),
                "url": image.get("coco_url"),
            }
            for number, image in images.items()
        }
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    return Told.found("", True, named)


def _one_or_many(captions: list[Any]) -> Any:
    """Give a caption that is alone as itself, so that only lists of several count as lists."""
    return captions if len(captions) > 1 else next(iter(captions), None)
