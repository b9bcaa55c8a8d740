"""Render a whole image-text world: pool, reference, three benchmarks, and the truth about planted copies."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import BadInputError, OutputError
from pipeline.world.folders import write_folder
from pipeline.world.plants import Plant, choose_plants
from pipeline.world.pool import FAILED_SHARE, choose_failed, write_pool
from pipeline.world.scene import STYLES

VERSION = 1
FEWEST = 50  # below this there is no room for the plants
TRUTH = pa.schema([(name, pa.string()) for name in ("key", "uid", "benchmark", "query_key", "kind")])


def render_world(out: Path, seed: int = 0, samples: int = 2000) -> None:
    """Render the world of `seed` with `samples` pool images below `out`.

    The sizes of the other sets follow: 2 in 5 as many reference images, 3 in 50 for each benchmark, and
    1 in 100 (at least 5) planted copies of each benchmark's images. 1% more rows are attempted and fail.
    The same seed and samples give the same bytes. A world that is there already is left as it is.

    Raises:
        BadInputError: If `samples` is below 50 or the seed is negative.
        OutputError: If `out` holds anything else than this world, or cannot be written.
    """
    if samples < FEWEST or seed < 0:
        raise BadInputError(
            f"a world needs at least {FEWEST} samples and a seed >= 0; got samples {samples} and seed {seed}"
        )
    identity = {"version": VERSION, "seed": seed, "samples": samples}
    if _is_there(out, identity):
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            _render(draft, seed, samples)
            (draft / "world.json").write_text(json.dumps(identity) + "\n")
            draft.chmod(0o755)
            draft.rename(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"cannot write the world to '{out}': {error}; choose a folder that can be written"
        ) from error


def _is_there(out: Path, identity: dict[str, int]) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / "world.json").read_text())
    except (OSError, ValueError):
        found = "something that is no world"
    if found == identity:
        return True
    raise OutputError(f"'{out}' holds {found}, not {identity}; remove it or choose another folder")


def _render(out: Path, seed: int, samples: int) -> None:
    write_folder(out / "reference", "photo", max(32, samples * 2 // 5), (seed, 1))
    benchmarks = {
        style: write_folder(out / "benchmarks" / style, style, max(16, samples * 3 // 50), (seed, 2 + number))
        for number, style in enumerate(STYLES)
    }
    rng = np.random.default_rng([seed, 6])
    failures = max(1, round(samples * FAILED_SHARE))
    attempted = samples + failures
    plants = choose_plants(rng, benchmarks, attempted, max(5, samples // 100))
    failed = choose_failed(rng, attempted, failures, plants)
    rows = write_pool(out / "pool", seed, attempted, plants, failed)
    pq.write_table(_truth(plants, rows), out / "truth.parquet")


def _truth(plants: dict[int, Plant], rows: dict[int, dict[str, Any]]) -> pa.Table:
    truth = [
        {
            "key": rows[index]["key"],
            "uid": hashlib.md5(
                f"{rows[index]['url']}\n{rows[index]['caption']}".encode(), usedforsecurity=False
            ).hexdigest(),
            "benchmark": plant.benchmark,
            "query_key": plant.picture.key,
            "kind": plant.kind,
        }
        for index, plant in sorted(plants.items())
    ]
    return pa.Table.from_pylist(truth, schema=TRUTH)
