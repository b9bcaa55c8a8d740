"""The `samples/` table: one row per readable sample of a set, in the same form for every format."""

from __future__ import annotations

import pyarrow as pa

# Columns that every part has; a pool's own column of such a name means the same thing or is renamed.
OWN_NAMES = ("uid", "part", "row", "key", "url", "caption", "label", "image_sha256")
LOST_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("uid", pa.string()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
    ]
)
