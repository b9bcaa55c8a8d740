"""Counts of one stage on its way, and time as people read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Clock = Callable[[], float]


class Stage:
    """Counts of one stage. `advance` may be called from the driver's thread only."""

    def __init__(
        self,
        name: str,
        totals: tuple[int, int],
        done: tuple[int, int],
        clock: Clock,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._more = dict(more or {})
        self.total_units, self.total_rows = totals
        self.units, self.rows = done
        self._at_start = done
        self._clock = clock
        self._began = clock()
        self.listener: Callable[[], None] = lambda: None

    def advance(self, units: int = 1, rows: int = 0) -> None:
        """Say that units, holding so many rows, are done."""
        self.units += units
        self.rows += rows
        self.listener()

    @property
    def seconds(self) -> float:
        """How long the stage has taken so far."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Rows per second of this run (what an earlier run did is not counted); 0 where there are no rows yet."""
        return (self.rows - self._at_start[1]) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to go at the rate so far, by rows where rows are known, else by units; None while unknown."""
        total, now, start = self.total_units, self.units, self._at_start[0]
        if self.total_rows and self.rows > self._at_start[1]:
            total, now, start = self.total_rows, self.rows, self._at_start[1]
        if now <= start:
            return None
        return max(0.0, (total - now) * self.seconds / (now - start))

    def facts(self) -> dict[str, Any]:
        """The counts as the log and the JSON lines have them."""
        return {
            "stage": self.name,
            "units": self.units,
            "total_units": self.total_units,
            "rows": self.rows,
            "total_rows": self.total_rows,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rate, 1),
            "eta_seconds": None if self.eta is None else round(self.eta, 1),
            **self._more,
        }


def clock_time(seconds: float) -> str:
    """`0:07`, `12:30`, `3:02:01`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
