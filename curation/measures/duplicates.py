"""Near-duplicates: how near a sample comes to those before it in an order of its group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.grouped import Grouped, group_column, needed_for
from curation.kernels.uid_names import hex_names
from curation.measure import Block, Column, Columns
from indexes.errors import PlanError
from indexes.greedy.earlier import nearest_earlier
from indexes.scanner import ScanOptions

Name = Annotated[str, Field(strict=True, min_length=1)]


@dataclass(frozen=True, slots=True)
class Duplicates(Grouped):
    """The largest similarity to an earlier sample of the same group: what `dedup` cuts at any level, in one pass.

    Earlier samples count even where they are dropped themselves. The order is told by `rule`:

    * `clip_ood` (brendel-group/clip-ood): stored order. Theirs is the order of files; ours must not depend on shards,
      so it is that of `order`, a column (`key` comes nearest to theirs), without which it is that of the uids.
    * `semdedup` (SemDeDup): by 1 - similarity to the centroid, descending for `keep: hard`, so that the farthest stay;
      `keep: easy` is the exact reversal.

    Ties of an order go to the lower uid (`easy` reverses them too). Similarities are exact inner products of the
    float16 vectors: theirs of float16 are rounded to float16, where 0.87604 is not above 0.876. Below 0 it says 0, as
    SemDeDup does. `within` groups: `clusters.cluster`, or a column of the pool; `pool` takes it whole.

    `at_least` is the lowest similarity that is told apart: one there or lower is written as `at_least`, with no nearest
    sample unless it is that. It spares most of the work where groups hold few near-duplicates, and every ε up to
    1 - `at_least` is decided as without it. There is none by default, since any ε may be asked for later.
    """

    rule: Literal["clip_ood", "semdedup"] = "clip_ood"
    keep: Literal["hard", "easy"] | None = None
    order: Name | None = None
    within: Name = "clusters.cluster"
    at_least: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None

    def resolved(self, where: str) -> Self:
        """Refuse options of the other rule."""
        if self.rule == "clip_ood" and self.keep is not None:
            raise PlanError(f"{where}.keep is '{self.keep}', which only rule: semdedup has; leave it out")
        if self.rule == "semdedup" and self.order is not None:
            raise PlanError(
                f"{where}.order is '{self.order}', but semdedup orders by the similarity to the centroid; leave it "
                "out, or take rule: clip_ood"
            )
        if self.rule == "semdedup" and not self.within.endswith(".cluster"):
            raise PlanError(
                f"{where}.within is '{self.within}', but semdedup orders by the similarity to a centroid; name the "
                "clusters of a measure, such as clusters.cluster"
            )
        return self

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, and what groups and orders."""
        return tuple(dict.fromkeys(("image", *needed_for(self.grouped_by()), *needed_for(self.order))))

    def grouped_by(self) -> str | None:
        """As the plan says."""
        return group_column(self.within)

    def columns(self) -> tuple[Column, ...]:
        """The nearest earlier sample."""
        near, none = "largest similarity to an earlier sample of the group, at least", "the group's first"
        if self.at_least is None:
            near += " 0"
        else:
            near += f" {self.at_least}, which says that or lower"
            none += ", and where none is as similar as that"
        return (
            Column("similarity", pa.float64(), near),
            Column("nearest", pa.string(), f"uid of that sample; ties go to the lower; NULL for {none}"),
            Column("place", pa.int64(), "place in the order of the group, from 0"),
        )

    def lowest(self) -> Mapping[str, float]:
        """What is told apart."""
        return {} if self.at_least is None else {"similarity": self.at_least}

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Order the group, and look back from each sample."""
        order = self._order(group)
        uids = group.uids[order]
        asked = -np.inf if self.at_least is None else self.at_least
        found = nearest_earlier(group.vectors["image"], group.uids, order, options, asked)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        names = hex_names(uids[found.row])
        nearest = pa.array(names, pa.string(), mask=found.row < 0).take(pa.array(place))
        return {
            "similarity": np.maximum(found.similarity, self.at_least or 0.0)[place],
            "nearest": nearest,
            "place": place,
        }

    def _order(self, group: Block) -> NDArray[np.int64]:
        """List `(n,)` positions in the order of the rule; the group comes in the order of the uids."""
        if self.rule == "semdedup":
            measure = self.within.partition(".")[0]
            near = group.columns[f"{measure}.similarity"].to_numpy(zero_copy_only=False)
            order = np.argsort(near, kind="stable")
            return order[::-1].copy() if self.keep == "easy" else order
        if self.order is None:
            return np.arange(len(group))
        keys = pa.table({"key": group.columns[self.order], "row": pa.array(np.arange(len(group)))})
        found = keys.sort_by([("key", "ascending"), ("row", "ascending")]).column("row")
        return np.asarray(found.to_numpy())
