"""Files that no record names: what runs left that were killed between one way to cut a set and another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline import layout
from pipeline.commit.records import records
from pipeline.files.storage import output_errors, remove_file

# Users keep notes beside tables: only what is called as a part is called can have been left by a run. What stages hand
# to one another is nobody's but theirs, whatever it is called.
_PART = re.compile(r"part-\d{4,}\.(parquet|npz)")
# Embeddings are dear, and stay when their part goes; what is in the others is not read as a table.
_OURS = "internal"
_SPARED = ("attempts", "commits", "embeddings", "report")


def remove_unowned(out: Path, stages: Iterable[str]) -> list[str]:
    """Remove each part file, and each file of `internal/`, that no record of any stage names; return their paths.

    People read a folder as one table, so a part too many is rows too many. The caller holds the lock of the output
    folder, and everything that it knows to be done has its record.
    """
    owned = {output.path for stage in stages for record in records(out, stage) for output in record.outputs}
    removed = []
    with output_errors(out):
        for name in sorted(set(layout.FOLDERS) - set(_SPARED)):
            if (out / name).is_symlink():
                continue
            for path in sorted((out / name).rglob("*" if name == _OURS else "part-*")):
                relative = path.relative_to(out).as_posix()
                left = name == _OURS or _PART.fullmatch(path.name)
                if left and path.is_file() and not path.is_symlink() and relative not in owned:
                    remove_file(out, relative)
                    removed.append(relative)
    return removed
