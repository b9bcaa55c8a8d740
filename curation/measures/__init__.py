"""One file per measure: what it needs and which columns it writes.

A measure's file holds `NEEDS`, the inputs without which it cannot run, and `columns(benchmarks)`, the struct
columns of `measures/<measure>/part-*.parquet` beside `uid`, each with its fields.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from indexes import registry

INPUTS = frozenset({"vectors", "benchmarks", "reference", "captions"})
"""What a measure may need."""


@dataclass(frozen=True, slots=True)
class Field:
    """One number that a measure writes for each sample."""

    type: str
    """Arrow's name of the type."""
    meaning: str
    """In words, with unit and direction."""


class Measure(Protocol):
    """What a measure's file holds."""

    NEEDS: tuple[str, ...]

    def columns(self, benchmarks: Sequence[str]) -> dict[str, Mapping[str, Field]]:
        """Return the struct columns that the measure writes."""


def names() -> tuple[str, ...]:
    """List the measures there are."""
    return registry.names(sys.modules[__name__])


def load(name: str) -> Measure:
    """Import a measure by its name.

    Raises:
        UnknownNameError: If there is no such measure.
    """
    return cast(Measure, registry.load(sys.modules[__name__], "measure", name))
