"""negCLIPLoss: does the caption fit the image better than others do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.kernels.contrastive import Batch, neg_clip_loss
from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model
from indexes.scanner import ScanOptions


@dataclass(frozen=True, slots=True)
class NegClipLoss(Measure):
    """CLIP score less what the pair scores with the other pairs of a batch, in logs (Wang et al. 2024, negCLIPLoss).

    * `batch`: pairs in it. They are drawn from the pool once, by hash of the uid, and every sample is judged within
      the same batch, itself included; so order, shards and workers change nothing, and a stream can be scored. The
      published code shuffles a file into batches of 32,768 and takes the mean over several shuffles: each sample then
      has neighbours of its own, from its own file. Both estimate the same expectation over the pool.
    * `temperature`: T of the loss, 0.01 as CLIP has learned it.

    The cost is two products of each sample with the batch.
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

    def apply(self, block: Block, model: Model) -> Columns:
        """Score each pair within the batch."""
        places = {(high, low): place for place, (high, low) in enumerate(model["uids"].tolist())}
        itself = np.array([places.get((high, low), -1) for high, low in block.uids.tolist()], np.int64)
        pairs = Batch(block.vectors["image"], block.vectors["text"])
        batch = Batch(model["image"], model["text"])
        return {"neg_clip_loss": neg_clip_loss(pairs, batch, itself, self.temperature)}
