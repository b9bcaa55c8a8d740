"""Intra-class similarity: how near a sample is to others of its class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.grouped import Grouped, group_column, needed_for
from curation.kernels.pairwise import mean_to_others
from curation.measure import Block, Column, Columns
from indexes.scanner import ScanOptions


@dataclass(frozen=True, slots=True)
class IntraClass(Grouped):
    """The mean similarity of a sample to the others of its class, of at most `most` samples a class (LAIONet).

    The mean over a class is the mean over all its pairs. LAIONet takes the first 100 rows of a class; ours are drawn:
    those with the lowest md5 of the dashed uid, a colon and the seed, as rule random has it. `of: text` compares the
    captions' embeddings: 1 minus that is the dispersion of captions within a class (arXiv 2310.04971). `within` says
    what a class is: the one class of a caption by default, or a column of the pool such as `label`.
    """

    of: Literal["image", "text"] = "image"
    within: Annotated[str, Field(strict=True, min_length=1)] = "classes.single"
    most: Annotated[int, Field(strict=True, ge=2, le=1000)] = 100
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0

    def requires(self) -> tuple[str, ...]:
        """Embeddings, and what says the class."""
        return (self.of, *needed_for(self.grouped_by()))

    def grouped_by(self) -> str | None:
        """As the plan says."""
        return group_column(self.within)

    def columns(self) -> tuple[Column, ...]:
        """The similarity, and which samples were drawn."""
        return (
            Column("similarity", pa.float64(), "mean similarity to the other drawn samples of the class"),
            Column("drawn", pa.bool_(), "whether the sample was drawn for it; the others have no similarity"),
        )

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Draw, and compare all with all."""
        chosen = drawn(group.uids, self.most, self.seed)
        found = np.full(len(group), np.nan)
        if len(chosen) > 1:
            found[chosen] = mean_to_others(np.asarray(group.vectors[self.of][chosen]))
        taken = np.zeros(len(group), bool)
        taken[chosen] = True
        return {"similarity": pa.array(found, mask=np.isnan(found)), "drawn": taken}


def drawn(uids: NDArray[np.uint64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw rows of `(n, 2)` uids by hash, at most `most`; return their positions, ascending."""
    if len(uids) <= most:
        return np.arange(len(uids))
    hashes = np.fromiter((_hash(high, low, seed) for high, low in uids.tolist()), np.uint64, len(uids))
    return np.sort(np.lexsort((uids[:, 1], uids[:, 0], hashes))[:most])


def _hash(high: int, low: int, seed: int) -> int:
    text = f"{high:016x}{low:016x}"
    dashed = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    digest = hashlib.md5(f"{dashed}:{seed}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")
