"""The exact engine: every decision equals the float64 brute force."""

from __future__ import annotations

from indexes.brute import BruteScanner
from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions

EXACT = True


def open_scanner(queries: Queries, options: ScanOptions) -> Scanner:
    """Open the exact scanner."""
    return BruteScanner(queries, options)
