"""Similarity to a benchmark: how near a sample comes to any of its queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.measure import QUERIES, Block, Column, Columns, Measure, Model


@dataclass(frozen=True, slots=True)
class Similarity(Measure):
    """Highest similarity and highest margin over the queries of one benchmark (Mayilvahanan et al. 2024, sec. 3).

    There is one for each benchmark of a plan, called as the benchmark is. `margin` is the largest of
    `similarity - threshold` over the queries, where a query's threshold is the similarity of the nearest sample of the
    reference; above 0, the sample is nearer to some query than the reference comes.
    """

    benchmark: str
    needs: ClassVar[tuple[str, ...]] = ("image", QUERIES)

    def columns(self) -> tuple[Column, ...]:
        """Similarity and margin, each with the query that has it."""
        return (
            Column(
                "similarity", pa.float64(), "highest similarity to any query, in [-1, 1], higher is closer"
            ),
            Column(
                "nearest", pa.int32(), "position of that query in the benchmark; ties go to the lower one"
            ),
            Column("margin", pa.float64(), "highest similarity - threshold; NULL without a reference"),
            Column("margin_query", pa.int32(), "position of the query that has the margin"),
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Lay out what the search found."""
        scores = block.scores
        if scores is None:
            raise TypeError("similarity was not given the scores of a search")
        found = {"similarity": _first(scores.similarity), "nearest": _first(scores.nearest)}
        if scores.margin is None or scores.margin_query is None:
            empty = pa.nulls(len(block), pa.float64()), pa.nulls(len(block), pa.int32())
            return found | {"margin": empty[0], "margin_query": empty[1]}
        return found | {"margin": _first(scores.margin), "margin_query": _first(scores.margin_query)}


def _first(values: np.ndarray) -> np.ndarray:
    """Take the column of `(m, 1)` values."""
    return np.ascontiguousarray(values[:, 0])
