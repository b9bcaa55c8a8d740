"""The size of a sample's cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from indexes.scanner import ScanOptions

CLUSTERS = "clusters"


@dataclass(frozen=True, slots=True)
class ClusterSize(Measure):
    """How many samples of the pool are in the cluster that a sample is in, itself included."""

    needs: ClassVar[tuple[str, ...]] = (CLUSTERS, f"{CLUSTERS}:sizes")

    def columns(self) -> tuple[Column, ...]:
        """The size alone."""
        return (Column("cluster_size", pa.int64(), "samples of the pool in the same cluster"),)

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Add up the sizes of all parts."""
        return _Sizing(self, tables[f"{CLUSTERS}:sizes"])

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to work without the sizes."""
        raise TypeError("cluster_size works on whole parts: call start")


class _Sizing(Running):
    """Looks each sample's cluster up."""

    def __init__(self, measure: ClusterSize, sizes: pa.Table) -> None:
        super().__init__(measure, {})
        cluster, size = (sizes.column(name).to_numpy() for name in ("cluster", "size"))
        self._sizes = np.zeros(int(cluster.max(initial=-1)) + 1, dtype=np.int64)
        np.add.at(self._sizes, cluster, size)

    def apply(self, block: Block) -> Columns:
        """A sample without a cluster has no size."""
        cluster = block.columns[f"{CLUSTERS}.cluster"]
        known = cluster.is_valid().to_numpy(zero_copy_only=False)
        places = cluster.fill_null(0).to_numpy(zero_copy_only=False)
        found = self._sizes[places] if len(self._sizes) else np.zeros(len(places), np.int64)
        return {"cluster_size": pa.array(found, mask=~known)}
