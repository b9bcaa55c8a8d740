"""One pass over a part for all measures that wait for it.

The search runs ahead of the others: while their columns are computed and written, the next blocks are read and scanned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.measure import QUERIES, Block, Columns, Running, schema_of
from indexes.quality import SampledScanner
from indexes.scores import Scores
from indexes.stream import ahead
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.arrays import read_arrays
from pipeline.files.parquet import Writing, open_parquet, read_parquet, write_parquet
from pipeline.passes.measure_unit import Identity, Settings
from pipeline.passes.packed_queries import open_search, packed, scan_options, whole_queries
from pipeline.passes.part_pass import (
    QUARANTINED_SCHEMA,
    Pass,
    Rows,
    count_reasons,
    lane,
    pairs,
    whole_columns,
)
from pipeline.passes.running_search import NEAREST_SCHEMA, Search, one_segment
from pipeline.sets.parts import Stored

SET_ASIDE = "set aside"
# Blocks of scores that may wait for the caller: writing comes in bursts, a row group of Parquet at a time.
WAITING = 4
Found = Mapping[str, Scores]
"""Scores of a block by benchmark lane: one entry for each open search, by its first benchmark's name."""


@dataclass(slots=True)
class _Column:
    """A measure at work: what it looks at, and the file that its columns go to."""

    work: Work[Identity, Settings]
    into: Attempt
    running: Running
    schema: pa.Schema
    writing: Writing
    search: Search | None
    others: Mapping[str, Any]
    at: int = 0
    compared: int = 0

    def add(self, rows: Rows, found: Found) -> None:
        """Measure a block; rows that lack a vector get NULL."""
        mask = rows.healthy(list(self.work.settings.lanes))
        count = len(rows.table)
        columns = self.running.apply(self._block(rows, mask, found)) if mask.any() else {}
        self.writing.add(_spread(columns, mask, rows.table.column("uid"), self.schema))
        self.at += count
        self.compared += int(mask.sum())

    def _block(self, rows: Rows, mask: NDArray[np.bool_], found: Found) -> Block:
        settings = self.work.settings
        prefix = len(f"{settings.encoder} ")
        vectors = {key[prefix:]: rows.vectors(key, mask) for key in settings.lanes}
        chosen = None if mask.all() else pa.array(mask)
        columns = {name: rows.table.column(name).combine_chunks() for name in settings.own}
        columns |= {name: values.slice(self.at, len(mask)) for name, values in self.others.items()}
        if chosen is not None:
            columns = {name: values.filter(chosen) for name, values in columns.items()}
        uids = pairs(rows.table if chosen is None else rows.table.filter(chosen))
        return Block(uids, vectors, columns, self._scores(rows, mask, found))

    def _scores(self, rows: Rows, mask: NDArray[np.bool_], found: Found) -> Scores | None:
        if self.search is None:
            return None
        seen = rows.healthy([self.search.lane])
        inside = None if np.array_equal(seen, mask) else np.flatnonzero(mask[seen])
        at = self.search.names.index(self.work.identity.name)
        return one_segment(found[self.search.names[0]], at, inside)

    def finish(self) -> Json:
        """Write what the measure leaves beside its columns, once its file is whole."""
        identity, settings = self.work.identity, self.work.settings
        kind, name, number = identity.kind, identity.name, settings.part.number
        self.into.add(layout.measure(kind, name, number, identity.of), rows=self.writing.rows)
        for table_name, table in self.running.finish().items():
            relative = layout.measure_table(kind, name, table_name, number)
            self.into.add(relative, rows=write_parquet(self.into.file(relative), table, table.schema))
        facts: Json = {"rows": self.writing.rows, "compared": self.compared}
        if self.search is None:
            return facts
        relative = layout.nearest(name, number)
        rows = write_parquet(self.into.file(relative), self.search.nearest(name), NEAREST_SCHEMA)
        self.into.add(relative, rows=rows)
        quality = self.search.quality(self.work.place)
        return facts if quality is None else facts | {"quality": asdict(quality)}


@dataclass(slots=True)
class _Aside:
    """The rows of a part without a comparable vector."""

    work: Work[Identity, Settings]
    into: Attempt
    tables: list[pa.Table] = field(default_factory=list)
    normalised: int = 0
    compared: int = 0

    def add(self, rows: Rows, found: Found) -> None:
        """List them."""
        key = lane(self.work.settings.encoder, "image")
        self.tables.append(rows.set_aside(key))
        self.normalised += rows.lanes[key].normalised
        self.compared += len(rows.lanes[key].vectors)

    def finish(self) -> Json:
        """Write them, and count them by reason."""
        identity, number = self.work.identity, self.work.settings.part.number
        relative = layout.set_aside("pool", f"{identity.name} image", number)
        lost = pa.concat_tables([QUARANTINED_SCHEMA.empty_table(), *self.tables])
        self.into.add(relative, rows=write_parquet(self.into.file(relative), lost, QUARANTINED_SCHEMA))
        counts = count_reasons(self.tables)
        return {"compared": self.compared, "quarantined": counts, "normalised": self.normalised}


