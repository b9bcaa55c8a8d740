"""Check a finished run: every byte again, what its units gave again, and its decisions by plain code.

Three looks, each of which sees what another cannot. Hashes tell what changed since it was written. Units that are done
again tell what was written wrong. The last look shares no code with the run: NumPy reads the vector files, one matrix
product in float64 gives the similarities, which are exact for unit float16 vectors (see `indexes.brute`), and splits
are decided by the plain oracle of each selection. Where the plan names an approximate backend, another query may be
nearer than the one that was found, but the similarity to that one must be exact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexes.errors import OutputError
from pipeline import layout
from pipeline.execution.context import RunContext
from pipeline.stages.split import recheck_splits
from pipeline.stores.working_copies import place_of
from pipeline.verifying.done_again import ROWS, do_again
from pipeline.verifying.fetched_pool import is_fetched, verify_fetched
from pipeline.verifying.recomputing import Recomputed, check_decisions, check_thresholds
from pipeline.verifying.verification import Verification
from pipeline.verifying.walk import replay


def verify(out: Path, samples: int = 256, seed: int = 0, rows: int | None = ROWS) -> Verification:
    """Verify a finished run, or a fetched pool.

    Args:
        out: Its output folder.
        samples: Pool samples to score again by brute force; a quarter as many queries are calibrated again.
        seed: Seed of all draws.
        rows: Rows that units of each kind are done again for, at least those of one unit, and samples of which splits
            are decided again; None for all.

    Raises:
        OutputError: If the folder holds neither, or what it holds is not finished.
    """
    result = Verification()
    if is_fetched(out):
        verify_fetched(out, result)
        return result
    if not (out / layout.LOCK_FILE).is_file():
        raise OutputError(
            f"{place_of(out)} holds no run (no {layout.LOCK_FILE}) and no fetched pool; name the `output` folder of a "
            "plan, or the OUT of nearfar ingest"
        )
    run = replay(out, result)
    if not result.problems:
        _decide_again(run, samples, seed, rows, result)
        do_again(result.waves, rows, seed, result)
    return result


def _decide_again(run: RunContext, samples: int, seed: int, rows: int | None, result: Verification) -> None:
    rng = np.random.default_rng(seed)
    again = Recomputed()
    check_decisions(run, rng, samples, again)
    check_thresholds(run, rng, max(1, samples // 4), again)
    result.decisions, result.thresholds = again.decisions, again.thresholds
    result.problems += again.problems
    result.doubtful = bool(again.problems)
    result.splits = recheck_splits(run, rows, seed)
    for name, found in result.splits.items():
        result.problems += [f"split {name}: {problem}" for problem in found.problems]
        result.wrong += [f"split/{name}"] if found.problems else []
