"""Where every row of the pool went: it adds up, or the run stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import RunFailedError
from pipeline.files.parquet import read_batches
from pipeline.splits.pool_rows import RowsSeen


@dataclass(frozen=True, slots=True)
class Losses:
    """Rows of the pool that no rule sees.

    Attributes:
        rows_in: Every row of the pool.
        failed: Rows without an image, by reason.
        quarantined: Rows that could not be read or measured, by reason.
        duplicates: Later rows of a repeated uid.
    """

    rows_in: int
    failed: dict[str, int]
    quarantined: dict[str, int]
    duplicates: int

    def healthy(self) -> int:
        """Rows that rules see."""
        return self.rows_in - sum(self.failed.values()) - sum(self.quarantined.values()) - self.duplicates


def count_losses(seen: RowsSeen, lost: Sequence[str]) -> Losses:
    """Add up what was come across while the pool was loaded, and the rows of `lost/pool/` by reason."""
    failed: Counter[str] = Counter()
    set_aside: Counter[str] = Counter(seen.quarantined)
    for path in lost:
        for batch in read_batches(path, columns=["outcome", "reason"]):
            for outcome, reason in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                (failed if outcome == "failed" else set_aside)[reason or "unknown"] += 1
    rows = seen.rows + failed.total() + set_aside.total() - sum(seen.quarantined.values())
    return Losses(rows, dict(sorted(failed.items())), dict(sorted(set_aside.items())), seen.duplicates)


def require_all(losses: Losses, rows: int, what: str) -> None:
    """Refuse to go on unless `rows`, those loaded or those kept or dropped, are all that rules see.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    if rows != losses.healthy():
        raise RunFailedError(
            f"rows are unaccounted for: {losses.healthy():,} samples can be chosen from, but {rows:,} were "
            f"{what}; files of the pool and its measures are out of step. "
            "`nearfar verify OUT --repair` on the output folder makes them again"
        )


def waterfall(losses: Losses, dropped: Sequence[dict[str, Any]], kept: int) -> dict[str, Any]:
    """Return the waterfall of a split: from all rows of the pool, and those of sets that it adds, down to those kept.

    Args:
        losses: What no rule saw.
        dropped: `reason` and `dropped` of each step, in order; `offered` where samples of a further set joined before.
        kept: Rows that stayed.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    joined = sum(int(step.get("offered", 0)) for step in dropped)
    require_all(losses, kept + sum(int(step["dropped"]) for step in dropped) - joined, "kept or dropped")
    return {
        "rows_in": losses.rows_in,
        "failed": losses.failed,
        "quarantined": losses.quarantined,
        "duplicates": losses.duplicates,
        "dropped": list(dropped),
        "kept": kept,
        **({"offered": joined} if joined else {}),
    }
