"""One file, one plugin: rules, readers, measures and backends are found by their file name.

A package of plugins may have rooms, folders with an `__init__.py` of their own; what lies in one is called by its file
name alone, so that a plugin may move from room to room and no plan changes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from indexes.errors import UnknownNameError


def names(package: ModuleType) -> tuple[str, ...]:
    """List the plugins in `package` and its rooms, as users write them (`image_folder.py` is `image-folder`).

    Files and rooms that begin with an underscore are not plugins.

    Raises:
        TypeError: If two rooms have a file of one name; that is their author's mistake.
    """
    return tuple(sorted(_found(package)))


def load(package: ModuleType, kind: str, name: str) -> ModuleType:
    """Import the plugin that users call `name` (hyphens and underscores are one).

    Raises:
        UnknownNameError: If `package` has no such file; the message lists what it has.
    """
    spelled = name.replace("_", "-")
    available = _found(package)
    if spelled not in available:
        raise UnknownNameError(kind, name, tuple(sorted(available)))
    return importlib.import_module(available[spelled])


def _found(package: ModuleType) -> dict[str, str]:
    """Map each plugin's name to its module; nothing is imported."""
    found: dict[str, str] = {}
    for module in _modules(list(package.__path__), package.__name__):
        spelled = module.rpartition(".")[2].replace("_", "-")
        if spelled in found:
            raise TypeError(f"{found[spelled]} and {module} have one name; rename one of them")
        found[spelled] = module
    return found


def _modules(paths: list[str], prefix: str) -> Iterator[str]:
    for entry in pkgutil.iter_modules(paths):
        if entry.name.startswith("_"):
            continue
        if entry.ispkg:
            yield from _modules([f"{path}/{entry.name}" for path in paths], f"{prefix}.{entry.name}")
        else:
            yield f"{prefix}.{entry.name}"
