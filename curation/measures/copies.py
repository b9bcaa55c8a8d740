"""Copies: samples of one hash, or of hashes that differ in few bits, and the one that stands for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.grouped import Grouped, group_column, needed_for
from curation.kernels.hamming import components, read_hashes
from curation.kernels.uid_names import hex_names
from curation.measure import Block, Column, Columns
from indexes.errors import PlanError
from indexes.scanner import ScanOptions

Name = Annotated[str, Field(strict=True, min_length=1)]


@dataclass(frozen=True, slots=True)
class Copies(Grouped):
    """Connected components of equal or nearly equal hashes; `dedup: {by: copies}` keeps one sample of each.

    * `by`: a column of the pool: `sha256`, which img2dataset writes, by default. With `bits: 0` any text or number will
      do, and equal ones are copies.
    * `bits`: for a hash of 64 bits, such as pHash: hashes that differ in at most so many bits are connected; 10 is a
      level in use. The column has 64-bit integers, or 16 hexadecimal digits as `imagehash` writes them.
    * `within`: with `bits`, only hashes of one group are compared: a column, `clusters.cluster`, or the whole `pool`.
    * `order`: a column; the lowest stands for the component, NULL comes last. By default, and among equals, the lower
      uid does.

    A sample without a hash is no copy of anything and gets NULL.
    """

    by: Name = "sha256"
    bits: Annotated[int, Field(strict=True, ge=0, le=32)] = 0
    within: Name | None = None
    order: Name | None = None

    def resolved(self, where: str) -> Self:
        """Refuse a group for equal hashes."""
        if self.bits == 0 and self.within is not None:
            raise PlanError(
                f"{where}.within is '{self.within}', but copies of bits: 0 are found over the whole pool at no cost; "
                "leave it out, or give bits from 1 to 32"
            )
        return self

    def requires(self) -> tuple[str, ...]:
        """The hash, and what groups and orders."""
        others = (*needed_for(self.grouped_by()), *needed_for(self.order))
        return tuple(dict.fromkeys((self.by, *others)))

    def grouped_by(self) -> str | None:
        """Equal hashes are a group of their own."""
        return self.by if self.bits == 0 else group_column(self.within or "pool")

    def columns(self) -> tuple[Column, ...]:
        """The representative, and how much it is like it."""
        return (
            Column("representative", pa.string(), "uid of the sample that stands for the component"),
            Column("size", pa.int64(), "samples of the component, this one included"),
            Column(
                "similarity", pa.float64(), "1 for a copy of another sample, 0 for the representative itself"
            ),
        )

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Connect the group's hashes; the group comes in the order of the uids."""
        known = np.flatnonzero(group.columns[self.by].is_valid().to_numpy(zero_copy_only=False))
        first = known * 0
        if self.bits:
            hashes = read_hashes(group.columns[self.by].take(pa.array(known)), self.by)
            first = components(hashes, self.bits)
        best, size = self._best(group, known, first)
        names = hex_names(group.uids[best])
        place = np.full(len(group), -1, np.int64)
        place[known] = np.arange(len(known))
        places = pa.array(place, mask=place < 0)
        return {
            "representative": pa.array(names, pa.string()).take(places),
            "size": pa.array(size).take(places),
            "similarity": pa.array((best != known).astype(np.float64)).take(places),
        }

    def _best(
        self, group: Block, known: NDArray[np.int64], first: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give each of some rows the row that stands for its component, and the component's size."""
        order = np.arange(len(known))
        if self.order is not None:
            keys = pa.table({"key": group.columns[self.order].take(pa.array(known)), "row": pa.array(order)})
            order = keys.sort_by([("key", "ascending"), ("row", "ascending")]).column("row").to_numpy()
        rank = np.empty(len(known), np.int64)
        rank[order] = np.arange(len(known))
        lowest = np.full(len(known), len(known), np.int64)
        np.minimum.at(lowest, first, rank)
        size = np.bincount(first, minlength=len(known))
        return known[order[lowest[first]]], size[first]
