"""Committed Parquet files, read one row group at a time; damage is said in the words of a run's own output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import DataError


class Committed:
    """An open file, its page checksums verified; every read names the file if it fails."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            DataError: If it is missing or damaged.
        """
        self.path = path
        with _named(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)

    def __enter__(self) -> Committed:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def groups(self) -> int:
        """Number of row groups."""
        return int(self._file.num_row_groups)

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self._file.schema_arrow.names)

    def outline(self) -> list[tuple[int, Any, Any]]:
        """Say, for each row group, its rows and the lowest and highest value of the first column.

        It is in the footer: nothing else is read. A file without such notes has None for both.
        """
        found = []
        for number in range(self.groups):
            group = self._file.metadata.row_group(number)
            noted = group.column(0).statistics
            known = noted is not None and noted.has_min_max
            found.append((group.num_rows, noted.min if known else None, noted.max if known else None))
        return found

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Read columns of a row group.

        Raises:
            DataError: If it is damaged.
        """
        with _named(self.path):
            return self._file.read_row_group(group, columns=list(columns))

    def empty(self, columns: Sequence[str]) -> pa.Table:
        """Make a table of these columns without rows."""
        return self._file.schema_arrow.empty_table().select(list(columns))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' was committed by the run but cannot be read now ({error}); `nearfar verify OUT --repair` "
            "on the output folder makes again what is damaged"
        ) from error
