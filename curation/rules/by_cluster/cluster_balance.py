"""As many samples of each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from curation.expressions import hashed, measured, quoted
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, Name, Seed, exactly_one
from curation.selection import Selection
from curation.selections.cap import Cap
from curation.selections.shares.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class ClusterBalance(Rule):
    """Balance a pool by its clusters; a cluster that has fewer samples than its share keeps all.

    * `per_cluster: n`: at most n of each.
    * `keep: n` or `fraction: f`: so many in all, exactly, in shares as even as the clusters allow: none loses a sample
      while another keeps two more.
    * `first: random`: drawn by hash of (uid, `seed`). `closest`: those most similar to the centroid; `farthest`: those
      least similar to it, with `per_cluster` alone.
    * `measure`: the clusters' name in the plan, where they have one of their own.
    """

    per_cluster: Count | None = None
    keep: Count | None = None
    fraction: Fraction | None = None
    first: Literal["random", "closest", "farthest"] = "random"
    measure: Name = "clusters"
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"per_cluster": 2, "first": "farthest"}

    def __post_init__(self) -> None:
        exactly_one(per_cluster=self.per_cluster, keep=self.keep, fraction=self.fraction)
        if self.first == "farthest" and self.per_cluster is None:
            raise ValueError("first: farthest goes with per_cluster; shares are random or closest")

    def reads_measures(self) -> tuple[str, ...]:
        """The clusters."""
        return (self.measure,)

    def selection(self, scope: Scope) -> Selection:
        """Cap each cluster, or share a number out among them."""
        by, near = f"{quoted(self.measure)}.{quoted('cluster')}", measured(self.measure, "similarity")
        if self.per_cluster is not None:
            key = hashed(self.seed) if self.first == "random" else near
            return Cap(by, self.per_cluster, key, self.first == "closest", "the clusters")
        key_or_none = near if self.first == "closest" else None
        return Hierarchy((by,), Amount(self.keep, self.fraction), key_or_none, self.seed)
