"""LAION's metadata Parquet: urls and captions without images, perhaps with a folder of .npy embeddings.

LAION-400M, LAION-5B (raw and joined) and Re-LAION name and order their columns differently, so columns are
found by name. Values are passed on as they are, however odd: a similarity of 6016 is the producer's, and a
`where` rule's to judge.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from indexes.errors import DataError
from pipeline.files.parquet import parquet_rows, parquet_schema
from pipeline.readers import _files, _paired
from pipeline.readers._contract import Shard, ShardRead, ShardRows, no_image, no_images, noted
from pipeline.readers._leftover import left_out
from pipeline.readers._tars.packed_tars import PROGRAMS
from pipeline.readers.image_parquet import image_column, is_counted
from pipeline.sets import columns
from pipeline.sets.ingest_request import PathText
from pipeline.sets.source import ReaderOptions, Source

_RAW_LAYOUT = {"SAMPLE_ID", "URL", "TEXT", "HEIGHT", "WIDTH"}
_SPARK_PART = re.compile(r"part-([0-9]+)-")
_LAION_400M_FILES = 32


class Options(ReaderOptions):
    """Where embeddings are, if there are any."""

    embeddings: PathText | None = Field(
        default=None, description="Folder of .npy files that pair with the metadata files."
    )
    paths: ClassVar[tuple[str, ...]] = ("embeddings",)


images = no_images
image = no_image


def recognises(path: Path) -> bool:
    """Tell whether there is Parquet with urls or captions, no images in it, and neither tars nor npz beside it."""
    try:
        files = _files.parquets(path)
        if not files or _beside_images(path, files):
            return False
    except DataError:
        return False
    try:
        schema = parquet_schema(files[0])
    except DataError:
        return not is_counted(files[0])  # damaged: reading it will say so, which is the better answer
    if files[0].name.lower() == "metadata.parquet" and "file_name" in schema.names:
        return False  # a table of Hugging Face's image folders
    told = any(columns.find(schema.names, columns.ALIASES[role]) is not None for role in ("url", "caption"))
    return told and image_column(schema) is None


def shards(source: Source) -> list[Shard]:
    """List the Parquet files in numeric order, and pair them with the embeddings where the plan names some.

    Raises:
        DataError: If a file is damaged, or a partner is missing.
        ShapeError: If a pair differs in rows, or two shards in width.
    """
    root, options = Path(source.path).absolute(), Options(**source.options)
    files = _files.parquets(root)
    what = "the metadata files"
    gaps = _files.short_of(files, what) or _files.gaps(_numbers(files), what)
    folders = [root] if root.is_dir() else []
    if options.embeddings is None:
        counts = _files.side_by_side(parquet_rows, files)
        found = [
            Shard(number, file.stem, (str(file),), {}, False, rows)
            for number, (file, rows) in enumerate(zip(files, counts, strict=True))
        ]
    else:
        folder = _files.folder_beside(root, options.embeddings, "img_emb", "embeddings")
        folders.append(folder)
        found = _with_vectors(files, _files.listing(folder, ".npy"), (root, folder))
    return noted(found, (*gaps, *left_out(folders, _paired.files_of(found))))


def _with_vectors(files: list[Path], arrays: list[Path], folders: tuple[Path, Path]) -> list[Shard]:
    """Pair metadata and vectors by number; by the order of their names where some have none."""
    if _numbers(files) and _numbers(arrays):
        return _paired.pair(_numbers(files), {"image": _paired.Arrays(_numbers(arrays))}, folders)
    arrays.sort(key=lambda file: _files.natural(file.name))
    return _paired.pair(dict(enumerate(files)), {"image": _paired.Arrays(dict(enumerate(arrays)))}, folders)


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one file."""
    return _paired.rows_of(shard, columns.KEY_NAMES, _notes)


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read the metadata of one file."""
    return _paired.TableRead(shard, columns.KEY_NAMES, _notes)


def _beside_images(path: Path, files: list[Path]) -> bool:
    """Tell whether the Parquet is another format's: img2dataset's tars or folders of files, DataComp's npz."""
    if any(file.with_suffix("").is_dir() for file in files):
        return True
    return path.is_dir() and any(_files.holds(path, ending) for ending in (".tar", ".npz", *PROGRAMS))


def _numbers(files: list[Path]) -> dict[int, Path]:
    """List the files by Spark's part number or the number at the end; nothing where some file has none."""
    numbered: dict[int, Path] = {}
    for file in files:
        match = _SPARK_PART.match(file.name) or re.search(r"([0-9]+)$", file.stem)
        if match is None or int(match.group(1)) in numbered:
            return {}
        numbered[int(match.group(1))] = file
    return numbered


def _notes(path: str, schema: pa.Schema) -> tuple[str, ...]:
    """Tell when WIDTH and HEIGHT may be each other's.

    The raw files of LAION-5B have them swapped, and LAION's own join and statistics scripts swap them back;
    joined files are in order. LAION-400M has the same raw columns, unswapped as far as is known, but no
    LANGUAGE and only 32 files where each part of LAION-5B has 128.
    """
    names = set(schema.names)
    if not names >= _RAW_LAYOUT:
        return ()
    part = _SPARK_PART.match(Path(path).name)
    many = part is not None and int(part.group(1)) >= _LAION_400M_FILES
    why = "it has LANGUAGE" if "LANGUAGE" in names else f"part {part.group(1)}" if part and many else ""
    which = f"of LAION-5B ({why})" if why else "of LAION-400M or LAION-5B"
    verdict = "are swapped" if why else "are swapped if it is LAION-5B"
    return (
        f"raw layout {which}: WIDTH and HEIGHT {verdict}, as LAION's own scripts take them; "
        "their values are passed on unchanged, so name the other one in a size rule",
    )
