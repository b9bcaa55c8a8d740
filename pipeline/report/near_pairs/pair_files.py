"""`pairs.parquet` and `pairs.csv`: all pairs above the soft level, for programs and for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from pipeline import layout
from pipeline.files.parquet import open_parquet
from pipeline.files.storage import output_errors
from pipeline.report.compare import Compared
from pipeline.report.near_pairs.pair_rows import Coverage, PairRows
from pipeline.report.request import ReportRequest, Writer

PARQUET, CSV = layout.report("pairs.parquet"), layout.report("pairs.csv")
SCHEMA = pa.schema(
    [
        *(("benchmark", pa.string()), ("query", pa.int32()), ("query_key", pa.string())),
        *(("rank", pa.int32()), ("uid", pa.string()), ("key", pa.string())),
        *((name, pa.float64()) for name in ("similarity", "threshold", "margin")),
    ]
)
# Spreadsheets take a cell that begins so for a formula, quoted or not; keys are written by strangers.
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True, slots=True)
class PairList:
    """What the files hold.

    Attributes:
        neighbours: Samples that the run lists for each query.
        exact: Whether every sample was compared with every query.
        coverage: What is listed of each benchmark, by its name.
    """

    neighbours: int
    exact: bool
    coverage: dict[str, Coverage]

    @property
    def complete(self) -> bool:
        """Whether every pair above the level is listed."""
        return self.exact and not self.cut

    @property
    def pairs(self) -> int:
        """Pairs of all benchmarks."""
        return sum(each.pairs for each in self.coverage.values())

    @property
    def cut(self) -> int:
        """Queries of all benchmarks that may have more pairs than are listed."""
        return sum(len(each.cut) for each in self.coverage.values())


def write_pairs(request: ReportRequest, compared: Sequence[Compared], attempt: Writer) -> PairList:
    """Write both files in one pass; memory holds a batch, and what the database may hold.

    Args:
        request: The committed files, the level, and how many neighbours a query has.
        compared: The benchmarks, in plan order.
        attempt: Where to write.

    Returns:
        What the files hold, and what they may lack.

    Raises:
        DataError: If a committed file is missing or damaged.
        OutputError: If a file cannot be written.
    """
    rows = PairRows(request, compared)
    table, sheet = attempt.file(PARQUET), attempt.file(CSV)
    with (
        output_errors(sheet),
        open_parquet(table, SCHEMA) as writing,
        pacsv.CSVWriter(sheet, SCHEMA) as cells,
    ):
        for batch in rows.batches():
            named = _named(batch, compared)
            writing.add(named)
            cells.write_table(_safe(named))
    attempt.add(PARQUET, rows=writing.rows)
    attempt.add(CSV)
    return PairList(request.neighbours, request.search.exact, rows.coverage)


def _named(table: pa.Table, compared: Sequence[Compared]) -> pa.Table:
    """Put names and thresholds in place of positions; without a reference there is no threshold and no margin."""
    at, query = (table.column(name).to_numpy() for name in ("benchmark", "query"))
    keys, threshold = np.empty(len(table), dtype=object), np.full(len(table), np.nan)
    for number in np.unique(at).tolist():
        own, queries = np.flatnonzero(at == number), compared[number].queries
        keys[own] = [queries.key[one] for one in query[own].tolist()]
        threshold[own] = queries.threshold[query[own]]
    margin = table.column("similarity").to_numpy() - threshold
    columns: dict[str, Any] = {name: table.column(name) for name in table.column_names}
    columns["benchmark"] = pa.array([compared[number].files.name for number in at.tolist()], pa.string())
    columns["query_key"] = pa.array(keys, pa.string())
    columns["threshold"] = pa.array(threshold, from_pandas=True)
    columns["margin"] = pa.array(margin, from_pandas=True)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _safe(table: pa.Table) -> pa.Table:
    """Put an apostrophe before text that a spreadsheet would run; numbers stay what they are."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(at)
            guarded = pc.binary_join_element_wise("'", column, "")
            risky = pc.match_substring_regex(column, _FORMULA)
            table = table.set_column(at, field, pc.if_else(risky, guarded, column))
    return table
