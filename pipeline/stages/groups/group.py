"""Measures of whole groups, bucket by bucket. Planned by `measure`, which then puts the answers back beside the parts.

Three waves: every part is scattered (`scatter`), once for all measures that group alike; each bucket is measured here,
group by group; and a unit of `measure` for each part gathers its rows from the buckets. Memory holds one bucket, or,
where a group is larger than that, blocks of it: its vectors then lie in a scratch file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation import measures
from curation.grouped import Grouped
from curation.measure import Block, Columns, schema_of
from indexes.scanner import ScanOptions
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.arrow_file import read_piece, write_pieces
from pipeline.files.storage import output_errors
from pipeline.passes.packed_queries import scan_options
from pipeline.stages.groups.scatter import COLUMN, GROUP

ROW = "row of the part"
"""Names the column that says where an answer belongs; no column of a measure has blanks in its name."""
SMALL = 1 << 12
"""Rows of a group that one thread measures, while others measure other groups."""
LEAST = 1 << 26
"""Bytes that each of these may hold at least, however many there are."""
HELD = 1 << 29
"""Bytes of a bucket's vectors that are held in memory; what is larger lies in a scratch file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the measure with its options, and what every part scattered."""

    kind: str
    name: str
    options: Json
    version: int
    bucket: int
    buckets: int
    scattered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The scattered files of all parts: rows, and vectors by kind."""

    rows: tuple[str, ...]
    vectors: dict[str, tuple[str, ...]]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Read the bucket from all parts, measure its groups, and write a piece for each part."""
    identity, settings = work.identity, work.settings
    measure = measures.parse(identity.kind, identity.options, f"measures.{identity.name}")
    if not isinstance(measure, Grouped):
        raise TypeError(f"{identity.kind} is no measure of whole groups")
    rows, code = _bucket(settings.rows, identity.bucket)
    vectors = {kind: _gathered(into, rows, paths) for kind, paths in settings.vectors.items()}
    found = _measured(measure, rows, code, vectors, scan_options(work.place, k=1))
    schema = pa.schema([(ROW, pa.int64()), *list(schema_of(measure))[1:]]).remove_metadata()
    part = rows.column("part").to_numpy()
    order = np.lexsort((rows.column("place").to_numpy(), part))
    ends = np.searchsorted(part[order], np.arange(len(settings.rows) + 1))
    relative = layout.group_results(identity.name, identity.bucket)
    pieces = (found.take(pa.array(order[a:b])) for a, b in pairwise(ends.tolist()))
    write_pieces(into.file(relative), pieces, schema)
    into.add(relative)
    return {"rows": len(rows), "groups": len(np.unique(code))}


def _bucket(paths: Sequence[str], number: int) -> tuple[pa.Table, NDArray[np.int64]]:
    """Read a bucket's rows, group by group and by uid inside, with a number for each row's group."""
    tables = []
    for at, path in enumerate(paths):
        piece = read_piece(path, number)
        tables.append(piece.append_column("part", pa.array(np.full(len(piece), at, np.int64))))
    rows = pa.concat_tables(tables, promote_options="permissive")
    rows = rows.filter(rows.column("healthy")).combine_chunks()
    code = pc.dictionary_encode(rows.column(GROUP)).combine_chunks().indices.to_numpy().astype(np.int64)
    order = np.lexsort((rows.column("low").to_numpy(), rows.column("high").to_numpy(), code))
    return rows.take(pa.array(order)).combine_chunks(), code[order]


def _gathered(into: Attempt, rows: pa.Table, paths: Sequence[str]) -> NDArray[np.float16]:
    """Put the vectors of a bucket's rows in their order; in a file where they are too many to hold."""
    part, slot = (rows.column(name).to_numpy() for name in ("part", "slot"))
    width = np.load(paths[0], mmap_mode="r", allow_pickle=False).shape[1] if paths else 0
    shape = (len(rows), width)
    if 2 * len(rows) * width <= HELD or 0 in shape:
        vectors = np.empty(shape, np.float16)
    else:
        scratch = into.scratch() / f"{Path(paths[0]).parent.name}.npy"
        vectors = np.lib.format.open_memmap(scratch, mode="w+", dtype=np.float16, shape=shape)
    with output_errors(into.out):
        for at, path in enumerate(paths):
            here = np.flatnonzero(part == at)
            if len(here):
                # Read in the order of the file, whose rows of one group lie together.
                here = here[np.argsort(slot[here])]
                vectors[here] = np.load(path, mmap_mode="r", allow_pickle=False)[slot[here]]
    return vectors


def _measured(
    measure: Grouped,
    rows: pa.Table,
    code: NDArray[np.int64],
    vectors: Mapping[str, NDArray[np.float16]],
    options: ScanOptions,
) -> pa.Table:
    """Measure group after group; `ROW` and the measure's columns, in the order of the rows."""
    uids = np.stack([rows.column(name).to_numpy() for name in ("high", "low")], axis=1)
    asked = [name for name in rows.column_names if name.startswith(COLUMN)]
    columns = {name.removeprefix(COLUMN): rows.column(name).combine_chunks() for name in asked}
    starts = [*np.flatnonzero(np.diff(code, prepend=-1)).tolist(), len(code)]
    found: dict[str, list[Any]] = {column.name: [] for column in measure.columns()}

    def one(bounds: tuple[int, int]) -> Columns:
        first, last = bounds
        group = Block(
            uids[first:last],
            {kind: values[first:last] for kind, values in vectors.items()},
            {name: values.slice(first, last - first) for name, values in columns.items()},
        )
        # Small groups share the threads out among them; a large one takes them all.
        each = max(options.memory_limit // options.workers, min(options.memory_limit, LEAST))
        shared = replace(options, threads=1, memory_limit=each)
        return measure.whole(group, shared if last - first <= SMALL else options)

    for answer in _in_threads(one, list(pairwise(starts)), options.workers):
        for column in measure.columns():
            found[column.name].append(_typed(answer[column.name], column.type))
    arrays = {c.name: pa.chunked_array(found[c.name], type=c.type) for c in measure.columns()}
    return pa.table({ROW: rows.column("place")} | arrays)


def _in_threads(
    one: Callable[[tuple[int, int]], Columns], groups: Sequence[tuple[int, int]], threads: int
) -> Iterator[Columns]:
    """Measure groups in their order; consecutive small ones at once, as many as there are threads."""
    with ThreadPoolExecutor(threads, "nearfar-group") as pool:
        at = 0
        while at < len(groups):
            some = list(takewhile(lambda bounds: bounds[1] - bounds[0] <= SMALL, islice(groups, at, None)))
            if not some:
                yield one(groups[at])
            yield from pool.map(one, some)
            at += max(1, len(some))


def _typed(values: Any, kind: Any) -> Any:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return array.cast(kind) if array.type != kind else array
