"""Plugins are found by file name, in a package and in its rooms."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from indexes import registry
from indexes.errors import UnknownNameError


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with two plugins of its own, a room with one, and what is no plugin."""
    for file in (
        "many/__init__.py",
        "many/first_one.py",
        "many/_shared.py",
        "many/room/__init__.py",
        "many/room/inner.py",
        "many/room/_private.py",
        "many/_hidden/__init__.py",
        "many/_hidden/lost.py",
        "many/plain_folder/loose.py",
    ):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("HERE = __name__\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("many")
    for name in [name for name in sys.modules if name.partition(".")[0] == "many"]:
        del sys.modules[name]


def test_a_plugin_in_a_room_has_its_file_s_name(plugins: ModuleType) -> None:
    assert registry.names(plugins) == ("first-one", "inner")
    assert registry.load(plugins, "thing", "inner").HERE == "many.room.inner"
    assert registry.load(plugins, "thing", "first_one").HERE == "many.first_one"


def test_nothing_is_imported_to_list_them(plugins: ModuleType) -> None:
    registry.names(plugins)
    assert "many.room" not in sys.modules


@pytest.mark.parametrize("name", ["room", "room.inner", "_shared", "lost", "loose"])
def test_what_is_no_plugin_is_not_found(plugins: ModuleType, name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown thing '{name}'; available: first-one, inner"):
        registry.load(plugins, "thing", name)


def test_two_plugins_of_one_name_are_refused(plugins: ModuleType) -> None:
    folder = Path(plugins.__path__[0])
    (folder / "room/first_one.py").write_text("", encoding="utf-8")
    importlib.invalidate_caches()
    with pytest.raises(TypeError, match=r"many.first_one and many.room.first_one have one name; rename"):
        registry.names(plugins)
