"""What Arrow reads a file from, wherever it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.files.afar.far_reading import open_far


@contextlib.contextmanager
def arrow_source(path: Path) -> Iterator[Path | pa.NativeFile]:
    """Give the path of a file of this machine, and the open file for one of a set on a store.

    Raises:
        DataError: As `open_far`.
        OutputError: As `open_far`.
    """
    far = open_far(path)
    if far is None:
        yield path
    else:
        with far, pa.PythonFile(far, mode="r") as file:
            yield file
