"""The Parquet files of a small finished run, in the formats of the output folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from report_draws import NEIGHBOURS, PARTS, SIZES, Drawn, mixed_columns

from pipeline import layout
from pipeline.files.parquet import write_parquet
from pipeline.report.request import MeasureFiles
from pipeline.sets.samples import LOST_SCHEMA
from pipeline.sets.uids import as_hex, derive

TEXT, SCORES = pa.string(), pa.float64()
SAMPLES = pa.schema(
    [
        *(("uid", TEXT), ("part", pa.int32()), ("row", pa.int64()), ("key", TEXT), ("url", TEXT)),
        *(("caption", TEXT), ("label", TEXT), ("image_sha256", TEXT)),
    ]
)
SCORE = pa.schema(
    [
        *(("uid", TEXT), ("similarity", SCORES), ("nearest", pa.int32())),
        *(("margin", SCORES), ("margin_query", pa.int32())),
    ]
)
ASIDE = pa.schema([("uid", TEXT), ("key", TEXT), ("row", pa.int64()), ("reason", TEXT)])
# The pool's last part: one readable row whose vector was set aside.
ASIDE_UID = "0" * 32
NEIGHBOUR = pa.schema(
    [
        *(("query", pa.int32()), ("query_key", TEXT), ("rank", pa.int32())),
        *(("uid", TEXT), ("key", TEXT), ("similarity", SCORES)),
    ]
)


def write(out: Path, relative: str, table: pa.Table) -> str:
    path = out / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, table, table.schema)
    return relative


def write_samples(out: Path, name: str, drawn: Drawn) -> tuple[str, ...]:
    """Write a set's rows, the pool in three parts."""
    size = len(drawn.keys)
    hashes = [hashlib.sha256(image).hexdigest() for image in drawn.images] if drawn.images else [None] * size
    none = pa.nulls(size, pa.string())
    uid = as_hex(derive(none, none, pa.array([f"{name}/{key}" for key in drawn.keys])))
    parts = PARTS if name == "pool" else 1
    of_part = np.repeat(np.arange(parts), -(-size // parts))[:size]
    columns = [
        uid,
        of_part.astype(np.int32),
        np.arange(size),
        drawn.keys,
        none,
        drawn.captions,
        drawn.labels,
        hashes,
    ]
    drawn.table = pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SAMPLES, strict=True)], schema=SAMPLES
    )
    drawn.uids = uid.to_pylist()
    return tuple(
        write(out, layout.samples(name, part), drawn.table.filter(pa.array(of_part == part)))
        for part in range(parts)
    )


def write_queries(out: Path, name: str, drawn: Drawn, reference: Drawn | None) -> NDArray[np.float64]:
    """Write a benchmark's queries; returns the thresholds."""
    size = len(drawn.keys)
    threshold, uid, key = np.full(size, np.nan), [None] * size, [None] * size
    if reference is not None:
        products = drawn.vectors @ reference.vectors.T
        threshold = products.max(axis=1)
        nearest = [min(np.flatnonzero(row == row.max()), key=lambda i: reference.uids[i]) for row in products]
        uid, key = [reference.uids[i] for i in nearest], [reference.keys[i] for i in nearest]
    table = pa.table(
        {
            "query": pa.array(range(size), pa.int32()),
            "uid": drawn.uids,
            "key": drawn.keys,
            "label": pa.array(drawn.labels, pa.string()),
            "caption": pa.array(drawn.captions, pa.string()),
            "image_sha256": drawn.table.column("image_sha256"),
            "threshold": pa.array(threshold, pa.float64(), from_pandas=True),
            "reference_uid": pa.array(uid, pa.string()),
            "reference_key": pa.array(key, pa.string()),
        }
    )
    write(out, layout.index(name, "queries.parquet"), table)
    return threshold


def score(uids: list[str], similarity: NDArray[np.float64], threshold: NDArray[np.float64]) -> pa.Table:
    """The columns of one benchmark."""
    margins = similarity - threshold
    known = not np.isnan(threshold).any()
    size = len(similarity)
    columns = [
        pa.array(uids, TEXT),
        pa.array(similarity.max(axis=1)),
        pa.array(similarity.argmax(axis=1), pa.int32()),
        pa.array(margins.max(axis=1)) if known else pa.nulls(size, pa.float64()),
        pa.array(margins.argmax(axis=1), pa.int32()) if known else pa.nulls(size, pa.int32()),
    ]
    return pa.table(columns, schema=SCORE)


def neighbours(
    queries: Drawn, pool: Drawn, similarity: NDArray[np.float64], kept: NDArray[np.bool_]
) -> pa.Table:
    """Each query's nearest kept samples: similarity descending, then uid."""
    rows = []
    left = np.flatnonzero(kept)
    for query in range(similarity.shape[1]):
        ranked = sorted(left, key=lambda i: (-similarity[i, query], pool.uids[i]))[:NEIGHBOURS]
        for rank, i in enumerate(ranked, 1):
            rows.append(
                (query, queries.keys[query], rank, pool.uids[i], pool.keys[i], float(similarity[i, query]))
            )
    columns = list(zip(*rows, strict=True)) or [[]] * len(NEIGHBOUR)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, NEIGHBOUR, strict=True)]
    return pa.table(arrays, schema=NEIGHBOUR)


def write_lost(out: Path) -> tuple[str, str]:
    lost = [("x1", "HTTP 404", "failed")] * 4 + [("x2", "damaged image", "quarantined")] * 2
    rows = [{"key": key, "outcome": outcome, "reason": reason} for key, reason, outcome in lost]
    relative = write(out, layout.lost("pool", 0), pa.Table.from_pylist(rows, schema=LOST_SCHEMA))
    refused = pa.table(
        [pa.array([v], f.type) for v, f in zip([ASIDE_UID, "x3", 999, "nan"], ASIDE, strict=True)],
        schema=ASIDE,
    )
    return relative, write(out, layout.set_aside("pool", "clip image", PARTS), refused)


def in_parts(out: Path, table: pa.Table, kind: str, name: str) -> tuple[str, ...]:
    """Write a measure's columns beside the pool's parts; the row that was set aside has NULL throughout."""
    third = SIZES["pool"] // PARTS
    tables = [table.slice(part * third, third) for part in range(PARTS)]
    aside = [pa.array([ASIDE_UID], TEXT), *(pa.nulls(1, field.type) for field in list(table.schema)[1:])]
    tables.append(pa.table(aside, schema=table.schema))
    return tuple(write(out, layout.measure(kind, name, part), own) for part, own in enumerate(tables))


def write_similarity(
    out: Path,
    benchmark: str,
    uids: list[str],
    similarity: NDArray[np.float64],
    threshold: NDArray[np.float64],
) -> tuple[str, ...]:
    return in_parts(out, score(uids, similarity, threshold), "similarity", benchmark)


def write_measures(out: Path, pool: Drawn) -> tuple[MeasureFiles, ...]:
    """Write two further measures: the length of captions, and one with every kind of column."""
    words = pa.array([len((caption or "").split()) for caption in pool.captions], pa.int32())
    lengths = pa.table([pa.array(pool.uids, TEXT), words], names=["uid", "words"])
    captions = in_parts(out, lengths, "captions", "captions")
    mixed = pa.table([pa.array(pool.uids, TEXT), *mixed_columns().values()], names=["uid", *mixed_columns()])
    return (
        MeasureFiles("captions", "captions", (("words", "words of the caption"),), captions),
        MeasureFiles(
            "mixed",
            "anything",
            tuple((name, f"what {name} says") for name in mixed_columns()),
            in_parts(out, mixed, "anything", "mixed"),
        ),
    )
