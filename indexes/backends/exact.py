"""The exact engine: every decision equals the float64 brute force."""

from __future__ import annotations

from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions

EXACT = True


def open_scanner(queries: Queries, options: ScanOptions) -> Scanner:
    """Open the exact scanner; the engine is imported here because numba takes half a second to load."""
    from indexes.engine import ExactScanner

    return ExactScanner(queries, options)
