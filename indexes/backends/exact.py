"""The exact engine: every decision equals the float64 brute force; a GPU is used where there is one."""

from __future__ import annotations

from indexes.device.choice import has_driver, resolve_device
from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions

EXACT = True


def open_scanner(queries: Queries, options: ScanOptions) -> Scanner:
    """Open the exact scanner: on the device that is named, or under `auto` on a GPU if this machine has one.

    The engines are imported here, since numba takes half a second to load and torch takes four.
    """
    if options.device.startswith("cuda") or (options.device == "auto" and has_driver()):
        from indexes.backends.torch import TorchScanner

        if resolve_device(options.device) != "cpu":
            return TorchScanner(queries, options)
    from indexes.cpu.engine import ExactScanner

    return ExactScanner(queries, options)
