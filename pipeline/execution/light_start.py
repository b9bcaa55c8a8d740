"""What a process of nearfar's own need not load."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType

# Objects made before Python looks for circles; its own 700 suit programs that make few.
_NEW_OBJECTS = 20_000
_WHILE_LOADING = 200_000


def start_light() -> None:
    """Keep libraries from loading what nothing here uses; for processes that are nearfar's alone.

    pyarrow imports pandas, where it is installed, as soon as it meets a list or an array, to see whether it is one of
    pandas', and that takes longer than all else that a command loads. It looks once, so it looks here, and finds
    nothing; whoever imports pandas later has it. pydantic opens the metadata of every installed package to look for
    plugins, which would change what a plan may say. And Python looks for circles among all objects again and again
    while modules are loaded, which make none.
    """
    gc.set_threshold(_WHILE_LOADING)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if "pandas" not in sys.modules:
        hidden = _Hidden("pandas")
        sys.meta_path.insert(0, hidden)
        try:
            with suppress(ImportError):  # who needs it says so, and the doctor too
                import pyarrow as pa

                pa.array([])
        finally:
            sys.meta_path.remove(hidden)


def begin_work() -> None:
    """Have Python look for circles more often in a process that started light, now that it has loaded what it uses."""
    if gc.get_threshold()[0] == _WHILE_LOADING:
        gc.set_threshold(_NEW_OBJECTS)


class _Hidden:
    """Answers for a package as if it were not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Refuse the package; leave all else to others."""
        if name == self._name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None
