"""One file, one plugin: rules, readers, measures and backends are found by their file name."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from indexes.errors import UnknownNameError


def names(package: ModuleType) -> tuple[str, ...]:
    """List the plugins in `package`, as users write them (`image_folder.py` is `image-folder`).

    Files that begin with an underscore are not plugins.
    """
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name.replace("_", "-") for name in found if not name.startswith("_")))


def load(package: ModuleType, kind: str, name: str) -> ModuleType:
    """Import the plugin that users call `name` (hyphens and underscores are one).

    Raises:
        UnknownNameError: If `package` has no such file; the message lists what it has.
    """
    spelled = name.replace("_", "-")
    available = names(package)
    if spelled not in available:
        raise UnknownNameError(kind, name, available)
    return importlib.import_module(f"{package.__name__}.{spelled.replace('-', '_')}")
