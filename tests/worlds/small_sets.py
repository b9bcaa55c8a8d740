"""Small sets of vectors in clip-retrieval's layout, and a plan over them, for tests of whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

WIDTH = 16


def unit(seed: int, rows: int, width: int = WIDTH) -> np.ndarray:
    """Clustered unit vectors, float16."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((6, width))
    drawn = centres[rng.integers(0, 6, rows)] + 0.6 * rng.standard_normal((rows, width))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32).astype(np.float16)


def rows_of(name: str, start: int, count: int) -> list[dict[str, Any]]:
    return [
        {
            "image_path": f"{name}{i:06d}",
            "caption": f"caption {i}",
            "url": f"http://x.test/{name}/{i}",
            "width": i,
        }
        for i in range(start, start + count)
    ]


def write_part(folder: Path, number: int, vectors: np.ndarray, rows: list[dict[str, Any]]) -> None:
    """Write one pair of files; column types hold also where there are no rows."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{number}.npy", vectors)
    schema = pa.schema(
        [("image_path", pa.string()), ("caption", pa.string()), ("url", pa.string()), ("width", pa.int64())]
    )
    table = pa.Table.from_pylist(rows) if rows else schema.empty_table()
    pq.write_table(table, folder / "metadata" / f"metadata_{number}.parquet")


def write_sets(folder: Path) -> None:
    """A pool of three parts of 120, a reference of 60, benchmarks `one` (20) and `two` (15)."""
    for number in range(3):
        write_part(folder / "pool", number, unit(10 + number, 120), rows_of("p", 120 * number, 120))
    write_part(folder / "reference", 0, unit(20, 60), rows_of("r", 0, 60))
    write_part(folder / "one", 0, unit(21, 20), rows_of("q", 0, 20))
    write_part(folder / "two", 0, unit(22, 15), rows_of("s", 0, 15))


def plan_of(folder: Path, **changes: Any) -> dict[str, Any]:
    """A plan over those sets, a unit for each part; `changes` replace its keys."""
    source = {name: {"path": str(folder / name), "format": "clip-retrieval"} for name in SETS}
    plan: dict[str, Any] = {
        "name": "small",
        "pool": source["pool"],
        "reference": source["reference"],
        "benchmarks": {"one": source["one"], "two": source["two"]},
        "splits": {
            "pruned": [{"near": {"to": "all"}}],
            "core": [{"far": {"to": "all", "keep": 100}}],
            "control": [{"random": {"like": "pruned", "seed": 3}}],
            "wide": [{"where": "width >= 100"}, {"near": {"to": ["one"], "fraction": 0.5}}],
            "mixed": {
                "from": {"union": ["pruned", "core"]},
                "rules": [{"random": {"fraction": 0.5, "seed": 1}}],
            },
        },
        "output": str(folder / "out"),
        "engine": {"unit_rows": 1},
    }
    return plan | changes


SETS = ("pool", "reference", "one", "two")


def write_plan(folder: Path, **changes: Any) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan_of(folder, **changes), sort_keys=False, allow_unicode=True))
    return path
