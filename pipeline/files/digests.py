"""sha256 of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.files.afar.far_reading import open_near_or_far


def sha256_of(path: Path) -> str:
    """Hash a file as a stream; lowercase hex."""
    with open_near_or_far(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
