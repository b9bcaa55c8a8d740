"""Where every row of the pool went: it adds up, or the run stops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import RunFailedError
from pipeline.files.parquet import parquet_rows, read_batches


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


def count_losses(
    samples: Sequence[str], lost: Sequence[str], quarantined: Sequence[str], duplicates: str | None
) -> Losses:
    """Count rows of `samples/`, and of `lost-*`, `quarantined-*` and `duplicates.parquet` by reason."""
    failed: Counter[str] = Counter()
    set_aside: Counter[str] = Counter()
    for path in lost:
        for batch in read_batches(path, columns=["outcome", "reason"]):
            for outcome, reason in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                (failed if outcome == "failed" else set_aside)[reason or "unknown"] += 1
    rows = sum(parquet_rows(path) for path in samples) + failed.total() + set_aside.total()
    for path in quarantined:
        for batch in read_batches(path, columns=["reason"]):
            set_aside.update(reason or "unknown" for reason in batch.column(0).to_pylist())
    repeated = parquet_rows(duplicates) if duplicates else 0
    return Losses(rows, dict(sorted(failed.items())), dict(sorted(set_aside.items())), repeated)


def require_all(losses: Losses, rows: int, what: str) -> None:
    """Refuse to go on unless `rows`, those measured or those kept or dropped, are all that rules see.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    if rows != losses.healthy():
        raise RunFailedError(
            f"rows are unaccounted for: {losses.healthy():,} samples can be chosen from, but {rows:,} were "
            f"{what}; files of the pool and its measures are out of step. Run `nearfar verify`, then measure again"
        )


def waterfall(losses: Losses, dropped: Sequence[dict[str, Any]], kept: int) -> dict[str, Any]:
    """Return the waterfall of a split: from all rows of the pool down to those kept.

    Args:
        losses: What no rule saw.
        dropped: `reason` and `dropped` of each step, in order.
        kept: Rows that stayed.

    Raises:
        RunFailedError: If a row is unaccounted for.
    """
    require_all(losses, kept + sum(int(step["dropped"]) for step in dropped), "kept or dropped")
    return {
        "rows_in": losses.rows_in,
        "failed": losses.failed,
        "quarantined": losses.quarantined,
        "duplicates": losses.duplicates,
        "dropped": list(dropped),
        "kept": kept,
    }
