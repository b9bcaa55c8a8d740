"""What a measure that has learned says of a benchmark's queries. Planned by `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curation import measures
from curation.measure import Block, query_vectors, schema_of
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.work import Json, Work
from pipeline.files.arrays import read_arrays
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.measuring import Instance
from pipeline.passes.packed_queries import QueryFiles, query_files, query_paths, scan_options, whole_queries
from pipeline.sets.uids import as_pairs


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the measure with its options, what it learned, the queries and their names."""

    kind: str
    name: str
    options: Json
    version: int
    model: str
    benchmark: str
    queries: str
    images: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the model, the queries and their rows lie."""

    model: str
    queries: QueryFiles
    images: str


def wave(run: RunContext, judging: Sequence[Instance]) -> Iterator[list[Work[Identity, Settings]]]:
    """Plan one unit for each measure and benchmark that it judges, where there is one."""
    if judging:
        yield [_work(run, one, name) for one in judging for name in one.measure.judges()]


def _work(run: RunContext, one: Instance, benchmark: str) -> Work[Identity, Settings]:
    files, model = query_files(run, benchmark, thresholds=False), run.path(layout.model(one.name))
    images = run.path(layout.images(benchmark))
    learned = digests([run.record("train", one.name)])[0]
    rows = digests([run.record("index", benchmark)], layout.images(benchmark))[0]
    options = measures.dump(one.measure.learns())
    identity = Identity(
        one.kind, one.name, options, one.measure.version, learned, benchmark, files.index, rows
    )
    committed = run.outputs([*query_paths(files), model, images])
    settings = Settings(model, files, images)
    return Work("judge", f"{one.name} {benchmark}", identity, settings, run.place, committed=committed)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Measure the queries as one block, and name each."""
    identity, settings = work.identity, work.settings
    measure = measures.parse(identity.kind, identity.options, f"measures.{identity.name}")
    vectors = query_vectors(whole_queries(settings.queries))
    images = read_parquet(Path(settings.images), columns=["query", "uid", "key"])
    running = measure.start(read_arrays(settings.model), {}, scan_options(work.place, k=1))
    found = running.apply(Block(as_pairs(images.column("uid")), {"image": vectors}))
    columns = {"query": images.column("query"), "query_key": images.column("key")}
    columns |= {
        spec.name: pa.array(found[spec.name]).cast(spec.type) for spec in list(schema_of(measure))[1:]
    }
    table, relative = pa.table(columns), layout.judged(identity.name, identity.benchmark)
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {"queries": len(table)}
