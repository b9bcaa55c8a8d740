"""Thinning: the level of similarity at which a sample of a group would go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.grouped import Grouped, group_column, needed_for
from curation.measure import Block, Column, Columns
from indexes.greedy.farthest import farthest_first
from indexes.scanner import ScanOptions

FIRST = -2.0
"""The level of a group's first sample, which no level drops: below every similarity."""


@dataclass(frozen=True, slots=True)
class Thinning(Grouped):
    """The greedy order by minimum similarity: one pass serves a sweep of levels.

    Samples of a group are taken farthest first: the lowest uid, then ever the sample whose highest similarity to those
    taken is lowest (ties: the lower uid); that similarity is its `level`, which rises along the order. Keeping what
    has a level of t or less leaves, in each group, no two samples more similar than t, and nothing that went could
    have stayed. `within` groups: `clusters.cluster`, or a column of the pool such as its class; `pool` takes it
    whole.
    """

    within: Annotated[str, Field(strict=True, min_length=1)] = "clusters.cluster"

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, and what groups."""
        return ("image", *needed_for(self.grouped_by()))

    def grouped_by(self) -> str | None:
        """As the plan says."""
        return group_column(self.within)

    def columns(self) -> tuple[Column, ...]:
        """Level and place."""
        return (
            Column(
                "level", pa.float64(), "highest similarity to a sample taken before; -2 for the group's first"
            ),
            Column("place", pa.int64(), "place in the farthest-first order of the group, from 0"),
        )

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Order the group."""
        found = farthest_first(group.vectors["image"], group.uids, options)
        return {"level": np.maximum(found.level, FIRST), "place": found.place}
