"""negCLIPLoss: does the caption fit the image better than others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.kernels.contrastive import Batch, neg_clip_loss
from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from indexes.scanner import ScanOptions


@dataclass(frozen=True, slots=True)
class NegClipLoss(Measure):
    """CLIP score less what the pair scores with the other pairs of a batch, in logs (Wang et al. 2024, negCLIPLoss).

    * `batch`: pairs in it. They are drawn from the pool once, by hash of the uid, and every sample is judged within
      the same batch, itself included; so order, shards and workers change nothing, and a stream can be scored. The
      published code shuffles a file into batches of 32,768 and takes the mean over several shuffles: each sample then
      has neighbours of its own, from its own file. Both estimate the same expectation over the pool.
    * `temperature`: T of the loss, 0.01 as CLIP has learned it.

    The cost is two products of each sample with the batch, in float64: T divides by a hundred, so an error of float32
    would show in the fourth digit of a term.
    """

    batch: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 32_768
    temperature: Annotated[float, Field(strict=True, gt=0, le=10)] = 0.01
    needs: ClassVar[tuple[str, ...]] = ("image", "text")

    def columns(self) -> tuple[Column, ...]:
        """The score alone."""
        return (Column("neg_clip_loss", pa.float64(), "negative contrastive loss, higher fits better"),)

    def sample_rows(self) -> int:
        """Pairs of the batch."""
        return self.batch

    def train(self, sample: Block, options: ScanOptions = DEFAULTS) -> Model:
        """Keep the batch as it is; a smaller pool gives all it has."""
        return {
            "image": sample.vectors["image"],
            "text": sample.vectors["text"],
            "uids": sample.uids,
        }

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Widen the batch once for all blocks of a part."""
        return _Contrasting(self, model)

    def apply(self, block: Block, model: Model) -> Columns:
        """Score each pair within the batch."""
        return _Contrasting(self, model).apply(block)


class _Contrasting(Running):
    """Holds the batch in float64, and its uids in their order."""

    def __init__(self, measure: NegClipLoss, model: Model) -> None:
        super().__init__(measure, model)
        self._temperature = measure.temperature
        self._batch = Batch(*(model[kind].astype(np.float64) for kind in ("image", "text")))
        uids = _sortable(model["uids"])
        self._order = np.argsort(uids)
        self._uids = uids[self._order]

    def apply(self, block: Block) -> Columns:
        uids = _sortable(block.uids)
        found = np.searchsorted(self._uids, uids).clip(max=len(self._uids) - 1)
        itself = np.where(self._uids[found] == uids, self._order[found], -1)
        pairs = Batch(block.vectors["image"], block.vectors["text"])
        return {"neg_clip_loss": neg_clip_loss(pairs, self._batch, itself, self._temperature)}


def _sortable(uids: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """See `(n, 2)` uids as `(n,)` values of 16 bytes, in the order of their bytes."""
    return np.ascontiguousarray(uids.astype(">u8")).view("S16")[:, 0]
