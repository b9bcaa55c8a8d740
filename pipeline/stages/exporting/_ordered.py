"""What located files hold, in the order of an export: which of their samples each tar takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.commit import Output, output_of
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.sets.uids import as_pairs
from pipeline.stages.surviving import sources_of
from pipeline.webdataset.export_request import ExportRequest
from pipeline.webdataset.placing.located_rows import rows_between
from pipeline.webdataset.sample_order import Slice, slices


@dataclass(frozen=True, slots=True)
class Ordered:
    """The samples of an export.

    Attributes:
        files: The files that say where their members lie, in planned order.
        content: The digest of each, and what names the content of the files that it is about.
        committed: These files, as they were committed.
        buckets: Ranges that the order is cut into.
        slices: What each tar takes.
        roots: Where the sets lie.
    """

    files: tuple[str, ...]
    content: tuple[tuple[str, str], ...]
    committed: tuple[Output, ...]
    buckets: int
    slices: list[Slice]
    roots: dict[str, str]


def ordered(run: RunContext, request: ExportRequest) -> Ordered:
    """Look up what was located; counts decide where tars begin, so they are hashed first.

    Raises:
        OutputError: If a file of counts is not what was committed.
    """
    records = [record for record in run.records("locate") if record.name.partition(" ")[0] == request.split]
    tables = [next(one.path for one in record.outputs if one.path.endswith(".parquet")) for record in records]
    run.check_sound(one for record in records for one in record.outputs if one.path.endswith(".npy"))
    counts = np.atleast_1d(
        sum(np.load(run.path(path.removesuffix("parquet") + "npy"), allow_pickle=False) for path in tables)
    )
    return Ordered(
        tuple(run.path(path) for path in tables),
        tuple(
            (output_of(record, path).sha256, str(record.facts["inputs"]))
            for record, path in zip(records, tables, strict=True)
        ),
        run.outputs(tables),
        len(counts),
        slices(counts, request.samples_per_shard),
        {name: run.sets()[name].path for name in sources_of(run, request.split)},
    )


def rows_of(files: Sequence[str], of: Json, buckets: int) -> pa.Table:
    """Read the samples that one tar takes, in its order.

    Args:
        files: The files that say where their members lie.
        of: What it takes: a `Slice`.
        buckets: Ranges that the order is cut into.
    """
    takes = Slice(**of)
    table = rows_between(files, takes.first, takes.last, buckets)
    halves = as_pairs(table.column("uid"))
    keys = (table.column("copy").to_numpy(), halves[:, 1], halves[:, 0], table.column("order").to_numpy())
    return table.take(pa.array(np.lexsort(keys)[takes.skip : takes.skip + takes.take]))
