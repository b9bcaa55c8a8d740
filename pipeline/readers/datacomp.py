"""DataComp's metadata: `<stem>.parquet` beside `<stem>.npz`, whose arrays are float16 or float32.

The large pools keep them in `part_*/` folders. Arrays are asked for by name (`b32_img`, `l14_img`, …),
because their set differs between producers.
"""

from __future__ import annotations

from pathlib import Path

from indexes.errors import DataError
from pipeline.readers import _files, _paired
from pipeline.readers._contract import Shard, ShardRows, no_image, no_images
from pipeline.sets import columns
from pipeline.sets.source import Source

DEFAULT_ARRAY = "b32_img"
# DataComp knows its samples by uid alone; a producer with dataset2metadata's own names may bring a key.
KEYS = (*columns.KEY_NAMES, "uid")

images = no_images
image = no_image


def recognises(path: Path) -> bool:
    """Tell whether some .npz has a .parquet of the same stem."""
    try:
        return any(file.with_suffix(".parquet").is_file() for file in _find(path, ".npz").values())
    except (DataError, OSError):
        return False


def shards(source: Source) -> list[Shard]:
    """Pair Parquet and npz by stem.

    Raises:
        DataError: If a partner is missing or a file is damaged.
        ShapeError: If a pair differs in rows, or two shards in width.
        UnknownNameError: If an npz lacks the array; the message lists what it has.
    """
    root = Path(source.path).absolute()
    array = source.embedding or DEFAULT_ARRAY
    return _paired.pair(_find(root, ".parquet"), _find(root, ".npz"), (root, root), array)


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one shard."""
    return _paired.read(shard, KEYS)


def _find(root: Path, ending: str) -> dict[str, Path]:
    """Give the files by stem, over the folder and its `part_*` folders."""
    parts = sorted(child for child in root.iterdir() if child.name.startswith("part_") and child.is_dir())
    found: dict[str, Path] = {}
    for folder in (root, *parts):
        for file in sorted(_files.listing(folder, ending)):
            if file.stem in found:
                raise DataError(f"'{found[file.stem]}' and '{file}' have the same name; keep one of the two")
            found[file.stem] = file
    return found
