"""CLIP score: does the caption fit the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.measure import Block, Column, Columns, Measure, Model


@dataclass(frozen=True, slots=True)
class ClipScore(Measure):
    """Cosine of a sample's image and text embedding, or the score that the pool brings in `column`.

    DataComp's pools bring `clip_b32_similarity_score` and `clip_l14_similarity_score`, LAION's `similarity`. Without a
    column it is the float64 inner product of the two stored float16 vectors, which is exact.
    """

    column: str | None = None
    needs: ClassVar[tuple[str, ...]] = ("image", "text")

    def requires(self) -> tuple[str, ...]:
        """Two vectors, or one column."""
        return self.needs if self.column is None else (self.column,)

    def columns(self) -> tuple[Column, ...]:
        """The score alone."""
        return (
            Column("clip_score", pa.float64(), "cosine of image and caption, in [-1, 1], higher fits better"),
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Multiply, or pass the pool's own score on; NaN is no score."""
        if self.column is not None:
            own = pa.chunked_array([block.columns[self.column]]).cast(pa.float64())
            values = own.to_numpy()
            return {"clip_score": pa.array(values, pa.float64(), mask=np.isnan(values))}
        image, text = (block.vectors[kind].astype(np.float64) for kind in self.needs)
        return {"clip_score": np.einsum("ij,ij->i", image, text)}
