"""Lists of each query's nearest samples, from many parts into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.passes.running_search import NEAREST_SCHEMA
from pipeline.sets.uids import as_pairs


def merge(tables: Sequence[pa.Table], k: int) -> pa.Table:
    """Keep each query's `k` nearest, by query and then nearest first; ties by the lower uid.

    Args:
        tables: Of one schema, `NEAREST_SCHEMA` or more; each may list up to any number of samples for a query.
        k: How many to keep.
    """
    whole = pa.concat_tables(tables or [NEAREST_SCHEMA.empty_table()]).combine_chunks()
    if not len(whole):
        return whole
    query, similarity = (whole.column(name).to_numpy() for name in ("query", "similarity"))
    uids = as_pairs(whole.column("uid"))
    order = np.lexsort((uids[:, 1], uids[:, 0], -similarity, query))
    kept = order[ranks(query[order]) <= k]
    return whole.take(pa.array(kept))


def ranks(query: np.ndarray) -> np.ndarray:
    """Number the rows of each query from 1; queries are ascending."""
    first = np.concatenate([[True], query[1:] != query[:-1]]) if len(query) else np.zeros(0, bool)
    starts = np.flatnonzero(first)
    lengths = np.diff(np.append(starts, len(query)))
    return np.arange(len(query)) - np.repeat(starts, lengths) + 1
