"""What a file of a set is, by how its name ends, and what becomes of it where the set is on a store."""

from __future__ import annotations

SHARDS = (".tar", ".parquet", ".npy", ".npz")
"""Files that are read here and there, or more than once: on a store until a unit needs them, which has them whole."""
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
"""Tars that no reader takes: they are refused by their names, and never brought."""
IMAGE_KINDS = ("jpg", "png", "jpeg", "webp", "gif", "jfif", "bmp", "tif", "tiff", "avif")
"""How the names of images end; of several in one sample the first is taken, which open_clip would take as well."""
IMAGE_SUFFIXES = frozenset(f".{kind}" for kind in IMAGE_KINDS)
"""Single images are read from their first byte to the last: of a large set on a store, from there, and never kept."""
