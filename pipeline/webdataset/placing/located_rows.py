"""Which of the located samples fall into some buckets: only the row groups that hold them are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.webdataset.placing.sample_places import LOCATED
from pipeline.webdataset.sample_order import buckets


def rows_between(files: Sequence[str], first: int, last: int, count: int) -> pa.Table:
    """Read the samples of the buckets `first` to `last`, of `count`, from files that are sorted by `order`."""
    found = [LOCATED.empty_table()]
    for path in files:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            groups = [
                group
                for group in range(file.num_row_groups)
                if _reaches(file.metadata.row_group(group).column(0).statistics, first, last, count)
            ]
            if groups:
                table = file.read_row_groups(groups)
                of = buckets(table.column("order").to_numpy(), count)
                found.append(table.filter(pa.array((of >= first) & (of <= last))))
    return pa.concat_tables(found)


def _reaches(order: pq.Statistics, first: int, last: int, count: int) -> bool:
    low, high = buckets(np.array([order.min, order.max], np.uint64), count)
    return bool(low <= last and high >= first)
