"""Members of one tar of an export as columns, in the order in which they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.webdataset.json_uid import MAX_JSON_BYTES
from pipeline.webdataset.unpickled import told_by_name

MADE = -1
"""Where a member lies that the source has not."""


@dataclass(frozen=True, slots=True)
class MemberColumns:
    """Members, of all samples one after the other.

    Attributes:
        kinds: What members are: `jpg`, `json`, `mask.png`, ….
        sample: `(n,)` number of its sample.
        kind: `(n,)` position in `kinds`.
        offset: `(n,)` where its bytes lie in the source; `MADE` where the source has it not.
        size: `(n,)` bytes that it has there.
        looked_at: `(n,)` whether its bytes are looked at, or made, before they are written.
        begins: `(samples + 1,)` the first member of each sample, and the number of all.
        left_out: Members that are none of these, since a loader would unpickle them, by kind.
    """

    kinds: list[str]
    sample: NDArray[np.int64]
    kind: NDArray[np.int64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    looked_at: NDArray[np.bool_]
    begins: NDArray[np.int64]
    left_out: Counter[str]


def member_columns(rows: pa.Table) -> MemberColumns:
    """Lay out the members of samples: those of the source in its order, then a json, a txt and a cls that it has not.

    Args:
        rows: As `LOCATED` describes them.
    """
    lists = rows.column("kinds").combine_chunks()
    named = lists.flatten().dictionary_encode()
    kinds = list(dict.fromkeys([*named.dictionary.to_pylist(), "json", "txt", "cls"]))
    json, txt, cls = (kinds.index(kind) for kind in ("json", "txt", "cls"))
    of = named.indices.to_numpy().astype(np.int64)
    sample = np.repeat(np.arange(len(rows)), pc.list_value_length(lists).to_numpy())
    captioned, numbered = (rows.column(name).is_valid().to_numpy() for name in ("caption", "cls"))
    by_name = [told_by_name(kind) for kind in kinds]
    stays = np.array([told is not True for told in by_name])[of]
    lacking = (
        _lacking(sample, of == json, len(rows)),
        _lacking(sample, of == txt, len(rows)) & captioned,
        _lacking(sample, of == cls, len(rows)) & numbered,
    )
    made = [np.flatnonzero(one) for one in lacking]
    sample = np.concatenate([sample[stays], *made])
    order = np.argsort(sample, kind="stable")

    def column(own: NDArray[np.int64], others: Sequence[int]) -> NDArray[np.int64]:
        filled = [np.full(len(one), other) for one, other in zip(made, others, strict=True)]
        return np.concatenate([own[stays], *filled])[order]

    kind = column(of, (json, txt, cls))
    offset, size = (
        column(rows.column(name).combine_chunks().flatten().to_numpy(), (missing, missing, missing))
        for name, missing in (("offsets", MADE), ("sizes", 0))
    )
    sample = sample[order]
    looked_at = np.array([told is None for told in by_name])[kind]
    looked_at |= ((kind == json) & (size <= MAX_JSON_BYTES)) | ((kind == txt) & captioned[sample])
    looked_at |= (kind == cls) & numbered[sample]
    counts = np.bincount(sample, minlength=len(rows))
    begins = np.concatenate([[0], np.cumsum(counts)])
    gone = np.bincount(of[~stays], minlength=len(kinds)).tolist()
    left_out = Counter({kind: count for kind, count in zip(kinds, gone, strict=True) if count})
    return MemberColumns(kinds, sample, kind, offset, size, looked_at, begins, left_out)


def _lacking(sample: NDArray[np.int64], has: NDArray[np.bool_], samples: int) -> NDArray[np.bool_]:
    lacking: NDArray[np.bool_] = np.bincount(sample[has], minlength=samples) == 0
    return lacking
