"""What a selection is: the kinds of answer that a rule may give, each in a file of `curation/selections/`.

A selection has three faces: `decide` carries it out in SQL over any number of rows, `times` is a plain oracle over
columns in memory that must come to the same, `words` says it in the waterfall.

Every selection is fail-closed: a sample whose column is NULL or NaN is dropped. Every order is total: ties go to the
lower uid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int64]
SOURCE = '"(source)"'
"""SQL of the set that a sample comes from, `pool` or the name of a further set, once a selection has brought one in."""


COUNTED = "all of "
"""Stands before the name of a further set of which a selection counts all samples that could be read."""


class Listing(NamedTuple):
    """A user's table of names, in the database.

    Attributes:
        table: A table with the column `name`, each once; uids are of type UUID.
        names: How many.
        digests: sha256 of each file, by its path.
    """

    table: str
    names: int
    digests: Mapping[str, str]


class ReachingRows(Protocol):
    """The samples that reach a rule, as SQL over one connection."""

    @property
    def db(self) -> Any:
        """The connection, with DuckDB's `execute` and `sql`."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of each split that the rules name."""

    def surviving(self, columns: str, where: str = "") -> str:
        """Return the query of `columns` over these rows, or those of them for which `where` is true."""

    def without(self, predicate: str) -> Self:
        """Return the rows that also survive `predicate`, which is true or NULL for what goes."""

    def scratch(self) -> str:
        """Return a name for a temporary table that nothing else has."""

    def kind(self, expression: str) -> str:
        """Return DuckDB's name of an expression's type: `DOUBLE`, `VARCHAR[]`."""

    def listed(self, paths: Sequence[str], by: str) -> Listing:
        """Read tables of uids or keys; `by` is `uid` or `key`."""

    def offered(self, name: str) -> Self:
        """Return all samples of a further set, with its own columns."""


class InMemory(Protocol):
    """The samples that reach a rule, in memory."""

    @property
    def uids(self) -> NDArray[np.uint64]:
        """`(n, 2)`, the high half first."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of each split that the rules name."""

    def of(self, expression: str) -> Any:
        """Return `(n,)` values of an expression as an Arrow array."""

    def listed(self, paths: Sequence[str], by: str) -> Any:
        """Return the names in tables of uids (32 hex digits) or keys, as an Arrow array."""

    def offered(self, name: str) -> Self:
        """Return all samples of a further set, in memory."""

    def where(self, stays: NDArray[np.bool_]) -> Self:
        """Return some of the samples; `stays` is `(n,)`."""


@dataclass(frozen=True, slots=True)
class Bringing:
    """Samples that join those which reach a selection, before it decides.

    Attributes:
        name: The further set: all of its samples come.
        caption: SQL of their captions, over the set's own columns; empty for those that they have.
    """

    name: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a selection comes to among the rows that reach it.

    Attributes:
        predicate: SQL, true or NULL for what is dropped.
        facts: For `split.json`: how many were wanted, exact cutoffs, shortages.
        decided: SQL of what decided a sample, to be written beside it where it is dropped; None for the columns that
            the predicate names.
        times: SQL of how often a kept sample occurs, where that is not once.
        caption: SQL of the caption that a kept sample gets beside its own.
    """

    predicate: str
    facts: dict[str, Any] = field(default_factory=dict)
    decided: str | None = None
    times: str | None = None
    caption: str | None = None


def counted(name: str) -> str:
    """Name the samples of a further set that is counted and not brought in; no set is called so."""
    return f"{COUNTED}{name}"


class Selection(ABC):
    """One kind of answer: a frozen slotted dataclass. Its file names it and holds `EXAMPLES` of it."""

    __slots__ = ()

    @abstractmethod
    def expressions(self) -> tuple[str, ...]:
        """List the SQL through which it reads columns."""

    @abstractmethod
    def decide(self, rows: ReachingRows) -> Decision:
        """Carry it out over the rows that reach it."""

    @abstractmethod
    def times(self, columns: InMemory) -> Times:
        """Return `(n,)`: how often each sample stays, 0 if it is dropped. Plain, and slow where that is plainer."""

    def brings(self) -> Bringing | None:
        """Say which samples join before it decides, so that it decides on both."""
        return None

    @abstractmethod
    def words(self) -> str:
        """Say in a few words what stays or goes."""

    def again(self, columns: InMemory, facts: Mapping[str, Any]) -> NDArray[np.bool_] | None:
        """Return `(n,)`: which of some rows stay, by the facts on record alone; None where that takes all rows."""
        return None


def missing(values: Any) -> NDArray[np.bool_]:
    """Return `(n,)`: where an Arrow array is NULL or NaN."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return np.asarray(
        array.is_null(nan_is_null=pa.types.is_floating(array.type)).to_numpy(zero_copy_only=False)
    )


def all_known(values: Sequence[Any]) -> NDArray[np.bool_]:
    """Return `(n,)`: where none of several Arrow arrays of n values is NULL or NaN."""
    known = ~missing(values[0])
    for of in values[1:]:
        known &= ~missing(of)
    return known


def places(values: Any, uids: NDArray[np.uint64], highest: bool) -> NDArray[np.int64]:
    """Order the rows that have a value: by value, then by uid.

    Args:
        values: `(n,)` Arrow numbers.
        uids: `(n, 2)`.
        highest: Which end comes first.

    Returns:
        Positions of the rows whose value is neither NULL nor NaN, the first to stay first.
    """
    known = np.flatnonzero(~missing(values))
    found = values.take(pa.array(known)).to_numpy(zero_copy_only=False)
    # Ranks of values, because an unsigned number cannot be negated.
    rank = np.unique(found, return_inverse=True)[1].astype(np.int64)
    return known[np.lexsort((uids[known, 1], uids[known, 0], -rank if highest else rank))]


def keeping(count: int, chosen: NDArray[np.int64]) -> Times:
    """Return `(count,)`: 1 at the chosen positions, else 0."""
    times = np.zeros(count, np.int64)
    times[chosen] = 1
    return times
