"""A small finished run, written file by file in the formats of the output folder, with what it must say.

Vectors are drawn, so that brute force in float64 gives the truth; images are painted from the row's number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from report_draws import BENCHMARKS, COPIED, IDENTICAL, NEIGHBOURS, PARTS, SIZES, Drawn, draw_sets
from report_tables import (
    ASIDE_UID,
    SAMPLES,
    TEXT,
    neighbours,
    write,
    write_lost,
    write_measures,
    write_queries,
    write_samples,
    write_similarity,
)

from pipeline import layout
from pipeline.report.request import BenchmarkFiles, ReportRequest, SetFiles, SplitFiles, WantedPicture

__all__ = ["BENCHMARKS", "COPIED", "IDENTICAL", "NEIGHBOURS", "SIZES", "Folder", "World", "build_world"]


@dataclass
class World:
    """A finished run."""

    out: Path
    request: ReportRequest
    sets: dict[str, Drawn]
    similarity: dict[str, NDArray[np.float64]]  # per benchmark, (pool, queries)
    threshold: dict[str, NDArray[np.float64]]
    kept: dict[str, NDArray[np.bool_]]


def write_gap(world: World, name: str, kept: NDArray[np.bool_]) -> str:
    """Write the nearest samples of a split for all benchmarks, one after the other."""
    tables = []
    for b in BENCHMARKS:
        table = neighbours(world.sets[b], world.sets["pool"], world.similarity[b], kept)
        tables.append(table.add_column(0, "benchmark", pa.array([b] * len(table), TEXT)))
    return write(world.out, layout.gap(name), pa.concat_tables(tables))


def write_split(world: World, name: str, dropped: Mapping[str, int], kept: NDArray[np.bool_]) -> SplitFiles:
    """Write what a report reads of a split; the first kept sample is there twice, as a repeat is."""
    out, pool = world.out, world.sets["pool"]
    world.kept[name] = kept
    gap = write_gap(world, name, kept)
    facts, uids = layout.split(name, "split.json"), layout.split(name, "uids.npy")
    (out / facts).parent.mkdir(parents=True, exist_ok=True)
    pairs = sorted((int(uid[:16], 16), int(uid[16:], 16)) for uid in np.array(pool.uids)[kept])
    np.save(out / uids, np.array([*pairs[:1], *pairs], dtype="u8,u8"))
    waterfall = {
        "rows_in": len(kept) + 7,
        "failed": {"HTTP 404": 4},
        "quarantined": {"damaged image": 2, "nan": 1},
        "duplicates": 0,
        "dropped": dict(dropped),
        "kept": int(kept.sum()),
    }
    (out / facts).write_text(json.dumps({"split": name, "waterfall": waterfall}))
    return SplitFiles(name, facts, gap, uids)


def build_world(out: Path, *, images: bool = True, reference: bool = True) -> World:
    """Write the whole run."""
    sets = draw_sets(images, reference)
    files = {name: SetFiles(name, samples=write_samples(out, name, drawn)) for name, drawn in sets.items()}
    # The quarantined vector is a readable row of the samples: one more than is measured.
    extra = pa.table(
        [
            pa.array([v], f.type)
            for v, f in zip([ASIDE_UID, PARTS, 999, "x3", None, None, None, None], SAMPLES, strict=True)
        ],
        schema=SAMPLES,
    )
    lost, refused = write_lost(out)
    pool_parts = (*files["pool"].samples, write(out, layout.samples("pool", PARTS), extra))
    files["pool"] = replace(
        files["pool"], samples=pool_parts, lost=(lost,), quarantined=((refused,),), dataset="web"
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
            layout.index(b, "queries.parquet"),
            write(out, layout.neighbours(b), neighbours(sets[b], sets["pool"], similarity[b], everything)),
            write_similarity(out, b, sets["pool"].uids, similarity[b], threshold[b]),
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
        write_measures(out, sets["pool"]),
    )
    world = World(out, request, sets, similarity, threshold, {})
    world.request = replace(request, splits=write_splits(world), **about(world))
    return world


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

    def fetch(wanted: Mapping[str, Mapping[str, WantedPicture]]) -> dict[tuple[str, str], bytes]:
        found = {}
        for name, keys in wanted.items():
            drawn = world.sets[name]
            for key in keys if drawn.images else ():
                found[name, key] = drawn.images[drawn.keys.index(key)]
        return found

    return {
        "neighbours": NEIGHBOURS,
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
