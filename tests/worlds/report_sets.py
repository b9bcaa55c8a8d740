"""A small finished run, written file by file in the formats of the output folder, with what it must say.

Vectors are drawn, so that brute force in float64 gives the truth; images are painted from the row's number.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.files.parquet import write_parquet
from pipeline.report.request import BenchmarkFiles, ReportRequest, SetFiles, SplitFiles
from pipeline.sets.uids import as_hex, as_pairs, derive

WIDTH, PARTS, NEIGHBOURS = 24, 3, 6
SIZES = {"pool": 300, "reference": 120, "photo": 50, "sketch": 40}
BENCHMARKS = ("photo", "sketch")
TEXT, SCORES = pa.string(), pa.float64()
SAMPLES = pa.schema(
    [
        *(("uid", pa.uuid()), ("part", pa.int32()), ("row", pa.int64()), ("key", TEXT), ("url", TEXT)),
        *(("caption", TEXT), ("label", TEXT), ("image_sha256", TEXT)),
    ]
)
LOST = pa.schema(
    [
        *(("key", TEXT), ("uid", pa.uuid()), ("url", TEXT), ("caption", TEXT)),
        *(("outcome", TEXT), ("reason", TEXT)),
    ]
)
SCORE = pa.struct(
    [("similarity", SCORES), ("nearest", pa.int32()), ("margin", SCORES), ("margin_query", pa.int32())]
)
NEIGHBOUR = pa.schema(
    [
        *(("query", pa.int32()), ("query_key", TEXT), ("rank", pa.int32())),
        *(("uid", TEXT), ("key", TEXT), ("similarity", SCORES)),
    ]
)
# Pool rows that have the very file of a query, and pool rows whose vector alone is the query's.
IDENTICAL = {(5, "photo", 3), (117, "photo", 7), (250, "sketch", 11)}
COPIED = {(40, "photo", 20), (41, "sketch", 21)}
NEAR = {(60 + at, "photo", 30 + at) for at in range(8)}


@dataclass
class Drawn:
    """One set: its vectors and columns."""

    vectors: NDArray[np.float64]
    keys: list[str]
    captions: list[str | None]
    labels: list[str | None]
    images: list[bytes] | None
    uids: list[str] = field(default_factory=list)
    table: pa.Table | None = None


@dataclass
class World:
    """A finished run."""

    out: Path
    request: ReportRequest
    sets: dict[str, Drawn]
    similarity: dict[str, NDArray[np.float64]]  # per benchmark, (pool, queries)
    threshold: dict[str, NDArray[np.float64]]
    kept: dict[str, NDArray[np.bool_]]


def paint(seed: int, tint: int) -> bytes:
    """A small PNG that differs by seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), tuple(int(v) for v in rng.integers(120, 235, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y, size = (int(v) for v in rng.integers((4, 4, 12), (36, 36, 30)))
        colour = tuple(int(v) for v in (rng.integers(0, 200, 3) + tint) % 256)
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + size, y + size), fill=colour)
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors with float16 values."""
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled.astype(np.float16).astype(np.float64)


def draw_sets(images: bool, reference: bool) -> dict[str, Drawn]:
    """Draw all sets around shared centres and plant the copies."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((5, WIDTH))
    classes = ["fire_truck", "sea lion", "cup", "maple", "bridge"]
    sets = {}
    for number, (name, size) in enumerate(SIZES.items()):
        if name == "reference" and not reference:
            continue
        chosen = rng.integers(0, 5, size)
        vectors = unit(centres[chosen] + 0.55 * rng.standard_normal((size, WIDTH)))
        labels = [classes[c] if name != "pool" else None for c in chosen]
        captions = [
            f"a picture of a {classes[c].replace('_', ' ')}" if name == "pool" else None for c in chosen
        ]
        keys = [
            f"{i // 100:05d}{i:04d}" if name == "pool" else f"{classes[c]}/{name}-{i}.png"
            for i, c in enumerate(chosen)
        ]
        painted = [paint(1000 * number + i, 40 * number) for i in range(size)] if images else None
        sets[name] = Drawn(vectors, keys, captions, labels, painted)
    plant(sets)
    return sets


