"""What a caption's length is, counted as DataComp counts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.measure import CAPTION, Block, Column, Columns, Measure, Model


@dataclass(frozen=True, slots=True)
class Captions(Measure):
    """Words and characters of a caption (DataComp `baselines/apply_filter.py`, the basic filter).

    Words are what Python's `str.split()` gives; characters are code points, untrimmed. A missing caption has neither.
    """

    needs: ClassVar[tuple[str, ...]] = (CAPTION,)

    def columns(self) -> tuple[Column, ...]:
        """Two counts."""
        return (
            Column("words", pa.int32(), "words of the caption, by white space"),
            Column("characters", pa.int32(), "code points of the caption, white space included"),
        )

    def apply(self, block: Block, model: Model) -> Columns:
        """Count caption by caption."""
        texts = block.columns[CAPTION].to_pylist()
        missing = np.array([text is None for text in texts], dtype=bool)
        words = np.array([0 if text is None else len(text.split()) for text in texts], dtype=np.int32)
        characters = np.array([0 if text is None else len(text) for text in texts], dtype=np.int32)
        return {"words": pa.array(words, mask=missing), "characters": pa.array(characters, mask=missing)}
