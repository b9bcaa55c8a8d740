"""Open a search: queries held, samples streaming past them.

The backend is the one that is named; none stands in for another, and one that is not exact must be asked for.
"""

from __future__ import annotations

from typing import cast

from indexes import backends, registry
from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions

__all__ = ["ScanOptions", "Scanner", "exact_backend", "is_exact", "open_scanner"]

_DEFAULTS = ScanOptions()


def open_scanner(queries: Queries, backend: str = "exact", options: ScanOptions = _DEFAULTS) -> Scanner:
    """Open a scanner over `queries` by the backend of that name (a file in `indexes/backends`).

    Raises:
        UnknownNameError: If there is no such backend.
        BadInputError: If the options do not fit, such as a memory limit too small for one block.
    """
    module = registry.load(backends, "index backend", backend)
    return cast("Scanner", module.open_scanner(queries, options))


def is_exact(backend: str) -> bool:
    """Say whether every decision of a backend equals the float64 brute force."""
    return bool(registry.load(backends, "index backend", backend).EXACT)


def exact_backend(backend: str) -> str:
    """Give the backend itself where it is exact, else the exact engine: for work that bears no approximation."""
    return backend if is_exact(backend) else "exact"
