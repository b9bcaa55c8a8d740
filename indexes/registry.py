"""One file, one plugin: rules, readers, measures and backends are found by their file name.

A package of plugins may have rooms, folders with an `__init__.py` of their own; what lies in one is called by its file
name alone, so that a plugin may move from room to room and no plan changes.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType

from indexes.errors import UnknownNameError

_seen: dict[tuple[str, ...], tuple[dict[str, int], Mapping[str, str]]] = {}
"""By a package's paths: its folders and when each last changed, and what lay in them. Plans ask hundreds of times."""


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


def _found(package: ModuleType) -> Mapping[str, str]:
    """Map each plugin's name to its module; nothing is imported."""
    paths = tuple(package.__path__)
    seen = _seen.get(paths)
    if seen is None or any(_changed(folder) != at for folder, at in seen[0].items()):
        folders: dict[str, int] = {}
        seen = _seen[paths] = (folders, _look(package, folders))
    return seen[1]


def _look(package: ModuleType, folders: dict[str, int]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for module in _modules(list(package.__path__), package.__name__, folders):
        spelled = module.rpartition(".")[2].replace("_", "-")
        if spelled in found:
            raise TypeError(f"{found[spelled]} and {module} have one name; rename one of them")
        found[spelled] = module
    return found


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - pathlib, which opens files, is not for this room
    except OSError:
        return 0


def _modules(paths: list[str], prefix: str, folders: dict[str, int]) -> Iterator[str]:
    folders |= {path: _changed(path) for path in paths}
    for entry in pkgutil.iter_modules(paths):
        if entry.name.startswith("_"):
            continue
        if entry.ispkg:
            rooms = [f"{path}/{entry.name}" for path in paths]
            yield from _modules(rooms, f"{prefix}.{entry.name}", folders)
        else:
            yield f"{prefix}.{entry.name}"