def plant(sets: dict[str, Drawn]) -> None:
    pool = sets["pool"]
    rng = np.random.default_rng(8)
    for row, benchmark, query in sorted(IDENTICAL | COPIED):
        pool.vectors[row] = sets[benchmark].vectors[query]
        if (
            pool.images is not None
            and sets[benchmark].images is not None
            and (row, benchmark, query) in IDENTICAL
        ):
            pool.images[row] = sets[benchmark].images[query]
    for row, benchmark, query in sorted(NEAR):
        pool.vectors[row] = unit(sets[benchmark].vectors[[query]] + 0.045 * rng.standard_normal((1, WIDTH)))[
            0
        ]
    pool.captions[5] = "a picture of something else"
    label = sets["photo"].labels[7] or ""
    sets["photo"].captions[7] = pool.captions[117] = f"The very same words, {label.replace('_', ' ')}."


def write(out: Path, relative: str, table: pa.Table) -> str:
    path = out / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    write_parquet(path, table, table.schema)
    return relative


def write_samples(out: Path, name: str, drawn: Drawn) -> tuple[str, ...]:
    """Write `samples/<name>/part-*.parquet`, the pool in three parts."""
    size = len(drawn.keys)
    hashes = [hashlib.sha256(image).hexdigest() for image in drawn.images] if drawn.images else [None] * size
    none = pa.nulls(size, pa.string())
    uid = derive(none, none, pa.array([f"{name}/{key}" for key in drawn.keys]))
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
    drawn.uids = as_hex(uid).to_pylist()
    return tuple(
        write(out, f"samples/{name}/part-{part:04d}.parquet", drawn.table.filter(pa.array(of_part == part)))
        for part in range(parts)
    )


def write_queries(out: Path, name: str, drawn: Drawn, reference: Drawn | None) -> NDArray[np.float64]:
    """Write `indexes/<name>/queries.parquet`; give the thresholds."""
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
    write(out, f"indexes/{name}/queries.parquet", table)
    return threshold


def score(similarity: NDArray[np.float64], threshold: NDArray[np.float64]) -> pa.StructArray:
    """The struct column of one benchmark."""
    margins = similarity - threshold
    known = not np.isnan(threshold).any()
    size = len(similarity)
    return pa.StructArray.from_arrays(
        [
            pa.array(similarity.max(axis=1)),
            pa.array(similarity.argmax(axis=1), pa.int32()),
            pa.array(margins.max(axis=1)) if known else pa.nulls(size, pa.float64()),
            pa.array(margins.argmax(axis=1), pa.int32()) if known else pa.nulls(size, pa.int32()),
        ],
        fields=list(SCORE),
    )


def write_neighbours(
    out: Path,
    relative: str,
    queries: Drawn,
    pool: Drawn,
    similarity: NDArray[np.float64],
    kept: NDArray[np.bool_],
) -> str:
    """Write each query's nearest kept samples: similarity descending, then uid."""
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
    return write(out, relative, pa.table(arrays, schema=NEIGHBOUR))


def write_split(world: World, name: str, dropped: Mapping[str, int], kept: NDArray[np.bool_]) -> SplitFiles:
    """Write what a report reads of a split."""
    out, pool = world.out, world.sets["pool"]
    world.kept[name] = kept
    neighbours = {
        b: write_neighbours(
            out, f"neighbours/{name}/{b}.parquet", world.sets[b], pool, world.similarity[b], kept
        )
        for b in BENCHMARKS
    }
    folder = out / "splits" / name
    folder.mkdir(parents=True)
    pairs = as_pairs(pool.table.column("uid").combine_chunks())[kept]
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    np.save(folder / "uids.npy", np.array([tuple(p) for p in pairs[order].tolist()], dtype="u8,u8"))
    size = len(kept)
    facts = {
        "rows_in": size + 7,
        "failed": {"HTTP 404": 4},
        "quarantined": {"damaged image": 2, "nan": 1},
        "duplicates": 0,
        "dropped": dict(dropped),
        "kept": int(kept.sum()),
    }
    (folder / "split.json").write_text(json.dumps({"split": name, "waterfall": facts}))
    return SplitFiles(name, f"splits/{name}/split.json", neighbours, f"splits/{name}/uids.npy")


def write_lost(out: Path) -> tuple[str, str]:
    lost = [("x1", "HTTP 404", "failed")] * 4 + [("x2", "damaged image", "quarantined")] * 2
    rows = [{"key": key, "outcome": outcome, "reason": reason} for key, reason, outcome in lost]
    relative = write(out, "samples/pool/lost-0000.parquet", pa.Table.from_pylist(rows, schema=LOST))
    refused = pa.table({"uid": pa.nulls(1, pa.uuid()), "key": ["x3"], "reason": ["nan"]})
    return relative, write(out, "measures/similarity/quarantined-0000.parquet", refused)


