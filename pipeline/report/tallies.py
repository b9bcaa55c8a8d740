"""What the measures other than similarity say of the pool: counts, and lowest, mean and highest of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.audit import FloatArray
from pipeline.files.parquet import parquet_schema, read_batches
from pipeline.report.request import MeasureFiles, ReportRequest

VALUES, LENGTHS, NOTHING = "values", "lengths", "nothing"


@dataclass(slots=True)
class Tally:
    """One column over the whole pool.

    Attributes:
        name: Its name.
        meaning: What it says, in words.
        type: Its Arrow type.
        of: What `least`, `mean` and `most` are taken of: `VALUES` (of a column of true and false the mean is the share
            of true), `LENGTHS` of lists, or `NOTHING` (text and the like).
        measured: Samples that have a value.
        missing: Samples that have none: NULL, or NaN, which rules treat alike.
    """

    name: str
    meaning: str
    type: str
    of: str
    measured: int = 0
    missing: int = 0
    least: float | None = None
    most: float | None = None
    total: Fraction = Fraction(0)

    @property
    def mean(self) -> float | None:
        """The mean, correctly rounded; None where there are no numbers, or infinite ones."""
        known = (self.least, self.most)
        if not self.measured or any(value is None or math.isinf(value) for value in known):
            return None
        return float(self.total / self.measured)

    def add(self, column: pa.Array) -> None:
        """Count a batch."""
        values = _numbers(column, self.of)
        if values is None:
            self.measured += len(column) - column.null_count
            self.missing += column.null_count
            return
        self.measured += len(values)
        self.missing += len(column) - len(values)
        if len(values):
            low, high = float(values.min()), float(values.max())
            self.least = low if self.least is None else min(self.least, low)
            self.most = high if self.most is None else max(self.most, high)
            self.total += exact_sum(values[np.isfinite(values)])


@dataclass(frozen=True, slots=True)
class Tallied:
    """A measure: what rules call it, the measure that it is, its rows, and its columns."""

    name: str
    kind: str
    rows: int
    columns: tuple[Tally, ...]


def tally(request: ReportRequest) -> Iterator[Tallied]:
    """Read each measure once, in batches, and count.

    Raises:
        DataError: If a file is missing or damaged.
    """
    for files in request.measures:
        columns = _columns(request, files)
        rows = 0
        for part in files.parts:
            for batch in read_batches(request.path(part), [each.name for each in columns]):
                rows += len(batch)
                for each in columns:
                    each.add(batch.column(each.name))
        yield Tallied(files.name, files.kind, rows, tuple(columns))


def _columns(request: ReportRequest, files: MeasureFiles) -> list[Tally]:
    schema = parquet_schema(request.path(files.parts[0])) if files.parts else None
    types = [pa.null() if schema is None else schema.field(name).type for name, _ in files.columns]
    named = zip(files.columns, types, strict=True)
    return [Tally(name, meaning, str(kind), _counted(kind)) for (name, meaning), kind in named]


def _counted(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return LENGTHS
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return VALUES if number or pa.types.is_boolean(kind) else NOTHING


def _numbers(column: pa.Array, of: str) -> FloatArray | None:
    """Take the numbers of a column, without NULL and NaN; None where it holds none."""
    if of == NOTHING:
        return None
    present = column.drop_null()
    if of == LENGTHS:
        present = pc.list_value_length(present)
    elif pa.types.is_boolean(present.type):
        present = present.cast(pa.int8())
    # Integers beyond 2**53 are rounded: what is shown has fewer digits than that.
    values: FloatArray = present.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values[~np.isnan(values)]


def exact_sum(values: FloatArray) -> Fraction:
    """Add `(n,)` finite float64 without rounding, so that the sum does not depend on their order."""
    mantissas, exponents = np.frexp(values)
    whole: NDArray[np.int64] = np.ldexp(mantissas, 53).astype(np.int64)
    total = Fraction(0)
    for exponent in np.unique(exponents):
        chosen = whole[exponents == exponent]
        # In two halves, so that neither sum overflows.
        units = (int((chosen >> 27).sum()) << 27) + int((chosen & (2**27 - 1)).sum())
        total += units * Fraction(2) ** (int(exponent) - 53)
    return total