def measure_together(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Measure one part for several units; returns the facts of each."""
    lanes: dict[str, Stored] = {}
    noted: dict[str, str] = {}
    for work, into in zip(works, attempts, strict=True):
        lanes |= work.settings.lanes
        noted |= into.noted
    own = [name for work in works for name in work.settings.own]
    looking = Pass(works[0].settings.part, lanes, own, noted)
    searches = _searches(works)
    with ExitStack() as stack:
        sinks = [_open(work, into, searches, stack) for work, into in zip(works, attempts, strict=True)]
        for rows, found in ahead(_scanned(looking, searches), WAITING):
            for sink in sinks:
                sink.add(rows, found)
    contents = looking.contents()
    for into in attempts:
        into.noted |= contents
    return [sink.finish() for sink in sinks]


def _scanned(looking: Pass, searches: Sequence[Search]) -> Iterator[tuple[Rows, Found]]:
    for rows in looking.blocks():
        yield rows, {search.names[0]: search.scan(rows) for search in searches}


def _open(
    work: Work[Identity, Settings], into: Attempt, searches: Sequence[Search], stack: ExitStack
) -> _Column | _Aside:
    identity, settings = work.identity, work.settings
    if identity.kind == SET_ASIDE:
        return _Aside(work, into)
    measure = identity.measure()
    schema = schema_of(measure)
    path = into.file(layout.measure(identity.kind, identity.name, settings.part.number, identity.of))
    writing = stack.enter_context(open_parquet(path, schema))
    others: dict[str, Any] = {}
    tables: dict[str, pa.Table] = {}
    for other in settings.others:
        if other.columns is None:
            tables[other.need] = pa.concat_tables([read_parquet(Path(path)) for path in other.paths])
        else:
            found = whole_columns(other.paths[0], other.columns)
            others |= {f"{other.need}.{name}": values for name, values in found.items()}
    if identity.target is not None and settings.queries is not None and settings.summary is None:
        tables[f"{QUERIES}:{settings.queries.name}"] = whole_queries(settings.queries)
    model = read_arrays(settings.model) | read_arrays(settings.summary)
    running = measure.start(model, tables, scan_options(work.place, k=1))
    search = next((one for one in searches if identity.searching and identity.name in one.names), None)
    return _Column(work, into, running, schema, writing, search, others)


def _searches(works: Sequence[Work[Identity, Settings]]) -> list[Search]:
    """Open a search for each group of benchmarks that can share one; an approximate one has its own."""
    groups: dict[tuple[Any, ...], list[Work[Identity, Settings]]] = {}
    for work in works:
        chosen = work.identity.searching
        if chosen is not None:
            own = work.identity.name if chosen.sampled else ""
            key = (work.settings.encoder, chosen.backend, chosen.k, own)
            groups.setdefault(key, []).append(work)
    return [_search(group) for group in groups.values()]


def _search(group: Sequence[Work[Identity, Settings]]) -> Search:
    first, chosen = group[0], group[0].identity.searching
    files = tuple(work.settings.queries for work in group)
    queries = packed(files)
    scanner = open_search(queries, first.place, chosen.k, chosen.backend, chosen.options)  # type: ignore[union-attr]
    if chosen is not None and chosen.sampled:
        scanner = SampledScanner(scanner, *chosen.sampled)
    names = tuple(work.identity.name for work in group)
    return Search(names, lane(first.settings.encoder, "image"), queries, scanner)


def _spread(columns: Columns, mask: NDArray[np.bool_], uids: pa.ChunkedArray, schema: pa.Schema) -> pa.Table:
    """Put a measure's values where their rows are; the other rows get NULL."""
    arrays: list[Any] = [uids]
    places = None if mask.all() else pa.array(np.where(mask, np.cumsum(mask) - 1, 0), mask=~mask)
    for spec in list(schema)[1:]:
        values = columns.get(spec.name)
        if values is None:
            arrays.append(pa.nulls(len(mask), spec.type))
            continue
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
        array = array.cast(spec.type) if array.type != spec.type else array
        arrays.append(array if places is None else array.take(places))
    return pa.table(arrays, schema=schema)
