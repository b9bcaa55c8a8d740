"""DataComp's metadata: `<stem>.parquet` beside `<stem>.npz`, whose arrays are float16 or float32.

The large pools keep them in `part_*/` folders. Arrays are asked for by name (`b32_img`, `l14_img`, …),
because their set differs between producers.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from indexes.errors import DataError
from pipeline.files.vector_file import array_names
from pipeline.readers import _files, _paired
from pipeline.readers._contract import Shard, ShardRead, ShardRows, no_image, no_images, noted
from pipeline.readers._leftover import left_out
from pipeline.sets import columns
from pipeline.sets.source import NameText, ReaderOptions, Source

DEFAULT_ARRAY = "b32_img"


class Options(ReaderOptions):
    """Which arrays of the npz files are compared."""

    embedding: NameText = Field(
        default=DEFAULT_ARRAY, description="Array of the npz files that holds the image embeddings."
    )
    text_embedding: NameText | None = Field(
        default=None,
        description="Array of the caption embeddings; omitted, that of `embedding` with _txt for _img.",
    )


# DataComp knows its samples by uid alone; a producer with dataset2metadata's own names may bring a key.
KEYS = (*columns.KEY_NAMES, "uid")

images = no_images
image = no_image


def recognises(path: Path) -> bool:
    """Tell whether some .npz has a .parquet of the same stem."""
    try:
        stems = ({file.stem for file in _listed(path, ending)} for ending in (".npz", ".parquet"))
        return bool(set.intersection(*stems))
    except (DataError, OSError):
        return False


def shards(source: Source) -> list[Shard]:
    """Pair Parquet and npz by stem.

    Raises:
        DataError: If a partner is missing or a file is damaged.
        ShapeError: If a pair differs in rows, or two shards in width.
        UnknownNameError: If an npz lacks the array; the message lists what it has.
    """
    root, options = Path(source.path).absolute(), Options(**source.options)
    files = _find(root, ".npz")
    held = array_names(str(next(iter(files.values())))) if files else ()
    arrays = {name: _paired.Arrays(files, name) for name in held}
    arrays["image"] = _paired.Arrays(files, options.embedding)
    text = options.text_embedding or options.embedding.removesuffix("_img") + "_txt"
    if options.text_embedding or text in held:
        arrays["text"] = _paired.Arrays(files, text)
    found = _paired.pair(_find(root, ".parquet"), arrays, (root, root))
    return noted(found, left_out([root, *_parts(root)], _paired.files_of(found)))


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one shard."""
    return _paired.rows_of(shard, KEYS)


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read the metadata of one shard."""
    return _paired.TableRead(shard, KEYS)


def _find(root: Path, ending: str) -> dict[str, Path]:
    """List the files by stem, over the folder and its `part_*` folders."""
    found: dict[str, Path] = {}
    for file in _listed(root, ending):
        if file.stem in found:
            raise DataError(f"'{found[file.stem]}' and '{file}' have the same name; keep one of the two")
        found[file.stem] = file
    return found


def _listed(root: Path, ending: str) -> list[Path]:
    return [file for folder in (root, *_parts(root)) for file in sorted(_files.listing(folder, ending))]


def _parts(root: Path) -> list[Path]:
    return sorted(child for child in root.iterdir() if child.name.startswith("part_") and child.is_dir())
