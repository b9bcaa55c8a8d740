"""What a grouped measure is: it looks at all samples of a group at once, such as those of a cluster.

The pipeline brings the samples of each group together over all parts of the pool, and puts what the measure says of
them back beside the parts' rows.
"""

from __future__ import annotations

from abc import abstractmethod

from curation.measure import Block, Columns, Measure, Model
from indexes.scanner import ScanOptions

POOL = "pool"
"""What a plan writes for the whole pool as one group."""


class Grouped(Measure):
    """A measure of whole groups; a file in `curation/measures/` as any other.

    Samples without a vector, or without a value in the column that groups them, are in no group and get NULL.
    """

    __slots__ = ()

    @abstractmethod
    def grouped_by(self) -> str | None:
        """Name the column that says which group a sample is in; None takes the whole pool as one group.

        It is a column of the pool, or one of another measure (`clusters.cluster`), which `requires` then names.
        """

    @abstractmethod
    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Measure one group of at least one row.

        Args:
            group: All of its rows, ordered by uid. The vectors may lie in a memory-mapped file, for a group may be
                larger than memory; the columns hold what `requires` names.
            options: Device, threads and memory; they change no result.

        Returns:
            As many values for each column, in the order of the rows.
        """

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to work on a part of a group."""
        raise TypeError(f"{type(self).__name__} works on whole groups: call whole")


def needed_for(column: str | None) -> tuple[str, ...]:
    """Name what has to be there for a column that groups or orders: the measure before the dot, or the column."""
    return () if column is None else (column.partition(".")[0],)


def group_column(within: str) -> str | None:
    """Read the option that says what groups: a column, or `pool` for none."""
    return None if within == POOL else within
