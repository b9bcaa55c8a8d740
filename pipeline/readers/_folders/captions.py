"""Files that tell the captions of many images: Hugging Face's `metadata.csv` and `.jsonl`, COCO's captions JSON.

A Hugging Face file names images by `file_name`, relative to its own folder. COCO's names them without the folder
that they lie in, and has several captions an image, of which readers take the one of the lowest id.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import DataError
from pipeline.readers._described import decoded
from pipeline.sets import columns

_TABLES = ("metadata.csv", "metadata.jsonl")
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
    """

    folder: str
    anywhere: bool
    images: Mapping[str, Fields]

    def of(self, key: str) -> Fields | None:
        """Find what it says of an image, by the image's path inside the set; None if nothing."""
        if self.anywhere:
            parts = key.split("/")
            names = ("/".join(parts[at:]) for at in range(len(parts)))
            return next((self.images[name] for name in names if name in self.images), None)
        return self.images.get(key.removeprefix(self.folder)) if key.startswith(self.folder) else None

    def missing(self, keys: Iterable[str], file: str) -> tuple[str, ...]:
        """Note the images that it names and that are not there; none where all are."""
        there: set[str] = set()
        for key in keys:
            parts = key.split("/")
            there |= {"/".join(parts[at:]) for at in range(len(parts) if self.anywhere else 0)}
            there |= {key.removeprefix(self.folder)} if key.startswith(self.folder) else set()
        gone = sorted(self.images.keys() - there)
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
    kind, text = Path(file).suffix.lower(), decoded(content, odd)
    if kind == ".json":
        return _coco(text)
    try:
        rows = list(csv.DictReader(io.StringIO(text))) if kind == ".csv" else _lines(text)
    except (csv.Error, ValueError, RecursionError) as error:
        raise DataError(
            f"'{file}' cannot be read ({error}): it should have one row for each image, with its file_name. "
            "Write it again, or take it away"
        ) from error
    named = {posixpath.normpath(str(row["file_name"])): row for row in reversed(rows) if row.get("file_name")}
    return Told(folder, False, named) if named else None


def _lines(text: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    return [row for row in rows if isinstance(row, dict)]


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
    return Told("", True, named) if named else None


def _one_or_many(captions: list[Any]) -> Any:
    """Give a caption that is alone as itself, so that only lists of several count as lists."""
    return captions if len(captions) > 1 else next(iter(captions), None)
