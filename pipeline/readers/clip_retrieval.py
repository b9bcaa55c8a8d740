"""clip-retrieval's embedding folder: `img_emb/img_emb_<i>.npy` beside `metadata/metadata_<i>.parquet`.

Row r of an .npy is row r of the Parquet file of the same number, however many zeros pad it. The folder of the
metadata may have another name (LAION-5B hosts `laion2B-en-metadata`): `metadata` in the plan names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.readers import _files, _paired
from pipeline.readers._contract import Shard, ShardRead, ShardRows, no_image, no_images, noted
from pipeline.readers._leftover import left_out
from pipeline.sets import columns
from pipeline.sets.ingest_request import PathText
from pipeline.sets.source import ReaderOptions, Source

# clip-retrieval copies webdataset's __key__ there; a `key` beside it is what the sample's JSON said.
KEYS = ("image_path", *(name for name in columns.KEY_NAMES if name != "image_path"))


class Options(ReaderOptions):
    """Where the metadata is."""

    metadata: PathText | None = Field(
        default=None, description="Folder of the metadata, where it is not `metadata`."
    )
    paths: ClassVar[tuple[str, ...]] = ("metadata",)


images = no_images
image = no_image


def recognises(path: Path) -> bool:
    """Tell whether there is an `img_emb` folder with .npy files."""
    return _files.holds(path / "img_emb", ".npy")


def shards(source: Source) -> list[Shard]:
    """Pair vectors and metadata by number.

    Raises:
        DataError: If a partner is missing or a file is damaged.
        ShapeError: If a pair differs in rows, or two shards in width.
    """
    root, options = Path(source.path).absolute(), Options(**source.options)
    metadata = _files.folder_beside(root, options.metadata, "metadata", "metadata")
    tables = _files.by_number(_files.listing(metadata, ".parquet"))
    arrays = {"image": _paired.Arrays(_files.by_number(_files.listing(root / "img_emb", ".npy")))}
    if _files.holds(root / "text_emb", ".npy"):
        arrays["text"] = _paired.Arrays(_files.by_number(_files.listing(root / "text_emb", ".npy")))
    found = _paired.pair(tables, arrays, (metadata, root / "img_emb"))
    folders = [root, metadata, *(root / f"{'img' if name == 'image' else name}_emb" for name in arrays)]
    what = "the metadata and vector files"
    gaps = _files.short_of(tables.values(), what) or _files.gaps(tables, what)
    return noted(found, (*gaps, *left_out(folders, _paired.files_of(found))))


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one shard."""
    return _paired.rows_of(shard, KEYS)


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read the metadata of one shard."""
    return _paired.TableRead(shard, KEYS)
