"""When an audit may not say that all is well: too much of a set was lost for its silence to mean anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexes.errors import BadInputError


@dataclass(frozen=True, slots=True)
class AllowLost:
    """The largest share of its rows that a set may lose; a set that loses more fails the gate.

    A query that was lost is never looked at, so of a benchmark none may go unless the user says so. Of a pool made of
    links some always do.
    """

    benchmark: float = 0.0
    pool: float = 0.05


@dataclass(frozen=True, slots=True)
class Lost:
    """How many rows of a set could not be compared, of how many that it lists."""

    lost: int
    listed: int

    @property
    def share(self) -> float:
        """Share of the listed rows that was lost; a set that lists none has lost all."""
        return self.lost / self.listed if self.listed else 1.0


@dataclass(frozen=True, slots=True)
class TooMany:
    """One set that lost more than is allowed."""

    name: str
    rows: Lost
    allowed: float


def allow_lost(spec: str | None) -> AllowLost:
    """Parse the share that `--allow-lost` takes, for every set; None is what holds where it is not given.

    Raises:
        BadInputError: If it is no number in [0, 1].
    """
    if spec is None:
        return AllowLost()
    try:
        share = float(spec)
    except ValueError:
        raise _bad_share(spec) from None
    if not 0 <= share <= 1:
        raise _bad_share(spec)
    return AllowLost(share, share)


def _bad_share(spec: str) -> BadInputError:
    return BadInputError(
        f"--allow-lost got '{spec[:80]}'; it takes the share of its rows that a set may lose, a number in [0, 1]: "
        "0.01 lets one row in a hundred go"
    )


def too_many_lost(allowed: AllowLost, pool: Lost, benchmarks: Mapping[str, Lost]) -> tuple[TooMany, ...]:
    """List the sets that lost more than is allowed: the pool first, then the benchmarks in the order given."""
    each = [("pool", pool, allowed.pool)]
    each += [(f"benchmark {name}", rows, allowed.benchmark) for name, rows in benchmarks.items()]
    return tuple(TooMany(name, rows, limit) for name, rows, limit in each if rows.share > limit)
