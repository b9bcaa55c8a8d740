"""Open a search: queries held, samples streaming past them.

The backend is the one that is named; none stands in for another, and one that is not exact must be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, cast

from indexes import backends, registry
from indexes.backend_options import NoOptions, options_class, read_options
from indexes.device.choice import check_device
from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions

__all__ = [
    "ScanOptions",
    "Scanner",
    "backend_options",
    "check_search",
    "exact_backend",
    "is_exact",
    "open_scanner",
]

_DEFAULTS = ScanOptions()


def open_scanner(
    queries: Queries,
    backend: str = "exact",
    scan_options: ScanOptions = _DEFAULTS,
    options: Mapping[str, object] | None = None,
) -> Scanner:
    """Open a scanner over `queries` by the backend of that name (a file in `indexes/backends`).

    Args:
        queries: `(q, d)` float16 vectors of one or more benchmarks.
        backend: Name of the backend.
        scan_options: What every backend takes: neighbours to keep, device, threads, memory.
        options: What this backend alone takes, as `backend_options` reads it.

    Raises:
        UnknownNameError: If there is no such backend, or it has no such option.
        BadInputError: If the options do not fit, such as a memory limit too small for one block.
    """
    module = _module(backend)
    chosen = backend_options(backend, options)
    own = () if isinstance(chosen, NoOptions) else (chosen,)
    return cast("Scanner", module.open_scanner(queries, scan_options, *own))


def backend_options(backend: str, given: Mapping[str, object] | None = None) -> Any:
    """Read a backend's own options, as a plan has them under `engine.options`, before anything is searched.

    Args:
        backend: Name of the backend.
        given: Option by name; None for the defaults.

    Returns:
        A frozen dataclass with a value for each option; `NoOptions` where the backend has none.

    Raises:
        UnknownNameError: If there is no such backend or option; the message lists what there is.
        BadInputError: If a value has another type or lies outside its range.
    """
    return read_options(options_class(_module(backend)), given, backend)


def check_search(backend: str, device: str = "auto", options: Mapping[str, object] | None = None) -> None:
    """Check what `open_scanner` would refuse for any queries, before any work.

    A backend that does not compute where torch does has a `check_device` of its own in its file.

    Args:
        backend: Name of the backend.
        device: `auto`, `cpu`, `cuda` or `cuda:<number>`, on the machine that computes.
        options: The backend's own options.

    Raises:
        UnknownNameError: If there is no such backend or option.
        BadInputError: If an option or the device will not do.
    """
    backend_options(backend, options)
    getattr(_module(backend), "check_device", check_device)(device)


def is_exact(backend: str) -> bool:
    """Say whether every decision of a backend equals the float64 brute force.

    Raises:
        UnknownNameError: If there is no such backend.
    """
    return bool(_module(backend).EXACT)


def exact_backend(backend: str) -> str:
    """Name the backend itself where it is exact, else the exact engine: for work that bears no approximation.

    Raises:
        UnknownNameError: If there is no such backend.
    """
    return backend if is_exact(backend) else "exact"


def _module(backend: str) -> ModuleType:
    return registry.load(backends, "index backend", backend)
