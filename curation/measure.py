"""What a measure is: it looks at samples and writes columns; it never drops anything.

A measure is a frozen dataclass whose fields are its options, in a file of its own in `curation/measures/`. The file's
name is the measure's name in a plan. The pipeline finds out what the measures of a plan need, brings that in blocks of
rows, and writes the columns: one Parquet part for each part of the pool, with the same rows in the same order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.scanner import ScanOptions
from indexes.scores import Scores

Model: TypeAlias = Mapping[str, NDArray[Any]]
"""What a measure learned: arrays by name, none of them of Python objects."""
Columns: TypeAlias = Mapping[str, Any]
"""A measure's columns for a block: numpy or Arrow arrays of one value a row, by name."""

Tables: TypeAlias = Mapping[str, pa.Table]

VECTORS = ("image", "text")
QUERIES = "queries"
CAPTION = "caption"
DEFAULTS = ScanOptions(k=1)


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a measure writes.

    Attributes:
        name: Its name.
        type: Arrow's type; lists are allowed.
        meaning: What it says, in words, with unit and direction.
    """

    name: str
    type: Any
    meaning: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of the pool, in order, with what the measure needs of them.

    Every row has every vector that the measure needs: rows without one are left out and get NULL.

    Attributes:
        uids: `(m, 2)` uint64, the high half first.
        vectors: `(m, d)` float16 of unit norm, for each needed kind (`image`, `text`, or a named array).
        columns: Columns of the pool that the measure asked for, and columns of other measures as `measure.column`;
            Arrow arrays of m rows.
        scores: For a measure that needs `queries`: similarities and margins to its benchmark, one segment.
    """

    uids: NDArray[np.uint64]
    vectors: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    scores: Scores | None = None

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.uids)


class Running:
    """A measure at work on one part; a measure that has to remember something between blocks has its own."""

    def __init__(self, measure: Measure, model: Model) -> None:
        self.measure = measure
        self.model = model

    def apply(self, block: Block) -> Columns:
        """Measure one block, of at least one row."""
        return self.measure.apply(block, self.model)

    def finish(self) -> Mapping[str, pa.Table]:
        """Return tables to be kept beside the columns of this part, by name."""
        return {}


class Measure(ABC):
    """A frozen slotted dataclass whose fields are its options."""

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    needs: ClassVar[tuple[str, ...]] = ()
    """What it looks at: `image` or `text` embeddings or a named array, `caption` or another column of the pool,
    `queries`, the name of another measure for its columns, `measure:table` for a table that it left, whole, or
    `queries:<benchmark>` for a benchmark's queries, whole: a table of one column, `vector`, float16 of unit norm."""
    taught: ClassVar[bool] = False
    """Whether it says itself which samples it learns from (`taught_by`)."""
    version: ClassVar[int] = 1
    """Raised when a change of the code changes what the same inputs give."""

    def requires(self) -> tuple[str, ...]:
        """Name what it looks at, where that depends on its options."""
        return self.needs

    def resolved(self, where: str) -> Self:
        """Fill in what the options leave to be understood.

        Raises:
            PlanError: If the options do not go together.
        """
        return self

    def check_beside(self, others: Mapping[str, Measure], where: str) -> None:  # noqa: B027 - most ask nothing
        """Refuse a plan whose other measures, by name, do not go with this one; asked before anything is read.

        Raises:
            PlanError: With the place in the plan.
        """

    def phrases(self) -> tuple[str, ...]:
        """List texts that it compares samples with.

        The encoder's text tower embeds them once for the whole pool. The model then has them as `phrases`, `(n, d)`
        float16 of unit norm, in order. A measure with phrases is not trained.
        """
        return ()

    def width(self) -> int | None:
        """How many numbers the vectors that it looks at must have; None where any will do."""
        return None

    @abstractmethod
    def columns(self) -> tuple[Column, ...]:
        """Name the columns that it writes, at least one."""

    def lowest(self) -> Mapping[str, float]:
        """Name columns that tell values apart from a level on, with the level: there, it says this or lower."""
        return {}

    @abstractmethod
    def apply(self, block: Block, model: Model) -> Columns:
        """Measure one block of at least one row; give as many values for each column, in order."""

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Begin with a part.

        Args:
            model: What it learned.
            tables: Tables of other measures that it needs, over all parts of the pool.
            options: Device, threads and memory of this unit; they change no result.
        """
        return Running(self, model)

    def sample_rows(self) -> int:
        """How many rows of the pool it is trained on, drawn by hash of the uid; 0 if it learns nothing."""
        return 0

    def taught_by(self, uids: NDArray[np.uint64], keys: Any) -> NDArray[np.bool_]:
        """Say `(n,)` which of some rows of the pool it is trained on; asked of a measure that is `taught`.

        Args:
            uids: `(n, 2)`, the high half first.
            keys: Their keys, as an Arrow array. The sample that it is trained on has them as the column `key`.
        """
        raise TypeError(f"{type(self).__name__} is trained on rows that are drawn")

    def judges(self) -> tuple[str, ...]:
        """Name benchmarks whose queries it measures too, when it has learned: their columns go to `queries/`."""
        return ()

    def train(self, sample: Block, options: ScanOptions = DEFAULTS) -> Model:
        """Learn from a sample of the pool, ordered by uid; called once for the whole pool.

        Args:
            sample: Rows with the vectors that it needs.
            options: Device, threads and memory; they change no result.

        Raises:
            DataError: If the sample is too small.
        """
        return {}

    def learns(self) -> Self:
        """Return the measure with the options alone that decide what it learns: changing others trains nothing anew."""
        return self

    def summarises(self) -> bool:
        """Whether it takes a summary of its target's queries, made once for the whole pool, and not the queries."""
        return False

    def summary(self, target: NDArray[np.float16], model: Model, options: ScanOptions = DEFAULTS) -> Model:
        """Work out of the target's queries what parts of the pool need of them; `start` has it beside the model.

        Args:
            target: `(q, d)` float16 of unit norm.
            model: What it learned.
            options: Device, threads and memory; they change no result.
        """
        return {}


def query_vectors(table: pa.Table) -> NDArray[np.float16]:
    """Return `(q, d)` the vectors of a `queries:<benchmark>` table."""
    column = table.column("vector").combine_chunks()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)
    return cast("NDArray[np.float16]", vectors)


def schema_of(measure: Measure) -> Any:
    """Describe a measure's Parquet files as Arrow has it: `uid`, then the columns with their meanings."""
    fields = [pa.field(c.name, c.type, metadata={"meaning": c.meaning}) for c in measure.columns()]
    return pa.schema([pa.field("uid", pa.string()), *fields])
