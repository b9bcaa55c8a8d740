"""Keep, or drop, the samples that a table names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curation.kernels.uid_names import hex_names
from curation.selection import Decision, InMemory, ReachingRows, Selection, Times, missing


@dataclass(frozen=True, slots=True)
class Members(Selection):
    """Keep (or drop) the samples that tables name by uid or by key.

    The tables may be a user's own list, the subset file of another tool, or the `samples/` of a second source, so that
    a pool is cut to, or freed of, what that source has. A sample without a key is dropped either way.

    Attributes:
        paths: Parquet with a column `uid` or `key`, CSV with such a header, text with one name a line, or DataComp's
            `.npy` of uids.
        keep: Whether the named ones stay or go.
        by: What the tables hold.
        said: The tables in words.
    """

    paths: tuple[str, ...]
    keep: bool = True
    by: Literal["uid", "key"] = "uid"
    said: str = field(default="", compare=False)

    def expressions(self) -> tuple[str, ...]:
        """The column that is looked up."""
        return (self.by,)

    def decide(self, rows: ReachingRows) -> Decision:
        """Read the tables, each once, and note what they were."""
        listing = rows.listed(self.paths, self.by)
        facts = {"names": listing.names, "sha256": dict(sorted(listing.digests.items()))}
        named = f"{self.by} IN (SELECT name FROM {listing.table})"  # noqa: S608
        return Decision(f"NOT ({named})" if self.keep else f"{self.by} IS NULL OR {named}", facts, self.by)

    def times(self, columns: InMemory) -> Times:
        """Look each name up in a Python set."""
        if self.by == "uid":
            names = hex_names(columns.uids)
            gone = np.zeros(len(names), bool)
        else:
            names = columns.of("key").to_pylist()
            gone = missing(columns.of("key"))
        named = set(columns.listed(self.paths, self.by).to_pylist())
        inside = np.array([name in named for name in names], dtype=bool)
        return np.where((inside == self.keep) & ~gone, 1, 0).astype(np.int64)

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
        """A name is looked up for one sample at a time."""
        return self.times(columns) > 0

    def words(self) -> str:
        """Say whose names stay or go."""
        return f"{'keeps' if self.keep else 'drops'} the {self.by}s in {self.said or ', '.join(self.paths)}"


EXAMPLES = (
    Members(("members/uids.parquet",)),
    Members(("members/uids.txt",), keep=False),
    Members(("members/keys.csv",), by="key"),
)
