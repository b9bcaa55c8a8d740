"""Sets that lie on a store, as folders of this machine: small files are brought before a plan reads them.

Of a folder's shards (tars, Parquet, arrays of vectors) there are stand-ins, whose bytes are brought by the units that
need them and given up when others do (`held_files`); of its single images too, which are read where they are. A set
that is small beside the room has all from the beginning. What is here is a snapshot of what was listed: an object that
changes afterwards is refused. The folder lies beside the working copies (`NEARFAR_COPIES`), and may be removed when no
run is at work.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from indexes.errors import OutputError
from pipeline.files.afar.endings import IMAGE_SUFFIXES, PACKED, SHARDS
from pipeline.files.afar.stand_ins import HELD, stand_in
from pipeline.files.storage import free_bytes, relative_parts, remove_file
from pipeline.stores.at_once import at_once
from pipeline.stores.far_bringing import bring_whole
from pipeline.stores.far_files import FarObject
from pipeline.stores.held_files import held
from pipeline.stores.held_room import HeldRoom
from pipeline.stores.objects import Objects
from pipeline.stores.set_listing import set_objects, single_object
from pipeline.stores.set_states import (
    FILES,
    SetFile,
    forget_one,
    known_files,
    note,
    note_one,
    noted,
    stand_for,
    states_of,
)
from pipeline.stores.store_addresses import Address, is_address, parse_address
from pipeline.stores.working_copies import connected, copies_folder, folder_name, place_of, store_of

_SMALL = 64 << 20
OF_ROOM = 8
"""A set that takes less than one part of so many of the room is here from the beginning."""


def brought(text: str, whole: bool = False) -> str:
    """Give the path of this machine at which a set can be read: the text itself, or the folder of its objects here.

    Shards are there by their names alone, unless they are few bytes or the set is wanted `whole`; an object that an
    address names itself is always brought.

    Raises:
        BadInputError: If it is an address, and none of a store that is known.
        DataError: If nothing lies there.
        OutputError: If the store cannot be read, or there is no room for the set.
    """
    if not is_address(text):
        return text
    address = parse_address(text)
    objects, root = connected(str(address)), root_of(address)
    seen = [SetFile.of(one) for one in set_objects(objects)]
    if seen:
        bring(objects, root, seen, address, whole)
        return str(root / FILES)
    objects, single = single_object(address)
    bring(objects, root, [SetFile.of(single)], address, whole=True)
    return str(root / FILES / single.name)


def root_of(address: Address) -> Path:
    """Say which folder of this machine a set is brought into."""
    return copies_folder() / f"set-{folder_name(address)}"


def set_place(path: str) -> str:
    """Say how a plan names a set that was brought or fetched onto a store: by its address; any other is where it is."""
    for root in (Path(path).parent, Path(path).parent.parent):
        state = noted(root) if root.name.startswith("set-") else {}
        if state and Path(path).is_relative_to(root / FILES):
            return str(state["address"])
    above = Path(path).parent
    return path if store_of(above) is None else f"{place_of(above)}/{Path(path).name}"


def origins(root: Path, files: Iterable[Path]) -> tuple[str, dict[str, str]]:
    """Say whence files of a set came: the folder on the store, and of each, by name, which object in which state."""
    state = noted(root)
    names = [path.relative_to(root / FILES).as_posix() for path in files]
    return str(state.get("folder", "")), {name: state.get("objects", {}).get(name, "") for name in names}


def bring_files(root: Path, folder: str, wanted: Mapping[str, str]) -> None:
    """Have single files of a set where another machine has them: whole, or as stand-ins of the same objects.

    Raises:
        DataError: If an object is in another state than the one that is wanted.
        OutputError: If the store cannot be read, or there is no room.
    """
    objects = connected(folder)

    def bring_one(name: str) -> None:
        path, file = root / FILES / name, SetFile.read(name, wanted[name])
        if path.is_file() and stand_in(path) is None and file in states_of(root, name):
            return
        if _stays(file):
            stand_for(root, file)
        else:
            forget_one(root, name)
            bring_whole([(FarObject(objects, file), path)])
        note_one(root, folder, file)

    for name in wanted:
        relative_parts(name)
    at_once(bring_one, wanted)


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


def _stays(file: SetFile) -> bool:
    """Say whether a file may stay on the store: a shard or an image, of which there is a state to tell it by."""
    kind = file.name.lower().endswith((*SHARDS, *PACKED, *IMAGE_SUFFIXES))
    return kind and file.is_told_apart and file.size > 0


def _is_image(file: SetFile) -> bool:
    return file.name.lower().endswith(tuple(IMAGE_SUFFIXES))


def bring(objects: Objects, root: Path, seen: list[SetFile], address: Address, whole: bool = False) -> None:
    """Have the files of a set in a folder: shards and images by stand-ins, unless they are few or wanted `whole`.

    Raises:
        OutputError: If the store cannot be read, or there is no room.
    """
    known, files = known_files(root), root / FILES
    for one in seen:
        relative_parts(one.name)  # names are the store's: none may lead out of the folder
    staying = [] if whole else [one for one in seen if _stays(one)]
    images = [one for one in staying if _is_image(one)]
    shards = [one for one in staying if not _is_image(one)]
    far = shards if _few(root, images) else staying
    there = {path.relative_to(files).as_posix() for path in files.rglob("*") if not path.is_dir()}
    near = {one.name for one in seen} - {one.name for one in far}
    wanted = [
        one
        for one in seen
        if one.name in near and not (one.name in there and _is_same(files, one, known.get(one.name)))
    ]
    size = sum(one.size for one in wanted)
    check_room(root, str(address), size)
    # Until all are here, none that is about to change is known.
    names = {one.name for one in seen}
    standing = names - {one.name for one in wanted}
    kept = (one for name, one in known.items() if name in standing)
    note(root, str(address), str(objects.address), kept)
    for name in sorted(there - names):
        with contextlib.suppress(FileNotFoundError):  # another run brings the same set
            remove_file(files, name)
    standing_in = [stand_for(root, one) for one in far]
    few = sum(one.size for one in shards) <= _SMALL and _few(root, shards)
    found = filter(None, map(stand_in, standing_in)) if few else ()
    lacking = [one for one in found if one.comes and not one.is_here()]
    if wanted or lacking:
        count, size = len(wanted) + len(lacking), size + sum(one.bytes for one in lacking)
        print(f"bringing {count:,} objects ({size:,} bytes) of {address}", file=sys.stderr)

    at_once(lambda one: _bring_one(FarObject(objects, one), files / one.name), wanted)
    note(root, str(address), str(objects.address), seen)
    with held(one.path for one in lacking):
        pass


def _bring_one(far: FarObject, into: Path) -> None:
    if far.file.sha256:
        bring_whole([(far, into)])
        return
    try:
        far.objects.download(far.file.object, into)
    except FileNotFoundError as error:
        raise far.changed() from error


def _is_same(files: Path, one: SetFile, known: SetFile | None) -> bool:
    return one.is_told_apart and known == one and not (files / one.name).is_symlink()


def _few(root: Path, files: list[SetFile]) -> bool:
    """Say whether files are few bytes beside all that may be here: then to wait for each costs more."""
    if not files:
        return False
    room = HeldRoom(root.parent / HELD)
    with room.turn():
        return sum(one.size for one in files) <= room.most() // OF_ROOM