def build_world(out: Path, *, images: bool = True, reference: bool = True) -> World:
    """Write the whole run."""
    sets = draw_sets(images, reference)
    files = {name: SetFiles(name, samples=write_samples(out, name, drawn)) for name, drawn in sets.items()}
    # The quarantined vector is a readable row of the samples: one more than is measured.
    extra = pa.table(
        [
            pa.array([v], f.type)
            for v, f in zip([b"\0" * 16, 2, 999, "x3", None, None, None, None], SAMPLES, strict=True)
        ],
        schema=SAMPLES,
    )
    lost, refused = write_lost(out)
    pool_parts = (*files["pool"].samples, write(out, "samples/pool/part-0003.parquet", extra))
    files["pool"] = replace(
        files["pool"], samples=pool_parts, lost=(lost,), quarantined=(refused,), dataset="web"
    )
    files["photo"] = replace(files["photo"], dataset="things")
    if reference:
        files["reference"] = replace(files["reference"], dataset="things")
    threshold = {b: write_queries(out, b, sets[b], sets.get("reference")) for b in BENCHMARKS}
    similarity = {b: sets["pool"].vectors @ sets[b].vectors.T for b in BENCHMARKS}
    everything = np.ones(SIZES["pool"], dtype=bool)
    benchmarks = tuple(
        BenchmarkFiles(
            files[b],
            f"indexes/{b}/queries.parquet",
            write_neighbours(
                out, f"neighbours/{b}.parquet", sets[b], sets["pool"], similarity[b], everything
            ),
        )
        for b in BENCHMARKS
    )
    request = ReportRequest(
        out,
        "small audit",
        files["pool"],
        files.get("reference"),
        benchmarks,
        (),
        write_measures(out, sets, similarity, threshold),
    )
    world = World(out, request, sets, similarity, threshold, {})
    world.request = replace(request, splits=write_splits(world), **about(world))
    return world


def write_measures(out: Path, sets: dict[str, Drawn], similarity: dict, threshold: dict) -> tuple[str, ...]:
    structs = [score(similarity[b], threshold[b]) for b in BENCHMARKS]
    table = pa.table([sets["pool"].table.column("uid"), *structs], names=["uid", *BENCHMARKS])
    third = SIZES["pool"] // PARTS
    return tuple(
        write(out, f"measures/similarity/part-{part:04d}.parquet", table.slice(part * third, third))
        for part in range(PARTS)
    )


def write_splits(world: World) -> tuple[SplitFiles, ...]:
    size = SIZES["pool"]
    near = np.zeros(size, dtype=bool)
    for b in BENCHMARKS:
        level = world.threshold[b] if world.request.has_reference else 0.9
        near |= (world.similarity[b] > level).any(axis=1)
    drawn = np.zeros(size, dtype=bool)
    drawn[np.random.default_rng(1).permutation(size)[: int((~near).sum())]] = True
    return (
        write_split(world, "pruned", {"near": int(near.sum())}, ~near),
        write_split(world, "rand_pruned", {"random": int((~drawn).sum())}, drawn),
        write_split(world, "nothing", {"where": size}, np.zeros(size, dtype=bool)),
    )


def about(world: World) -> dict:
    """What a caller adds: provenance, command and a way to get images."""

    def fetch(wanted: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], bytes]:
        found = {}
        for name, keys in wanted.items():
            drawn = world.sets[name]
            for key in keys if drawn.images else ():
                found[name, key] = drawn.images[drawn.keys.index(key)]
        return found

    return {
        "provenance": {
            "encoder": {"model": "tiny", "weights_sha256": "ab" * 32},
            "versions": {"nearfar": "0.1.0", "duckdb": "2.0.0"},
            "neighbours": NEIGHBOURS,
        },
        "command": "nearfar run data_manifests/plans/quickstart.yaml",
        "fetch_images": fetch,
    }


@dataclass
class Folder:
    """Stands in for a commit attempt."""

    root: Path
    added: list[str] = field(default_factory=list)

    def file(self, relative: str) -> Path:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, relative: str, rows: int | None = None) -> None:
        self.added.append(relative)
