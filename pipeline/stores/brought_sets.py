"""Sets that lie on a store: brought whole to this machine before they are read, and again only where they changed.

Readers, memory maps and DuckDB then see files. What is here is a snapshot: an object that changes while a run reads is
brought by the next run. The folder lies beside the working copies (`NEARFAR_COPIES`), and may be removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from indexes.errors import DataError, OutputError
from pipeline.files.storage import free_bytes, relative_parts, remove_file, write_atomic
from pipeline.stores.at_once import at_once
from pipeline.stores.objects import Objects, SeenObject
from pipeline.stores.store_addresses import Address, is_address, parse_address
from pipeline.stores.working_copies import connected, copies_folder, folder_name, place_of, store_of

_FILES = "files"
_STATE = ".brought.json"


def brought(text: str) -> str:
    """Give the path of this machine at which a set can be read: the text itself, or where its objects were brought to.

    Raises:
        BadInputError: If it is an address, and none of a store that is known.
        DataError: If nothing lies there.
        OutputError: If the store cannot be read, or there is no room for the set.
    """
    if not is_address(text):
        return text
    address = parse_address(text)
    objects, root = connected(str(address)), copies_folder() / f"set-{folder_name(address)}"
    seen = _files(objects)
    if not seen:
        objects, seen = _single(address)
    _bring(objects, root, seen, address)
    inside = root / _FILES
    return str(inside / seen[0].name if objects.address != address else inside)


def set_place(path: str) -> str:
    """Say how a plan names a set that was brought or fetched onto a store: by its address; any other is where it is."""
    for root in (Path(path).parent, Path(path).parent.parent):
        state = _state(root) if root.name.startswith("set-") else {}
        if state and Path(path).is_relative_to(root / _FILES):
            return str(state["address"])
    above = Path(path).parent
    return path if store_of(above) is None else f"{place_of(above)}/{Path(path).name}"


def set_root(folder: Path) -> Path | None:
    """Find what a set was brought into, that a folder is of; None for any other folder."""
    return next(
        (one for one in folder.parents if one.name.startswith("set-") and (one / _STATE).is_file()), None
    )


def origins(root: Path, files: Iterable[Path]) -> tuple[str, dict[str, str]]:
    """Say whence files of a set came: the folder on the store, and of each object, by name, the state that was seen."""
    state = _state(root)
    names = [path.relative_to(root / _FILES).as_posix() for path in files]
    return str(state.get("folder", "")), {name: state.get("objects", {}).get(name, "") for name in names}


def bring_files(root: Path, folder: str, wanted: Mapping[str, str]) -> None:
    """Bring single files of a set to where another machine has them; those that are here already stay.

    Raises:
        DataError: If an object is in another state than the one that is wanted.
        OutputError: If the store cannot be read, or there is no room.
    """
    objects, known = connected(folder), _state(root).get("objects", {})

    def bring_one(name: str) -> None:
        path, mark = root / _FILES / name, _mark_of(root, name)
        if path.is_file() and wanted[name] in (known.get(name), _read(root, mark)):
            return
        with contextlib.suppress(FileNotFoundError):
            remove_file(root, mark)
        objects.download(name, path)
        seen = objects.seen(name)  # looked at afterwards: what came is no newer than that
        if seen is None or _mark(seen) != wanted[name]:
            raise DataError(
                f"'{folder}/{name}' changed since the run began; stop what is writing to it and run again"
            )
        write_atomic(root, mark, wanted[name].encode())

    for name in wanted:
        relative_parts(name)
    at_once(bring_one, wanted)


def _mark_of(root: Path, name: str) -> str:
    return f"seen/{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _read(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text()
    except FileNotFoundError:
        return None


def check_room(root: Path, address: str, size: int) -> None:
    """Refuse to begin to bring what does not fit; `size` is in bytes.

    Raises:
        OutputError: If there is no room.
    """
    if size > free_bytes(root):
        raise OutputError(
            f"'{address}' has {size:,} bytes that are not here yet, and {free_bytes(root):,} are free at {root}; "
            "set NEARFAR_COPIES to a folder with more room"
        )


def _files(objects: Objects) -> list[SeenObject]:
    """List what becomes a file: not the empty objects by which some tools mark folders.

    Raises:
        DataError: If a name is both a file's and a folder's.
    """
    seen = [one for one in objects.listing() if one.name]
    folders = {str(above) for one in seen for above in PurePosixPath(one.name).parents}
    both = next((one.name for one in seen if one.name in folders and one.bytes), None)
    if both is not None:
        raise DataError(
            f"'{objects.address}' has '{both}' as an object and as a folder of others, which no file system can have"
        )
    return [one for one in seen if one.name not in folders]


def _single(address: Address) -> tuple[Objects, list[SeenObject]]:
    """Find the one object that an address names itself."""
    folder, _, name = address.folder.rpartition("/")
    objects = connected(str(Address(address.scheme, address.bucket, folder)))
    seen = objects.seen(name) if name else None
    if seen is None:
        raise DataError(f"there is nothing at '{address}'; correct the address, or put the set there")
    return objects, [seen]


def _bring(objects: Objects, root: Path, seen: list[SeenObject], address: Address) -> None:
    known = _state(root).get("objects", {})
    files = root / _FILES
    for one in seen:
        relative_parts(one.name)  # names are the store's: none may lead out of the folder
    there = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    wanted = [
        one for one in seen if one.name not in there or not one.version or known.get(one.name) != _mark(one)
    ]
    size = sum(one.bytes for one in wanted)
    check_room(root, str(address), size)
    if wanted:
        print(f"bringing {len(wanted):,} objects ({size:,} bytes) of {address}", file=sys.stderr)
    # Until all are here, none that is about to change is known.
    names = {one.name for one in seen}
    kept = {name: mark for name, mark in known.items() if name in names - {one.name for one in wanted}}
    _note(root, address, objects, kept)
    for name in sorted(there - names):
        with contextlib.suppress(FileNotFoundError):  # another run brings the same set
            remove_file(files, name)
    at_once(lambda one: objects.download(one.name, files / one.name), wanted)
    _note(root, address, objects, {one.name: _mark(one) for one in seen})


def _mark(one: SeenObject) -> str:
    # Some stores tell the version of an object that is asked for, and not of one that is listed.
    return f"{one.version.get('e_tag') or one.version.get('version', '')} {one.bytes}"


def _note(root: Path, address: Address, whence: Objects, objects: dict[str, str]) -> None:
    said = {"address": str(address), "folder": str(whence.address), "objects": objects}
    write_atomic(root, _STATE, json.dumps(said, sort_keys=True).encode())


def _state(root: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((root / _STATE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("objects"), dict) else {}
