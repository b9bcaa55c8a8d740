"""Density: how far a sample's cluster lies from others, and how wide it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from indexes.scanner import ScanOptions

CLUSTERS = "clusters"
_SUMS = ("size", "coarse", "fine")


@dataclass(frozen=True, slots=True)
class Density(Measure):
    """d_inter and d_intra of a sample's cluster, over the whole pool (Abbas et al. 2024, density-based pruning).

    d_inter is the mean of 1 - inner product with the 20 nearest other centroids, d_intra the mean of 1 - inner product
    of the cluster's samples with its centroid. Centroids are compared as `clusters` compares samples with them.
    """

    needs: ClassVar[tuple[str, ...]] = (CLUSTERS, f"{CLUSTERS}:sizes")

    def columns(self) -> tuple[Column, ...]:
        """Both distances."""
        return (
            Column("d_inter", pa.float64(), "mean distance to the 20 nearest other centroids, from 0 up"),
            Column(
                "d_intra", pa.float64(), "mean distance of the cluster's samples to its centroid, from 0 up"
            ),
        )

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Add up all parts."""
        return _Looking(self, tables[f"{CLUSTERS}:sizes"])

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to work without the sums."""
        raise TypeError("density works on whole parts: call start")


class _Looking(Running):
    """Looks each sample's cluster up."""

    def __init__(self, measure: Density, sums: pa.Table) -> None:
        super().__init__(measure, {})
        cluster = sums.column("cluster").to_numpy()
        count = max(1, int(cluster.max(initial=-1)) + 1)
        size, coarse, fine = (
            np.bincount(cluster, weights=sums.column(name).to_numpy(), minlength=count) for name in _SUMS
        )
        self._apart = np.zeros(count)
        self._apart[cluster] = sums.column("apart").to_numpy()
        self._within = 1 - (coarse + fine) / np.maximum(size, 1)

    def apply(self, block: Block) -> Columns:
        """A sample without a cluster has neither."""
        cluster = block.columns[f"{CLUSTERS}.cluster"]
        unknown = cluster.is_null().to_numpy(zero_copy_only=False)
        places = cluster.fill_null(0).to_numpy(zero_copy_only=False)
        return {
            "d_inter": pa.array(self._apart[places], mask=unknown),
            "d_intra": pa.array(self._within[places], mask=unknown),
        }
