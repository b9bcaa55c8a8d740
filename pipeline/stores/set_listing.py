"""Which objects of a store are the files of a set."""

from __future__ import annotations

from pathlib import PurePosixPath

from indexes.errors import DataError
from pipeline import layout
from pipeline.stores.lease import LEASE
from pipeline.stores.object_states import SeenObject
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import Address
from pipeline.stores.working_copies import connected

_LONGEST = 255
"""Bytes of a file's name."""
_OF_RUNS = frozenset((*layout.FOLDERS, *layout.FILES, layout.TOMBSTONES, layout.PURGE, LEASE))


def set_objects(objects: Objects) -> list[SeenObject]:
    """List what becomes a file: not the empty objects by which some tools mark folders, nor what runs below it wrote.

    Raises:
        DataError: If a name is both a file's and a folder's, or longer than that of a file may be.
        OutputError: If the store cannot be listed.
    """
    every = [one for one in objects.listing() if one.name]
    locks = (one.name for one in every if one.name.endswith(f"/{layout.LOCK_FILE}"))
    runs = [name.removesuffix(layout.LOCK_FILE) for name in locks]
    seen = [one for one in every if not any(_is_of_run(one.name, run) for run in runs)]
    folders = {str(above) for one in seen for above in PurePosixPath(one.name).parents}
    for one in seen:
        if one.name in folders and one.bytes:
            raise DataError(
                f"'{objects.address}' has '{one.name}' as an object and as a folder of others, which no file system "
                "can have"
            )
        if len(max(one.name.encode().split(b"/"), key=len)) > _LONGEST:
            raise DataError(
                f"'{objects.address}' has '{one.name[:100]}…', in which more than {_LONGEST} bytes have no slash, "
                "which no file system can have; rename that object"
            )
    return [one for one in seen if one.name not in folders]


def single_object(address: Address) -> tuple[Objects, SeenObject]:
    """Find the one object that an address names itself, and the folder that it is in.

    Raises:
        DataError: If there is none.
        OutputError: If the store cannot be read.
    """
    folder, _, name = address.folder.rpartition("/")
    objects = connected(str(Address(address.scheme, address.bucket, folder)))
    seen = objects.seen(name) if name else None
    if seen is None:
        raise DataError(f"there is nothing at '{address}'; correct the address, or put the set there")
    return objects, seen


def _is_of_run(name: str, run: str) -> bool:
    """Tell whether a run wrote an object, whose output is the folder `run`: such come and go while it works."""
    return name.startswith(run) and name.removeprefix(run).partition("/")[0] in _OF_RUNS
