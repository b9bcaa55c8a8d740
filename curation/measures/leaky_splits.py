"""Leaks across splits that a pool brings, as fiftyone finds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.grouped import Grouped, group_column, needed_for
from curation.kernels.leaky_joins import joins
from curation.kernels.uid_names import hex_names
from curation.measure import Block, Column, Columns
from indexes.scanner import ScanOptions

Name = Annotated[str, Field(strict=True, min_length=1)]


@dataclass(frozen=True, slots=True)
class LeakySplits(Grouped):
    """What fiftyone-brain's `compute_leaky_splits` calls a leak, for users who compare with it.

    Samples are taken in the order of their uids. One that is still kept takes away all later ones whose cosine
    distance, of embeddings *less their mean*, is at most `distance`; each of those joins the kept sample that is
    nearest. A leak is a join of samples whose column `split` differs, and both are leaks. Since only kept samples are
    joined to, a pair across splits can be missed; `duplicates` and `near` look at every pair.

    `within` groups: `pool` takes it whole, which costs the products of every kept sample with all later ones.
    """

    split: Name = "split"
    distance: Annotated[float, Field(strict=True, gt=0, lt=2)] = 0.2
    within: Name = "pool"

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, the split, and what groups."""
        return tuple(dict.fromkeys(("image", self.split, *needed_for(self.grouped_by()))))

    def grouped_by(self) -> str | None:
        """As the plan says."""
        return group_column(self.within)

    def columns(self) -> tuple[Column, ...]:
        """The join, and whether it leaks."""
        return (
            Column("joined", pa.string(), "uid of the nearest kept sample; NULL for one that is kept"),
            Column(
                "cosine", pa.float64(), "cosine to that sample, of embeddings less their mean; NULL likewise"
            ),
            Column("leak", pa.bool_(), "whether a join of this sample, to it or from it, crosses the splits"),
        )

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Join the group's samples; they come in the order of their uids."""
        to, cosine = joins(np.asarray(group.vectors["image"]), self.distance)
        codes = pc.dictionary_encode(group.columns[self.split], null_encoding="encode")
        code = (codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes).indices.to_numpy()
        gone = np.flatnonzero(to >= 0)
        across = gone[code[gone] != code[to[gone]]]
        leak = np.zeros(len(group), bool)
        leak[across] = leak[to[across]] = True
        names = hex_names(group.uids[to])
        return {
            "joined": pa.array(names, pa.string(), mask=to < 0),
            "cosine": pa.array(cosine, mask=to < 0),
            "leak": leak,
        }
